//! A plan as SQL: the text that a stage's table macro hands to DuckDB's `query()`.
//!
//! ```sql
//! WITH density_peaks_stage AS MATERIALIZED (
//!   SELECT density_peaks_id(7, 0, s.id) AS id, s.density
//!   FROM density_peaks_source(7, '<plan>') s,
//!        (SELECT i0.n AS n FROM (SELECT density_peaks_sink(7, 0, ...) AS n FROM ...) i0) i
//!   WHERE i.n >= 0 AND s.id IS NOT NULL)
//! FROM density_peaks_stage
//! ```
//!
//! The sinks make one row, so they are the build side and run first; the source claims to be huge,
//! to stay on the probe side. The materialized CTE is the fence: without it the optimizer may
//! join two sources of one statement before a sink has run. Rows without a first column are ticks.

use duckdb_neo::Result;
use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::enums::{FunctionProperty, FunctionPropertyStability};
use duckdb_neo::extension::Extension;
use duckdb_neo::scalar::{ScalarCallbacks, ScalarFunctionBuilder};
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::types::DuckDBType;
use duckdb_neo::vector::{Unknown, Vector};

use super::ids::NATIVE_TYPES;
use super::plan::{
    AssignClusters, ClusterSummary, DpcCluster, Input, KernelName, KmeansCluster, KnnGraph, LearnedModel, Plan,
    TauSweep, TrainSimilarity, TransitionMatrix,
};
use super::slot::new_token;
use super::{functions, guarded, plan};
use crate::core::embeddings::Precision;

/// A relation that a plan reads, and what it reads of it.
#[derive(Debug, Clone)]
pub struct Relation {
    /// The function that reads it, for messages.
    pub function: String,
    /// The argument that named it.
    pub argument: &'static str,
    pub name: String,
    pub columns: Columns,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Columns {
    /// Named by the arguments `id` and `embedding`, to be kept in a precision, and perhaps `partition_by`.
    Points { id: String, embedding: String, precision: Precision, partition: Option<String> },
    /// `src`, `dst`, and `distance` or `similarity`.
    Edges(KernelName),
    /// `src`, `dst`, `probability`.
    Probabilities,
    /// `src`, `dst`, `distance`.
    Distances,
    /// `id`, `density`.
    Densities,
    /// Named by the arguments `id` and `label`.
    Labels { id: String, label: String },
    /// Named by the argument `id`, and `cluster_id`, `parent_id`, `delta`.
    Clusters { id: String },
    /// Named by the argument `id`, and `cluster_id`; with `density` also `delta` and `density`.
    Members { id: String, density: bool },
    /// `src`, `dst`.
    Pairs,
}

impl Columns {
    fn points(id: String, embedding: String, precision: Precision) -> Self {
        Self::Points { id, embedding, precision, partition: None }
    }
}

impl Relation {
    /// The call that reads it, for messages.
    pub fn label(&self) -> String {
        format!("{}('{}')", self.function, self.name)
    }

    /// Whether the two read the same, whichever functions do: then it is read once.
    pub fn same(&self, other: &Self) -> bool {
        (self.argument, &self.name, &self.columns) == (other.argument, &other.name, &other.columns)
    }

    fn new(plan: &Plan, argument: &'static str, name: &str, columns: Columns) -> Self {
        Self { function: plan.name().into(), argument, name: name.into(), columns }
    }

    pub fn points(graph: &KnnGraph) -> Self {
        let (id, embedding, precision) = (graph.id.clone(), graph.embedding.clone(), graph.precision);
        let columns = Columns::Points { id, embedding, precision, partition: graph.partition_by.clone() };
        Self { function: graph.function.clone(), argument: "source", name: graph.source.clone(), columns }
    }

    pub fn queries(graph: &KnnGraph) -> Option<Self> {
        let name = graph.queries.clone()?;
        Some(Self { argument: "queries", name, ..Self::points(graph) })
    }

    /// The relation that a model's embeddings come from, where it is named.
    fn features(model: &LearnedModel, name: &str) -> Self {
        let LearnedModel { function, id, embedding, .. } = model.clone();
        let columns = Columns::points(id, embedding, Precision::F32);
        Self { function, argument: "source", name: name.into(), columns }
    }

    /// The relations that a model's embeddings come from.
    pub fn read_by_model(stage: &TransitionMatrix, model: &LearnedModel) -> Vec<Self> {
        match (&model.source, &stage.graph) {
            (Some(Input::Relation(name)), _) => vec![Self::features(model, name)],
            (_, Input::Stage(graph)) => match &**graph {
                Plan::KnnGraph(graph) => Self::queries(graph).into_iter().chain([Self::points(graph)]).collect(),
                _ => vec![],
            },
            _ => vec![],
        }
    }

    /// The relations that a stage reads itself, one for each of its [`Plan::inputs`] that names one.
    pub fn read_by(plan: &Plan) -> Vec<Option<Self>> {
        let inputs = plan.inputs().into_iter().enumerate();
        inputs.map(|(at, input)| Self::of_input(plan, at, input)).collect()
    }

    fn of_input(plan: &Plan, at: usize, input: &Input) -> Option<Self> {
        let Input::Relation(name) = input else { return None };
        Some(match plan {
            Plan::TransitionMatrix(TransitionMatrix { model: Some(model), .. }) if at == 1 => {
                Self::features(model, name)
            }
            Plan::TransitionMatrix(stage) => Self::new(plan, "graph", name, Columns::Edges(stage.kernel)),
            Plan::Ndde(_) | Plan::Tpdi(_) => Self::new(plan, "transition", name, Columns::Probabilities),
            Plan::TauSweep(TauSweep { id, label, .. }) if at == 2 => {
                Self::new(plan, "labels", name, Columns::Labels { id: id.clone(), label: label.clone() })
            }
            Plan::DpcCluster(stage) if at > 1 => {
                let (argument, _) = stage.given().nth(at - 2)?;
                let columns = match argument {
                    "previous" => Columns::Members { id: stage.id.clone(), density: false },
                    _ => Columns::Pairs,
                };
                Self { function: stage.function.clone(), ..Self::new(plan, argument, name, columns) }
            }
            Plan::DpcCluster(_) | Plan::TauSweep(_) | Plan::DecisionGraph(_) => match at {
                0 => Self::new(plan, "density", name, Columns::Densities),
                _ => Self::new(plan, "distance", name, Columns::Distances),
            },
            Plan::ClusterSummary(stage) => {
                let ClusterSummary { id, embedding, .. } = stage.clone();
                match at {
                    0 => Self::new(plan, "clusters", name, Columns::Clusters { id }),
                    _ => Self::new(plan, "source", name, Columns::points(id, embedding, Precision::F32)),
                }
            }
            Plan::SuggestMerges(stage) => match at {
                0 => Self::new(plan, "clusters", name, Columns::Clusters { id: stage.id.clone() }),
                1 => Self::new(plan, "density", name, Columns::Densities),
                _ => Self::new(plan, "distance", name, Columns::Distances),
            },
            Plan::SuggestSplits(stage) => Self::new(plan, "clusters", name, Columns::Clusters { id: stage.id.clone() }),
            Plan::AssignClusters(stage) => {
                let AssignClusters { id, embedding, precision, .. } = stage.clone();
                match at {
                    0 => Self::new(plan, "source", name, Columns::points(id, embedding, precision)),
                    1 => Self::new(plan, "base", name, Columns::points(id, embedding, precision)),
                    _ => Self::new(plan, "clusters", name, Columns::Members { id, density: true }),
                }
            }
            Plan::ClusterWith(_) | Plan::AutoParameters(_) => Self::new(plan, "graph", name, Columns::Distances),
            Plan::KmeansCluster(KmeansCluster { id, embedding, .. }) => {
                let (id, embedding) = (id.clone(), embedding.clone());
                Self::new(plan, "source", name, Columns::points(id, embedding, Precision::F32))
            }
            Plan::TrainSimilarity(stage) => {
                let TrainSimilarity { id, embedding, label, .. } = stage.clone();
                match at {
                    0 => Self::new(plan, "source", name, Columns::points(id, embedding, Precision::F32)),
                    _ => Self::new(plan, "source", name, Columns::Labels { id, label }),
                }
            }
            Plan::KnnGraph(_) => return None,
        })
    }
}

/// The relations that a plan reads, each once; first the one whose ids the result has.
pub fn relations(plan: &Plan) -> Vec<Relation> {
    let mut relations = Vec::new();
    collect_relations(plan, &mut relations);
    relations
}

fn collect_relations(plan: &Plan, relations: &mut Vec<Relation>) {
    if let Plan::KnnGraph(graph) = plan {
        let queries = Relation::queries(graph).into_iter();
        return queries.chain([Relation::points(graph)]).for_each(|relation| add(relations, relation));
    }
    for (input, read) in plan.inputs().into_iter().zip(Relation::read_by(plan)) {
        read.into_iter().for_each(|relation| add(relations, relation));
        if let Input::Stage(stage) = input {
            collect_relations(stage, relations);
        }
    }
}

fn add(relations: &mut Vec<Relation>, relation: Relation) {
    if !relations.iter().any(|other| other.same(&relation)) {
        relations.push(relation);
    }
}

/// How a column of the result is made of the source's column of the same position.
pub enum Column {
    /// An id: the source gives a row number. The second is whose id, see [`super::slot::Slot::ids`].
    Id(String, usize),
    Value(&'static str),
}

const SCORES: [&str; 6] =
    ["pairwise_precision", "pairwise_recall", "pairwise_f", "bcubed_precision", "bcubed_recall", "bcubed_f"];

/// The columns of a plan's result; a row whose first is NULL is a tick.
pub fn columns(plan: &Plan) -> Vec<Column> {
    use Column::{Id, Value};
    let id = |name: &str| Id(name.into(), 0);
    match plan {
        Plan::KnnGraph(graph) => {
            let dst = Id("dst".into(), usize::from(graph.queries.is_some()));
            vec![id("src"), dst, Value("rank"), Value("distance")]
        }
        Plan::TransitionMatrix(_) => vec![id("src"), id("dst"), Value("probability")],
        Plan::AutoParameters(_) => ["kernel", "location", "scale", "sigma", "tau"].map(Value).into(),
        Plan::Ndde(_) => vec![id("id"), Value("density")],
        Plan::Tpdi(_) => vec![id("src"), id("dst"), Value("distance")],
        Plan::DpcCluster(DpcCluster { id: name, .. }) | Plan::AssignClusters(AssignClusters { id: name, .. }) => {
            let partition = match plan {
                Plan::DpcCluster(stage) => stage.partitioned().and_then(|(graph, ..)| graph.partition_by.clone()),
                _ => None,
            };
            let values = ["delta", "density", "is_peak"].map(Value);
            let ids = [Value("cluster_id"), id("parent_id")];
            let first = [Some(id(name)), partition.map(|name| Id(name, 1))].into_iter().flatten();
            first.chain(ids).chain(values).collect()
        }
        Plan::TauSweep(stage) => {
            let scores: &[&str] = if stage.labels.is_some() { &SCORES } else { &[] };
            ["tau", "clusters", "singletons", "largest"].iter().chain(scores).map(|name| Value(name)).collect()
        }
        Plan::ClusterSummary(_) => {
            let ids = [Value("cluster_id"), Value("size"), id("medoid_id"), id("peak_id")];
            ids.into_iter().chain(["mean_distance", "cohesion"].map(Value)).collect()
        }
        Plan::SuggestMerges(_) => {
            let values = ["cluster_id", "other_cluster_id", "delta"].map(Value);
            let sizes = ["size", "other_size"].map(Value);
            values.into_iter().chain([id("peak_id"), id("candidate_id")]).chain(sizes).collect()
        }
        Plan::SuggestSplits(_) => {
            let sizes = ["size_below", "size_above"].map(Value);
            let link = [Value("cluster_id"), Value("delta"), id("id"), id("parent_id")];
            link.into_iter().chain(sizes).collect()
        }
        Plan::ClusterWith(_) => vec![id("id"), Value("cluster_id")],
        Plan::KmeansCluster(stage) => vec![id(&stage.id), Value("cluster_id")],
        Plan::TrainSimilarity(_) => {
            let held_out = ["held_out_auc", "held_out_average_precision", "cosine_auc", "cosine_average_precision"];
            let values = ["epoch", "loss"].into_iter().chain(held_out).chain(["is_kept", "warning"]);
            values.map(Value).collect()
        }
        Plan::DecisionGraph(_) => vec![id("id"), Value("density"), Value("delta"), id("candidate_id")],
    }
}

pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An id, and its sort key where its type has none of our own.
fn id_arguments(name: &str) -> String {
    let native: Vec<String> = NATIVE_TYPES.iter().map(|name| literal(name)).collect();
    format!(
        "{name}, CASE WHEN typeof({name}) IN ({}) THEN NULL ELSE create_sort_key({name}, 'ASC NULLS LAST') END",
        native.join(", ")
    )
}

fn sink(token: u64, at: usize, relation: &Relation) -> String {
    // Selected first, so that it is bound first: a missing column is then our error, not DuckDB's.
    // The token in its name makes it one that the relation does not have.
    let checked =
        format!("density_peaks_columns({token}, {at}, struct_pack(*COLUMNS(*))) AS density_peaks_checked_{token}");
    let from = format!("FROM query_table({})", literal(&relation.name));
    let (arguments, rows) = match &relation.columns {
        Columns::Points { id, embedding, partition, .. } => {
            let (argument, read) = match partition {
                Some(column) => (format!(", {}", id_arguments("part")), format!(", {} AS part", identifier(column))),
                None => Default::default(),
            };
            let (id, embedding) = (identifier(id), identifier(embedding));
            (
                format!("{}, embedding{argument}", id_arguments("id")),
                format!("SELECT {checked}, {id} AS id, {embedding} AS embedding{read} {from}"),
            )
        }
        Columns::Densities => {
            (format!("{}, density::DOUBLE", id_arguments("id")), format!("SELECT {checked}, id, density {from}"))
        }
        Columns::Labels { id, label } => (
            format!("{}, {}", id_arguments("id"), id_arguments("label")),
            format!("SELECT {checked}, {} AS id, {} AS label {from}", identifier(id), identifier(label)),
        ),
        Columns::Clusters { id } => (
            format!("{}, {}, cluster_id::BIGINT, delta::DOUBLE", id_arguments("id"), id_arguments("parent_id")),
            format!("SELECT {checked}, {} AS id, parent_id, cluster_id, delta {from}", identifier(id)),
        ),
        Columns::Members { id, density } => {
            let read = if *density { "delta, density" } else { "NULL AS delta, NULL AS density" };
            (
                format!("{}, cluster_id::BIGINT, delta::DOUBLE, density::DOUBLE", id_arguments("id")),
                format!("SELECT {checked}, {} AS id, cluster_id, {read} {from}", identifier(id)),
            )
        }
        Columns::Pairs => (
            format!("{}, {}, 0::DOUBLE", id_arguments("src"), id_arguments("dst")),
            format!("SELECT {checked}, src, dst {from}"),
        ),
        Columns::Probabilities => (
            format!("{}, {}, probability::DOUBLE", id_arguments("src"), id_arguments("dst")),
            format!("SELECT {checked}, src, dst, probability {from}"),
        ),
        Columns::Distances => (
            format!("{}, {}, distance::DOUBLE", id_arguments("src"), id_arguments("dst")),
            format!("SELECT {checked}, src, dst, distance {from}"),
        ),
        // Either of the two columns may be missing; the second branch stands in for it. The one that
        // is not used may be of any type; the other was checked to be a number.
        Columns::Edges(_) => (
            format!(
                "{}, {}, TRY_CAST(distance AS DOUBLE), TRY_CAST(similarity AS DOUBLE)",
                id_arguments("src"),
                id_arguments("dst")
            ),
            format!(
                "SELECT {checked}, * {from} \
                 UNION ALL BY NAME SELECT NULL::DOUBLE AS distance, NULL::DOUBLE AS similarity WHERE false"
            ),
        ),
    };
    format!("SELECT density_peaks_sink({token}, {at}, {arguments}) AS n FROM ({rows})")
}

/// The SQL of a plan.
pub fn sql(plan: &Plan) -> String {
    let token = new_token();
    let columns = columns(plan);
    let selected: Vec<String> = columns
        .iter()
        .map(|column| match column {
            Column::Id(name, whose) => {
                let name = identifier(name);
                format!("density_peaks_id({token}, {whose}, s.{name}) AS {name}")
            }
            Column::Value(name) => format!("s.{name}"),
        })
        .collect();
    let first = match &columns[0] {
        Column::Id(name, _) => name.as_str(),
        Column::Value(name) => name,
    };
    let relations = relations(plan);
    let sinks: Vec<String> =
        relations.iter().enumerate().map(|(at, r)| format!("({}) i{at}", sink(token, at, r))).collect();
    let counts: Vec<String> = (0..relations.len()).map(|at| format!("i{at}.n")).collect();
    format!(
        "WITH density_peaks_stage AS MATERIALIZED (SELECT {} FROM density_peaks_source({token}, {}) s, \
         (SELECT {} AS n FROM {}) i WHERE i.n >= 0 AND s.{} IS NOT NULL) FROM density_peaks_stage",
        selected.join(", "),
        literal(&plan.to_json()),
        counts.join(" + "),
        sinks.join(", "),
        identifier(first),
    )
}

/// `density_peaks_sql(plan)`: each call another token, so volatile.
struct PlanSql;

impl ScalarCallbacks for PlanSql {
    type BindData = ();
    type InitData = ();

    fn exec(
        &self,
        _: Option<&()>,
        _: Option<&mut ()>,
        _: &Context,
        vectors: &mut VectorCollection,
        output: Vector<'_, Unknown>,
    ) -> Result<()> {
        guarded(|| {
            let mut output = output.cast::<String>()?;
            let rows = vectors.row_count()?;
            output.set_size(rows)?;
            for row in 0..rows {
                let json = vectors.get_untyped_vector_at(0)?.get_value_slow(row)?.get::<String>()?;
                let plan = Plan::from_json(&json.unwrap_or_default())?;
                output.writer()?.set(row, Some(&sql(&plan)))?;
            }
            Ok(())
        })
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::with_type("plan", plan::logical_type(extension)?))
        .return_type(String::logical_type(extension)?)
        .documentation(functions::internal("The SQL that runs a stage."));
    ScalarFunctionBuilder::new("density_peaks_sql", signature, PlanSql)
        .set_property(FunctionProperty::Stability(FunctionPropertyStability::ConsistentWithinQuery))
        .register(extension)
}

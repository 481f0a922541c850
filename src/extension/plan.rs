//! Stages that are not yet run: what a stage macro is as an expression.
//!
//! A plan is a value of type VARCHAR under the alias [`TYPE_NAME`], its text the plan as JSON. The
//! alias tells it from the name of a relation.

use duckdb_neo::connection::{Context, FFILink};
use duckdb_neo::extension::Extension;
use duckdb_neo::logical_type::LogicalType;
use duckdb_neo::scalar::{ScalarCallbacks, ScalarFunctionBuilder};
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, DuckDBType};
use duckdb_neo::vector::{Unknown, Vector};
use duckdb_neo::{Result, data_chunk::VectorCollection, enums::FunctionProperty};
use serde::{Deserialize, Serialize};

mod arguments;
mod names;

pub use arguments::Arguments;
use names::{EncoderName, KmeansOptions, MethodName, MethodOfGraph, MetricName, PrecisionName};

use super::functions;
use super::{defect, guarded};
use crate::core::embeddings::Precision;
use crate::core::knn::{HnswOptions, KnnOptions, Method, Metric};
use crate::core::methods;
use crate::model::train::{Encoder, TrainOptions};

/// Name of a plan's type.
pub const TYPE_NAME: &str = "density_peaks_plan";

/// A stage and what it reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case", deny_unknown_fields)]
pub enum Plan {
    KnnGraph(KnnGraph),
    TransitionMatrix(TransitionMatrix),
    AutoParameters(AutoParameters),
    Ndde(Ndde),
    Tpdi(Tpdi),
    DpcCluster(DpcCluster),
    TauSweep(TauSweep),
    DecisionGraph(DecisionGraph),
    ClusterSummary(ClusterSummary),
    SuggestMerges(SuggestMerges),
    SuggestSplits(SuggestSplits),
    AssignClusters(AssignClusters),
    ClusterWith(ClusterWith),
    KmeansCluster(KmeansCluster),
    TrainSimilarity(TrainSimilarity),
}

/// What a stage reads: the relation of this name, or the result of another stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input {
    Relation(String),
    Stage(Box<Plan>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnnGraph {
    /// The function that the user called, for messages.
    pub function: String,
    pub source: String,
    pub queries: Option<String>,
    pub id: String,
    pub embedding: String,
    pub k: usize,
    #[serde(with = "MetricName")]
    pub metric: Metric,
    #[serde(with = "MethodName")]
    pub method: Method,
    pub connectivity: usize,
    pub expansion_add: usize,
    pub expansion_search: usize,
    #[serde(with = "PrecisionName")]
    pub precision: Precision,
    /// Column of the partitions, each a graph of its own.
    pub partition_by: Option<String>,
}

impl KnnGraph {
    pub fn options(&self) -> KnnOptions {
        KnnOptions {
            k: self.k,
            method: self.method,
            hnsw: HnswOptions {
                connectivity: self.connectivity,
                expansion_add: self.expansion_add,
                expansion_search: self.expansion_search,
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransitionMatrix {
    pub graph: Input,
    pub kernel: KernelName,
    /// `None`: as the graph calls for.
    pub sigma: Option<f64>,
    pub model: Option<LearnedModel>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AutoParameters {
    pub graph: Input,
}

/// A model file in place of a kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearnedModel {
    /// The function that the user called, for messages.
    pub function: String,
    pub file: String,
    /// Always a relation; without one the embeddings are those of the graph's points.
    pub source: Option<Input>,
    pub id: String,
    pub embedding: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ndde {
    pub transition: Input,
    pub epsilon: f64,
    pub max_iterations: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tpdi {
    pub transition: Input,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DpcCluster {
    /// The function that the user called, for messages.
    pub function: String,
    pub density: Input,
    pub distance: Input,
    /// `None`: as the distances call for.
    pub tau: Option<f64>,
    /// Name of the first column of the result, and of the ids in `previous`.
    pub id: String,
    /// All three always relations.
    pub previous: Option<Input>,
    pub must_link: Option<Input>,
    pub cannot_link: Option<Input>,
}

impl DpcCluster {
    /// The stages before, where there is a run for each partition.
    pub fn partitioned(&self) -> Option<(&KnnGraph, &TransitionMatrix, &Ndde)> {
        if let Input::Stage(density) = &self.density
            && let Plan::Ndde(ndde) = &**density
            && let Input::Stage(transition) = &ndde.transition
            && let Plan::TransitionMatrix(transition) = &**transition
            && let Input::Stage(graph) = &transition.graph
            && let Plan::KnnGraph(graph) = &**graph
            && graph.partition_by.is_some()
        {
            return Some((graph, transition, ndde));
        }
        None
    }

    /// The relations that may be given beside densities and distances, with their arguments.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, &Input)> {
        let all = [("previous", &self.previous), ("must_link", &self.must_link), ("cannot_link", &self.cannot_link)];
        all.into_iter().filter_map(|(argument, input)| Some((argument, input.as_ref()?)))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TauSweep {
    pub density: Input,
    pub distance: Input,
    pub taus: Vec<f64>,
    /// Always a relation.
    pub labels: Option<Input>,
    pub label: String,
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionGraph {
    pub density: Input,
    pub distance: Input,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterSummary {
    /// Both always relations.
    pub clusters: Input,
    pub source: Input,
    pub id: String,
    pub embedding: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuggestMerges {
    /// Always a relation.
    pub clusters: Input,
    pub density: Input,
    pub distance: Input,
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuggestSplits {
    /// Always a relation.
    pub clusters: Input,
    pub min_size: usize,
    pub id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssignClusters {
    /// All three always relations.
    pub source: Input,
    pub base: Input,
    pub clusters: Input,
    pub id: String,
    pub embedding: String,
    pub k: usize,
    #[serde(with = "MetricName")]
    pub metric: Metric,
    #[serde(with = "PrecisionName")]
    pub precision: Precision,
    pub kernel: KernelName,
    pub sigma: f64,
    pub tau: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterWith {
    pub graph: Input,
    #[serde(with = "MethodOfGraph")]
    pub method: methods::GraphMethod,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KmeansCluster {
    /// Always a relation.
    pub source: Input,
    pub id: String,
    pub embedding: String,
    #[serde(with = "KmeansOptions")]
    pub options: methods::Kmeans,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSimilarity {
    /// Always a relation.
    pub source: Input,
    pub id: String,
    pub embedding: String,
    pub label: String,
    /// Path of the file to write, and whether one that exists may go.
    pub model: String,
    pub overwrite: bool,
    pub k: usize,
    #[serde(with = "EncoderName")]
    pub encoder: Encoder,
    pub context: bool,
    pub epochs: usize,
    pub patience: usize,
    pub learning_rate: f64,
    pub dropout: f64,
    pub held_out: f64,
    pub seed: u64,
}

impl TrainSimilarity {
    pub fn options(&self) -> TrainOptions {
        TrainOptions {
            k: self.k,
            encoder: self.encoder,
            context: self.context,
            epochs: self.epochs,
            patience: self.patience,
            learning_rate: self.learning_rate,
            dropout: self.dropout,
            held_out: self.held_out,
            seed: self.seed,
        }
    }
}

/// The kernel as the user names it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelName {
    Auto,
    Linear,
    Exp,
}

impl Plan {
    /// Name of the stage's function.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KnnGraph(_) => "knn_graph",
            Self::TransitionMatrix(_) => "transition_matrix",
            Self::AutoParameters(_) => "auto_parameters",
            Self::Ndde(_) => "ndde",
            Self::Tpdi(_) => "tpdi",
            Self::DpcCluster(_) => "dpc_cluster",
            Self::TauSweep(_) => "tau_sweep",
            Self::DecisionGraph(_) => "decision_graph",
            Self::ClusterSummary(_) => "cluster_summary",
            Self::SuggestMerges(_) => "suggest_merges",
            Self::SuggestSplits(_) => "suggest_splits",
            Self::AssignClusters(_) => "assign_clusters",
            Self::ClusterWith(_) => "cluster_with",
            Self::KmeansCluster(_) => "kmeans_cluster",
            Self::TrainSimilarity(_) => "train_similarity",
        }
    }

    /// What the stage reads, but for a graph's relations.
    pub fn inputs(&self) -> Vec<&Input> {
        match self {
            Self::KnnGraph(_) => vec![],
            Self::TransitionMatrix(stage) => {
                let source = stage.model.as_ref().and_then(|model| model.source.as_ref());
                [&stage.graph].into_iter().chain(source).collect()
            }
            Self::AutoParameters(stage) => vec![&stage.graph],
            Self::Ndde(stage) => vec![&stage.transition],
            Self::Tpdi(stage) => vec![&stage.transition],
            Self::DpcCluster(stage) => {
                [&stage.density, &stage.distance].into_iter().chain(stage.given().map(|given| given.1)).collect()
            }
            Self::TauSweep(stage) => [&stage.density, &stage.distance].into_iter().chain(&stage.labels).collect(),
            Self::DecisionGraph(stage) => vec![&stage.density, &stage.distance],
            Self::ClusterSummary(stage) => vec![&stage.clusters, &stage.source],
            Self::SuggestMerges(stage) => vec![&stage.clusters, &stage.density, &stage.distance],
            Self::SuggestSplits(stage) => vec![&stage.clusters],
            Self::AssignClusters(stage) => vec![&stage.source, &stage.base, &stage.clusters],
            Self::ClusterWith(stage) => vec![&stage.graph],
            Self::KmeansCluster(stage) => vec![&stage.source],
            // Its points, and their labels.
            Self::TrainSimilarity(stage) => vec![&stage.source, &stage.source],
        }
    }

    /// The transition matrices among the stages that are made by a model.
    pub fn learned(&self) -> Vec<(&TransitionMatrix, &LearnedModel)> {
        let own = match self {
            Self::TransitionMatrix(stage) => stage.model.as_ref().map(|model| (stage, model)),
            _ => None,
        };
        let inner = self.inputs().into_iter().filter_map(|input| match input {
            Input::Stage(stage) => Some(stage.learned()),
            Input::Relation(_) => None,
        });
        own.into_iter().chain(inner.flatten()).collect()
    }

    /// Whether a kernel is found from the distances.
    pub fn calibrates(&self) -> bool {
        let own = match self {
            Self::TransitionMatrix(stage) => {
                stage.sigma.is_none() && stage.model.is_none() && stage.kernel != KernelName::Linear
            }
            Self::AutoParameters(_) => true,
            _ => false,
        };
        own || self.inputs().into_iter().any(|input| matches!(input, Input::Stage(stage) if stage.calibrates()))
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a plan is plain data")
    }

    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| defect(format!("unreadable plan: {error}")))
    }
}

/// `density_peaks_plan(stage, arguments...)`: a stage as an expression.
struct MakePlan;

impl ScalarCallbacks for MakePlan {
    type BindData = ();
    type InitData = ();

    fn exec(
        &self,
        _: Option<&()>,
        _: Option<&mut ()>,
        context: &Context,
        vectors: &mut VectorCollection,
        output: Vector<'_, Unknown>,
    ) -> Result<()> {
        guarded(|| {
            let mut output = output.cast::<String>()?;
            let rows = vectors.row_count()?;
            output.set_size(rows)?;
            for row in 0..rows {
                let name = vectors.get_untyped_vector_at(0)?.get_value_slow(row)?.get::<String>()?;
                let name = name.unwrap_or_default();
                let stage = functions::STAGES.iter().find(|stage| stage.name == name);
                let stage = stage.ok_or_else(|| defect(format!("no stage {name}")))?;
                let values = (1..vectors.col_count())
                    .map(|column| vectors.get_untyped_vector_at(column)?.get_value_slow(row))
                    .collect::<Result<_>>()?;
                let plan = (stage.plan)(&Arguments::new(stage, values, context))?;
                output.writer()?.set(row, Some(&plan.to_json()))?;
            }
            Ok(())
        })
    }
}

/// The type of a plan.
pub fn logical_type(link: &impl FFILink) -> Result<LogicalType> {
    String::logical_type(link)?.with_alias(link, TYPE_NAME)
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<String>("stage"))
        .param(FunctionParameter::vararg::<Any>("arguments"))
        .return_type(logical_type(extension)?)
        .documentation(functions::internal("A stage and its arguments, not yet run."));
    ScalarFunctionBuilder::new("density_peaks_plan", signature, MakePlan)
        .set_property(FunctionProperty::HasSpecialNullHandling(true))
        .register(extension)
}

//! The check of a relation's columns, when the statement is bound: before any work, and with a
//! message that names the relation and the way out.

use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::extension::Extension;
use duckdb_neo::logical_type::{LogicalType, LogicalTypeID};
use duckdb_neo::scalar::{ScalarBindCallbacks, ScalarCallbacks, ScalarFunctionBuilder};
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, DuckDBType};
use duckdb_neo::vector::{Unknown, Vector};
use duckdb_neo::{Result, bind_arguments::BindArguments, enums::FunctionProperty};

use super::ids::IdType;
use super::plan::KernelName;
use super::slot::Slot;
use super::sql::{Columns, Relation};
use super::{binder, defect, functions, guarded, repeat};

/// What was found of a relation's columns.
#[derive(Debug)]
pub struct Bound {
    pub id: IdType,
    /// The column of the ids, or the first of the two.
    pub id_column: String,
    /// Whether edges carry a similarity to use, not a distance.
    pub similarity: bool,
    /// The type of labels or of partitions, where the relation has them.
    pub label: Option<IdType>,
    /// The dimensions of the embeddings, where their type fixes them.
    pub dim: Option<usize>,
}

/// A relation's columns, and how to complain of them.
struct Fields<'a> {
    relation: &'a Relation,
    fields: Vec<(String, LogicalType)>,
}

/// Check a stored clustering, given as a row of its relation at this place of the arguments, where
/// no stage reads it.
pub fn check_clusters(relation: &Relation, arguments: &BindArguments<'_>, row: usize) -> Result<()> {
    let fields = Fields::of_row(relation, arguments, row)?;
    fields.check()?;
    fields.number("density")
}

impl<'a> Fields<'a> {
    fn of_row(relation: &'a Relation, arguments: &BindArguments<'_>, row: usize) -> Result<Self> {
        let fields = arguments.logical_type(row)?.get_params()?.into_iter();
        let fields = fields.filter_map(|(name, field)| {
            field.get::<LogicalType>().transpose().map(|field| field.map(|field| (name, field)))
        });
        Ok(Self { relation, fields: fields.collect::<Result<_>>()? })
    }

    fn find(&self, name: &str) -> Option<&LogicalType> {
        self.fields.iter().find(|field| field.0.eq_ignore_ascii_case(name)).map(|field| &field.1)
    }

    fn get(&self, name: &str, hint: &str) -> Result<&LogicalType> {
        self.find(name).ok_or_else(|| self.missing(&format!("no column \"{name}\""), hint))
    }

    fn missing(&self, what: &str, hint: &str) -> duckdb_neo::Error {
        let names: Vec<String> = self.fields.iter().map(|field| format!("\"{}\"", field.0)).collect();
        let Relation { function, argument, name, .. } = self.relation;
        let hint = if hint.is_empty() { self.stage_hint() } else { hint };
        binder(format!("{function}: {argument} \"{name}\" has {what}, only {}; {hint}", names.join(", ")))
    }

    /// Where a relation comes from that has the columns.
    fn stage_hint(&self) -> &'static str {
        match self.relation.columns {
            Columns::Points { .. } => "",
            Columns::Edges(_) => "a graph is made by knn_graph(...)",
            Columns::Probabilities => "a transition matrix is made by transition_matrix(...)",
            Columns::Distances if self.relation.argument == "graph" => "a graph is made by knn_graph(...)",
            Columns::Distances => "distances are made by tpdi(...)",
            Columns::Densities => "densities are made by ndde(...)",
            Columns::Labels { .. } => "",
            Columns::Pairs => "the columns of pairs are src and dst",
            Columns::Clusters { .. } | Columns::Members { .. } => {
                "clusters are made by dpc_cluster(...) or cluster_embeddings(...)"
            }
        }
    }

    fn wrong_type(&self, name: &str, found: &LogicalType, takes: &str) -> Result<duckdb_neo::Error> {
        let Relation { function, argument, name: relation, .. } = self.relation;
        let found = found.to_text()?;
        Ok(binder(format!(
            "{function}: column \"{name}\" of {argument} \"{relation}\" is {found}, but must be {takes}"
        )))
    }

    fn number(&self, name: &str) -> Result<()> {
        let found = self.get(name, "")?;
        if is_number(found.id()?) { Ok(()) } else { Err(self.wrong_type(name, found, "a number")?) }
    }

    /// The column's dimensions, where its type fixes them.
    fn embedding(&self, name: &str) -> Result<Option<usize>> {
        let found = self.get(name, "name the column of embeddings with embedding := '...'")?;
        let child = match found.id()? {
            LogicalTypeID::List | LogicalTypeID::Array => found.get_param(0)?.1.get::<LogicalType>()?,
            _ => None,
        };
        match child.map(|child| child.id()).transpose()? {
            Some(LogicalTypeID::Float | LogicalTypeID::Double) if found.id()? == LogicalTypeID::Array => {
                Ok(found.get_param(1)?.1.get::<i64>()?.map(|dim| dim as usize))
            }
            Some(LogicalTypeID::Float | LogicalTypeID::Double) => Ok(None),
            _ => Err(self.wrong_type(name, found, "FLOAT[n], FLOAT[], DOUBLE[n] or DOUBLE[]; cast it")?),
        }
    }

    fn id(&self, name: &str, hint: &str) -> Result<IdType> {
        IdType::new(self.get(name, hint)?)
    }

    /// The type of both ends of an edge.
    fn ends(&self) -> Result<IdType> {
        let (src, dst) = (self.id("src", "")?, self.id("dst", "")?);
        if src.text == dst.text {
            return Ok(src);
        }
        let Relation { function, argument, name, .. } = self.relation;
        Err(binder(format!(
            "{function}: columns \"src\" and \"dst\" of {argument} \"{name}\" have different types, {} and {}; cast one",
            src.text, dst.text
        )))
    }

    /// The type of the ids of clusters.
    fn clusters(&self, id: &str) -> Result<IdType> {
        let point = self.id(id, "name the column of ids with id := '...'")?;
        let parent = self.get("parent_id", "")?;
        if parent.to_text()? != point.text {
            return Err(self.wrong_type("parent_id", parent, &format!("{}, as \"{id}\" is", point.text))?);
        }
        self.number("cluster_id")?;
        self.number("delta")?;
        Ok(point)
    }

    fn check(&self) -> Result<Bound> {
        let id_column = match &self.relation.columns {
            Columns::Points { id, .. } | Columns::Labels { id, .. } => id.clone(),
            Columns::Clusters { id } | Columns::Members { id, .. } => id.clone(),
            Columns::Densities => "id".into(),
            _ => "src".into(),
        };
        let mut dim = None;
        let (id, similarity) = match &self.relation.columns {
            Columns::Points { id, embedding, .. } => {
                let id = self.id(id, "name the column of ids with id := '...'")?;
                dim = self.embedding(embedding)?;
                (id, false)
            }
            Columns::Densities => {
                let id = self.id("id", "")?;
                self.number("density")?;
                (id, false)
            }
            Columns::Probabilities => {
                let id = self.ends()?;
                self.number("probability")?;
                (id, false)
            }
            Columns::Distances => {
                let id = self.ends()?;
                self.number("distance")?;
                (id, false)
            }
            Columns::Labels { id, .. } => (self.id(id, "name the column of ids with id := '...'")?, false),
            Columns::Clusters { id } => (self.clusters(id)?, false),
            Columns::Members { id, density } => {
                let id = self.id(id, "name the column of ids with id := '...'")?;
                let numbers: &[&str] = if *density { &["cluster_id", "delta", "density"] } else { &["cluster_id"] };
                numbers.iter().try_for_each(|name| self.number(name))?;
                (id, false)
            }
            Columns::Pairs => (self.ends()?, false),
            Columns::Edges(kernel) => (self.ends()?, self.edge_value(*kernel)?),
        };
        let label = match &self.relation.columns {
            Columns::Labels { label, .. } => Some(self.id(label, "name the column of labels with label := '...'")?),
            Columns::Points { partition: Some(column), .. } => {
                Some(self.id(column, "name the column of the partitions with partition_by := '...'")?)
            }
            _ => None,
        };
        Ok(Bound { id, id_column, similarity, label, dim })
    }

    /// Whether to use the similarity of an edge: where it is given, but for the kernel 'exp'.
    fn edge_value(&self, kernel: KernelName) -> Result<bool> {
        let (distance, similarity) = (self.find("distance"), self.find("similarity"));
        match (kernel, distance.is_some(), similarity.is_some()) {
            (_, false, false) => Err(self.missing("neither column \"distance\" nor \"similarity\"", "")),
            (KernelName::Exp, false, true) => Err(self
                .missing("no column \"distance\"", "kernel := 'exp' needs distances; use 'linear' for similarities")),
            (KernelName::Exp, ..) | (_, true, false) => self.number("distance").map(|()| false),
            (_, _, true) => self.number("similarity").map(|()| true),
        }
    }
}

fn is_number(id: LogicalTypeID) -> bool {
    use LogicalTypeID::*;
    matches!(id, TinyInt | SmallInt | Integer | BigInt | HugeInt | UTinyInt | USmallInt | UInteger | UBigInt | UHugeInt)
        || matches!(id, Float | Double | Decimal)
}

/// `density_peaks_columns(token, relation, row)`: true, once it is bound.
struct CheckColumns;

impl ScalarCallbacks for CheckColumns {
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
        guarded(|| repeat::<bool>(vectors, output, true))
    }
}

impl ScalarBindCallbacks for CheckColumns {
    fn bind(&self, _: &Context, arguments: BindArguments<'_>) -> Result<()> {
        guarded(|| {
            let slot = Slot::of(&arguments)?;
            let at = relation_number(&arguments, slot.relations.len())?;
            let bound = Fields::of_row(&slot.relations[at], &arguments, 2)?.check()?;
            check_same_id_type(&slot, at, &bound)?;
            if let Some(dim) = bound.dim {
                slot.models.check_dim(&slot.plan, &slot.relations[at], dim).map_err(binder)?;
            }
            let _ = slot.bound[at].set(bound);
            Ok(())
        })
    }
}

/// Ids of one statement are compared, so they are of one type.
fn check_same_id_type(slot: &Slot, at: usize, bound: &Bound) -> Result<()> {
    let others = slot.relations.iter().zip(&slot.bound).take(at);
    for (relation, other) in others {
        if let Some(other) = other.get().filter(|other| other.id.text != bound.id.text) {
            let column = |relation: &Relation, bound: &Bound| {
                let Relation { argument, name, .. } = relation;
                format!("column \"{}\" of {argument} \"{name}\" is {}", bound.id_column, bound.id.text)
            };
            let this = &slot.relations[at];
            let (first, second) = (column(relation, other), column(this, bound));
            return Err(binder(format!("{}: {first}, but {second}; cast one", this.function)));
        }
    }
    Ok(())
}

/// The number of a relation, or of whose ids, the second argument of several internal functions.
pub fn relation_number(arguments: &BindArguments<'_>, count: usize) -> Result<usize> {
    let number = arguments.value(1)?.map(|value| value.get::<u32>()).transpose()?.flatten();
    let number = number.map(|number| number as usize).filter(|&number| number < count);
    number.ok_or_else(|| defect("no relation of this number"))
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<u64>("token"))
        .param(FunctionParameter::new::<u32>("relation"))
        .param(FunctionParameter::new::<Any>("row"))
        .return_type(bool::logical_type(extension)?)
        .documentation(functions::internal("Check the columns of a relation that a stage reads."));
    ScalarFunctionBuilder::new("density_peaks_columns", signature, CheckColumns)
        .set_property(FunctionProperty::HasSpecialNullHandling(true))
        .with_bind()
        .register(extension)
}

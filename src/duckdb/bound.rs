//! The check of a relation's columns, when the statement is bound: before any work, and with a
//! message that names the relation and the way out.

use duckdb_neo::bind_arguments::BindArguments;
use duckdb_neo::connection::Context;
use duckdb_neo::enums::FunctionProperty;
use duckdb_neo::extension::Extension;
use duckdb_neo::logical_type::{LogicalType, LogicalTypeID};
use duckdb_neo::scalar::ScalarFunctionBuilder;
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, DuckDBType};
use duckdb_neo::value::Value;
use duckdb_neo::{Parameters, QueryParameter, Result};

use super::embeddings::values_type;
use super::errors::{binder, by_hand};
use super::functions::internal;
use super::ids::IdType;
use super::scalar::CheckAtBind;
use super::slot::{Bound, BoundField, Slot};
use crate::engine::operator::embedding_text;
use crate::engine::relation::{Field, Relation, RowKey};

/// A relation's columns, and how to complain of them.
struct RelationColumns<'a> {
    relation: &'a Relation,
    context: &'a Context,
    columns: Vec<(String, LogicalType)>,
}

/// Check a relation that is given as one of its rows, at this place of the arguments.
pub fn check(relation: &Relation, context: &Context, arguments: &BindArguments<'_>, row: usize) -> Result<Bound> {
    let columns = arguments.logical_type(row)?.get_params()?.into_iter();
    let columns = columns.filter_map(|(name, column)| {
        column.get::<LogicalType>().transpose().map(|column| column.map(|column| (name, column)))
    });
    let columns = RelationColumns { relation, context, columns: columns.collect::<Result<_>>()? };
    let id = match &relation.reads.key {
        RowKey::Id { column, hint } => columns.id(column, hint)?,
        RowKey::Ends => columns.ends()?,
    };
    let fields = relation.reads.fields.iter().map(|field| columns.field(field, &id)).collect::<Result<_>>()?;
    let id = columns.widest(id)?;
    Ok(Bound { id, fields })
}

impl RelationColumns<'_> {
    fn find(&self, name: &str) -> Option<&LogicalType> {
        self.columns.iter().find(|column| column.0.eq_ignore_ascii_case(name)).map(|column| &column.1)
    }

    fn get(&self, name: &str, hint: &str) -> Result<&LogicalType> {
        self.find(name).ok_or_else(|| self.missing(&format!("no column \"{name}\""), hint))
    }

    fn missing(&self, what: &str, hint: &str) -> duckdb_neo::Error {
        let names: Vec<String> = self.columns.iter().map(|column| format!("\"{}\"", column.0)).collect();
        let Relation { function, argument, name, reads } = self.relation;
        let hint = if hint.is_empty() { reads.made_by } else { hint };
        binder(format!("{function}: {argument} \"{name}\" has {what}, only {}; {hint}", names.join(", ")))
    }

    fn wrong_type(&self, name: &str, found: &LogicalType, takes: &str) -> Result<duckdb_neo::Error> {
        let Relation { function, argument, name: relation, .. } = self.relation;
        let found = found.to_text()?;
        Ok(binder(format!(
            "{function}: column \"{name}\" of {argument} \"{relation}\" is {found}, but must be {takes}"
        )))
    }

    fn field(&self, field: &Field, id: &IdType) -> Result<BoundField> {
        match field {
            Field::Number { column, .. } | Field::Integer { column, .. } => {
                self.number(column).map(|()| BoundField::Plain)
            }
            Field::OptionalFlag { .. } => Ok(BoundField::Plain),
            Field::OtherId { column } => self.other_id(column, id).map(|()| BoundField::Plain),
            Field::Label { columns, hint } => self.label(columns, hint).map(BoundField::Label),
            Field::Embedding { column, .. } => self.embedding(column).map(BoundField::Embedding),
            Field::Look { column } => self.embedding(column).map(|_| BoundField::Plain),
            Field::Strength { distances_only } => self.strength(*distances_only),
        }
    }

    fn number(&self, name: &str) -> Result<()> {
        let found = self.get(name, "")?;
        if is_number(found.id()?) { Ok(()) } else { Err(self.wrong_type(name, found, "a number")?) }
    }

    /// The column's dimensions, where its type fixes them.
    fn embedding(&self, name: &str) -> Result<Option<usize>> {
        let found = self.get(name, "name the column of embeddings with embedding := '...'")?;
        if !values_type(found)?.is_some_and(is_number) {
            let way_out = match found.id()? {
                LogicalTypeID::Varchar => {
                    format!("; where it is text such as '[0.1, 0.2]', select \"{name}\"::FLOAT[] AS \"{name}\"")
                }
                LogicalTypeID::Blob => {
                    "; where it is the bytes of numbers, docs/functions/knn_graph.md has the macro that reads them"
                        .into()
                }
                _ => String::new(),
            };
            let takes = format!("a list or an array of numbers, best FLOAT[n]{way_out}");
            return Err(self.wrong_type(name, found, &takes)?);
        }
        match found.id()? {
            LogicalTypeID::Array => Ok(found.get_param(1)?.1.get::<i64>()?.map(|dim| dim as usize)),
            _ => Ok(None),
        }
    }

    fn id(&self, name: &str, hint: &str) -> Result<IdType> {
        IdType::new(self.get(name, hint)?)
    }

    /// The type of a column, or of a STRUCT of several.
    fn label(&self, columns: &[String], hint: &str) -> Result<IdType> {
        if let [column] = columns {
            return self.id(column, hint);
        }
        let fields = columns.iter().map(|name| {
            let column = self.get(name, hint)?;
            Ok((&**name, Value::from_logical_type(self.context, column)?))
        });
        let fields = fields.collect::<Result<Vec<_>>>()?;
        let fields: Vec<_> = fields.iter().map(|(name, column)| (*name, column as &dyn QueryParameter)).collect();
        IdType::new(&LogicalType::create_from_id(self.context, LogicalTypeID::Struct, Parameters::named(&fields))?)
    }

    /// The type of both ends of an edge.
    fn ends(&self) -> Result<IdType> {
        let (src, dst) = (self.id("src", "")?, self.id("dst", "")?);
        if let Some(wider) = src.wider(&dst) {
            return Ok(wider.clone());
        }
        let Relation { function, argument, name, .. } = self.relation;
        Err(binder(format!(
            "{function}: columns \"src\" and \"dst\" of {argument} \"{name}\" have different types, {} and {}; cast one",
            src.text, dst.text
        )))
    }

    /// A column of ids that can be among those of the key.
    fn other_id(&self, name: &str, id: &IdType) -> Result<()> {
        let found = self.get(name, "")?;
        if self.id(name, "")?.wider(id).is_some() {
            return Ok(());
        }
        let key = self.relation.reads.key.column();
        Err(self.wrong_type(name, found, &format!("{}, as \"{key}\" is", id.text))?)
    }

    /// The type that holds those of the key and of all other ids.
    fn widest(&self, id: IdType) -> Result<IdType> {
        let others = self.relation.reads.fields.iter().filter_map(|field| match field {
            Field::OtherId { column } => Some(self.id(column, "")),
            _ => None,
        });
        others.into_iter().try_fold(id, |id, other| {
            let other = other?;
            Ok(id.wider(&other).cloned().unwrap_or(id))
        })
    }

    /// The similarity of an edge where it is given, unless distances are asked for.
    fn strength(&self, distances_only: bool) -> Result<BoundField> {
        let (distance, similarity) = (self.find("distance").is_some(), self.find("similarity").is_some());
        match (distances_only, distance, similarity) {
            (_, false, false) => Err(self.missing("neither column \"distance\" nor \"similarity\"", "")),
            (true, false, true) => Err(self
                .missing("no column \"distance\"", "kernel := 'exp' needs distances; use 'linear' for similarities")),
            (true, ..) | (_, true, false) => {
                self.number("distance").map(|()| BoundField::Strength { similarity: false })
            }
            (_, _, true) => self.number("similarity").map(|()| BoundField::Strength { similarity: true }),
        }
    }
}

fn is_number(id: LogicalTypeID) -> bool {
    use LogicalTypeID::*;
    matches!(id, TinyInt | SmallInt | Integer | BigInt | HugeInt | UTinyInt | USmallInt | UInteger | UBigInt | UHugeInt)
        || matches!(id, Float | Double | Decimal)
}

/// Check a relation of a slot, and keep what was found.
fn check_relation(context: &Context, arguments: &BindArguments<'_>) -> Result<()> {
    let slot = Slot::of(arguments)?;
    let at = place(arguments, slot.relations.len())?;
    let (node, relation) = &slot.relations[at];
    let bound = check(relation, context, arguments, 2)?;
    check_same_id_type(&slot, at, &bound)?;
    let dim = bound.fields.iter().find_map(|field| match field {
        BoundField::Embedding(dim) => *dim,
        _ => None,
    });
    if let Some(dim) = dim {
        slot.models.check_dim(*node, dim, || embedding_text(relation)).map_err(binder)?;
    }
    let _ = slot.bound[at].set(bound);
    Ok(())
}

/// Ids of one statement are compared, so one of their types must hold all.
fn check_same_id_type(slot: &Slot, at: usize, bound: &Bound) -> Result<()> {
    let others = slot.relations.iter().zip(&slot.bound).take(at);
    for ((_, relation), other) in others {
        if let Some(other) = other.get().filter(|other| other.id.wider(&bound.id).is_none()) {
            let column = |relation: &Relation, bound: &Bound| {
                let Relation { argument, name, reads, .. } = relation;
                format!("column \"{}\" of {argument} \"{name}\" is {}", reads.key.column(), bound.id.text)
            };
            let this = &slot.relations[at].1;
            let (first, second) = (column(relation, other), column(this, bound));
            return Err(binder(format!("{}: {first}, but {second}; cast one", this.function)));
        }
    }
    Ok(())
}

/// A place among as many, the second argument of several internal functions.
pub fn place(arguments: &BindArguments<'_>, count: usize) -> Result<usize> {
    let number = arguments.value(1)?.map(|value| value.get::<u32>()).transpose()?.flatten();
    let number = number.map(|number| number as usize).filter(|&number| number < count);
    number.ok_or_else(by_hand)
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<u64>("token"))
        .param(FunctionParameter::new::<u32>("relation"))
        .param(FunctionParameter::new::<Any>("row"))
        .return_type(bool::logical_type(extension)?)
        .documentation(internal("Check the columns of a relation that a stage reads."));
    ScalarFunctionBuilder::new("density_peaks_columns", signature, CheckAtBind(check_relation))
        .set_property(FunctionProperty::HasSpecialNullHandling(true))
        .with_bind()
        .register(extension)
}

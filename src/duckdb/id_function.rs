//! `density_peaks_id(token, column, number)`: the id of a numbered point, in its own type.

use std::sync::Arc;

use duckdb_neo::Result;
use duckdb_neo::bind_arguments::BindArguments;
use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::enums::FunctionProperty;
use duckdb_neo::extension::Extension;
use duckdb_neo::logical_type::LogicalType;
use duckdb_neo::scalar::{ScalarBindCallbacks, ScalarCallbacks, ScalarFunctionBuilder, ScalarResolveTypesCallbacks};
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, DuckDBType};
use duckdb_neo::vector::{Unknown, Vector};

use super::bound::place;
use super::errors::{by_hand, defect, guarded};
use super::functions::internal;
use super::slot::Slot;

struct IdOf;

/// A column of a slot's result.
#[derive(PartialEq)]
struct ColumnOf(Arc<Slot>, usize);

impl ColumnOf {
    fn new(arguments: &BindArguments<'_>) -> Result<Self> {
        let slot = Slot::of(arguments)?;
        let column = place(arguments, slot.columns.len())?;
        Ok(Self(slot, column))
    }
}

impl ScalarCallbacks for IdOf {
    type BindData = ColumnOf;
    type InitData = ();

    fn exec(
        &self,
        column: Option<&ColumnOf>,
        _: Option<&mut ()>,
        context: &Context,
        vectors: &mut VectorCollection,
        output: Vector<'_, Unknown>,
    ) -> Result<()> {
        guarded(|| {
            let ColumnOf(slot, column) = column.ok_or_else(|| defect("no bind data"))?;
            vectors.get_vector_at_mut::<u32>(2)?.flatten()?;
            let numbers = vectors.get_vector_at::<u32>(2)?.reader()?;
            let numbers: Vec<Option<u32>> = numbers.iter().map(|number| number.copied()).collect();
            let ids = slot.ids(*column)?;
            if numbers.iter().flatten().any(|&number| number as usize >= ids.len()) {
                return Err(by_hand());
            }
            slot.type_of(*column)?.write(&ids, &numbers, output, context)
        })
    }
}

impl ScalarBindCallbacks for IdOf {
    fn bind(&self, _: &Context, arguments: BindArguments<'_>) -> Result<ColumnOf> {
        guarded(|| ColumnOf::new(&arguments))
    }
}

impl ScalarResolveTypesCallbacks for IdOf {
    fn resolve_types(&self, _: &Context, arguments: BindArguments<'_>) -> Result<LogicalType> {
        guarded(|| {
            let ColumnOf(slot, column) = ColumnOf::new(&arguments)?;
            Ok(slot.type_of(column)?.logical_type.clone())
        })
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<u64>("token"))
        .param(FunctionParameter::new::<u32>("column"))
        .param(FunctionParameter::new::<u32>("number"))
        .return_type(Any::logical_type(extension)?)
        .documentation(internal("The id of a point that a stage numbered."));
    ScalarFunctionBuilder::new("density_peaks_id", signature, IdOf)
        .set_property(FunctionProperty::HasSpecialNullHandling(true))
        .with_bind()
        .with_resolve_types()
        .register(extension)
}

//! From the number of a point back to its id.

use std::sync::Arc;

use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::{DataChunk, VectorCollection};
use duckdb_neo::enums::FunctionProperty;
use duckdb_neo::extension::Extension;
use duckdb_neo::logical_type::LogicalType;
use duckdb_neo::scalar::{ScalarBindCallbacks, ScalarCallbacks, ScalarFunctionBuilder, ScalarResolveTypesCallbacks};
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, BlobValue, DuckDBType};
use duckdb_neo::vector::{Unknown, Vector};
use duckdb_neo::{Result, bind_arguments::BindArguments};

use super::super::columns::relation_number;
use super::super::slot::{Slot, lock};
use super::super::{defect, functions, guarded};
use super::Ids;
use super::id_type::{IdType, Key, SIGN, Storage, Stored, wide_number};

impl Ids {
    /// Write the ids of `numbers` (`None` for NULL) into a vector of their type.
    fn write(
        &self,
        id_type: &IdType,
        numbers: &[Option<u32>],
        output: Vector<'_, Unknown>,
        context: &Context,
    ) -> Result<()> {
        macro_rules! write_numbers {
            ($number:ty, $of:expr) => {{
                let mut output = output.cast::<Stored<$number>>()?;
                output.set_size(numbers.len())?;
                let mut writer = output.writer()?;
                let slots = writer.as_mut_ptr();
                // SAFETY: every row is either written below or made NULL, and a number has no children.
                unsafe { writer.fill_validity(true)? };
                for (row, number) in numbers.iter().enumerate() {
                    match *number {
                        // SAFETY: the vector stores this number and was sized to hold every row.
                        Some(number) => unsafe { slots.add(row).write($of(number)) },
                        // SAFETY: a NULL may hold anything.
                        None => unsafe { writer.set_row_validity(row, false)? },
                    }
                }
                Ok(())
            }};
        }
        let key = |number: u32| match self.column.key(number as usize) {
            Key::Number(key) => key,
            Key::Bytes(_) => 0,
        };
        let bytes = |number: u32| match self.column.key(number as usize) {
            Key::Bytes(bytes) => bytes,
            Key::Number(_) => &[],
        };
        match id_type.storage {
            Storage::I8 => write_numbers!(i8, |number| (key(number) ^ SIGN) as i8),
            Storage::I16 => write_numbers!(i16, |number| (key(number) ^ SIGN) as i16),
            Storage::I32 => write_numbers!(i32, |number| (key(number) ^ SIGN) as i32),
            Storage::I64 => write_numbers!(i64, |number| (key(number) ^ SIGN) as i64),
            Storage::U8 => write_numbers!(u8, |number| key(number) as u8),
            Storage::U16 => write_numbers!(u16, |number| key(number) as u16),
            Storage::U32 => write_numbers!(u32, |number| key(number) as u32),
            Storage::U64 => write_numbers!(u64, key),
            Storage::I128 | Storage::U128 => {
                let signed = id_type.storage == Storage::I128;
                write_numbers!([u64; 2], |number| wide_number(bytes(number), signed))
            }
            Storage::Text => {
                let mut output = output.cast::<String>()?;
                output.set_size(numbers.len())?;
                let mut writer = output.writer()?;
                numbers.iter().enumerate().try_for_each(|(row, number)| {
                    let text = number.map(|number| std::str::from_utf8(bytes(number)));
                    writer.set(row, text.transpose().map_err(|_| defect("an id is no longer UTF-8"))?)
                })
            }
            Storage::Blob => {
                let mut output = output.cast::<BlobValue>()?;
                output.set_size(numbers.len())?;
                let mut writer = output.writer()?;
                numbers.iter().enumerate().try_for_each(|(row, number)| writer.set(row, number.map(bytes)))
            }
            Storage::Interval | Storage::TimeTz | Storage::Bit | Storage::Other => {
                let mut output = output;
                output.set_size(numbers.len())?;
                for (row, number) in numbers.iter().enumerate() {
                    match number.and_then(|number| self.column.values.get(number as usize)) {
                        // A cast to its own type is the API's way to copy a value.
                        Some(value) => output.write_value_slow(row, value.cast(context, &id_type.logical_type)?)?,
                        None => output.set_null_slow(row)?,
                    }
                }
                Ok(())
            }
        }
    }

    /// One id as DuckDB prints it, for messages.
    pub fn display(&self, id_type: &IdType, number: u32, context: &Context) -> Result<String> {
        let mut chunk = DataChunk::create(context, [id_type.logical_type.clone()], true)?;
        let [output] = chunk.get_vector_array_mut([0])?;
        self.write(id_type, &[Some(number)], output, context)?;
        let [output] = chunk.get_vector_array_mut([0])?;
        Ok(output.get_value_slow(0)?.to_string())
    }
}

/// `density_peaks_id(token, whose, number)`: the id of a numbered point, in its own type.
struct IdOf;

/// Which ids of which slot.
#[derive(PartialEq)]
struct Whose(Arc<Slot>, usize);

impl ScalarCallbacks for IdOf {
    type BindData = Whose;
    type InitData = ();

    fn exec(
        &self,
        whose: Option<&Whose>,
        _: Option<&mut ()>,
        context: &Context,
        vectors: &mut VectorCollection,
        output: Vector<'_, Unknown>,
    ) -> Result<()> {
        guarded(|| {
            let Whose(slot, at) = whose.ok_or_else(|| defect("no bind data"))?;
            let ids = lock(&slot.ids).get(*at).cloned().ok_or_else(|| defect("no ids yet"))?;
            vectors.get_vector_at_mut::<u32>(2)?.flatten()?;
            let numbers = vectors.get_vector_at::<u32>(2)?.reader()?;
            let numbers: Vec<Option<u32>> = numbers.iter().map(|number| number.copied()).collect();
            ids.write(type_of(slot, *at)?, &numbers, output, context)
        })
    }
}

/// The type of the ids of a slot's result.
pub fn result_type(slot: &Slot) -> Result<&IdType> {
    slot.bound[0].get().map(|bound| &bound.id).ok_or_else(|| defect("the relation was not bound"))
}

/// The type of the first ids, or of the second, which are partitions where the first relation has some.
fn type_of(slot: &Slot, whose: usize) -> Result<&IdType> {
    let partition = slot.bound[0].get().and_then(|bound| bound.label.as_ref());
    partition.filter(|_| whose == 1).map_or_else(|| result_type(slot), Ok)
}

impl ScalarBindCallbacks for IdOf {
    fn bind(&self, _: &Context, arguments: BindArguments<'_>) -> Result<Whose> {
        guarded(|| Ok(Whose(Slot::of(&arguments)?, relation_number(&arguments, 2)?)))
    }
}

impl ScalarResolveTypesCallbacks for IdOf {
    fn resolve_types(&self, _: &Context, arguments: BindArguments<'_>) -> Result<LogicalType> {
        guarded(|| Ok(type_of(&*Slot::of(&arguments)?, relation_number(&arguments, 2)?)?.logical_type.clone()))
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<u64>("token"))
        .param(FunctionParameter::new::<u32>("whose"))
        .param(FunctionParameter::new::<u32>("number"))
        .return_type(Any::logical_type(extension)?)
        .documentation(functions::internal("The id of a point that a stage numbered."));
    ScalarFunctionBuilder::new("density_peaks_id", signature, IdOf)
        .set_property(FunctionProperty::HasSpecialNullHandling(true))
        .with_bind()
        .with_resolve_types()
        .register(extension)
}

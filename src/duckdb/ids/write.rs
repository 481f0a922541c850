//! From the number of a point back to its id.

use duckdb_neo::Result;
use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::DataChunk;
use duckdb_neo::types::BlobValue;
use duckdb_neo::value::Value;
use duckdb_neo::vector::{Unknown, Vector};

use super::id_type::IdType;
use super::keys::{SIGN, wide_number};
use super::storage::{Storage, Stored};
use crate::duckdb::errors::defect;
use crate::engine::ids::{Ids, Key};

impl IdType {
    /// Write the ids of `numbers` (`None` for NULL) into a vector of this type.
    pub fn write(
        &self,
        ids: &Ids,
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
        let key = |number: u32| match ids.key(number) {
            Key::Number(key) => key,
            Key::Bytes(_) => 0,
        };
        let bytes = |number: u32| match ids.key(number) {
            Key::Bytes(bytes) => bytes,
            Key::Number(_) => &[],
        };
        match self.storage {
            Storage::I8 => write_numbers!(i8, |number| (key(number) ^ SIGN) as i8),
            Storage::I16 => write_numbers!(i16, |number| (key(number) ^ SIGN) as i16),
            Storage::I32 => write_numbers!(i32, |number| (key(number) ^ SIGN) as i32),
            Storage::I64 => write_numbers!(i64, |number| (key(number) ^ SIGN) as i64),
            Storage::U8 => write_numbers!(u8, |number| (key(number) ^ SIGN) as u8),
            Storage::U16 => write_numbers!(u16, |number| (key(number) ^ SIGN) as u16),
            Storage::U32 => write_numbers!(u32, |number| (key(number) ^ SIGN) as u32),
            Storage::U64 => write_numbers!(u64, key),
            Storage::I128 | Storage::U128 => {
                let signed = self.storage == Storage::I128;
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
                    match number.and_then(|number| ids.kept(number)?.downcast_ref::<Value>()) {
                        // A cast to its own type is the API's way to copy a value.
                        Some(value) => output.write_value_slow(row, value.cast(context, &self.logical_type)?)?,
                        None => output.set_null_slow(row)?,
                    }
                }
                Ok(())
            }
        }
    }

    /// One id as DuckDB prints it, for messages.
    pub fn display(&self, ids: &Ids, number: u32, context: &Context) -> Result<String> {
        let mut chunk = DataChunk::create(context, [self.logical_type.clone()], true)?;
        let [output] = chunk.get_vector_array_mut([0])?;
        self.write(ids, &[Some(number)], output, context)?;
        let [output] = chunk.get_vector_array_mut([0])?;
        Ok(output.get_value_slow(0)?.to_string())
    }
}

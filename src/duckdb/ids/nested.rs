//! Keys of values of nested and other types, made value by value.

use duckdb_neo::Result;
use duckdb_neo::logical_type::LogicalTypeID;
use duckdb_neo::types::IntervalValue;
use duckdb_neo::value::Value;
use duckdb_neo::vector::{Unknown, Vector};

use super::keys::{float_key, interval_key};
use crate::engine::ids::Key;

/// Keys of types that are stored in their own ways; slow, as each value is copied.
pub(super) fn read_nested(
    values: &Vector<'_, Unknown>,
    mut each: impl FnMut(usize, Option<Key<'_>>) -> Result<()>,
) -> Result<()> {
    let mut key = Vec::new();
    for row in 0..values.len() {
        let value = values.get_value_slow(row)?;
        key.clear();
        push_value(&value, &mut key)?;
        each(row, (!value.is_null()?).then_some(Key::Bytes(&key)))?;
    }
    Ok(())
}

/// Each part says how long it is, so that no two values have the same bytes.
fn push_value(value: &Value, key: &mut Vec<u8>) -> Result<()> {
    use LogicalTypeID as Id;
    if value.is_null()? {
        key.push(0);
        return Ok(());
    }
    key.push(1);
    match value.logical_type()?.id()? {
        Id::Struct | Id::Tuple | Id::List | Id::Array | Id::Map | Id::Union => {
            let children = value.children()?;
            key.extend(children.len().to_le_bytes());
            children.iter().try_for_each(|child| push_value(child, key))?;
        }
        Id::Float => key.extend(float_key(value.get::<f32>()?.unwrap_or_default().into()).to_le_bytes()),
        Id::Double => key.extend(float_key(value.get::<f64>()?.unwrap_or_default()).to_le_bytes()),
        Id::Interval => {
            let Some(IntervalValue { months, days, micros }) = value.get()? else { return Ok(()) };
            let months_days = u64::from(months as u32) | u64::from(days as u32) << 32;
            key.extend(interval_key([months_days, micros as u64]));
        }
        _ => {
            let text = value.dbg_string()?;
            key.extend(text.len().to_le_bytes());
            key.extend(text.as_bytes());
        }
    }
    Ok(())
}

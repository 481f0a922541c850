//! What an id's type is, and how its ids are read from a vector.

use std::sync::Arc;

use duckdb_neo::Result;
use duckdb_neo::logical_type::{LogicalType, LogicalTypeID};
use duckdb_neo::types::BlobValue;
use duckdb_neo::vector::{Unknown, Vector};

use super::storage::{Storage, storage};
use crate::duckdb::errors::binder;
use crate::engine::ids::{IdColumn, Kept, Key};

/// The types, as `typeof` names them, that need no sort key from DuckDB.
pub const NATIVE_TYPES: [&str; 22] = [
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
    "DATE",
    "TIME",
    "TIME_NS",
    "TIMESTAMP",
    "TIMESTAMP_S",
    "TIMESTAMP_MS",
    "TIMESTAMP_NS",
    "TIMESTAMP WITH TIME ZONE",
    "UUID",
    "VARCHAR",
    "BLOB",
];

/// The type of a relation's ids.
#[derive(Debug, Clone)]
pub struct IdType {
    /// Its name in SQL.
    pub text: String,
    pub logical_type: LogicalType,
    pub(super) storage: Storage,
    /// Of whole numbers whose keys are those of BIGINT: the least and the greatest.
    range: Option<(i64, i64)>,
}

impl IdType {
    pub fn new(logical_type: &LogicalType) -> Result<Self> {
        let storage = storage(logical_type.id()?);
        if storage == Storage::Other && holds_own_order(logical_type)? {
            let found = logical_type.to_text()?;
            return Err(binder(format!(
                "ids of type {found} cannot be ordered, because of what is in it; cast them to VARCHAR"
            )));
        }
        let range = range(logical_type.id()?);
        Ok(Self { text: logical_type.to_text()?, logical_type: logical_type.clone(), storage, range })
    }

    /// The one of two types that holds the ids of both, where it does.
    pub fn wider<'a>(&'a self, other: &'a Self) -> Option<&'a Self> {
        if self.text == other.text {
            return Some(self);
        }
        let (own, others) = (self.range?, other.range?);
        let holds = |one: (i64, i64), other: (i64, i64)| one.0 <= other.0 && other.1 <= one.1;
        if holds(own, others) { Some(self) } else { holds(others, own).then_some(other) }
    }
}

fn range(id: LogicalTypeID) -> Option<(i64, i64)> {
    use LogicalTypeID as Id;
    Some(match id {
        Id::TinyInt => (i8::MIN.into(), i8::MAX.into()),
        Id::SmallInt => (i16::MIN.into(), i16::MAX.into()),
        Id::Integer => (i32::MIN.into(), i32::MAX.into()),
        Id::BigInt => (i64::MIN, i64::MAX),
        Id::UTinyInt => (0, u8::MAX.into()),
        Id::USmallInt => (0, u16::MAX.into()),
        Id::UInteger => (0, u32::MAX.into()),
        _ => return None,
    })
}

/// Whether a nested type holds one whose order is not that of its sort key.
fn holds_own_order(logical_type: &LogicalType) -> Result<bool> {
    for (_, parameter) in logical_type.get_params()? {
        if parameter.logical_type()?.id()? != LogicalTypeID::Type {
            continue;
        }
        let Some(child) = parameter.get::<LogicalType>()? else { continue };
        if matches!(storage(child.id()?), Storage::Interval | Storage::TimeTz | Storage::Bit)
            || holds_own_order(&child)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

impl IdType {
    /// Call `each` with every row's key, `None` for NULL; the ids may be of a type that this one holds. `sort_keys` is DuckDB's key of each row,
    /// where the type has none of our own.
    pub fn read(
        &self,
        ids: &Vector<'_, Unknown>,
        sort_keys: &Vector<'_, Unknown>,
        mut each: impl FnMut(usize, Option<Key<'_>>) -> Result<()>,
    ) -> Result<()> {
        match self.storage {
            Storage::Other => {
                // DuckDB gives a short key as a number, whose bytes it is.
                if sort_keys.logical_type().id()? == LogicalTypeID::BigInt {
                    let keys = sort_keys.cast_ref::<i64>()?.reader()?;
                    return keys.iter().enumerate().try_for_each(|(row, key)| {
                        let key = key.filter(|_| !is_null(ids, row)).map(|key| key.to_be_bytes());
                        each(row, key.as_ref().map(|key| Key::Bytes(key)))
                    });
                }
                let keys = sort_keys.cast_ref::<BlobValue>()?.reader()?;
                keys.iter()
                    .enumerate()
                    .try_for_each(|(row, key)| each(row, key.filter(|_| !is_null(ids, row)).map(Key::Bytes)))
            }
            _ => storage(ids.logical_type().id()?).read(ids, each),
        }
    }

    /// The value to keep beside a key that cannot be turned back.
    pub fn kept(&self, ids: &Vector<'_, Unknown>, row: usize) -> Result<Option<Kept>> {
        if self.storage.reversible() { Ok(None) } else { ids.get_value_slow(row).map(|id| Some(Arc::new(id) as Kept)) }
    }

    /// No ids, of this type.
    pub fn column(&self) -> IdColumn {
        match self.storage {
            Storage::I128 | Storage::U128 | Storage::Text | Storage::Blob => IdColumn::bytes(),
            Storage::Interval | Storage::TimeTz | Storage::Bit | Storage::Other => IdColumn::bytes(),
            _ => IdColumn::numbers(),
        }
    }
}

/// A sort key is never NULL, not even that of NULL.
fn is_null(ids: &Vector<'_, Unknown>, row: usize) -> bool {
    ids.reader().and_then(|ids| ids.is_null(row)).unwrap_or(true)
}

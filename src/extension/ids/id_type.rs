//! What an id's type is, and how its ids are read from a vector.

use std::marker::PhantomData;
use std::sync::Arc;

use duckdb_neo::Result;
use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::logical_type::{LogicalType, LogicalTypeID};
use duckdb_neo::types::{BitValue, BlobValue};
use duckdb_neo::value::Value;
use duckdb_neo::vector::{Unknown, Vector, VectorElement, VectorReader};

use super::super::binder;
use super::column::{IdColumn, Keys};
use super::equality;

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

/// How ids of a type are stored in a vector, and what their order is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Storage {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    I128,
    U128,
    Text,
    Blob,
    Interval,
    TimeTz,
    Bit,
    Other,
}

impl Storage {
    /// Whether an id can be made from its key again.
    pub(super) fn reversible(self) -> bool {
        !matches!(self, Self::Interval | Self::TimeTz | Self::Bit | Self::Other)
    }
}

pub(super) fn storage(id: LogicalTypeID) -> Storage {
    use LogicalTypeID as Id;
    match id {
        Id::TinyInt => Storage::I8,
        Id::SmallInt => Storage::I16,
        Id::Integer | Id::Date => Storage::I32,
        Id::BigInt | Id::Time | Id::TimeNs | Id::Timestamp | Id::TimestampSec => Storage::I64,
        Id::TimestampMs | Id::TimestampNs | Id::TimestampTz => Storage::I64,
        Id::Boolean | Id::UTinyInt => Storage::U8,
        Id::USmallInt => Storage::U16,
        Id::UInteger => Storage::U32,
        Id::UBigInt => Storage::U64,
        // DuckDB keeps a UUID with its first bit flipped, so that it orders as a signed number.
        Id::HugeInt | Id::Uuid => Storage::I128,
        Id::UHugeInt => Storage::U128,
        Id::Varchar => Storage::Text,
        Id::Blob => Storage::Blob,
        Id::Interval => Storage::Interval,
        Id::TimeTz => Storage::TimeTz,
        Id::Bit => Storage::Bit,
        _ => Storage::Other,
    }
}

/// The type of a relation's ids.
#[derive(Debug)]
pub struct IdType {
    /// Its name in SQL.
    pub text: String,
    pub(super) logical_type: LogicalType,
    pub(super) storage: Storage,
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
        Ok(Self { text: logical_type.to_text()?, logical_type: logical_type.clone(), storage })
    }
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

/// A number as DuckDB stores it, whatever its logical type: a DATE and an INTEGER are both
/// `Stored<i32>`.
pub(super) struct Stored<T>(PhantomData<T>);

macro_rules! stored {
    ($($number:ty => $($storage:ident)|+),+) => {$(
        // SAFETY: `validate` takes only the logical types that DuckDB stores as this number,
        // `storage` above, and `get` reads the slot that the reader names.
        unsafe impl VectorElement for Stored<$number> {
            const TYPE_ID: LogicalTypeID = LogicalTypeID::Unknown;
            type Internal<'a> = $number;
            type Ref<'a> = $number;

            fn validate(found: &LogicalType, _: Option<&VectorCollection>) -> Result<bool> {
                Ok(matches!(storage(found.id()?), $(Storage::$storage)|+))
            }

            unsafe fn get<'a, U: VectorElement>(
                reader: &VectorReader<'a, U>,
                physical: usize,
                _logical: usize,
            ) -> $number
            where
                Self: 'a,
            {
                // SAFETY: the caller vouches for the type and the index.
                unsafe { *reader.as_ptr().cast::<$number>().add(physical) }
            }
        }
    )+};
}

stored!(i8 => I8, i16 => I16, i32 => I32, i64 => I64, u8 => U8, u16 => U16, u32 => U32, u64 => U64 | TimeTz,
        [u64; 2] => I128 | U128 | Interval);

/// What orders and identifies an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

pub(super) const SIGN: u64 = 1 << 63;

fn wide_bytes([lower, upper]: [u64; 2], signed: bool) -> [u8; 16] {
    let upper = if signed { upper ^ SIGN } else { upper };
    ((u128::from(upper) << 64) | u128::from(lower)).to_be_bytes()
}

pub(super) fn wide_number(bytes: &[u8], signed: bool) -> [u64; 2] {
    let number = u128::from_be_bytes(bytes.try_into().unwrap_or_default());
    let upper = (number >> 64) as u64;
    [number as u64, if signed { upper ^ SIGN } else { upper }]
}

/// Intervals compare by their length, with months of 30 days of 24 hours.
pub(super) fn interval_key([months_days, micros]: [u64; 2]) -> [u8; 16] {
    let (months, days) = (months_days as u32 as i32, (months_days >> 32) as u32 as i32);
    let days = i128::from(months) * 30 + i128::from(days);
    let length = days * 86_400_000_000 + i128::from(micros as i64);
    ((length as u128) ^ (1 << 127)).to_be_bytes()
}

/// A time (40 bits, microseconds) and its offset (24 bits, seconds) compare by the time at UTC.
fn time_tz_key(bits: u64) -> [u8; 8] {
    let offset = bits & 0xff_ffff;
    bits.wrapping_add((offset * 1_000_000) << 24).to_be_bytes()
}

/// Bits compare as the text of their digits. They fill bytes from the end; the first byte says
/// how many places of the second are not used.
fn bit_key(bytes: &[u8]) -> Vec<u8> {
    let (unused, bytes) = bytes.split_first().map_or((0, bytes), |(unused, bytes)| (usize::from(*unused), bytes));
    let digits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |place| b'0' + (byte >> place & 1)));
    digits.skip(unused).collect()
}

impl Storage {
    /// Call `each` with every row's key, `None` for NULL.
    pub(super) fn read(
        self,
        ids: &Vector<'_, Unknown>,
        mut each: impl FnMut(usize, Option<Key<'_>>) -> Result<()>,
    ) -> Result<()> {
        macro_rules! numbers {
            ($number:ty, $to_key:expr) => {
                (ids.cast_ref::<Stored<$number>>()?.reader()?.iter().enumerate())
                    .try_for_each(|(row, id)| each(row, id.map(|id| Key::Number($to_key(id)))))
            };
        }
        let signed = |id: i64| id as u64 ^ SIGN;
        match self {
            Self::I8 => numbers!(i8, |id| signed(i64::from(id))),
            Self::I16 => numbers!(i16, |id| signed(i64::from(id))),
            Self::I32 => numbers!(i32, |id| signed(i64::from(id))),
            Self::I64 => numbers!(i64, signed),
            Self::U8 => numbers!(u8, u64::from),
            Self::U16 => numbers!(u16, u64::from),
            Self::U32 => numbers!(u32, u64::from),
            Self::U64 => numbers!(u64, std::convert::identity),
            Self::I128 | Self::U128 => {
                let signed = self == Self::I128;
                (ids.cast_ref::<Stored<[u64; 2]>>()?.reader()?.iter().enumerate()).try_for_each(|(row, id)| match id {
                    Some(id) => each(row, Some(Key::Bytes(&wide_bytes(id, signed)))),
                    None => each(row, None),
                })
            }
            Self::Text => (ids.cast_ref::<String>()?.reader()?.iter().enumerate())
                .try_for_each(|(row, id)| each(row, id.map(|id| Key::Bytes(id.as_bytes())))),
            Self::Blob => (ids.cast_ref::<BlobValue>()?.reader()?.iter().enumerate())
                .try_for_each(|(row, id)| each(row, id.map(Key::Bytes))),
            Self::Interval => (ids.cast_ref::<Stored<[u64; 2]>>()?.reader()?.iter().enumerate())
                .try_for_each(|(row, id)| each(row, id.map(interval_key).as_ref().map(|key| Key::Bytes(key)))),
            Self::TimeTz => (ids.cast_ref::<Stored<u64>>()?.reader()?.iter().enumerate())
                .try_for_each(|(row, id)| each(row, id.map(time_tz_key).as_ref().map(|key| Key::Bytes(key)))),
            Self::Bit => (ids.cast_ref::<BitValue>()?.reader()?.iter().enumerate())
                .try_for_each(|(row, id)| each(row, id.map(bit_key).as_ref().map(|key| Key::Bytes(key)))),
            Self::Other => equality::read_slow(ids, each),
        }
    }
}

impl IdType {
    /// Call `each` with every row's key, `None` for NULL. `sort_keys` is DuckDB's key of each row,
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
            storage => storage.read(ids, each),
        }
    }

    /// The value to keep beside a key that cannot be turned back.
    pub(super) fn kept(&self, ids: &Vector<'_, Unknown>, row: usize) -> Result<Option<Arc<Value>>> {
        if self.storage.reversible() { Ok(None) } else { ids.get_value_slow(row).map(|id| Some(Arc::new(id))) }
    }

    pub(super) fn column(&self) -> IdColumn {
        let keys = match self.storage {
            Storage::I128 | Storage::U128 | Storage::Text | Storage::Blob => Keys::bytes(),
            Storage::Interval | Storage::TimeTz | Storage::Bit | Storage::Other => Keys::bytes(),
            _ => Keys::Numbers(Vec::new()),
        };
        IdColumn { keys, values: Vec::new() }
    }
}

/// A sort key is never NULL, not even that of NULL.
fn is_null(ids: &Vector<'_, Unknown>, row: usize) -> bool {
    ids.reader().and_then(|ids| ids.is_null(row)).unwrap_or(true)
}

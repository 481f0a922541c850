//! How DuckDB stores values of a type, and how their keys are read from a vector.

use std::marker::PhantomData;

use duckdb_neo::Result;
use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::logical_type::{LogicalType, LogicalTypeID};
use duckdb_neo::types::{BitValue, BlobValue};
use duckdb_neo::vector::{Unknown, Vector, VectorElement, VectorReader};

use super::keys::{SIGN, bit_key, interval_key, time_tz_key, wide_bytes};
use super::nested::read_nested;
use crate::engine::ids::Key;

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
            // As signed ones, so that they are told apart from those too.
            Self::U8 => numbers!(u8, |id| signed(i64::from(id))),
            Self::U16 => numbers!(u16, |id| signed(i64::from(id))),
            Self::U32 => numbers!(u32, |id| signed(i64::from(id))),
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
            Self::Other => read_nested(ids, each),
        }
    }
}

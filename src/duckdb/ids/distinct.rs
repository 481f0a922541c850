//! Values of any type on their way to being told apart, as GROUP BY does it, where neither their
//! order nor the values themselves are needed again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

use duckdb_neo::Result;
use duckdb_neo::logical_type::{LogicalType, LogicalTypeID};
use duckdb_neo::vector::{Unknown, Vector};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::keys::float_key;
use super::storage::{Storage, Stored, storage};
use crate::engine::ids::Key;

/// What stands for a value of more than 64 bits: 128 bits of a hash whose key nobody can know. Of a
/// billion different values, two have the same with a probability below 10⁻²⁰.
pub type Digest = [u64; 2];

/// What stands for a value: equal for equal values alone, within one column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distinct {
    Number(u64),
    Digest(Digest),
}

impl Distinct {
    /// Whether the values of a type are numbers; those of any other are digests.
    pub fn numbers(logical_type: &LogicalType) -> Result<bool> {
        let id = logical_type.id()?;
        Ok(match storage(id) {
            Storage::I128 | Storage::U128 | Storage::Text | Storage::Blob | Storage::Interval | Storage::Bit => false,
            Storage::Other => matches!(id, LogicalTypeID::Float | LogicalTypeID::Double),
            _ => true,
        })
    }

    fn of(key: Key<'_>) -> Self {
        match key {
            Key::Number(number) => Self::Number(number),
            Key::Bytes(bytes) => {
                static HASHER: LazyLock<SipHasher13> = LazyLock::new(|| {
                    let [key, more] = [RandomState::new(), RandomState::new()].map(|state| state.hash_one(0));
                    SipHasher13::new_with_keys(key, more)
                });
                let mut hasher = *HASHER;
                hasher.write(bytes);
                let hash = hasher.finish128();
                Self::Digest([hash.h1, hash.h2])
            }
        }
    }
}

/// Call `each` with what stands for every row's value, `None` for NULL.
pub fn read_distinct(
    values: &Vector<'_, Unknown>,
    mut each: impl FnMut(usize, Option<Distinct>) -> Result<()>,
) -> Result<()> {
    macro_rules! numbers {
        ($stored:ty, $to_number:expr) => {
            (values.cast_ref::<$stored>()?.reader()?.iter().enumerate())
                .try_for_each(|(row, value)| each(row, value.map(|value| Distinct::Number($to_number(value)))))
        };
    }
    match values.logical_type().id()? {
        // Equal only with the same offset, however the two are ordered.
        LogicalTypeID::TimeTz => numbers!(Stored<u64>, std::convert::identity),
        LogicalTypeID::Float => numbers!(f32, |value: &f32| float_key(f64::from(*value))),
        LogicalTypeID::Double => numbers!(f64, |value: &f64| float_key(*value)),
        id => storage(id).read(values, |row, key| each(row, key.map(Distinct::of))),
    }
}

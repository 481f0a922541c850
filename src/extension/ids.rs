//! Ids of any type: how they are read, kept, ordered and given back.
//!
//! Types of at most eight bytes are kept as a number that orders as the type does; wider numbers,
//! text and blobs as bytes that do. Of every other type the values are kept, beside bytes that
//! order as they do: DuckDB's own sort key, but where DuckDB itself orders by something else.

use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::sync::Arc;

use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::{DataChunk, VectorCollection};
use duckdb_neo::enums::FunctionProperty;
use duckdb_neo::extension::Extension;
use duckdb_neo::logical_type::{LogicalType, LogicalTypeID};
use duckdb_neo::scalar::{ScalarBindCallbacks, ScalarCallbacks, ScalarFunctionBuilder, ScalarResolveTypesCallbacks};
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, BitValue, BlobValue, DuckDBType};
use duckdb_neo::value::Value;
use duckdb_neo::vector::{Unknown, Vector, VectorElement, VectorReader};
use duckdb_neo::{Result, bind_arguments::BindArguments};
use hashbrown::{DefaultHashBuilder, HashTable};
use rayon::prelude::*;

use super::columns::relation_number;
use super::slot::{Slot, lock};
use super::{binder, defect, functions, guarded};

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
enum Storage {
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
    fn reversible(self) -> bool {
        !matches!(self, Self::Interval | Self::TimeTz | Self::Bit | Self::Other)
    }
}

fn storage(id: LogicalTypeID) -> Storage {
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
    logical_type: LogicalType,
    storage: Storage,
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
struct Stored<T>(PhantomData<T>);

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

const SIGN: u64 = 1 << 63;

fn wide_bytes([lower, upper]: [u64; 2], signed: bool) -> [u8; 16] {
    let upper = if signed { upper ^ SIGN } else { upper };
    ((u128::from(upper) << 64) | u128::from(lower)).to_be_bytes()
}

fn wide_number(bytes: &[u8], signed: bool) -> [u64; 2] {
    let number = u128::from_be_bytes(bytes.try_into().unwrap_or_default());
    let upper = (number >> 64) as u64;
    [number as u64, if signed { upper ^ SIGN } else { upper }]
}

/// Intervals compare by their length, with months of 30 days of 24 hours.
fn interval_key([months_days, micros]: [u64; 2]) -> [u8; 16] {
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

impl IdType {
    /// Call `each` with every row's key, `None` for NULL. `sort_keys` is DuckDB's key of each row,
    /// where the type has none of our own.
    pub fn read(
        &self,
        ids: &Vector<'_, Unknown>,
        sort_keys: &Vector<'_, Unknown>,
        mut each: impl FnMut(usize, Option<Key<'_>>) -> Result<()>,
    ) -> Result<()> {
        macro_rules! numbers {
            ($number:ty, $to_key:expr) => {
                (ids.cast_ref::<Stored<$number>>()?.reader()?.iter().enumerate())
                    .try_for_each(|(row, id)| each(row, id.map(|id| Key::Number($to_key(id)))))
            };
        }
        let signed = |id: i64| id as u64 ^ SIGN;
        match self.storage {
            Storage::I8 => numbers!(i8, |id| signed(i64::from(id))),
            Storage::I16 => numbers!(i16, |id| signed(i64::from(id))),
            Storage::I32 => numbers!(i32, |id| signed(i64::from(id))),
            Storage::I64 => numbers!(i64, signed),
            Storage::U8 => numbers!(u8, u64::from),
            Storage::U16 => numbers!(u16, u64::from),
            Storage::U32 => numbers!(u32, u64::from),
            Storage::U64 => numbers!(u64, std::convert::identity),
            Storage::I128 | Storage::U128 => {
                let signed = self.storage == Storage::I128;
                (ids.cast_ref::<Stored<[u64; 2]>>()?.reader()?.iter().enumerate()).try_for_each(|(row, id)| match id {
                    Some(id) => each(row, Some(Key::Bytes(&wide_bytes(id, signed)))),
                    None => each(row, None),
                })
            }
            Storage::Text => (ids.cast_ref::<String>()?.reader()?.iter().enumerate())
                .try_for_each(|(row, id)| each(row, id.map(|id| Key::Bytes(id.as_bytes())))),
            Storage::Blob => (ids.cast_ref::<BlobValue>()?.reader()?.iter().enumerate())
                .try_for_each(|(row, id)| each(row, id.map(Key::Bytes))),
            Storage::Interval => (ids.cast_ref::<Stored<[u64; 2]>>()?.reader()?.iter().enumerate())
                .try_for_each(|(row, id)| each(row, id.map(interval_key).as_ref().map(|key| Key::Bytes(key)))),
            Storage::TimeTz => (ids.cast_ref::<Stored<u64>>()?.reader()?.iter().enumerate())
                .try_for_each(|(row, id)| each(row, id.map(time_tz_key).as_ref().map(|key| Key::Bytes(key)))),
            Storage::Bit => (ids.cast_ref::<BitValue>()?.reader()?.iter().enumerate())
                .try_for_each(|(row, id)| each(row, id.map(bit_key).as_ref().map(|key| Key::Bytes(key)))),
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
        }
    }

    /// The value to keep beside a key that cannot be turned back.
    fn kept(&self, ids: &Vector<'_, Unknown>, row: usize) -> Result<Option<Arc<Value>>> {
        if self.storage.reversible() { Ok(None) } else { ids.get_value_slow(row).map(|id| Some(Arc::new(id))) }
    }

    fn column(&self) -> IdColumn {
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

#[derive(Debug)]
enum Keys {
    Numbers(Vec<u64>),
    Bytes { ends: Vec<usize>, bytes: Vec<u8> },
}

impl Keys {
    fn bytes() -> Self {
        Self::Bytes { ends: Vec::new(), bytes: Vec::new() }
    }
}

/// Ids in the order in which they came.
#[derive(Debug)]
pub struct IdColumn {
    keys: Keys,
    /// The ids themselves, where the keys cannot be turned back.
    values: Vec<Arc<Value>>,
}

impl IdColumn {
    pub fn new(id_type: &IdType) -> Self {
        id_type.column()
    }

    pub fn len(&self) -> usize {
        match &self.keys {
            Keys::Numbers(numbers) => numbers.len(),
            Keys::Bytes { ends, .. } => ends.len(),
        }
    }

    fn key(&self, at: usize) -> Key<'_> {
        match &self.keys {
            Keys::Numbers(numbers) => Key::Number(numbers[at]),
            Keys::Bytes { ends, bytes } => {
                let start = if at == 0 { 0 } else { ends[at - 1] };
                Key::Bytes(&bytes[start..ends[at]])
            }
        }
    }

    fn push_key(&mut self, key: Key<'_>) {
        match (&mut self.keys, key) {
            (Keys::Numbers(numbers), Key::Number(number)) => numbers.push(number),
            (Keys::Bytes { ends, bytes }, Key::Bytes(key)) => {
                bytes.extend_from_slice(key);
                ends.push(bytes.len());
            }
            _ => unreachable!("an id type has keys of one kind"),
        }
    }

    pub fn push(&mut self, id_type: &IdType, key: Key<'_>, ids: &Vector<'_, Unknown>, row: usize) -> Result<()> {
        self.push_key(key);
        self.values.extend(id_type.kept(ids, row)?);
        Ok(())
    }

    pub fn append(&mut self, mut other: Self) {
        match (&mut self.keys, other.keys) {
            (Keys::Numbers(numbers), Keys::Numbers(mut others)) => numbers.append(&mut others),
            (Keys::Bytes { ends, bytes }, Keys::Bytes { ends: more, bytes: others }) => {
                ends.extend(more.into_iter().map(|end| end + bytes.len()));
                bytes.extend_from_slice(&others);
            }
            _ => unreachable!("an id type has keys of one kind"),
        }
        self.values.append(&mut other.values);
    }

    fn empty(&self) -> Self {
        let keys = match &self.keys {
            Keys::Numbers(_) => Keys::Numbers(Vec::new()),
            Keys::Bytes { .. } => Keys::bytes(),
        };
        Self { keys, values: Vec::new() }
    }

    fn push_from(&mut self, other: &Self, at: usize) {
        self.push_key(other.key(at));
        self.values.extend(other.values.get(at).cloned());
    }

    /// Sort; also gives where each id in the new order was before.
    pub fn sorted(mut self) -> (Ids, Vec<u32>) {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        if (1..self.len()).any(|at| self.key(at - 1) > self.key(at)) {
            order.par_sort_by(|&a, &b| self.key(a as usize).cmp(&self.key(b as usize)));
            let empty = self.empty();
            let before = std::mem::replace(&mut self, empty);
            order.iter().for_each(|&at| self.push_from(&before, at as usize));
        }
        (Ids { column: self }, order)
    }
}

/// Ids in their order. A point's number is its place here.
#[derive(Debug)]
pub struct Ids {
    column: IdColumn,
}

impl Ids {
    pub fn len(&self) -> usize {
        self.column.len()
    }

    /// The first place whose id the place before has too.
    pub fn duplicate(&self) -> Option<usize> {
        (1..self.len()).find(|&at| self.column.key(at - 1) == self.column.key(at))
    }

    /// All of the first and the `used` of the second, with the new number of each; of an unused
    /// id any number.
    pub fn union(first: &Self, second: &Self, used: &[bool]) -> (Self, Vec<u32>, Vec<u32>) {
        let mut column = first.column.empty();
        let (mut first_numbers, mut second_numbers) = (Vec::new(), Vec::new());
        let (mut a, mut b) = (0, 0);
        while a < first.len() || b < second.len() {
            let order = match (a < first.len(), b < second.len()) {
                (true, true) => first.column.key(a).cmp(&second.column.key(b)),
                (true, false) => Ordering::Less,
                _ => Ordering::Greater,
            };
            let number = column.len() as u32;
            if order.is_le() {
                column.push_from(&first.column, a);
                first_numbers.push(number);
                a += 1;
            } else if used[b] {
                column.push_from(&second.column, b);
            }
            if order.is_ge() {
                second_numbers.push(number);
                b += 1;
            }
        }
        (Self { column }, first_numbers, second_numbers)
    }

    fn find(&self, key: Key<'_>) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.column.key(middle).cmp(&key) {
                Ordering::Equal => return Some(middle),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// For each of these ids its number among the others, if it is there.
    pub fn numbers_in(&self, others: &Ids) -> Vec<Option<u32>> {
        (0..self.len()).into_par_iter().map(|at| others.find(self.column.key(at)).map(|number| number as u32)).collect()
    }

    /// Write the ids of `numbers` (`None` for NULL) into a vector of their type.
    fn write(
        &self,
        id_type: &IdType,
        numbers: &mut dyn ExactSizeIterator<Item = Option<u32>>,
        output: Vector<'_, Unknown>,
        context: &Context,
    ) -> Result<()> {
        macro_rules! write_numbers {
            ($number:ty, $of:expr) => {{
                let mut output = output.cast::<Stored<$number>>()?;
                output.set_size(numbers.len())?;
                let mut writer = output.writer()?;
                let slots = writer.as_mut_ptr();
                for (row, number) in numbers.enumerate() {
                    if let Some(number) = number {
                        let id: $number = $of(self.column.key(number as usize));
                        // SAFETY: the vector stores this number and was sized to hold every row.
                        unsafe { slots.add(row).write(id) };
                    }
                    // SAFETY: a valid row was written above, and a number has no children.
                    unsafe { writer.set_row_validity(row, number.is_some())? };
                }
                Ok(())
            }};
        }
        let number = |key: Key<'_>| match key {
            Key::Number(number) => number,
            Key::Bytes(_) => 0,
        };
        let bytes = |number: u32| match self.column.key(number as usize) {
            Key::Bytes(bytes) => bytes,
            Key::Number(_) => &[],
        };
        match id_type.storage {
            Storage::I8 => write_numbers!(i8, |key| (number(key) ^ SIGN) as i8),
            Storage::I16 => write_numbers!(i16, |key| (number(key) ^ SIGN) as i16),
            Storage::I32 => write_numbers!(i32, |key| (number(key) ^ SIGN) as i32),
            Storage::I64 => write_numbers!(i64, |key| (number(key) ^ SIGN) as i64),
            Storage::U8 => write_numbers!(u8, |key| number(key) as u8),
            Storage::U16 => write_numbers!(u16, |key| number(key) as u16),
            Storage::U32 => write_numbers!(u32, |key| number(key) as u32),
            Storage::U64 => write_numbers!(u64, number),
            Storage::I128 | Storage::U128 => {
                let signed = id_type.storage == Storage::I128;
                write_numbers!([u64; 2], |key| match key {
                    Key::Bytes(bytes) => wide_number(bytes, signed),
                    Key::Number(_) => [0; 2],
                })
            }
            Storage::Text => {
                let mut output = output.cast::<String>()?;
                output.set_size(numbers.len())?;
                let mut writer = output.writer()?;
                numbers.enumerate().try_for_each(|(row, number)| {
                    let text = number.map(|number| std::str::from_utf8(bytes(number)));
                    writer.set(row, text.transpose().map_err(|_| defect("an id is no longer UTF-8"))?)
                })
            }
            Storage::Blob => {
                let mut output = output.cast::<BlobValue>()?;
                output.set_size(numbers.len())?;
                let mut writer = output.writer()?;
                numbers.enumerate().try_for_each(|(row, number)| writer.set(row, number.map(bytes)))
            }
            Storage::Interval | Storage::TimeTz | Storage::Bit | Storage::Other => {
                let mut output = output;
                output.set_size(numbers.len())?;
                for (row, number) in numbers.enumerate() {
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
        self.write(id_type, &mut [Some(number)].into_iter(), output, context)?;
        let [output] = chunk.get_vector_array_mut([0])?;
        Ok(output.get_value_slow(0)?.to_string())
    }
}

/// Distinct ids, each with the number of its first occurrence.
#[derive(Debug)]
pub struct Interner {
    ids: IdColumn,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The number asked for last: edges often come source by source.
    last: u32,
}

impl Interner {
    pub fn new(id_type: &IdType) -> Self {
        Self { ids: id_type.column(), numbers: HashTable::new(), hasher: DefaultHashBuilder::default(), last: 0 }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    fn number(&mut self, key: Key<'_>, value: impl FnOnce() -> Result<Option<Arc<Value>>>) -> Result<u32> {
        let Self { ids, numbers, hasher, last } = self;
        if ids.len() > 0 && ids.key(*last as usize) == key {
            return Ok(*last);
        }
        let hash = hasher.hash_one(key);
        if let Some(&number) = numbers.find(hash, |&number| ids.key(number as usize) == key) {
            *last = number;
            return Ok(number);
        }
        let number = ids.len() as u32;
        *last = number;
        ids.values.extend(value()?);
        ids.push_key(key);
        numbers.insert_unique(hash, number, |&number| hasher.hash_one(ids.key(number as usize)));
        Ok(number)
    }

    /// The number of an id, a new one if it is new.
    pub fn intern(&mut self, id_type: &IdType, key: Key<'_>, ids: &Vector<'_, Unknown>, row: usize) -> Result<u32> {
        self.number(key, || id_type.kept(ids, row))
    }

    /// Take in the ids of another; gives the new number of each.
    pub fn absorb(&mut self, mut other: Self) -> Result<Vec<u32>> {
        let mut values = std::mem::take(&mut other.ids.values).into_iter();
        (0..other.len())
            .map(|at| {
                let value = values.next();
                self.number(other.ids.key(at), || Ok(value))
            })
            .collect()
    }

    pub fn into_ids(self) -> IdColumn {
        self.ids
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
            ids.write(result_type(slot)?, &mut numbers.iter().map(|number| number.copied()), output, context)
        })
    }
}

/// The type of the ids of a slot's result.
pub fn result_type(slot: &Slot) -> Result<&IdType> {
    slot.bound[0].get().map(|bound| &bound.id).ok_or_else(|| defect("the relation was not bound"))
}

impl ScalarBindCallbacks for IdOf {
    fn bind(&self, _: &Context, arguments: BindArguments<'_>) -> Result<Whose> {
        guarded(|| Ok(Whose(Slot::of(&arguments)?, relation_number(&arguments, 2)?)))
    }
}

impl ScalarResolveTypesCallbacks for IdOf {
    fn resolve_types(&self, _: &Context, arguments: BindArguments<'_>) -> Result<LogicalType> {
        guarded(|| Ok(result_type(&*Slot::of(&arguments)?)?.logical_type.clone()))
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

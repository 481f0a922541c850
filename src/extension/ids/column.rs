//! Ids on their way in, sorted, and without repetition.

use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;

use duckdb_neo::Result;
use duckdb_neo::value::Value;
use duckdb_neo::vector::{Unknown, Vector};
use hashbrown::{DefaultHashBuilder, HashTable};
use rayon::prelude::*;

use super::id_type::{IdType, Key};

#[derive(Debug)]
pub(super) enum Keys {
    Numbers(Vec<u64>),
    Bytes { ends: Vec<usize>, bytes: Vec<u8> },
}

impl Keys {
    pub(super) fn bytes() -> Self {
        Self::Bytes { ends: Vec::new(), bytes: Vec::new() }
    }
}

/// Ids in the order in which they came.
#[derive(Debug)]
pub struct IdColumn {
    pub(super) keys: Keys,
    /// The ids themselves, where the keys cannot be turned back.
    pub(super) values: Vec<Arc<Value>>,
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

    pub(super) fn key(&self, at: usize) -> Key<'_> {
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
    pub(super) column: IdColumn,
}

impl Ids {
    pub fn len(&self) -> usize {
        self.column.len()
    }

    /// No ids, of the same type.
    pub fn none_like(other: &Self) -> Self {
        Self { column: other.column.empty() }
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

    /// The first and then the second, numbered on, in no order.
    pub fn chain(first: &Self, second: &Self) -> Self {
        let mut column = first.column.empty();
        for ids in [first, second] {
            (0..ids.len()).for_each(|at| column.push_from(&ids.column, at));
        }
        Self { column }
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
        others.numbers_of(&self.column)
    }

    /// The number of each id of a column, if it is there.
    pub fn numbers_of(&self, column: &IdColumn) -> Vec<Option<u32>> {
        (0..column.len()).into_par_iter().map(|at| self.find(column.key(at)).map(|number| number as u32)).collect()
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

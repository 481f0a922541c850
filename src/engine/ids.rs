//! Ids of any type on their way in, sorted, and without repetition. An id is known by a key that orders
//! as its type does; where the key cannot be turned back, the host keeps the id beside it.

use std::any::Any;
use std::cmp::Ordering;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use rayon::prelude::*;

/// What orders and identifies an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Bytes that an id itself takes, about, such as a STRUCT of a number and a short text.
const KEPT_BYTES: usize = 320;

/// An id itself, as the host keeps it.
pub type Kept = Arc<dyn Any + Send + Sync>;

#[derive(Debug)]
enum KeyColumn {
    Numbers(Vec<u64>),
    Bytes { ends: Vec<usize>, bytes: Vec<u8> },
}

/// Ids in the order in which they came.
#[derive(Debug)]
pub struct IdColumn {
    keys: KeyColumn,
    /// The ids themselves, where the keys cannot be turned back.
    kept: Vec<Kept>,
}

impl IdColumn {
    /// For ids whose keys are numbers.
    pub fn numbers() -> Self {
        Self { keys: KeyColumn::Numbers(Vec::new()), kept: Vec::new() }
    }

    /// For ids whose keys are bytes.
    pub fn bytes() -> Self {
        Self { keys: KeyColumn::Bytes { ends: Vec::new(), bytes: Vec::new() }, kept: Vec::new() }
    }

    pub fn len(&self) -> usize {
        match &self.keys {
            KeyColumn::Numbers(numbers) => numbers.len(),
            KeyColumn::Bytes { ends, .. } => ends.len(),
        }
    }

    fn key(&self, at: usize) -> Key<'_> {
        match &self.keys {
            KeyColumn::Numbers(numbers) => Key::Number(numbers[at]),
            KeyColumn::Bytes { ends, bytes } => {
                let start = if at == 0 { 0 } else { ends[at - 1] };
                Key::Bytes(&bytes[start..ends[at]])
            }
        }
    }

    pub fn push(&mut self, key: Key<'_>, kept: Option<Kept>) {
        match (&mut self.keys, key) {
            (KeyColumn::Numbers(numbers), Key::Number(number)) => numbers.push(number),
            (KeyColumn::Bytes { ends, bytes }, Key::Bytes(key)) => {
                bytes.extend_from_slice(key);
                ends.push(bytes.len());
            }
            _ => unreachable!("an id type has keys of one kind"),
        }
        self.kept.extend(kept);
    }

    pub fn append(&mut self, mut other: Self) {
        match (&mut self.keys, other.keys) {
            (KeyColumn::Numbers(numbers), KeyColumn::Numbers(mut others)) => numbers.append(&mut others),
            (KeyColumn::Bytes { ends, bytes }, KeyColumn::Bytes { ends: more, bytes: others }) => {
                ends.extend(more.into_iter().map(|end| end + bytes.len()));
                bytes.extend_from_slice(&others);
            }
            _ => unreachable!("an id type has keys of one kind"),
        }
        self.kept.append(&mut other.kept);
    }

    /// Bytes that they take.
    pub fn memory(&self) -> u64 {
        self.key_memory() + (self.kept.len() * KEPT_BYTES) as u64
    }

    /// Bytes that their keys take, which are copied when they are sorted.
    pub fn key_memory(&self) -> u64 {
        let keys = match &self.keys {
            KeyColumn::Numbers(numbers) => numbers.len() * 8,
            KeyColumn::Bytes { ends, bytes } => ends.len() * 8 + bytes.len(),
        };
        (keys + self.kept.len() * size_of::<Kept>()) as u64
    }

    fn empty(&self) -> Self {
        match &self.keys {
            KeyColumn::Numbers(_) => Self::numbers(),
            KeyColumn::Bytes { .. } => Self::bytes(),
        }
    }

    fn push_from(&mut self, other: &Self, at: usize) {
        self.push(other.key(at), other.kept.get(at).cloned());
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

    pub fn key(&self, number: u32) -> Key<'_> {
        self.column.key(number as usize)
    }

    /// Bytes that they take.
    pub fn memory(&self) -> u64 {
        self.column.memory()
    }

    /// The id itself, where the host keeps it.
    pub fn kept(&self, number: u32) -> Option<&Kept> {
        self.column.kept.get(number as usize)
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
    /// `none` are no ids, of the type to come.
    pub fn new(none: IdColumn) -> Self {
        Self { ids: none, numbers: HashTable::new(), hasher: DefaultHashBuilder::default(), last: 0 }
    }

    /// Bytes that they take.
    pub fn memory(&self) -> u64 {
        self.ids.memory() + self.numbers.allocation_size() as u64
    }

    /// The number of an id, a new one if it is new; `kept` is asked then alone.
    pub fn intern<E>(&mut self, key: Key<'_>, kept: impl FnOnce() -> Result<Option<Kept>, E>) -> Result<u32, E> {
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
        ids.push(key, kept()?);
        numbers.insert_unique(hash, number, |&number| hasher.hash_one(ids.key(number as usize)));
        Ok(number)
    }

    /// Take in the ids of another; gives the new number of each.
    pub fn absorb(&mut self, other: &Self) -> Vec<u32> {
        let number = |at: usize| {
            let kept = || Ok::<_, std::convert::Infallible>(other.ids.kept.get(at).cloned());
            self.intern(other.ids.key(at), kept).unwrap_or_else(|never| match never {})
        };
        (0..other.ids.len()).map(number).collect()
    }

    /// The ids in their order, and the place there of each number.
    pub fn sorted(self) -> (Ids, Vec<u32>) {
        let (ids, order) = self.ids.sorted();
        let mut places = vec![0; order.len()];
        (0u32..).zip(&order).for_each(|(new, &old)| places[old as usize] = new);
        (ids, places)
    }
}

//! Inner products of sparse rows, of one with many others.

use crate::core::kernels::prefetch;

/// How many rows ahead one is asked for: rows of neighbors lie anywhere in memory.
pub(crate) const AHEAD: usize = 6;

/// Columns and values of a row.
type Row<'a> = (&'a [u32], &'a [f64]);

/// A row spread out over all columns; the others look theirs up.
pub(crate) struct Spread(Vec<f64>);

impl Spread {
    /// For rows of so many columns.
    pub fn new(columns: usize) -> Self {
        Self(vec![0.0; columns])
    }

    /// Spread a row out while something is done.
    #[inline]
    pub fn with<T>(&mut self, (columns, values): Row<'_>, work: impl FnOnce(&Self) -> T) -> T {
        columns.iter().zip(values).for_each(|(&c, &value)| self.0[c as usize] = value);
        let done = work(self);
        columns.iter().for_each(|&c| self.0[c as usize] = 0.0);
        done
    }

    /// Its inner product with another row, in order of that one's columns.
    #[inline]
    pub fn product(&self, (columns, values): Row<'_>) -> f64 {
        columns.iter().zip(values).map(|(&c, value)| self.0[c as usize] * value).sum()
    }
}

/// Ask for a row that is read soon.
#[inline]
pub(crate) fn ask_for((columns, values): Row<'_>) {
    prefetch(columns);
    prefetch(values);
}

//! What every way to find neighbors is given.

use super::graph::ABSENT;
use super::instructions::Instructions;
use super::points::Points;

/// Where to look, for whom, and by what.
pub(super) struct Search<'a> {
    pub base: &'a Points,
    /// `None`: for every point of the base itself.
    pub queries: Option<&'a Points>,
    pub same: &'a [u32],
    pub instructions: Instructions,
}

impl Search<'_> {
    pub fn queries(&self) -> &Points {
        self.queries.unwrap_or(self.base)
    }

    /// The row of the base that is query `query` itself, or [`ABSENT`].
    pub fn same(&self, query: usize) -> u32 {
        if self.queries.is_none() { query as u32 } else { self.same.get(query).copied().unwrap_or(ABSENT) }
    }

    /// The greatest length of a row.
    pub fn longest(&self) -> f64 {
        self.base.longest().max(self.queries().longest())
    }

    pub fn distance(&self, query: usize, base: u32) -> f32 {
        self.queries().distance(query, self.base, base as usize)
    }
}

//! Points that are in no row beside their copies: a thousand copies of one picture are no more than that one.

use rayon::prelude::*;

use crate::core::error::Result;
use crate::core::memory::filled;

/// A neighbor is a copy if it is so much less alike than a point is to itself, or nearer than this part of the farthest
/// neighbor: by the rounding of `ip` at most.
pub const SAME: f64 = 1e-6;

/// The points that no other names, each with the first of its neighbors that is its copy, in order. `others` gives the
/// neighbors of a point but itself, and whether each is a copy.
///
/// # Errors
/// If there is no memory.
pub fn unnamed_copies<E: Iterator<Item = (u32, bool)>>(
    n: usize,
    others: impl Fn(usize) -> E + Sync,
) -> Result<Vec<(u32, u32)>> {
    let mut named = filled(false, n)?;
    (0..n).for_each(|i| others(i).for_each(|(j, _)| named[j as usize] = true));
    let copy = |i: usize| others(i).find(|&(_, same)| same && !named[i]).map(|(j, _)| (i as u32, j));
    Ok((0..n).into_par_iter().filter_map(copy).collect())
}

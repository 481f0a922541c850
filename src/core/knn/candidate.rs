//! A possible neighbor.

use super::search::Search;

/// Rows that are asked for ahead of their exact distances.
const AHEAD: usize = 4;

/// A row and its distance, exact or within a margin of it, in one number that orders by both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate(u64);

impl Candidate {
    /// None; it comes after all others.
    pub const ABSENT: Self = Self(u64::MAX);

    pub fn new(distance: f32, row: u32) -> Self {
        // The bits of floats order like whole numbers, those of negative ones the other way round.
        let bits = distance.to_bits();
        let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
        Self(u64::from(ordered) << 32 | u64::from(row))
    }

    pub fn row(self) -> u32 {
        self.0 as u32
    }

    pub fn distance(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
    }
}

/// Write candidates to the places of a row.
pub(super) fn write(candidates: &[Candidate], neighbors: &mut [u32], distances: &mut [f32]) {
    for (candidate, (neighbor, distance)) in candidates.iter().zip(neighbors.iter_mut().zip(distances)) {
        (*neighbor, *distance) = (candidate.row(), candidate.distance());
    }
}

/// Give the candidates of a query their exact distances, and sort them.
pub(super) fn sort_exact(candidates: &mut [Candidate], query: u32, search: &Search) {
    for at in 0..candidates.len() {
        if let Some(later) = candidates.get(at + AHEAD) {
            search.base.row(later.row() as usize).prefetch();
        }
        let row = candidates[at].row();
        candidates[at] = Candidate::new(search.distance(query as usize, row), row);
    }
    candidates.sort_unstable();
}

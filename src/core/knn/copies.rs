//! Equal rows, which are one node to whoever does not look at all pairs: a point's copies are as near as can be,
//! and would fill the lists of an approximate method with each other.

use rayon::prelude::*;

use super::candidate::Candidate;
use super::points::Points;
use crate::core::error::Result;
use crate::core::monitor::Monitor;

/// The rows of each point's copies.
pub(super) struct Copies {
    /// The rows, copies side by side, in order.
    rows: Vec<u32>,
    /// Of each row, where its copies are in `rows`.
    places: Vec<[u32; 2]>,
}

impl Copies {
    /// Bytes for so many points.
    #[cfg(feature = "usearch")]
    pub fn memory(points: usize) -> u64 {
        (points * (size_of::<u32>() + size_of::<[u32; 2]>())) as u64
    }

    /// # Errors
    /// If the run is stopped.
    pub fn new(points: &Points, monitor: &Monitor) -> Result<Self> {
        let mut rows: Vec<u32> = (0..points.len() as u32).collect();
        rows.par_sort_unstable_by(|&a, &b| points.compare(a as usize, b as usize).then(a.cmp(&b)));
        let mut places = vec![[0; 2]; rows.len()];
        let mut start = 0;
        for copies in rows.chunk_by(|&a, &b| points.compare(a as usize, b as usize).is_eq()) {
            monitor.check()?;
            let end = start + copies.len() as u32;
            copies.iter().for_each(|&row| places[row as usize] = [start, end]);
            start = end;
        }
        Ok(Self { rows, places })
    }

    /// The row and its copies, in order.
    fn of(&self, row: u32) -> &[u32] {
        let [start, end] = self.places[row as usize];
        &self.rows[start as usize..end as usize]
    }

    /// The first of the row and its copies, which stands for all of them.
    pub fn first(&self, row: u32) -> u32 {
        self.of(row)[0]
    }

    /// The rows that stand for themselves, and for their copies, in order.
    #[cfg(feature = "usearch")]
    pub fn firsts(&self) -> Vec<u32> {
        (0..self.rows.len() as u32).filter(|&row| self.first(row) == row).collect()
    }

    /// The `k` nearest rows but `same`, given the candidates that stand for them, in order.
    pub fn nearest(&self, candidates: &[Candidate], same: u32, k: usize, nearest: &mut Vec<Candidate>) {
        nearest.clear();
        for candidate in candidates {
            // Copies of others as far away may come first by their rows.
            if nearest.len() >= k && nearest.last().is_some_and(|last| last.distance() < candidate.distance()) {
                break;
            }
            // One more than `k`, since `same` may be among them.
            let copies = self.of(candidate.row()).iter().take(k + 1).filter(|&&row| row != same);
            nearest.extend(copies.map(|&row| Candidate::new(candidate.distance(), row)));
        }
        nearest.sort_unstable();
        nearest.truncate(k);
    }
}

//! Reverse neighbors: the points among whose nearest a point is.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use super::lists::NeighborLists;
use super::neighbor::Neighbor;
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::random::mix;
use crate::core::sparse::starts;

/// Of the reverse neighbors of a point, about so many take part in its local join: the sample of the
/// paper, by a number and not by a rate, so that a point in the lists of very many does not make a join
/// of the square of their number. More find more: see "NN-descent" in docs/notes/benchmarks.md.
pub const SAMPLE: usize = 64;

/// For each point a sample of its reverse neighbors, each an entry as [`Neighbor::entry`].
pub struct ReverseNeighbors {
    starts: Vec<usize>,
    entries: Vec<AtomicU32>,
}

impl ReverseNeighbors {
    /// The sample of an iteration; that of another is drawn anew.
    pub fn new(lists: &NeighborLists, iteration: u64, monitor: &Monitor) -> Result<Self> {
        let n = lists.len();
        let counts = || -> Vec<AtomicU32> { (0..n).map(|_| AtomicU32::new(0)).collect() };
        let each = |action: &(dyn Fn(u32, Neighbor) + Sync)| {
            lists.points().try_for_each(|point| {
                monitor.check()?;
                lists.joined(point).iter().for_each(|&neighbor| action(point, neighbor));
                Ok(())
            })
        };
        let all = counts();
        each(&|_, neighbor| {
            all[neighbor.point() as usize].fetch_add(1, Relaxed);
        })?;
        let is_sampled = |point: u32, neighbor: Neighbor| {
            let random = mix(iteration << 62 ^ u64::from(point) << 31 ^ u64::from(neighbor.point())) >> 32;
            random < ((SAMPLE as u64) << 32) / u64::from(all[neighbor.point() as usize].load(Relaxed))
        };
        let lengths = counts();
        each(&|point, neighbor| {
            if is_sampled(point, neighbor) {
                lengths[neighbor.point() as usize].fetch_add(1, Relaxed);
            }
        })?;
        let starts = starts(n, |point| lengths[point].swap(0, Relaxed) as usize);
        let entries: Vec<AtomicU32> = (0..starts[n]).map(|_| AtomicU32::new(0)).collect();
        each(&|point, neighbor| {
            if is_sampled(point, neighbor) {
                let at = neighbor.point() as usize;
                let place = starts[at] + lengths[at].fetch_add(1, Relaxed) as usize;
                entries[place].store((point << 1) | u32::from(neighbor.is_new()), Relaxed);
            }
        })?;
        Ok(Self { starts, entries })
    }

    pub fn of(&self, point: u32) -> impl Iterator<Item = u32> {
        let entries = &self.entries[self.starts[point as usize]..self.starts[point as usize + 1]];
        entries.iter().map(|entry| entry.load(Relaxed))
    }
}

//! The neighbors of each point so far: B of the paper.

use rayon::prelude::*;

use super::neighbor::Neighbor;
use super::updates::{RANGE, SortedUpdates, Updates};
use crate::core::error::Result;
use crate::core::monitor::Monitor;

/// Places of a list beyond `k`, for those that the exact distances may prefer to what the scores in 8
/// bits rank before them. More of them make every join larger: its pairs grow with the square of a list.
const SPARE: usize = 8;

/// Of a list the nearest that take part in local joins. The pairs of a join grow with their square, and what the others
/// would add is mostly found by those.
pub const JOINED: usize = 32;

/// Places of a list for `k` neighbors: enough to be joined too, however few are asked for.
pub fn width(k: usize) -> usize {
    k.max(JOINED) + SPARE
}

/// For each point the best neighbors found so far, in order.
pub struct NeighborLists {
    width: usize,
    neighbors: Vec<Neighbor>,
    /// The score from which on a point wants another.
    pub limits: Vec<i32>,
}

impl NeighborLists {
    pub fn new(n: usize, k: usize) -> Self {
        let width = width(k);
        Self { width, neighbors: vec![Neighbor::ABSENT; n * width], limits: vec![i32::MIN; n] }
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.limits.len()
    }

    /// Places in a list.
    pub fn width(&self) -> usize {
        self.width
    }

    pub fn of(&self, point: u32) -> &[Neighbor] {
        let list = &self.neighbors[point as usize * self.width..][..self.width];
        match list.last() {
            Some(&Neighbor::ABSENT) => &list[..list.partition_point(|&neighbor| neighbor != Neighbor::ABSENT)],
            _ => list,
        }
    }

    /// Those that take part in local joins.
    pub fn joined(&self, point: u32) -> &[Neighbor] {
        let list = self.of(point);
        &list[..list.len().min(JOINED)]
    }

    pub fn points(&self) -> impl IndexedParallelIterator<Item = u32> {
        (0..self.limits.len() as u32).into_par_iter().with_min_len(RANGE)
    }

    /// How many neighbors that take part in local joins are new.
    pub fn new_neighbors(&self) -> usize {
        self.points().map(|point| self.joined(point).iter().filter(|neighbor| neighbor.is_new()).count()).sum()
    }

    /// The neighbors of these points were in their local joins, and are old from now on.
    pub fn make_old(&mut self, units: &[&[u32]]) {
        for &point in units.iter().copied().flatten() {
            let list = &mut self.neighbors[point as usize * self.width..][..self.width];
            list.iter_mut().take(JOINED).filter(|neighbor| **neighbor != Neighbor::ABSENT).for_each(Neighbor::make_old);
        }
    }

    /// Every point takes what was found for it.
    pub fn update(&mut self, updates: &[Updates], monitor: &Monitor) -> Result<()> {
        let lists = self.neighbors.par_chunks_mut(RANGE * self.width).zip(self.limits.par_chunks_mut(RANGE));
        lists.enumerate().try_for_each_init(SortedUpdates::default, |sorted, (range, (neighbors, limits))| {
            monitor.check()?;
            sorted.sort(updates.iter().flat_map(|updates| updates.of(range)), limits.len());
            for (at, (list, limit)) in neighbors.chunks_exact_mut(self.width).zip(limits).enumerate() {
                sorted.merge(at, list);
                if let Some(last) = list.last().filter(|last| **last != Neighbor::ABSENT) {
                    *limit = last.score();
                }
            }
            Ok(())
        })
    }
}

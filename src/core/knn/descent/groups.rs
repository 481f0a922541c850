//! Groups of near points that do not overlap.

use rayon::prelude::*;

use super::lists::NeighborLists;
use crate::core::error::Result;
use crate::core::monitor::Monitor;

/// A point is of the group of the first of those that are so near to it, of those near to these, and so
/// on for so many steps. Wider or longer, groups grow to whole cells, whose pairs are known already;
/// narrower or shorter, they are single points, whose pairs the local joins must find. Neither was
/// measured on its own.
const NEAR: usize = 4;
const STEPS: usize = 3;

/// Groups of points.
pub struct Groups {
    /// The group of each point.
    pub of: Vec<u32>,
    /// The points, group by group.
    pub order: Vec<u32>,
}

impl Groups {
    /// Points that lead to the same one, from near to near.
    pub fn new(lists: &NeighborLists, monitor: &Monitor) -> Result<Self> {
        let mut of: Vec<u32> = lists.points().collect();
        for _ in 0..STEPS {
            monitor.check()?;
            let near = |point: u32| lists.of(point).iter().take(NEAR).map(|neighbor| of[neighbor.point() as usize]);
            of = lists.points().map(|point| near(point).fold(of[point as usize], u32::min)).collect();
        }
        let mut order: Vec<u32> = lists.points().collect();
        order.par_sort_unstable_by_key(|&point| (of[point as usize], point));
        Ok(Self { of, order })
    }

    /// The points of each group, of so many at most.
    pub fn parts(&self, largest: usize) -> Vec<&[u32]> {
        let groups = self.order.chunk_by(|&a, &b| self.of[a as usize] == self.of[b as usize]);
        groups.flat_map(|group| group.chunks(largest)).collect()
    }
}

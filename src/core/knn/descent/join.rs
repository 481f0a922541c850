//! Joins: all pairs of some points, each offered to both; and what one thread needs for it.

use super::super::products::{Codes, Hit, Panel};
use super::lists::NeighborLists;
use super::neighbor::Neighbor;
use super::reverse::ReverseNeighbors;
use super::updates::Updates;
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::random::mix;

/// Points that are multiplied with a few others at once: so many stay in the second-level cache.
const TILE: usize = 2048;

/// Places for those that a point finds in a join, beyond those in its list: the more, the seldomer they are
/// sorted out, and the less of them stays in the cache.
const ROOM: usize = 48;

/// Pairs that a thread remembers: those joined here are often joined at the next point too. As many as
/// stay in the second-level cache, at 8 bytes each.
const RECENT: usize = 1 << 15;

/// The memory of one thread's joins.
#[derive(Default)]
pub struct Join {
    panel: Panel,
    hits: Vec<Hit>,
    best: Best,
    entries: Vec<u32>,
    /// The points of a local join, new ones first, and their limits.
    points: Vec<u32>,
    limits: Vec<i32>,
    recent: Vec<u64>,
}

impl Join {
    /// All pairs of the points.
    pub fn all_pairs(
        &mut self,
        codes: &Codes,
        lists: &NeighborLists,
        points: &[u32],
        updates: &mut Updates,
        monitor: &Monitor,
    ) -> Result<()> {
        let Self { panel, hits, best, .. } = self;
        best.begin(lists, points);
        for start in (0..points.len()).step_by(TILE) {
            let end = (start + TILE).min(points.len());
            for row in (0..end).step_by(Codes::ROWS) {
                monitor.check()?;
                let (rows, columns) = (row..(row + Codes::ROWS).min(end), start.max(row)..end);
                panel.hold(codes, &points[rows.clone()], &best.limits[rows]);
                hits.clear();
                codes.hits(panel, &points[columns.clone()], &best.limits[columns.clone()], hits);
                for hit in hits.iter() {
                    let (row, column) = (row + hit.row as usize, columns.start + hit.column as usize);
                    if column > row {
                        let (a, b) = (points[row], points[column]);
                        best.push(row, Neighbor::new(b, codes.score(hit.sum, b)));
                        best.push(column, Neighbor::new(a, codes.score(hit.sum, a)));
                    }
                }
            }
        }
        for (at, &point) in points.iter().enumerate() {
            best.of(at).for_each(|neighbor| updates.push(point, neighbor));
        }
        Ok(())
    }

    /// The local join of each of the points: of the new ones among its nearest neighbors and reverse neighbors
    /// with each other and with the old ones. Those of a group have been joined already.
    #[allow(clippy::too_many_arguments)]
    pub fn local(
        &mut self,
        codes: &Codes,
        lists: &NeighborLists,
        reverse: &ReverseNeighbors,
        centers: &[u32],
        group_of: &[u32],
        updates: &mut Updates,
        monitor: &Monitor,
    ) -> Result<()> {
        self.recent.resize(RECENT, 0);
        for &center in centers {
            monitor.check()?;
            let new = self.gather(lists, reverse, center);
            let Self { panel, hits, points, limits, recent, .. } = self;
            for row in (0..new).step_by(Codes::ROWS) {
                let rows = row..(row + Codes::ROWS).min(new);
                panel.hold(codes, &points[rows.clone()], &limits[rows]);
                hits.clear();
                codes.hits(panel, &points[row..], &limits[row..], hits);
                for hit in hits.iter() {
                    let (row, column) = (row + hit.row as usize, row + hit.column as usize);
                    let (a, b) = (points[row], points[column]);
                    if column <= row || group_of[a as usize] == group_of[b as usize] {
                        continue;
                    }
                    let pair = u64::from(a.min(b)) << 32 | u64::from(a.max(b));
                    if std::mem::replace(&mut recent[mix(pair) as usize % RECENT], pair) == pair {
                        continue;
                    }
                    let (of_a, of_b) = (codes.score(hit.sum, b), codes.score(hit.sum, a));
                    if of_a >= limits[row] {
                        updates.push(a, Neighbor::new(b, of_a));
                    }
                    if of_b >= limits[column] {
                        updates.push(b, Neighbor::new(a, of_b));
                    }
                }
            }
        }
        Ok(())
    }

    /// The nearest neighbors of a point, and some of its reverse neighbors, new ones first; returns how many these are.
    fn gather(&mut self, lists: &NeighborLists, reverse: &ReverseNeighbors, center: u32) -> usize {
        let Self { entries, points, limits, .. } = self;
        entries.clear();
        entries.extend(lists.joined(center).iter().map(|neighbor| neighbor.entry()));
        entries.extend(reverse.of(center));
        // What is there twice is new only if both say so.
        entries.sort_unstable();
        entries.dedup_by_key(|entry| *entry >> 1);
        let of_kind = |new: u32| entries.iter().filter(move |&entry| entry % 2 == new).map(|entry| entry >> 1);
        points.clear();
        points.extend(of_kind(1));
        let new = points.len();
        points.extend(of_kind(0));
        limits.clear();
        limits.extend(points.iter().map(|&point| lists.limits[point as usize]));
        new
    }
}

/// The best that each of some points has found in a join, in no order.
#[derive(Default)]
struct Best {
    width: usize,
    /// The score from which on a point wants another.
    limits: Vec<i32>,
    lengths: Vec<usize>,
    neighbors: Vec<Neighbor>,
}

impl Best {
    fn begin(&mut self, lists: &NeighborLists, points: &[u32]) {
        self.width = lists.width();
        self.limits.clear();
        self.limits.extend(points.iter().map(|&point| lists.limits[point as usize]));
        self.lengths.clear();
        self.lengths.resize(points.len(), 0);
        self.neighbors.resize(points.len() * (self.width + ROOM), Neighbor::ABSENT);
    }

    #[inline(always)]
    fn push(&mut self, at: usize, neighbor: Neighbor) {
        if neighbor.score() < self.limits[at] {
            return;
        }
        let room = self.width + ROOM;
        let places = &mut self.neighbors[at * room..][..room];
        if self.lengths[at] == room {
            let last = places.select_nth_unstable(self.width - 1).1.score();
            self.lengths[at] = self.width;
            self.limits[at] = self.limits[at].max(last);
            if neighbor.score() < self.limits[at] {
                return;
            }
        }
        places[self.lengths[at]] = neighbor;
        self.lengths[at] += 1;
    }

    fn of(&self, at: usize) -> impl Iterator<Item = Neighbor> {
        let neighbors = &self.neighbors[at * (self.width + ROOM)..][..self.lengths[at]];
        neighbors.iter().copied().filter(move |neighbor| neighbor.score() >= self.limits[at])
    }
}

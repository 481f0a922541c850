//! Where points meet: what one thread needs for it.

use super::super::products::{Codes, Hit, Panel};
use super::lists::{Admirers, Finds, Known, Lists, mix};
use crate::core::error::Result;
use crate::core::monitor::Monitor;

/// Points that are multiplied with a few others at once: so many stay in the second-level cache.
const TILE: usize = 2048;

/// Places for those that a point finds in a meeting, beyond those in its list.
const ROOM: usize = 48;

/// Pairs that a thread remembers: those who meet here often meet at the next point too.
const RECENT: usize = 1 << 15;

#[derive(Default)]
pub(super) struct Meeting {
    panel: Panel,
    hits: Vec<Hit>,
    best: Best,
    entries: Vec<u32>,
    /// The points of an introduction, newcomers first, and their limits.
    points: Vec<u32>,
    limits: Vec<i32>,
    recent: Vec<u64>,
}

impl Meeting {
    /// All of the points meet.
    pub fn all_pairs(
        &mut self,
        codes: &Codes,
        lists: &Lists,
        points: &[u32],
        finds: &mut Finds,
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
                        best.push(row, Known::newcomer(b, codes.score(hit.sum, b)));
                        best.push(column, Known::newcomer(a, codes.score(hit.sum, a)));
                    }
                }
            }
        }
        for (at, &point) in points.iter().enumerate() {
            best.of(at).for_each(|known| finds.push(point, known));
        }
        Ok(())
    }

    /// Each of the points introduces the newcomers among those that it knows, and among those that know
    /// it, to each other and to the rest. Those of a group have met.
    #[allow(clippy::too_many_arguments)]
    pub fn introduce(
        &mut self,
        codes: &Codes,
        lists: &Lists,
        admirers: &Admirers,
        introducers: &[u32],
        group_of: &[u32],
        finds: &mut Finds,
        monitor: &Monitor,
    ) -> Result<()> {
        self.recent.resize(RECENT, 0);
        for &introducer in introducers {
            monitor.check()?;
            let newcomers = self.gather(lists, admirers, introducer);
            let Self { panel, hits, points, limits, recent, .. } = self;
            for row in (0..newcomers).step_by(Codes::ROWS) {
                let rows = row..(row + Codes::ROWS).min(newcomers);
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
                        finds.push(a, Known::newcomer(b, of_a));
                    }
                    if of_b >= limits[column] {
                        finds.push(b, Known::newcomer(a, of_b));
                    }
                }
            }
        }
        Ok(())
    }

    /// Those that an introducer knows, and some that know it, newcomers first; returns how many these are.
    fn gather(&mut self, lists: &Lists, admirers: &Admirers, introducer: u32) -> usize {
        let Self { entries, points, limits, .. } = self;
        entries.clear();
        entries.extend(lists.of(introducer).iter().map(|known| known.entry()));
        entries.extend(admirers.of(introducer));
        // Who is there twice is a newcomer only if both say so.
        entries.sort_unstable();
        entries.dedup_by_key(|entry| *entry >> 1);
        let of_kind = |new: u32| entries.iter().filter(move |&entry| entry % 2 == new).map(|entry| entry >> 1);
        points.clear();
        points.extend(of_kind(1));
        let newcomers = points.len();
        points.extend(of_kind(0));
        limits.clear();
        limits.extend(points.iter().map(|&point| lists.limits[point as usize]));
        newcomers
    }
}

/// The best that each of some points has found in a meeting, in no order.
#[derive(Default)]
struct Best {
    width: usize,
    /// The score from which on a point wants another.
    limits: Vec<i32>,
    lengths: Vec<usize>,
    known: Vec<Known>,
}

impl Best {
    fn begin(&mut self, lists: &Lists, points: &[u32]) {
        self.width = lists.width();
        self.limits.clear();
        self.limits.extend(points.iter().map(|&point| lists.limits[point as usize]));
        self.lengths.clear();
        self.lengths.resize(points.len(), 0);
        self.known.resize(points.len() * (self.width + ROOM), Known::NONE);
    }

    #[inline(always)]
    fn push(&mut self, at: usize, known: Known) {
        if known.score() < self.limits[at] {
            return;
        }
        let room = self.width + ROOM;
        let places = &mut self.known[at * room..][..room];
        if self.lengths[at] == room {
            let last = places.select_nth_unstable(self.width - 1).1.score();
            self.lengths[at] = self.width;
            self.limits[at] = self.limits[at].max(last);
            if known.score() < self.limits[at] {
                return;
            }
        }
        places[self.lengths[at]] = known;
        self.lengths[at] += 1;
    }

    fn of(&self, at: usize) -> impl Iterator<Item = Known> {
        let known = &self.known[at * (self.width + ROOM)..][..self.lengths[at]];
        known.iter().copied().filter(move |known| known.score() >= self.limits[at])
    }
}

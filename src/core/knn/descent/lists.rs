//! Whom each point knows.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use super::cells::{Cells, Groups};
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::sparse::starts;

/// Places of a list beyond `k`, for those that the exact distances may prefer.
pub(super) const SPARE: usize = 8;

/// Of the points that know a point, about so many take part in its introductions.
pub(super) const SAMPLE: usize = 128;

/// Points whose finds are kept together.
const RANGE: usize = 1 << 12;

/// A point is of the group of the first of those that are so near to it, of those near to these, and so on.
const NEAR: usize = 4;
const STEPS: usize = 3;

/// Another point and its score, in one number that orders the best first. It is odd for a newcomer,
/// who has not been introduced to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Known(u64);

impl Known {
    pub const NONE: Self = Self(u64::MAX);

    pub fn newcomer(point: u32, score: i32) -> Self {
        Self(u64::from(!(score as u32 ^ 1 << 31)) << 32 | u64::from(point) << 1 | 1)
    }

    pub fn point(self) -> u32 {
        self.0 as u32 >> 1
    }

    pub fn score(self) -> i32 {
        (!(self.0 >> 32) as u32 ^ 1 << 31) as i32
    }

    /// The point, and as the last bit whether it is a newcomer.
    pub fn entry(self) -> u32 {
        self.0 as u32
    }

    fn is_same(self, other: Self) -> bool {
        self.0 | 1 == other.0 | 1
    }
}

/// Someone found for a point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Find {
    of: u32,
    known: Known,
}

/// What was found, by ranges of points.
pub(super) struct Finds(Vec<Vec<Find>>);

impl Finds {
    #[inline(always)]
    pub fn push(&mut self, of: u32, known: Known) {
        self.0[of as usize / RANGE].push(Find { of, known });
    }
}

/// For each point the best of all that it has met, in order.
pub(super) struct Lists {
    width: usize,
    known: Vec<Known>,
    /// The score from which on a point wants another.
    pub limits: Vec<i32>,
}

impl Lists {
    pub fn new(n: usize, k: usize) -> Self {
        let width = k + SPARE;
        Self { width, known: vec![Known::NONE; n * width], limits: vec![i32::MIN; n] }
    }

    /// Places in a list.
    pub fn width(&self) -> usize {
        self.width
    }

    pub fn of(&self, point: u32) -> &[Known] {
        let list = &self.known[point as usize * self.width..][..self.width];
        match list.last() {
            Some(&Known::NONE) => &list[..list.partition_point(|&known| known != Known::NONE)],
            _ => list,
        }
    }

    fn points(&self) -> impl IndexedParallelIterator<Item = u32> {
        (0..self.limits.len() as u32).into_par_iter().with_min_len(RANGE)
    }

    pub fn no_finds(&self) -> Finds {
        Finds(vec![Vec::new(); self.limits.len().div_ceil(RANGE)])
    }

    /// How many are newcomers.
    pub fn newcomers(&self) -> usize {
        self.points().map(|point| self.of(point).iter().filter(|known| known.entry() % 2 == 1).count()).sum()
    }

    /// Those that these points know were introduced, and are no newcomers any more.
    pub fn introduced(&mut self, units: &[&[u32]]) {
        for &point in units.iter().copied().flatten() {
            let list = &mut self.known[point as usize * self.width..][..self.width];
            list.iter_mut().filter(|known| **known != Known::NONE).for_each(|known| known.0 &= !1);
        }
    }

    /// Every point takes what was found for it.
    pub fn take(&mut self, finds: &[Finds], monitor: &Monitor) -> Result<()> {
        let lists = self.known.par_chunks_mut(RANGE * self.width).zip(self.limits.par_chunks_mut(RANGE));
        lists.enumerate().try_for_each_init(Sorted::default, |sorted, (range, (known, limits))| {
            monitor.check()?;
            sorted.sort(finds.iter().flat_map(|finds| &finds.0[range]), limits.len());
            for (at, (list, limit)) in known.chunks_exact_mut(self.width).zip(limits).enumerate() {
                sorted.merge(at, list);
                if let Some(last) = list.last().filter(|last| **last != Known::NONE) {
                    *limit = last.score();
                }
            }
            Ok(())
        })
    }

    /// Points that lead to the same one, from near to near.
    pub fn groups(&self, cells: &Cells, monitor: &Monitor) -> Result<Groups> {
        let mut of: Vec<u32> = self.points().collect();
        for _ in 0..STEPS {
            monitor.check()?;
            let near = |point: u32| self.of(point).iter().take(NEAR).map(|known| of[known.point() as usize]);
            of = self.points().map(|point| near(point).fold(of[point as usize], u32::min)).collect();
        }
        let mut order: Vec<u32> = self.points().collect();
        // Groups of one cell follow one another.
        let place = |point: u32| (cells.first[of[point as usize] as usize], of[point as usize], point);
        order.par_sort_unstable_by_key(|&point| place(point));
        Ok(Groups { of, order })
    }
}

/// The finds of a range of points, point by point.
#[derive(Default)]
struct Sorted {
    ends: Vec<usize>,
    known: Vec<Known>,
    merged: Vec<Known>,
}

impl Sorted {
    fn sort<'a>(&mut self, finds: impl Iterator<Item = &'a Find> + Clone, points: usize) {
        let Self { ends, known, .. } = self;
        ends.clear();
        ends.resize(points + 1, 0);
        finds.clone().for_each(|find| ends[find.of as usize % RANGE + 1] += 1);
        (1..ends.len()).for_each(|at| ends[at] += ends[at - 1]);
        known.clear();
        known.resize(ends[points], Known::NONE);
        for find in finds {
            // Afterwards, each start is where the next one was.
            let place = &mut ends[find.of as usize % RANGE];
            known[*place] = find.known;
            *place += 1;
        }
    }

    /// Merge the finds of a point with its list. Whom it knows already is no newcomer, and comes before
    /// itself as one.
    fn merge(&mut self, at: usize, list: &mut [Known]) {
        let Self { ends, known, merged } = self;
        let start = if at == 0 { 0 } else { ends[at - 1] };
        let finds = &mut known[start..ends[at]];
        if finds.is_empty() {
            return;
        }
        finds.sort_unstable();
        merged.clear();
        let (mut olds, mut news) = (list.iter().copied().peekable(), finds.iter().copied().peekable());
        while merged.len() < list.len() {
            let next = match (olds.peek(), news.peek()) {
                (Some(old), Some(new)) if new < old => news.next(),
                (Some(_), _) => olds.next(),
                (None, _) => news.next(),
            };
            match next {
                None | Some(Known::NONE) => break,
                Some(next) if merged.last().is_some_and(|last| last.is_same(next)) => {}
                Some(next) => merged.push(next),
            }
        }
        list[..merged.len()].copy_from_slice(merged);
    }
}

/// For each point some of those that know it, each an entry as [`Known::entry`].
pub(super) struct Admirers {
    starts: Vec<usize>,
    entries: Vec<AtomicU32>,
}

impl Admirers {
    pub fn new(lists: &Lists, round: usize, monitor: &Monitor) -> Result<Self> {
        let n = lists.limits.len();
        let counts = || -> Vec<AtomicU32> { (0..n).map(|_| AtomicU32::new(0)).collect() };
        let each = |action: &(dyn Fn(u32, Known) + Sync)| {
            lists.points().try_for_each(|point| {
                monitor.check()?;
                lists.of(point).iter().for_each(|&known| action(point, known));
                Ok(())
            })
        };
        let all = counts();
        each(&|_, known| {
            all[known.point() as usize].fetch_add(1, Relaxed);
        })?;
        let is_sampled = |point: u32, known: Known| {
            let random = mix((round as u64) << 62 ^ u64::from(point) << 31 ^ u64::from(known.point())) >> 32;
            random < ((SAMPLE as u64) << 32) / u64::from(all[known.point() as usize].load(Relaxed))
        };
        let lengths = counts();
        each(&|point, known| {
            if is_sampled(point, known) {
                lengths[known.point() as usize].fetch_add(1, Relaxed);
            }
        })?;
        let starts = starts(n, |point| lengths[point].swap(0, Relaxed) as usize);
        let entries: Vec<AtomicU32> = (0..starts[n]).map(|_| AtomicU32::new(0)).collect();
        each(&|point, known| {
            if is_sampled(point, known) {
                let at = known.point() as usize;
                let place = starts[at] + lengths[at].fetch_add(1, Relaxed) as usize;
                entries[place].store((point << 1) | (known.entry() % 2), Relaxed);
            }
        })?;
        Ok(Self { starts, entries })
    }

    pub fn of(&self, point: u32) -> impl Iterator<Item = u32> {
        let entries = &self.entries[self.starts[point as usize]..self.starts[point as usize + 1]];
        entries.iter().map(|entry| entry.load(Relaxed))
    }
}

/// A number that looks random, from one that does not.
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

//! Approximate neighbors by NN-descent (Dong, Moses and Li, WWW 2011): a neighbor of a neighbor is
//! likely to be a neighbor.
//!
//! Every point begins with the best of a few overlapping cells, each of the points that are nearest
//! to one pivot. Then, in each round, every point introduces those that it has as neighbors, and
//! those that have it, to each other. Only pairs with a newcomer need to be looked at. Both kinds of
//! meetings are blocks of products, as in the exact search.
//!
//! A round works on the lists that stood at its beginning, and what a point keeps is the best of all
//! it has met; so the graph does not depend on the threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering::Relaxed};

use multiversion::multiversion;
use rayon::prelude::*;

use super::candidate::{Candidate, sort_exact, write};
use super::products::{ANY, Instructions, Multiplier, Scale, Wanted};
use super::{KnnGraph, Points, Search, exact};
use crate::error::Result;
use crate::monitor::Monitor;
use crate::sparse::{starts, starts_of};

/// Points for each pivot.
const CELL: usize = 1000;

/// Cells that a point belongs to.
const CELLS: usize = 4;

/// Cells beyond this many points are cut.
const LARGEST: usize = 2 * CELL * CELLS;

/// Points of a cell that are multiplied at once.
const TILE: usize = 192;

/// Of the points that have a point as a neighbor, about so many take part in a round.
const SAMPLE: usize = 20;

/// Rounds at most.
const ROUNDS: usize = 6;

/// A round in which fewer of all neighbors are new is the last.
const NEWS: f64 = 0.1;

/// Pairs that a thread remembers.
const RECENT: usize = 1 << 15;

/// Points under one lock.
const BLOCK: usize = 16;

/// Peak bytes: of the search for the cells, or of the candidates and the lists of a round.
pub(super) fn memory(n: usize, k: usize) -> u64 {
    let cells = exact::memory(n, CELLS) + (n * CELLS * 8) as u64;
    cells.max((n * (k * size_of::<Candidate>() + (k + SAMPLE) * 4 + 48)) as u64)
}

pub(super) fn search(search: &Search, graph: &mut KnnGraph, monitor: &Monitor) -> Result<()> {
    let points = search.base;
    let (n, k) = (points.len(), graph.k);
    let cells = Cells::new(search, monitor)?;
    let nearest = Nearest::new(search, k);
    let meet = || Meeting::new(&nearest, search.instructions);
    let phase = monitor.phase(0.1..0.3, cells.starts.len() - 1);
    (0..cells.starts.len() - 1).into_par_iter().try_for_each_init(meet, |meeting, cell| {
        phase.step()?;
        let cell = &cells.rows[cells.starts[cell]..cells.starts[cell + 1]];
        cell.chunks(LARGEST).try_for_each(|cell| meeting.all_pairs(cell, monitor))
    })?;
    let order = cells.order;

    for round in 0..ROUNDS {
        let share = |round: usize| 0.3 + 0.65 * round as f64 / ROUNDS as f64;
        let (lists, news) = nearest.lists(round, monitor)?;
        if (news as f64) < NEWS * (n * k) as f64 {
            break;
        }
        let phase = monitor.phase(share(round)..share(round + 1), n.div_ceil(BLOCK));
        order.par_chunks(BLOCK).try_for_each_init(meet, |meeting, block| {
            phase.step()?;
            for &point in block {
                meeting.introduce(lists.of(point as usize));
            }
            Ok(())
        })?;
    }

    let phase = monitor.phase(0.95..1.0, nearest.blocks.len());
    let places = BLOCK * k;
    (nearest.blocks.par_iter().enumerate())
        .zip(graph.neighbors.par_chunks_mut(places).zip(graph.distances.par_chunks_mut(places)))
        .try_for_each(|((at, block), (neighbors, distances))| {
            phase.step()?;
            let mut block = block.lock().expect("no panic under the lock");
            for place in 0..neighbors.len() / k {
                let point = at * BLOCK + place;
                let candidates = block.of(place);
                candidates.iter_mut().for_each(|c| *c = Candidate::new(c.distance(), c.row() >> 1));
                sort_exact(candidates, point as u32, search);
                write(candidates, &mut neighbors[place * k..][..k], &mut distances[place * k..][..k]);
            }
            Ok(())
        })?;
    Ok(())
}

/// Overlapping cells of points, and an order of all points in which those of a cell follow one
/// another.
struct Cells {
    starts: Vec<usize>,
    rows: Vec<u32>,
    order: Vec<u32>,
}

impl Cells {
    fn new(search: &Search, monitor: &Monitor) -> Result<Self> {
        let n = search.base.len();
        let pivots: Vec<u32> = exact::scattered(n).into_iter().take(n.div_ceil(CELL)).collect();
        let count = pivots.len();
        let mut cell_of = vec![0; n];
        for (cell, &pivot) in pivots.iter().enumerate() {
            cell_of[pivot as usize] = cell as u32;
        }
        // A pivot is its own nearest: as queries, the points are none of the base's.
        let among = Search { queries: Some(search.base), ..*search };
        let mut nearest = KnnGraph::empty(n, CELLS.min(count));
        exact::search_among(&among, pivots, &mut nearest, 0.0..0.1, monitor)?;
        let cells: Vec<u32> = nearest.neighbors.iter().map(|&pivot| cell_of[pivot as usize]).collect();
        let first: Vec<u32> = cells.iter().step_by(nearest.k).copied().collect();
        let (starts, rows) = grouped(count, &cells, nearest.k);
        let (_, order) = grouped(count, &first, 1);
        Ok(Self { starts, rows, order })
    }
}

/// The rows by the groups that they name, each row `width` of them: where each group starts, and
/// its rows.
fn grouped(groups: usize, names: &[u32], width: usize) -> (Vec<usize>, Vec<u32>) {
    let starts = starts_of(groups, names);
    let mut next = starts.clone();
    let mut rows = vec![0; names.len()];
    for (at, &group) in names.iter().enumerate() {
        rows[next[group as usize]] = (at / width) as u32;
        next[group as usize] += 1;
    }
    (starts, rows)
}

/// The best that each point has met.
struct Nearest<'a> {
    points: &'a Points,
    scale: Scale,
    k: usize,
    blocks: Vec<Mutex<Block>>,
    /// The sum from which on a point wants another, see [`Scale::limit`].
    sums: Vec<AtomicI32>,
}

/// The best of [`BLOCK`] points, `k` places each, in order. A candidate's row is twice the other
/// point's, and odd for a newcomer, who has not been introduced to the others.
struct Block {
    lengths: [u32; BLOCK],
    candidates: Vec<Candidate>,
}

impl Block {
    fn of(&mut self, place: usize) -> &mut [Candidate] {
        let k = self.candidates.len() / BLOCK;
        &mut self.candidates[place * k..][..self.lengths[place] as usize]
    }
}

impl<'a> Nearest<'a> {
    fn new(search: &Search<'a>, k: usize) -> Self {
        let n = search.base.len();
        let block = |_| Mutex::new(Block { lengths: [0; BLOCK], candidates: vec![Candidate::ABSENT; BLOCK * k] });
        Self {
            points: search.base,
            scale: Scale::new(search),
            k,
            blocks: (0..n.div_ceil(BLOCK)).into_par_iter().map(block).collect(),
            sums: (0..n).map(|_| AtomicI32::new(ANY)).collect(),
        }
    }

    /// Keep the best `k` of what a point has and of some newcomers, in order.
    fn take(&self, point: u32, newcomers: &[Candidate]) {
        let (at, place) = (point as usize / BLOCK, point as usize % BLOCK);
        let mut block = self.blocks[at].lock().expect("no panic under the lock");
        let mut length = block.lengths[place] as usize;
        let places = &mut block.candidates[place * self.k..][..self.k];
        let mut changed = false;
        for &newcomer in newcomers {
            if length == self.k && newcomer > places[length - 1] || is_among(newcomer, &places[..length]) {
                continue;
            }
            let at = places[..length].partition_point(|&candidate| candidate < newcomer);
            length = (length + 1).min(self.k);
            places.copy_within(at..length - 1, at + 1);
            places[at] = newcomer;
            changed = true;
        }
        if changed && length == self.k {
            // The distance was rounded, so that others may be as near in spite of a smaller sum.
            let distance = places[length - 1].distance().next_up().next_up();
            self.sums[point as usize].store(self.scale.limit(distance, self.points.squared_length(point)), Relaxed);
        }
        block.lengths[place] = length as u32;
    }

    /// Whom each point introduces to each other in this round, and how many newcomers there are,
    /// who are none from now on.
    fn lists(&self, round: usize, monitor: &Monitor) -> Result<(Lists, usize)> {
        let n = self.points.len();
        let counts = || -> Vec<AtomicU32> { (0..n).map(|_| AtomicU32::new(0)).collect() };
        // How many have a point as a neighbor, and how many of them as a newcomer.
        let admirers = [counts(), counts()];
        let news = AtomicUsize::new(0);
        self.each(monitor, |_, candidates| {
            for candidate in candidates.iter() {
                admirers[candidate.row() as usize % 2][candidate.row() as usize / 2].fetch_add(1, Relaxed);
            }
            news.fetch_add(candidates.iter().filter(|candidate| candidate.row() % 2 == 1).count(), Relaxed);
        })?;
        // Whether a point is on the list of its neighbor too.
        let is_sampled = |point: usize, neighbor: u32| {
            let admirers = admirers[neighbor as usize % 2][neighbor as usize / 2].load(Relaxed);
            let random = mix((round as u64) << 56 ^ (point as u64) << 28 ^ u64::from(neighbor / 2)) >> 32;
            random < ((SAMPLE as u64) << 32) / u64::from(admirers)
        };
        let lengths = counts();
        self.each(monitor, |point, candidates| {
            lengths[point].fetch_add(candidates.len() as u32, Relaxed);
            for candidate in candidates.iter().filter(|candidate| is_sampled(point, candidate.row())) {
                lengths[candidate.row() as usize / 2].fetch_add(1, Relaxed);
            }
        })?;
        let starts = starts(n, |point| lengths[point].swap(0, Relaxed) as usize);
        let entries: Vec<AtomicU32> = (0..starts[n]).into_par_iter().map(|_| AtomicU32::new(0)).collect();
        let put = |list: usize, entry: u32| {
            let place = lengths[list].fetch_add(1, Relaxed) as usize;
            entries[starts[list] + place].store(entry, Relaxed);
        };
        self.each(monitor, |point, candidates| {
            for candidate in candidates {
                let neighbor = candidate.row();
                put(point, neighbor);
                if is_sampled(point, neighbor) {
                    put(neighbor as usize / 2, 2 * point as u32 + neighbor % 2);
                }
                *candidate = Candidate::new(candidate.distance(), neighbor & !1);
            }
        })?;
        Ok((Lists { starts, entries }, news.into_inner()))
    }

    /// Every point with its neighbors, on all threads.
    fn each(&self, monitor: &Monitor, action: impl Fn(usize, &mut [Candidate]) + Sync) -> Result<()> {
        self.blocks.par_iter().enumerate().try_for_each(|(at, block)| {
            monitor.check()?;
            let mut block = block.lock().expect("no panic under the lock");
            for place in 0..BLOCK.min(self.points.len() - at * BLOCK) {
                action(at * BLOCK + place, block.of(place));
            }
            Ok(())
        })
    }
}

/// Whether a newcomer is there, newcomer or not.
#[multiversion(targets = "simd")]
fn is_among(newcomer: Candidate, candidates: &[Candidate]) -> bool {
    candidates.iter().fold(false, |any, &candidate| any | newcomer.is_same(candidate))
}

/// A number that looks random, from one that does not.
fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// The points that meet in a round at each point, as rows of [`Block`] are.
struct Lists {
    starts: Vec<usize>,
    entries: Vec<AtomicU32>,
}

impl Lists {
    fn of(&self, point: usize) -> &[AtomicU32] {
        &self.entries[self.starts[point]..self.starts[point + 1]]
    }
}

/// Where points meet: what one thread needs for it.
struct Meeting<'a> {
    nearest: &'a Nearest<'a>,
    multiplier: Multiplier,
    wanted: Wanted,
    entries: Vec<u32>,
    /// The points of a list, newcomers first.
    points: Vec<u32>,
    found: Vec<(usize, Candidate)>,
    /// The found ones by the point that wants them.
    starts: Vec<usize>,
    grouped: Vec<Candidate>,
    /// Some pairs that were found not long ago: those who meet here often meet at the next point too.
    recent: Vec<u64>,
}

impl<'a> Meeting<'a> {
    fn new(nearest: &'a Nearest<'a>, instructions: Instructions) -> Self {
        Self {
            nearest,
            multiplier: Multiplier::new(instructions),
            wanted: Wanted::default(),
            entries: Vec::new(),
            points: Vec::new(),
            found: Vec::new(),
            starts: Vec::new(),
            grouped: Vec::new(),
            recent: vec![0; RECENT],
        }
    }

    /// All points of a cell meet.
    fn all_pairs(&mut self, cell: &[u32], monitor: &Monitor) -> Result<()> {
        self.multiplier.forget();
        let tiles: Vec<&[u32]> = cell.chunks(TILE).collect();
        for (i, rows) in tiles.iter().enumerate() {
            monitor.check()?;
            self.meet(rows, rows, rows.len());
            for columns in &tiles[i + 1..] {
                self.meet(rows, columns, 0);
            }
        }
        Ok(())
    }

    /// The newcomers of a list meet each other and the rest.
    fn introduce(&mut self, list: &[AtomicU32]) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.clear();
        entries.extend(list.iter().map(|entry| entry.load(Relaxed)));
        // Who is in the list twice is a newcomer only if both say so.
        entries.sort_unstable();
        entries.dedup_by_key(|entry| *entry >> 1);
        let mut points = std::mem::take(&mut self.points);
        points.clear();
        points.extend(entries.iter().filter(|&entry| entry % 2 == 1).map(|entry| entry >> 1));
        let newcomers = points.len();
        points.extend(entries.iter().filter(|&entry| entry % 2 == 0).map(|entry| entry >> 1));
        if newcomers > 0 {
            self.multiplier.forget();
            self.meet(&points[..newcomers], &points, newcomers);
        }
        (self.entries, self.points) = (entries, points);
    }

    /// The rows meet the columns; the first `common` of both are the same points.
    fn meet(&mut self, rows: &[u32], columns: &[u32], common: usize) {
        let Self { nearest, multiplier, wanted, found, starts, grouped, recent, .. } = self;
        let (points, scale) = (nearest.points, &nearest.scale);
        let sum = |&point: &u32| nearest.sums[point as usize].load(Relaxed);
        let offset = |&point: &u32| scale.offset(points.squared_length(point));
        wanted.by_rows(rows.iter().map(sum), rows.iter().map(offset));
        wanted.by_columns(columns.iter().map(sum), columns.iter().map(offset));
        multiplier.multiply(scale, (points, rows), (points, columns), wanted, |row, column, of_row, of_column, sum| {
            if column < common && column <= row {
                return;
            }
            let (query, point) = (rows[row], columns[column]);
            let pair = u64::from(query.min(point)) << 32 | u64::from(query.max(point));
            let last = &mut recent[mix(pair) as usize % RECENT];
            if *last == pair {
                return;
            }
            *last = pair;
            let distance = scale.distance(sum, points.squared_length(query) + points.squared_length(point));
            if of_row {
                let place = if common > 0 { row } else { columns.len() + row };
                found.push((place, Candidate::new(distance, 2 * point + 1)));
            }
            if of_column {
                found.push((column, Candidate::new(distance, 2 * query + 1)));
            }
        });
        if found.is_empty() {
            return;
        }
        starts.clear();
        starts.resize(columns.len() + rows.len() + 1, 0);
        found.iter().for_each(|&(place, _)| starts[place + 1] += 1);
        (1..starts.len()).for_each(|at| starts[at] += starts[at - 1]);
        grouped.clear();
        grouped.resize(found.len(), Candidate::ABSENT);
        for (place, candidate) in found.drain(..) {
            // Afterwards, each start is where the next one was.
            grouped[starts[place]] = candidate;
            starts[place] += 1;
        }
        let mut start = 0;
        for (&point, &end) in columns.iter().chain(rows).zip(starts.iter()) {
            if end > start {
                nearest.take(point, &grouped[start..end]);
            }
            start = end;
        }
    }
}

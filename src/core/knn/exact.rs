//! All pairs, in tiles of two blocks of rows, each pair once.
//!
//! A tile tells each distance within a `margin`, from products of whole numbers. A row keeps each
//! candidate that could be among its `k` nearest in spite of that error; the exact distance decides
//! between them at the end. So the result does not depend on how the products are made, and no part
//! of the N x N matrix outlives its tile.
//!
//! What a row has seen so far is a random part of all rows, so it also knows about how far its
//! `k`-th will be. The first pass goes by that guess, with ample room. A row that finds fewer than
//! `k` within it was misled, and looks at all rows once more in a second pass.

use std::iter::repeat_n;
use std::ops::Range;
use std::sync::Mutex;

use rayon::prelude::*;

use super::candidate::{Candidate, sort_exact, write};
use super::graph::KnnGraph;
use super::instructions::Instructions;
use super::products::{ANY, Multiplier, NONE, RUN, Scale, Wanted};
use super::search::Search;
use crate::core::error::Result;
use crate::core::monitor::Monitor;

/// Values in a block of rows: packed, a block of rows stays in the second-level cache.
const BLOCK_VALUES: usize = 128 << 10;

/// The rows of a block are a multiple of this, of whole panels for all [`Instructions`].
const PANELS: usize = 96;

/// Columns after which a row first makes a guess; it makes the next when it has seen twice as many.
const FIRST: usize = 48;

/// Places for candidates beyond `k`; when they are full, a row drops all that cannot win.
const SPARE: usize = 48;

/// Candidates that are allocated at once: so many that the allocator gives them back to the system when
/// they are dropped, before the next stages need memory.
const PART: usize = 8 << 20;

/// Peak bytes: of the candidates, of what the scale has of each point, and of the blocks that threads keep packed.
pub(super) fn memory(base: usize, queries: Option<usize>, k: usize, dim: usize, threads: usize) -> u64 {
    let candidates = queries.unwrap_or(base) as u64 * (k + SPARE) as u64 * size_of::<Candidate>() as u64;
    let packed = Multiplier::memory(base, block(dim), dim);
    candidates + Scale::memory(base + queries.unwrap_or(0)) + threads as u64 * packed
}

/// Rows in a block.
fn block(dim: usize) -> usize {
    (BLOCK_VALUES / dim.max(1) / PANELS).clamp(1, 10) * PANELS
}

/// The neighbors among these rows of the base.
pub(super) fn search(search: &Search, among: &[u32], graph: &mut KnnGraph, monitor: &Monitor) -> Result<()> {
    let scale = Scale::new(search, monitor)?;
    let columns = scattered(among.len()).into_iter().map(|at| among[at as usize]).collect();
    search_among(search, &scale, columns, graph, 0.0..1.0, monitor)
}

/// The neighbors among some rows of the base, which are in no special order.
pub(super) fn search_among(
    search: &Search,
    scale: &Scale,
    columns: Vec<u32>,
    graph: &mut KnnGraph,
    progress: Range<f64>,
    monitor: &Monitor,
) -> Result<()> {
    let pass = Pass {
        search,
        k: graph.k,
        block: block(search.base.dim()),
        scale,
        offsets: columns.iter().map(|&row| scale.offset(scale.base()[row as usize])).collect(),
        columns,
    };
    let last = progress.start + 0.95 * (progress.end - progress.start);
    let missed = match search.queries {
        None => pass.run(&pass.columns, true, true, progress.start..last, graph, monitor)?,
        Some(queries) => pass.run(&scattered(queries.len()), false, true, progress.start..last, graph, monitor)?,
    };
    pass.run(&missed, false, false, last..progress.end, graph, monitor)?;
    Ok(())
}

/// The numbers 0..n, so that any run of them is spread over all.
pub(super) fn scattered(n: usize) -> Vec<u32> {
    let mut step = (n as f64 * 0.618_033_988_749_895) as usize;
    while gcd(step, n) > 1 {
        step += 1;
    }
    (0..n).scan(0, |at, _| Some(std::mem::replace(at, (*at + step) % n) as u32)).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A look at all columns, for some rows.
struct Pass<'a> {
    search: &'a Search<'a>,
    k: usize,
    /// Rows in a block.
    block: usize,
    scale: &'a Scale,
    columns: Vec<u32>,
    /// Of each of the columns, see [`Scale::offset`].
    offsets: Vec<i32>,
}

impl Pass<'_> {
    /// Find the neighbors of `rows`, and return those rows that found too few within their guess.
    /// With `symmetric`, the rows are the columns, and a pair serves both.
    fn run(
        &self,
        rows: &[u32],
        symmetric: bool,
        guess: bool,
        progress: Range<f64>,
        graph: &mut KnnGraph,
        monitor: &Monitor,
    ) -> Result<Vec<u32>> {
        let places = self.k + SPARE;
        let of_part = (PART / (self.block * places)).max(1) * self.block;
        let mut parts: Vec<Vec<Candidate>> = (rows.par_chunks(of_part))
            .map(|rows| monitor.check().map(|()| vec![Candidate::ABSENT; rows.len() * places]))
            .collect::<Result<_>>()?;
        let candidates = parts.iter_mut().flat_map(|part| part.chunks_mut(self.block * places));
        let blocks: Vec<Mutex<Block>> = (rows.chunks(self.block).zip(candidates))
            .map(|(rows, candidates)| Mutex::new(Block::new(rows, candidates, self, guess)))
            .collect();
        let columns: Vec<Columns> = (self.columns.chunks(self.block).zip(self.offsets.chunks(self.block)))
            .map(|(rows, offsets)| Columns { rows, offsets })
            .collect();
        let tiles = tiles(blocks.len(), columns.len(), symmetric);
        let done = progress.start + 0.95 * (progress.end - progress.start);
        let phase = monitor.phase(progress.start..done, tiles.len());
        // The tiles that give every row its first guess come first.
        let (first, others) = tiles.split_at(blocks.len());
        for tiles in [first, others] {
            tiles.par_iter().try_for_each_init(
                || Tile::new(self.search.instructions),
                |tile, &(i, j)| {
                    phase.step()?;
                    tile.compute(self, &blocks[i], columns[j], (symmetric && i != j).then(|| &blocks[j]));
                    Ok(())
                },
            )?;
        }

        let phase = monitor.phase(done..progress.end, blocks.len());
        let blocks: Vec<Block> = (blocks.into_par_iter())
            .map(|block| {
                phase.step()?;
                let mut block = block.into_inner().expect("no panic under the lock");
                block.finish(self);
                Ok(block)
            })
            .collect::<Result<_>>()?;
        let mut missed = Vec::new();
        for block in blocks {
            monitor.check()?;
            block.write(graph);
            missed.extend(block.missed);
        }
        Ok(missed)
    }
}

/// The tiles to compute: first one of each block of rows; then squares of [`RUN`] tiles a side,
/// whose blocks of columns stay packed, diagonal by diagonal, so that threads seldom share a block.
fn tiles(rows: usize, columns: usize, symmetric: bool) -> Vec<(usize, usize)> {
    let mut tiles: Vec<(usize, usize)> = (0..rows).map(|i| (i, i % columns)).collect();
    let (row_runs, column_runs) = (rows.div_ceil(RUN), columns.div_ceil(RUN));
    for diagonal in 0..column_runs {
        for row_run in 0..row_runs {
            let column_run = row_run + diagonal;
            if symmetric && column_run >= column_runs {
                break;
            }
            let column_run = column_run % column_runs;
            for i in row_run * RUN..((row_run + 1) * RUN).min(rows) {
                let columns_here = column_run * RUN..((column_run + 1) * RUN).min(columns);
                tiles
                    .extend(columns_here.filter(|&j| if symmetric { i < j } else { i % columns != j }).map(|j| (i, j)));
            }
        }
    }
    tiles
}

/// A block of columns.
#[derive(Debug, Clone, Copy)]
struct Columns<'a> {
    rows: &'a [u32],
    offsets: &'a [i32],
}

/// One block of rows against one of columns.
struct Tile {
    multiplier: Multiplier,
    wanted: Wanted,
    /// The pairs that each of the two blocks may want: the place of the row in the block, and the other row.
    of_rows: Vec<(usize, Candidate)>,
    of_columns: Vec<(usize, Candidate)>,
}

impl Tile {
    fn new(instructions: Instructions) -> Self {
        Self {
            multiplier: Multiplier::new(instructions),
            wanted: Wanted::default(),
            of_rows: Vec::new(),
            of_columns: Vec::new(),
        }
    }

    /// Give the pairs to `block`, and to `other`, the block of the columns.
    fn compute(&mut self, pass: &Pass, block: &Mutex<Block>, columns: Columns, other: Option<&Mutex<Block>>) {
        // A block without limits wants every pair: let it see a few, and guess.
        let new = block.lock().expect("no panic under the lock").seen == 0;
        let first = if new { FIRST.min(columns.rows.len()) } else { 0 };
        for part in [0..first, first..columns.rows.len()] {
            if !part.is_empty() {
                let columns = Columns { rows: &columns.rows[part.clone()], offsets: &columns.offsets[part] };
                self.compute_part(pass, block, columns, other);
            }
        }
    }

    fn compute_part(&mut self, pass: &Pass, block: &Mutex<Block>, columns: Columns, other: Option<&Mutex<Block>>) {
        let search = pass.search;
        let (queries, base) = (search.queries(), search.base);
        let Columns { rows: columns, offsets } = columns;
        let Self { multiplier, wanted, of_rows, of_columns } = self;
        let rows = {
            let block = block.lock().expect("no panic under the lock");
            wanted.by_rows(block.sums.iter().copied(), block.offsets.iter().copied());
            block.rows
        };
        let offsets = offsets.iter().copied();
        match other {
            Some(other) => {
                let other = other.lock().expect("no panic under the lock");
                wanted.by_columns(other.sums.iter().copied(), offsets);
            }
            None => wanted.by_columns(repeat_n(NONE, columns.len()), offsets),
        }
        let found = |row: usize, column: usize, of_row, of_column, sum| {
            let (query, point) = (rows[row], columns[column]);
            if search.same(query as usize) == point {
                return;
            }
            let shares = pass.scale.queries()[query as usize] + pass.scale.base()[point as usize];
            let distance = pass.scale.distance(sum, shares);
            if of_row {
                of_rows.push((row, Candidate::new(distance, point)));
            }
            if of_column {
                of_columns.push((column, Candidate::new(distance, query)));
            }
        };
        multiplier.multiply(pass.scale, (queries, rows), (base, columns), wanted, found);
        block.lock().expect("no panic under the lock").take(of_rows, columns.len(), pass);
        if let Some(other) = other {
            other.lock().expect("no panic under the lock").take(of_columns, rows.len(), pass);
        }
    }
}

/// The candidates of a block of rows.
struct Block<'a> {
    rows: &'a [u32],
    k: usize,
    /// Whether a row may go by a guess of its k-th distance.
    guess: bool,
    /// Columns that the block has seen, and how many it will have when it guesses next.
    seen: usize,
    settle: usize,
    /// A row takes a candidate up to this distance.
    limits: Vec<f32>,
    /// The limits as sums of products, see [`Scale::limit`], and the rows' offsets.
    sums: Vec<i32>,
    offsets: Vec<i32>,
    lengths: Vec<usize>,
    candidates: &'a mut [Candidate],
    missed: Vec<u32>,
}

impl<'a> Block<'a> {
    fn new(rows: &'a [u32], candidates: &'a mut [Candidate], pass: &Pass, guess: bool) -> Self {
        let offset = |&row: &u32| pass.scale.offset(pass.scale.queries()[row as usize]);
        Self {
            rows,
            k: pass.k,
            guess,
            seen: 0,
            settle: FIRST,
            limits: vec![f32::INFINITY; rows.len()],
            sums: vec![ANY; rows.len()],
            offsets: rows.iter().map(offset).collect(),
            lengths: vec![0; rows.len()],
            candidates,
            missed: Vec::new(),
        }
    }

    /// Take the pairs of a tile of so many columns.
    fn take(&mut self, found: &mut Vec<(usize, Candidate)>, columns: usize, pass: &Pass) {
        self.seen += columns;
        for (row, candidate) in found.drain(..) {
            self.push(row, candidate, pass);
        }
        if self.guess && self.seen >= self.settle {
            self.settle = 2 * self.seen;
            for row in 0..self.rows.len() {
                self.compact(row, pass);
            }
        }
    }

    fn push(&mut self, row: usize, candidate: Candidate, pass: &Pass) {
        // The limit may have come down since the tile was begun.
        if candidate.distance() > self.limits[row] {
            return;
        }
        let capacity = self.k + SPARE;
        if self.lengths[row] == capacity {
            self.compact(row, pass);
            if candidate.distance() > self.limits[row] {
                return;
            }
        }
        self.candidates[row * capacity + self.lengths[row]] = candidate;
        self.lengths[row] += 1;
    }

    /// Drop the candidates that cannot be among the `k` nearest: those further than the k-th by
    /// more than twice the margin, and those beyond the guess. If too many are left, the exact
    /// distances decide.
    fn compact(&mut self, row: usize, pass: &Pass) {
        let (k, margin) = (self.k, pass.scale.margin());
        let candidates = &mut self.candidates[row * (k + SPARE)..][..self.lengths[row]];
        let mut nth = |n: usize| candidates.select_nth_unstable(n - 1).1.distance();
        let mut limit = self.limits[row];
        if self.lengths[row] >= k {
            limit = limit.min(nth(k) + 2.0 * margin);
        }
        if self.guess {
            // Of the k nearest, so many are expected among the rows seen; three deviations more.
            let share = k as f64 * self.seen as f64 / pass.columns.len() as f64;
            let most = (share + 3.0 * share.sqrt() + 3.0).ceil() as usize;
            if most < k && self.lengths[row] >= most {
                limit = limit.min(nth(most));
            }
        }
        let mut kept = 0;
        for at in 0..candidates.len() {
            if candidates[at].distance() <= limit {
                candidates.swap(kept, at);
                kept += 1;
            }
        }
        if kept > k + SPARE / 2 {
            sort_exact(&mut candidates[..kept], self.rows[row], pass.search);
            kept = k;
            limit = limit.min(candidates[k - 1].distance() + margin);
        }
        self.lengths[row] = kept;
        if limit < self.limits[row] {
            self.limits[row] = limit;
            self.sums[row] = pass.scale.limit(limit, pass.scale.queries()[self.rows[row] as usize]);
        }
    }

    /// Leave the `k` nearest of each row, by exact distance, and note the rows that the guess misled.
    fn finish(&mut self, pass: &Pass) {
        for row in 0..self.rows.len() {
            self.compact(row, pass);
            let candidates = &mut self.candidates[row * (self.k + SPARE)..][..self.lengths[row]];
            sort_exact(candidates, self.rows[row], pass.search);
            self.lengths[row] = candidates.len().min(self.k);
            // A pair that was not taken is further than the limit, or than the limit less the margin.
            let limit = self.limits[row];
            let sure = candidates.get(self.k - 1).is_some_and(|kth| kth.distance() + pass.scale.margin() <= limit);
            if self.guess && limit < f32::INFINITY && !sure {
                self.missed.push(self.rows[row]);
            }
        }
    }

    fn write(&self, graph: &mut KnnGraph) {
        for (at, &row) in self.rows.iter().enumerate() {
            let places = row as usize * self.k..(row as usize + 1) * self.k;
            let candidates = &self.candidates[at * (self.k + SPARE)..][..self.lengths[at]];
            write(candidates, &mut graph.neighbors[places.clone()], &mut graph.distances[places]);
        }
    }
}

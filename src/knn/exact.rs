//! All pairs, in square tiles of one matrix product each.
//!
//! A tile gives every distance in single precision, with a rounding error of at most `margin`. A
//! row keeps each candidate that could be among its `k` nearest in spite of that error; the exact
//! distance decides between them at the end. So the result does not depend on how the
//! product sums, and no part of the N x N matrix outlives its tile.

use std::ops::Range;
use std::sync::Mutex;

use ndarray::{Array2, linalg::general_mat_mul};
use rayon::prelude::*;

use super::{KnnGraph, Metric, Search};
use crate::error::Result;
use crate::kernels::{at_most, at_most_each};
use crate::monitor::Monitor;

/// Rows and columns of a tile: with its two blocks of rows it stays in the second-level cache.
const BLOCK: usize = 512;

/// Places for candidates beyond `k`; when they are full, a row drops all that cannot win.
const SPARE: usize = 48;

/// Peak bytes of the candidates.
pub(super) fn memory(queries: usize, k: usize) -> u64 {
    queries as u64 * (k + SPARE) as u64 * size_of::<Candidate>() as u64
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    /// Within `margin` of the exact distance.
    distance: f32,
    row: u32,
}

pub(super) fn search(search: &Search, graph: &mut KnnGraph, monitor: &Monitor) -> Result<()> {
    let k = graph.k;
    let margins = Margins::new(search);
    let query_blocks: Vec<Mutex<Block>> =
        blocks(search.queries().len()).map(|rows| Mutex::new(Block::new(rows, k, &margins, search))).collect();
    let base_blocks: Vec<Range<usize>> = blocks(search.base.len()).collect();
    let tiles = tiles(query_blocks.len(), base_blocks.len(), search.queries.is_none());

    let phase = monitor.phase(0.0..0.95, tiles.len());
    tiles.par_iter().try_for_each_init(Tile::default, |tile, &(i, j)| {
        phase.step()?;
        let rows = blocks_at(i, search.queries().len());
        tile.compute(search, rows, base_blocks[j].clone());
        query_blocks[i].lock().expect("no panic under the lock").take_rows(tile, search);
        // The same product serves the other side of a pair, which is computed once.
        if search.queries.is_none() && i != j {
            query_blocks[j].lock().expect("no panic under the lock").take_columns(tile, search);
        }
        Ok(())
    })?;

    let phase = monitor.phase(0.95..1.0, query_blocks.len());
    let places = BLOCK * k;
    (query_blocks.into_par_iter())
        .zip(graph.neighbors.par_chunks_mut(places).zip(graph.distances.par_chunks_mut(places)))
        .try_for_each(|(block, (neighbors, distances))| {
            phase.step()?;
            block.into_inner().expect("no panic under the lock").finish(search, neighbors, distances);
            Ok(())
        })
}

fn blocks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len.div_ceil(BLOCK)).map(move |block| blocks_at(block, len))
}

fn blocks_at(block: usize, len: usize) -> Range<usize> {
    block * BLOCK..((block + 1) * BLOCK).min(len)
}

/// The tiles to compute, diagonal by diagonal, so that neighbors in time seldom share a block.
fn tiles(queries: usize, bases: usize, symmetric: bool) -> Vec<(usize, usize)> {
    if symmetric {
        (0..bases).flat_map(|d| (0..bases - d).map(move |i| (i, i + d))).collect()
    } else {
        (0..bases).flat_map(|d| (0..queries).map(move |i| (i, (i + d) % bases))).collect()
    }
}

/// How far a distance from a tile can be from the exact one.
struct Margins {
    unit: f64,
    longest: f64,
    metric: Metric,
}

impl Margins {
    /// A sum of D products in any order is off by at most D u sum |x_i y_i| <= D u |x| |y|, with
    /// u = 2^-24; a few more roundings make the distance of it. Doubled, to be safe.
    fn new(search: &Search) -> Self {
        let unit = 2.0 * (search.base.dim() + 8) as f64 * f64::from(f32::EPSILON) / 2.0;
        let longest = search.base.squared_lengths().iter().copied().fold(0.0, f64::max).sqrt();
        Self { unit, longest, metric: search.base.metric() }
    }

    fn of(&self, squared_length: f64) -> f32 {
        let length = squared_length.sqrt();
        let scale = match self.metric {
            Metric::Cosine | Metric::Ip => 1.0 + length * self.longest,
            Metric::L2sq => (length + self.longest).powi(2),
        };
        (self.unit * scale) as f32
    }
}

/// The distances of a block of queries (rows) to a block of the base (columns).
#[derive(Default)]
struct Tile {
    distances: Array2<f32>,
    rows: Range<usize>,
    columns: Range<usize>,
    found: Vec<u32>,
}

impl Tile {
    fn compute(&mut self, search: &Search, rows: Range<usize>, columns: Range<usize>) {
        let (queries, base) = (search.queries(), search.base);
        if self.distances.dim() != (rows.len(), columns.len()) {
            self.distances = Array2::zeros((rows.len(), columns.len()));
        }
        general_mat_mul(1.0, &queries.rows(rows.clone()), &base.rows(columns.clone()).t(), 0.0, &mut self.distances);
        for (row, mut distances) in rows.clone().zip(self.distances.rows_mut()) {
            let distances = distances.as_slice_mut().expect("rows of a tile are contiguous");
            match base.metric() {
                Metric::Cosine | Metric::Ip => distances.iter_mut().for_each(|x| *x = 1.0 - *x),
                Metric::L2sq => {
                    let row = queries.squared_lengths()[row];
                    let columns = &base.squared_lengths()[columns.clone()];
                    distances.iter_mut().zip(columns).for_each(|(x, c)| *x = (row + c) as f32 - 2.0 * *x);
                }
            }
            // No point is its own neighbor: NaN is at most no limit.
            let same = search.same(row) as usize;
            if columns.contains(&same) {
                distances[same - columns.start] = f32::NAN;
            }
        }
        (self.rows, self.columns) = (rows, columns);
    }

    fn row(&self, row: usize) -> &[f32] {
        let columns = self.distances.ncols();
        &self.distances.as_slice().expect("a tile is contiguous")[row * columns..][..columns]
    }
}

/// The candidates of a block of rows.
struct Block {
    rows: Range<usize>,
    k: usize,
    capacity: usize,
    /// A row takes a candidate up to this distance.
    limits: Vec<f32>,
    margins: Vec<f32>,
    lengths: Vec<usize>,
    candidates: Vec<Candidate>,
}

impl Block {
    fn new(rows: Range<usize>, k: usize, margins: &Margins, search: &Search) -> Self {
        let capacity = k + SPARE;
        Self {
            limits: vec![f32::INFINITY; rows.len()],
            margins: search.queries().squared_lengths()[rows.clone()].iter().map(|&s| margins.of(s)).collect(),
            lengths: vec![0; rows.len()],
            candidates: vec![Candidate { distance: f32::NAN, row: u32::MAX }; rows.len() * capacity],
            rows,
            k,
            capacity,
        }
    }

    /// The rows of the tile are this block's.
    fn take_rows(&mut self, tile: &mut Tile, search: &Search) {
        let mut found = std::mem::take(&mut tile.found);
        for row in 0..self.rows.len() {
            found.clear();
            at_most(tile.row(row), self.limits[row], &mut found);
            for &column in &found {
                let distance = tile.row(row)[column as usize];
                self.push(row, Candidate { distance, row: tile.columns.start as u32 + column }, search);
            }
        }
        tile.found = found;
    }

    /// The columns of the tile are this block's.
    fn take_columns(&mut self, tile: &mut Tile, search: &Search) {
        let mut found = std::mem::take(&mut tile.found);
        for row in 0..tile.rows.len() {
            found.clear();
            at_most_each(tile.row(row), &self.limits, &mut found);
            for &column in &found {
                let distance = tile.row(row)[column as usize];
                self.push(column as usize, Candidate { distance, row: (tile.rows.start + row) as u32 }, search);
            }
        }
        tile.found = found;
    }

    fn push(&mut self, row: usize, candidate: Candidate, search: &Search) {
        // The limit may have come down since the scan.
        if candidate.distance > self.limits[row] {
            return;
        }
        if self.lengths[row] == self.capacity {
            self.compact(row, search);
            if candidate.distance > self.limits[row] {
                return;
            }
        }
        self.candidates[row * self.capacity + self.lengths[row]] = candidate;
        self.lengths[row] += 1;
    }

    /// Drop the candidates that cannot be among the `k` nearest: those further than the k-th by
    /// more than twice the margin. If too many are that close, the exact distances decide.
    fn compact(&mut self, row: usize, search: &Search) {
        let places = &mut self.candidates[row * self.capacity..][..self.lengths[row]];
        let (_, kth, _) = places.select_nth_unstable_by(self.k - 1, |a, b| a.distance.total_cmp(&b.distance));
        let mut limit = kth.distance + 2.0 * self.margins[row];
        let mut kept = 0;
        for at in 0..places.len() {
            if places[at].distance <= limit {
                places.swap(kept, at);
                kept += 1;
            }
        }
        if kept > self.k + SPARE / 2 {
            sort_exact(&mut places[..kept], self.rows.start + row, search);
            kept = self.k;
            limit = places[self.k - 1].distance + self.margins[row];
        }
        self.lengths[row] = kept;
        self.limits[row] = limit;
    }

    /// The `k` nearest of each row, by exact distance.
    fn finish(mut self, search: &Search, neighbors: &mut [u32], distances: &mut [f32]) {
        for row in 0..self.rows.len() {
            if self.lengths[row] > self.k {
                self.compact(row, search);
            }
            let places = &mut self.candidates[row * self.capacity..][..self.lengths[row]];
            sort_exact(places, self.rows.start + row, search);
            for (place, candidate) in places.iter().take(self.k).enumerate() {
                neighbors[row * self.k + place] = candidate.row;
                distances[row * self.k + place] = candidate.distance;
            }
        }
    }
}

fn sort_exact(candidates: &mut [Candidate], row: usize, search: &Search) {
    for candidate in candidates.iter_mut() {
        candidate.distance = search.distance(row, candidate.row);
    }
    candidates.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
}

//! Overlapping cells of points.

use std::ops::Range;

use rayon::prelude::*;

use super::super::exact;
use super::super::graph::KnnGraph;
use super::super::products::Scale;
use super::super::search::Search;
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::sparse::starts_of;

/// Cells that a point belongs to. Two near points are in one of them together the more often the more there
/// are, and their pairs grow in proportion.
pub const CELLS: usize = 10;

/// Points for each pivot at least; or k, so that a cell has more points than a list.
const LEAST: usize = 32;

/// Points for each pivot. The pivots are compared with all points, n times n / cell, and the points of a cell with each
/// other, n / 2 times cell times [`CELLS`] squared: so that both grow alike, a cell grows with the root of n. Many small
/// cells find more than few large ones: a million points in 8 cells each with 250 points for a pivot find 0.92 of all
/// neighbors' weight, and in 4 cells with 1,000, which are as many pairs, 0.75.
fn points_each(n: usize, k: usize) -> usize {
    ((n as f64).sqrt() as usize / 5).max(k).max(LEAST)
}

/// For each pivot the points that have it among their nearest [`CELLS`]. Points are numbered cell by cell of their
/// nearest pivots, so that near ones are near each other in memory.
pub struct Cells {
    starts: Vec<usize>,
    points: Vec<u32>,
    /// The row of each point.
    pub rows: Vec<u32>,
}

impl Cells {
    /// Those from which `k` neighbors of each point are to be found.
    pub fn new(search: &Search, k: usize, scale: &Scale, progress: Range<f64>, monitor: &Monitor) -> Result<Self> {
        let n = search.base.len();
        let pivots: Vec<u32> = exact::scattered(n).into_iter().take(n.div_ceil(points_each(n, k))).collect();
        let count = pivots.len();
        let mut cell_of = vec![0; n];
        for (cell, &pivot) in pivots.iter().enumerate() {
            cell_of[pivot as usize] = cell as u32;
        }
        // A pivot is its own nearest: as queries, the points are none of the base's.
        let among = Search { queries: Some(search.base), ..*search };
        let mut nearest = KnnGraph::empty(n, CELLS.min(count));
        exact::search_among(&among, scale, pivots, &mut nearest, progress, monitor)?;
        let mut cells = nearest.neighbors;
        cells.iter_mut().for_each(|pivot| *pivot = cell_of[*pivot as usize]);
        let of = |row: u32| &cells[row as usize * nearest.k..][..nearest.k];
        let mut rows: Vec<u32> = (0..n as u32).collect();
        rows.par_sort_by_key(|&row| of(row)[0]);
        let starts = starts_of(count, &cells);
        let mut next = starts.clone();
        let mut points = vec![0; cells.len()];
        for (point, &row) in rows.iter().enumerate() {
            for &cell in of(row) {
                points[next[cell as usize]] = point as u32;
                next[cell as usize] += 1;
            }
        }
        Ok(Self { starts, points, rows })
    }

    /// Bytes that n points need while they find their cells, and afterwards.
    pub fn memory(n: usize, dim: usize, threads: usize) -> (u64, u64) {
        let held = (n * (CELLS + 1) * size_of::<u32>()) as u64;
        let nearest = exact::memory(n, None, CELLS, dim, threads) + KnnGraph::memory(n, CELLS);
        (nearest.max(KnnGraph::memory(n, CELLS) + held), held)
    }

    /// Points in a cell, about.
    pub fn points_in_one(n: usize, k: usize) -> usize {
        points_each(n, k) * CELLS
    }

    /// The points of each cell, of so many at most.
    pub fn parts(&self, largest: usize) -> Vec<&[u32]> {
        self.starts.windows(2).flat_map(|ends| self.points[ends[0]..ends[1]].chunks(largest)).collect()
    }
}

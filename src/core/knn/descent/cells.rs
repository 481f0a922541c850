//! Overlapping cells of points.

use std::ops::Range;

use super::super::exact;
use super::super::graph::KnnGraph;
use super::super::products::Scale;
use super::super::search::Search;
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::sparse::starts_of;

/// Points for each pivot. The pivots are compared with all points, n / CELL times n, and the points of a
/// cell with each other, n / 2 times CELL times [`CELLS`] squared: a small cell makes the first dear, a large one
/// the second.
const CELL: usize = 1000;

/// Cells that a point belongs to. Two near points are in one of them together the more often the more there
/// are, and their pairs grow in proportion.
pub const CELLS: usize = 4;

/// For each pivot the points that have it among their nearest [`CELLS`].
pub struct Cells {
    starts: Vec<usize>,
    points: Vec<u32>,
    /// The cell of each point's nearest pivot.
    pub first: Vec<u32>,
}

impl Cells {
    pub fn new(search: &Search, scale: &Scale, progress: Range<f64>, monitor: &Monitor) -> Result<Self> {
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
        exact::search_among(&among, scale, pivots, &mut nearest, progress, monitor)?;
        let cells: Vec<u32> = nearest.neighbors.iter().map(|&pivot| cell_of[pivot as usize]).collect();
        let first = cells.iter().step_by(nearest.k).copied().collect();
        let starts = starts_of(count, &cells);
        let mut next = starts.clone();
        let mut points = vec![0; cells.len()];
        for (at, &cell) in cells.iter().enumerate() {
            points[next[cell as usize]] = (at / nearest.k) as u32;
            next[cell as usize] += 1;
        }
        Ok(Self { starts, points, first })
    }

    /// The points of each cell, of so many at most.
    pub fn parts(&self, largest: usize) -> Vec<&[u32]> {
        self.starts.windows(2).flat_map(|ends| self.points[ends[0]..ends[1]].chunks(largest)).collect()
    }
}

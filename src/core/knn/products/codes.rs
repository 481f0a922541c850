//! All points in 8 bits, and products of a few of them with many others anywhere in memory.

use rayon::prelude::*;

use super::super::instructions::Instructions;
use super::super::points::Metric;
use super::super::search::Search;
use super::scale::Scale;
use crate::core::error::Result;
use crate::core::kernels::{coarsen, dot_i8};
use crate::core::monitor::Monitor;

/// Points are filled up with zeros to whole lines of so many dimensions.
const LINE: usize = 64;

/// The dimensions of a point, 64 by 64.
pub(super) type Lines = [[i8; LINE]];

/// All points in 8 bits, less their centre, as [`coarsen`] rounds them. A pair's score is the greater the nearer
/// the two are, for one point and all others; it orders them as their distances do, but for the rounding.
pub(in crate::core::knn) struct Codes {
    /// Lines of a point.
    pub(super) width: usize,
    pub(super) lines: Vec<[i8; LINE]>,
    /// What the score of a pair loses for the other point, see [`Codes::score`].
    pub(super) offsets: Vec<i32>,
    pub(super) instructions: Instructions,
}

/// A pair that one of the two wants: their places in the rows and in the columns, and the sum of products.
#[derive(Debug, Clone, Copy)]
pub(in crate::core::knn) struct Hit {
    pub row: u32,
    pub column: u32,
    pub sum: i32,
}

/// A few points, ready to be multiplied with others.
#[derive(Default)]
pub(in crate::core::knn) struct Panel {
    pub(super) rows: usize,
    pub(super) lines: Vec<[i8; LINE]>,
    pub(super) limits: [i32; Codes::ROWS],
    pub(super) offsets: [i32; Codes::ROWS],
}

impl Panel {
    /// Hold these points, at most [`Codes::ROWS`] of them, with the score from which on each wants another.
    pub fn hold(&mut self, codes: &Codes, rows: &[u32], limits: &[i32]) {
        self.rows = rows.len();
        self.lines.clear();
        for (at, (&row, &limit)) in rows.iter().zip(limits).enumerate() {
            self.lines.extend_from_slice(codes.lines(row));
            (self.limits[at], self.offsets[at]) = (limit, codes.offsets[row as usize]);
        }
        self.lines.resize(Codes::ROWS * codes.width, [0; LINE]);
    }
}

impl Codes {
    /// Points in a [`Panel`].
    pub const ROWS: usize = 8;

    /// Beyond so many dimensions, a sum of products could leave 32 bits.
    pub const LARGEST_DIM: usize = 1 << 16;

    /// Bytes of a point.
    pub fn row_bytes(dim: usize) -> usize {
        dim.next_multiple_of(LINE) + size_of::<i32>()
    }

    /// Those of some rows of the base, in this order.
    pub fn new(search: &Search, rows: &[u32], scale: &Scale, monitor: &Monitor) -> Result<Self> {
        let points = search.base;
        let width = points.dim().div_ceil(LINE);
        let mut lines = vec![[0; LINE]; rows.len() * width];
        let mut offsets = vec![0; rows.len()];
        let unit = (scale.scale * f64::from(scale.code.step)).powi(2);
        (lines.par_chunks_exact_mut(width).zip(&mut offsets).zip(rows)).try_for_each_init(
            || (Vec::new(), Vec::new()),
            |(features, whole), ((lines, offset), &row)| {
                monitor.check()?;
                whole.clear();
                scale.quantize(points.row(row as usize), features, whole);
                let code = lines.as_flattened_mut();
                coarsen(whole, scale.code.step, scale.code.most, code);
                *offset = match points.metric() {
                    // Half the squared length of the code itself: so the nearest codes have the greatest scores.
                    Metric::Cosine | Metric::L2sq => dot_i8(code, code) as i32 / 2,
                    Metric::Ip => (scale.base()[row as usize] / unit) as i32,
                };
                Ok(())
            },
        )?;
        Ok(Self { width, lines, offsets, instructions: search.instructions })
    }

    pub(super) fn lines(&self, point: u32) -> &Lines {
        &self.lines[point as usize * self.width..][..self.width]
    }

    /// The score of a pair for one of the two, of which `other` is the other.
    #[inline(always)]
    pub fn score(&self, sum: i32, other: u32) -> i32 {
        sum - self.offsets[other as usize]
    }
}

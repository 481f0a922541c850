//! From features to whole numbers, and back to distances.

use super::super::points::{Metric, Points};
use super::super::search::Search;
use crate::core::kernels::coarsen;

/// No row of whole numbers is longer, so that every sum of products is within 2^30.
pub(super) const LENGTH: f64 = 32_700.0;

/// Rows by which the step to 8 bits is chosen.
const SAMPLE: usize = 200;

/// A limit on a sum that is below every sum, whatever the offset.
pub(in crate::core::knn) const ANY: i32 = -1_600_000_000;

/// A limit on a sum that is above every sum.
pub(in crate::core::knn) const NONE: i32 = 1 << 30;

/// From a row's values to whole numbers, and from sums of their products to distances.
#[derive(Debug, Clone, Copy)]
pub(in crate::core::knn) struct Scale {
    metric: Metric,
    pub(super) scale: f64,
    /// The greatest length of a row.
    longest: f64,
    /// `|r|` of a row, at most.
    error: f64,
    /// From whole numbers of 16 bits to those of 8 bits.
    pub(super) step: i16,
}

impl Scale {
    /// The scale for both sides of a search, the base and the queries.
    pub fn new(search: &Search) -> Self {
        let (base, longest) = (search.base, search.longest());
        // Rounding makes q longer by at most half a unit in each dimension.
        let rounding = (base.dim() as f64).sqrt() / 2.0;
        let scale = (longest / (LENGTH - rounding)).max(1e-30);
        // The factor of a row and its product with a value are rounded to single precision besides.
        let error = scale * rounding * (1.0 + 1e-6) + longest * 2e-7;
        Self { metric: base.metric(), scale, longest, error, step: step(base, scale) }
    }

    /// How far a distance can be from the exact one, for a row of this squared length.
    pub fn margin(&self, squared_length: f64) -> f32 {
        // What a few operations in single precision can be off.
        const ROUNDING: f64 = 8.0 * f32::EPSILON as f64 / 2.0;
        let length = squared_length.sqrt();
        let product = self.error * (length + self.longest + self.error);
        let margin = match self.metric {
            Metric::Cosine | Metric::Ip => product + ROUNDING * (1.0 + length * self.longest),
            Metric::L2sq => 2.0 * product + ROUNDING * (length + self.longest).powi(2),
        };
        (margin + f64::from(f32::MIN_POSITIVE)) as f32
    }

    /// The sum from which on a pair is within `distance` of a row, less the other's [`Self::offset`].
    pub fn limit(&self, distance: f32, squared_length: f64) -> i32 {
        if distance == f32::INFINITY {
            return ANY;
        }
        let distance = f64::from(distance);
        match self.metric {
            Metric::Cosine | Metric::Ip => self.sum(1.0 - distance),
            Metric::L2sq => self.sum((squared_length - distance) / 2.0),
        }
    }

    /// What a row's squared length adds to the limit of another.
    pub fn offset(&self, squared_length: f64) -> i32 {
        match self.metric {
            Metric::Cosine | Metric::Ip => 0,
            Metric::L2sq => self.sum(squared_length / 2.0),
        }
    }

    /// The distance of a pair, from the sum of its products and that of its squared lengths.
    pub fn distance(&self, sum: i32, squared_lengths: f64) -> f32 {
        let product = f64::from(sum) * self.scale * self.scale;
        match self.metric {
            Metric::Cosine | Metric::Ip => (1.0 - product) as f32,
            Metric::L2sq => (squared_lengths - 2.0 * product) as f32,
        }
    }

    /// The sum of an inner product, rounded down, at most [`NONE`].
    fn sum(&self, product: f64) -> i32 {
        (product / (self.scale * self.scale)).floor().clamp(f64::from(ANY), f64::from(NONE)) as i32
    }
}

/// The step from 16 bits to 8 bits that leaves least, judged by some of the rows: numbers beyond 127
/// steps are cut, so that a few large ones need not make all others coarse.
fn step(points: &Points, scale: f64) -> i16 {
    let mut sample = Vec::new();
    let every = points.len().div_ceil(SAMPLE).max(1);
    (0..points.len()).step_by(every).for_each(|row| points.row(row).quantize(1.0 / scale, &mut sample));
    let mut coarse = vec![0; sample.len()];
    let mut left = |step: i16| coarsen(&sample, step, &mut coarse).1;
    // The whole range of 16 bits takes a step of 258.
    let steps = (2..=258).filter(|step: &i16| step.count_ones() <= 2);
    steps.min_by(|&a, &b| left(a).total_cmp(&left(b))).unwrap_or(2)
}

//! From features to whole numbers, and back to distances.
//!
//! What all points have in common says nothing about their distances, and takes up the range of whole numbers;
//! so it is subtracted. Let `x' = x - m`, with `m` the mean of the base's points. Then every distance is
//! `times * (constant + s_x + s_y - <x', y'>)`, with a *share* `s` of each point:
//!
//! - `l2sq`, `|x - y|^2`: 2 times, no constant, and `s_x = |x'|^2 / 2`.
//! - `cosine`, `1 - <x, y>` of rows of length 1, so `|x - y|^2 / 2`: once, no constant, and `s_x = |x'|^2 / 2`.
//! - `ip`, `1 - <x, y>`: once, `1 - |m|^2`, and `s_x = -<x', m>`.
//!
//! This holds for any `m`, so the mean need not be exact.

use rayon::prelude::*;

use super::super::points::{Metric, Points};
use super::super::search::Search;
use crate::core::error::Result;
use crate::core::kernels::{coarsen, dot_f64, quantize};
use crate::core::monitor::Monitor;
use crate::core::row::Row;
use crate::core::sparse::ROWS;

/// No row of whole numbers is longer, so that every sum of products is within `LENGTH^2`, 1,069,290,000.
pub(super) const LENGTH: f64 = 32_700.0;

/// No share, as a sum of products, is beyond it on either side. `LENGTH^2 / 2` is not.
const LARGEST_SHARE: f64 = (1 << 29) as f64;

/// Rows by which the step to 8 bits is chosen.
const SAMPLE: usize = 200;

/// A limit on a sum that is below every sum, whatever share is added; with a share it is within 32 bits.
pub(in crate::core::knn) const ANY: i32 = -1_610_000_000;

/// A limit on a sum that is above every sum.
pub(in crate::core::knn) const NONE: i32 = 1 << 30;

/// From a row's values to whole numbers, and from sums of their products to distances.
#[derive(Debug)]
pub(in crate::core::knn) struct Scale {
    metric: Metric,
    /// `m`.
    centre: Vec<f64>,
    constant: f64,
    /// The shares of the base's points, and of the queries where these are others.
    base: Vec<f64>,
    queries: Option<Vec<f64>>,
    pub(super) scale: f64,
    margin: f32,
    /// From whole numbers of 16 bits to those of 8 bits, and to those that are multiplied first.
    pub(super) code: Code,
    pub(super) first: Code,
}

/// Whole numbers of few bits: multiples of a step, of `-most` to `most`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Code {
    pub step: i16,
    pub most: i8,
}

impl Scale {
    /// Bytes of so many points.
    pub fn memory(points: usize) -> u64 {
        (points * size_of::<f64>()) as u64
    }

    /// The scale for both sides of a search, the base and the queries.
    ///
    /// # Errors
    /// If the run is stopped.
    pub fn new(search: &Search, monitor: &Monitor) -> Result<Self> {
        let base = search.base;
        let metric = base.metric();
        let centre = mean(base, monitor)?;
        let of_base = shares(base, &centre, monitor)?;
        let of_queries = search.queries.map(|queries| shares(queries, &centre, monitor)).transpose()?;
        let both = || std::iter::once(&of_base).chain(&of_queries);
        let longest = both().fold(0.0f64, |most, (_, longest)| most.max(*longest));
        let largest = both().flat_map(|(shares, _)| shares).fold(0.0f64, |most, share| most.max(share.abs()));
        // Rounding makes q longer by at most half a unit in each dimension.
        let rounding = (base.dim() as f64).sqrt() / 2.0;
        let scale = (longest / (LENGTH - rounding)).max((largest / LARGEST_SHARE).sqrt());
        // Points that are all equal may have any.
        let scale = scale.max(1e-100);
        // The product with a value is rounded to single precision besides.
        let error = scale * rounding * (1.0 + 1e-6) + longest * 2e-7;
        let constant = match metric {
            Metric::Cosine | Metric::L2sq => 0.0,
            Metric::Ip => 1.0 - dot_f64(&centre, &centre),
        };
        let (code, first) = (Code::new(base, &centre, scale, i8::MAX), search.instructions.most());
        Ok(Self {
            metric,
            constant,
            base: of_base.0,
            queries: of_queries.map(|(shares, _)| shares),
            scale,
            margin: margin(search, longest, error),
            code,
            first: if first == code.most { code } else { Code::new(base, &centre, scale, first) },
            centre,
        })
    }

    /// The shares of the base's points.
    pub fn base(&self) -> &[f64] {
        &self.base
    }

    /// The shares of the queries, which may be the base's points.
    pub fn queries(&self) -> &[f64] {
        self.queries.as_deref().unwrap_or(&self.base)
    }

    /// How far a distance can be from the exact one.
    pub fn margin(&self) -> f32 {
        self.margin
    }

    /// Append a row's whole numbers; `features` is for use in between.
    pub fn quantize(&self, row: Row, features: &mut Vec<f64>, whole: &mut Vec<i16>) {
        row.centred(&self.centre, features);
        quantize(features, 1.0 / self.scale, whole);
    }

    /// The sum from which on a pair is within `distance` of a row with this share, less the other's [`Self::offset`].
    pub fn limit(&self, distance: f32, share: f64) -> i32 {
        if distance == f32::INFINITY {
            return ANY;
        }
        let sum = self.sum(self.constant + share - f64::from(distance) / self.times());
        sum.clamp(f64::from(ANY), f64::from(NONE)) as i32
    }

    /// What a point's share adds to the limit of another.
    pub fn offset(&self, share: f64) -> i32 {
        self.sum(share) as i32
    }

    /// The distance of a pair, from the sum of its products and that of its shares.
    pub fn distance(&self, sum: i32, shares: f64) -> f32 {
        let product = f64::from(sum) * self.scale * self.scale;
        (self.times() * (self.constant + shares - product)) as f32
    }

    fn times(&self) -> f64 {
        if self.metric == Metric::L2sq { 2.0 } else { 1.0 }
    }

    /// An inner product as a sum, rounded down.
    fn sum(&self, product: f64) -> f64 {
        (product / (self.scale * self.scale)).floor()
    }
}

/// The mean of the points, the same on any number of threads.
fn mean(points: &Points, monitor: &Monitor) -> Result<Vec<f64>> {
    let zeros = vec![0.0; points.dim()];
    let rows: Vec<usize> = (0..points.len()).step_by(ROWS).collect();
    let sum = |&first: &usize| {
        monitor.check()?;
        let (mut sum, mut features) = (zeros.clone(), Vec::new());
        for row in first..points.len().min(first + ROWS) {
            points.row(row).centred(&zeros, &mut features);
            sum.iter_mut().zip(&features).for_each(|(sum, x)| *sum += x);
        }
        Ok(sum)
    };
    let sums: Vec<Vec<f64>> = rows.par_iter().map(sum).collect::<Result<_>>()?;
    let n = points.len() as f64;
    Ok((0..points.dim()).map(|at| sums.iter().map(|sum| sum[at]).sum::<f64>() / n).collect())
}

/// The share of each point, and the greatest length of one less the centre.
fn shares(points: &Points, centre: &[f64], monitor: &Monitor) -> Result<(Vec<f64>, f64)> {
    let mut shares = vec![0.0; points.len()];
    let of_row = |features: &mut Vec<f64>, (row, share): (usize, &mut f64)| {
        monitor.check()?;
        points.row(row).centred(centre, features);
        let square = dot_f64(features, features);
        *share = match points.metric() {
            Metric::Cosine | Metric::L2sq => square / 2.0,
            Metric::Ip => -dot_f64(features, centre),
        };
        Ok(square)
    };
    let squares = shares.par_iter_mut().enumerate().map_init(Vec::new, of_row);
    let longest = squares.try_reduce(|| 0.0, |a, b| Ok(a.max(b)))?.sqrt();
    Ok((shares, longest))
}

/// How far a distance can be from the exact one, where no point less the centre is longer than `longest`, and
/// none has an `error`, `|r|`, above this.
fn margin(search: &Search, longest: f64, error: f64) -> f32 {
    // What a few operations in single precision can be off.
    const ROUNDING: f64 = 8.0 * f32::EPSILON as f64 / 2.0;
    let product = error * (2.0 * longest + error);
    // No two points are further apart.
    let apart = (2.0 * longest).powi(2);
    let margin = match search.base.metric() {
        // Rows are of length 1 but for rounding to single precision, e. So the exact distance d, which goes by
        // their angle alone, is off by 2e d and 2e^2; and by the rounding of 1 and of sums of up to 1, in double
        // precision.
        Metric::Cosine => product + ROUNDING * apart / 2.0 + 1e-15 * (search.base.dim() as f64 + 10.0),
        Metric::Ip => product + ROUNDING * (1.0 + search.longest().powi(2)),
        Metric::L2sq => 2.0 * product + ROUNDING * apart,
    };
    (margin + f64::from(f32::MIN_POSITIVE)) as f32
}

impl Code {
    /// With the step that leaves least, judged by some of the rows: numbers beyond `most` steps are cut, so that a
    /// few large ones need not make all others coarse.
    fn new(points: &Points, centre: &[f64], scale: f64, most: i8) -> Self {
        let (mut sample, mut features) = (Vec::new(), Vec::new());
        let every = points.len().div_ceil(SAMPLE).max(1);
        for row in (0..points.len()).step_by(every) {
            points.row(row).centred(centre, &mut features);
            quantize(&features, 1.0 / scale, &mut sample);
        }
        let mut coarse = vec![0; sample.len()];
        let mut left = |step: i16| coarsen(&sample, step, most, &mut coarse).1;
        // The last takes the whole range of 16 bits.
        let steps = (2..=i16::MAX / i16::from(most)).filter(|step: &i16| step.count_ones() <= 2);
        let step = steps.min_by(|&a, &b| left(a).total_cmp(&left(b))).unwrap_or(2);
        Self { step, most }
    }
}

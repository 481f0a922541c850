//! Embeddings under a metric.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::core::embeddings::{Embeddings, Precision};
use crate::core::error::{Error, PointProblem, Result};
use crate::core::monitor::Monitor;
use crate::core::row::Row;

/// How far two points are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Metric {
    /// `1 - cos(x, y)`, never below 0.
    #[default]
    Cosine,
    /// `1 - <x, y>`; below 0 for long vectors.
    Ip,
    /// `||x - y||^2`.
    L2sq,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 3] = [Self::Cosine, Self::Ip, Self::L2sq];

    /// `cosine`, `ip` or `l2sq`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Ip => "ip",
            Self::L2sq => "l2sq",
        }
    }

    /// What it is, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Cosine => "1 - cos",
            Self::Ip => "1 - inner product",
            Self::L2sq => "squared Euclidean",
        }
    }
}

/// Refuse a point of this squared length.
///
/// # Errors
/// If it is 0 under cosine, or too great for single precision under another metric.
pub fn check_length(metric: Metric, squared_length: f64) -> Result<(), PointProblem> {
    // A product of two rows, and the sum of two squared lengths, must stay below f32::MAX.
    match metric {
        Metric::Cosine if squared_length == 0.0 => Err(PointProblem::ZeroVector),
        Metric::Ip | Metric::L2sq if squared_length > f64::from(f32::MAX) / 4.0 => Err(PointProblem::TooLong),
        _ => Ok(()),
    }
}

/// The length of the longest row, at least, unless all are zero: such rows that differ in the last bit of their
/// greatest feature have a squared distance of 2^-126, which is as small as a normal number of single precision gets.
const SHORTEST: f64 = 1.0 / (1u64 << 39) as f64;

/// Refuse points of which the longest has this length.
///
/// # Errors
/// If their squared distances would not fit single precision.
pub fn check_longest(metric: Metric, longest: f64) -> Result<(), PointProblem> {
    if metric == Metric::L2sq && longest > 0.0 && longest < SHORTEST {
        return Err(PointProblem::TooShort);
    }
    Ok(())
}

/// N points, with what a distance needs of each.
#[derive(Debug, Clone)]
pub struct Points {
    embeddings: Embeddings,
    metric: Metric,
    squared_lengths: Vec<f64>,
}

impl Points {
    /// Take embeddings under a metric. Under cosine they are scaled to length 1.
    ///
    /// # Errors
    /// If a vector is zero under cosine, or too long for single precision under another metric, or the
    /// run is stopped.
    pub fn new(mut embeddings: Embeddings, metric: Metric, monitor: &Monitor) -> Result<Self> {
        if metric == Metric::Cosine {
            embeddings.normalize(monitor)?;
        }
        let squared_length = |row: usize| monitor.check().map(|()| embeddings.row(row).dot(embeddings.row(row)));
        let squared_lengths: Vec<f64> =
            (0..embeddings.len()).into_par_iter().map(squared_length).collect::<Result<_>>()?;
        for (row, &squared_length) in squared_lengths.iter().enumerate() {
            check_length(metric, squared_length).map_err(|problem| Error::point(row, problem))?;
        }
        Ok(Self { embeddings, metric, squared_lengths })
    }

    /// A copy of these points, in this order.
    pub fn select(&self, rows: &[u32]) -> Self {
        let squared_lengths = rows.iter().map(|&row| self.squared_lengths[row as usize]).collect();
        Self { embeddings: self.embeddings.select(rows), metric: self.metric, squared_lengths }
    }

    /// N, the number of points.
    pub fn len(&self) -> usize {
        self.embeddings.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.embeddings.is_empty()
    }

    /// D, the number of dimensions.
    pub fn dim(&self) -> usize {
        self.embeddings.dim()
    }

    /// The metric.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// How the features are stored.
    pub fn precision(&self) -> Precision {
        self.embeddings.precision()
    }

    /// The distance between a point and one of `other`, as their features are stored: the same bits
    /// on every machine, and in both directions.
    ///
    /// # Panics
    /// If the other's precision is another.
    pub fn distance(&self, row: usize, other: &Self, other_row: usize) -> f32 {
        let (x, y) = (self.row(row), other.row(other_row));
        match self.metric {
            // Dividing by the lengths once more makes the distance of equal rows exactly 0.
            Metric::Cosine => {
                let lengths = (self.squared_lengths[row] * other.squared_lengths[other_row]).sqrt();
                (1.0 - x.dot(y) / lengths).max(0.0) as f32
            }
            Metric::Ip => (1.0 - x.dot(y)) as f32,
            Metric::L2sq => x.squared_distance(y) as f32,
        }
    }

    /// An order in which rows of equal features, and no others, are equal.
    pub(super) fn compare(&self, row: usize, other: usize) -> Ordering {
        let lengths = self.squared_lengths[row].total_cmp(&self.squared_lengths[other]);
        lengths.then_with(|| self.row(row).partial_cmp(&self.row(other)).expect("features are finite"))
    }

    /// The greatest length of a point, 0 if there is none.
    pub(super) fn longest(&self) -> f64 {
        self.squared_lengths.iter().copied().fold(0.0, f64::max).sqrt()
    }

    /// The first of the longest points, 0 if there is none.
    pub(super) fn longest_row(&self) -> usize {
        let longest = self.longest();
        self.squared_lengths.iter().position(|length| length.sqrt() == longest).unwrap_or(0)
    }

    /// The features of one point, as the metric sees them.
    pub fn row(&self, row: usize) -> Row<'_> {
        self.embeddings.row(row)
    }
}

//! Features of a pair beside its two vectors: how close the two are under a metric fitted to the
//! labels, how dense it is around each, and how far their neighborhoods agree.
//!
//! The metric is within-class covariance normalization (Hatch et al. 2006): directions in which
//! points of one identity differ count less. Densities and agreement come from soft adjacencies
//! `exp((cos - 1) / t)` at several scales `t`, over the anchor's neighborhood; the agreement of two
//! rows is what TPDi measures (equation 6 of the paper), and the cosine of the two diffused vectors.

use std::ops::RangeInclusive;

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};
use rayon::prelude::*;

use super::measure::Calibration;
use super::neighborhood_tokens::NeighborhoodTokens;
use crate::core::error::Result;
use crate::core::knn::Points;
use crate::core::monitor::Monitor;

/// Scales of the adjacencies, in units of the cosine that a calibrated logit of 1 stands for: from that
/// unit on, doubled. Chosen by hand; no comparison with others is kept.
pub const SCALES: [f32; 3] = [1.0, 2.0, 4.0];

/// Features of a pair.
pub const FEATURES: usize = 3 + 4 * SCALES.len();

/// Least length of a whitened vector, and squared length of a diffused one, so that zero does not divide.
pub const LEAST: f32 = 1e-12;

/// Weight of the identity beside the covariance, whose mean variance is 1: as much as the covariance, so
/// that directions without variance do not count without bound. Chosen by hand, likewise.
const SHRINKAGE: f64 = 1.0;

/// Rows whose covariance is summed in one product, between two looks at whether to stop.
const BLOCK: usize = 1024;

/// Most parts that are summed on their own, each a matrix D x D. A fixed number, so that the sums do not
/// depend on the threads.
const PARTS: usize = 32;

/// What a calibrated slope is brought to, in logits a unit of the cosine, so that the scales make sense
/// where the pairs are of one kind up to chance, or a threshold separates them.
const SLOPES: RangeInclusive<f64> = 1.0..=100.0;

/// Least standard deviation that a feature is divided by: one that is the same for all pairs stays so.
const LEAST_DEVIATION: f64 = 1e-6;

#[derive(Debug, Clone)]
pub struct Context {
    /// Subtracted from a vector, D.
    pub center: Array1<f32>,
    /// Then multiplied from the right, D x D.
    pub whitening: Array2<f32>,
    /// `1 / t` of each scale.
    pub sharpness: [f32; SCALES.len()],
    /// Of each feature over the training pairs.
    pub mean: Array1<f32>,
    /// 1 / the standard deviation of each feature over the training pairs.
    pub inverse: Array1<f32>,
}

impl Context {
    /// Fit the metric to labelled points; scales and standardization follow by
    /// [`Context::calibrate`] and [`Context::standardize`].
    pub fn fit(points: &Points, labels: &[u32], monitor: &Monitor) -> Result<Self> {
        let (center, covariance) = within(points, labels, monitor)?;
        Ok(Self {
            center: center.mapv(|x| x as f32),
            whitening: whitening(covariance),
            sharpness: [0.0; SCALES.len()],
            mean: Array1::zeros(FEATURES),
            inverse: Array1::ones(FEATURES),
        })
    }

    /// Set the scales by the calibration of the fitted metric's cosine.
    pub fn calibrate(&mut self, calibration: Calibration) {
        self.sharpness = SCALES.map(|scale| calibration.slope.clamp(*SLOPES.start(), *SLOPES.end()) as f32 / scale);
    }

    /// Bring the features of these pairs to mean 0 and variance 1.
    pub fn standardize(&mut self, features: &mut Array2<f32>) {
        let sums = features.axis_iter(Axis(1)).map(|column| {
            let n = column.len().max(1) as f64;
            let mean = column.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let variance = column.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
            (mean as f32, (1.0 / variance.sqrt().max(LEAST_DEVIATION)) as f32)
        });
        let (means, inverses): (Vec<f32>, Vec<f32>) = sums.unzip();
        (self.mean, self.inverse) = (means.into(), inverses.into());
        *features -= &self.mean;
        *features *= &self.inverse;
    }

    /// Vectors under the fitted metric, of length 1.
    fn whitened(&self, tokens: &ArrayView2<'_, f32>) -> Array2<f32> {
        let mut whitened = (tokens - &self.center).dot(&self.whitening);
        for mut row in whitened.rows_mut() {
            let length = row.dot(&row).sqrt().max(LEAST);
            row /= length;
        }
        whitened
    }

    /// The cosine of each pair under the fitted metric.
    pub fn cosines(&self, neighborhoods: &NeighborhoodTokens) -> Vec<f32> {
        let pairs = neighborhoods.each().flat_map(|tokens| {
            let whitened = self.whitened(&tokens);
            whitened.slice(s![1.., ..]).dot(&whitened.row(0)).into_iter()
        });
        pairs.collect()
    }

    /// Pairs x [`FEATURES`].
    pub fn features(&self, neighborhoods: &NeighborhoodTokens) -> Array2<f32> {
        let mut features = Array2::zeros((neighborhoods.pairs(), FEATURES));
        for (tokens, pairs) in neighborhoods.each().zip(neighborhoods.pair_ranges()) {
            let whitened = self.whitened(&tokens);
            self.of_anchor(&whitened.dot(&whitened.t()), &mut features.slice_mut(s![pairs, ..]));
        }
        features -= &self.mean;
        features *= &self.inverse;
        features
    }

    /// From the cosines among an anchor, which is first, and its neighbors.
    fn of_anchor(&self, cosines: &Array2<f32>, features: &mut ndarray::ArrayViewMut2<'_, f32>) {
        let mut column = 0;
        let mut put = |values: Array1<f32>| {
            features.column_mut(column).assign(&values);
            column += 1;
        };
        let pairs = cosines.nrows() - 1;
        let of_anchor = |values: &Array1<f32>| Array1::from_elem(pairs, values[0]);
        let of_neighbors = |values: &Array1<f32>| values.slice(s![1..]).to_owned();
        put(cosines.slice(s![0, 1..]).to_owned());
        let mean = cosines.sum_axis(Axis(1)) / cosines.nrows() as f32;
        put(of_anchor(&mean));
        put(of_neighbors(&mean));
        for sharpness in self.sharpness {
            let mut adjacency = cosines.mapv(|cosine| ((cosine - 1.0) * sharpness).exp());
            let degree = adjacency.sum_axis(Axis(1));
            adjacency /= &degree.view().insert_axis(Axis(1));
            let roots = adjacency.mapv(f32::sqrt);
            put(roots.slice(s![1.., ..]).dot(&roots.row(0)));
            // Inner products of the diffused vectors, without the vectors.
            let diffused = adjacency.dot(cosines);
            let squares = Zip::from(diffused.rows()).and(adjacency.rows()).map_collect(|x, y| x.dot(&y).max(LEAST));
            let mut agreement = adjacency.slice(s![1.., ..]).dot(&diffused.row(0));
            Zip::from(&mut agreement).and(&squares.slice(s![1..])).for_each(|x, y| *x /= (squares[0] * y).sqrt());
            put(agreement);
            let density = degree.mapv(f32::ln);
            put(of_anchor(&density));
            put(of_neighbors(&density));
        }
    }
}

/// The mean of all points, and the covariance of points about the mean of their label.
fn within(points: &Points, labels: &[u32], monitor: &Monitor) -> Result<(Array1<f64>, Array2<f64>)> {
    let (dim, n) = (points.dim(), points.len());
    let mut features = Vec::new();
    let classes = labels.iter().max().map_or(0, |&label| label as usize + 1);
    let (mut means, mut sizes) = (Array2::<f64>::zeros((classes, dim)), vec![0.0; classes]);
    let mut center = Array1::<f64>::zeros(dim);
    for (row, &label) in labels.iter().enumerate() {
        points.row(row).decode(1.0, &mut features);
        let label = label as usize;
        means.row_mut(label).iter_mut().zip(&features).for_each(|(sum, &x)| *sum += f64::from(x));
        center.iter_mut().zip(&features).for_each(|(sum, &x)| *sum += f64::from(x) / n as f64);
        sizes[label] += 1.0;
    }
    means.outer_iter_mut().zip(&sizes).for_each(|(mut mean, size)| mean /= f64::max(*size, 1.0));
    let rows: Vec<usize> = (0..n).filter(|&row| sizes[labels[row] as usize] > 1.0).collect();
    let part = rows.len().div_ceil(PARTS).max(BLOCK);
    let parts = rows.par_chunks(part).map(|rows| {
        let mut sum = Array2::<f64>::zeros((dim, dim));
        let mut features = Vec::new();
        for block in rows.chunks(BLOCK) {
            monitor.check()?;
            let mut differences = Array2::<f64>::zeros((block.len(), dim));
            for (mut difference, &row) in differences.outer_iter_mut().zip(block) {
                points.row(row).decode(1.0, &mut features);
                let label = labels[row] as usize;
                // Every label counts as much, however many points it has.
                let weight = 1.0 / sizes[label].sqrt();
                let mean = means.row(label);
                Zip::from(&mut difference).and(&mean).and(&features[..]).for_each(|difference, mean, &x| {
                    *difference = weight * (f64::from(x) - mean);
                });
            }
            sum += &differences.t().dot(&differences);
        }
        Ok(sum)
    });
    let parts: Vec<Array2<f64>> = parts.collect::<Result<_>>()?;
    let covariance = parts.iter().fold(Array2::zeros((dim, dim)), |sum, part| sum + part);
    Ok((center, covariance))
}

/// The matrix `W` with `W Wᵀ = (C + shrinkage)⁻¹`, where the covariance is scaled to mean variance 1.
fn whitening(mut covariance: Array2<f64>) -> Array2<f32> {
    let dim = covariance.nrows();
    let variance = covariance.diag().sum() / dim as f64;
    if variance > 0.0 {
        covariance /= variance;
    }
    covariance.diag_mut().mapv_inplace(|x| x + SHRINKAGE);
    // Cholesky: C = L Lᵀ, row by row.
    let mut lower = covariance;
    for i in 0..dim {
        for j in 0..=i {
            let rest = lower[[i, j]] - lower.slice(s![i, ..j]).dot(&lower.slice(s![j, ..j]));
            lower[[i, j]] = if i == j { rest.sqrt() } else { rest / lower[[j, j]] };
        }
    }
    // The columns of L⁻¹ by forward substitution; W is its transpose.
    let mut inverse = Array2::<f64>::zeros((dim, dim));
    for column in 0..dim {
        for i in column..dim {
            let one = if i == column { 1.0 } else { 0.0 };
            let rest = one - lower.slice(s![i, column..i]).dot(&inverse.slice(s![column, column..i]));
            inverse[[column, i]] = rest / lower[[i, i]];
        }
    }
    inverse.mapv(|x| x as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::embeddings::Embeddings;
    use crate::core::knn::Metric;

    #[test]
    fn whitening_inverts_the_covariance() {
        let covariance = ndarray::array![[2.0, 0.5, 0.1], [0.5, 1.0, -0.2], [0.1, -0.2, 3.0]];
        let whitening = whitening(covariance.clone()).mapv(f64::from);
        let product = whitening.dot(&whitening.t()).dot(&(covariance / 2.0 + Array2::<f64>::eye(3)));
        assert!((product - Array2::<f64>::eye(3)).iter().all(|x| x.abs() < 1e-6));
    }

    #[test]
    fn directions_within_an_identity_count_less() {
        // Identities differ in the first two directions, points of one in the third.
        let mut values = Vec::new();
        for point in 0..20 {
            let angle = f64::from(point / 2) * 0.6;
            values.extend([angle.cos() as f32, angle.sin() as f32, if point % 2 == 0 { 0.5 } else { -0.5 }]);
        }
        let points = Points::new(Embeddings::new(values, 3).unwrap(), Metric::Cosine, &Monitor::new()).unwrap();
        let labels: Vec<u32> = (0..20).map(|point| point / 2).collect();
        let context = Context::fit(&points, &labels, &Monitor::new()).unwrap();
        let pairs = NeighborhoodTokens::new(&points, [(0, &[1, 2][..])].into_iter());
        let (raw, fitted) = (pairs.cosines(), context.cosines(&pairs));
        assert!(raw[0] < raw[1] && fitted[0] > fitted[1], "{raw:?} {fitted:?}");
    }
}

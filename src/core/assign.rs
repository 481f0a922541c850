//! New points for a clustering that stands: each joins a cluster, or none, as if it alone had been
//! added to the base.
//!
//! A new point x takes its place in the k-NN graph: its own neighbors are base points, and where it
//! is nearer to one of them than that one's k-th neighbor, it takes that place. So the transition rows
//! of x and of its neighbors, and the distances between them, are those of a run over the base and x.
//! Of the densities only that of x is computed, where the diffusion
//! `rho_x = p_xx rho_x + sum_j p_jx rho_j` rests while its neighbors keep theirs. Then x joins as in
//! [`dpc`](crate::core::dpc); and where it would be a peak, the cluster whose points would join it.

use rayon::prelude::*;

use crate::core::dpc::check_tau;
use crate::core::error::Result;
use crate::core::knn::{KnnGraph, KnnOptions, Method, Points, knn_queries};
use crate::core::monitor::Monitor;
use crate::core::similarity::Kernel;
use crate::core::transition::of_neighbors;

/// How new points join.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AssignOptions {
    /// Neighbors a point, at least 1.
    pub k: usize,
    /// Of the transition probabilities.
    pub kernel: Kernel,
    /// Largest distance to the point that is joined, between 0 and 1.
    pub tau: f64,
}

/// What became of a new point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assignment {
    /// Row of the base point that it joins, or `None`.
    pub parent: Option<u32>,
    /// Distance to that point; without one, to the nearest neighbor of higher density, `None`
    /// without such.
    pub delta: Option<f64>,
    /// Its density.
    pub density: f64,
}

/// Assign each of `new`. Of each base point there is its density and its delta in the clustering,
/// infinite where it has none.
///
/// # Errors
/// If an option is out of range, the two are of different dimensions, metrics or precisions, a
/// distance is negative (`ip` of vectors longer than 1; the edge counts new points after those of the
/// base), or the run is stopped.
pub fn assign(
    base: &Points,
    new: &Points,
    density: &[f64],
    delta: &[f64],
    options: &AssignOptions,
    monitor: &Monitor,
) -> Result<Vec<Assignment>> {
    check_tau(options.tau)?;
    let knn = KnnOptions { k: options.k, method: Method::Exact, ..Default::default() };
    let of_new = knn_queries(base, new, &[], &knn, monitor)?;
    let mut met: Vec<u32> = (0..of_new.len()).flat_map(|row| of_new.row(row).0).copied().collect();
    met.par_sort_unstable();
    met.dedup();
    let of_met = knn_queries(base, &base.select(&met), &met, &knn, monitor)?;
    let around = Around { of_new, of_met, met, density, delta, options };
    (0..new.len())
        .into_par_iter()
        .map_init(
            || vec![0.0; base.len()],
            |roots, row| {
                monitor.check()?;
                around.assign(row, roots)
            },
        )
        .collect()
}

/// A base point seen from a new one.
#[derive(Debug, Clone, Copy)]
struct BaseNeighbor {
    row: u32,
    distance: f64,
    density: f64,
    /// Whether its delta is greater, so that it would have the new point as its parent.
    would_join: bool,
}

struct Around<'a> {
    of_new: KnnGraph,
    /// Rows of the neighbors met, which are `met`, in order.
    of_met: KnnGraph,
    met: Vec<u32>,
    density: &'a [f64],
    delta: &'a [f64],
    options: &'a AssignOptions,
}

impl Around<'_> {
    /// `roots` is 0 for every base point, and so again at the end.
    fn assign(&self, row: usize, roots: &mut [f64]) -> Result<Assignment> {
        let (neighbors, distances) = self.of_new.row(row);
        let kernel = self.options.kernel;
        let point = self.density.len() + row;
        let similarities = neighbors.iter().zip(distances).map(|(&j, &d)| of_neighbors(kernel, point, j, d));
        let similarities: Vec<f64> = similarities.collect::<Result<_>>()?;
        let sum = 1.0 + similarities.iter().sum::<f64>();
        neighbors.iter().zip(&similarities).for_each(|(&j, s)| roots[j as usize] = (s / sum).sqrt());
        let mut inflow = 0.0;
        let around: Result<Vec<BaseNeighbor>> = neighbors
            .iter()
            .zip(distances.iter().zip(&similarities))
            .map(|(&j, (&distance, &similarity))| {
                let (shared, back) = self.shared(j, distance, similarity, roots)?;
                inflow += back * self.density[j as usize];
                let shared = shared + (back / sum).sqrt();
                let distance = (1.0 - shared).clamp(0.0, 1.0);
                let would_join = distance < self.delta[j as usize];
                Ok(BaseNeighbor { row: j, distance, density: self.density[j as usize], would_join })
            })
            .collect();
        neighbors.iter().for_each(|&j| roots[j as usize] = 0.0);
        // Without a way out, the new point keeps the mass that it begins with.
        let leaving = 1.0 - 1.0 / sum;
        let density = if leaving > 0.0 { inflow / leaving } else { 1.0 };
        Ok(join(&around?, density, self.options.tau))
    }

    /// What the rows of the new point and of its neighbor `j` share over base columns, and the
    /// probability of a step from `j` to the new point.
    fn shared(&self, j: u32, distance: f32, similarity: f64, roots: &[f64]) -> Result<(f64, f64)> {
        let kernel = self.options.kernel;
        let at = self.met.binary_search(&j).expect("every neighbor was met");
        let (neighbors, distances) = self.of_met.row(at);
        let nearer = neighbors.len() < self.options.k || distances.last().is_none_or(|&kth| distance < kth);
        let kept = if nearer { neighbors.len().min(self.options.k - 1) } else { neighbors.len() };
        let back = if nearer { similarity } else { 0.0 };
        let (mut sum, mut shared) = (1.0 + back, roots[j as usize]);
        for (&c, &distance) in neighbors[..kept].iter().zip(distances) {
            let similarity = of_neighbors(kernel, j as usize, c, distance)?;
            sum += similarity;
            shared += roots[c as usize] * similarity.sqrt();
        }
        Ok((shared / sum.sqrt(), back / sum))
    }
}

/// The nearest neighbor of higher density, if it is nearer than tau; else the nearest of those that
/// would join the new point.
fn join(around: &[BaseNeighbor], density: f64, tau: f64) -> Assignment {
    let nearest = |wanted: &dyn Fn(&BaseNeighbor) -> bool| {
        around.iter().filter(|neighbor| wanted(neighbor)).min_by(|a, b| {
            let by_distance = a.distance.total_cmp(&b.distance);
            by_distance.then(b.density.total_cmp(&a.density)).then(a.row.cmp(&b.row))
        })
    };
    // Of equal densities that of the new point is the lower, so that it joins.
    let above = nearest(&|neighbor| neighbor.density >= density);
    let below = || nearest(&|neighbor| neighbor.density < density && neighbor.would_join);
    let near = |neighbor: &&BaseNeighbor| neighbor.distance < tau;
    let joined = above.filter(near).or_else(|| below().filter(near));
    let delta = joined.or(above).map(|neighbor| neighbor.distance);
    Assignment { parent: joined.map(|neighbor| neighbor.row), delta, density }
}

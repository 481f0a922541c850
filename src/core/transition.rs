//! Stage 2, the transition matrix P: `p_ij = s_ij / sum_j s_ij` over a point itself (similarity 1)
//! and its neighbors (section 3.1 of the paper). Rows sum to 1.

use rayon::prelude::*;

use crate::core::error::{EdgeProblem, Error, Result};
use crate::core::knn::KnnGraph;
use crate::core::monitor::Monitor;
use crate::core::similarity::Kernel;
use crate::core::sparse::{Matrix, ROWS, from_rows, matrix, row, units};

/// P of a k-NN graph.
///
/// # Errors
/// If a distance is negative (`ip` of vectors longer than 1), or the run is stopped.
pub fn from_graph(graph: &KnnGraph, kernel: Kernel, monitor: &Monitor) -> Result<Matrix> {
    let similarity = kernel.function();
    let similarity = |i, j, distance| graph_distance(i, j, distance).map(similarity);
    build(graph.len(), |i| graph.row(i), similarity, monitor)
}

/// The similarity of two neighbors of a graph.
pub(crate) fn of_neighbors(kernel: Kernel, i: usize, j: u32, distance: f32) -> Result<f64> {
    graph_distance(i, j, distance).map(|distance| kernel.similarity(distance))
}

/// P of edges with a distance each. An edge from a point to itself is not needed and left out.
///
/// # Errors
/// If a distance is negative or not finite, or the run is stopped.
pub fn from_distances(distances: &Matrix, kernel: Kernel, monitor: &Monitor) -> Result<Matrix> {
    let similarity = kernel.function();
    let similarity = |i, j, distance| checked_distance(i, j, distance).map(similarity);
    build(distances.rows(), |i| row(distances, i), similarity, monitor)
}

/// P of edges with a similarity each, such as a learned probability. An edge from a point to
/// itself is not needed and left out.
///
/// # Errors
/// If a similarity is negative or not finite, or the run is stopped.
pub fn from_similarities(similarities: &Matrix, monitor: &Monitor) -> Result<Matrix> {
    let similarity = |i, j, similarity: f64| {
        let valid = similarity >= 0.0 && similarity.is_finite();
        if valid { Ok(similarity) } else { Err(out_of_range(i, j, "similarity", similarity)) }
    };
    build(similarities.rows(), |i| row(similarities, i), similarity, monitor)
}

/// P of which the steps between two communities are taken away.
///
/// # Errors
/// If the run is stopped.
pub fn within(transition: &Matrix, community: &[u32], monitor: &Monitor) -> Result<Matrix> {
    let (starts, columns, values) = transition.clone().into_raw_storage();
    let mut kept = values;
    units(&starts, &mut kept, ROWS).into_par_iter().try_for_each(|(rows, values)| {
        monitor.check()?;
        let first = starts[rows.start];
        for i in rows {
            let places = starts[i]..starts[i + 1];
            let values = &mut values[places.start - first..places.end - first];
            let mut sum = 0.0;
            for (&j, p) in columns[places].iter().zip(&mut *values) {
                if community[i] != community[j as usize] {
                    *p = 0.0;
                }
                sum += *p;
            }
            values.iter_mut().for_each(|p| *p /= sum);
        }
        Ok::<(), Error>(())
    })?;
    Ok(matrix(transition.rows(), starts, columns, kept))
}

/// A distance this little below 0 is 0, rounded: `ip` of equal vectors of length 1.
const ROUNDING: f64 = 1e-6;

/// A distance of at least 0, or an error that names the edge.
pub(crate) fn checked_distance(i: usize, j: u32, distance: f64) -> Result<f64> {
    at_least_0(distance).ok_or_else(|| out_of_range(i, j, "distance", distance))
}

/// The same in a k-NN graph, where only the inner product gives a distance below 0.
pub(crate) fn graph_distance(i: usize, j: u32, distance: f32) -> Result<f64> {
    let distance = f64::from(distance);
    at_least_0(distance).ok_or_else(|| Error::edge(i, j, EdgeProblem::BelowZero(distance)))
}

fn at_least_0(distance: f64) -> Option<f64> {
    (distance >= -ROUNDING && distance.is_finite()).then(|| distance.max(0.0))
}

fn out_of_range(i: usize, j: u32, name: &'static str, value: f64) -> Error {
    Error::edge(i, j, EdgeProblem::Value { name, value, range: "a finite number of at least 0" })
}

/// Rows of a point itself and its neighbors, divided by their sums. `row` gives a point's neighbors
/// with a value each, and `similarity` turns that value into a similarity.
fn build<'a, V: Copy + 'a>(
    n: usize,
    row: impl Fn(usize) -> (&'a [u32], &'a [V]) + Sync,
    similarity: impl Fn(usize, u32, V) -> Result<f64> + Sync,
    monitor: &Monitor,
) -> Result<Matrix> {
    let fill = |i: usize, entries: &mut Vec<(u32, f64)>| {
        entries.push((i as u32, 1.0));
        let (neighbors, values) = row(i);
        for (&j, &value) in neighbors.iter().zip(values) {
            let similarity = similarity(i, j, value)?;
            if j as usize != i {
                entries.push((j, similarity));
            }
        }
        // In order of the columns, so that the sum is the same whatever the edges' order.
        entries.sort_unstable_by_key(|entry| entry.0);
        let sum: f64 = entries.iter().map(|entry| entry.1).sum();
        entries.iter_mut().for_each(|entry| entry.1 /= sum);
        Ok(())
    };
    from_rows(n, |i| row(i).0.iter().filter(|&&j| j as usize != i).count() + 1, fill, monitor)
}

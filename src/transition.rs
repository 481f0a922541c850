//! Stage 2, the transition matrix P: `p_ij = s_ij / sum_j s_ij` over a point itself (similarity 1)
//! and its neighbors (section 3.1 of the paper). Rows sum to 1.

use rayon::prelude::*;

use crate::error::{EdgeProblem, Error, Result};
use crate::knn::KnnGraph;
use crate::monitor::Monitor;
use crate::similarity::Kernel;
use crate::sparse::{Matrix, matrix, row, row_units};

/// P of a k-NN graph.
///
/// # Errors
/// If a distance is negative (`ip` of vectors longer than 1), or the run is stopped.
pub fn from_graph(graph: &KnnGraph, kernel: Kernel, monitor: &Monitor) -> Result<Matrix> {
    build(
        graph.len(),
        monitor,
        |i| graph.row(i).0.len() + 1,
        |i, entries| {
            let (neighbors, distances) = graph.row(i);
            for (&j, &distance) in neighbors.iter().zip(distances) {
                // Only `ip` gives a distance below 0.
                let range = "at least 0, so under metric 'ip' the embeddings must not be longer than 1; use 'cosine'";
                entries.push((j, similarity_at(kernel, i, j, f64::from(distance), range)?));
            }
            Ok(())
        },
    )
}

/// P of edges with a distance each. An edge from a point to itself is not needed and left out.
///
/// # Errors
/// If a distance is negative or not finite, or the run is stopped.
pub fn from_distances(distances: &Matrix, kernel: Kernel, monitor: &Monitor) -> Result<Matrix> {
    build(
        distances.rows(),
        monitor,
        |i| entries(row(distances, i).0, i),
        |i, entries| {
            let (neighbors, distances) = row(distances, i);
            for (&j, &distance) in neighbors.iter().zip(distances).filter(|(j, _)| **j as usize != i) {
                entries.push((j, similarity_at(kernel, i, j, distance, RANGE)?));
            }
            Ok(())
        },
    )
}

/// P of edges with a similarity each, such as a learned probability. An edge from a point to
/// itself is not needed and left out.
///
/// # Errors
/// If a similarity is negative or not finite, or the run is stopped.
pub fn from_similarities(similarities: &Matrix, monitor: &Monitor) -> Result<Matrix> {
    build(
        similarities.rows(),
        monitor,
        |i| entries(row(similarities, i).0, i),
        |i, entries| {
            let (neighbors, similarities) = row(similarities, i);
            for (&j, &similarity) in neighbors.iter().zip(similarities).filter(|(j, _)| **j as usize != i) {
                if !(similarity >= 0.0 && similarity.is_finite()) {
                    return Err(value_error(i, j, "similarity", similarity, RANGE));
                }
                entries.push((j, similarity));
            }
            Ok(())
        },
    )
}

/// A distance this little below 0 is 0, rounded: `ip` of equal vectors of length 1.
const ROUNDING: f64 = 1e-6;

fn similarity_at(kernel: Kernel, i: usize, j: u32, distance: f64, range: &'static str) -> Result<f64> {
    if distance >= -ROUNDING && distance.is_finite() {
        Ok(kernel.similarity(distance.max(0.0)))
    } else {
        Err(value_error(i, j, "distance", distance, range))
    }
}

const RANGE: &str = "a finite number of at least 0";

fn value_error(i: usize, j: u32, name: &'static str, value: f64, range: &'static str) -> Error {
    Error::edge(i, j, EdgeProblem::Value { name, value, range })
}

/// Rows of `length(i)` entries each: those that `neighbors` gives, none of them of the point
/// itself, and one for the point itself.
fn build(
    n: usize,
    monitor: &Monitor,
    length: impl Fn(usize) -> usize,
    neighbors: impl Fn(usize, &mut Vec<(u32, f64)>) -> Result<()> + Sync,
) -> Result<Matrix> {
    let mut starts = Vec::with_capacity(n + 1);
    starts.push(0);
    (0..n).for_each(|i| starts.push(starts[i] + length(i)));
    let (mut columns, mut values) = (vec![0; starts[n]], vec![0.0; starts[n]]);
    (row_units(&starts, &mut columns).into_par_iter()).zip(row_units(&starts, &mut values)).try_for_each_init(
        Vec::new,
        |entries, ((rows, columns), (_, values))| {
            monitor.check()?;
            let mut places = columns.iter_mut().zip(values);
            for i in rows {
                entries.clear();
                entries.push((i as u32, 1.0));
                neighbors(i, entries)?;
                // In order of the columns, so that the sum is the same whatever the edges' order.
                entries.sort_unstable_by_key(|entry| entry.0);
                let sum: f64 = entries.iter().map(|entry| entry.1).sum();
                for (&(j, s), (column, value)) in entries.iter().zip(&mut places) {
                    (*column, *value) = (j, s / sum);
                }
            }
            Ok(())
        },
    )?;
    Ok(matrix(n, starts, columns, values))
}

/// Entries of a row of P that has these neighbors: all but the point itself, and it again.
fn entries(neighbors: &[u32], i: usize) -> usize {
    neighbors.len() + usize::from(neighbors.binary_search(&(i as u32)).is_err())
}

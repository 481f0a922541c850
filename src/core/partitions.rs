//! Many independent runs in one: the points of a partition are looked at among themselves alone, as if
//! there were no others. Small partitions run side by side, a large one on all threads.

use rayon::prelude::*;

use crate::core::embeddings::Embeddings;
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::pipeline::{self, ClusterOptions};
use crate::core::sparse::{Matrix, matrix, row, starts};

/// What [`dpc`](crate::core::dpc::dpc()) reads, of all partitions: the density of each point, and the
/// distances that lead to a higher density, none of them between two partitions. So a clustering by
/// both has the clusters of each partition's own run.
///
/// `partitions` are the rows of each, in order; every row is in one of them.
///
/// # Errors
/// As the stages, with the rows of `points`.
///
/// ```
/// use density_peaks::{ClusterOptions, Embeddings, Monitor, dpc, partitions};
///
/// let points = Embeddings::new(vec![1.0, 0.0, 1.0, 0.0, 0.99, 0.1, 0.99, 0.1], 2)?;
/// let monitor = Monitor::new();
/// let (density, distances) =
///     partitions::densities_and_distances(&points, &[vec![0, 2], vec![1, 3]], &ClusterOptions::default(), &monitor)?;
/// assert_eq!(dpc::dpc(density, &distances, 0.7, &monitor)?.cluster, [0, 1, 0, 1]);
/// # Ok::<(), density_peaks::Error>(())
/// ```
pub fn densities_and_distances(
    points: &Embeddings,
    partitions: &[Vec<u32>],
    options: &ClusterOptions,
    monitor: &Monitor,
) -> Result<(Vec<f64>, Matrix)> {
    let phase = monitor.phase(0.0..1.0, points.len());
    let runs: Vec<(Vec<f64>, Matrix)> = partitions
        .par_iter()
        .map(|rows| {
            let run = pipeline::densities_and_distances(points.select(rows), options, &monitor.silent());
            phase.steps(rows.len())?;
            run.map_err(|error| error.renumber(rows))
        })
        .collect::<Result<_>>()?;
    let n = points.len();
    let (mut density, mut lengths) = (vec![0.0; n], vec![0; n]);
    for (rows, run) in partitions.iter().zip(&runs) {
        for (at, &i) in rows.iter().enumerate() {
            density[i as usize] = run.0[at];
            lengths[i as usize] = row(&run.1, at).0.len();
        }
    }
    let starts = starts(n, |i| lengths[i]);
    let (mut columns, mut values) = (vec![0; starts[n]], vec![0.0; starts[n]]);
    for (rows, (_, distances)) in partitions.iter().zip(runs) {
        for (at, &i) in rows.iter().enumerate() {
            let (neighbors, distances) = row(&distances, at);
            let places = starts[i as usize]..starts[i as usize + 1];
            // Rows are in order, so that the columns stay in order.
            columns[places.clone()].iter_mut().zip(neighbors).for_each(|(column, &j)| *column = rows[j as usize]);
            values[places].copy_from_slice(distances);
        }
    }
    Ok((density, matrix(n, starts, columns, values)))
}

//! Many independent runs in one: the points of a partition are looked at among themselves alone, as if
//! there were no others. Small partitions run side by side, a large one on all threads.

use rayon::prelude::*;

use crate::core::cluster_tree::Clusters;
use crate::core::constraints::Constraints;
use crate::core::embeddings::Embeddings;
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::pipeline::{ClusterOptions, Cut, Stages};
use crate::core::sparse::{matrix, row, starts};

/// What the last stage reads, of all partitions; no distance is between two of them, and no cluster is of two. So
/// the clustering by all has the clusters of each partition's own run.
///
/// `partitions` are the rows of each, in order; every row is in one of them.
///
/// # Errors
/// As the stages, with the rows of `points`.
///
/// ```
/// use density_peaks::constraints::Constraints;
/// use density_peaks::{ClusterOptions, Embeddings, Monitor, partitions};
///
/// let points = Embeddings::new(vec![1.0, 0.0, 1.0, 0.0, 0.99, 0.1, 0.99, 0.1], 2)?;
/// let (options, none, monitor) = (ClusterOptions::default(), Constraints::default(), Monitor::new());
/// let all = partitions::stages(&points, &[vec![0, 2], vec![1, 3]], &options, &none, &monitor)?;
/// let clustering = all.cut.clustering(all.density, &all.distances, &none, &monitor)?;
/// assert_eq!(clustering.cluster, [0, 1, 0, 1]);
/// # Ok::<(), density_peaks::Error>(())
/// ```
pub fn stages(
    points: &Embeddings,
    partitions: &[Vec<u32>],
    options: &ClusterOptions,
    constraints: &Constraints,
    monitor: &Monitor,
) -> Result<Stages> {
    let phase = monitor.phase(0.0..1.0, points.len());
    let runs: Vec<Stages> = partitions
        .par_iter()
        .zip(constraints_of(partitions, points.len(), constraints))
        .map(|(rows, constraints)| {
            let run = Stages::run(points.select(rows), options, &constraints, &monitor.silent());
            phase.steps(rows.len())?;
            run.map_err(|error| error.renumber(rows))
        })
        .collect::<Result<_>>()?;
    let n = points.len();
    let (mut density, mut lengths) = (vec![0.0; n], vec![0; n]);
    for (rows, run) in partitions.iter().zip(&runs) {
        for (at, &i) in rows.iter().enumerate() {
            density[i as usize] = run.density[at];
            lengths[i as usize] = row(&run.distances, at).0.len();
        }
    }
    let starts = starts(n, |i| lengths[i]);
    let (mut columns, mut values) = (vec![0; starts[n]], vec![0.0; starts[n]]);
    let mut clusters = Clusters { cluster: vec![0; n], strength: vec![None; n] };
    for (rows, run) in partitions.iter().zip(runs) {
        for (at, &i) in rows.iter().enumerate() {
            let (neighbors, distances) = row(&run.distances, at);
            let places = starts[i as usize]..starts[i as usize + 1];
            // Rows are in order, so that the columns stay in order.
            columns[places.clone()].iter_mut().zip(neighbors).for_each(|(column, &j)| *column = rows[j as usize]);
            values[places].copy_from_slice(distances);
            if let Cut::Clusters(own) = &run.cut {
                clusters.cluster[i as usize] = rows[own.cluster[at] as usize];
                clusters.strength[i as usize] = own.strength[at];
            }
        }
    }
    let cut = options.tau.map_or(Cut::Clusters(clusters), Cut::Tau);
    Ok(Stages { density, distances: matrix(n, starts, columns, values), cut })
}

/// The constraints within each of the partitions of `n` points, in the numbers of their rows.
fn constraints_of(partitions: &[Vec<u32>], n: usize, constraints: &Constraints) -> Vec<Constraints> {
    let mut all = vec![Constraints::default(); partitions.len()];
    if constraints.is_empty() {
        return all;
    }
    let mut place = vec![(0, 0); n];
    for (partition, rows) in partitions.iter().enumerate() {
        (0..).zip(rows).for_each(|(at, &i)| place[i as usize] = (partition, at));
    }
    let within = |&(a, b): &(u32, u32)| {
        let ((of_a, a), (of_b, b)) = (place[a as usize], place[b as usize]);
        (of_a == of_b).then_some((of_a, (a, b)))
    };
    for (partition, pair) in constraints.must_link.iter().filter_map(within) {
        all[partition].must_link.push(pair);
    }
    for (partition, pair) in constraints.cannot_link.iter().filter_map(within) {
        all[partition].cannot_link.push(pair);
    }
    all
}

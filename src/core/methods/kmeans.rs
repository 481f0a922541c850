//! k-means: Lloyd's algorithm from the start of k-means++ (Arthur and Vassilvitskii 2007).

use rayon::prelude::*;

use super::labels::numbered;
use super::stop::check_clusters;
use crate::core::embeddings::Embeddings;
use crate::core::error::{Error, Result};
use crate::core::knn::{self, KnnOptions, Metric, Points};
use crate::core::monitor::Monitor;
use crate::core::random::unit;
use crate::core::sparse::{ROWS, starts_of};

/// Moves of the centers at most, unless another number is asked for.
pub const MAX_ITERATIONS: usize = 100;

/// What clusters to make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kmeans {
    /// Number of clusters, at least 1 and at most that of the points.
    pub clusters: usize,
    /// [`Metric::Cosine`]: of the points scaled to length 1. [`Metric::L2sq`]: of the points as they are.
    pub metric: Metric,
    /// Moves of the centers at most, at least 1.
    pub max_iterations: usize,
}

/// The cluster of each point: 0, 1, 2, ... in order of the clusters' smallest rows. Each point is
/// in the cluster of its nearest center, and each center, but for the last of `max_iterations` moves,
/// is the mean of its points. There are fewer clusters only where there are fewer distinct points.
///
/// # Errors
/// If the number of clusters or the metric is not possible, or as [`Points::new`].
pub fn kmeans(mut points: Embeddings, options: &Kmeans, monitor: &Monitor) -> Result<Vec<u32>> {
    check_clusters(options.clusters, points.len())?;
    match options.metric {
        Metric::Cosine => points.normalize(monitor)?,
        Metric::L2sq => {}
        _ => return Err(Error::Input("k-means takes the metrics cosine and l2sq".into())),
    }
    if points.is_empty() {
        return Ok(vec![]);
    }
    let points = Points::new(points, Metric::L2sq, monitor)?;
    let mut centers = first_centers(&points, options.clusters, monitor)?;
    let mut nearest = Nearest::new(&points, &centers, monitor)?;
    for _ in 0..options.max_iterations {
        centers = means(&points, &nearest, options.clusters, monitor)?;
        let next = Nearest::new(&points, &centers, monitor)?;
        let settled = next.center == nearest.center;
        nearest = next;
        if settled {
            break;
        }
    }
    Ok(numbered(nearest.center))
}

/// The nearest center of each point, of equally near ones the first, and the squared distance.
struct Nearest {
    center: Vec<u32>,
    distance: Vec<f32>,
}

impl Nearest {
    fn new(points: &Points, centers: &[f32], monitor: &Monitor) -> Result<Self> {
        let centers = Points::new(Embeddings::new(centers.to_vec(), points.dim())?, Metric::L2sq, monitor)?;
        let options = KnnOptions { k: 1, method: knn::Method::Exact, ..Default::default() };
        let graph = knn::knn_queries(&centers, points, &[], &options, monitor)?;
        let nearest = |row| (graph.row(row).0[0], graph.row(row).1[0]);
        let (center, distance) = (0..points.len()).map(nearest).unzip();
        Ok(Self { center, distance })
    }
}

fn features(points: &Points, row: usize, features: &mut Vec<f32>) {
    points.row(row).decode(1.0, features);
}

/// Points as centers, each drawn with a chance that grows with its squared distance to those before.
fn first_centers(points: &Points, clusters: usize, monitor: &Monitor) -> Result<Vec<f32>> {
    let (mut centers, mut center) = (Vec::with_capacity(clusters * points.dim()), Vec::new());
    let mut distances = vec![f32::INFINITY; points.len()];
    let mut chosen = (unit(0) * points.len() as f64) as usize;
    for number in 1..=clusters {
        features(points, chosen, &mut center);
        centers.extend_from_slice(&center);
        // Sums of parts of a fixed size, so that they are the same on any number of threads.
        let sums: Vec<f64> = (distances.par_chunks_mut(ROWS).enumerate())
            .map(|(part, distances)| {
                monitor.check()?;
                let rows = part * ROWS..;
                Ok(distances.iter_mut().zip(rows).fold(0.0, |sum, (distance, row)| {
                    *distance = distance.min(points.distance(row, points, chosen));
                    sum + f64::from(*distance)
                }))
            })
            .collect::<Result<_>>()?;
        let mut left = unit(number as u64) * sums.iter().sum::<f64>();
        let part = sums.iter().position(|&sum| {
            left -= sum;
            left < 0.0
        });
        let part = part.unwrap_or(sums.len() - 1);
        left += sums[part];
        let rows = part * ROWS..points.len().min((part + 1) * ROWS);
        chosen = rows
            .clone()
            .find(|&row| {
                left -= f64::from(distances[row]);
                left < 0.0
            })
            .unwrap_or(rows.end - 1);
    }
    Ok(centers)
}

/// The mean of each cluster's points; a cluster without any takes a point that is far from its own
/// center, the farthest first.
fn means(points: &Points, nearest: &Nearest, clusters: usize, monitor: &Monitor) -> Result<Vec<f32>> {
    let starts = starts_of(clusters, &nearest.center);
    let mut members: Vec<u32> = (0..points.len() as u32).collect();
    members.sort_by_key(|&row| nearest.center[row as usize]);
    let empty = (0..clusters).filter(|&cluster| starts[cluster] == starts[cluster + 1]);
    let empty: Vec<usize> = empty.collect();
    let mut far: Vec<u32> = if empty.is_empty() { vec![] } else { (0..points.len() as u32).collect() };
    far.sort_by(|&a, &b| nearest.distance[b as usize].total_cmp(&nearest.distance[a as usize]));
    let mut centers = vec![0.0; clusters * points.dim()];
    centers.par_chunks_mut(points.dim()).enumerate().try_for_each_init(
        || (vec![0.0f64; points.dim()], Vec::new()),
        |(mean, row), (cluster, center)| {
            monitor.check()?;
            let own = &members[starts[cluster]..starts[cluster + 1]];
            // There are no more empty clusters than points.
            let own = if own.is_empty() { &far[empty.partition_point(|&e| e < cluster)..][..1] } else { own };
            mean.fill(0.0);
            for &member in own {
                features(points, member as usize, row);
                mean.iter_mut().zip(&*row).for_each(|(mean, &x)| *mean += f64::from(x));
            }
            center.iter_mut().zip(&*mean).for_each(|(center, mean)| *center = (mean / own.len() as f64) as f32);
            Ok(())
        },
    )?;
    Ok(centers)
}

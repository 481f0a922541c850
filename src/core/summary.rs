//! One row a cluster: its size, its most central point, and how close its points are.

use rayon::prelude::*;

use crate::core::embeddings::Embeddings;
use crate::core::error::{Error, PointProblem, Result};
use crate::core::monitor::Monitor;
use crate::core::sparse::starts_of;

/// Cosines that differ by no more are equal: they are sums of rounded products.
const EQUAL: f64 = 1e-12;

/// A cluster in figures, by cosine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Number of points.
    pub size: usize,
    /// The point of least mean distance to the others, of equals the smallest row.
    pub medoid: u32,
    /// Mean distance of the points to their mean direction, between 0 and 1.
    pub mean_distance: f64,
    /// Mean cosine of two points, between -1 and 1; `None` for a single point. The paper's
    /// sparsity is 1 less this.
    pub cohesion: Option<f64>,
}

/// Summarize each of `clusters` clusters, none of them empty. `cluster` is that of each point,
/// `None` for a point that is in none.
///
/// All follows from the mean m of the points scaled to length 1: a point's mean cosine to all is
/// its product with m, the mean cosine to the direction of m is |m|, and that of all n^2 pairs is
/// |m|^2, of which n are of a point with itself.
///
/// # Errors
/// If an embedding is zero, or the run is stopped.
pub fn summarize(
    embeddings: &Embeddings,
    cluster: &[Option<u32>],
    clusters: usize,
    monitor: &Monitor,
) -> Result<Vec<Summary>> {
    let (mut members, of_members): (Vec<u32>, Vec<u32>) =
        (0..).zip(cluster).filter_map(|(row, cluster)| cluster.map(|cluster| (row, cluster))).unzip();
    members.sort_by_key(|&row| cluster[row as usize]);
    let starts = starts_of(clusters, &of_members);
    (0..clusters)
        .into_par_iter()
        .map_init(
            || (vec![0.0; embeddings.dim()], Vec::new()),
            |(mean, features), cluster| {
                monitor.check()?;
                summary(embeddings, &members[starts[cluster]..starts[cluster + 1]], mean, features)
            },
        )
        .collect()
}

fn summary(embeddings: &Embeddings, members: &[u32], mean: &mut [f64], features: &mut Vec<f32>) -> Result<Summary> {
    let n = members.len() as f64;
    mean.fill(0.0);
    for &member in members {
        let row = embeddings.row(member as usize);
        let length = row.dot(row).sqrt();
        if length == 0.0 {
            return Err(Error::point(member as usize, PointProblem::ZeroVector));
        }
        row.decode(1.0, features);
        mean.iter_mut().zip(&*features).for_each(|(mean, &x)| *mean += f64::from(x) / length);
    }
    mean.iter_mut().for_each(|mean| *mean /= n);
    let (mut medoid, mut greatest) = (members[0], f64::NEG_INFINITY);
    for &member in members {
        let row = embeddings.row(member as usize);
        row.decode(1.0, features);
        let product: f64 = mean.iter().zip(&*features).map(|(mean, &x)| mean * f64::from(x)).sum();
        let cosine = product / row.dot(row).sqrt();
        if cosine > greatest + EQUAL {
            (medoid, greatest) = (member, cosine);
        }
    }
    let squared: f64 = mean.iter().map(|mean| mean * mean).sum();
    let cohesion = (n > 1.0).then(|| ((n * squared - 1.0) / (n - 1.0)).clamp(-1.0, 1.0));
    Ok(Summary { size: members.len(), medoid, mean_distance: (1.0 - squared.sqrt()).max(0.0), cohesion })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_all_pairs() {
        let values = (0..40).map(|at| ((at * 37 % 23) as f32).sin() + 0.3).collect();
        let points = Embeddings::new(values, 4).unwrap();
        let cluster = [0, 1, 0, 1, 1, 0, 1, 2, 9, 1].map(|cluster| (cluster < 3).then_some(cluster));
        let summaries = summarize(&points, &cluster, 3, &Monitor::new()).unwrap();
        let cosine = |i: usize, j: usize| {
            let (x, y) = (points.row(i), points.row(j));
            x.dot(y) / (x.dot(x) * y.dot(y)).sqrt()
        };
        for (number, summary) in summaries.iter().enumerate() {
            let members: Vec<usize> = (0..10).filter(|&i| cluster[i] == Some(number as u32)).collect();
            let n = members.len() as f64;
            assert_eq!(summary.size, members.len());
            let to_all = |i: usize| members.iter().map(|&j| cosine(i, j)).sum::<f64>();
            let best = members.iter().map(|&i| to_all(i)).fold(f64::MIN, f64::max);
            assert!((to_all(summary.medoid as usize) - best).abs() < 1e-9);
            let all: f64 = members.iter().map(|&i| to_all(i)).sum();
            assert!((summary.mean_distance - (1.0 - all.sqrt() / n)).abs() < 1e-9);
            assert_eq!(summary.cohesion.is_none(), n == 1.0);
            let expected = if n > 1.0 { (all - n) / (n * (n - 1.0)) } else { 0.0 };
            assert!((summary.cohesion.unwrap_or(0.0) - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn of_two_points_the_smaller_row_is_the_medoid() {
        let values = (0..400).map(|at| ((at * 7919 % 1009) as f32).sin()).collect();
        let points = Embeddings::new(values, 8).unwrap();
        let cluster: Vec<Option<u32>> = (0..50).map(|row| Some(row / 2)).collect();
        let summaries = summarize(&points, &cluster, 25, &Monitor::new()).unwrap();
        assert!(summaries.iter().zip(0..).all(|(summary, cluster)| summary.medoid == 2 * cluster));
    }

    #[test]
    fn a_zero_vector_is_named() {
        let points = Embeddings::new(vec![1.0, 0.0, 0.0, 0.0], 2).unwrap();
        let error = summarize(&points, &[Some(0); 2], 1, &Monitor::new()).unwrap_err();
        assert_eq!(error, Error::point(1, PointProblem::ZeroVector));
    }
}

//! The two parts that a cluster falls into most readily: what to look at where it may be two.

use rayon::prelude::*;

use crate::core::embeddings::Embeddings;
use crate::core::error::{Error, PointProblem, Result};
use crate::core::monitor::Monitor;

/// Rounds of 2-means at most; most clusters need two or three.
const ROUNDS: usize = 10;
/// Cosines that differ by no more are equal: they are sums of rounded products.
const EQUAL: f64 = 1e-9;

/// A cluster in two parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Halves {
    /// Mean cosine distance between a point of the one part and one of the other, from 0 to 2.
    pub distance: f64,
    /// The points of each part, that of the first point first.
    pub parts: [Vec<u32>; 2],
}

/// The parts of each cluster by 2-means on the sphere, from the point that is farthest from the mean and the one
/// that is farthest from it. `None` for a cluster of one point, or whose points are all alike.
///
/// # Errors
/// If an embedding is zero, or the run is stopped.
pub fn halves(embeddings: &Embeddings, clusters: &[Vec<u32>], monitor: &Monitor) -> Result<Vec<Option<Halves>>> {
    clusters
        .par_iter()
        .map(|members| {
            monitor.check()?;
            of_cluster(embeddings, members)
        })
        .collect()
}

fn of_cluster(embeddings: &Embeddings, members: &[u32]) -> Result<Option<Halves>> {
    if members.len() < 2 {
        return Ok(None);
    }
    let dim = embeddings.dim();
    let mut points = Vec::with_capacity(members.len() * dim);
    let mut features = Vec::new();
    for &member in members {
        let row = embeddings.row(member as usize);
        let length = row.dot(row).sqrt();
        if length == 0.0 {
            return Err(Error::point(member as usize, PointProblem::ZeroVector));
        }
        row.decode(1.0, &mut features);
        points.extend(features.iter().map(|&x| f64::from(x) / length));
    }
    let point = |at: usize| &points[at * dim..(at + 1) * dim];
    let mean_of = |wanted: &dyn Fn(usize) -> bool| {
        let (mut mean, mut count) = (vec![0.0; dim], 0.0);
        for at in (0..members.len()).filter(|&at| wanted(at)) {
            mean.iter_mut().zip(point(at)).for_each(|(mean, x)| *mean += x);
            count += 1.0;
        }
        mean.iter_mut().for_each(|mean| *mean /= count);
        mean
    };
    let farthest = |from: &[f64]| {
        let (mut least, mut found) = (f64::INFINITY, 0);
        for at in 0..members.len() {
            let cosine = dot(point(at), from);
            if cosine < least - EQUAL {
                (least, found) = (cosine, at);
            }
        }
        found
    };
    let one = farthest(&mean_of(&|_| true));
    let mut centers = [point(one).to_vec(), point(farthest(point(one))).to_vec()];
    let mut second = vec![false; members.len()];
    for _ in 0..ROUNDS {
        let lengths = centers.each_ref().map(|center| dot(center, center).sqrt());
        let nearer = |at: usize| {
            let cosine = |part: usize| dot(point(at), &centers[part]) / lengths[part];
            cosine(1) > cosine(0) + EQUAL
        };
        let next: Vec<bool> = (0..members.len()).map(nearer).collect();
        if next.iter().all(|&part| part == next[0]) {
            return Ok(None);
        }
        let same = next == second;
        second = next;
        centers = [mean_of(&|at| !second[at]), mean_of(&|at| second[at])];
        if same {
            break;
        }
    }
    let part = |wanted: bool| {
        let points = members.iter().zip(&second).filter(|&(_, &part)| part == wanted);
        points.map(|(&member, _)| member).collect()
    };
    let distance = (1.0 - dot(&centers[0], &centers[1])).clamp(0.0, 2.0);
    Ok(Some(Halves { distance, parts: [part(second[0]), part(!second[0])] }))
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(points: &[[f32; 2]]) -> Option<Halves> {
        let embeddings = Embeddings::new(points.concat(), 2).unwrap();
        let all = (0..points.len() as u32).collect();
        halves(&embeddings, &[all], &Monitor::new()).unwrap().remove(0)
    }

    #[test]
    fn two_groups_are_told_apart_whatever_their_sizes() {
        let found = of(&[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [2.0, 0.1], [0.1, 3.0]]).unwrap();
        assert_eq!(found.parts, [vec![0, 1, 3], vec![2, 4]]);
        let cosine = |a: [f64; 2], b: [f64; 2]| dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
        let (one, other) = ([[1.0, 0.0], [1.0, 0.1], [2.0, 0.1]], [[0.0, 1.0], [0.1, 3.0]]);
        let mean = one.iter().flat_map(|&a| other.map(|b| cosine(a, b))).sum::<f64>() / 6.0;
        assert!((found.distance - (1.0 - mean)).abs() < 1e-6);
    }

    #[test]
    fn one_point_and_copies_have_no_parts() {
        assert_eq!(of(&[[1.0, 0.0]]), None);
        assert_eq!(of(&[[1.0, 0.5], [2.0, 1.0], [4.0, 2.0]]), None);
        assert_eq!(of(&[[1.0, 0.0], [0.0, 1.0]]).map(|found| found.distance), Some(1.0));
    }

    #[test]
    fn a_zero_vector_is_named() {
        let embeddings = Embeddings::new(vec![1.0, 0.0, 0.0, 0.0], 2).unwrap();
        let error = halves(&embeddings, &[vec![0, 1]], &Monitor::new()).unwrap_err();
        assert_eq!(error, Error::point(1, PointProblem::ZeroVector));
    }
}

//! Stage 5, density peak clustering: every point joins its nearest neighbor of higher density,
//! if that is nearer than tau; the others are peaks, and each tree is a cluster (Rodriguez and
//! Laio 2014, on the k-NN graph as in section 3.4 of the paper).

use rayon::prelude::*;

use crate::core::error::{EdgeProblem, Error, PointProblem, Result};
use crate::core::monitor::Monitor;
use crate::core::sparse::{Matrix, row};

/// The largest distance to a parent, unless another is asked for.
pub const TAU: f64 = 0.7;

/// A clustering of N points.
#[derive(Debug, Clone, PartialEq)]
pub struct Clustering {
    /// Cluster of each point: 0, 1, 2, ... in order of the clusters' smallest rows.
    pub cluster: Vec<u32>,
    /// Parent of each point; a peak is its own.
    pub parent: Vec<u32>,
    /// Distance to the candidate parent, whether joined or not; `None` where no neighbor has a
    /// higher density.
    pub delta: Vec<Option<f64>>,
    /// Density of each point, as given.
    pub density: Vec<f64>,
    /// How sure the membership of each point is, see [`Clusters`](crate::core::cluster_tree::Clusters); `None`
    /// where a threshold makes the clusters.
    pub strength: Option<Vec<Option<f64>>>,
}

impl Clustering {
    /// Number of points.
    pub fn len(&self) -> usize {
        self.cluster.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.cluster.is_empty()
    }

    /// Whether a point is the peak of its cluster.
    pub fn is_peak(&self, row: usize) -> bool {
        self.parent[row] as usize == row
    }
}

/// Check tau.
///
/// # Errors
/// If it is outside [0, 1].
pub fn check_tau(tau: f64) -> Result<()> {
    if (0.0..=1.0).contains(&tau) {
        return Ok(());
    }
    Err(Error::Parameter { name: "tau", range: "between 0 and 1".into(), value: tau.to_string() })
}

/// Candidate parent of each point, and the distance to it.
pub type Candidates = Vec<Option<(u32, f64)>>;

/// The candidate parent of each point, which does not depend on tau: the nearest stored edge
/// i -> j with j above i; of equally near ones that of the higher density, then of the smaller row.
/// A point j is above i if its density is higher, or equal and j the smaller row.
///
/// # Errors
/// If a density or distance is negative or not finite, or the run is stopped.
pub fn candidates(density: &[f64], distances: &Matrix, monitor: &Monitor) -> Result<Candidates> {
    if let Some(row) = density.iter().position(|d| !(*d >= 0.0 && d.is_finite())) {
        return Err(Error::point(row, PointProblem::Density(density[row])));
    }
    (0..density.len())
        .into_par_iter()
        .with_min_len(1024)
        .map(|i| {
            monitor.check()?;
            let (neighbors, distances) = row(distances, i);
            let mut best: Option<(u32, f64)> = None;
            for (&j, &distance) in neighbors.iter().zip(distances) {
                if !(distance >= 0.0 && distance.is_finite()) {
                    let (name, range) = ("distance", "a finite number of at least 0");
                    return Err(Error::edge(i, j, EdgeProblem::Value { name, value: distance, range }));
                }
                let nearer = best.is_none_or(|(other, least)| {
                    distance < least || distance == least && above(density, j as usize, other as usize)
                });
                if nearer && above(density, j as usize, i) {
                    best = Some((j, distance));
                }
            }
            Ok(best)
        })
        .collect()
}

/// Cluster by density and distance. `tau` is between 0 and 1: a point joins its candidate parent
/// (see [`candidates`]) if their distance is below it.
///
/// # Errors
/// If tau is out of range, and as [`candidates`].
pub fn dpc(density: Vec<f64>, distances: &Matrix, tau: f64, monitor: &Monitor) -> Result<Clustering> {
    check_tau(tau)?;
    let candidates = candidates(&density, distances, monitor)?;
    let parent: Vec<u32> = (candidates.iter().enumerate())
        .map(|(i, candidate)| match candidate {
            Some((j, distance)) if *distance < tau => *j,
            _ => i as u32,
        })
        .collect();
    let delta = candidates.iter().map(|candidate| candidate.map(|(_, distance)| distance)).collect();
    Ok(Clustering { cluster: number_trees(&parent), parent, delta, density, strength: None })
}

/// Whether j is above i in the order of densities.
pub(crate) fn above(density: &[f64], j: usize, i: usize) -> bool {
    density[j] > density[i] || density[j] == density[i] && j < i
}

/// The tree of each node, numbered in order of the trees' smallest nodes.
pub(crate) fn number_trees(parent: &[u32]) -> Vec<u32> {
    const UNKNOWN: u32 = u32::MAX;
    let mut tree = vec![UNKNOWN; parent.len()];
    let mut trees = 0;
    let mut path = Vec::new();
    for start in 0..parent.len() {
        let mut node = start;
        while tree[node] == UNKNOWN && parent[node] as usize != node {
            path.push(node);
            node = parent[node] as usize;
        }
        if tree[node] == UNKNOWN {
            tree[node] = trees;
            trees += 1;
        }
        let number = tree[node];
        path.drain(..).for_each(|node| tree[node] = number);
    }
    tree
}

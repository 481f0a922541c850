//! Other clusterings of the same points, to compare with: by their graph, and k-means.
//!
//! All but [`GraphMethod::RankOrder`] take the graph as undirected: an edge counts in both directions, of
//! two distances the smaller. A point without an edge is a cluster of its own.

mod components;
mod dbscan;
mod density_peaks;
mod graph;
mod kmeans;
mod labels;
mod linkage;
mod map_equation;
mod rank_order;
mod stop;

pub use dbscan::MIN_POINTS;
pub use density_peaks::DensityKernel;
pub use graph::from_knn_graph;
pub use kmeans::{Kmeans, MAX_ITERATIONS, kmeans};
pub(crate) use labels::numbered;
pub use stop::Stop;

use crate::core::agglomeration;
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::sparse::Matrix;

/// A clustering of a graph of distances. Distances are finite and at least 0, so are thresholds.
#[derive(Debug, Clone, PartialEq)]
pub enum GraphMethod {
    /// The connected components of the edges of at most this length.
    ConnectedComponents {
        /// Largest distance of an edge.
        threshold: f64,
    },
    /// DBSCAN (Ester et al. 1996). A border point joins its nearest core point, of equally near ones
    /// the smallest row; each point of noise is a cluster of its own.
    Dbscan {
        /// Largest distance of two neighbors.
        epsilon: f64,
        /// Neighbors of a core point, itself included; at least 1.
        min_points: usize,
    },
    /// Agglomerative clustering by the least distance of two clusters' points.
    SingleLinkage(Stop),
    /// Agglomerative clustering by the mean distance of two clusters' points (UPGMA). Two points
    /// without an edge count as far apart as the two farthest that have one, and at least 1; clusters
    /// without an edge between them do not merge.
    AverageLinkage(Stop),
    /// Approximate rank-order clustering (Otto, Wang and Jain 2017): the connected components of the
    /// edges of at most this rank-order distance.
    RankOrder {
        /// Largest rank-order distance.
        threshold: f64,
    },
    /// Density peaks as published (Rodriguez and Laio 2014): without diffusion, and by the distances
    /// themselves.
    DensityPeaks {
        /// How neighbors count toward a density.
        kernel: DensityKernel,
        /// Distance within which neighbors count, above 0.
        cutoff: f64,
        /// Largest distance to a parent.
        threshold: f64,
    },
    /// Communities by the map equation in two levels (Rosvall, Axelsson and Bergstrom 2009).
    MapEquation {
        /// Largest distance of an edge.
        threshold: f64,
        /// Scale of the edges' weights, `exp(-distance / sigma)`, above 0.
        sigma: f64,
    },
}

impl GraphMethod {
    /// Bytes that a graph of so many points and edges needs at its peak, the graph included.
    pub fn memory(&self, points: usize, edges: usize) -> u64 {
        let (points, edges) = (points as u64, edges as u64);
        let undirected = graph::undirected_memory(edges);
        points * 32
            + match self {
                Self::RankOrder { .. } => rank_order::memory(edges),
                Self::SingleLinkage(_) => undirected + components::single_linkage_memory(edges),
                Self::AverageLinkage(_) => undirected + agglomeration::memory(edges),
                Self::MapEquation { .. } => undirected + map_equation::memory(edges),
                _ => undirected,
            }
    }
}

/// The cluster of each point: 0, 1, 2, ... in order of the clusters' smallest rows.
///
/// # Errors
/// If a distance is negative or not finite, a number of clusters cannot be reached, or the run is
/// stopped.
pub fn cluster_graph(distances: &Matrix, method: &GraphMethod, monitor: &Monitor) -> Result<Vec<u32>> {
    if let GraphMethod::RankOrder { threshold } = *method {
        return rank_order::rank_order(distances, threshold, monitor).map(numbered);
    }
    let graph = graph::undirected(distances, monitor)?;
    let labels = match *method {
        GraphMethod::ConnectedComponents { threshold } => components::connected(&graph, threshold, monitor)?,
        GraphMethod::Dbscan { epsilon, min_points } => dbscan::dbscan(&graph, epsilon, min_points, monitor)?,
        GraphMethod::SingleLinkage(stop) => components::single_linkage(&graph, stop, monitor)?,
        GraphMethod::AverageLinkage(stop) => linkage::average_linkage(&graph, stop, monitor)?,
        GraphMethod::RankOrder { .. } => unreachable!("done above"),
        GraphMethod::DensityPeaks { kernel, cutoff, threshold } => {
            density_peaks::density_peaks(&graph, kernel, cutoff, threshold, monitor)?
        }
        GraphMethod::MapEquation { threshold, sigma } => map_equation::map_equation(&graph, threshold, sigma, monitor)?,
    };
    Ok(numbered(labels))
}

/// Communities of a graph by the map equation, each edge alike in both directions: 0, 1, 2, ... in order of their
/// smallest rows.
///
/// # Errors
/// If the run is stopped.
pub fn communities(graph: &Matrix, monitor: &Monitor) -> Result<Vec<u32>> {
    let graph = graph::undirected(graph, monitor)?;
    // At an infinite sigma every weight is 1.
    map_equation::map_equation(&graph, f64::INFINITY, f64::INFINITY, monitor).map(numbered)
}

#[cfg(test)]
mod tests;

//! The whole run: all five stages.

use crate::core::dpc::{self, Clustering};
use crate::core::embeddings::Embeddings;
use crate::core::error::Result;
use crate::core::knn;
use crate::core::monitor::Monitor;
use crate::core::ndde::{self, NddeOptions};
use crate::core::similarity::Kernel;
use crate::core::sparse::Matrix;
use crate::core::{tpdi, transition};

/// The parameters of a whole run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusterOptions {
    /// The distance of two embeddings.
    pub metric: knn::Metric,
    /// Of the k-NN graph.
    pub knn: knn::KnnOptions,
    /// Of the transition matrix.
    pub kernel: Kernel,
    /// Of the density.
    pub ndde: NddeOptions,
    /// Largest distance to a parent, between 0 and 1.
    pub tau: f64,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            metric: Default::default(),
            knn: Default::default(),
            kernel: Default::default(),
            ndde: Default::default(),
            tau: dpc::TAU,
        }
    }
}

/// Cluster embeddings: all five stages.
///
/// # Errors
/// As the stages.
///
/// ```
/// use density_peaks::{ClusterOptions, Embeddings, Monitor, cluster};
///
/// let points = Embeddings::new(vec![1.0, 0.0, 0.99, 0.1, 0.0, 1.0, 0.1, 0.99], 2)?;
/// let clustering = cluster(points, &ClusterOptions::default(), &Monitor::new())?;
/// assert_eq!(clustering.cluster, [0, 0, 1, 1]);
/// # Ok::<(), density_peaks::Error>(())
/// ```
pub fn cluster(points: Embeddings, options: &ClusterOptions, monitor: &Monitor) -> Result<Clustering> {
    dpc::check_tau(options.tau)?;
    let (density, distances) = densities_and_distances(points, options, monitor)?;
    dpc::dpc(density, &distances, options.tau, monitor)
}

/// The first four stages, with the distances that the fifth looks at.
pub(crate) fn densities_and_distances(
    points: Embeddings,
    options: &ClusterOptions,
    monitor: &Monitor,
) -> Result<(Vec<f64>, Matrix)> {
    let points = knn::Points::new(points, options.metric, monitor)?;
    let graph = knn::knn_graph(&points, &options.knn, monitor)?;
    drop(points);
    let transition = transition::from_graph(&graph, options.kernel, monitor)?;
    drop(graph);
    let density = ndde::ndde(&transition, &options.ndde, monitor)?;
    let distances = tpdi::tpdi_upward(&transition, &density, monitor)?;
    Ok((density, distances))
}

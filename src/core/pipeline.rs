//! The whole run: all stages.

use crate::core::cluster_tree::{Clusters, peaks_within};
use crate::core::constraints::{Constraints, dpc_constrained};
use crate::core::dpc::{self, Clustering};
use crate::core::embeddings::Embeddings;
use crate::core::error::Result;
use crate::core::knn;
use crate::core::monitor::Monitor;
use crate::core::ndde::{self, NddeOptions};
use crate::core::similarity::Kernel;
use crate::core::sparse::Matrix;
use crate::core::{calibration, separation, tpdi, transition};

/// The parameters of a whole run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusterOptions {
    /// The distance of two embeddings.
    pub metric: knn::Metric,
    /// Of the k-NN graph.
    pub knn: knn::KnnOptions,
    /// Of the transition matrix; `None`: the one that the graph calls for, see
    /// [`calibration`](crate::core::calibration).
    pub kernel: Option<Kernel>,
    /// Of the density.
    pub ndde: NddeOptions,
    /// Largest distance to a parent, between 0 and 1; `None`: clusters without a threshold, see
    /// [`cluster_tree`](crate::core::cluster_tree).
    pub tau: Option<f64>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            metric: knn::Metric::default(),
            knn: knn::KnnOptions { copies: Some(knn::COPIES), ..Default::default() },
            kernel: None,
            ndde: NddeOptions::default(),
            tau: None,
        }
    }
}

/// Cluster embeddings: all stages.
///
/// # Errors
/// As the stages.
///
/// ```
/// use density_peaks::{ClusterOptions, Embeddings, Monitor, cluster};
///
/// let points = Embeddings::new(vec![1.0, 0.0, 0.99, 0.1, 0.0, 1.0, 0.1, 0.99], 2)?;
/// let options = ClusterOptions { tau: Some(0.7), ..Default::default() };
/// let clustering = cluster(points, &options, &Monitor::new())?;
/// assert_eq!(clustering.cluster, [0, 0, 1, 1]);
/// # Ok::<(), density_peaks::Error>(())
/// ```
pub fn cluster(points: Embeddings, options: &ClusterOptions, monitor: &Monitor) -> Result<Clustering> {
    let constraints = Constraints::default();
    let Stages { density, distances, cut } = Stages::run(points, options, &constraints, monitor)?;
    cut.clustering(density, &distances, &constraints, monitor)
}

/// What makes clusters of densities and distances.
#[derive(Debug, Clone, PartialEq)]
pub enum Cut {
    /// A point joins its parent below this distance, between 0 and 1.
    Tau(f64),
    /// The clusters are known.
    Clusters(Clusters),
}

impl Cut {
    /// The last stage, as [`dpc`](crate::core::dpc::dpc()), under constraints, which known clusters keep already.
    ///
    /// # Errors
    /// As the stage, and if the constraints contradict each other.
    pub fn clustering(
        &self,
        density: Vec<f64>,
        distances: &Matrix,
        constraints: &Constraints,
        monitor: &Monitor,
    ) -> Result<Clustering> {
        match self {
            Self::Tau(tau) if constraints.is_empty() => dpc::dpc(density, distances, *tau, monitor),
            Self::Tau(tau) => dpc_constrained(density, distances, *tau, constraints, monitor),
            Self::Clusters(clusters) => peaks_within(density, distances, clusters, monitor),
        }
    }
}

/// What the last stage reads.
#[derive(Debug)]
pub struct Stages {
    /// Of each point.
    pub density: Vec<f64>,
    /// Those that lead to a higher density, and maybe others.
    pub distances: Matrix,
    /// What makes clusters of the two.
    pub cut: Cut,
}

impl Stages {
    /// All stages but the last.
    pub(crate) fn run(
        points: Embeddings,
        options: &ClusterOptions,
        constraints: &Constraints,
        monitor: &Monitor,
    ) -> Result<Self> {
        options.tau.map_or(Ok(()), dpc::check_tau)?;
        let points = knn::Points::new(points, options.metric, monitor)?;
        let graph = knn::knn_graph(&points, &options.knn, monitor)?;
        drop(points);
        let transition = match options.kernel {
            Some(kernel) => transition::from_graph(&graph, kernel, monitor)?,
            None => calibration::of_graph(&graph, monitor)?.1,
        };
        let transition = separation::of_graph(&graph, &transition, constraints, monitor)?.unwrap_or(transition);
        drop(graph);
        let cut = match options.tau {
            Some(tau) => Cut::Tau(tau),
            None => Cut::Clusters(Clusters::new(&transition, constraints, monitor)?),
        };
        let density = ndde::ndde(&transition, &options.ndde, monitor)?;
        let distances = tpdi::tpdi_upward(&transition, &density, monitor)?;
        Ok(Self { density, distances, cut })
    }
}

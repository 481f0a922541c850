//! Density peak clustering of stored embeddings: the pipeline of Chen et al., "On Mitigating Hard
//! Clusters for Face Clustering" (ECCV 2022), as a DuckDB extension and as a Rust library.
//!
//! ```text
//! embeddings   N x D features, in single or half precision or 8 bits
//!     |
//! knn          k-NN graph: k nearest of each point, with distances
//!     |
//! similarity   distance -> similarity, or a learned model of a point with its neighbors
//! transition   P: one row a point, itself included, rows sum to 1
//!     |--------------.
//! ndde  density      tpdi  distance of each edge
//!     '--------------|
//! dpc          parents, peaks, clusters
//!     |
//! scores       agreement with labels, where there are some
//! ```
//!
//! [`sweep`] gives the figures of many tau at once, [`summary`] those of each cluster, and
//! [`suggest`] the clusters to look at. [`assign`] takes new points into a clustering that stands.
//! [`constraints`] keep pairs of points together or apart, [`relabel`](mod@relabel) keeps the ids of an earlier clustering,
//! [`partitions`] are many runs in one. [`methods`] has other clusterings, to compare with.
//! [`train`](mod@train) makes a learned similarity of labelled points.
//! [`calibration`] finds the kernel that a graph calls for, and [`threshold`] the tau.
//!
//! The core counts points by row number, 0..N. Points come from Arrow arrays
//! ([`Embeddings::from_arrow`]) or slices, edges from record batches
//! ([`sparse::from_record_batches`]) or slices. [`cluster()`] is the whole run. Work runs in the
//! current rayon thread pool, and a [`Monitor`] watches and stops it.
//!
//! Everything that knows DuckDB is in `extension`.

pub mod assign;
pub mod calibration;
pub mod constraints;
pub mod dpc;
pub mod embeddings;
pub mod error;
mod kernels;
pub mod knn;
pub mod methods;
pub mod monitor;
pub mod ndde;
pub mod partitions;
pub mod relabel;
pub mod row;
pub mod scores;
pub mod similarity;
pub mod sparse;
pub mod suggest;
pub mod summary;
pub mod sweep;
pub mod threshold;
pub mod tpdi;
pub mod train;
pub mod transition;

#[cfg(feature = "extension")]
mod extension;

pub use dpc::Clustering;
pub use embeddings::Embeddings;
pub use error::{Error, Result};
pub use monitor::Monitor;

/// The parameters of a whole run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusterOptions {
    /// The distance of two embeddings.
    pub metric: knn::Metric,
    /// Of the k-NN graph.
    pub knn: knn::KnnOptions,
    /// Of the transition matrix.
    pub kernel: similarity::Kernel,
    /// Of the density.
    pub ndde: ndde::NddeOptions,
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
            tau: 0.7,
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
fn densities_and_distances(
    points: Embeddings,
    options: &ClusterOptions,
    monitor: &Monitor,
) -> Result<(Vec<f64>, sparse::Matrix)> {
    let points = knn::Points::new(points, options.metric, monitor)?;
    let graph = knn::knn_graph(&points, &options.knn, monitor)?;
    drop(points);
    let transition = transition::from_graph(&graph, options.kernel, monitor)?;
    drop(graph);
    let density = ndde::ndde(&transition, &options.ndde, monitor)?;
    let distances = tpdi::tpdi_upward(&transition, &density, monitor)?;
    Ok((density, distances))
}

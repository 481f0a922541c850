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
//! [`calibration`] finds the kernel that a graph calls for, [`threshold`] the tau, and [`cluster_tree`] has clusters without one. `model` runs a learned
//! similarity, and trains one of labelled points.
//!
//! The core counts points by row number, 0..N. Tables come and go as Arrow record batches, see
//! [`record_batch`](mod@record_batch) and `cargo run --example cluster_record_batch --no-default-features`, or as slices.
//! [`cluster()`] is the whole run. Work runs in the current rayon thread pool, and a [`Monitor`] watches and stops it.
//!
//! Above it are the engine of operators behind the SQL functions, `engine`, and all that knows DuckDB, `duckdb`;
//! ARCHITECTURE.md shows how they fit. The features `ort`, `usearch` and `training` are the models, the HNSW index and
//! training; `extension`, the default, needs them all.

mod core;
#[cfg(any(feature = "ort", feature = "training"))]
pub mod model;

#[cfg(feature = "extension")]
mod duckdb;
#[cfg(feature = "extension")]
mod engine;
#[cfg(test)]
mod fuzzing;

pub use crate::core::dpc::Clustering;
pub use crate::core::embeddings::Embeddings;
pub use crate::core::error::{Error, Result};
pub use crate::core::monitor::Monitor;
pub use crate::core::pipeline::{ClusterOptions, cluster};
pub use crate::core::{
    assign, calibration, cluster_tree, constraints, dpc, embeddings, error, halves, hierarchy, knn, likely, links,
    methods, monitor, ndde, partitions, record_batch, relabel, row, scores, separation, similarity, sparse, suggest,
    summary, sweep, threshold, tpdi, transition,
};

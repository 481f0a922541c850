//! The functions that users call, one file each.

mod assign_clusters;
mod auto_parameters;
mod both_ways;
mod cluster_embeddings;
mod cluster_labels;
mod cluster_layers;
mod cluster_summary;
mod cluster_tree;
mod cluster_with;
mod decision_graph;
mod dpc_cluster;
mod invalid_rows;
mod kmeans_cluster;
mod knn_graph;
mod knn_methods;
mod linkage_cluster;
mod ndde;
mod pairs;
mod partitions;
mod separated;
mod suggest_merges;
mod suggest_splits;
mod tau_sweep;
mod tpdi;
mod train_similarity;
mod transition_matrix;

pub use cluster_labels::CLUSTERS_ID;
pub use suggest_splits::{CLUSTERS, StoredClusters};

use super::plan::Function;

/// All functions that are made of operators.
pub static FUNCTIONS: [&Function; 21] = [
    &knn_graph::FUNCTION,
    &transition_matrix::FUNCTION,
    &auto_parameters::FUNCTION,
    &ndde::FUNCTION,
    &tpdi::FUNCTION,
    &dpc_cluster::FUNCTION,
    &linkage_cluster::FUNCTION,
    &cluster_embeddings::FUNCTION,
    &cluster_tree::FUNCTION,
    &cluster_layers::FUNCTION,
    &tau_sweep::FUNCTION,
    &decision_graph::FUNCTION,
    &cluster_summary::FUNCTION,
    &suggest_merges::FUNCTION,
    &suggest_splits::FUNCTION,
    &assign_clusters::FUNCTION,
    &cluster_with::FUNCTION,
    &kmeans_cluster::FUNCTION,
    &invalid_rows::FUNCTION,
    &knn_methods::FUNCTION,
    &train_similarity::FUNCTION,
];

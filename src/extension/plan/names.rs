//! Types of the core as a plan writes them, by the names that users give.

use serde::{Deserialize, Serialize};

use crate::core::embeddings::Precision;
use crate::core::knn::{Method, Metric};
use crate::core::methods;
use crate::model::train::Encoder;

#[derive(Serialize, Deserialize)]
#[serde(remote = "Metric", rename_all = "snake_case")]
pub(super) enum MetricName {
    Cosine,
    Ip,
    L2sq,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Method", rename_all = "snake_case")]
pub(super) enum MethodName {
    Auto,
    Exact,
    NnDescent,
    Hnsw,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Precision", rename_all = "snake_case")]
pub(super) enum PrecisionName {
    F32,
    F16,
    I8,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "methods::GraphMethod")]
pub(super) enum MethodOfGraph {
    ConnectedComponents {
        threshold: f64,
    },
    Dbscan {
        epsilon: f64,
        min_points: usize,
    },
    SingleLinkage(#[serde(with = "StopOfMethod")] methods::Stop),
    AverageLinkage(#[serde(with = "StopOfMethod")] methods::Stop),
    RankOrder {
        threshold: f64,
    },
    DensityPeaks {
        #[serde(with = "DensityKernelName")]
        kernel: methods::DensityKernel,
        cutoff: f64,
        threshold: f64,
    },
    MapEquation {
        threshold: f64,
        sigma: f64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "methods::Stop")]
pub(super) enum StopOfMethod {
    Threshold(f64),
    Clusters(usize),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "methods::DensityKernel")]
pub(super) enum DensityKernelName {
    Count,
    Gaussian,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "methods::Kmeans")]
pub(super) struct KmeansOptions {
    clusters: usize,
    #[serde(with = "MetricName")]
    metric: Metric,
    max_iterations: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Encoder", rename_all = "snake_case")]
pub(super) enum EncoderName {
    Transformer,
    Aggregate,
    Gcn,
    None,
}

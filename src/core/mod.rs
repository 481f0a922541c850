//! Kernels and stages of the pipeline, on slices, Arrow arrays and sparse matrices. Knows no SQL.

pub mod assign;
pub mod calibration;
pub mod constraints;
pub mod dpc;
pub mod embeddings;
pub mod error;
pub(crate) mod kernels;
pub mod knn;
pub mod methods;
pub mod monitor;
pub mod ndde;
pub mod partitions;
pub mod pipeline;
pub(crate) mod random;
pub mod record_batch;
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
pub mod transition;

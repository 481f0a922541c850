//! The learned similarity: a `Model` looks at the whole neighborhood of a point, as an ONNX file by a
//! [`Contract`]; `train` makes one of labelled points.
//!
//! Running models takes the feature `ort`, making them the feature `training`.

mod contract;
#[cfg(feature = "ort")]
mod inference;
mod onnx_schema;
mod protobuf;
#[cfg(feature = "training")]
pub mod train;

pub use contract::Contract;
#[cfg(feature = "ort")]
pub use inference::{Model, Neighborhoods, Runtime};

//! The learned similarity: a [`Model`] looks at the whole neighborhood of a point, as an ONNX file by a
//! [`Contract`]; [`train`](mod@train) makes one of labelled points.

#[cfg(feature = "ort")]
mod contract;
#[cfg(feature = "ort")]
mod dry_run;
#[cfg(feature = "ort")]
mod learned;
#[cfg(feature = "ort")]
mod protobuf;
#[cfg(feature = "ort")]
mod runtime;
#[cfg(feature = "training")]
pub mod train;

#[cfg(feature = "ort")]
pub use contract::Contract;
#[cfg(feature = "ort")]
pub use learned::{Model, Neighborhoods};
#[cfg(feature = "ort")]
pub use runtime::Runtime;

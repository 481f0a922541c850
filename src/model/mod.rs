//! The learned similarity: a [`Model`] looks at the whole neighborhood of a point, as an ONNX file by a
//! [`Contract`]; [`train`](mod@train) makes one of labelled points.

mod contract;
mod dry_run;
mod learned;
mod protobuf;
mod runtime;
pub mod train;

pub use contract::Contract;
pub use learned::{Model, Neighborhoods};
pub use runtime::Runtime;

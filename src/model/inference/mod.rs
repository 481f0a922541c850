//! Running a model: its file is checked, opened by ONNX Runtime, tried, and run on the neighborhoods
//! of a graph.

mod arena;
mod batch;
mod dry_run;
mod file_check;
mod learned;
mod neighborhoods;
mod runtime;
mod session;
mod signature;

pub use learned::Model;
pub use neighborhoods::Neighborhoods;
pub use runtime::Runtime;

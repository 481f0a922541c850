//! A trained model as an ONNX file, by the contract of a learned similarity.

mod file;
mod graph;
mod similarity;

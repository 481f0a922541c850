//! The pipeline as an engine of operators: calls become a plan, a graph in which each distinct step is
//! one node; its relations are collected by a host, and its values are computed each once. Knows
//! nothing of DuckDB.

pub mod argument;
pub mod failure;
pub mod hints;
pub mod host;
pub mod ids;
pub mod limits;
pub mod models;
pub mod operator;
pub mod operators;
pub mod parameter;
mod peaks;
pub mod plan;
mod prelude;
pub mod refusal;
pub mod relation;
pub mod table;
mod values;

#[cfg(test)]
mod tests;

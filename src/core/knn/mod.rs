//! Stage 1, the k-NN graph: for every point its `k` nearest others, nearest first.
//!
//! Distances are usearch's: cosine `1 - cos`, `ip` `1 - <x, y>`, `l2sq` the squared Euclidean
//! distance. They are those of the features as stored, so the graph of features in a reduced
//! [`Precision`] is the graph of the rounded features. Whatever finds the neighbors, their distances
//! are computed once more in double precision, in one fixed order, and rounded: the same bits on
//! every machine. Equal distances order by row.

mod candidate;
mod descent;
mod estimate;
mod exact;
mod hnsw;
mod points;
mod products;

use std::sync::Arc;

use arrow::array::{Float32Array, Int32Array, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema};

pub use estimate::{Estimate, choice, estimates};
pub use hnsw::{CONNECTIVITY, EXPANSION_ADD, EXPANSION_SEARCH, HnswOptions};
pub use points::{Metric, Points};
use products::Instructions;

use crate::core::embeddings::Precision;
use crate::core::error::{Error, Result};
use crate::core::monitor::Monitor;

/// In [`KnnGraph::neighbors`], the mark of a place that is not filled, always at a row's end.
pub const ABSENT: u32 = u32::MAX;

/// How neighbors are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// NN-descent where it is expected to be at least five times as fast and to find 0.99 of the mass,
    /// see [`estimates`]; else, and for queries, exact.
    #[default]
    Auto,
    /// All pairs, in blocks of matrix products.
    Exact,
    /// NN-descent: approximate, and the same in every run.
    NnDescent,
    /// usearch's HNSW index: approximate, and not the same from run to run on several threads. The
    /// index stores the features once more, in their precision; in 8 bits, under cosine alone.
    Hnsw,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Exact, Self::NnDescent, Self::Hnsw];

    /// `auto`, `exact`, `nn_descent` or `hnsw`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Exact => "exact",
            Self::NnDescent => "nn_descent",
            Self::Hnsw => "hnsw",
        }
    }
}

/// Neighbors of a point unless another number is asked for.
pub const K: usize = 80;

/// What graph to build.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnnOptions {
    /// Neighbors a point, at least 1. With fewer other points, all of them.
    pub k: usize,
    /// How neighbors are found.
    pub method: Method,
    /// Parameters of [`Method::Hnsw`].
    pub hnsw: HnswOptions,
}

impl Default for KnnOptions {
    fn default() -> Self {
        Self { k: K, method: Method::default(), hnsw: HnswOptions::default() }
    }
}

impl KnnOptions {
    /// Bytes that the search in `base` rows of `dim` dimensions, for as many `queries` or for all of
    /// the rows, needs beside the embeddings, at its peak.
    pub fn memory(&self, precision: Precision, base: usize, queries: Option<usize>, dim: usize) -> u64 {
        let k = self.k.min(base);
        let rows = queries.unwrap_or(base);
        let graph = (rows * k * 8) as u64;
        graph
            + match self.resolved(base, queries.is_some(), dim) {
                Method::Hnsw => hnsw::memory(&self.hnsw, precision, base, dim),
                Method::NnDescent => descent::memory(base, k, dim),
                _ => exact::memory(rows, k),
            }
    }

    /// Whether the method that is asked for has the metric in this precision.
    pub fn takes(&self, metric: Metric, precision: Precision) -> bool {
        self.method != Method::Hnsw || hnsw::has(metric, precision)
    }

    fn resolved(&self, base: usize, queries: bool, dim: usize) -> Method {
        match self.method {
            Method::Auto if queries => Method::Exact,
            Method::Auto => choice(base, dim, self.k),
            method => method,
        }
    }
}

/// The neighbors of each point, as dense rows of equal width.
#[derive(Debug, Clone, PartialEq)]
pub struct KnnGraph {
    rows: usize,
    k: usize,
    neighbors: Vec<u32>,
    distances: Vec<f32>,
}

impl KnnGraph {
    fn empty(rows: usize, k: usize) -> Self {
        Self { rows, k, neighbors: vec![ABSENT; rows * k], distances: vec![f32::INFINITY; rows * k] }
    }

    /// Number of points that have a row.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no point has a row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Places in a row.
    pub fn k(&self) -> usize {
        self.k
    }

    /// One row's neighbors and their distances, nearest first.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let places = row * self.k..(row + 1) * self.k;
        let neighbors = &self.neighbors[places.clone()];
        let found = neighbors.iter().position(|&n| n == ABSENT).unwrap_or(self.k);
        (&neighbors[..found], &self.distances[places][..found])
    }

    /// Number of edges.
    pub fn edges(&self) -> usize {
        (0..self.rows).map(|row| self.row(row).0.len()).sum()
    }

    /// Rename the destinations, and the rows: `src[i]` is the new number of row `i`, and `dst[j]`
    /// that of neighbor `j`; `rows` is the number of points afterwards.
    pub fn renumber(&self, rows: usize, src: &[u32], dst: &[u32]) -> Self {
        let mut graph = Self::empty(rows, self.k);
        for (row, &new) in src.iter().enumerate() {
            let (neighbors, distances) = self.row(row);
            let places = new as usize * self.k..;
            for (place, &neighbor) in graph.neighbors[places.clone()].iter_mut().zip(neighbors) {
                *place = dst[neighbor as usize];
            }
            graph.distances[places][..distances.len()].copy_from_slice(distances);
        }
        graph
    }

    /// Columns `src`, `dst` (row numbers), `rank` (1..k) and `distance`.
    pub fn to_record_batch(&self) -> RecordBatch {
        let (mut src, mut dst, mut rank, mut distance) = (vec![], vec![], vec![], vec![]);
        for row in 0..self.rows {
            let (neighbors, distances) = self.row(row);
            src.extend(std::iter::repeat_n(row as u32, neighbors.len()));
            dst.extend_from_slice(neighbors);
            rank.extend(1..=neighbors.len() as i32);
            distance.extend_from_slice(distances);
        }
        let schema = Schema::new(vec![
            Field::new("src", DataType::UInt32, false),
            Field::new("dst", DataType::UInt32, false),
            Field::new("rank", DataType::Int32, false),
            Field::new("distance", DataType::Float32, false),
        ]);
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(UInt32Array::from(src)),
                Arc::new(UInt32Array::from(dst)),
                Arc::new(Int32Array::from(rank)),
                Arc::new(Float32Array::from(distance)),
            ],
        )
        .expect("four columns of one length")
    }
}

/// The k-NN graph of `points`, each among the others.
///
/// # Errors
/// If `k` is 0, if the method does not take the points, see [`KnnOptions::takes`], or if the run is
/// stopped.
pub fn knn_graph(points: &Points, options: &KnnOptions, monitor: &Monitor) -> Result<KnnGraph> {
    check(points, options)?;
    search(&Search { base: points, queries: None, same: &[], instructions: Instructions::fastest() }, options, monitor)
}

/// The nearest points of `base` to each of `queries`. `same[q]` is the row of `base` that is the
/// same point as query `q` and no neighbor of it, or [`ABSENT`].
///
/// # Errors
/// As [`knn_graph`], if the two have different dimensions, metrics or precisions, and with
/// [`Method::NnDescent`].
pub fn knn_queries(
    base: &Points,
    queries: &Points,
    same: &[u32],
    options: &KnnOptions,
    monitor: &Monitor,
) -> Result<KnnGraph> {
    check(base, options)?;
    if options.method == Method::NnDescent {
        return Err(Error::Input("NN-descent finds the neighbors of all points together, not those of queries".into()));
    }
    if base.metric() != queries.metric() {
        return Err(Error::Input("the queries and the base have different metrics".into()));
    }
    if base.precision() != queries.precision() {
        return Err(Error::Input("the queries and the base have different precisions".into()));
    }
    if !base.is_empty() && !queries.is_empty() && base.dim() != queries.dim() {
        let (found, expected) = (queries.dim(), base.dim());
        return Err(Error::Input(format!("the queries have {found} dimensions, the base has {expected}")));
    }
    search(&Search { base, queries: Some(queries), same, instructions: Instructions::fastest() }, options, monitor)
}

fn check(points: &Points, options: &KnnOptions) -> Result<()> {
    if options.k < 1 {
        return Err(Error::Parameter { name: "k", range: "at least 1".into(), value: options.k.to_string() });
    }
    if !options.takes(points.metric(), points.precision()) {
        return Err(Error::Input("the HNSW index takes features of 8 bits under cosine alone".into()));
    }
    if options.method == Method::NnDescent && points.dim() > descent::LARGEST_DIM {
        let (dim, most) = (points.dim(), descent::LARGEST_DIM);
        return Err(Error::Input(format!("NN-descent takes up to {most} dimensions, not {dim}; use the exact method")));
    }
    Ok(())
}

fn search(search: &Search, options: &KnnOptions, monitor: &Monitor) -> Result<KnnGraph> {
    let others = search.base.len() - usize::from(search.queries.is_none() && !search.base.is_empty());
    let mut graph = KnnGraph::empty(search.queries().len(), options.k.min(others));
    if graph.k > 0 && graph.rows > 0 {
        match options.resolved(search.base.len(), search.queries.is_some(), search.base.dim()) {
            Method::Hnsw => hnsw::search(search, &options.hnsw, &mut graph, monitor)?,
            Method::NnDescent => descent::search(search, &mut graph, monitor)?,
            _ => exact::search(search, &mut graph, monitor)?,
        }
    }
    Ok(graph)
}

/// Where to look, for whom, and by what.
struct Search<'a> {
    base: &'a Points,
    /// `None`: for every point of the base itself.
    queries: Option<&'a Points>,
    same: &'a [u32],
    instructions: Instructions,
}

impl Search<'_> {
    fn queries(&self) -> &Points {
        self.queries.unwrap_or(self.base)
    }

    /// The row of the base that is query `query` itself, or [`ABSENT`].
    fn same(&self, query: usize) -> u32 {
        if self.queries.is_none() { query as u32 } else { self.same.get(query).copied().unwrap_or(ABSENT) }
    }

    /// The greatest length of a row.
    fn longest(&self) -> f64 {
        self.base.longest().max(self.queries().longest())
    }

    fn distance(&self, query: usize, base: u32) -> f32 {
        self.queries().distance(query, self.base, base as usize)
    }
}

#[cfg(test)]
mod tests;

//! Stage 1, the k-NN graph: for every point its `k` nearest others, nearest first.
//!
//! Distances are usearch's: cosine `1 - cos`, `ip` `1 - <x, y>`, `l2sq` the squared Euclidean
//! distance. They are those of the features as stored, so the graph of features in a reduced
//! [`Precision`](crate::embeddings::Precision) is the graph of the rounded features. Whatever finds the neighbors, their distances
//! are computed once more in double precision, in one fixed order, and rounded: the same bits on
//! every machine. Equal distances order by row. Of equal rows some may stand for all, see [`KnnOptions::copies`].

mod candidate;
mod copies;
mod descent;
mod estimate;
mod exact;
mod graph;
#[cfg(feature = "usearch")]
mod hnsw;
mod instructions;
mod options;
mod points;
mod products;
mod search;
mod tree;

use copies::Copies;
pub use estimate::{Estimate, choice, estimates};
pub use graph::{ABSENT, KnnGraph};
use instructions::Instructions;
pub use options::{CONNECTIVITY, COPIES, EXPANSION_ADD, EXPANSION_SEARCH, HnswOptions, K, KnnOptions, Method};
pub use points::{Metric, Points, check_length, check_longest};
use search::Search;

use crate::core::embeddings::Precision;
use crate::core::error::{Error, Result};
use crate::core::monitor::Monitor;

/// The k-NN graph of `points`, each among the others.
///
/// # Errors
/// If `k` is 0, if the method does not take the points, see [`KnnOptions::takes`], if squared distances of
/// points as short as these do not fit single precision, or if the run is stopped.
pub fn knn_graph(points: &Points, options: &KnnOptions, monitor: &Monitor) -> Result<KnnGraph> {
    check(points, options)?;
    find(&Search { base: points, queries: None, same: &[], instructions: Instructions::fastest() }, options, monitor)
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
    find(&Search { base, queries: Some(queries), same, instructions: Instructions::fastest() }, options, monitor)
}

fn check(points: &Points, options: &KnnOptions) -> Result<()> {
    if options.k < 1 {
        return Err(Error::Parameter { name: "k", range: "at least 1".into(), value: options.k.to_string() });
    }
    if !options.takes(points.metric(), points.precision()) {
        return Err(Error::Input("the HNSW index takes features of 8 bits under cosine alone".into()));
    }
    if options.method == Method::Hnsw && cfg!(not(feature = "usearch")) {
        let built = Method::ALL.iter().filter(|&&method| method != Method::Hnsw).map(|method| method.name());
        let built = built.collect::<Vec<_>>().join(", ");
        let range = format!("one of {built} in a build without the feature usearch");
        return Err(Error::Parameter { name: "method", range, value: Method::Hnsw.name().into() });
    }
    if options.method == Method::NnDescent && points.dim() > descent::LARGEST_DIM {
        let (dim, most) = (points.dim(), descent::LARGEST_DIM);
        return Err(Error::Input(format!("NN-descent takes up to {most} dimensions, not {dim}; use the exact method")));
    }
    Ok(())
}

impl KnnOptions {
    /// Bytes that the search in `base` rows of `dim` dimensions, for as many `queries` or for all of
    /// the rows, on so many threads, needs beside the embeddings, at its peak.
    #[cfg_attr(not(feature = "usearch"), expect(unused_variables, reason = "only an index copies the embeddings"))]
    pub fn memory(&self, precision: Precision, base: usize, queries: Option<usize>, dim: usize, threads: usize) -> u64 {
        let k = self.k.min(base);
        let rows = queries.unwrap_or(base);
        KnnGraph::memory(rows, k)
            + if self.copies.is_some() { Copies::memory(base) } else { 0 }
            + match self.resolved(base, queries.is_some(), dim) {
                #[cfg(feature = "usearch")]
                Method::Hnsw => hnsw::memory(&self.hnsw, precision, base, dim),
                _ if dim <= tree::LARGEST_DIM => tree::memory(base, dim),
                Method::NnDescent => descent::memory(base, k, dim, threads),
                _ => exact::memory(base, queries, k, dim, threads),
            }
    }
}

/// Run the search by the method that is asked for.
fn find(search: &Search, options: &KnnOptions, monitor: &Monitor) -> Result<KnnGraph> {
    let others = search.base.len() - usize::from(search.queries.is_none() && !search.base.is_empty());
    let mut graph = KnnGraph::empty(search.queries().len(), options.k.min(others));
    if graph.k > 0 && graph.rows > 0 {
        check_longest(search.base.metric(), search.longest())
            .map_err(|problem| Error::point(search.queries().longest_row(), problem))?;
        let method = options.resolved(search.base.len(), search.queries.is_some(), search.base.dim());
        let copies = (options.copies.is_some() || !method.looks_at_all_pairs())
            .then(|| Copies::new(search.base, options.copies, monitor))
            .transpose()?;
        let all = || (0..search.base.len() as u32).collect();
        let listed = copies.as_ref().map_or_else(all, Copies::all_listed);
        match (method, &copies) {
            #[cfg(feature = "usearch")]
            (Method::Hnsw, Some(copies)) => hnsw::search(search, copies, &options.hnsw, &mut graph, monitor)?,
            _ if search.base.dim() <= tree::LARGEST_DIM => tree::search(search, listed, &mut graph, monitor)?,
            (Method::NnDescent, Some(copies)) if listed.len() > graph.k => {
                descent::search_among(search, copies, &listed, &mut graph, monitor)?;
            }
            _ => exact::search(search, &listed, &mut graph, monitor)?,
        }
        if let (None, Some(copies)) = (search.queries, &copies) {
            copies.fill(search, &mut graph);
        }
    }
    Ok(graph)
}

#[cfg(test)]
mod tests;

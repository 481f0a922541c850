//! Approximate neighbors from usearch's HNSW index, in which equal rows are one.

use rayon::prelude::*;
use usearch::ffi::Matches;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

use super::candidate::{Candidate, sort_exact, write};
use super::copies::Copies;
use super::graph::KnnGraph;
use super::options::HnswOptions;
use super::points::Metric;
use super::search::Search;
use crate::core::embeddings::Precision;
use crate::core::error::{Error, Result};
use crate::core::monitor::Monitor;
use crate::core::row::Row;

/// Points that are added one by one.
const ALONE: usize = 1000;

/// Points that one unit of work searches for: some milliseconds.
const UNIT: usize = 16;

/// Bytes of the index: the vectors, and the links of the base level and of those above it.
pub(super) fn memory(options: &HnswOptions, precision: Precision, base: usize, dim: usize) -> u64 {
    base as u64 * ((dim * precision.value_bytes() + 12 * options.connectivity) as u64 + 64)
}

/// The index, and what it takes to give it rows.
struct RowIndex {
    index: Index,
    /// What a row's features are multiplied by, so that half floats hold them; of no effect on
    /// which rows are nearest.
    factor: f64,
}

impl RowIndex {
    fn add(&self, key: u32, row: Row, features: &mut Vec<f32>) -> Result<()> {
        let key = u64::from(key);
        match row {
            Row::F32(values) => self.index.add(key, values),
            Row::F16(..) => {
                row.decode(self.factor, features);
                self.index.add(key, features)
            }
            // Under cosine, which is all that there is for these, a row's scale does not matter.
            Row::I8(values, _) => self.index.add(key, values),
        }
        .map_err(failed)
    }

    fn search(&self, row: Row, count: usize, features: &mut Vec<f32>) -> Result<Matches> {
        match row {
            Row::F32(values) => self.index.search(values, count),
            Row::F16(..) => {
                row.decode(self.factor, features);
                self.index.search(features, count)
            }
            Row::I8(values, _) => self.index.search(values, count),
        }
        .map_err(failed)
    }
}

pub(super) fn search(
    search: &Search,
    copies: &Copies,
    options: &HnswOptions,
    graph: &mut KnnGraph,
    monitor: &Monitor,
) -> Result<()> {
    let base = search.base;
    let index = Index::new(&IndexOptions {
        dimensions: base.dim(),
        metric: match base.metric() {
            Metric::Cosine => MetricKind::Cos,
            Metric::Ip => MetricKind::IP,
            Metric::L2sq => MetricKind::L2sq,
        },
        quantization: match base.precision() {
            Precision::F32 => ScalarKind::F32,
            Precision::F16 => ScalarKind::F16,
            Precision::I8 => ScalarKind::I8,
        },
        connectivity: options.connectivity,
        expansion_add: options.expansion_add,
        expansion_search: options.expansion_search.max(graph.k + 1),
        multi: false,
    })
    .map_err(failed)?;
    let nodes = copies.firsts();
    index.reserve_capacity_and_threads(nodes.len(), rayon::current_num_threads()).map_err(failed)?;
    let index = RowIndex { index, factor: 1.0 / search.longest().max(f64::MIN_POSITIVE) };

    // Points that are added at the same time do not see each other, which matters among the first.
    let phase = monitor.phase(0.0..0.5, nodes.len());
    let add = |features: &mut Vec<f32>, &row: &u32| {
        phase.step()?;
        index.add(row, base.row(row as usize), features)
    };
    let (first, others) = nodes.split_at(nodes.len().min(ALONE));
    let mut features = Vec::new();
    first.iter().try_for_each(|row| add(&mut features, row))?;
    others.par_iter().try_for_each_init(Vec::new, add)?;

    let k = graph.k;
    let phase = monitor.phase(0.5..1.0, graph.rows.div_ceil(UNIT));
    (graph.neighbors.par_chunks_mut(UNIT * k).zip(graph.distances.par_chunks_mut(UNIT * k)))
        .enumerate()
        .try_for_each_init(
            || (Vec::new(), Vec::new(), Vec::new()),
            |(features, found, nearest), (unit, (neighbors, distances))| {
                phase.step()?;
                for place in 0..neighbors.len() / k {
                    let query = unit * UNIT + place;
                    // The node of the query itself, which the index may miss.
                    let own = search.queries.is_none().then(|| copies.first(query as u32));
                    // One more, because the point itself is among its nearest.
                    let matches = index.search(search.queries().row(query), k + 1, features)?;
                    let others = matches.keys.iter().map(|&key| key as u32).filter(|&row| Some(row) != own);
                    found.clear();
                    found.extend(own.into_iter().chain(others).map(|row| Candidate::new(0.0, row)));
                    sort_exact(found, query as u32, search);
                    copies.nearest(found, search.same(query), k, nearest);
                    write(nearest, &mut neighbors[place * k..][..k], &mut distances[place * k..][..k]);
                }
                Ok(())
            },
        )
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Index(error.to_string())
}

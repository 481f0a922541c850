//! A run of all stages but the last for each partition, and the pairs that may not be of two: what
//! `cluster_embeddings` does with `partition_by`.

use std::fmt::Display;
use std::sync::{Arc, Mutex};

use super::knn_graph::{After, GraphOptions, GraphSize, check_fits, need};
use super::pairs::GivenPairs;
use super::separated;
use super::transition_matrix::edge_bytes;
use crate::core::embeddings::Precision;
use crate::core::error::Error;
use crate::core::ndde::NddeOptions;
use crate::core::partitions::stages;
use crate::core::pipeline::{ClusterOptions, Cut, Stages};
use crate::core::similarity::Kernel;
use crate::engine::peaks::Peaks;
use crate::engine::prelude::*;
use crate::engine::values::{Edges, PointRows, tree_bytes};

/// All stages but the last over each partition.
#[derive(Debug, PartialEq)]
pub struct PartitionedRuns {
    pub source: Input<PartitionedRows>,
    pub graph: GraphOptions,
    /// `None`: the one that each partition calls for.
    pub kernel: Option<Kernel>,
    pub ndde: NddeOptions,
    /// `None`: clusters without a threshold.
    pub tau: Option<f64>,
    pub pairs: GivenPairs,
}

/// What all partitions' runs gave.
pub struct Partitioned {
    pub peaks: Peaks,
    pub cut: Cut,
    /// The partition of each point, `None` for NULL, and the values that they number.
    pub of: (Arc<Ids>, Vec<Option<u32>>),
}

/// The same, until it is taken.
pub struct PartitionedPeaks(Mutex<Option<Partitioned>>);

impl PartitionedPeaks {
    /// They have one reader.
    pub fn take(run: &mut Run<'_>, input: Input<Self>) -> Result<Partitioned> {
        let value = run.value(input)?;
        let taken = value.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        Ok(taken.expect("densities and distances of partitions have one reader"))
    }
}

impl Rows for PartitionedPeaks {
    fn count(&self) -> usize {
        0
    }
}

impl Operator for PartitionedRuns {
    type Output = PartitionedPeaks;

    fn inputs(&self) -> Vec<usize> {
        std::iter::once(self.source.node).chain(self.pairs.nodes()).collect()
    }

    fn columns(&self) -> Vec<Column<PartitionedPeaks>> {
        vec![]
    }

    fn edge_bytes(&self) -> u64 {
        let tree = if self.tau.is_none() { tree_bytes() } else { 0 };
        let separated = if self.pairs.cannot_link.is_some() { separated::edge_bytes() } else { 0 };
        edge_bytes(self.kernel).max(tree).max(separated)
    }

    fn run(&self, run: &mut Run<'_>) -> Result<PartitionedPeaks> {
        let label = run.label(self.source);
        let PartitionedRows { points: PointRows { ids, embeddings }, values, of } = run.take(self.source)?;
        let pairs = self.pairs.read(run)?;
        let constraints = pairs.constraints(&ids)?;
        let apart = |&(a, b): &(u32, u32)| of[a as usize] != of[b as usize];
        if let Some(&(a, b)) = constraints.must_link.iter().find(|pair| apart(pair)) {
            let apart = |a: &dyn Display, b: &dyn Display| {
                format!(
                    "the pair {a}, {b} cannot share a cluster, because its ends are of two partitions; leave it out"
                )
            };
            return Err(pairs.must_link_failed(&ids)(Cause::Pair(a, b, apart)));
        }
        // Those of NULL are one more partition.
        let mut members = vec![Vec::new(); values.len() + 1];
        for (row, value) in (0u32..).zip(&of) {
            members[value.map_or(values.len(), |value| value as usize)].push(row);
        }
        members.retain(|rows| !rows.is_empty());
        self.check_memory(&members, embeddings.len(), embeddings.dim(), run)
            .map_err(|error| Failure::of(&label, error))?;
        let options = ClusterOptions {
            metric: self.graph.metric,
            knn: self.graph.knn,
            kernel: self.kernel,
            ndde: self.ndde,
            tau: self.tau,
        };
        let found = stages(&embeddings, &members, &options, &constraints, run.monitor);
        let Stages { density, distances, cut } = found.map_err(failed(&label, &ids))?;
        let peaks = Peaks { density, distances: Edges::new(distances, ids, label.clone()), label };
        Ok(PartitionedPeaks(Mutex::new(Some(Partitioned { peaks, cut, of: (values, of) }))))
    }
}

impl PartitionedRuns {
    /// Refuse work that does not fit: all points and distances, and as many partitions at work as there
    /// are threads, each on one of them.
    fn check_memory(&self, members: &[Vec<u32>], points: usize, dim: usize, run: &Run<'_>) -> Result<(), Error> {
        let largest = members.iter().map(Vec::len).max().unwrap_or(0);
        let at_work = run.limits.threads.min(members.len()) as u64;
        let size = GraphSize { base: largest, queries: largest, has_queries: false, dim, threads: 1 };
        let after = After { edge_bytes: self.edge_bytes(), keeps: false };
        let needs = |precision: Precision, k: usize| {
            let row_bytes = precision.row_bytes(dim) as u64 + 8;
            let edges = |points: usize| points as u64 * (k.min(largest) as u64 + 1);
            // The distances of all, beside the work of some, or once more in the order of the rows.
            let at_work = at_work * need(&self.graph, precision, k, size, after);
            points as u64 * row_bytes + edges(points) * 12 + at_work.max(edges(points) * 12)
        };
        let (count, k) = (members.len(), self.graph.knn.k);
        let what = || format!("{points} embeddings of {dim} dimensions in {count} partitions with k := {k}");
        check_fits(&self.graph, largest, what, &run.limits, needs)
    }
}

/// Embeddings with the partition of each, `None` for NULL, and the values that they number.
#[derive(Clone)]
pub struct PartitionedRows {
    points: PointRows,
    values: Arc<Ids>,
    of: Vec<Option<u32>>,
}

impl FromRows for PartitionedRows {
    fn from_rows(rows: Collected, label: &str, run: &Run<'_>) -> Result<Self> {
        let mut rows = Sorted::new(rows, label)?;
        let points = PointRows::new(rows.ids.clone(), rows.embeddings(), label, run)?;
        let (values, numbers) = rows.labels();
        let (values, places) = values.sorted();
        let of = numbers.into_iter().map(|number| number.map(|number| places[number as usize])).collect();
        Ok(Self { points, values: Arc::new(values), of })
    }
}

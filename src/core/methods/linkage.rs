//! Average linkage on a sparse graph: as on the dense matrix in which every absent distance is the
//! same, but with work and memory for the edges alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;

use super::graph::edges;
use super::stop::Stop;
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::sparse::{Matrix, ROWS, row};

/// The edges between two clusters.
#[derive(Debug, Clone, Copy)]
struct Between {
    sum: f64,
    edges: f64,
}

/// Bytes that average linkage needs beside the graph: a table of pairs for each cluster, and a heap.
pub fn memory(edges: u64) -> u64 {
    edges * 128
}

/// Clusters on their way: 0..n are the points, and each merge adds one.
struct Clusters {
    /// The edges to each other cluster; none once it has merged.
    between: Vec<HashMap<u32, Between>>,
    sizes: Vec<f64>,
    /// The cluster that a cluster merged into; itself until then.
    into: Vec<u32>,
    absent: f64,
    threshold: f64,
    /// Pairs to merge, nearest first. Distances are at least 0, so that their bits order as they do.
    heap: BinaryHeap<Reverse<(u64, u32, u32)>>,
}

impl Clusters {
    fn alive(&self, cluster: u32) -> bool {
        self.into[cluster as usize] == cluster
    }

    fn consider(&mut self, a: u32, b: u32, between: Between) {
        let pairs = self.sizes[a as usize] * self.sizes[b as usize];
        let mean = (between.sum + (pairs - between.edges) * self.absent) / pairs;
        if mean <= self.threshold {
            self.heap.push(Reverse((mean.to_bits(), a.min(b), a.max(b))));
        }
    }

    fn merge(&mut self, a: u32, b: u32) {
        let new = self.into.len() as u32;
        let take =
            |between: &mut Vec<HashMap<u32, Between>>, cluster: u32| std::mem::take(&mut between[cluster as usize]);
        let (mut union, mut smaller) = (take(&mut self.between, a), take(&mut self.between, b));
        if union.len() < smaller.len() {
            std::mem::swap(&mut union, &mut smaller);
        }
        for (other, between) in smaller {
            let sums = union.entry(other).or_insert(Between { sum: 0.0, edges: 0.0 });
            sums.sum += between.sum;
            sums.edges += between.edges;
        }
        union.remove(&a);
        union.remove(&b);
        (self.into[a as usize], self.into[b as usize]) = (new, new);
        self.into.push(new);
        self.sizes.push(self.sizes[a as usize] + self.sizes[b as usize]);
        for (&other, &between) in &union {
            let others = &mut self.between[other as usize];
            others.remove(&a);
            others.remove(&b);
            others.insert(new, between);
            self.consider(new, other, between);
        }
        self.between.push(union);
    }
}

/// See [`GraphMethod::AverageLinkage`](super::GraphMethod::AverageLinkage).
pub fn average_linkage(graph: &Matrix, stop: Stop, monitor: &Monitor) -> Result<Vec<u32>> {
    let n = graph.rows();
    let (threshold, wanted) = stop.limits(n)?;
    let mut clusters = Clusters {
        between: Vec::with_capacity(2 * n),
        sizes: vec![1.0; n],
        into: (0..n as u32).collect(),
        absent: graph.data().iter().copied().fold(1.0, f64::max),
        threshold,
        heap: BinaryHeap::new(),
    };
    for i in 0..n {
        if i.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        let (neighbors, distances) = row(graph, i);
        let edges = neighbors.iter().zip(distances);
        clusters.between.push(edges.map(|(&j, &sum)| (j, Between { sum, edges: 1.0 })).collect());
    }
    edges(graph).for_each(|(i, j, sum)| clusters.consider(i, j, Between { sum, edges: 1.0 }));
    let mut left = n;
    while let Some(Reverse((_, a, b))) = clusters.heap.pop().filter(|_| left > wanted) {
        if clusters.alive(a) && clusters.alive(b) {
            monitor.check()?;
            clusters.merge(a, b);
            left -= 1;
        }
    }
    stop.check(left)?;
    // A cluster merges into a later one.
    let mut into = clusters.into;
    (0..into.len()).rev().for_each(|cluster| into[cluster] = into[into[cluster] as usize]);
    into.truncate(n);
    Ok(into)
}

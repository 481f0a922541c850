//! Average linkage on a sparse graph: as on the dense matrix in which every absent distance is the
//! same, but with work and memory for the edges alone.

use super::stop::Stop;
use crate::core::agglomeration::{Agglomeration, Between, Edges, Linkage};
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::sparse::{Matrix, ROWS, row};

/// The mean distance of two clusters' points.
struct AverageLinkage {
    sizes: Vec<f64>,
    /// The distance of two points without an edge.
    absent: f64,
}

impl Linkage for AverageLinkage {
    fn distance(&self, a: u32, b: u32, between: Between) -> f64 {
        let pairs = self.sizes[a as usize] * self.sizes[b as usize];
        (between.sum + (pairs - between.edges) * self.absent) / pairs
    }

    fn merged(&mut self, a: u32, b: u32) {
        self.sizes.push(self.sizes[a as usize] + self.sizes[b as usize]);
    }
}

/// See [`GraphMethod::AverageLinkage`](super::GraphMethod::AverageLinkage).
pub fn average_linkage(graph: &Matrix, stop: Stop, monitor: &Monitor) -> Result<Vec<u32>> {
    let n = graph.rows();
    let (threshold, wanted) = stop.limits(n)?;
    let mut edges = Vec::with_capacity(2 * n);
    for i in 0..n {
        if i.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        let (neighbors, distances) = row(graph, i);
        let of_row = neighbors.iter().zip(distances);
        edges.push(of_row.map(|(&to, &sum)| Edges { to, count: 1, sum }).collect());
    }
    let absent = graph.data().iter().copied().fold(1.0, f64::max);
    let mut clusters = Agglomeration::new(edges, AverageLinkage { sizes: vec![1.0; n], absent }, threshold);
    let mut left = n;
    while left > wanted
        && let Some((_, a, b)) = clusters.nearest()
    {
        monitor.check()?;
        clusters.merge(a, b);
        left -= 1;
    }
    stop.check(left)?;
    Ok(clusters.into_labels(n))
}

//! What edges connect: connected components, and single linkage.

use super::graph::edges;
use super::stop::Stop;
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::sparse::{Matrix, ROWS, row};
use crate::core::union_find::UnionFind;

/// The connected components of the edges of at most `threshold`.
pub fn connected(graph: &Matrix, threshold: f64, monitor: &Monitor) -> Result<Vec<u32>> {
    let mut sets = UnionFind::new(graph.rows());
    for i in 0..graph.rows() {
        if i.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        let (neighbors, distances) = row(graph, i);
        for (&j, &distance) in neighbors.iter().zip(distances) {
            if distance <= threshold {
                sets.unite(i as u32, j);
            }
        }
    }
    Ok(sets.into_labels())
}

/// Bytes that single linkage needs beside the graph: each edge once, in order of its length.
pub fn single_linkage_memory(edges: u64) -> u64 {
    edges * size_of::<(u32, u32, f64)>() as u64
}

/// Single linkage: edge by edge, the shortest first, of equally long ones that of the smaller rows.
pub fn single_linkage(graph: &Matrix, stop: Stop, monitor: &Monitor) -> Result<Vec<u32>> {
    let n = graph.rows();
    let (threshold, clusters) = stop.limits(n)?;
    let mut edges: Vec<(u32, u32, f64)> = edges(graph).filter(|edge| edge.2 <= threshold).collect();
    monitor.check()?;
    // Stable, so that equally long edges stay in order of their rows.
    edges.sort_by(|a, b| a.2.total_cmp(&b.2));
    let mut sets = UnionFind::new(n);
    let mut left = n;
    for (at, (i, j, _)) in edges.into_iter().enumerate() {
        if left <= clusters {
            break;
        }
        if at.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        left -= usize::from(sets.unite(i, j));
    }
    stop.check(left)?;
    Ok(sets.into_labels())
}

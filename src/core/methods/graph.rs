//! The graph that the methods read.

use crate::core::error::Result;
use crate::core::knn::KnnGraph;
use crate::core::monitor::Monitor;
use crate::core::sparse::{Matrix, from_rows, places, row, transpose};
use crate::core::transition::{checked_distance, graph_distance};

/// The distances of a k-NN graph.
///
/// # Errors
/// If a distance is negative (`ip` of vectors longer than 1), or the run is stopped.
pub fn from_knn_graph(graph: &KnnGraph, monitor: &Monitor) -> Result<Matrix> {
    let fill = |i: usize, entries: &mut Vec<(u32, f64)>| {
        let (neighbors, distances) = graph.row(i);
        for (&j, &distance) in neighbors.iter().zip(distances) {
            entries.push((j, graph_distance(i, j, distance)?));
        }
        Ok(())
    };
    from_rows(graph.len(), |i| graph.row(i).0.len(), fill, monitor)
}

/// Bytes of a graph of so many edges and its transpose, then of both directions.
pub fn undirected_memory(edges: u64) -> u64 {
    edges * 36
}

/// Every edge in both directions, of two distances the smaller; without those of a point to itself.
///
/// # Errors
/// If a distance is negative or not finite, or the run is stopped.
pub fn undirected(distances: &Matrix, monitor: &Monitor) -> Result<Matrix> {
    let n = distances.rows();
    let (into, sources, values) = transpose(distances, monitor)?;
    let neighbors = |i: usize| {
        let (columns, out_values) = row(distances, i);
        let places = into[i]..into[i + 1];
        Merged { i: i as u32, one: (columns, out_values), other: (&sources[places.clone()], &values[places]) }
    };
    let fill = |i: usize, entries: &mut Vec<(u32, f64)>| {
        for (j, distance) in neighbors(i) {
            entries.push((j, checked_distance(i, j, distance)?));
        }
        Ok(())
    };
    from_rows(n, |i| neighbors(i).count(), fill, monitor)
}

/// The neighbors of `i` in two rows, in order, without itself.
struct Merged<'a> {
    i: u32,
    one: (&'a [u32], &'a [f64]),
    other: (&'a [u32], &'a [f64]),
}

impl Iterator for Merged<'_> {
    type Item = (u32, f64);

    fn next(&mut self) -> Option<(u32, f64)> {
        fn take(row: &mut (&[u32], &[f64])) -> f64 {
            let value = row.1[0];
            *row = (&row.0[1..], &row.1[1..]);
            value
        }
        loop {
            let (one, other) = (self.one.0.first().copied(), self.other.0.first().copied());
            let j = [one, other].into_iter().flatten().min()?;
            let distance = match (one == Some(j), other == Some(j)) {
                // A distance that is not a number must not get lost.
                (true, true) => match (take(&mut self.one), take(&mut self.other)) {
                    (a, b) if a <= b || a.is_nan() => a,
                    (_, b) => b,
                },
                (true, false) => take(&mut self.one),
                _ => take(&mut self.other),
            };
            if j != self.i {
                return Some((j, distance));
            }
        }
    }
}

/// The edges of an undirected graph, each once, from the smaller row.
pub fn edges(graph: &Matrix) -> impl Iterator<Item = (u32, u32, f64)> + '_ {
    (0..graph.rows()).flat_map(move |i| {
        let later = row(graph, i).0.partition_point(|&j| j as usize <= i);
        let places = places(graph, i).start + later..places(graph, i).end;
        places.map(move |at| (i as u32, graph.indices()[at], graph.data()[at]))
    })
}

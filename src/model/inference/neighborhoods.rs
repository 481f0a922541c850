//! The neighbors of each point, in the order in which a model is given them.

use rayon::prelude::*;

use crate::core::knn::KnnGraph;
use crate::core::sparse::{self, Matrix};

/// The neighbors of each point, nearest first, the point itself not among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighborhoods {
    /// Where each point's neighbors start, and where the last one's end.
    pub(super) starts: Vec<usize>,
    pub(super) neighbors: Vec<u32>,
}

impl Neighborhoods {
    /// Of a k-NN graph.
    pub fn of_graph(graph: &KnnGraph) -> Self {
        Self::new(graph.len(), |row| graph.row(row).0, |row, places| places.copy_from_slice(graph.row(row).0))
    }

    /// Of edges with a distance each; equal distances in order of the points.
    pub fn of_distances(distances: &Matrix) -> Self {
        Self::by(distances, |distance| distance)
    }

    /// Of edges with a similarity each.
    pub fn of_similarities(similarities: &Matrix) -> Self {
        Self::by(similarities, |similarity| -similarity)
    }

    fn by(edges: &Matrix, distance: impl Fn(f64) -> f64 + Sync) -> Self {
        let fill = |row: usize, places: &mut [u32]| {
            let (columns, values) = sparse::row(edges, row);
            let others = columns.iter().zip(values).filter(|edge| *edge.0 as usize != row);
            let mut others: Vec<(f64, u32)> = others.map(|(&column, &value)| (distance(value), column)).collect();
            others.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            places.iter_mut().zip(others).for_each(|(place, (_, column))| *place = column);
        };
        Self::new(edges.rows(), |row| sparse::row(edges, row).0, fill)
    }

    fn new<'a>(
        rows: usize,
        neighbors: impl Fn(usize) -> &'a [u32] + Sync,
        fill: impl Fn(usize, &mut [u32]) + Sync,
    ) -> Self {
        let others = |row: usize| neighbors(row).iter().filter(|&&neighbor| neighbor as usize != row).count();
        let starts = sparse::starts(rows, others);
        let mut neighbors = vec![0; starts[rows]];
        sparse::units(&starts, &mut neighbors, sparse::ROWS).into_par_iter().for_each(|(rows, neighbors)| {
            let first = starts[rows.start];
            rows.for_each(|row| fill(row, &mut neighbors[starts[row] - first..starts[row + 1] - first]));
        });
        Self { starts, neighbors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::monitor::Monitor;

    #[test]
    fn neighbors_are_in_order_of_their_distance_without_the_point_itself() {
        let edges =
            sparse::from_edges(4, &[0, 0, 0, 0, 2], &[0, 1, 2, 3, 0], &[0.0, 0.5, 0.2, 0.5, 1.0], &Monitor::new());
        let edges = edges.unwrap();
        let starts = vec![0, 3, 3, 4, 4];
        let near = Neighborhoods::of_distances(&edges);
        assert_eq!(near, Neighborhoods { starts: starts.clone(), neighbors: vec![2, 1, 3, 0] });
        let similar = Neighborhoods::of_similarities(&edges);
        assert_eq!(similar, Neighborhoods { starts, neighbors: vec![1, 3, 2, 0] });
    }
}

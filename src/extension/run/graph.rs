//! A graph, and whose rows and neighbors it numbers.

use std::sync::Arc;

use super::super::ids::Ids;
use crate::core::knn::{KnnGraph, Points};

/// A graph with the ids of its rows and of its neighbors.
#[derive(Clone)]
pub(super) struct Graph {
    pub graph: Arc<KnnGraph>,
    pub src: Arc<Ids>,
    pub dst: Arc<Ids>,
    /// The points, of the rows first, where a model wants their embeddings.
    pub points: Vec<(Arc<Ids>, Arc<Points>)>,
}

impl Graph {
    /// The graph with a row for every point that an edge names, as if it were a stored table.
    pub fn over_all_points(self) -> Self {
        let Self { graph, src, dst, points } = self;
        if Arc::ptr_eq(&src, &dst) {
            return Self { graph, src, dst, points };
        }
        let mut used = vec![false; dst.len()];
        (0..graph.len()).flat_map(|row| graph.row(row).0).for_each(|&j| used[j as usize] = true);
        let (all, src, dst) = Ids::union(&src, &dst, &used);
        let (graph, all) = (Arc::new(graph.renumber(all.len(), &src, &dst)), Arc::new(all));
        Self { graph, src: all.clone(), dst: all, points }
    }
}

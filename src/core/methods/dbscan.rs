//! DBSCAN on a graph of distances.

use rayon::prelude::*;

use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::sparse::{Matrix, ROWS, row};
use crate::core::union_find::UnionFind;

/// Neighbors of a core point, itself included, unless another number is asked for.
pub const MIN_POINTS: usize = 5;

/// See [`GraphMethod::Dbscan`](super::GraphMethod::Dbscan).
pub fn dbscan(graph: &Matrix, epsilon: f64, min_points: usize, monitor: &Monitor) -> Result<Vec<u32>> {
    let n = graph.rows();
    let near = |i: usize| {
        let (neighbors, distances) = row(graph, i);
        neighbors.iter().copied().zip(distances.iter().copied()).filter(move |&(_, distance)| distance <= epsilon)
    };
    let is_core = |i: usize| monitor.check().map(|()| near(i).count() + 1 >= min_points);
    let core: Vec<bool> = (0..n).into_par_iter().with_min_len(ROWS).map(is_core).collect::<Result<_>>()?;
    let mut sets = UnionFind::new(n);
    for i in 0..n {
        if i.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        let cores = near(i).filter(|&(j, _)| core[j as usize]);
        if core[i] {
            cores.for_each(|(j, _)| _ = sets.unite(i as u32, j));
        } else if let Some((nearest, _)) = cores.min_by(|a, b| a.1.total_cmp(&b.1)) {
            // The first of equally near ones, that is the smallest row. Nothing else joins a border point.
            sets.unite(i as u32, nearest);
        }
    }
    Ok(sets.into_labels())
}

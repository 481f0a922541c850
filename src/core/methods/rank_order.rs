//! Approximate rank-order clustering (Otto, Wang and Jain, "Clustering Millions of Faces by
//! Identity", 2017, section 4).

use rayon::prelude::*;

use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::sparse::{Matrix, ROWS, row};
use crate::core::transition::checked_distance;
use crate::core::union_find::UnionFind;

/// Bytes of the graph, and of each point's ranked neighbors and those that it joins, with what their vectors
/// leave unused.
pub fn memory(edges: u64) -> u64 {
    edges * 28
}

/// The neighbors of each point, nearest first, of equally near ones the smaller row.
fn ranked(distances: &Matrix, monitor: &Monitor) -> Result<Vec<Vec<u32>>> {
    let list = |i: usize| {
        monitor.check()?;
        let (neighbors, distances) = row(distances, i);
        let mut near = Vec::with_capacity(neighbors.len());
        for (&j, &distance) in neighbors.iter().zip(distances).filter(|edge| *edge.0 as usize != i) {
            near.push((checked_distance(i, j, distance)?, j));
        }
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(near.into_iter().map(|(_, j)| j).collect())
    };
    (0..distances.rows()).into_par_iter().with_min_len(ROWS).map(list).collect()
}

/// The distance of a and its neighbor b, the same from either: `(d(a, b) + d(b, a)) / min(O_a(b),
/// O_b(a))`. O_a(b) is the rank of b among the neighbors of a, and d(a, b) is how many of these up to
/// b are no neighbors of b. Where a is not among the neighbors of b, d(b, a) counts all of them and
/// the other rank is the divisor. `ranks` has O_a of every point, 0 for one that is no neighbor of a.
fn distance(a: u32, b: u32, ranks: &[u32], neighbors_of_b: &[u32]) -> f64 {
    let rank = |c: u32| ranks[c as usize] as usize;
    let rank_of_b = rank(b);
    let shared = neighbors_of_b.iter().filter(|&&c| (1..rank_of_b).contains(&rank(c))).count();
    let rank_of_a = neighbors_of_b.iter().position(|&c| c == a).map(|at| at + 1);
    let up_to = &neighbors_of_b[..rank_of_a.unwrap_or(neighbors_of_b.len())];
    let missing = rank_of_b - 1 - shared + up_to.iter().filter(|&&c| c != a && rank(c) == 0).count();
    missing as f64 / rank_of_a.map_or(rank_of_b, |rank_of_a| rank_of_a.min(rank_of_b)) as f64
}

/// See [`GraphMethod::RankOrder`](super::GraphMethod::RankOrder).
pub fn rank_order(distances: &Matrix, threshold: f64, monitor: &Monitor) -> Result<Vec<u32>> {
    let n = distances.rows();
    let lists = ranked(distances, monitor)?;
    let joined = |ranks: &mut Vec<u32>, a: usize| {
        monitor.check()?;
        lists[a].iter().zip(1..).for_each(|(&b, rank)| ranks[b as usize] = rank);
        let near = |&b: &u32| distance(a as u32, b, ranks, &lists[b as usize]) <= threshold;
        let joined = lists[a].iter().copied().filter(near).collect();
        lists[a].iter().for_each(|&b| ranks[b as usize] = 0);
        Ok(joined)
    };
    let joined: Vec<Vec<u32>> = (0..n)
        .into_par_iter()
        .with_min_len(ROWS)
        .map_init(|| vec![0; n], |ranks, a| joined(ranks, a))
        .collect::<Result<_>>()?;
    let mut sets = UnionFind::new(n);
    for (a, joined) in joined.into_iter().enumerate() {
        joined.into_iter().for_each(|b| _ = sets.unite(a as u32, b));
    }
    Ok(sets.into_labels())
}

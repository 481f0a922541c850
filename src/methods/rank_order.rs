//! Approximate rank-order clustering (Otto, Wang and Jain, "Clustering Millions of Faces by
//! Identity", 2017, section 4).

use petgraph::unionfind::UnionFind;
use rayon::prelude::*;

use crate::error::Result;
use crate::monitor::Monitor;
use crate::sparse::{Matrix, ROWS, row};
use crate::transition::{RANGE, checked_distance};

/// The neighbors of each point, by rank and by row.
struct Lists {
    /// Nearest first, of equally near ones the smaller row.
    ranked: Vec<Vec<u32>>,
    /// In order, each with its rank from 1.
    sorted: Vec<Vec<(u32, u32)>>,
}

impl Lists {
    fn new(distances: &Matrix, monitor: &Monitor) -> Result<Self> {
        let list = |i: usize| {
            monitor.check()?;
            let (neighbors, distances) = row(distances, i);
            let mut near = Vec::with_capacity(neighbors.len());
            for (&j, &distance) in neighbors.iter().zip(distances).filter(|edge| *edge.0 as usize != i) {
                near.push((checked_distance(i, j, distance, RANGE)?, j));
            }
            near.sort_by(|a, b| a.0.total_cmp(&b.0));
            let ranked: Vec<u32> = near.into_iter().map(|(_, j)| j).collect();
            let mut sorted: Vec<(u32, u32)> = ranked.iter().copied().zip(1..).collect();
            sorted.sort_unstable();
            Ok((ranked, sorted))
        };
        let lists: Vec<_> = (0..distances.rows()).into_par_iter().map(list).collect::<Result<_>>()?;
        let (ranked, sorted) = lists.into_iter().unzip();
        Ok(Self { ranked, sorted })
    }

    /// O_a(b), the rank of b among the neighbors of a.
    fn rank(&self, a: u32, b: u32) -> Option<usize> {
        let sorted = &self.sorted[a as usize];
        sorted.binary_search_by_key(&b, |entry| entry.0).ok().map(|at| sorted[at].1 as usize)
    }

    /// d_m(a, b), equation 3: how many of a's neighbors up to b are no neighbors of b; of all of
    /// them where b is not among them.
    fn missing(&self, a: u32, b: u32) -> usize {
        let ranked = &self.ranked[a as usize];
        let up_to = self.rank(a, b).unwrap_or(ranked.len());
        ranked[..up_to].iter().filter(|&&c| c != b && self.rank(b, c).is_none()).count()
    }

    /// D_m(a, b), equation 4, for b among the neighbors of a: symmetric.
    fn distance(&self, a: u32, b: u32) -> f64 {
        let ranks = [self.rank(a, b), self.rank(b, a)];
        let least = ranks.into_iter().flatten().min().unwrap_or(1);
        (self.missing(a, b) + self.missing(b, a)) as f64 / least as f64
    }
}

/// See [`Method::RankOrder`](super::Method::RankOrder).
pub fn rank_order(distances: &Matrix, threshold: f64, monitor: &Monitor) -> Result<Vec<u32>> {
    let lists = Lists::new(distances, monitor)?;
    let n = distances.rows();
    let joined = |a: usize| {
        monitor.check()?;
        let neighbors = lists.ranked[a].iter().copied();
        Ok(neighbors.filter(|&b| lists.distance(a as u32, b) <= threshold).collect::<Vec<u32>>())
    };
    let joined: Vec<Vec<u32>> = (0..n).into_par_iter().with_max_len(ROWS).map(joined).collect::<Result<_>>()?;
    let mut sets = UnionFind::<u32>::new(n);
    for (a, joined) in joined.into_iter().enumerate() {
        joined.into_iter().for_each(|b| _ = sets.union(a as u32, b));
    }
    Ok(sets.into_labeling())
}

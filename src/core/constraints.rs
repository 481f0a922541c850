//! Stage 5 under constraints: pairs of points that must share a cluster, and pairs that must not
//! (must-link and cannot-link, Wagstaff et al. 2001).
//!
//! Trees grow as in [`dpc`](crate::core::dpc), and what must go together is one tree from the
//! start. In order of falling density each point, with the tree that it is in, joins its nearest
//! neighbor of higher density; but where the two trees hold a pair that must not share a cluster, it
//! goes on to the next nearest below tau, and is a peak if there is none. So no tree ever holds
//! such a pair. In a tree of several peaks, which must-link made, the highest is the peak, and the
//! parent of the others.

use std::collections::VecDeque;

use rayon::prelude::*;

use crate::core::dpc::{Clustering, above, candidates, check_tau, number_trees};
use crate::core::error::{Error, Result};
use crate::core::monitor::Monitor;
use crate::core::sparse::{Matrix, ROWS, row};
use crate::core::union_find::UnionFind;

/// Pairs of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constraints {
    /// Both in one cluster, and so on from pair to pair.
    pub must_link: Vec<(u32, u32)>,
    /// Not both in one cluster.
    pub cannot_link: Vec<(u32, u32)>,
}

impl Constraints {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.must_link.is_empty() && self.cannot_link.is_empty()
    }

    /// Check that the pairs of `n` points can all be kept.
    ///
    /// # Errors
    /// Names a pair of `cannot_link` that is one point, or the pairs of `must_link` that join it.
    pub fn check(&self, n: usize) -> Result<()> {
        self.trees(n).map(|_| ())
    }

    /// The trees to begin with.
    pub(crate) fn trees(&self, n: usize) -> Result<ConstrainedTrees> {
        let mut trees = ConstrainedTrees { sets: UnionFind::new(n), apart: vec![Vec::new(); n] };
        for &(a, b) in &self.must_link {
            trees.sets.unite(a, b);
        }
        for &(a, b) in &self.cannot_link {
            let (of_a, of_b) = (trees.sets.root(a), trees.sets.root(b));
            if of_a == of_b {
                return Err(Error::Contradiction { chain: self.chain(n, a, b) });
            }
            trees.apart[of_a as usize].push(b);
            trees.apart[of_b as usize].push(a);
        }
        Ok(trees)
    }

    /// The shortest way between two points that pairs of `must_link` join.
    fn chain(&self, n: usize, from: u32, to: u32) -> Vec<u32> {
        let mut linked = vec![Vec::new(); n];
        for &(a, b) in &self.must_link {
            linked[a as usize].push(b);
            linked[b as usize].push(a);
        }
        // The next point on the way to the end.
        let mut next = vec![None; n];
        next[to as usize] = Some(to);
        let mut reached = VecDeque::from([to]);
        while let Some(point) = reached.pop_front().filter(|_| next[from as usize].is_none()) {
            for &other in &linked[point as usize] {
                if next[other as usize].is_none() {
                    next[other as usize] = Some(point);
                    reached.push_back(other);
                }
            }
        }
        std::iter::successors(Some(from), |&point| next[point as usize].filter(|&next| next != point)).collect()
    }
}

/// Trees that grow together, and what keeps them apart.
pub(crate) struct ConstrainedTrees {
    sets: UnionFind,
    /// Of a root: the points that must stay out of its tree.
    apart: Vec<Vec<u32>>,
}

impl ConstrainedTrees {
    /// Make the trees of two points one, unless that would break a constraint.
    pub(crate) fn join(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.sets.root(a), self.sets.root(b));
        if a == b {
            return true;
        }
        // The tree with fewer constraints goes into the other.
        let (few, many) = if self.apart[a as usize].len() <= self.apart[b as usize].len() { (a, b) } else { (b, a) };
        let apart = std::mem::take(&mut self.apart[few as usize]);
        if apart.iter().any(|&other| self.sets.root(other) == many) {
            self.apart[few as usize] = apart;
            return false;
        }
        self.apart[many as usize].extend(apart);
        self.sets.hang(few, many);
        true
    }
}

/// Cluster by density and distance under constraints. Without any it is [`dpc`](crate::core::dpc::dpc()).
/// `delta` is the distance to the parent, or of a peak that to the nearest neighbor of higher density.
///
/// # Errors
/// As [`dpc`](crate::core::dpc::dpc()) and [`Constraints::check`].
pub fn dpc_constrained(
    density: Vec<f64>,
    distances: &Matrix,
    tau: f64,
    constraints: &Constraints,
    monitor: &Monitor,
) -> Result<Clustering> {
    check_tau(tau)?;
    let mut trees = constraints.trees(density.len())?;
    let nearest = candidates(&density, distances, monitor)?;
    let order = |a: u32, b: u32| {
        let (a, b) = (a as usize, b as usize);
        density[b].total_cmp(&density[a]).then(a.cmp(&b))
    };
    let mut falling: Vec<u32> = (0..density.len() as u32).collect();
    falling.par_sort_unstable_by(|&a, &b| order(a, b));
    let mut parent: Vec<u32> = (0..density.len() as u32).collect();
    let mut delta: Vec<Option<f64>> = nearest.iter().map(|candidate| candidate.map(|(_, distance)| distance)).collect();
    for (at, &i) in falling.iter().enumerate() {
        if at.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        let Some((first, _)) = nearest[i as usize].filter(|&(_, distance)| distance < tau) else { continue };
        let mut joined = trees.join(i, first).then_some((first, delta[i as usize]));
        if joined.is_none() {
            let (neighbors, distances) = row(distances, i as usize);
            let mut others: Vec<(f64, u32)> = distances.iter().copied().zip(neighbors.iter().copied()).collect();
            others.retain(|&(distance, j)| distance < tau && above(&density, j as usize, i as usize));
            others.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(order(a.1, b.1)));
            let found = others.into_iter().find(|&(_, j)| trees.join(i, j));
            joined = found.map(|(distance, j)| (j, Some(distance)));
        }
        if let Some((j, distance)) = joined {
            (parent[i as usize], delta[i as usize]) = (j, distance);
        }
    }
    let mut peaks = vec![None; density.len()];
    for &i in &falling {
        if parent[i as usize] == i {
            parent[i as usize] = *peaks[trees.sets.root(i) as usize].get_or_insert(i);
        }
    }
    Ok(Clustering { cluster: number_trees(&parent), parent, delta, density, strength: None })
}

//! Of clusterings that grow by one join after the other, the one that describes a random walk best.
//!
//! A random walker is at every point as often, and leaves it for a neighbor, or stays, by how much they
//! have in common. The clusters after each join describe its steps in some number of bits, by the
//! map equation, see `codelength`. Trees only unite, so one pass over the joins gives all the numbers.

use rayon::prelude::*;

use crate::core::codelength::{LEAST_GAIN, of_community, plogp};
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::sparse::ROWS;
use crate::core::union_find::UnionFind;

/// After how many of `joins` of `n` points, at least `first`, the clusters describe a walk in the fewest bits;
/// `None` where the walk only stays. A join has a rank, in rising order, and two points of different trees.
/// Joins of one rank are made together. `links` gives for a point the other ends of some of its edges, each
/// with a weight; each edge is given by one end.
///
/// # Errors
/// If the run is stopped.
pub fn fewest_bits<E: Iterator<Item = (u32, f64)>>(
    n: usize,
    joins: &[(f64, u32, u32)],
    first: usize,
    links: impl Fn(usize) -> E,
    monitor: &Monitor,
) -> Result<Option<usize>> {
    fewest_bits_at(n, joins, first, links, &[1.0], monitor).map(|made| made.map(|made| made[0]))
}

/// The same at each of some Markov times: a walker that is looked at less often than at each step leaves its cluster as
/// many times as often, so that larger clusters describe it in fewer bits (Kheirkhahzadeh, Lancichinetti and
/// Rosvall 2016).
///
/// # Errors
/// If the run is stopped.
pub fn fewest_bits_at<E: Iterator<Item = (u32, f64)>>(
    n: usize,
    joins: &[(f64, u32, u32)],
    first: usize,
    links: impl Fn(usize) -> E,
    times: &[f64],
    monitor: &Monitor,
) -> Result<Option<Vec<usize>>> {
    let forest = Forest::new(n, joins);
    // That of staying.
    let mut sums = vec![1.0; n];
    for i in 0..n {
        if i.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        for (j, weight) in links(i) {
            sums[i] += weight;
            sums[j as usize] += weight;
        }
    }
    let (mut visits, mut between) = (vec![0.0; n], vec![0.0; joins.len()]);
    for i in 0..n {
        if i.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        for (j, weight) in links(i) {
            let flow = weight / sums[i] + weight / sums[j as usize];
            visits[i] += flow;
            visits[j as usize] += flow;
            if let Some(join) = forest.united(i as u32, j) {
                between[join] += flow;
            }
        }
    }
    let total: f64 = visits.iter().sum();
    if total == 0.0 {
        return Ok(None);
    }
    visits.iter_mut().chain(&mut between).for_each(|flow| *flow /= total);
    let at = |&time: &f64| least(&forest, joins, first, &visits, &between, time);
    Ok(Some(times.par_iter().map(at).collect()))
}

/// Trees that were united one after the other, the smaller below the larger, so that none is deep.
struct Forest {
    sets: UnionFind,
    /// The join that put a node below the next one toward the root.
    join: Vec<usize>,
    /// The roots that each join united, the one below first.
    roots: Vec<(u32, u32)>,
}

impl Forest {
    fn new(n: usize, joins: &[(f64, u32, u32)]) -> Self {
        let (mut sets, mut join) = (UnionFind::new(n), vec![usize::MAX; n]);
        let mut roots = Vec::with_capacity(joins.len());
        for (number, &(_, child, parent)) in joins.iter().enumerate() {
            // The trees are read below, so that their ways must not be halved.
            let (small, large) = sets.unite_roots(sets.root_of(child), sets.root_of(parent));
            join[small as usize] = number;
            roots.push((small, large));
        }
        Self { sets, join, roots }
    }

    /// The join that brought two nodes into one tree. Joins get later toward the root.
    fn united(&self, mut a: u32, mut b: u32) -> Option<usize> {
        let mut last = None;
        while a != b {
            if self.join[a as usize] > self.join[b as usize] {
                std::mem::swap(&mut a, &mut b);
            }
            let join = self.join[a as usize];
            if join == usize::MAX {
                return None;
            }
            last = Some(join);
            a = self.sets.up(a);
        }
        last
    }
}

fn least(
    forest: &Forest,
    joins: &[(f64, u32, u32)],
    first: usize,
    visits: &[f64],
    between: &[f64],
    time: f64,
) -> usize {
    let mut visits = visits.to_vec();
    // Alone, every point is left with each step.
    let mut exits: Vec<f64> = visits.iter().map(|visits| visits * time).collect();
    let mut all_exits: f64 = exits.iter().sum();
    let mut lengths: f64 = visits.iter().zip(&exits).map(|(&visits, &exits)| of_community(visits, exits)).sum();
    let mut best = (first == 0).then(|| (plogp(all_exits) + lengths, 0));
    for (number, (&(small, large), &shared)) in forest.roots.iter().zip(between).enumerate() {
        let (small, large) = (small as usize, large as usize);
        let shared = shared * time;
        lengths -= of_community(visits[small], exits[small]) + of_community(visits[large], exits[large]);
        visits[large] += visits[small];
        exits[large] = (exits[large] + exits[small] - 2.0 * shared).max(0.0);
        lengths += of_community(visits[large], exits[large]);
        all_exits = (all_exits - 2.0 * shared).max(0.0);
        let bits = plogp(all_exits) + lengths;
        let made = number + 1;
        // Equal ranks are joined together.
        let last = joins.get(made).is_none_or(|next| joins[number].0 < next.0);
        if made >= first && last && best.is_none_or(|(fewest, _)| bits < fewest - LEAST_GAIN) {
            best = Some((bits, made));
        }
    }
    best.map_or(first, |(_, made)| made)
}

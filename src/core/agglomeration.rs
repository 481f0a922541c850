//! Agglomerative clustering on a sparse graph: the two nearest of the clusters that have an edge between
//! them merge, again and again. Work and memory are for the edges alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashSet;

/// The edges between two clusters.
#[derive(Debug, Clone, Copy)]
pub struct Between {
    /// Sum of their values.
    pub sum: f64,
    /// How many they are.
    pub edges: f64,
}

/// The edges from a cluster to another one.
#[derive(Debug, Clone, Copy)]
pub struct Edges {
    /// The other cluster.
    pub to: u32,
    /// How many they are.
    pub count: u32,
    /// Sum of their values.
    pub sum: f64,
}

impl Edges {
    fn between(self) -> Between {
        Between { sum: self.sum, edges: f64::from(self.count) }
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
    }
}

/// Bytes of the clusters of a graph of so many edges: both directions of each.
pub fn memory(edges: u64) -> u64 {
    edges * 32
}

/// How far apart two clusters are.
pub trait Linkage {
    /// The distance of two clusters, at least 0.
    fn distance(&self, a: u32, b: u32, between: Between) -> f64;

    /// Two clusters have become the next one, numbered on.
    fn merged(&mut self, a: u32, b: u32);
}

/// Clusters on their way: 0..n are the points, and each merge adds one.
#[derive(Clone)]
pub struct Agglomeration<L> {
    linkage: L,
    /// Those to each other cluster, in order of its number; none once a cluster has merged. The other may have merged
    /// since the list was brought [up to date](Self::update).
    edges: Vec<Vec<Edges>>,
    /// The cluster that a cluster merged into, which is a later one; itself until then.
    into: Vec<u32>,
    /// Farther clusters do not merge.
    limit: f64,
    /// Of each cluster the nearest other within the limit, when it was last looked for.
    nearest: Vec<Pair>,
    /// The same, nearest first, and some that no longer hold.
    heap: BinaryHeap<Reverse<Pair>>,
    /// Pairs that stay apart, the smaller first.
    apart: HashSet<(u32, u32)>,
    /// Edges on their way to clusters that have not merged, by the cluster's number: emptied after each use.
    rising: BinaryHeap<Reverse<(u32, usize)>>,
}

/// Two clusters by the bits of their distance, which order as it does because it is at least 0, and their numbers, the
/// smaller first.
type Pair = (u64, u32, u32);

/// Beyond all pairs.
const NONE: Pair = (u64::MAX, u32::MAX, u32::MAX);

impl<L: Linkage> Agglomeration<L> {
    /// The points with their edges, each of which both ends have, in order of the other ends.
    pub fn new(edges: Vec<Vec<Edges>>, linkage: L, limit: f64) -> Self {
        let n = edges.len();
        let (heap, apart, rising) = (BinaryHeap::new(), HashSet::new(), BinaryHeap::new());
        let into = (0..n as u32).collect();
        let mut new = Self { linkage, edges, into, limit, nearest: vec![NONE; n], heap, apart, rising };
        (0..n as u32).for_each(|cluster| new.look(cluster));
        new
    }

    fn alive(&self, cluster: u32) -> bool {
        self.into[cluster as usize] == cluster
    }

    /// [`NONE`] beyond the limit.
    fn pair(&self, a: u32, edges: Edges) -> Pair {
        let b = edges.to;
        let distance = self.linkage.distance(a, b, edges.between());
        if distance <= self.limit { (distance.to_bits(), a.min(b), a.max(b)) } else { NONE }
    }

    /// Bring the edges of a cluster up to date: those to clusters that have merged lead to what these became. Sums are
    /// taken merge by merge, so that they are those which the other cluster has.
    fn update(&mut self, cluster: u32) {
        let Self { edges, into, rising, .. } = self;
        let (edges, alive) = (&mut edges[cluster as usize], |cluster: u32| into[cluster as usize] == cluster);
        let stale = edges.iter().enumerate().filter(|(_, edges)| !alive(edges.to));
        rising.extend(stale.map(|(at, edges)| Reverse((edges.to, at))));
        if rising.is_empty() {
            return;
        }
        while let Some(Reverse((mut to, at))) = rising.pop() {
            let next = rising.peek().map_or(u32::MAX, |&Reverse((next, _))| next);
            while to < next && !alive(to) {
                to = into[to as usize];
            }
            if to < next {
                edges[at].to = to;
            } else if to > next {
                rising.push(Reverse((to, at)));
            } else {
                // What has met is one from there on.
                let met = std::mem::replace(&mut edges[at].count, 0);
                let met = Edges { count: met, ..edges[at] };
                rising.peek().into_iter().for_each(|&Reverse((_, other))| edges[other].add(met));
            }
        }
        edges.retain(|edges| edges.count > 0);
        edges.sort_unstable_by_key(|edges| edges.to);
    }

    /// Look for the nearest of a cluster.
    fn look(&mut self, cluster: u32) {
        self.update(cluster);
        let pairs = self.edges[cluster as usize].iter().map(|&edges| self.pair(cluster, edges));
        let nearest = pairs.min().unwrap_or(NONE);
        self.found(cluster, nearest);
    }

    fn found(&mut self, cluster: u32, nearest: Pair) {
        self.nearest[cluster as usize] = nearest;
        if nearest != NONE {
            self.heap.push(Reverse(nearest));
        }
    }

    /// The two nearest clusters, with their distance; of equal distances those of the smallest numbers. They are
    /// to be merged or kept apart next.
    pub fn nearest(&mut self) -> Option<(f64, u32, u32)> {
        while let Some(Reverse(pair @ (distance, a, b))) = self.heap.pop() {
            if self.alive(a) && self.alive(b) && !self.apart.contains(&(a, b)) {
                return Some((f64::from_bits(distance), a, b));
            }
            // The next nearest of what is left is at least as far.
            for end in [a, b] {
                if self.alive(end) && self.nearest[end as usize] == pair {
                    self.look(end);
                }
            }
        }
        None
    }

    /// Leave two clusters apart for good, unless one of them merges.
    pub fn keep_apart(&mut self, a: u32, b: u32) {
        self.apart.insert((a.min(b), a.max(b)));
        for (cluster, other) in [(a, b), (b, a)] {
            self.update(cluster);
            self.edges[cluster as usize].retain(|edges| edges.to != other);
            self.look(cluster);
        }
    }

    /// Merge two clusters; returns the number of the new one.
    pub fn merge(&mut self, a: u32, b: u32) -> u32 {
        let new = self.into.len() as u32;
        self.update(a);
        self.update(b);
        let mut take = |cluster: u32| {
            let edges = std::mem::take(&mut self.edges[cluster as usize]);
            edges.into_iter().filter(move |edges| edges.to != a && edges.to != b).peekable()
        };
        let (mut one, mut other) = (take(a), take(b));
        let mut union = Vec::with_capacity(one.size_hint().1.unwrap_or(0) + other.size_hint().1.unwrap_or(0));
        while let (Some(first), Some(second)) = (one.peek(), other.peek()) {
            let order = first.to.cmp(&second.to);
            let mut next = if order.is_le() { one.next() } else { other.next() };
            if let Some(next) = next.as_mut().filter(|_| order.is_eq()) {
                other.next().into_iter().for_each(|same| next.add(same));
            }
            union.extend(next);
        }
        union.extend(one.chain(other));
        (self.into[a as usize], self.into[b as usize]) = (new, new);
        self.into.push(new);
        self.linkage.merged(a, b);
        let mut nearest = NONE;
        for &edges in &union {
            let pair = self.pair(new, edges);
            nearest = nearest.min(pair);
            // Where the nearest has merged, it is found out when its turn comes.
            if pair < self.nearest[edges.to as usize] {
                self.found(edges.to, pair);
            }
        }
        self.edges.push(union);
        self.nearest.push(NONE);
        self.found(new, nearest);
        new
    }

    /// What tells how far apart clusters are.
    pub fn linkage(&self) -> &L {
        &self.linkage
    }

    /// The cluster of each of `n` points.
    pub fn into_labels(mut self, n: usize) -> Vec<u32> {
        // A cluster merges into a later one.
        let into = &mut self.into;
        (0..into.len()).rev().for_each(|cluster| into[cluster] = into[into[cluster] as usize]);
        self.into.truncate(n);
        self.into
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::random::unit;

    #[derive(Clone)]
    struct Mean;

    impl Linkage for Mean {
        fn distance(&self, _: u32, _: u32, between: Between) -> f64 {
            between.sum / between.edges
        }

        fn merged(&mut self, _: u32, _: u32) {}
    }

    /// Edges of points in any order, both directions of each.
    fn lists(n: u32, edges: &[(u32, u32, f64)]) -> Vec<Vec<Edges>> {
        let mut lists = vec![vec![]; n as usize];
        for &(a, b, sum) in edges {
            lists[a as usize].push(Edges { to: b, count: 1, sum });
            lists[b as usize].push(Edges { to: a, count: 1, sum });
        }
        lists.iter_mut().for_each(|list| list.sort_unstable_by_key(|edges| edges.to));
        lists
    }

    #[test]
    fn both_ends_have_the_same_sums_which_are_those_of_the_points() {
        let n = 60u32;
        let pairs = || (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
        let edges: Vec<(u32, u32, f64)> = pairs()
            .zip(0..)
            .filter(|&(_, at)| unit(at) < 0.2)
            .map(|((a, b), at)| (a, b, 0.1 + unit(at + 10_000)))
            .collect();
        let mut clusters = Agglomeration::new(lists(n, &edges), Mean, f64::INFINITY);
        for left in (2..n).rev() {
            let (_, a, b) = clusters.nearest().unwrap();
            clusters.merge(a, b);
            // Now and then, so that lists are of any age.
            if left % 7 > 0 {
                continue;
            }
            let alive: Vec<u32> = (0..2 * n - left).filter(|&cluster| clusters.alive(cluster)).collect();
            assert_eq!(alive.len(), left as usize);
            alive.iter().filter(|&cluster| cluster % 2 > 0).for_each(|&cluster| clusters.update(cluster));
            let mut later = clusters.clone();
            let root = |point: u32| std::iter::successors(Some(point), |&at| Some(clusters.into[at as usize]));
            let root = |point: u32| root(point).find(|&at| clusters.alive(at)).unwrap();
            alive.iter().for_each(|&cluster| later.update(cluster));
            for &a in &alive {
                let to: Vec<u32> = later.edges[a as usize].iter().map(|edges| edges.to).collect();
                assert!(to.is_sorted_by(|a, b| a < b) && !to.contains(&a));
                for edges_of_a in &later.edges[a as usize] {
                    let b = edges_of_a.to;
                    let of_b = &later.edges[b as usize];
                    let back = &of_b[of_b.binary_search_by_key(&a, |edges| edges.to).unwrap()];
                    assert_eq!(edges_of_a.sum.to_bits(), back.sum.to_bits());
                    let between = edges.iter().filter(|&&(x, y, _)| {
                        let ends = (root(x), root(y));
                        ends == (a, b) || ends == (b, a)
                    });
                    assert_eq!(edges_of_a.count as usize, between.clone().count());
                    assert!((edges_of_a.sum - between.map(|edge| edge.2).sum::<f64>()).abs() < 1e-12);
                }
            }
        }
    }
}

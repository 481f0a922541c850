//! Agglomerative clustering on a sparse graph: the two nearest of the clusters that have an edge between
//! them merge, again and again. Work and memory are for the edges alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;

/// The edges between two clusters.
#[derive(Debug, Clone, Copy)]
pub struct Between {
    /// Sum of their values.
    pub sum: f64,
    /// How many they are.
    pub edges: f64,
}

/// Bytes of the clusters of a graph of so many undirected edges: a table of pairs for each, and a heap.
pub fn memory(edges: u64) -> u64 {
    edges * 88
}

/// How far apart two clusters are.
pub trait Linkage {
    /// The distance of two clusters, at least 0.
    fn distance(&self, a: u32, b: u32, between: Between) -> f64;

    /// Two clusters have become the next one, numbered on.
    fn merged(&mut self, a: u32, b: u32);
}

/// Clusters on their way: 0..n are the points, and each merge adds one.
pub struct Agglomeration<L> {
    linkage: L,
    /// The edges to each other cluster; none once it has merged.
    between: Vec<HashMap<u32, Between>>,
    /// The cluster that a cluster merged into; itself until then.
    into: Vec<u32>,
    /// Farther clusters do not merge.
    limit: f64,
    /// Of each cluster the nearest other within the limit, when it was last looked for.
    nearest: Vec<Option<Pair>>,
    /// The same, nearest first, and some that no longer hold.
    heap: BinaryHeap<Reverse<Pair>>,
}

/// Two clusters by the bits of their distance, which order as it does because it is at least 0, and their numbers, the
/// smaller first.
type Pair = (u64, u32, u32);

impl<L: Linkage> Agglomeration<L> {
    /// The points with their edges, each of which both ends have.
    pub fn new(edges: Vec<HashMap<u32, Between>>, linkage: L, limit: f64) -> Self {
        let n = edges.len();
        let into = (0..n as u32).collect();
        let mut new = Self { linkage, between: edges, into, limit, nearest: vec![None; n], heap: BinaryHeap::new() };
        (0..n as u32).for_each(|cluster| new.look(cluster));
        new
    }

    fn alive(&self, cluster: u32) -> bool {
        self.into[cluster as usize] == cluster
    }

    fn pair(&self, a: u32, b: u32, between: Between) -> Option<Pair> {
        let distance = self.linkage.distance(a, b, between);
        (distance <= self.limit).then(|| (distance.to_bits(), a.min(b), a.max(b)))
    }

    /// Look for the nearest of a cluster.
    fn look(&mut self, cluster: u32) {
        let pairs = self.between[cluster as usize].iter().filter_map(|(&b, &between)| self.pair(cluster, b, between));
        let nearest = pairs.min();
        self.nearest[cluster as usize] = nearest;
        self.heap.extend(nearest.map(Reverse));
    }

    /// The two nearest clusters, with their distance; of equal distances those of the smallest numbers. They are
    /// to be merged or kept apart next.
    pub fn nearest(&mut self) -> Option<(f64, u32, u32)> {
        while let Some(Reverse(pair @ (distance, a, b))) = self.heap.pop() {
            if self.alive(a) && self.alive(b) && self.between[a as usize].contains_key(&b) {
                return Some((f64::from_bits(distance), a, b));
            }
            // The next nearest of what is left is at least as far.
            for end in [a, b] {
                if self.alive(end) && self.nearest[end as usize] == Some(pair) {
                    self.look(end);
                }
            }
        }
        None
    }

    /// Leave two clusters apart for good, unless one of them merges.
    pub fn keep_apart(&mut self, a: u32, b: u32) {
        self.between[a as usize].remove(&b);
        self.between[b as usize].remove(&a);
        self.look(a);
        self.look(b);
    }

    /// Merge two clusters; returns the number of the new one.
    pub fn merge(&mut self, a: u32, b: u32) -> u32 {
        let new = self.into.len() as u32;
        let take =
            |between: &mut Vec<HashMap<u32, Between>>, cluster: u32| std::mem::take(&mut between[cluster as usize]);
        let (mut union, mut smaller) = (take(&mut self.between, a), take(&mut self.between, b));
        if union.len() < smaller.len() {
            std::mem::swap(&mut union, &mut smaller);
        }
        for (other, between) in smaller {
            let sums = union.entry(other).or_insert(Between { sum: 0.0, edges: 0.0 });
            sums.sum += between.sum;
            sums.edges += between.edges;
        }
        union.remove(&a);
        union.remove(&b);
        (self.into[a as usize], self.into[b as usize]) = (new, new);
        self.into.push(new);
        self.linkage.merged(a, b);
        let mut nearest: Option<Pair> = None;
        for (&other, &between) in &union {
            let others = &mut self.between[other as usize];
            others.remove(&a);
            others.remove(&b);
            others.insert(new, between);
            let Some(pair) = self.pair(new, other, between) else { continue };
            nearest = Some(nearest.map_or(pair, |nearest| nearest.min(pair)));
            // Where the nearest has merged, it is found out when its turn comes.
            if self.nearest[other as usize].is_none_or(|nearest| pair < nearest) {
                self.nearest[other as usize] = Some(pair);
                self.heap.push(Reverse(pair));
            }
        }
        self.nearest.push(nearest);
        self.heap.extend(nearest.map(Reverse));
        self.between.push(union);
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

//! All clusterings between single points and one cluster, nested in each other.
//!
//! First the merges of the [`cluster_tree`](crate::core::cluster_tree) up to its clusters, then merges of these by
//! the bare graph, in which every edge of the transition matrix counts alike: what holds topics and
//! variants together is weaker than what makes an identity, and no kernel of pairs tells it. The height of two clusters
//! is there their number of edges, divided by that of their pairs to the same power.
//!
//! Of these clusterings the layers are those that describe a random walk on the bare graph in the fewest bits over the
//! widest range of Markov times (Schaub, Delvenne, Yaliraki and Barahona 2012): at a longer time larger
//! clusters do, and clusters that stand out are the best for long.

use rayon::slice::ParallelSliceMut;

use crate::core::agglomeration::{Agglomeration, Between, Edges, Linkage};
use crate::core::cluster_tree::{ClusterTree, Clusters, Merge, POWER, after};
use crate::core::constraints::Constraints;
use crate::core::error::{Error, Result};
use crate::core::links::Links;
use crate::core::methods::numbered;
use crate::core::monitor::Monitor;
use crate::core::partition::fewest_bits_at;
use crate::core::sparse::{Matrix, ROWS, row};

/// Markov times: so many in a factor of 10, from 0.1 to 100.
const TIMES: i32 = 15;
/// Clusterings of numbers of clusters within this factor are one level; layers are farther apart than the other.
const SAME: f64 = 1.1;
const APART: f64 = 2.0;

/// All merges of a graph's points, from single points on.
#[derive(Debug, Clone, PartialEq)]
pub struct Hierarchy<'a> {
    transition: &'a Matrix,
    links: Links,
    merges: Vec<Merge>,
    cut: usize,
}

/// Clusters by the bare graph, upside down: the highest merge is the nearest.
struct Bare {
    sizes: Vec<f64>,
}

impl Linkage for Bare {
    fn distance(&self, a: u32, b: u32, between: Between) -> f64 {
        (self.sizes[a as usize] * self.sizes[b as usize]).powf(POWER) / between.edges
    }

    fn merged(&mut self, a: u32, b: u32) {
        self.sizes.push(self.sizes[a as usize] + self.sizes[b as usize]);
    }
}

impl<'a> Hierarchy<'a> {
    /// That of a transition matrix.
    ///
    /// # Errors
    /// If P is not a transition matrix, the constraints contradict each other, or the run is stopped.
    pub fn new(transition: &'a Matrix, constraints: &Constraints, monitor: &Monitor) -> Result<Self> {
        let links = Links::new(transition, monitor)?;
        let tree = ClusterTree::new(&links, constraints, monitor)?;
        let cut = tree.cut(&links, monitor)?;
        let (points, mut merges) = (links.len(), tree.merges()[..cut].to_vec());

        let cluster = numbered(after(points, &merges));
        // The smallest point of each, in whose order they are numbered.
        let mut firsts: Vec<u32> = Vec::new();
        for (i, &own) in (0u32..).zip(&cluster) {
            if own as usize == firsts.len() {
                firsts.push(i);
            }
        }
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for i in 0..points {
            if i.is_multiple_of(ROWS) {
                monitor.check()?;
            }
            let ends = later_neighbors(transition, i).map(|j| (cluster[i], cluster[j as usize]));
            pairs.extend(ends.filter(|(a, b)| a != b).flat_map(|(a, b)| [(a, b), (b, a)]));
        }
        pairs.par_sort_unstable();
        let mut edges: Vec<Vec<Edges>> = vec![vec![]; firsts.len()];
        for alike in pairs.chunk_by(|a, b| a == b) {
            let (from, to) = alike[0];
            edges[from as usize].push(Edges { to, count: alike.len() as u32, sum: 0.0 });
        }
        let mut sizes = vec![0.0; firsts.len()];
        cluster.iter().for_each(|&own| sizes[own as usize] += 1.0);
        let mut clusters = Agglomeration::new(edges, Bare { sizes }, f64::INFINITY);
        let mut trees = constraints.trees(points)?;
        for merge in &merges {
            trees.join(merge.points.0, merge.points.1);
        }
        let mut height = f64::INFINITY;
        while let Some((distance, a, b)) = clusters.nearest() {
            monitor.check()?;
            let (first, second) = (firsts[a as usize], firsts[b as usize]);
            if !trees.join(first, second) {
                clusters.keep_apart(a, b);
                continue;
            }
            height = height.min(1.0 / distance);
            merges.push(Merge { points: (first.min(second), first.max(second)), height });
            clusters.merge(a, b);
            firsts.push(first.min(second));
        }
        Ok(Self { transition, links, merges, cut })
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The merges, first those of the cluster tree. Heights fall among these, and again among those of the bare
    /// graph.
    pub fn merges(&self) -> &[Merge] {
        &self.merges
    }

    /// How many of them make the clusters of the cluster tree.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// The clusters after so many merges: of each point the number of one of its cluster's points.
    pub fn after(&self, merges: usize) -> Vec<u32> {
        after(self.len(), &self.merges[..merges])
    }

    /// So many clusters.
    ///
    /// # Errors
    /// If there are fewer points, or more pieces of the graph.
    pub fn clusters(&self, count: usize) -> Result<Clusters> {
        let demanded = self.merges.iter().take_while(|merge| merge.height == f64::INFINITY).count();
        let (fewest, most) = (self.len() - self.merges.len(), self.len() - demanded);
        if (fewest..=most).contains(&count) {
            return Ok(Clusters::of_links(&self.links, self.after(self.len() - count)));
        }
        let range = match fewest {
            0 | 1 => format!("at most {most}, the number of points"),
            _ => format!("from {fewest}, the pieces of the graph, which a larger k makes fewer, to {most}"),
        };
        Err(Error::Parameter { name: "clusters", range, value: count.to_string() })
    }

    /// After how many merges each layer is there, of at most so many, coarse to fine; the last is that of the cluster
    /// tree.
    ///
    /// # Errors
    /// If the run is stopped.
    pub fn layers(&self, most: usize, monitor: &Monitor) -> Result<Vec<usize>> {
        let joins: Vec<(f64, u32, u32)> =
            self.merges.iter().enumerate().map(|(at, merge)| (at as f64, merge.points.0, merge.points.1)).collect();
        let walk = |i: usize| later_neighbors(self.transition, i).map(|j| (j, 1.0));
        let times: Vec<f64> = (-TIMES..=2 * TIMES).map(|step| 10f64.powf(f64::from(step) / f64::from(TIMES))).collect();
        let best = fewest_bits_at(self.len(), &joins, self.cut, walk, &times, monitor)?.unwrap_or_default();

        let clusters = |merges: usize| (self.len() - merges) as f64;
        let within = |a: usize, b: usize, factor: f64| {
            let (a, b) = (clusters(a), clusters(b));
            a <= b * factor && b <= a * factor
        };
        // Of one level the first; one cluster says nothing.
        let mut levels: Vec<(usize, usize)> = Vec::new();
        for &level in best.iter().filter(|&&merges| clusters(merges) > 1.0) {
            let times = best.iter().filter(|&&other| within(level, other, SAME)).count();
            levels.push((times, level));
        }
        levels.sort_by_key(|&(times, level)| (std::cmp::Reverse(times), level));
        let mut layers = vec![self.cut];
        for (_, level) in levels {
            if layers.len() < most && layers.iter().all(|&other| !within(level, other, APART)) {
                layers.push(level);
            }
        }
        layers.sort_unstable_by_key(|&merges| std::cmp::Reverse(merges));
        Ok(layers)
    }
}

/// The neighbors of a point that come after it, in one direction or both, each once.
fn later_neighbors(transition: &Matrix, i: usize) -> impl Iterator<Item = u32> + '_ {
    let own = i as u32;
    // An edge that both rows have is given by the smaller.
    let back = move |j: u32| row(transition, j as usize).0.binary_search(&own).is_ok();
    row(transition, i).0.iter().copied().filter(move |&j| j > own || j < own && !back(j))
}

//! New points for a clustering that stands: each joins a cluster, or none, as if it alone had been
//! added to the base.
//!
//! A new point x takes its place in the k-NN graph: its own neighbors are base points, and where it
//! is nearer to one of them than that one's k-th neighbor, it takes that place. So the transition rows
//! of x and of its neighbors, and the distances between them, are those of a run over the base and x.
//! Of the densities only that of x is computed, where the diffusion
//! `rho_x = p_xx rho_x + sum_j p_jx rho_j` rests while its neighbors keep theirs.
//!
//! With a threshold x joins as in [`dpc`](crate::core::dpc); and where it would be a peak, the cluster
//! whose points would join it. Without one it joins the cluster that it is highest with, see
//! [`cluster_tree`](crate::core::cluster_tree), unless that is too low. In a full run it could bring two clusters
//! together: with its cluster it goes on to the next one, by its own links, while that is not too low, and belongs to the larger.
//! Too low, and a kernel where none is given, are learned from the clusters that stand: some base points are each taken out,
//! and seen as if they were new.

use rayon::prelude::*;

use crate::core::agglomeration::Between;
use crate::core::calibration;
use crate::core::cluster_tree::{POWER, height, strength};
use crate::core::dpc::check_tau;
use crate::core::error::Result;
use crate::core::knn::{COPIES, KnnGraph, KnnOptions, Method, Points, knn_queries};
use crate::core::links::FLOOR;
use crate::core::monitor::Monitor;
use crate::core::similarity::Kernel;
use crate::core::transition::of_neighbors;

/// So many base points tell the kernel and the height, at most.
const SAMPLE: usize = 500;

/// How new points join.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AssignOptions {
    /// Neighbors a point, at least 1.
    pub k: usize,
    /// Of the transition probabilities; `None`: the one that the clusters call for.
    pub kernel: Option<Kernel>,
    /// Largest distance to the point that is joined, between 0 and 1; `None`: without a threshold.
    pub tau: Option<f64>,
}

/// The clustering of the base, by its points.
#[derive(Debug, Clone, Copy)]
pub struct BaseClusters<'a> {
    /// Cluster of each point: numbers below that of the points.
    pub cluster: &'a [u32],
    /// Density of each.
    pub density: &'a [f64],
    /// Its distance to its candidate parent, infinite where it has none.
    pub delta: &'a [f64],
}

/// What became of a new point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assignment {
    /// Row of the base point that it joins, or `None`.
    pub parent: Option<u32>,
    /// Distance to that point; without one, to the nearest neighbor of higher density, `None`
    /// without such.
    pub delta: Option<f64>,
    /// Its density.
    pub density: f64,
    /// How sure it is of the cluster that it joins, without a threshold; see
    /// [`Clusters`](crate::core::cluster_tree::Clusters).
    pub strength: Option<f64>,
}

/// How many base points tell the kernel and the height.
pub fn sample_size(base: usize, options: &AssignOptions) -> usize {
    if options.kernel.is_some() && options.tau.is_some() { 0 } else { base.min(SAMPLE) }
}

/// Assign each of `new` to the clusters of the base, each as if it were the only one.
///
/// # Errors
/// As [`assign_apart`].
pub fn assign(
    base: &Points,
    new: &Points,
    clusters: BaseClusters<'_>,
    options: &AssignOptions,
    monitor: &Monitor,
) -> Result<Vec<Assignment>> {
    assign_apart(base, new, clusters, options, &[], monitor)
}

/// Likewise, but that the two of a pair of `cannot_link` do not join one cluster. New points are numbered after those
/// of the base. Of two that would, the one that is surer of it does, by its strength or else its distance; the other
/// looks among its neighbors of other clusters.
///
/// # Errors
/// If an option is out of range, the two are of different dimensions, metrics or precisions, a
/// distance is negative (`ip` of vectors longer than 1; the edge counts new points after those of the
/// base), or the run is stopped.
pub fn assign_apart(
    base: &Points,
    new: &Points,
    clusters: BaseClusters<'_>,
    options: &AssignOptions,
    cannot_link: &[(u32, u32)],
    monitor: &Monitor,
) -> Result<Vec<Assignment>> {
    options.tau.map_or(Ok(()), check_tau)?;
    let knn = KnnOptions { k: options.k, method: Method::Exact, copies: Some(COPIES), ..Default::default() };
    let of_new = knn_queries(base, new, &[], &knn, monitor)?;
    let size = sample_size(base.len(), options);
    let sample: Vec<u32> = (0..size).map(|at| (at * base.len() / size) as u32).collect();
    let of_sample = knn_queries(base, &base.select(&sample), &sample, &knn, monitor)?;
    let kernel = options.kernel.unwrap_or_else(|| calibration::of_clusters(&of_sample, &sample, clusters.cluster));

    let rows = |graph: &KnnGraph| (0..graph.len()).flat_map(|row| graph.row(row).0.to_vec()).collect::<Vec<u32>>();
    let mut met = rows(&of_new);
    if options.tau.is_none() {
        met.extend(rows(&of_sample));
    }
    met.par_sort_unstable();
    met.dedup();
    let of_met = knn_queries(base, &base.select(&met), &met, &knn, monitor)?;
    let mut sizes = vec![0; base.len()];
    clusters.cluster.iter().for_each(|&cluster| sizes[cluster as usize] += 1);
    let around = Around { of_met, met, clusters, sizes, k: options.k, kernel };
    let roots = || vec![0.0; base.len()];
    let lowest = match options.tau {
        Some(_) => 0.0,
        None => {
            let of_point = |roots: &mut Vec<f64>, at: usize| {
                monitor.check()?;
                let (row, point) = (of_sample.row(at), sample[at] as usize);
                let seen = Seen { row, point, left_out: Some(sample[at]), is_listed: true };
                around.rejoins(&seen, roots)
            };
            let found = (0..size).into_par_iter().map_init(roots, of_point);
            lowest_height(found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        }
    };
    let joined = |around_it: &[BaseNeighbor], density: f64, free: &dyn Fn(u32) -> bool| match options.tau {
        Some(tau) => by_threshold(around_it, density, tau, free),
        None => {
            let candidates = around.candidates(around_it, None, free);
            within(around_it, density, joins(candidates, own_open(around_it), lowest))
        }
    };
    let mut partners = vec![Vec::new(); of_new.len()];
    for (a, b) in cannot_link.iter().flat_map(|&(a, b)| [(a as usize, b), (b as usize, a)]) {
        if let Some(at) = a.checked_sub(base.len()) {
            partners[at].push(b);
        }
    }
    let of_point = |roots: &mut Vec<f64>, at: usize| {
        monitor.check()?;
        let row = of_new.row(at);
        let copies = row.0.iter().filter(|&&j| base.row(j as usize) == new.row(at)).count();
        let seen = Seen { row, point: base.len() + at, left_out: None, is_listed: copies < COPIES };
        let (neighbors, density) = around.neighbors(&seen, roots)?;
        let found = joined(&neighbors, density, &|_| true);
        Ok((found, if partners[at].is_empty() { vec![] } else { neighbors }))
    };
    let found = (0..of_new.len()).into_par_iter().map_init(roots, of_point);
    let (mut found, around_them): (Vec<Assignment>, Vec<Vec<BaseNeighbor>>) =
        found.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let sureness = |at: usize| found[at].strength.or(found[at].delta.map(|delta| -delta)).unwrap_or(f64::NEG_INFINITY);
    let mut surest: Vec<usize> = (0..found.len()).filter(|&at| !partners[at].is_empty()).collect();
    surest.sort_by(|&a, &b| sureness(b).total_cmp(&sureness(a)));
    let mut placed = vec![false; found.len()];
    for at in surest {
        monitor.check()?;
        let cluster_of = |parent: u32| clusters.cluster[parent as usize];
        let taken: Vec<u32> = (partners[at].iter())
            .filter_map(|&partner| match (partner as usize).checked_sub(base.len()) {
                Some(other) => found[other].parent.filter(|_| placed[other]).map(cluster_of),
                None => Some(cluster_of(partner)),
            })
            .collect();
        if found[at].parent.is_some_and(|parent| taken.contains(&cluster_of(parent))) {
            found[at] = joined(&around_them[at], found[at].density, &|cluster| !taken.contains(&cluster));
        }
        placed[at] = true;
    }
    Ok(found)
}

/// A point that takes its place among the base.
struct Seen<'a> {
    /// Its neighbors in the base, with their distances.
    row: (&'a [u32], &'a [f32]),
    /// Its number, after those of the base if it is new.
    point: usize,
    /// Itself, if it is of the base.
    left_out: Option<u32>,
    /// Whether it stands in lists: the first few of equal rows do.
    is_listed: bool,
}

/// A base point seen from one that takes its place.
#[derive(Debug, Clone, Copy)]
struct BaseNeighbor {
    row: u32,
    cluster: u32,
    distance: f64,
    density: f64,
    /// Whether its delta is greater, so that it would have the point as its parent.
    would_join: bool,
    /// As of a link of the two, see [`links`](crate::core::links).
    strength: f64,
    similarity: f64,
    /// The similarity of the last neighbor in its row.
    open: f64,
}

/// A cluster that a point has links to.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    cluster: u32,
    between: Between,
    /// Its points.
    size: f64,
    /// The mean of the neighbors in it.
    open: f64,
    strongest: f64,
}

/// The cluster that a point joins.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Joined {
    cluster: u32,
    strength: f64,
}

struct Around<'a> {
    /// Rows of the neighbors met, which are `met`, in order.
    of_met: KnnGraph,
    met: Vec<u32>,
    clusters: BaseClusters<'a>,
    /// Points of each cluster.
    sizes: Vec<usize>,
    k: usize,
    kernel: Kernel,
}

/// What the row of a neighbor says once the point has its place in it.
struct Met {
    /// What the two rows share over base columns.
    shared: f64,
    /// The probability of a step back to the point.
    back: f64,
    open: f64,
}

impl Around<'_> {
    /// The neighbors of a point, and its density. `roots` is 0 for every base point, and so again at the end.
    fn neighbors(&self, seen: &Seen<'_>, roots: &mut [f64]) -> Result<(Vec<BaseNeighbor>, f64)> {
        let BaseClusters { cluster, density, delta } = self.clusters;
        let (neighbors, distances) = seen.row;
        let similarities = neighbors.iter().zip(distances);
        let similarities = similarities.map(|(&j, &d)| of_neighbors(self.kernel, seen.point, j, d));
        let similarities: Vec<f64> = similarities.collect::<Result<_>>()?;
        let sum = 1.0 + similarities.iter().sum::<f64>();
        neighbors.iter().zip(&similarities).for_each(|(&j, s)| roots[j as usize] = (s / sum).sqrt());
        let mut inflow = 0.0;
        let around: Result<Vec<BaseNeighbor>> = neighbors
            .iter()
            .zip(distances.iter().zip(&similarities))
            .map(|(&row, (&distance, &similarity))| {
                let j = row as usize;
                let met = self.met(row, distance, similarity, seen, roots)?;
                inflow += met.back * density[j];
                let shared = met.shared + (met.back / sum).sqrt();
                let distance = (1.0 - shared).clamp(0.0, 1.0);
                let (would_join, strength) = (distance < delta[j], shared.max(similarity));
                let (cluster, density) = (cluster[j], density[j]);
                Ok(BaseNeighbor { row, cluster, distance, density, would_join, strength, similarity, open: met.open })
            })
            .collect();
        neighbors.iter().for_each(|&j| roots[j as usize] = 0.0);
        // Without a way out, the point keeps the mass that it begins with.
        let leaving = 1.0 - 1.0 / sum;
        let density = if leaving > 0.0 { inflow / leaving } else { 1.0 };
        Ok((around?, density))
    }

    fn met(&self, j: u32, distance: f32, similarity: f64, seen: &Seen<'_>, roots: &[f64]) -> Result<Met> {
        let at = self.met.binary_search(&j).expect("every neighbor was met");
        let (neighbors, distances) = self.of_met.row(at);
        // A point of the base has its place already.
        let place = neighbors.iter().position(|&c| Some(c) == seen.left_out);
        let full = neighbors.len() >= self.k;
        let is_near = place.is_some() || !full || distances.last().is_none_or(|&kth| distance < kth);
        let nearer = seen.is_listed && is_near;
        let given_up = place.or_else(|| (nearer && full).then(|| neighbors.len() - 1));
        let back = if nearer { similarity } else { 0.0 };
        let (mut sum, mut shared) = (1.0 + back, roots[j as usize]);
        let mut open = if nearer { similarity } else { 1.0 };
        for (at, (&c, &distance)) in neighbors.iter().zip(distances).enumerate() {
            if Some(at) != given_up {
                let similarity = of_neighbors(self.kernel, j as usize, c, distance)?;
                sum += similarity;
                shared += roots[c as usize] * similarity.sqrt();
                open = open.min(similarity);
            }
        }
        Ok(Met { shared: shared / sum.sqrt(), back: back / sum, open })
    }

    /// The clusters that a point with these neighbors has links to, of those that are free to it, in order. `left_out` is
    /// the point itself, if it is of the base.
    fn candidates(&self, around: &[BaseNeighbor], left_out: Option<u32>, free: &dyn Fn(u32) -> bool) -> Vec<Candidate> {
        let mut order: Vec<&BaseNeighbor> = around.iter().filter(|neighbor| free(neighbor.cluster)).collect();
        order.sort_by_key(|neighbor| neighbor.cluster);
        let of_cluster = |members: &[&BaseNeighbor]| {
            let cluster = members[0].cluster;
            let links = members.iter().filter(|neighbor| neighbor.strength >= FLOOR);
            let (sum, edges) = links.fold((0.0, 0.0), |(sum, edges), link| (sum + link.strength, edges + 1.0));
            let itself = left_out.is_some_and(|own| self.clusters.cluster[own as usize] == cluster);
            Candidate {
                cluster,
                between: Between { sum, edges },
                size: (self.sizes[cluster as usize] - usize::from(itself)) as f64,
                open: members.iter().map(|neighbor| neighbor.open).sum::<f64>() / members.len() as f64,
                strongest: members.iter().map(|neighbor| neighbor.strength).fold(0.0, f64::max),
            }
        };
        let candidates = order.chunk_by(|a, b| a.cluster == b.cluster).map(of_cluster);
        candidates.filter(|candidate| candidate.between.edges > 0.0).collect()
    }

    /// How high a base point is with the cluster that it would join as a new one, and whether that is right: `None` if
    /// it is the wrong cluster.
    fn rejoins(&self, seen: &Seen<'_>, roots: &mut [f64]) -> Result<Option<(f64, bool)>> {
        let (neighbors, _) = self.neighbors(seen, roots)?;
        let own = self.clusters.cluster[seen.point];
        let candidates = self.candidates(&neighbors, seen.left_out, &|_| true);
        let highest = highest(&candidates, 1.0, own_open(&neighbors));
        Ok(match (highest, self.sizes[own as usize] > 1) {
            (highest, false) => Some((highest.map_or(0.0, |(_, height)| height), false)),
            (Some((at, height)), true) => (candidates[at].cluster == own).then_some((height, true)),
            (None, true) => None,
        })
    }
}

/// The similarity of the last neighbor of a point.
fn own_open(around: &[BaseNeighbor]) -> f64 {
    around.iter().map(|neighbor| neighbor.similarity).fold(1.0, f64::min)
}

/// The place of the cluster that a cluster of so many points, whose mean of `open` this is, is highest with, and the height;
/// of equal ones the first.
fn highest(candidates: &[Candidate], size: f64, open: f64) -> Option<(usize, f64)> {
    let height = |candidate: &Candidate| height(candidate.between, size * candidate.size, open * candidate.open, POWER);
    let heights = candidates.iter().map(height).enumerate();
    heights.reduce(|best, other| if other.1 > best.1 { other } else { best })
}

/// The cluster that a point joins. It may bring two together: with its cluster it goes on to the next, by its own links,
/// and belongs to the larger.
fn joins(mut left: Vec<Candidate>, own_open: f64, lowest: f64) -> Option<Joined> {
    let (mut size, mut open) = (1.0, own_open);
    let mut largest: Option<Candidate> = None;
    while let Some((at, _)) = highest(&left, size, open / size).filter(|&(_, height)| height >= lowest) {
        let next = left.remove(at);
        size += next.size;
        open += next.size * next.open;
        if largest.is_none_or(|largest| next.size > largest.size) {
            largest = Some(next);
        }
    }
    largest.map(|Candidate { cluster, between, size, open, strongest }| Joined {
        cluster,
        strength: strength(strongest, between, size, own_open * open),
    })
}

/// From which height on points join, so that most of those seen are right: of each its height, and whether it joins.
fn lowest_height(mut seen: Vec<(f64, bool)>) -> f64 {
    seen.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut wrong = seen.iter().filter(|point| !point.1).count();
    let mut best = (wrong, 0.0);
    for (at, &(height, joins)) in seen.iter().enumerate() {
        wrong = if joins { wrong + 1 } else { wrong - 1 };
        let next = seen.get(at + 1).map_or(f64::INFINITY, |next| next.0);
        if next > height && wrong < best.0 {
            best = (wrong, if next.is_finite() { f64::midpoint(height, next) } else { height.next_up() });
        }
    }
    best.1
}

/// The nearest of the wanted.
fn nearest(around: &[BaseNeighbor], wanted: impl Fn(&BaseNeighbor) -> bool) -> Option<&BaseNeighbor> {
    around.iter().filter(|neighbor| wanted(neighbor)).min_by(|a, b| {
        let by_distance = a.distance.total_cmp(&b.distance);
        by_distance.then(b.density.total_cmp(&a.density)).then(a.row.cmp(&b.row))
    })
}

/// The nearest neighbor of higher density. Of equal densities that of the point is the lower, so that it joins.
fn nearest_above(around: &[BaseNeighbor], density: f64) -> Option<&BaseNeighbor> {
    nearest(around, |neighbor| neighbor.density >= density)
}

fn assignment(joined: Option<&BaseNeighbor>, above: Option<&BaseNeighbor>, density: f64) -> Assignment {
    let delta = joined.or(above).map(|neighbor| neighbor.distance);
    Assignment { parent: joined.map(|neighbor| neighbor.row), delta, density, strength: None }
}

/// The nearest neighbor of higher density, if it is nearer than tau; else the nearest of those that
/// would join the new point; of both only those whose clusters are free to it.
fn by_threshold(around: &[BaseNeighbor], density: f64, tau: f64, free: &dyn Fn(u32) -> bool) -> Assignment {
    let near = |wanted: &dyn Fn(&BaseNeighbor) -> bool| {
        nearest(around, |neighbor| free(neighbor.cluster) && wanted(neighbor)).filter(|found| found.distance < tau)
    };
    let joined = near(&|neighbor| neighbor.density >= density);
    let joined = joined.or_else(|| near(&|neighbor| neighbor.density < density && neighbor.would_join));
    assignment(joined, nearest_above(around, density), density)
}

/// In the cluster that it joins: the nearest neighbor of higher density, else the nearest.
fn within(around: &[BaseNeighbor], density: f64, own: Option<Joined>) -> Assignment {
    let of_cluster = |neighbor: &BaseNeighbor| own.is_some_and(|own| own.cluster == neighbor.cluster);
    let joined = nearest(around, |neighbor| of_cluster(neighbor) && neighbor.density >= density);
    let joined = joined.or_else(|| nearest(around, of_cluster));
    let found = assignment(joined, nearest_above(around, density), density);
    Assignment { strength: own.map(|own| own.strength), ..found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_that_brings_two_clusters_together_belongs_to_the_larger() {
        let candidate = |cluster, sum, edges, size| Candidate {
            cluster,
            between: Between { sum, edges },
            size,
            open: 0.0,
            strongest: sum / edges,
        };
        let candidates = || vec![candidate(3, 0.9, 1.0, 1.0), candidate(5, 2.0, 4.0, 4.0), candidate(8, 0.2, 1.0, 9.0)];
        let joined = |lowest| joins(candidates(), 0.0, lowest);
        // With the single point it is at 0.9, and both with the four others at 2 / 8^0.7, with the nine at less.
        assert_eq!(joined(0.95), None);
        assert_eq!(joined(0.6).unwrap().cluster, 3);
        let of_four = joined(0.4).unwrap();
        assert_eq!(of_four.cluster, 5);
        assert!((of_four.strength - 0.5).abs() < 1e-12);
    }
}

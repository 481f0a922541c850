//! The kernel from the graph alone, without labels.
//!
//! A neighbor is evidence as far as no stranger would lie so near. With E(d) the expected number of
//! strangers within a distance d of a point, the similarity is `exp(-E(d) / level)`: 1 at distance 0, 0 where
//! strangers are to be expected. The tail of a distribution is exponential in its simplest form (Gumbel's
//! domain of attraction; Pickands 1975), so E grows as `exp(d / scale) - 1`, and the similarity is the survival
//! function of Gompertz (1825).
//!
//! E is read off the distances between clusters, as a cumulative hazard (Nelson 1972, Aalen 1978): a
//! row says nothing beyond its last neighbor, it is censored there. What is between the clusters must be
//! strangers, so these are coarse: first communities of the bare graph, without weights; then the coarsest
//! clusters of the [`cluster_tree`](crate::core::cluster_tree) along P, once by a kernel of a fixed level, and
//! once by one whose level fits the graph. Where these leave hardly any points together, the fixed level was too strict,
//! and both rounds are made again, the first by the level that the communities call for.
//!
//! The level is E where, of all neighbors at that distance, a given part is no strangers: of points that lie close
//! together and far from others, strangers count early; where matches and strangers lie at the same distances, a
//! stranger now and then has to be borne. The part of the strangers is their E over that of all neighbors, made
//! monotone (Barlow et al. 1972).

use rayon::prelude::*;

use crate::core::cluster_tree::ClusterTree;
use crate::core::constraints::Constraints;
use crate::core::copies::{SAME, unnamed_copies};
use crate::core::error::Result;
use crate::core::knn::KnnGraph;
use crate::core::links::Links;
use crate::core::methods::communities;
use crate::core::monitor::Monitor;
use crate::core::similarity::Kernel;
use crate::core::sparse::{Matrix, from_rows, row};
use crate::core::transition;

/// The tail is fitted where there are so many strangers and [`NEAR`] of it; or a quarter of the neighbors,
/// where that is fewer; and half of it again, while the graph has not as many. The constants of this file were
/// chosen together on labelled and generated points, see "Without labels" in docs/results.md.
const STRANGERS: f64 = 10.0;
const FEWEST_STRANGERS: f64 = 0.3;
const NEAR: f64 = 0.25;
/// Neighbors that make the communities: at most, and times the square root of the points, because a few points
/// with many neighbors each are one community.
const COMMUNITY_NEIGHBORS: usize = 20;
const COMMUNITY_GROWTH: f64 = 0.35;
/// Where fewer of all neighbors are between such communities, hardly a neighbor is a stranger: rows are full of their own
/// cluster's points.
const HARDLY: f64 = 0.02;
/// The level of the first kernel.
const FIRST_LEVEL: f64 = 0.05;
/// Where fewer merges are left, of all points, the rounds begin again by the level that the communities call for.
const FEWEST_MERGES: f64 = 0.05;
/// The part of the neighbors that are no strangers, at the level.
const MATCHES: f64 = 0.85;
/// Of each point so many neighbors tell the level, at most. With all of long rows the points of a few large clusters, whose
/// rows are full of matches, would tell it for all others.
const LEVEL_NEIGHBORS: usize = 40;
/// The level, however many strangers.
const LEVELS: std::ops::RangeInclusive<f64> = 0.003..=1.0;
/// A model's similarity is at least this, so that its distance is finite.
const LEAST_SIMILARITY: f64 = 1e-9;
/// All neighbors are alike.
const FLAT: Kernel = Kernel::Exp { sigma: f64::INFINITY };
/// In so many bins of equal numbers of edges is the part of the strangers looked at.
const BINS: usize = 200;

/// What a graph calls for.
#[derive(Debug, Clone, PartialEq)]
pub enum Calibration {
    /// A kernel of the distance.
    Kernel(Kernel),
    /// Hardly any strangers are seen: neighbors of one community are as similar as a point is to itself, and of two not at
    /// all.
    Communities(Vec<u32>),
}

/// The tail of the strangers' distances.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tail {
    /// Where E is `strangers`.
    distance: f64,
    strangers: f64,
    scale: f64,
}

impl Tail {
    /// E: the strangers within a distance.
    fn strangers(&self, distance: f64) -> f64 {
        // A distance far beyond the tail must not make infinities that are subtracted.
        let beyond = |distance: f64| ((distance - self.distance) / self.scale).min(600.0).exp();
        self.strangers * (beyond(distance) - beyond(0.0))
    }

    fn kernel(&self, level: f64) -> Kernel {
        let location = self.distance + self.scale * (level / self.strangers).ln();
        Kernel::Gompertz { location, scale: self.scale }
    }
}

/// The kernel that a k-NN graph calls for, and P by it.
///
/// # Errors
/// If a distance is negative (`ip` of vectors longer than 1), or the run is stopped.
pub fn of_graph(graph: &KnnGraph, monitor: &Monitor) -> Result<(Calibration, Matrix)> {
    let by = |kernel| transition::from_graph(graph, kernel, monitor);
    calibrate(graph.len(), |i| graph.row(i), by, monitor)
}

/// Likewise of edges with a distance each.
///
/// # Errors
/// If a distance is negative or not finite, or the run is stopped.
pub fn of_distances(distances: &Matrix, monitor: &Monitor) -> Result<(Calibration, Matrix)> {
    let by = |kernel| transition::from_distances(distances, kernel, monitor);
    calibrate(distances.rows(), |i| row(distances, i), by, monitor)
}

/// Likewise of the similarities that a model gives, each a probability that both ends are the same: those of a
/// transition matrix, over the diagonal. Their distance is the one at which a Gaussian has that similarity,
/// `sqrt(-ln s)`.
///
/// # Errors
/// If the run is stopped.
pub fn of_similarities(transition: &Matrix, monitor: &Monitor) -> Result<(Calibration, Matrix)> {
    let n = transition.rows();
    let others = |i: usize| {
        let (columns, values) = row(transition, i);
        let own = columns.binary_search(&(i as u32)).map_or(1.0, |at| values[at]);
        let others = columns.iter().zip(values).filter(move |&(&j, _)| j as usize != i);
        others.map(move |(&j, p)| (j, (-(p / own).clamp(LEAST_SIMILARITY, 1.0).ln()).sqrt()))
    };
    let fill = |i: usize, entries: &mut Vec<(u32, f64)>| {
        entries.extend(others(i));
        Ok(())
    };
    of_distances(&from_rows(n, |i| others(i).count(), fill, monitor)?, monitor)
}

/// The kernel that some rows of a k-NN graph call for where the cluster of every point is known: `points` are those
/// of the rows. Where no strangers are seen, all that is no farther than a neighbor of the rows is alike.
pub fn of_clusters(rows: &KnnGraph, points: &[u32], cluster: &[u32]) -> Kernel {
    let row = |i: usize| rows.row(i);
    let between = hazard(rows.len(), &row, usize::MAX, |i, j| cluster[points[i] as usize] != cluster[j]);
    let Some(tail) = tail_of_graph(&between, rows.edges() as f64 / rows.len().max(1) as f64) else {
        let all = (0..rows.len()).flat_map(|i| row(i).1.iter().copied());
        let farthest = f64::from(all.fold(0.0, f32::max)).max(f64::MIN_POSITIVE.sqrt());
        return Kernel::Gompertz { location: farthest * 1.02, scale: farthest / 1000.0 };
    };
    tail.kernel(level_of(&tail, &hazard(rows.len(), &row, LEVEL_NEIGHBORS, |_, _| true)))
}

/// The kernel that a graph of `n` points calls for, and P by it: `row` gives the neighbors of a point with their
/// distances, in any order, and `transition` the P of a kernel. What is in no list beside its copies does not count: a
/// thousand copies of one picture say no more of strangers than one; nor does an edge from a point to itself.
fn calibrate<'a, V: Copy + Into<f64> + Sync + 'a>(
    n: usize,
    row: impl Fn(usize) -> (&'a [u32], &'a [V]) + Sync,
    transition: impl Fn(Kernel) -> Result<Matrix>,
    monitor: &Monitor,
) -> Result<(Calibration, Matrix)> {
    let others = |i: usize| {
        let (neighbors, distances) = row(i);
        let edges = neighbors.iter().zip(distances).map(|(&j, &distance)| (j, distance.into()));
        edges.filter(move |&(j, _): &(u32, f64)| j as usize != i)
    };
    let same = |i: usize| {
        let farthest = others(i).map(|(_, distance)| distance).fold(0.0, f64::max);
        others(i).map(move |(j, distance)| (j, distance <= SAME * farthest))
    };
    let copies = unnamed_copies(n, same)?;
    let has_loops = (0..n).into_par_iter().any(|i| row(i).0.contains(&(i as u32)));
    if copies.is_empty() && !has_loops {
        return calibrate_all(n, row, transition, monitor);
    }
    // Checks the distances of all rows, by their own numbers.
    let flat = transition(FLAT)?;
    // The point that stands for each.
    let mut stands: Vec<u32> = (0..n as u32).collect();
    copies.iter().for_each(|&(copy, of)| stands[copy as usize] = of);
    let counted: Vec<u32> = (0..n as u32).filter(|&i| stands[i as usize] == i).collect();
    let mut number = vec![0; n];
    counted.iter().enumerate().for_each(|(at, &i)| number[i as usize] = at as u32);
    let entries = |at: usize, entries: &mut Vec<(u32, f64)>| {
        entries.extend(others(counted[at] as usize).map(|(j, distance)| (number[j as usize], distance)));
        Ok(())
    };
    let among = from_rows(counted.len(), |at| others(counted[at] as usize).count(), entries, monitor)?;
    let by = |kernel| transition::from_distances(&among, kernel, monitor);
    match calibrate_all(counted.len(), |at| self::row(&among, at), by, monitor)?.0 {
        Calibration::Kernel(kernel) => Ok((Calibration::Kernel(kernel), transition(kernel)?)),
        Calibration::Communities(of) => {
            let community: Vec<u32> = stands.iter().map(|&i| of[number[i as usize] as usize]).collect();
            let alike = transition::within(&flat, &community, monitor)?;
            Ok((Calibration::Communities(community), alike))
        }
    }
}

/// The same where every point and edge counts.
fn calibrate_all<'a, V: Copy + Into<f64> + Sync + 'a>(
    n: usize,
    row: impl Fn(usize) -> (&'a [u32], &'a [V]) + Sync,
    transition: impl Fn(Kernel) -> Result<Matrix>,
    monitor: &Monitor,
) -> Result<(Calibration, Matrix)> {
    // Also checks the distances.
    let flat = transition(FLAT)?;
    let communities_part = monitor.narrow(0.0..0.2);
    let growing = ((n as f64).sqrt() * COMMUNITY_GROWTH).ceil() as usize;
    let of_nearest = |count| communities(&nearest(n, &row, count, monitor)?, monitor);
    let first = of_nearest(growing.min(COMMUNITY_NEIGHBORS))?;
    let wide = if growing < COMMUNITY_NEIGHBORS { &of_nearest(COMMUNITY_NEIGHBORS)? } else { &first };
    let all = hazard(n, &row, LEVEL_NEIGHBORS, |_, _| true);
    let edges: usize = (0..n).into_par_iter().map(|i| row(i).0.len()).sum();
    let of_others = |i: usize| row(i).0.iter().filter(|&&j| wide[i] != wide[j as usize]).count();
    let between: usize = (0..n).into_par_iter().map(of_others).sum();
    if (between as f64) < HARDLY * edges as f64 && wide.iter().any(|&community| community != wide[0]) {
        let alike = transition::within(&flat, wide, monitor)?;
        return Ok((Calibration::Communities(wide.clone()), alike));
    }
    let tail_of = |cluster: &[u32]| {
        let between = hazard(n, &row, usize::MAX, |i, j| cluster[i] != cluster[j]);
        tail_of_graph(&between, edges as f64 / n.max(1) as f64)
    };
    let Some(tail) = tail_of(&first) else {
        let alike = transition::within(&flat, &first, monitor)?;
        return Ok((Calibration::Communities(first), alike));
    };
    drop((flat, communities_part));
    // The kernel after two rounds from a tail and a level, and whether they leave points single, so that all neighbors are
    // between clusters, which tells nothing of strangers.
    let settled = |mut found: Tail, mut level: f64| -> Result<(Kernel, bool)> {
        let mut single = false;
        for begin in [0.2, 0.6] {
            let _round = monitor.narrow(begin..begin + 0.4);
            let links = Links::new(&transition(found.kernel(level))?, monitor)?;
            let coarse = ClusterTree::new(&links, &Constraints::default(), monitor)?;
            single = (coarse.merges().len() as f64) < FEWEST_MERGES * n as f64;
            let Some(tail) = tail_of(&coarse.coarsest()) else { break };
            found = tail;
            level = level_of(&found, &all);
        }
        Ok((found.kernel(level), single))
    };
    let (mut kernel, single) = settled(tail, FIRST_LEVEL)?;
    if single {
        // The first level may be too strict, where all that is alike has strangers that are hardly farther.
        if let (other, false) = settled(tail, level_of(&tail, &all))? {
            kernel = other;
        }
    }
    Ok((Calibration::Kernel(kernel), transition(kernel)?))
}

/// The nearest neighbors of each point, from which communities are made.
fn nearest<'a, V: Copy + Into<f64> + 'a>(
    n: usize,
    row: &(impl Fn(usize) -> (&'a [u32], &'a [V]) + Sync),
    count: usize,
    monitor: &Monitor,
) -> Result<Matrix> {
    let fill = |i: usize, entries: &mut Vec<(u32, f64)>| {
        let (neighbors, distances) = row(i);
        entries.extend(neighbors.iter().copied().zip(distances.iter().map(|&distance| distance.into())));
        entries.retain(|&(j, _)| j as usize != i);
        entries.sort_unstable_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        entries.truncate(count);
        Ok(())
    };
    let others = |i: usize| row(i).0.iter().filter(|&&j| j as usize != i).count();
    from_rows(n, |i| others(i).min(count), fill, monitor)
}

/// The cumulative hazard of the wanted edges to the nearest of each point, at most so many: their distances in rising order,
/// each with the expected number of such neighbors up to it.
fn hazard<'a, V: Copy + Into<f64> + 'a>(
    n: usize,
    row: &(impl Fn(usize) -> (&'a [u32], &'a [V]) + Sync),
    most: usize,
    wanted: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<(f64, f64)> {
    let wanted = &wanted;
    let last = |i: usize| {
        let distances = row(i).1.iter().map(|&distance| distance.into());
        if distances.len() > most {
            return *distances.collect::<Vec<f64>>().select_nth_unstable_by(most - 1, f64::total_cmp).1;
        }
        distances.fold(f64::NEG_INFINITY, f64::max)
    };
    let mut ends: Vec<f64> = (0..n).into_par_iter().map(last).collect();
    let end = &ends;
    let mut edges: Vec<(f64, f64)> = (0..n)
        .into_par_iter()
        .flat_map_iter(|i| {
            let (neighbors, distances) = row(i);
            let edges = neighbors.iter().zip(distances).filter(move |edge| wanted(i, *edge.0 as usize));
            edges.map(|(_, &distance)| (distance.into(), 0.0)).filter(move |edge| edge.0 <= end[i])
        })
        .collect();
    edges.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    ends.par_sort_unstable_by(f64::total_cmp);
    let (mut hazard, mut gone) = (0.0, 0);
    for (distance, so_far) in &mut edges {
        while ends[gone] < *distance {
            gone += 1;
        }
        hazard += 1.0 / (n - gone) as f64;
        *so_far = hazard;
    }
    edges
}

/// The tail of a graph of so many neighbors a point; `None` where no strangers are seen.
fn tail_of_graph(between: &[(f64, f64)], neighbors: f64) -> Option<Tail> {
    let halved = std::iter::successors(Some(STRANGERS.min(neighbors / 4.0)), |strangers| Some(strangers / 2.0));
    halved.take_while(|&strangers| strangers > FEWEST_STRANGERS).find_map(|strangers| tail(between, strangers))
}

/// The tail of a hazard; `None` where it does not reach so many strangers.
fn tail(hazard: &[(f64, f64)], strangers: f64) -> Option<Tail> {
    let reached = |strangers| hazard.get(hazard.partition_point(|step| step.1 < strangers)).map(|step| step.0);
    let (near, distance) = (reached(strangers * NEAR)?, reached(strangers)?);
    let scale = (distance - near) / -NEAR.ln();
    (scale > 0.0).then_some(Tail { distance, strangers, scale })
}

/// E where [`MATCHES`] of the neighbors are no strangers.
fn level_of(tail: &Tail, all: &[(f64, f64)]) -> f64 {
    /// Neighbors of a range of distances, and strangers among them.
    struct Bin {
        end: f64,
        strangers: f64,
        neighbors: f64,
    }
    let (mut before, mut hazard) = (0.0, 0.0);
    let mut bins: Vec<Bin> = Vec::new();
    let size = (all.len() / BINS).max(1);
    for &(end, so_far) in all.iter().skip(size - 1).step_by(size) {
        let strangers = tail.strangers(end) - tail.strangers(before);
        bins.push(Bin { end, strangers, neighbors: so_far - hazard });
        (before, hazard) = (end, so_far);
        // Pool where the part of the strangers falls with the distance.
        while let [.., a, b] = &bins[..]
            && a.strangers * b.neighbors >= b.strangers * a.neighbors
        {
            let pooled = Bin { end, strangers: a.strangers + b.strangers, neighbors: a.neighbors + b.neighbors };
            bins.truncate(bins.len() - 2);
            bins.push(pooled);
        }
    }
    // The part is that of the middle of each bin, and in between on a line.
    let (mut start, mut last) = (0.0, None);
    let mut distance = 0.0;
    for bin in &bins {
        let (middle, matches) = (f64::midpoint(start, bin.end), 1.0 - bin.strangers / bin.neighbors);
        if matches <= MATCHES {
            distance = last.map_or(0.0, |(at, more)| at + (middle - at) * (more - MATCHES) / (more - matches));
            break;
        }
        distance = middle;
        (start, last) = (bin.end, Some((middle, matches)));
    }
    tail.strangers(distance).clamp(*LEVELS.start(), *LEVELS.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sparse::from_edges;

    /// Points in pairs, each with its match at 0.2 and strangers from 0.5 on, whose number grows e-fold with
    /// each 0.05.
    fn pairs(n: u32, strangers: u32) -> Matrix {
        let (mut src, mut dst, mut distance) = (vec![], vec![], vec![]);
        for i in 0..n {
            // An even number of points ahead, so that a stranger is never the match.
            let stranger = |rank| ((i + 2 * rank) % n, 0.5 + 0.05 * f64::from(rank).ln());
            for (j, d) in std::iter::once((i ^ 1, 0.2)).chain((1..=strangers).map(stranger)) {
                src.push(i);
                dst.push(j);
                distance.push(d);
            }
        }
        from_edges(n as usize, &src, &dst, &distance, &Monitor::new()).unwrap()
    }

    fn found(graph: &Matrix) -> Calibration {
        of_distances(graph, &Monitor::new()).unwrap().0
    }

    /// The hazard of edges between clusters.
    fn between(graph: &Matrix, cluster: &[u32]) -> Vec<(f64, f64)> {
        hazard(graph.rows(), &|i| row(graph, i), usize::MAX, |i, j| cluster[i] != cluster[j])
    }

    #[test]
    fn the_tail_is_that_of_the_strangers() {
        let graph = pairs(1000, 40);
        let cluster: Vec<u32> = (0..1000).map(|i| i / 2).collect();
        let tail = tail(&between(&graph, &cluster), 32.0).unwrap();
        assert!((tail.scale - 0.05).abs() < 0.003, "{}", tail.scale);
        assert!((tail.distance - tail.scale * 32f64.ln() - 0.5).abs() < 0.01, "{}", tail.distance);
        assert_eq!(tail.strangers(0.0), 0.0);
        assert!((tail.strangers(tail.distance) - 32.0).abs() < 1e-3);
    }

    #[test]
    fn matches_make_the_similarity_of_the_kernel() {
        let Calibration::Kernel(kernel) = found(&pairs(1000, 40)) else { panic!("there are strangers") };
        // The match is certain, the first stranger is not one.
        assert_eq!(kernel.similarity(0.0), 1.0);
        assert!(kernel.similarity(0.2) > 0.9 && kernel.similarity(0.5) < 0.1, "{kernel:?}");
    }

    #[test]
    fn a_graph_of_matches_alone_has_communities() {
        let Calibration::Communities(community) = found(&pairs(100, 0)) else { panic!("no strangers") };
        assert!((0..100).all(|i| community[i] as usize == i / 2));
        let none = |n| from_edges(n, &[], &[], &[], &Monitor::new()).unwrap();
        assert_eq!(found(&none(0)), Calibration::Communities(vec![]));
        let zero = from_edges(2, &[0, 1], &[1, 0], &[0.0, 0.0], &Monitor::new()).unwrap();
        assert_eq!(found(&zero), Calibration::Communities(vec![0, 0]));
    }

    #[test]
    fn rows_are_censored_beyond_their_last_neighbor() {
        // All are strangers, and a row is at risk up to its one neighbor.
        let edges = [(0, 1, 0.1), (1, 2, 0.2), (2, 3, 0.3), (3, 0, 0.4)];
        let column = |at: fn(&(u32, u32, f64)) -> u32| edges.iter().map(at).collect::<Vec<u32>>();
        let distances: Vec<f64> = edges.iter().map(|edge| edge.2).collect();
        let graph = from_edges(4, &column(|e| e.0), &column(|e| e.1), &distances, &Monitor::new()).unwrap();
        // The hazard is 1/4, 1/4 + 1/3, 1/4 + 1/3 + 1/2 and 1 more.
        let hazard = between(&graph, &[0, 1, 2, 3]);
        assert_eq!(hazard.iter().map(|step| step.0).collect::<Vec<_>>(), distances);
        let expected = [0.25, 0.25 + 1.0 / 3.0, 0.75 + 1.0 / 3.0, 1.75 + 1.0 / 3.0];
        assert!(hazard.iter().zip(expected).all(|(step, expected)| (step.1 - expected).abs() < 1e-12));
    }
}

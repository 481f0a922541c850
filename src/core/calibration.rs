//! The kernel from the graph alone, without labels.
//!
//! A neighbor is evidence as far as no stranger would lie so near. With E(d) the expected number of
//! strangers within a distance d of a point, the similarity is `exp(-E(d) / level)`: 1 where a
//! stranger is out of the question, 0 where one is to be expected. The tail of a distribution is
//! exponential in its simplest form (Gumbel's domain of attraction; Pickands 1975), so E grows as
//! `exp(d / scale)`, and the similarity is the survival function of a Gumbel distribution of minima.
//!
//! E is read off the distances between clusters, as a cumulative hazard (Nelson 1972, Aalen 1978): a
//! row says nothing beyond its last neighbor, it is censored there. The clusters are those that the
//! kernel gives, so both are computed in turn until the kernel stays, from a graph without weights on.
//! A match that was missed counts as a stranger, so these clusters are coarser than the result's.

use rayon::prelude::*;

use crate::core::dpc::dpc;
use crate::core::error::Result;
use crate::core::knn::KnnGraph;
use crate::core::monitor::Monitor;
use crate::core::ndde::{NddeOptions, ndde};
use crate::core::similarity::Kernel;
use crate::core::sparse::{Matrix, row};
use crate::core::tpdi::tpdi_upward;
use crate::core::transition;

/// Strangers that a point has on average within the location of the kernel. This level, the next and the
/// range of the fit were chosen together on labelled and generated points, see docs/results.md: a higher
/// level makes the kernel wider, which finds more matches and takes in more strangers.
const LEVEL: f64 = 0.015;
/// The same for the coarser clusters between which strangers are counted, and their tau.
const COARSE_LEVEL: f64 = 0.05;
const COARSE_TAU: f64 = 0.95;
/// The tail is fitted where there are so many strangers, and a tenth of it; or a quarter of the
/// neighbors, where that is fewer.
const STRANGERS: f64 = 10.0;
/// The kernel stays if its location moves by less than this part of its scale.
const TOLERANCE: f64 = 0.02;
/// A guard: without end, two kernels could follow each other.
const MAX_ROUNDS: usize = 10;

/// The tail of the strangers' distances.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tail {
    /// Where E is `strangers`.
    distance: f64,
    strangers: f64,
    scale: f64,
}

impl Tail {
    /// Where E is `level`.
    fn location(&self, level: f64) -> f64 {
        self.distance + self.scale * (level / self.strangers).ln()
    }

    fn kernel(&self, level: f64) -> Kernel {
        Kernel::Gumbel { location: self.location(level), scale: self.scale }
    }
}

/// The kernel that a k-NN graph calls for. The graph must reach beyond the clusters: where its edges
/// tell no strangers from matches, the kernel is that of [`SIGMA`](crate::core::similarity::SIGMA).
///
/// # Errors
/// If a distance is negative (`ip` of vectors longer than 1), or the run is stopped.
pub fn kernel_of_graph(graph: &KnnGraph, monitor: &Monitor) -> Result<Kernel> {
    let transition = |kernel| transition::from_graph(graph, kernel, monitor);
    calibrate(graph.len(), |i| graph.row(i), transition, monitor)
}

/// Likewise of edges with a distance each.
///
/// # Errors
/// If a distance is negative or not finite, or the run is stopped.
pub fn kernel_of_distances(distances: &Matrix, monitor: &Monitor) -> Result<Kernel> {
    let transition = |kernel| transition::from_distances(distances, kernel, monitor);
    calibrate(distances.rows(), |i| row(distances, i), transition, monitor)
}

/// The kernel that a graph of `n` points calls for: `row` gives the neighbors of a point with their
/// distances, in any order, and `transition` the P of a kernel.
fn calibrate<'a, V: Copy + Into<f64> + 'a>(
    n: usize,
    row: impl Fn(usize) -> (&'a [u32], &'a [V]) + Sync,
    transition: impl Fn(Kernel) -> Result<Matrix>,
    monitor: &Monitor,
) -> Result<Kernel> {
    let edges: usize = (0..n).map(|i| row(i).0.len()).sum();
    let strangers = STRANGERS.min(edges as f64 / n.max(1) as f64 / 4.0);
    // At an infinite sigma every neighbor is as similar as the point itself.
    let mut kernel = Kernel::Exp { sigma: f64::INFINITY };
    let mut last: Option<Tail> = None;
    for _ in 0..MAX_ROUNDS {
        let transition = transition(kernel)?;
        let density = ndde(&transition, &NddeOptions::default(), monitor)?;
        let distances = tpdi_upward(&transition, &density, monitor)?;
        drop(transition);
        let cluster = dpc(density, &distances, COARSE_TAU, monitor)?.cluster;
        drop(distances);
        let found = tail(n, &row, &cluster, strangers).filter(|tail| tail.location(LEVEL) > 0.0);
        let Some(tail) = found else { return Ok(Kernel::default()) };
        let moved = last.map(|last| (tail.location(COARSE_LEVEL) - last.location(COARSE_LEVEL)).abs());
        last = Some(tail);
        if moved.is_some_and(|moved| moved < TOLERANCE * tail.scale) {
            break;
        }
        kernel = tail.kernel(COARSE_LEVEL);
    }
    Ok(last.map_or_else(Kernel::default, |tail| tail.kernel(LEVEL)))
}

/// The tail of the distances between clusters; `None` where they do not reach so many strangers.
fn tail<'a, V: Copy + Into<f64> + 'a>(
    n: usize,
    row: &(impl Fn(usize) -> (&'a [u32], &'a [V]) + Sync),
    cluster: &[u32],
    strangers: f64,
) -> Option<Tail> {
    let mut between: Vec<f64> = (0..n)
        .into_par_iter()
        .flat_map_iter(|i| {
            let (neighbors, distances) = row(i);
            let others = neighbors.iter().zip(distances).filter(move |(j, _)| cluster[**j as usize] != cluster[i]);
            others.map(|(_, &distance)| distance.into())
        })
        .collect();
    let farthest = |i| row(i).1.iter().map(|&distance| distance.into()).fold(f64::NEG_INFINITY, f64::max);
    let mut ends: Vec<f64> = (0..n).into_par_iter().map(farthest).collect();
    between.par_sort_unstable_by(f64::total_cmp);
    ends.par_sort_unstable_by(f64::total_cmp);
    let (mut hazard, mut gone, mut near) = (0.0, 0, None);
    for distance in between {
        while ends[gone] < distance {
            gone += 1;
        }
        hazard += 1.0 / (n - gone) as f64;
        if near.is_none() && hazard >= strangers / 10.0 {
            near = Some(distance);
        }
        if let Some(near) = near.filter(|_| hazard >= strangers) {
            let scale = (distance - near) / std::f64::consts::LN_10;
            return (scale > 0.0).then_some(Tail { distance, strangers, scale });
        }
    }
    None
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

    fn kernel(graph: &Matrix) -> Kernel {
        kernel_of_distances(graph, &Monitor::new()).unwrap()
    }

    #[test]
    fn the_tail_is_that_of_the_strangers() {
        let graph = pairs(1000, 40);
        let cluster: Vec<u32> = (0..1000).map(|i| i / 2).collect();
        let tail = tail(1000, &|i| row(&graph, i), &cluster, 10.0).unwrap();
        assert!((tail.scale - 0.05).abs() < 0.003, "{}", tail.scale);
        assert!((tail.location(1.0) - 0.5).abs() < 0.01, "{}", tail.location(1.0));
    }

    #[test]
    fn a_graph_of_matches_alone_keeps_the_default() {
        assert_eq!(kernel(&pairs(100, 0)), Kernel::default());
        assert_eq!(kernel(&from_edges(0, &[], &[], &[], &Monitor::new()).unwrap()), Kernel::default());
        assert_eq!(kernel(&from_edges(2, &[0, 1], &[1, 0], &[0.0, 0.0], &Monitor::new()).unwrap()), Kernel::default());
    }

    #[test]
    fn rows_are_censored_beyond_their_last_neighbor() {
        // All are strangers, and a row is at risk up to its one neighbor.
        let edges = [(0, 1, 0.1), (1, 2, 0.2), (2, 3, 0.3), (3, 0, 0.4)];
        let column = |at: fn(&(u32, u32, f64)) -> u32| edges.iter().map(at).collect::<Vec<u32>>();
        let distances: Vec<f64> = edges.iter().map(|edge| edge.2).collect();
        let graph = from_edges(4, &column(|e| e.0), &column(|e| e.1), &distances, &Monitor::new()).unwrap();
        // The hazard is 1/4, 1/4 + 1/3, 1/4 + 1/3 + 1/2 and 1 more.
        let tail = tail(4, &|i| row(&graph, i), &[0, 1, 2, 3], 1.0).unwrap();
        assert_eq!((tail.distance, tail.strangers), (0.3, 1.0));
        assert!((tail.scale - 0.2 / std::f64::consts::LN_10).abs() < 1e-12);
    }
}

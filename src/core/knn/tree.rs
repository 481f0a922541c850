//! The exact method in few dimensions: a k-d tree (Bentley 1975), and of it only what can hold a neighbor.
//!
//! A node is a part of the points with the box around them, which bounds their distances from below. The
//! distances themselves are the exact ones, and equal ones order by row as they do everywhere: so the graph is
//! that of all pairs, bit for bit.

use std::collections::BinaryHeap;
use std::ops::Range;

use rayon::prelude::*;

use super::candidate::{Candidate, write};
use super::graph::KnnGraph;
use super::points::{Metric, Points};
use super::search::Search;
use crate::core::error::Result;
use crate::core::monitor::Monitor;

/// Beyond so many dimensions the boxes rule out too little, and all pairs are faster.
pub(super) const LARGEST_DIM: usize = 4;

/// Points of a node that is not split.
const LEAF: usize = 16;

/// Points that one unit of work searches for: some milliseconds.
const UNIT: usize = 256;

/// Peak bytes of the tree.
pub(super) fn memory(base: usize, dim: usize) -> u64 {
    let nodes = nodes(levels(base)) as u64;
    (base * size_of::<u32>()) as u64 + nodes * (dim * size_of::<[f64; 2]>() + size_of::<u32>()) as u64
}

/// The neighbors among these rows of the base.
pub(super) fn search(search: &Search, among: Vec<u32>, graph: &mut KnnGraph, monitor: &Monitor) -> Result<()> {
    let tree = Tree::new(search.base, among, monitor)?;
    let k = graph.k;
    let phase = monitor.phase(0.1..1.0, graph.rows.div_ceil(UNIT));
    let rows = graph.neighbors.par_chunks_mut(UNIT * k).zip(graph.distances.par_chunks_mut(UNIT * k));
    rows.enumerate().try_for_each_init(
        || (Nearest { k, ..Nearest::default() }, Vec::new()),
        |(nearest, sorted), (unit, (neighbors, distances))| {
            phase.step()?;
            for place in 0..neighbors.len() / k {
                tree.find(search, unit * UNIT + place, nearest);
                sorted.clear();
                sorted.extend(nearest.found.drain());
                sorted.sort_unstable();
                write(sorted, &mut neighbors[place * k..][..k], &mut distances[place * k..][..k]);
            }
            Ok(())
        },
    )
}

/// Splits from the root to a leaf, in a tree of so many points.
fn levels(points: usize) -> usize {
    points.div_ceil(LEAF).next_power_of_two().ilog2() as usize
}

/// Nodes of a tree with so many splits from its root to a leaf.
fn nodes(levels: usize) -> usize {
    (2 << levels) - 1
}

/// A balanced tree. A node is followed by all nodes of its first half, and then by all those of its second.
struct Tree {
    levels: usize,
    /// The points, those of a node side by side.
    order: Vec<u32>,
    /// Of each node and dimension, the least and the greatest feature.
    boxes: Vec<[f64; 2]>,
    /// Of each node, the smallest row.
    first: Vec<u32>,
}

/// The nearest so far.
#[derive(Default)]
struct Nearest {
    k: usize,
    found: BinaryHeap<Candidate>,
    /// Of the query.
    features: Vec<f64>,
}

/// A node on the way of a query.
struct Step {
    node: usize,
    /// Splits below it.
    levels: usize,
    points: Range<usize>,
    /// No point of the node comes before it.
    bound: Candidate,
}

impl Tree {
    /// Of these rows.
    fn new(points: &Points, mut order: Vec<u32>, monitor: &Monitor) -> Result<Self> {
        let levels = levels(order.len());
        let nodes = nodes(levels);
        let (mut boxes, mut first) = (vec![[0.0; 2]; nodes * points.dim()], vec![0; nodes]);
        split(points, levels, &mut order, &mut boxes, &mut first, monitor)?;
        Ok(Self { levels, order, boxes, first })
    }

    /// The nearest of a query.
    fn find(&self, search: &Search, query: usize, nearest: &mut Nearest) {
        search.queries().row(query).centred(&[0.0; LARGEST_DIM], &mut nearest.features);
        let root = self.step(search, 0, self.levels, 0..self.order.len(), &nearest.features);
        self.visit(search, query, root, nearest);
    }

    fn step(&self, search: &Search, node: usize, levels: usize, points: Range<usize>, features: &[f64]) -> Step {
        let dim = features.len();
        let bound = least_distance(search.base.metric(), features, &self.boxes[node * dim..][..dim]);
        Step { node, levels, points, bound: Candidate::new(bound, self.first[node]) }
    }

    fn visit(&self, search: &Search, query: usize, step: Step, nearest: &mut Nearest) {
        if nearest.found.len() == nearest.k && nearest.found.peek().is_some_and(|&last| step.bound > last) {
            return;
        }
        if step.levels == 0 {
            let same = search.same(query);
            for &row in self.order[step.points].iter().filter(|&&row| row != same) {
                nearest.take(Candidate::new(search.distance(query, row), row));
            }
            return;
        }
        let (Range { start, end }, levels) = (step.points, step.levels - 1);
        let middle = start + (end - start) / 2;
        let (one, other) = (step.node + 1, step.node + 1 + nodes(levels));
        let one = self.step(search, one, levels, start..middle, &nearest.features);
        let other = self.step(search, other, levels, middle..end, &nearest.features);
        let (nearer, further) = if other.bound < one.bound { (other, one) } else { (one, other) };
        self.visit(search, query, nearer, nearest);
        self.visit(search, query, further, nearest);
    }
}

impl Nearest {
    fn take(&mut self, candidate: Candidate) {
        if self.found.len() < self.k {
            self.found.push(candidate);
        } else if let Some(mut last) = self.found.peek_mut().filter(|last| candidate < **last) {
            *last = candidate;
        }
    }
}

/// Fill in a node of these points, and those below it.
fn split(
    points: &Points,
    levels: usize,
    order: &mut [u32],
    boxes: &mut [[f64; 2]],
    first: &mut [u32],
    monitor: &Monitor,
) -> Result<()> {
    monitor.check()?;
    let dim = points.dim();
    let feature = |row: u32, at: usize| points.row(row as usize).feature(at);
    let (own, boxes) = boxes.split_at_mut(dim);
    for (at, sides) in own.iter_mut().enumerate() {
        let features = order.iter().map(|&row| feature(row, at));
        *sides = features.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], x| [low.min(x), high.max(x)]);
    }
    first[0] = order.iter().copied().min().unwrap_or(u32::MAX);
    let Some(levels) = levels.checked_sub(1) else { return Ok(()) };
    let length = |at: &usize| own[*at][1] - own[*at][0];
    let longest = (0..dim).max_by(|a, b| length(a).total_cmp(&length(b))).expect("rows are not empty");
    let middle = order.len() / 2;
    let place = |row: u32| (feature(row, longest), row);
    order.select_nth_unstable_by(middle, |&a, &b| place(a).partial_cmp(&place(b)).expect("features are finite"));
    let (one, other) = order.split_at_mut(middle);
    let nodes = nodes(levels);
    let (one_boxes, other_boxes) = boxes.split_at_mut(nodes * dim);
    let (one_first, other_first) = first[1..].split_at_mut(nodes);
    let (one, other) = rayon::join(
        || split(points, levels, one, one_boxes, one_first, monitor),
        || split(points, levels, other, other_boxes, other_first, monitor),
    );
    one.and(other)
}

/// No point in the box has a distance below it, as [`Points::distance`] computes and rounds that.
fn least_distance(metric: Metric, features: &[f64], sides: &[[f64; 2]]) -> f32 {
    // What sums in double precision can be off, of a few terms.
    const ROUNDING: f64 = 1e-14;
    let pairs = || features.iter().zip(sides);
    let squared = || pairs().map(|(x, [low, high])| (low - x).max(x - high).max(0.0).powi(2)).sum::<f64>();
    let least = match metric {
        Metric::L2sq => squared() * (1.0 - ROUNDING),
        // Rows are of length 1 but for rounding to single precision, see the margin of a `Scale`.
        Metric::Cosine => (squared() / 2.0 * (1.0 - 1e-6) - 1e-13).max(0.0),
        Metric::Ip => {
            let products = || pairs().map(|(x, [low, high])| [x * low, x * high]);
            let most: f64 = products().map(|[a, b]| a.max(b)).sum();
            let size: f64 = products().map(|[a, b]| a.abs().max(b.abs())).sum();
            1.0 - most - ROUNDING * (1.0 + size)
        }
    };
    least as f32
}

//! Every threshold in one pass: a point's candidate parent does not depend on tau, so the
//! candidate edges are taken nearest first, and trees unite as tau grows.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::core::dpc::{Candidates, check_tau};
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::scores::PrecisionRecall;
use crate::core::union_find::UnionFind;

/// The clustering at one tau, in figures.
#[derive(Debug, Clone, PartialEq)]
pub struct TauRow {
    /// The threshold.
    pub tau: f64,
    /// Number of clusters.
    pub clusters: usize,
    /// Clusters of one point.
    pub singletons: usize,
    /// Points of the largest cluster.
    pub largest: usize,
    /// Against the labels, where labels were given.
    pub scores: Option<Scores>,
}

/// Agreement of a clustering with labels, over the points that have one.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Over the pairs of two points.
    pub pairwise: PrecisionRecall,
    /// Means over points, each its own companion (Bagga and Baldwin 1998).
    pub bcubed: PrecisionRecall,
}

/// The clustering that [`dpc`](crate::core::dpc::dpc()) gives for each of `taus`, in figures, in their
/// order. `labels` holds any number for each point that has a label.
///
/// # Errors
/// If a tau is out of range, or the run is stopped.
pub fn sweep(
    candidates: &Candidates,
    taus: &[f64],
    labels: Option<&[Option<u32>]>,
    monitor: &Monitor,
) -> Result<Vec<TauRow>> {
    taus.iter().try_for_each(|&tau| check_tau(tau))?;
    let mut order: Vec<usize> = (0..taus.len()).collect();
    order.sort_by(|&a, &b| taus[a].total_cmp(&taus[b]));
    let last = order.last().map_or(0.0, |&at| taus[at]);
    let mut edges: Vec<(f64, u32, u32)> = (candidates.par_iter().enumerate())
        .filter_map(|(i, candidate)| candidate.map(|(j, distance)| (distance, i as u32, j)))
        .filter(|edge| edge.0 < last)
        .collect();
    edges.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));

    let mut trees = Trees::new(candidates.len(), labels);
    let mut edges = edges.into_iter().peekable();
    let mut rows = Vec::with_capacity(taus.len());
    for at in order {
        while let Some((_, child, parent)) = edges.next_if(|edge| edge.0 < taus[at]) {
            trees.unite(child, parent);
            if edges.len().is_multiple_of(4096) {
                monitor.check()?;
            }
        }
        monitor.check()?;
        rows.push((at, trees.row(taus[at])));
    }
    rows.sort_unstable_by_key(|row| row.0);
    Ok(rows.into_iter().map(|row| row.1).collect())
}

/// Trees that grow together.
struct Trees {
    sets: UnionFind,
    clusters: usize,
    singletons: usize,
    largest: usize,
    agreement: Option<Agreement>,
}

impl Trees {
    fn new(n: usize, labels: Option<&[Option<u32>]>) -> Self {
        Self {
            sets: UnionFind::new(n),
            clusters: n,
            singletons: n,
            largest: n.min(1),
            agreement: labels.map(Agreement::new),
        }
    }

    /// Unite the trees of two points. Edges of a forest never meet within a tree.
    fn unite(&mut self, a: u32, b: u32) {
        let roots = [self.sets.root(a), self.sets.root(b)];
        self.clusters -= 1;
        self.singletons -= roots.iter().filter(|&&root| self.sets.size(root) == 1).count();
        let (small, large) = self.sets.unite_roots(roots[0], roots[1]);
        self.largest = self.largest.max(self.sets.size(large) as usize);
        if let Some(agreement) = &mut self.agreement {
            agreement.unite(small, large);
        }
    }

    fn row(&self, tau: f64) -> TauRow {
        let scores = self.agreement.as_ref().map(Agreement::scores);
        TauRow { tau, clusters: self.clusters, singletons: self.singletons, largest: self.largest, scores }
    }
}

/// How far trees and labels agree. All counts are of labelled points and are whole numbers, so the
/// scores do not depend on the order of the merges.
struct Agreement {
    /// Labels, numbered in order of their first points.
    label: Vec<Option<u32>>,
    /// The members of each tree as a ring.
    next: Vec<u32>,
    /// Points of a root's tree with a label.
    cells: HashMap<(u32, u32), u32>,
    /// Points of a root's tree.
    members: Vec<u32>,
    /// Sum of the squares of a root's cells.
    squares: Vec<u64>,
    /// Points of a label, and the sum of the squares of its cells.
    of_label: Vec<(u32, u64)>,
    points: u64,
    label_pairs: u64,
    cluster_pairs: u64,
    /// Pairs that share both.
    shared_pairs: u64,
}

impl Agreement {
    fn new(labels: &[Option<u32>]) -> Self {
        let (mut numbers, mut of_label) = (HashMap::new(), Vec::new());
        let label: Vec<Option<u32>> = labels
            .iter()
            .map(|label| {
                let number = *numbers.entry((*label)?).or_insert(of_label.len() as u32);
                if number as usize == of_label.len() {
                    of_label.push((0, 0));
                }
                let (points, squares) = &mut of_label[number as usize];
                (*points, *squares) = (*points + 1, *squares + 1);
                Some(number)
            })
            .collect();
        let sizes = of_label.iter().map(|of| u64::from(of.0));
        let cells = label.iter().enumerate().filter_map(|(i, label)| label.map(|label| ((i as u32, label), 1)));
        Self {
            next: (0..labels.len() as u32).collect(),
            cells: cells.collect(),
            members: label.iter().map(|label| u32::from(label.is_some())).collect(),
            squares: label.iter().map(|label| u64::from(label.is_some())).collect(),
            points: sizes.clone().sum(),
            label_pairs: sizes.map(|size| size * (size - 1) / 2).sum(),
            cluster_pairs: 0,
            shared_pairs: 0,
            label,
            of_label,
        }
    }

    /// Move the members of one tree into another, at least as large.
    fn unite(&mut self, small: u32, large: u32) {
        let mut shared = 0;
        let mut member = small;
        loop {
            // The first member with a label takes the whole cell along.
            if let Some(label) = self.label[member as usize]
                && let Some(moved) = self.cells.remove(&(small, label))
            {
                let held = self.cells.entry((large, label)).or_insert(0);
                let pairs = u64::from(moved) * u64::from(*held);
                *held += moved;
                shared += pairs;
                self.of_label[label as usize].1 += 2 * pairs;
            }
            member = self.next[member as usize];
            if member == small {
                break;
            }
        }
        let (small, large) = (small as usize, large as usize);
        self.next.swap(small, large);
        self.shared_pairs += shared;
        self.cluster_pairs += u64::from(self.members[small]) * u64::from(self.members[large]);
        self.members[large] += self.members[small];
        self.squares[large] += self.squares[small] + 2 * shared;
        // What is no root has no members.
        (self.members[small], self.squares[small]) = (0, 0);
    }

    fn scores(&self) -> Scores {
        let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        let (shared, of_clusters, of_labels) =
            (self.shared_pairs as f64, self.cluster_pairs as f64, self.label_pairs as f64);
        let pairwise = PrecisionRecall {
            precision: ratio(shared, of_clusters),
            recall: ratio(shared, of_labels),
            f: ratio(2.0 * shared, of_clusters + of_labels),
        };
        let trees = self.members.iter().zip(&self.squares).filter(|(members, _)| **members > 0);
        let precision: f64 = trees.map(|(&members, &squares)| squares as f64 / f64::from(members)).sum();
        let recall: f64 = self.of_label.iter().map(|&(points, squares)| squares as f64 / f64::from(points)).sum();
        let bcubed = PrecisionRecall {
            precision: ratio(precision, self.points as f64),
            recall: ratio(recall, self.points as f64),
            f: ratio(2.0 * precision * recall, self.points as f64 * (precision + recall)),
        };
        Scores { pairwise, bcubed }
    }
}

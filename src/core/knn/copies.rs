//! Equal rows. A point's copies are as near as can be: they fill its list, and those of all that are near it, so
//! that a point has neighbors of one vector alone. So of equal rows the first few can stand for all in the lists.

use rayon::prelude::*;

use super::candidate::{Candidate, write};
use super::graph::KnnGraph;
use super::points::Points;
use super::search::Search;
use crate::core::error::Result;
use crate::core::monitor::Monitor;

/// The rows of each point's copies.
pub(super) struct Copies {
    /// The rows, copies side by side, in order.
    rows: Vec<u32>,
    /// Of each row, where its copies are in `rows`.
    places: Vec<[u32; 2]>,
    /// Of each vector, how many rows stand in lists.
    most: usize,
}

impl Copies {
    /// Bytes for so many points.
    pub fn memory(points: usize) -> u64 {
        (points * (size_of::<u32>() + size_of::<[u32; 2]>())) as u64
    }

    /// # Errors
    /// If the run is stopped.
    pub fn new(points: &Points, most: Option<usize>, monitor: &Monitor) -> Result<Self> {
        let mut rows: Vec<u32> = (0..points.len() as u32).collect();
        rows.par_sort_unstable_by(|&a, &b| points.compare(a as usize, b as usize).then(a.cmp(&b)));
        let mut places = vec![[0; 2]; rows.len()];
        let mut start = 0;
        for copies in rows.chunk_by(|&a, &b| points.compare(a as usize, b as usize).is_eq()) {
            monitor.check()?;
            let end = start + copies.len() as u32;
            copies.iter().for_each(|&row| places[row as usize] = [start, end]);
            start = end;
        }
        Ok(Self { rows, places, most: most.unwrap_or(usize::MAX) })
    }

    /// Of the row and its copies the first ones, in order, which stand in lists.
    fn listed(&self, row: u32) -> &[u32] {
        let [start, end] = self.places[row as usize].map(|place| place as usize);
        &self.rows[start..end.min(start.saturating_add(self.most))]
    }

    /// The first of the row and its copies.
    pub fn first(&self, row: u32) -> u32 {
        self.listed(row)[0]
    }

    /// The first rows of all vectors, in order.
    #[cfg(feature = "usearch")]
    pub fn firsts(&self) -> Vec<u32> {
        self.which(|row| self.first(row) == row)
    }

    /// The rows that stand in lists, in order.
    pub fn all_listed(&self) -> Vec<u32> {
        self.which(|row| self.is_listed(row))
    }

    fn is_listed(&self, row: u32) -> bool {
        // In order.
        self.listed(row).last() >= Some(&row)
    }

    fn which(&self, wanted: impl Fn(u32) -> bool) -> Vec<u32> {
        (0..self.rows.len() as u32).filter(|&row| wanted(row)).collect()
    }

    /// The `k` nearest rows but `same`, given the candidates that stand for them, in order.
    pub fn nearest(&self, candidates: &[Candidate], same: u32, k: usize, nearest: &mut Vec<Candidate>) {
        nearest.clear();
        for candidate in candidates {
            // Copies of others as far away may come first by their rows.
            if nearest.len() >= k && nearest.last().is_some_and(|last| last.distance() < candidate.distance()) {
                break;
            }
            // One more than `k`, since `same` may be among them.
            let listed = self.listed(candidate.row()).iter().take(k + 1).filter(|&&row| row != same);
            nearest.extend(listed.map(|&row| Candidate::new(candidate.distance(), row)));
        }
        nearest.sort_unstable();
        nearest.truncate(k);
    }

    /// Give the rows that stand in no list the neighbors of the first of their copies, and that one.
    pub fn fill(&self, search: &Search, graph: &mut KnnGraph) {
        let k = graph.k;
        let mut nearest = Vec::new();
        for row in self.which(|row| !self.is_listed(row)) {
            let first = self.first(row);
            let (neighbors, distances) = graph.row(first as usize);
            nearest.clear();
            nearest.extend(neighbors.iter().zip(distances).map(|(&row, &distance)| Candidate::new(distance, row)));
            nearest.push(Candidate::new(search.distance(row as usize, first), first));
            nearest.sort_unstable();
            nearest.truncate(k);
            let places = row as usize * k..(row as usize + 1) * k;
            write(&nearest, &mut graph.neighbors[places.clone()], &mut graph.distances[places]);
        }
    }
}

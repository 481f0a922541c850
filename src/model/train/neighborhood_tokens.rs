//! Anchors with their neighbors, as a network takes them while it is trained.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, s};

use crate::core::knn::Points;

/// Some anchors, each followed by its neighbors: one row of features a token.
#[derive(Debug, Clone)]
pub struct NeighborhoodTokens {
    /// Tokens x D features, rows of length 1.
    pub tokens: Array2<f32>,
    /// Where each anchor's tokens begin, and the end.
    starts: Vec<usize>,
}

impl NeighborhoodTokens {
    /// The points of these rows; each list is an anchor and its neighbors.
    pub fn new<'a>(points: &Points, lists: impl Iterator<Item = (u32, &'a [u32])>) -> Self {
        let (mut starts, mut rows) = (vec![0], Vec::new());
        for (anchor, neighbors) in lists {
            rows.push(anchor);
            rows.extend_from_slice(neighbors);
            starts.push(rows.len());
        }
        let (mut values, mut features) = (Vec::with_capacity(rows.len() * points.dim()), Vec::new());
        for &row in &rows {
            points.row(row as usize).decode(1.0, &mut features);
            values.extend_from_slice(&features);
        }
        let tokens = Array2::from_shape_vec((rows.len(), points.dim()), values).expect("rows of one length");
        Self { tokens, starts }
    }

    /// The anchors' numbers and token ranges.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.starts.windows(2).map(|ends| ends[0]..ends[1])
    }

    pub fn anchors(&self) -> usize {
        self.starts.len() - 1
    }

    /// Pairs of an anchor and a neighbor.
    pub fn pairs(&self) -> usize {
        self.tokens.nrows() - self.anchors()
    }

    /// The tokens of each anchor with its neighbors.
    pub fn each(&self) -> impl Iterator<Item = ArrayView2<'_, f32>> + '_ {
        self.ranges().map(|range| self.tokens.slice(s![range, ..]))
    }

    /// The cosine of each pair.
    pub fn cosines(&self) -> Vec<f32> {
        let pairs = self.each().flat_map(|tokens| {
            let cosines = tokens.slice(s![1.., ..]).dot(&tokens.row(0));
            cosines.into_iter()
        });
        pairs.collect()
    }

    /// The rows of `tokens` that are anchors, and those that are neighbors.
    pub fn split(&self, tokens: &Array2<f32>) -> (Array2<f32>, Array2<f32>) {
        let columns = tokens.ncols();
        let mut anchors = Array2::zeros((self.anchors(), columns));
        let mut neighbors = Array2::zeros((self.pairs(), columns));
        let mut pair = 0;
        for (anchor, range) in self.ranges().enumerate() {
            anchors.row_mut(anchor).assign(&tokens.row(range.start));
            let next = pair + range.len() - 1;
            neighbors.slice_mut(s![pair..next, ..]).assign(&tokens.slice(s![range.start + 1..range.end, ..]));
            pair = next;
        }
        (anchors, neighbors)
    }

    /// The reverse of [`NeighborhoodTokens::split`].
    pub fn join(&self, anchors: &Array2<f32>, neighbors: &Array2<f32>) -> Array2<f32> {
        let mut tokens = Array2::zeros((self.tokens.nrows(), anchors.ncols()));
        let mut pair = 0;
        for (anchor, range) in self.ranges().enumerate() {
            tokens.row_mut(range.start).assign(&anchors.row(anchor));
            let next = pair + range.len() - 1;
            tokens.slice_mut(s![range.start + 1..range.end, ..]).assign(&neighbors.slice(s![pair..next, ..]));
            pair = next;
        }
        tokens
    }

    /// The pairs of each anchor.
    pub fn pair_ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.ranges().enumerate().map(|(anchor, range)| range.start - anchor..range.end - anchor - 1)
    }
}

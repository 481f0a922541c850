//! What a model is given at a time: rows cut into batches, and the tensors of one.

use std::ops::Range;

use hashbrown::HashMap;

use crate::core::row::Row;
use crate::model::contract::ABSENT;

/// Tokens of a batch: 32 anchors with 80 neighbors each, after which larger batches gain nothing.
const TOKENS: usize = 32 * 81;

/// A batch's rows, with its part of what there is for each edge.
pub type Part<'a> = (Range<usize>, &'a mut [u32], &'a mut [f64]);

/// Cut the rows into batches of as many tokens each, the longest row as the measure; or of one row.
pub fn split<'a>(starts: &[usize], mut neighbors: &'a mut [u32], mut values: &'a mut [f64]) -> Vec<Part<'a>> {
    let rows = starts.len() - 1;
    let mut parts = Vec::new();
    let mut start = 0;
    while start < rows {
        let (mut end, mut anchors, mut tokens) = (start, 0, 0);
        while end < rows {
            let length = starts[end + 1] - starts[end];
            if length > 0 {
                tokens = tokens.max(length + 1);
                anchors += 1;
            }
            if anchors > 1 && anchors * tokens > TOKENS {
                break;
            }
            end += 1;
        }
        let edges = starts[end] - starts[start];
        let (part, rest) = std::mem::take(&mut neighbors).split_at_mut(edges);
        let (part_values, rest_values) = std::mem::take(&mut values).split_at_mut(edges);
        (neighbors, values) = (rest, rest_values);
        if edges > 0 {
            parts.push((start..end, part, part_values));
        }
        start = end;
    }
    parts
}

/// What goes into one run of a model.
#[derive(Debug, Default)]
pub struct Batch {
    /// Features [n, D] of the distinct points.
    pub points: Vec<f32>,
    pub n: usize,
    /// Rows of `points` [batch, tokens]: the anchor and its neighbors, [`ABSENT`] for an absent one.
    pub neighbors: Vec<i64>,
    pub tokens: usize,
}

impl Batch {
    /// Take the rows that have neighbors.
    pub fn fill<'a, 'b>(
        &mut self,
        rows: Range<usize>,
        neighbors: impl Fn(usize) -> &'b [u32],
        features: impl Fn(u32) -> Row<'a>,
    ) {
        self.points.clear();
        self.neighbors.clear();
        self.tokens = rows.clone().map(|row| neighbors(row).len()).max().unwrap_or(0) + 1;
        let mut places = HashMap::new();
        for row in rows.filter(|&row| !neighbors(row).is_empty()) {
            let end = self.neighbors.len() + self.tokens;
            for &point in [row as u32].iter().chain(neighbors(row)) {
                let next = places.len() as i64;
                self.neighbors.push(*places.entry(point).or_insert_with(|| {
                    features(point).append_to(&mut self.points);
                    next
                }));
            }
            self.neighbors.resize(end, ABSENT);
        }
        self.n = places.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_all_rows_in_order_with_up_to_as_many_tokens() {
        let lengths = (0..3000).map(|row| if row == 700 { 9000 } else { row % 90 });
        let starts: Vec<usize> = std::iter::once(0)
            .chain(lengths.scan(0, |sum, length| {
                *sum += length;
                Some(*sum)
            }))
            .collect();
        let edges = starts[3000];
        let (mut neighbors, mut values): (Vec<u32>, _) = ((0..edges as u32).collect(), vec![0.0; edges]);
        let parts = split(&starts, &mut neighbors, &mut values);
        let mut next = 0;
        for (rows, neighbors, values) in &parts {
            assert_eq!((neighbors[0] as usize, neighbors.len()), (next, values.len()));
            assert_eq!((starts[rows.start], starts[rows.end]), (next, next + neighbors.len()));
            next += neighbors.len();
            let lengths = rows.clone().map(|row| starts[row + 1] - starts[row]).filter(|&length| length > 0);
            let (anchors, longest) = (lengths.clone().count(), lengths.max().unwrap());
            assert!(anchors == 1 || anchors * (longest + 1) <= TOKENS, "{rows:?}");
        }
        assert_eq!(next, edges);
        assert!(parts.len() <= 3000 / (TOKENS / 90) + 1, "{}", parts.len());
    }

    #[test]
    fn a_batch_has_each_point_once_and_minus_1_where_neighbors_are_absent() {
        let features: Vec<[f32; 2]> = (0..5).map(|point| [point as f32, 0.5]).collect();
        let rows: [&[u32]; 3] = [&[2, 4], &[], &[0]];
        let mut batch = Batch::default();
        batch.fill(0..3, |row| rows[row], |point| Row::F32(&features[point as usize]));
        assert_eq!((batch.n, batch.tokens), (3, 3));
        assert_eq!(batch.points, [0.0, 0.5, 2.0, 0.5, 4.0, 0.5]);
        assert_eq!(batch.neighbors, [0, 1, 2, 1, 0, -1]);
    }
}

//! The identities that a model learns from, and those held out.

use ndarray::Array2;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::context::Context;
use super::measure::{Ranking, ranking};
use super::neighborhood_tokens::NeighborhoodTokens;
use crate::core::embeddings::Embeddings;
use crate::core::error::{Error, Result};
use crate::core::knn::{KnnGraph, KnnOptions, Method, Metric, Points, knn_graph};
use crate::core::monitor::Monitor;

/// Anchors whose pairs are scored together: their features and layers are in memory at a time.
pub const SCORED: usize = 32;

/// Fewest identities of two points or more to learn from. Chosen by hand, so that there are several on
/// both sides; far more are better.
const LEAST_IDENTITIES: usize = 10;

/// Points of some identities, with the exact graph among them.
pub struct LabelledHalf {
    pub points: Points,
    graph: KnnGraph,
    pub labels: Vec<u32>,
    /// Of each pair, whether the two share their label.
    pub same: Vec<bool>,
    /// The cosine of each pair.
    pub cosines: Vec<f32>,
    /// Pairs x features, or no columns.
    pub context: Array2<f32>,
}

impl LabelledHalf {
    /// The half with these rows of the points, which have labels.
    pub fn new(points: &Points, labels: &[Option<u32>], rows: &[u32], k: usize, monitor: &Monitor) -> Result<Self> {
        let (mut values, mut features) = (Vec::with_capacity(rows.len() * points.dim()), Vec::new());
        for &row in rows {
            points.row(row as usize).decode(1.0, &mut features);
            values.extend_from_slice(&features);
        }
        let points = Points::new(Embeddings::new(values, points.dim())?, Metric::Cosine, monitor)?;
        let graph = knn_graph(&points, &KnnOptions { k, method: Method::Exact, ..Default::default() }, monitor)?;
        let labels: Vec<u32> = rows.iter().filter_map(|&row| labels[row as usize]).collect();
        let pairs = (0..points.len()).flat_map(|row| graph.row(row).0.iter().map(move |&neighbor| (row, neighbor)));
        let same: Vec<bool> = pairs.map(|(row, neighbor)| labels[row] == labels[neighbor as usize]).collect();
        let context = Array2::zeros((same.len(), 0));
        let mut half = Self { points, graph, labels, same, cosines: vec![], context };
        half.cosines = half.each(NeighborhoodTokens::cosines, monitor)?.concat();
        Ok(half)
    }

    /// Neighbors of each point.
    pub fn width(&self) -> usize {
        self.graph.k()
    }

    /// Something of all pairs, by runs of anchors.
    pub fn each<T: Send>(&self, of: impl Fn(&NeighborhoodTokens) -> T + Sync, monitor: &Monitor) -> Result<Vec<T>> {
        let anchors: Vec<u32> = (0..self.points.len() as u32).collect();
        let runs = anchors.par_chunks(SCORED).map(|anchors| monitor.check().map(|()| of(&self.neighborhoods(anchors))));
        runs.collect()
    }

    pub fn set_context(&mut self, context: &Context, monitor: &Monitor) -> Result<()> {
        let features = self.each(|neighborhoods| context.features(neighborhoods), monitor)?;
        let columns = features.first().map_or(0, Array2::ncols);
        let values = features.into_iter().flat_map(|features| features.into_raw_vec_and_offset().0).collect();
        self.context = Array2::from_shape_vec((self.same.len(), columns), values).expect("a row for each pair");
        Ok(())
    }

    fn neighborhoods(&self, anchors: &[u32]) -> NeighborhoodTokens {
        let lists = anchors.iter().map(|&anchor| (anchor, self.graph.row(anchor as usize).0));
        NeighborhoodTokens::new(&self.points, lists)
    }

    /// Some anchors with their pairs' context.
    pub fn of(&self, anchors: &[u32]) -> (NeighborhoodTokens, Array2<f32>) {
        let mut context = Array2::zeros((anchors.len() * self.width(), self.context.ncols()));
        for (mut to, from) in context.rows_mut().into_iter().zip(self.pairs_of(anchors)) {
            to.assign(&self.context.row(from));
        }
        (self.neighborhoods(anchors), context)
    }

    pub fn same_of(&self, anchors: &[u32]) -> impl Iterator<Item = bool> {
        self.pairs_of(anchors).map(|pair| self.same[pair])
    }

    fn pairs_of(&self, anchors: &[u32]) -> impl Iterator<Item = usize> {
        let width = self.width();
        anchors.iter().flat_map(move |&anchor| anchor as usize * width..(anchor as usize + 1) * width)
    }

    pub fn ranking(&self, scores: &[f32]) -> Option<Ranking> {
        ranking(scores, &self.same)
    }
}

/// The rows of the identities to learn from, and of those held out: about the given share of the
/// identities with several points, and of those with one.
pub fn split(labels: &[Option<u32>], share: f64, random: &mut SmallRng) -> Result<[Vec<u32>; 2]> {
    let classes = labels.iter().flatten().max().map_or(0, |&label| label as usize + 1);
    let (mut sizes, mut order) = (vec![0; classes], Vec::new());
    for &label in labels.iter().flatten() {
        if sizes[label as usize] == 0 {
            order.push(label);
        }
        sizes[label as usize] += 1;
    }
    let (mut several, mut single): (Vec<u32>, Vec<u32>) = order.iter().partition(|&&label| sizes[label as usize] > 1);
    if several.len() < LEAST_IDENTITIES {
        let problem = match (order.len(), several.len()) {
            (0, _) => "no row has a label".into(),
            (1, _) => "all rows have the same label".into(),
            (_, 0) => "no label has two rows or more".into(),
            (_, 1) => "one label has two rows or more".into(),
            (_, identities) => format!("{identities} labels have two rows or more"),
        };
        let needed = format!("training needs at least {LEAST_IDENTITIES} labels with two rows or more");
        return Err(Error::Input(format!("{problem}; {needed}")));
    }
    let mut held_out = vec![false; classes];
    for identities in [&mut several, &mut single] {
        identities.shuffle(random);
        let wanted = (identities.len() as f64 * share).round() as usize;
        // Of the identities with several points, both halves need some.
        let least = if identities.len() >= LEAST_IDENTITIES { 2 } else { 0 };
        let held = wanted.clamp(least, identities.len().saturating_sub(least));
        identities[..held].iter().for_each(|&label| held_out[label as usize] = true);
    }
    let rows = (0..labels.len() as u32).filter(|&row| labels[row as usize].is_some());
    let (held_out, train) = rows.partition(|&row| labels[row as usize].is_some_and(|label| held_out[label as usize]));
    Ok([train, held_out])
}

//! A trained model.

use ndarray::Array2;

use super::context::Context;
use super::measure::Calibration;
use super::neighborhood_tokens::NeighborhoodTokens;
use super::network::Network;
use crate::core::embeddings::Embeddings;
use crate::core::error::Result;
use crate::core::knn::{Metric, Points};
use crate::core::monitor::Monitor;
use crate::model::contract::Contract;

/// The probability that an anchor and a neighbor share an identity.
#[derive(Debug, Clone)]
pub struct TrainedModel {
    pub(super) network: Network,
    pub(super) parameters: Vec<f32>,
    pub(super) calibration: Calibration,
    pub(super) context: Option<Context>,
    pub(super) k: usize,
}

impl TrainedModel {
    /// D, the dimensions of the embeddings.
    pub fn dim(&self) -> usize {
        self.network.dim
    }

    /// Neighbors of an anchor in training.
    pub fn k(&self) -> usize {
        self.k
    }

    /// What the model says of itself.
    pub fn contract(&self) -> Contract {
        Contract { dim: self.dim(), k: self.k, metric: Metric::Cosine }
    }

    /// The probabilities of the pairs of an anchor and its neighbors, where each list begins with the
    /// anchor's row.
    ///
    /// # Panics
    /// If a row is no point, or the points have other dimensions than the model.
    pub fn probabilities(&self, points: &Points, lists: &[&[u32]]) -> Vec<f32> {
        let lists = lists.iter().filter_map(|list| list.split_first()).map(|(&anchor, neighbors)| (anchor, neighbors));
        let neighborhoods = NeighborhoodTokens::new(points, lists);
        let context = match &self.context {
            Some(context) => context.features(&neighborhoods),
            None => Array2::zeros((neighborhoods.pairs(), 0)),
        };
        let logits = self.logits(&neighborhoods, context);
        logits.into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()
    }

    /// The logit of each pair.
    pub(super) fn logits(&self, neighborhoods: &NeighborhoodTokens, context: Array2<f32>) -> Vec<f32> {
        let (network, _) = self.network.forward(&self.parameters, neighborhoods, context, None);
        let cosines = neighborhoods.cosines().into_iter();
        network.iter().zip(cosines).map(|(network, cosine)| network + self.calibration.logit(cosine)).collect()
    }

    /// The self-test of an exported file: this model's probabilities for made-up points, so that
    /// whoever runs the file can see that it gives the same. Point `i` of 8 has the value
    /// `sin(1.3 (d + 1)) + 0.5 sin(0.7 (d + 1) (i + 2))` in dimension `d`, from 0. Each is the anchor
    /// once, and its neighbors are the points after it.
    ///
    /// # Errors
    /// Never, for points of two dimensions or more.
    pub fn check(&self) -> Result<Vec<f32>> {
        const N: u32 = 8;
        let dim = self.dim();
        let value = |i: u32, d: usize| {
            let (i, d) = (f64::from(i), d as f64 + 1.0);
            ((1.3 * d).sin() + 0.5 * (0.7 * d * (i + 2.0)).sin()) as f32
        };
        let values = (0..N).flat_map(|i| (0..dim).map(move |d| value(i, d))).collect();
        let points = Points::new(Embeddings::new(values, dim)?, Metric::Cosine, &Monitor::new())?;
        let lists: Vec<Vec<u32>> = (0..N).map(|i| (i..N).collect()).collect();
        Ok(self.probabilities(&points, &lists.iter().map(Vec::as_slice).collect::<Vec<_>>()))
    }
}

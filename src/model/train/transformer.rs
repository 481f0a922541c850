//! One Transformer encoder layer over an anchor and its neighbors, normalization first (the paper,
//! section 3.4; Xiong et al. 2020). It knows no order of the tokens.

use ndarray::{Array2, Axis, s};

use super::layers::{
    Dropout, LayerNorm, Layout, Linear, Mask, Normed, drop_out, drop_out_backward, relu, relu_backward,
};
use super::neighborhood_tokens::NeighborhoodTokens;

/// Attention heads, if they divide D: the paper's.
const HEADS: usize = 8;

/// Outputs of the first feed-forward layer: the paper's.
const FEED_FORWARD: usize = 2048;

#[derive(Debug, Clone, Copy)]
pub struct Transformer {
    /// The most heads, up to 8, that divide D.
    pub heads: usize,
    pub attention_norm: LayerNorm,
    /// Queries, keys and values, beside each other.
    pub projection: Linear,
    pub attention_output: Linear,
    pub feed_forward_norm: LayerNorm,
    pub feed_forward: [Linear; 2],
}

/// What the gradient needs of the forward pass.
pub struct Pass {
    attention_normed: Normed,
    projected: Array2<f32>,
    /// Of each anchor and head: the weights, what dropout did, and the result.
    weights: Vec<(Array2<f32>, Mask, Array2<f32>)>,
    attended: Array2<f32>,
    attention_mask: Mask,
    feed_forward_normed: Normed,
    /// After dropout.
    hidden: Array2<f32>,
    hidden_mask: Mask,
    feed_forward_mask: Mask,
}

fn heads(dim: usize) -> usize {
    (1..=HEADS).rev().find(|heads| dim.is_multiple_of(*heads)).unwrap_or(1)
}

impl Transformer {
    pub fn new(dim: usize, layout: &mut Layout) -> Self {
        Self {
            heads: heads(dim),
            attention_norm: layout.norm(dim),
            projection: layout.linear(dim, 3 * dim, 1.0),
            attention_output: layout.linear(dim, dim, 1.0),
            feed_forward_norm: layout.norm(dim),
            feed_forward: [layout.linear(dim, FEED_FORWARD, 2.0), layout.linear(FEED_FORWARD, dim, 1.0)],
        }
    }

    fn head(&self, dim: usize) -> usize {
        dim / self.heads
    }

    /// Values that a forward pass makes of an anchor and its neighbors, without what dropout did: those of all
    /// tokens, and of all pairs of tokens for each head.
    pub fn pass_values(dim: usize, tokens: usize) -> usize {
        tokens * (9 * dim + FEED_FORWARD) + heads(dim) * tokens * tokens
    }

    pub fn forward(
        &self,
        parameters: &[f32],
        neighborhoods: &NeighborhoodTokens,
        tokens: Array2<f32>,
        dropout: &mut Option<Dropout>,
    ) -> (Array2<f32>, Pass) {
        let (dim, head) = (tokens.ncols(), self.head(tokens.ncols()));
        let attention_normed = self.attention_norm.forward(parameters, &tokens);
        let projected = self.projection.forward(parameters, &attention_normed.y.view());
        let mut attended = Array2::zeros(tokens.dim());
        let mut weights = Vec::with_capacity(neighborhoods.anchors() * self.heads);
        for range in neighborhoods.ranges() {
            for first in (0..dim).step_by(head) {
                let part = |at: usize| projected.slice(s![range.clone(), at * dim + first..at * dim + first + head]);
                let mut attention = part(0).dot(&part(1).t()) / (head as f32).sqrt();
                softmax(&mut attention);
                let mut dropped = attention.clone();
                let mask = drop_out(&mut dropped, dropout);
                attended.slice_mut(s![range.clone(), first..first + head]).assign(&dropped.dot(&part(2)));
                weights.push((attention, mask, dropped));
            }
        }
        let mut update = self.attention_output.forward(parameters, &attended.view());
        let attention_mask = drop_out(&mut update, dropout);
        let tokens = tokens + update;
        let feed_forward_normed = self.feed_forward_norm.forward(parameters, &tokens);
        let mut hidden = self.feed_forward[0].forward(parameters, &feed_forward_normed.y.view());
        relu(&mut hidden);
        let hidden_mask = drop_out(&mut hidden, dropout);
        let mut update = self.feed_forward[1].forward(parameters, &hidden.view());
        let feed_forward_mask = drop_out(&mut update, dropout);
        let pass = Pass {
            attention_normed,
            projected,
            weights,
            attended,
            attention_mask,
            feed_forward_normed,
            hidden,
            hidden_mask,
            feed_forward_mask,
        };
        (tokens + update, pass)
    }

    /// Add the parameters' gradient, where that of the resulting tokens is given.
    pub fn backward(
        &self,
        parameters: &[f32],
        gradient: &mut [f32],
        neighborhoods: &NeighborhoodTokens,
        pass: &Pass,
        tokens: Array2<f32>,
    ) {
        let (dim, head) = (tokens.ncols(), self.head(tokens.ncols()));
        let mut update = tokens.clone();
        drop_out_backward(&pass.feed_forward_mask, &mut update);
        let mut hidden = self.feed_forward[1].backward(parameters, gradient, &pass.hidden.view(), &update);
        drop_out_backward(&pass.hidden_mask, &mut hidden);
        relu_backward(&pass.hidden, &mut hidden);
        let normed = &pass.feed_forward_normed;
        let normed_gradient = self.feed_forward[0].backward(parameters, gradient, &normed.y.view(), &hidden);
        let mut update = tokens + self.feed_forward_norm.backward(parameters, gradient, normed, &normed_gradient);
        drop_out_backward(&pass.attention_mask, &mut update);
        let attended = self.attention_output.backward(parameters, gradient, &pass.attended.view(), &update);
        let mut projected = Array2::zeros(pass.projected.dim());
        let mut weights = pass.weights.iter();
        for range in neighborhoods.ranges() {
            for first in (0..dim).step_by(head) {
                let (attention, mask, dropped) = weights.next().expect("weights of each anchor and head");
                let columns = |at: usize| at * dim + first..at * dim + first + head;
                let part = |at: usize| pass.projected.slice(s![range.clone(), columns(at)]);
                let result = attended.slice(s![range.clone(), first..first + head]);
                let values = dropped.t().dot(&result);
                let mut scores = result.dot(&part(2).t());
                drop_out_backward(mask, &mut scores);
                softmax_backward(attention, &mut scores);
                scores /= (head as f32).sqrt();
                projected.slice_mut(s![range.clone(), columns(0)]).assign(&scores.dot(&part(1)));
                projected.slice_mut(s![range.clone(), columns(1)]).assign(&scores.t().dot(&part(0)));
                projected.slice_mut(s![range.clone(), columns(2)]).assign(&values);
            }
        }
        let normed = &pass.attention_normed;
        let normed_gradient = self.projection.backward(parameters, gradient, &normed.y.view(), &projected);
        self.attention_norm.backward(parameters, gradient, normed, &normed_gradient);
    }
}

fn softmax(scores: &mut Array2<f32>) {
    for mut row in scores.rows_mut() {
        let greatest = row.fold(f32::NEG_INFINITY, |greatest, &x| greatest.max(x));
        row.mapv_inplace(|x| (x - greatest).exp());
        let sum = row.sum();
        row /= sum;
    }
}

/// The gradient of the scores, from that of the weights that [`softmax`] made of them.
fn softmax_backward(weights: &Array2<f32>, gradient: &mut Array2<f32>) {
    let along = (&*gradient * weights).sum_axis(Axis(1)).insert_axis(Axis(1));
    *gradient -= &along;
    *gradient *= weights;
}

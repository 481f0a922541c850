//! The network: an encoder of the tokens, and a perceptron on each pair of an anchor and a neighbor.

use ndarray::{Array1, Array2, Axis, s};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::context::FEATURES;
use super::encoder::Encoder;
use super::layers::{
    Dropout, Layout, Linear, Mask, ParameterMatrix, add_columns, drop_out, drop_out_backward, relu, relu_backward,
};
use super::neighborhood_tokens::NeighborhoodTokens;
use super::transformer::{self, Transformer};

/// Outputs of the pair perceptron's two hidden layers: the paper's.
const HIDDEN: [usize; 2] = [256, 128];

/// Where the layers have their parameters.
#[derive(Debug, Clone)]
pub struct Network {
    pub dim: usize,
    /// The encoder; without one the vectors are not seen.
    pub transformer: Option<Transformer>,
    /// The first layer's matrix, in the parts of the anchor, the neighbor and the context.
    pub anchor: ParameterMatrix,
    pub neighbor: ParameterMatrix,
    pub context: ParameterMatrix,
    pub first_bias: ParameterMatrix,
    pub second: Linear,
    /// Starts at zero.
    pub last: Linear,
}

/// What the gradient needs of the forward pass.
pub struct Pass {
    encoded: Option<transformer::Pass>,
    anchors: Array2<f32>,
    neighbors: Array2<f32>,
    context: Array2<f32>,
    /// The two hidden layers, after dropout.
    hidden: [Array2<f32>; 2],
    masks: [Mask; 2],
}

impl Network {
    /// A network for D dimensions with random parameters; with `context` it takes the
    /// [`FEATURES`] of a pair as well.
    pub fn new(dim: usize, encoder: Encoder, context: bool, seed: u64) -> (Self, Vec<f32>) {
        let mut layout = Layout::new(SmallRng::seed_from_u64(seed));
        let transformer = (encoder == Encoder::Transformer).then(|| Transformer::new(dim, &mut layout));
        let seen = if transformer.is_some() { dim } else { 0 };
        let features = if context { FEATURES } else { 0 };
        // Beside the context the vectors' part starts at zero: they are easily learned by heart.
        let of_vectors = if context { 0.0 } else { 1.0 / seen.max(1) as f32 };
        let network = Self {
            dim,
            transformer,
            anchor: layout.matrix(seen, HIDDEN[0], of_vectors),
            neighbor: layout.matrix(seen, HIDDEN[0], of_vectors),
            context: layout.matrix(features, HIDDEN[0], 2.0 / FEATURES as f32),
            first_bias: layout.constant(HIDDEN[0], 0.0),
            second: layout.linear(HIDDEN[0], HIDDEN[1], 2.0),
            last: layout.linear(HIDDEN[1], 1, 0.0),
        };
        (network, layout.parameters)
    }

    /// What it has of the encoders.
    pub fn encoder(&self) -> Encoder {
        if self.transformer.is_some() { Encoder::Transformer } else { Encoder::None }
    }

    /// The number of parameters.
    pub fn parameters(dim: usize, encoder: Encoder, context: bool) -> usize {
        Self::new(dim, encoder, context, 0).1.len()
    }

    /// Values that a forward pass makes of an anchor and its neighbors, without what dropout did.
    pub fn pass_values(dim: usize, encoder: Encoder, features: usize, tokens: usize) -> usize {
        let encoded = match encoder {
            Encoder::Transformer => Transformer::pass_values(dim, tokens),
            Encoder::None => tokens * dim,
        };
        encoded + tokens * (2 * dim + features + HIDDEN[0] + HIDDEN[1])
    }

    /// Vectors have mean square 1 / D; tokens have 1.
    pub fn scale(&self) -> f32 {
        (self.dim as f32).sqrt()
    }

    /// What is added to the logit of each pair.
    pub fn forward(
        &self,
        parameters: &[f32],
        neighborhoods: &NeighborhoodTokens,
        context: Array2<f32>,
        mut dropout: Option<Dropout>,
    ) -> (Array1<f32>, Pass) {
        let (encoded, anchors, neighbors) = self.encode(parameters, neighborhoods, &mut dropout);
        let mut first = neighbors.dot(&self.neighbor.of(parameters)) + self.first_bias.vector(parameters);
        first += &context.dot(&self.context.of(parameters));
        let of_anchors = anchors.dot(&self.anchor.of(parameters));
        for (of_anchor, pairs) in of_anchors.rows().into_iter().zip(neighborhoods.pair_ranges()) {
            first.slice_mut(s![pairs, ..]).rows_mut().into_iter().for_each(|mut row| row += &of_anchor);
        }
        relu(&mut first);
        let first_mask = drop_out(&mut first, &mut dropout);
        let mut second = self.second.forward(parameters, &first.view());
        relu(&mut second);
        let second_mask = drop_out(&mut second, &mut dropout);
        let logits = self.last.forward(parameters, &second.view()).remove_axis(Axis(1));
        let (hidden, masks) = ([first, second], [first_mask, second_mask]);
        (logits, Pass { encoded, anchors, neighbors, context, hidden, masks })
    }

    /// Add the parameters' gradient, where that of the logits is given.
    pub fn backward(
        &self,
        parameters: &[f32],
        gradient: &mut [f32],
        neighborhoods: &NeighborhoodTokens,
        pass: &Pass,
        logits: Array1<f32>,
    ) {
        let logits = logits.insert_axis(Axis(1));
        let mut second = self.last.backward(parameters, gradient, &pass.hidden[1].view(), &logits);
        drop_out_backward(&pass.masks[1], &mut second);
        relu_backward(&pass.hidden[1], &mut second);
        let mut first = self.second.backward(parameters, gradient, &pass.hidden[0].view(), &second);
        drop_out_backward(&pass.masks[0], &mut first);
        relu_backward(&pass.hidden[0], &mut first);
        add_columns(self.first_bias, gradient, &first);
        self.context.add_gradient(gradient, &pass.context.view(), &first);
        let mut of_anchors = Array2::zeros((neighborhoods.anchors(), first.ncols()));
        for (mut of_anchor, pairs) in of_anchors.rows_mut().into_iter().zip(neighborhoods.pair_ranges()) {
            of_anchor.assign(&first.slice(s![pairs, ..]).sum_axis(Axis(0)));
        }
        let neighbors = self.neighbor.backward(parameters, gradient, &pass.neighbors.view(), &first);
        let anchors = self.anchor.backward(parameters, gradient, &pass.anchors.view(), &of_anchors);
        if let (Some(pass), Some(transformer)) = (&pass.encoded, &self.transformer) {
            let tokens = neighborhoods.join(&anchors, &neighbors);
            transformer.backward(parameters, gradient, neighborhoods, pass, tokens);
        }
    }

    /// What the pair perceptron takes of the anchors and of the neighbors.
    fn encode(
        &self,
        parameters: &[f32],
        neighborhoods: &NeighborhoodTokens,
        dropout: &mut Option<Dropout>,
    ) -> (Option<transformer::Pass>, Array2<f32>, Array2<f32>) {
        let Some(transformer) = &self.transformer else {
            return (None, Array2::zeros((neighborhoods.anchors(), 0)), Array2::zeros((neighborhoods.pairs(), 0)));
        };
        let tokens = &neighborhoods.tokens * self.scale();
        let (tokens, pass) = transformer.forward(parameters, neighborhoods, tokens, dropout);
        let (anchors, neighbors) = neighborhoods.split(&tokens);
        (Some(pass), anchors, neighbors)
    }
}

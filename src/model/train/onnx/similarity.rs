//! The computation of a trained model in ONNX's operators. Tokens that are absent are zero, and masked
//! out of every sum.

use super::graph::{Attribute, Graph};
use crate::model::contract::{NEIGHBORS, POINTS, PROB};
use crate::model::onnx_schema::data_type;
use crate::model::train::context::{Context, LEAST};
use crate::model::train::network::Network;
use crate::model::train::trained_model::TrainedModel;
use crate::model::train::transformer::Transformer;

/// Taken from the logit of the attention that an absent token gets, whose exponential is 0 then.
const NO_ATTENTION: f32 = 1e9;

impl Graph<'_> {
    /// From the inputs to the output of a model.
    pub fn similarity(&mut self, model: &TrainedModel) {
        let zero = self.integers(&[0]);
        let rows = self.node("Max", &[NEIGHBORS, &zero]);
        let tokens = self.node("Gather", &[POINTS, &rows]);
        let present = self.node("GreaterOrEqual", &[NEIGHBORS, &zero]);
        let present = self.node_with("Cast", &[&present], &[Attribute::Integer("to", data_type::FLOAT)]);
        let column = self.unsqueeze(&present, 2);
        let tokens = self.normalized(&tokens, &column);
        // [batch, T - 1, 1]
        let (anchor, neighbors) = (self.anchor(&tokens), self.neighbors(&tokens));
        let anchor = self.transposed(&anchor);
        let cosines = self.node("MatMul", &[&neighbors, &anchor]);
        let logits = self.with("Mul", &cosines, model.calibration.slope as f32);
        let mut logits = self.with("Add", &logits, model.calibration.intercept as f32);
        let context = model.context.as_ref().map(|context| self.context(context, &tokens, &present, &column));
        if let Some(network) = self.network(&model.network, &tokens, &present, context) {
            logits = self.node("Add", &[&logits, &network]);
        }
        let prob = self.node("Sigmoid", &[&logits]);
        let axis = self.integers(&[2]);
        let prob = self.node("Squeeze", &[&prob, &axis]);
        let present = self.neighbors(&present);
        self.add_node("Mul", &[&prob, &present], &[], PROB);
    }

    /// [`Context::features`], [batch, T - 1, F].
    fn context(&mut self, context: &Context, tokens: &str, present: &str, column: &str) -> String {
        let center = self.vector(context.center.as_slice().expect("contiguous"));
        let whitening = self.matrix(context.whitening.view());
        let centered = self.node("Sub", &[tokens, &center]);
        let whitened = self.node("MatMul", &[&centered, &whitening]);
        let whitened = self.normalized(&whitened, column);
        let cosines = self.gram(&whitened);
        // [batch, 1, T]
        let row = self.unsqueeze(present, 1);
        let count = self.sum(&row, 2);
        let sum = self.sum(&cosines, 2);
        let mean = self.node("Div", &[&sum, &count]);
        let of_pairs = self.neighbors(&cosines);
        let mut features = vec![self.slice(&of_pairs, 2, 0, 1)];
        self.push_ends(&mut features, &mean);
        for sharpness in context.sharpness {
            let below = self.with("Sub", &cosines, 1.0);
            let logits = self.with("Mul", &below, sharpness);
            let adjacency = self.node("Exp", &[&logits]);
            let adjacency = self.node("Mul", &[&adjacency, &row]);
            let degree = self.sum(&adjacency, 2);
            let adjacency = self.node("Div", &[&adjacency, &degree]);
            let roots = self.node("Sqrt", &[&adjacency]);
            let agreement = self.with_anchor(&roots, &roots);
            features.push(agreement);
            let diffused = self.node("MatMul", &[&adjacency, &cosines]);
            let squares = self.node("Mul", &[&diffused, &adjacency]);
            let squares = self.sum(&squares, 2);
            let squares = self.with("Max", &squares, LEAST);
            let (of_anchor, of_neighbors) = (self.anchor(&squares), self.neighbors(&squares));
            let lengths = self.node("Mul", &[&of_anchor, &of_neighbors]);
            let lengths = self.node("Sqrt", &[&lengths]);
            let agreement = self.with_anchor(&adjacency, &diffused);
            features.push(self.node("Div", &[&agreement, &lengths]));
            let density = self.node("Log", &[&degree]);
            self.push_ends(&mut features, &density);
        }
        let features: Vec<&str> = features.iter().map(String::as_str).collect();
        let features = self.node_with("Concat", &features, &[Attribute::Integer("axis", 2)]);
        let mean = self.vector(context.mean.as_slice().expect("contiguous"));
        let inverse = self.vector(context.inverse.as_slice().expect("contiguous"));
        let features = self.node("Sub", &[&features, &mean]);
        self.node("Mul", &[&features, &inverse])
    }

    /// The products of the neighbors' rows of `x` with the anchor's row of `y`, [batch, T - 1, 1].
    fn with_anchor(&mut self, x: &str, y: &str) -> String {
        let (x, y) = (self.neighbors(x), self.anchor(y));
        let y = self.transposed(&y);
        self.node("MatMul", &[&x, &y])
    }

    /// Of [batch, T, 1], the anchor's value for each pair, and the neighbors'.
    fn push_ends(&mut self, features: &mut Vec<String>, x: &str) {
        let (anchor, neighbors) = (self.anchor(x), self.neighbors(x));
        let shape = self.node("Shape", &[&neighbors]);
        features.push(self.node("Expand", &[&anchor, &shape]));
        features.push(neighbors);
    }

    /// What the network adds to the logits, [batch, T - 1, 1]; `None` if it sees nothing.
    fn network(&mut self, network: &Network, tokens: &str, present: &str, context: Option<String>) -> Option<String> {
        let mut parts = Vec::new();
        if let Some((anchor, neighbors)) = self.encoded(network, tokens, present) {
            parts.push(self.product(&neighbors, network.neighbor));
            parts.push(self.product(&anchor, network.anchor));
        }
        parts.extend(context.map(|context| self.product(&context, network.context)));
        let sum = parts.into_iter().reduce(|sum, part| self.node("Add", &[&sum, &part]))?;
        let first = self.biased(&sum, network.first_bias);
        let first = self.node("Relu", &[&first]);
        let second = self.linear(&first, network.second);
        let second = self.node("Relu", &[&second]);
        Some(self.linear(&second, network.last))
    }

    /// What the pair perceptron takes of the anchors, [batch, 1, …], and of the neighbors.
    fn encoded(&mut self, network: &Network, tokens: &str, present: &str) -> Option<(String, String)> {
        let transformer = network.transformer.as_ref()?;
        let scaled = self.with("Mul", tokens, network.scale());
        let encoded = self.transformer(transformer, network.dim, &scaled, present);
        Some((self.anchor(&encoded), self.neighbors(&encoded)))
    }

    fn transformer(&mut self, layer: &Transformer, dim: usize, tokens: &str, present: &str) -> String {
        let (dim, heads) = (dim as i64, layer.heads as i64);
        let normed = self.norm(tokens, layer.attention_norm);
        let projected = self.linear(&normed, layer.projection);
        // [batch, heads, T, D / heads]
        let [queries, keys, values] = [0, 1, 2].map(|at| {
            let part = self.slice(&projected, 2, at * dim, (at + 1) * dim);
            let shape = self.integers(&[0, 0, heads, dim / heads]);
            let part = self.node("Reshape", &[&part, &shape]);
            let perm: &[i64] = if at == 1 { &[0, 2, 3, 1] } else { &[0, 2, 1, 3] };
            self.node_with("Transpose", &[&part], &[Attribute::Integers("perm", perm)])
        });
        let scores = self.node("MatMul", &[&queries, &keys]);
        let scores = self.with("Mul", &scores, 1.0 / ((dim / heads) as f32).sqrt());
        // [batch, 1, 1, T]
        let masked = self.with("Sub", present, 1.0);
        let masked = self.with("Mul", &masked, NO_ATTENTION);
        let axes = self.integers(&[1, 2]);
        let masked = self.node("Unsqueeze", &[&masked, &axes]);
        let scores = self.node("Add", &[&scores, &masked]);
        let weights = self.node_with("Softmax", &[&scores], &[Attribute::Integer("axis", -1)]);
        let attended = self.node("MatMul", &[&weights, &values]);
        let attended = self.node_with("Transpose", &[&attended], &[Attribute::Integers("perm", &[0, 2, 1, 3])]);
        let shape = self.integers(&[0, 0, dim]);
        let attended = self.node("Reshape", &[&attended, &shape]);
        let update = self.linear(&attended, layer.attention_output);
        let tokens = self.node("Add", &[tokens, &update]);
        let normed = self.norm(&tokens, layer.feed_forward_norm);
        let hidden = self.linear(&normed, layer.feed_forward[0]);
        let hidden = self.node("Relu", &[&hidden]);
        let update = self.linear(&hidden, layer.feed_forward[1]);
        self.node("Add", &[&tokens, &update])
    }
}

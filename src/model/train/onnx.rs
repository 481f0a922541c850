//! A model as an ONNX file, by the contract of a learned similarity: inputs `points` [n, D] and
//! `neighbors` [batch, tokens], rows of `points` with the anchor first and -1 for an absent neighbor;
//! output `prob` [batch, tokens - 1]. Tokens that are absent are zero, and masked out of every sum.

use ndarray::ArrayView2;

use super::context::{Context, LEAST};
use super::layers::{LayerNorm, Linear, Matrix, NORM_EPSILON};
use super::model::Model;
use super::network::{Encoder, Network};
use super::protobuf::Message;
use super::transformer::Transformer;

/// Version of the ONNX operators; ONNX Runtime 1.13 and later have it.
const OPERATORS: i64 = 17;

/// Version of the file format that came with the operators.
const FORMAT: i64 = 8;

/// The numbers of ONNX's element types.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// Logit of the attention that an absent token gets; its exponential is 0.
const NO_ATTENTION: f32 = 1e9;

/// The file of a model; `check` are the probabilities of its self-test.
pub fn export(model: &Model, check: &[f32]) -> Vec<u8> {
    let mut graph = Graph { parameters: &model.parameters, ..Default::default() };
    graph.build(model);
    let check = check.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    let metadata = [
        ("density_peaks.contract", "1".into()),
        ("density_peaks.dim", model.dim().to_string()),
        ("density_peaks.k", model.k.to_string()),
        ("density_peaks.metric", "cosine".into()),
        ("density_peaks.encoder", model.network.encoder.name().into()),
        ("density_peaks.context", model.context.is_some().to_string()),
        ("density_peaks.check", check),
    ];
    let metadata = metadata.map(|(key, value): (_, String)| Message::default().bytes(1, key).bytes(2, value));
    let inputs = [
        value_info("points", FLOAT, &[Axis::Named("n"), Axis::Fixed(model.dim())]),
        value_info("neighbors", INT64, &[Axis::Named("batch"), Axis::Named("tokens")]),
    ];
    let output = value_info("prob", FLOAT, &[Axis::Named("batch"), Axis::Named("pairs")]);
    let graph = Message::default()
        .messages(1, &graph.nodes)
        .bytes(2, "similarity")
        .messages(5, &graph.tensors)
        .messages(11, &inputs)
        .message(12, &output);
    Message::default()
        .number(1, FORMAT)
        .bytes(2, "density_peaks")
        .bytes(3, env!("CARGO_PKG_VERSION"))
        .message(7, &graph)
        .message(8, &Message::default().bytes(1, "").number(2, OPERATORS))
        .messages(14, &metadata)
        .into_bytes()
}

enum Axis {
    Named(&'static str),
    Fixed(usize),
}

fn value_info(name: &str, element: i64, axes: &[Axis]) -> Message {
    let shape = axes.iter().fold(Message::default(), |shape, axis| {
        shape.message(
            1,
            &match axis {
                Axis::Named(name) => Message::default().bytes(2, name),
                Axis::Fixed(size) => Message::default().number(1, *size as i64),
            },
        )
    });
    let tensor = Message::default().number(1, element).message(2, &shape);
    Message::default().bytes(1, name).message(2, &Message::default().message(1, &tensor))
}

/// An attribute of a node.
enum Attribute<'a> {
    Integer(&'static str, i64),
    Integers(&'static str, &'a [i64]),
    Float(&'static str, f32),
}

impl Attribute<'_> {
    fn message(&self) -> Message {
        match *self {
            Self::Integer(name, value) => Message::default().bytes(1, name).number(3, value).number(20, 2),
            Self::Float(name, value) => Message::default().bytes(1, name).float(2, value).number(20, 1),
            Self::Integers(name, values) => {
                let message = Message::default().bytes(1, name);
                values.iter().fold(message, |message, &value| message.number(8, value)).number(20, 7)
            }
        }
    }
}

/// The computation, node by node. A value goes by the name of the node that makes it; shapes are in
/// the comments, with T = tokens.
#[derive(Default)]
struct Graph<'a> {
    parameters: &'a [f32],
    nodes: Vec<Message>,
    tensors: Vec<Message>,
    values: usize,
}

impl Graph<'_> {
    fn node_with(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute<'_>]) -> String {
        self.values += 1;
        let name = format!("{}_{}", operator.to_lowercase(), self.values);
        self.add_node(operator, inputs, attributes, &name);
        name
    }

    fn add_node(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute<'_>], output: &str) {
        let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input));
        let node = node.bytes(2, output).bytes(3, output).bytes(4, operator);
        let node = attributes.iter().fold(node, |node, attribute| node.message(5, &attribute.message()));
        self.nodes.push(node);
    }

    fn node(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.node_with(operator, inputs, &[])
    }

    fn tensor(&mut self, element: i64, shape: &[usize], bytes: Vec<u8>) -> String {
        self.values += 1;
        let name = format!("constant_{}", self.values);
        let tensor = shape.iter().fold(Message::default(), |tensor, &size| tensor.number(1, size as i64));
        self.tensors.push(tensor.number(2, element).bytes(8, &name).bytes(9, bytes));
        name
    }

    fn integers(&mut self, values: &[i64]) -> String {
        self.tensor(INT64, &[values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn vector(&mut self, values: &[f32]) -> String {
        self.tensor(FLOAT, &[values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn matrix(&mut self, values: ArrayView2<'_, f32>) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(FLOAT, values.shape(), bytes)
    }

    /// `x op value`.
    fn with(&mut self, operator: &str, x: &str, value: f32) -> String {
        let value = self.vector(&[value]);
        self.node(operator, &[x, &value])
    }

    /// `x W`.
    fn product(&mut self, x: &str, matrix: Matrix) -> String {
        let weight = self.matrix(matrix.of(self.parameters));
        self.node("MatMul", &[x, &weight])
    }

    fn biased(&mut self, x: &str, bias: Matrix) -> String {
        let bias = self.vector(bias.vector(self.parameters).as_slice().expect("one row"));
        self.node("Add", &[x, &bias])
    }

    fn linear(&mut self, x: &str, layer: Linear) -> String {
        let product = self.product(x, layer.weight);
        self.biased(&product, layer.bias)
    }

    fn norm(&mut self, x: &str, layer: LayerNorm) -> String {
        let parameters = self.parameters;
        let of = |matrix: Matrix| matrix.vector(parameters).to_vec();
        let (scale, shift) = (self.vector(&of(layer.scale)), self.vector(&of(layer.shift)));
        let epsilon = Attribute::Float("epsilon", NORM_EPSILON);
        self.node_with("LayerNormalization", &[x, &scale, &shift], &[Attribute::Integer("axis", -1), epsilon])
    }

    fn slice(&mut self, x: &str, axis: i64, from: i64, to: i64) -> String {
        let (from, to, axis) = (self.integers(&[from]), self.integers(&[to]), self.integers(&[axis]));
        self.node("Slice", &[x, &from, &to, &axis])
    }

    /// The anchor's part of [batch, T, …].
    fn anchor(&mut self, x: &str) -> String {
        self.slice(x, 1, 0, 1)
    }

    /// The neighbors' part of [batch, T, …].
    fn neighbors(&mut self, x: &str) -> String {
        self.slice(x, 1, 1, i64::MAX)
    }

    fn sum(&mut self, x: &str, axis: i64) -> String {
        let axis = self.integers(&[axis]);
        self.node("ReduceSum", &[x, &axis])
    }

    fn unsqueeze(&mut self, x: &str, axis: i64) -> String {
        let axis = self.integers(&[axis]);
        self.node("Unsqueeze", &[x, &axis])
    }

    fn transposed(&mut self, x: &str) -> String {
        self.node_with("Transpose", &[x], &[Attribute::Integers("perm", &[0, 2, 1])])
    }

    /// The products of the rows of [batch, T, …] with each other.
    fn gram(&mut self, x: &str) -> String {
        let transposed = self.transposed(x);
        self.node("MatMul", &[x, &transposed])
    }

    /// Rows of length 1, zero where the token is absent.
    fn normalized(&mut self, x: &str, present: &str) -> String {
        let axes = Attribute::Integers("axes", &[2]);
        let length = self.node_with("ReduceL2", &[x], &[axes, Attribute::Integer("keepdims", 1)]);
        let length = self.with("Max", &length, LEAST);
        let normalized = self.node("Div", &[x, &length]);
        self.node("Mul", &[&normalized, present])
    }

    fn build(&mut self, model: &Model) {
        let zero = self.integers(&[0]);
        let rows = self.node("Max", &["neighbors", &zero]);
        let tokens = self.node("Gather", &["points", &rows]);
        let present = self.node("GreaterOrEqual", &["neighbors", &zero]);
        let present = self.node_with("Cast", &[&present], &[Attribute::Integer("to", FLOAT)]);
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
        self.add_node("Mul", &[&prob, &present], &[], "prob");
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
        let scaled = self.with("Mul", tokens, network.scale());
        let encoded = match (network.encoder, &network.transformer, network.convolution) {
            (_, Some(transformer), _) => self.transformer(transformer, network.dim, &scaled, present),
            (_, _, Some(convolution)) => {
                let adjacency = self.gram(tokens);
                let adjacency = self.node("Relu", &[&adjacency]);
                let sum = self.sum(&adjacency, 2);
                let sum = self.with("Max", &sum, LEAST);
                let adjacency = self.node("Div", &[&adjacency, &sum]);
                let mixed = self.node("MatMul", &[&adjacency, &scaled]);
                let both = self.node_with("Concat", &[&scaled, &mixed], &[Attribute::Integer("axis", 2)]);
                let outputs = self.linear(&both, convolution);
                self.node("Relu", &[&outputs])
            }
            (Encoder::Aggregate, ..) => {
                let (anchor, neighbors) = (self.anchor(&scaled), self.neighbors(&scaled));
                let of_neighbors = self.neighbors(present);
                let count = self.unsqueeze(&of_neighbors, 2);
                let count = self.sum(&count, 1);
                let count = self.with("Max", &count, 1.0);
                let sum = self.sum(&neighbors, 1);
                let mean = self.node("Div", &[&sum, &count]);
                let anchor = self.node_with("Concat", &[&anchor, &mean], &[Attribute::Integer("axis", 2)]);
                return Some((anchor, neighbors));
            }
            _ => return None,
        };
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

//! The graph of an ONNX file, node by node.

use ndarray::ArrayView2;

use crate::model::onnx_schema::{attribute, attribute_type, data_type, node, tensor};
use crate::model::protobuf::Message;
use crate::model::train::context::LEAST;
use crate::model::train::layers::{LayerNorm, Linear, NORM_EPSILON, ParameterMatrix};

/// An attribute of a node.
pub enum Attribute<'a> {
    Integer(&'static str, i64),
    Integers(&'static str, &'a [i64]),
    Float(&'static str, f32),
}

impl Attribute<'_> {
    fn message(&self) -> Message {
        match *self {
            Self::Integer(name, value) => {
                let message = Message::default().bytes(attribute::NAME, name).number(attribute::I, value);
                message.number(attribute::TYPE, attribute_type::INT)
            }
            Self::Float(name, value) => {
                let message = Message::default().bytes(attribute::NAME, name).float(attribute::F, value);
                message.number(attribute::TYPE, attribute_type::FLOAT)
            }
            Self::Integers(name, values) => {
                let message = Message::default().bytes(attribute::NAME, name);
                let message = values.iter().fold(message, |message, &value| message.number(attribute::INTS, value));
                message.number(attribute::TYPE, attribute_type::INTS)
            }
        }
    }
}

/// The computation, node by node. A value goes by the name of the node that makes it; shapes are in
/// the comments, with T = tokens.
pub struct Graph<'a> {
    parameters: &'a [f32],
    pub nodes: Vec<Message>,
    pub tensors: Vec<Message>,
    values: usize,
}

impl<'a> Graph<'a> {
    /// No nodes yet, of a network with these parameters.
    pub fn new(parameters: &'a [f32]) -> Self {
        Self { parameters, nodes: vec![], tensors: vec![], values: 0 }
    }
}

impl Graph<'_> {
    pub fn node_with(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute<'_>]) -> String {
        self.values += 1;
        let name = format!("{}_{}", operator.to_lowercase(), self.values);
        self.add_node(operator, inputs, attributes, &name);
        name
    }

    pub fn add_node(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute<'_>], output: &str) {
        let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(node::INPUT, input));
        let node = node.bytes(node::OUTPUT, output).bytes(node::NAME, output).bytes(node::OP_TYPE, operator);
        let node = attributes.iter().fold(node, |node, attribute| node.message(node::ATTRIBUTE, &attribute.message()));
        self.nodes.push(node);
    }

    pub fn node(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.node_with(operator, inputs, &[])
    }

    fn tensor(&mut self, element: i64, shape: &[usize], bytes: Vec<u8>) -> String {
        self.values += 1;
        let name = format!("constant_{}", self.values);
        let tensor = shape.iter().fold(Message::default(), |tensor, &size| tensor.number(tensor::DIMS, size as i64));
        let tensor = tensor.number(tensor::DATA_TYPE, element).bytes(tensor::NAME, &name);
        self.tensors.push(tensor.bytes(tensor::RAW_DATA, bytes));
        name
    }

    pub fn integers(&mut self, values: &[i64]) -> String {
        self.tensor(data_type::INT64, &[values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    pub fn vector(&mut self, values: &[f32]) -> String {
        self.tensor(data_type::FLOAT, &[values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    pub fn matrix(&mut self, values: ArrayView2<'_, f32>) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(data_type::FLOAT, values.shape(), bytes)
    }

    /// `x op value`.
    pub fn with(&mut self, operator: &str, x: &str, value: f32) -> String {
        let value = self.vector(&[value]);
        self.node(operator, &[x, &value])
    }

    /// `x W`.
    pub fn product(&mut self, x: &str, matrix: ParameterMatrix) -> String {
        let weight = self.matrix(matrix.of(self.parameters));
        self.node("MatMul", &[x, &weight])
    }

    pub fn biased(&mut self, x: &str, bias: ParameterMatrix) -> String {
        let bias = self.vector(bias.vector(self.parameters).as_slice().expect("one row"));
        self.node("Add", &[x, &bias])
    }

    pub fn linear(&mut self, x: &str, layer: Linear) -> String {
        let product = self.product(x, layer.weight);
        self.biased(&product, layer.bias)
    }

    pub fn norm(&mut self, x: &str, layer: LayerNorm) -> String {
        let parameters = self.parameters;
        let of = |matrix: ParameterMatrix| matrix.vector(parameters).to_vec();
        let (scale, shift) = (self.vector(&of(layer.scale)), self.vector(&of(layer.shift)));
        let epsilon = Attribute::Float("epsilon", NORM_EPSILON);
        self.node_with("LayerNormalization", &[x, &scale, &shift], &[Attribute::Integer("axis", -1), epsilon])
    }

    pub fn slice(&mut self, x: &str, axis: i64, from: i64, to: i64) -> String {
        let (from, to, axis) = (self.integers(&[from]), self.integers(&[to]), self.integers(&[axis]));
        self.node("Slice", &[x, &from, &to, &axis])
    }

    /// The anchor's part of [batch, T, …].
    pub fn anchor(&mut self, x: &str) -> String {
        self.slice(x, 1, 0, 1)
    }

    /// The neighbors' part of [batch, T, …].
    pub fn neighbors(&mut self, x: &str) -> String {
        self.slice(x, 1, 1, i64::MAX)
    }

    pub fn sum(&mut self, x: &str, axis: i64) -> String {
        let axis = self.integers(&[axis]);
        self.node("ReduceSum", &[x, &axis])
    }

    pub fn unsqueeze(&mut self, x: &str, axis: i64) -> String {
        let axis = self.integers(&[axis]);
        self.node("Unsqueeze", &[x, &axis])
    }

    pub fn transposed(&mut self, x: &str) -> String {
        self.node_with("Transpose", &[x], &[Attribute::Integers("perm", &[0, 2, 1])])
    }

    /// The products of the rows of [batch, T, …] with each other.
    pub fn gram(&mut self, x: &str) -> String {
        let transposed = self.transposed(x);
        self.node("MatMul", &[x, &transposed])
    }

    /// Rows of length 1, zero where the token is absent.
    pub fn normalized(&mut self, x: &str, present: &str) -> String {
        let axes = Attribute::Integers("axes", &[2]);
        let length = self.node_with("ReduceL2", &[x], &[axes, Attribute::Integer("keepdims", 1)]);
        let length = self.with("Max", &length, LEAST);
        let normalized = self.node("Div", &[x, &length]);
        self.node("Mul", &[&normalized, present])
    }
}

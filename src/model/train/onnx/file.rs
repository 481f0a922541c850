//! The file around the graph.

use super::graph::Graph;
use crate::core::error::Result;
use crate::model::contract::{NEIGHBORS, POINTS, PROB};
use crate::model::onnx_schema::{data_type, entry, graph, model, opset, shape, tensor_type, value_info};
use crate::model::protobuf::Message;
use crate::model::train::trained_model::TrainedModel;

/// Version of the ONNX operators; ONNX Runtime 1.13 and later have it.
const OPERATORS: i64 = 17;

/// Version of the file format that came with the operators.
const FORMAT: i64 = 8;

impl TrainedModel {
    /// The model as an ONNX file, by the [`Contract`](crate::model::Contract). Its metadata has a
    /// self-test as well, see [`TrainedModel::check`].
    ///
    /// # Errors
    /// As [`TrainedModel::check`].
    pub fn to_onnx(&self) -> Result<Vec<u8>> {
        let mut computation = Graph::new(&self.parameters);
        computation.similarity(self);
        let check = self.check()?.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        let own = [
            ("density_peaks.encoder", self.network.encoder().name().into()),
            ("density_peaks.context", self.context.is_some().to_string()),
            ("density_peaks.check", check),
        ];
        let metadata = self.contract().metadata().into_iter().chain(own);
        let metadata =
            metadata.map(|(key, value)| Message::default().bytes(entry::KEY, key).bytes(entry::VALUE, value));
        let inputs = [
            value(POINTS, data_type::FLOAT, &[Axis::Named("n"), Axis::Fixed(self.dim())]),
            value(NEIGHBORS, data_type::INT64, &[Axis::Named("batch"), Axis::Named("tokens")]),
        ];
        let output = value(PROB, data_type::FLOAT, &[Axis::Named("batch"), Axis::Named("pairs")]);
        let graph = Message::default()
            .messages(graph::NODE, &computation.nodes)
            .bytes(graph::NAME, "similarity")
            .messages(graph::INITIALIZER, &computation.tensors)
            .messages(graph::INPUT, &inputs)
            .message(graph::OUTPUT, &output);
        let operators = Message::default().bytes(opset::DOMAIN, "").number(opset::VERSION, OPERATORS);
        let file = Message::default()
            .number(model::IR_VERSION, FORMAT)
            .bytes(model::PRODUCER_NAME, "density_peaks")
            .bytes(model::PRODUCER_VERSION, env!("CARGO_PKG_VERSION"))
            .message(model::GRAPH, &graph)
            .message(model::OPSET_IMPORT, &operators)
            .messages(model::METADATA_PROPS, &metadata.collect::<Vec<_>>());
        Ok(file.into_bytes())
    }
}

enum Axis {
    Named(&'static str),
    Fixed(usize),
}

/// An input or output of a graph.
fn value(name: &str, element: i64, axes: &[Axis]) -> Message {
    let sizes = axes.iter().fold(Message::default(), |sizes, axis| {
        let size = match axis {
            Axis::Named(name) => Message::default().bytes(shape::DIM_PARAM, name),
            Axis::Fixed(size) => Message::default().number(shape::DIM_VALUE, *size as i64),
        };
        sizes.message(shape::DIM, &size)
    });
    let tensor = Message::default().number(tensor_type::ELEM_TYPE, element).message(tensor_type::SHAPE, &sizes);
    let of_tensor = Message::default().message(tensor_type::TENSOR_TYPE, &tensor);
    Message::default().bytes(value_info::NAME, name).message(value_info::TYPE, &of_tensor)
}

//! A look at a model file before ONNX Runtime reads it: that it is an ONNX file, has all of its
//! weights in it, and declares no more than it has.
//!
//! Of the schema only the way to the tensors is followed; every other field is passed over.

use crate::core::error::{Error, Result};
use crate::model::onnx_schema::{attribute, data_location, graph, model, node, sparse_tensor, tensor, training_info};
use crate::model::protobuf::{Fields, Malformed, Value, packed};

/// A message that can lead to a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Model,
    Graph,
    Node,
    Attribute,
    Training,
    SparseTensor,
    Tensor,
}

impl Part {
    /// What the field of this number holds, if it leads to a tensor.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, model::GRAPH)
            | (Self::Training, training_info::INITIALIZATION | training_info::ALGORITHM)
            | (Self::Attribute, attribute::G | attribute::GRAPHS) => Self::Graph,
            (Self::Model, model::TRAINING_INFO) => Self::Training,
            (Self::Graph, graph::NODE) => Self::Node,
            (Self::Node, node::ATTRIBUTE) => Self::Attribute,
            (Self::Graph, graph::SPARSE_INITIALIZER)
            | (Self::Attribute, attribute::SPARSE_TENSOR | attribute::SPARSE_TENSORS) => Self::SparseTensor,
            (Self::Graph, graph::INITIALIZER)
            | (Self::Attribute, attribute::T | attribute::TENSORS)
            | (Self::SparseTensor, sparse_tensor::VALUES | sparse_tensor::INDICES) => Self::Tensor,
            _ => return None,
        })
    }
}

/// Messages within messages, as deep as protobuf itself allows.
const DEPTH: usize = 100;

/// Values that a byte can hold: the smallest have four bits.
const VALUES_A_BYTE: u64 = 2;

/// Nodes of a model, those of its loops and branches among them, at most: opening cannot be interrupted, and 200,000
/// nodes take 20 seconds. Models of neighborhoods have some hundreds.
const NODES: usize = 20_000;

/// Where ONNX Runtime looks for the mark of a format of its own, which it would read in place of ONNX.
const OWN_FORMAT: (std::ops::Range<usize>, &[u8]) = (4..8, b"ORTM");

/// Check the file.
///
/// # Errors
/// With what is wrong with it.
pub fn check(file: &[u8]) -> Result<()> {
    let (place, mark) = OWN_FORMAT;
    if file.get(place) == Some(mark) {
        return Err(unreadable(Malformed));
    }
    let mut found = Found::default();
    walk(Part::Model, file, file.len() as u64, DEPTH, &mut found)?;
    if found.graphs > 0 { Ok(()) } else { Err(unreadable(Malformed)) }
}

fn unreadable(_: Malformed) -> Error {
    Error::Model("the file is no ONNX model, or only a part of one".into())
}

/// What was counted on the way.
#[derive(Default)]
struct Found {
    graphs: usize,
    nodes: usize,
}

fn walk(part: Part, bytes: &[u8], file_bytes: u64, depth: usize, found: &mut Found) -> Result<()> {
    if depth == 0 {
        return Err(unreadable(Malformed));
    }
    let mut fields = Fields::of(bytes);
    // Of a tensor: the values that it declares.
    let mut values: u64 = 1;
    while let Some((number, value)) = fields.next().map_err(unreadable)? {
        match (part.field(number), value) {
            (Some(inner), Value::Bytes(bytes)) => {
                found.graphs += usize::from(part == Part::Model && inner == Part::Graph);
                found.nodes += usize::from(inner == Part::Node);
                if found.nodes > NODES {
                    return Err(Error::Model(format!("it has more than {NODES} nodes, which take too long to open")));
                }
                walk(inner, bytes, file_bytes, depth - 1, found)?;
            }
            // Inlined when the model is opened: functions that call each other twice, a few dozen deep,
            // would fill any memory.
            (None, _) if part == Part::Model && number == model::FUNCTIONS => {
                return Err(Error::Model(
                    "it has functions of its own; inline them (onnx.inliner.inline_local_functions in Python)".into(),
                ));
            }
            (None, value) if part == Part::Tensor => match (number, value) {
                (tensor::EXTERNAL_DATA, _) | (tensor::DATA_LOCATION, Value::Number(data_location::EXTERNAL)) => {
                    return Err(Error::Model(
                        "weights are outside the file (ONNX external data); save the model with its weights in it"
                            .into(),
                    ));
                }
                (tensor::DIMS, Value::Number(size)) => values = values.saturating_mul(size),
                (tensor::DIMS, Value::Bytes(sizes)) => {
                    for size in packed(sizes) {
                        values = values.saturating_mul(size.map_err(unreadable)?);
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
    // A size below 0 is a huge one here.
    if part == Part::Tensor && values > file_bytes.saturating_mul(VALUES_A_BYTE) {
        return Err(Error::Model(format!(
            "a tensor of {values} values is declared, which a file of {file_bytes} bytes cannot hold"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::fuzz;
    use crate::model::protobuf::Message;

    fn model(tensor: &Message) -> Vec<u8> {
        let graph = Message::default().message(graph::INITIALIZER, tensor);
        Message::default().message(model::GRAPH, &graph).into_bytes()
    }

    fn two_floats() -> Message {
        Message::default().number(tensor::DIMS, 2).bytes(tensor::RAW_DATA, [0; 8])
    }

    #[test]
    fn a_tensor_in_the_file_is_fine() {
        assert_eq!(check(&model(&two_floats())), Ok(()));
    }

    #[test]
    fn a_tensor_outside_the_file_is_refused_wherever_it_is() {
        let external = Message::default().number(tensor::DATA_LOCATION, data_location::EXTERNAL as i64);
        let attribute = Message::default().message(attribute::T, &external);
        let node = Message::default().message(node::ATTRIBUTE, &attribute);
        let graph = Message::default().message(graph::NODE, &node);
        let in_an_attribute = Message::default().message(model::GRAPH, &graph).into_bytes();
        let named = model(&Message::default().bytes(tensor::EXTERNAL_DATA, ""));
        for file in [model(&external), named, in_an_attribute] {
            assert!(check(&file).unwrap_err().to_string().contains("external data"));
        }
    }

    #[test]
    fn a_tensor_larger_than_the_file_is_refused() {
        let sizes = || Message::default().number(tensor::DIMS, 1 << 32);
        let packed = Message::default().bytes(tensor::DIMS, [0x80, 0x80, 0x80, 0x80, 0x10]);
        for tensor in [sizes(), packed, sizes().number(tensor::DIMS, 1 << 32)] {
            assert!(check(&model(&tensor)).unwrap_err().to_string().contains("cannot hold"));
        }
    }

    #[test]
    fn the_format_of_the_runtime_itself_is_refused() {
        // The name of the producer, which says nothing to either.
        let field = |name: &str| Message::default().bytes(2, name).into_bytes();
        let file = |name: &str| [field(name), model(&two_floats())].concat();
        assert_eq!(check(&file("abORTM")), Err(unreadable(Malformed)));
        assert_eq!(check(&file("aORTMb")), Ok(()));
    }

    #[test]
    fn more_nodes_than_are_opened_in_a_moment_are_refused() {
        let of = |nodes: usize| {
            let graph = (0..nodes).fold(Message::default(), |graph, _| graph.message(graph::NODE, &Message::default()));
            check(&Message::default().message(model::GRAPH, &graph).into_bytes())
        };
        assert_eq!(of(NODES), Ok(()));
        assert!(of(NODES + 1).unwrap_err().to_string().contains("nodes"));
    }

    #[test]
    fn functions_are_refused() {
        let functions = Message::default().bytes(model::FUNCTIONS, "").into_bytes();
        let file = [functions, model(&Message::default())].concat();
        assert!(check(&file).unwrap_err().to_string().contains("inline"));
    }

    #[test]
    fn any_part_of_a_file_is_refused_or_whole() {
        let file = model(&two_floats());
        for end in 0..file.len() {
            assert_eq!(check(&file[..end]), Err(unreadable(Malformed)), "{end}");
        }
        let nested = (0..300).fold(vec![], |inner, _| [&[58, inner.len().min(127) as u8][..], &inner].concat());
        assert!(check(&nested).is_err());
    }

    /// A file with everything that is followed or refused.
    fn corpus() -> Vec<Vec<u8>> {
        let attribute = Message::default().message(attribute::T, &two_floats());
        let node = Message::default().message(node::ATTRIBUTE, &attribute);
        let graph = Message::default().message(graph::NODE, &node).message(graph::INITIALIZER, &two_floats());
        let inner = Message::default().message(attribute::G, &graph);
        let outer = Message::default().message(graph::NODE, &Message::default().message(node::ATTRIBUTE, &inner));
        let training = Message::default().message(training_info::ALGORITHM, &graph);
        let sparse = Message::default().message(sparse_tensor::VALUES, &two_floats());
        let all = Message::default()
            .message(model::GRAPH, &outer.message(graph::SPARSE_INITIALIZER, &sparse))
            .message(model::TRAINING_INFO, &training)
            .float(3, 1.0);
        vec![model(&two_floats()), all.into_bytes(), vec![0; 16], b"abORTM".to_vec()]
    }

    #[test]
    fn fuzz_model_files() {
        let corpus = corpus();
        fuzz("model files", |random| {
            let file = random.damaged(&corpus);
            // Not a panic, not endless; and a file that is taken is whole.
            if check(&file).is_ok() {
                let mut fields = Fields::of(&file);
                while let Some((number, _)) = fields.next().expect("a file that is taken is protobuf") {
                    assert!(number > 0);
                }
            }
        });
    }
}

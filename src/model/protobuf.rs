//! A look at a model file before ONNX Runtime reads it: that it is an ONNX file, has all of its
//! weights in it, and declares no more than it has.
//!
//! An ONNX file is one protobuf message. Of its schema (onnx.proto) only the way to the tensors is
//! known here; every other field is passed over.

use crate::core::error::{Error, Result};

/// A message that can lead to a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Training,
    SparseTensor,
    Tensor,
}

impl Message {
    /// What the field of this number holds, if it leads to a tensor.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Graph, 1) => Self::Node,
            (Self::Node, 5) => Self::Attribute,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::SparseTensor,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Self::Tensor,
            _ => return None,
        })
    }
}

/// Messages within messages, as deep as protobuf itself allows.
const DEPTH: usize = 100;

/// Check the file.
///
/// # Errors
/// With what is wrong with it.
pub(super) fn check(file: &[u8]) -> Result<()> {
    let mut graphs = 0;
    walk(Message::Model, file, file.len() as u64, DEPTH, &mut graphs)?;
    if graphs > 0 { Ok(()) } else { Err(unreadable()) }
}

fn unreadable() -> Error {
    Error::Model("the file is no ONNX model, or only a part of one".into())
}

fn walk(message: Message, bytes: &[u8], file_bytes: u64, depth: usize, graphs: &mut usize) -> Result<()> {
    if depth == 0 {
        return Err(unreadable());
    }
    let mut fields = Fields(bytes);
    // Of a tensor: the values that it declares.
    let mut values: u64 = 1;
    while let Some((number, value)) = fields.next()? {
        match (message.field(number), value) {
            (Some(inner), Value::Bytes(bytes)) => {
                *graphs += usize::from(message == Message::Model && inner == Message::Graph);
                walk(inner, bytes, file_bytes, depth - 1, graphs)?;
            }
            // Inlined when the model is opened: functions that call each other twice, a few dozen deep,
            // would fill any memory.
            (None, _) if message == Message::Model && number == 25 => {
                return Err(Error::Model(
                    "it has functions of its own; inline them (onnx.inliner.inline_local_functions in Python)".into(),
                ));
            }
            (None, value) if message == Message::Tensor => match (number, value) {
                (13, _) | (14, Value::Number(1)) => {
                    return Err(Error::Model(
                        "weights are outside the file (ONNX external data); save the model with its weights in it"
                            .into(),
                    ));
                }
                (1, Value::Number(size)) => values = values.saturating_mul(size),
                (1, Value::Bytes(packed)) => {
                    let mut packed = Fields(packed);
                    while !packed.0.is_empty() {
                        values = values.saturating_mul(packed.number()?);
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
    // The smallest values have four bits. A size below 0 is a huge one here.
    if message == Message::Tensor && values > file_bytes.saturating_mul(2) {
        return Err(Error::Model(format!(
            "a tensor of {values} values is declared, which a file of {file_bytes} bytes cannot hold"
        )));
    }
    Ok(())
}

/// The value of a field, as far as it matters here.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The fields of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let length = self.number()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return Err(unreadable()),
        };
        if tag >> 3 == 0 { Err(unreadable()) } else { Ok(Some((tag >> 3, value))) }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let length = usize::try_from(length).ok().filter(|&length| length <= self.0.len()).ok_or_else(unreadable)?;
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(taken)
    }

    /// A number of up to ten bytes, seven bits in each, the lowest first.
    fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(unreadable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that holds bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2, bytes.len() as u8];
        field.extend_from_slice(bytes);
        field
    }

    fn model(tensor: &[u8]) -> Vec<u8> {
        field(7, &field(5, tensor))
    }

    #[test]
    fn a_tensor_in_the_file_is_fine() {
        assert_eq!(check(&model(&[&[8, 2][..], &field(9, &[0; 8])].concat())), Ok(()));
    }

    #[test]
    fn a_tensor_outside_the_file_is_refused_wherever_it_is() {
        let external = [112, 1];
        let in_an_attribute = field(7, &field(1, &field(5, &field(5, &external))));
        for file in [model(&external), model(&field(13, &[])), in_an_attribute] {
            assert!(check(&file).unwrap_err().to_string().contains("external data"));
        }
    }

    #[test]
    fn a_tensor_larger_than_the_file_is_refused() {
        let sizes = [8, 0x80, 0x80, 0x80, 0x80, 0x10];
        let packed = field(1, &sizes[1..]);
        for dims in [&sizes[..], &packed, &[&sizes[..], &sizes].concat()] {
            assert!(check(&model(dims)).unwrap_err().to_string().contains("cannot hold"));
        }
    }

    #[test]
    fn functions_are_refused() {
        let functions = [&[0xca, 0x01, 0][..], &model(&[])].concat();
        assert!(check(&functions).unwrap_err().to_string().contains("inline"));
    }

    #[test]
    fn any_part_of_a_file_is_refused_or_whole() {
        let file = model(&[&[8, 2][..], &field(9, &[0; 8])].concat());
        for end in 0..file.len() {
            assert_eq!(check(&file[..end]), Err(unreadable()), "{end}");
        }
        let nested = (0..300).fold(vec![], |inner, _| [&[58, inner.len().min(127) as u8][..], &inner].concat());
        assert!(check(&nested).is_err());
    }

    #[test]
    fn random_bytes_end() {
        let mut state = 1u64;
        for length in 0..2000 {
            let file: Vec<u8> = (0..length % 97)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (state >> 33) as u8
                })
                .collect();
            // Not a panic, not endless.
            let _ = check(&file);
        }
    }
}

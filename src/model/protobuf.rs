//! Protobuf, the encoding of an ONNX file: messages written and read field by field, each field by the
//! number that it has in its schema. See the encoding guide of Protocol Buffers.
#![cfg_attr(
    not(all(feature = "ort", feature = "training")),
    allow(dead_code, reason = "one feature reads files, the other writes them")
)]

use std::iter::from_fn;

/// How the value of a field is laid out, the low three bits of its tag; those above are its number.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

/// A message under construction.
#[derive(Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// A whole number, an enumeration or a boolean.
    pub fn number(mut self, field: u64, value: i64) -> Self {
        self.tag(field, VARINT);
        self.varint(value as u64);
        self
    }

    /// A float of 32 bits.
    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.tag(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A string or bytes.
    pub fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.tag(field, LENGTH_DELIMITED);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// A message within this one.
    pub fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub fn messages(self, field: u64, values: &[Self]) -> Self {
        values.iter().fold(self, |message, value| message.message(field, value))
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u64, layout: u64) {
        self.varint(field << 3 | layout);
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Bytes that are no message, or only a part of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Malformed;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Number(u64),
    /// A string, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Of a fixed number of bytes, which were passed over.
    Fixed,
}

/// The fields of a message, one by one.
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The number and the value of the next field; `None` at the end.
    pub fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            VARINT => Value::Number(self.varint()?),
            FIXED64 => self.take(8).map(|_| Value::Fixed)?,
            LENGTH_DELIMITED => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            FIXED32 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed),
        };
        if tag >> 3 == 0 { Err(Malformed) } else { Ok(Some((tag >> 3, value))) }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).ok().filter(|&length| length <= self.0.len()).ok_or(Malformed)?;
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(taken)
    }

    /// A number of up to ten bytes, seven bits in each, the lowest first.
    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }
}

/// Numbers that are packed into one field.
pub fn packed(bytes: &[u8]) -> impl Iterator<Item = Result<u64, Malformed>> {
    let mut rest = Fields(bytes);
    from_fn(move || (!rest.0.is_empty()).then(|| rest.varint()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_as_the_guide_shows() {
        // The examples of the encoding guide.
        assert_eq!(Message::default().number(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        let testing = Message::default().bytes(2, "testing");
        assert_eq!(testing.into_bytes(), [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        let nested = Message::default().message(3, &Message::default().number(1, 150));
        assert_eq!(nested.into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::default().number(1, -2).into_bytes().len(), 11);
    }

    #[test]
    fn fields_are_read_as_they_were_written() {
        let inner = Message::default().number(1, i64::MAX).number(2, -2);
        let message = Message::default().number(300, 150).float(4, 0.5).bytes(5, "text").message(6, &inner);
        let (inner, message) = (inner.into_bytes(), message.into_bytes());
        let mut fields = Fields::of(&message);
        let mut found = Vec::new();
        while let Some(field) = fields.next().unwrap() {
            found.push(field);
        }
        let expected =
            [(300, Value::Number(150)), (4, Value::Fixed), (5, Value::Bytes(b"text")), (6, Value::Bytes(&inner))];
        assert_eq!(found, expected);
        let mut inner = Fields::of(&inner);
        assert_eq!(inner.next(), Ok(Some((1, Value::Number(i64::MAX as u64)))));
        assert_eq!(inner.next(), Ok(Some((2, Value::Number(-2i64 as u64)))));
    }

    #[test]
    fn packed_numbers_end_where_one_is_cut_off() {
        assert_eq!(packed(&[0x03, 0x8e, 0x02]).collect::<Result<Vec<_>, _>>(), Ok(vec![3, 270]));
        assert_eq!(packed(&[0x03, 0x8e]).collect::<Result<Vec<_>, _>>(), Err(Malformed));
    }
}

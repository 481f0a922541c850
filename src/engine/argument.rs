//! The arguments of a call, as the host hands them over.

use serde::{Deserialize, Serialize};

/// The value of an argument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Null,
    Flag(bool),
    Number(f64),
    Text(String),
    Numbers(Vec<f64>),
    Texts(Vec<String>),
    /// The result of an earlier call of the same program, by its place there.
    Stage {
        call: usize,
    },
    /// Of a type that no parameter takes.
    Other(Other),
}

/// Any other value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Other {}

/// An argument with its text, for messages.
#[derive(Debug, Clone)]
pub struct Argument {
    pub value: Value,
    pub text: String,
}

impl Argument {
    /// The argument of a call that was checked when it was written.
    pub fn of(value: &Value) -> Self {
        let text = match value {
            Value::Text(text) => text.clone(),
            value => format!("{value:?}"),
        };
        Self { value: value.clone(), text }
    }
}

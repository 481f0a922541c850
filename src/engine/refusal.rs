//! Why a call is refused before its work begins.

use std::error::Error;

/// Result of what happens before the work.
pub type Result<T, E = Refusal> = std::result::Result<T, E>;

/// Why a call is refused, each with the sentence that the user reads.
#[derive(Debug)]
pub enum Refusal {
    /// An argument is wrong.
    Input(String),
    /// A name or a type of a relation is wrong.
    Binder(String),
    /// Only a defect of this crate can cause it.
    Defect(String),
    /// The host's own error.
    Host(Box<dyn Error + Send + Sync>),
}

/// An error that the user can mend.
pub fn input(message: impl Into<String>) -> Refusal {
    Refusal::Input(message.into())
}

/// An error about the names and types of a relation.
pub fn binder(message: impl Into<String>) -> Refusal {
    Refusal::Binder(message.into())
}

/// An error that only a defect of this crate can cause.
pub fn defect(message: impl Into<String>) -> Refusal {
    Refusal::Defect(message.into())
}

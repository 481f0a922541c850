//! What the user reads of an error.

use std::fmt::Display;

use crate::core::error::{Error, PointProblem};

/// The message about the point with this id.
pub fn point(problem: &PointProblem, id: &dyn Display) -> String {
    problem.of(id)
}

/// The message of an error, with each row number replaced by what `id` makes of it.
pub fn message(error: &Error, id: impl Fn(u32) -> String) -> String {
    error.message(id)
}

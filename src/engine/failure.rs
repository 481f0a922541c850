//! Why a run failed.

use std::fmt::Display;
use std::sync::Arc;

use super::hints;
use super::ids::Ids;
use crate::core::error::Error;

/// Result of what happens during the work.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a run failed.
#[derive(Debug)]
pub struct Failure {
    /// The call that failed, as the user wrote it; `None` if the cause names it.
    pub label: Option<String>,
    pub cause: Cause,
    /// Whose numbers the cause speaks of.
    pub ids: Option<Arc<Ids>>,
}

/// What went wrong: in a stage, or with relations that do not fit each other.
#[derive(Debug)]
pub enum Cause {
    Stage(Error),
    /// A point, in a sentence that its id completes.
    Point(u32, fn(&dyn Display) -> String),
    /// A pair of points, in a sentence that their ids complete.
    Pair(u32, u32, fn(&dyn Display, &dyn Display) -> String),
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::Stage(error)
    }
}

impl Failure {
    /// Of a call, about no point.
    pub fn of(label: &str, error: Error) -> Self {
        Self { label: Some(label.into()), cause: error.into(), ids: None }
    }

    /// A sentence that names the call itself.
    pub fn said(message: String) -> Self {
        Self { label: None, cause: Error::Input(message).into(), ids: None }
    }

    /// The message, with each row number replaced by what `id` makes of it, and the way out in SQL.
    pub fn message(&self, id: impl Fn(u32) -> String) -> String {
        match &self.cause {
            Cause::Stage(error) => hints::message(error, id),
            Cause::Point(row, says) => says(&id(*row)),
            Cause::Pair(src, dst, says) => says(&id(*src), &id(*dst)),
        }
    }
}

/// What makes a failure of a call of what is wrong with points of these ids.
pub fn failed<C: Into<Cause>>(label: &str, ids: &Arc<Ids>) -> impl Fn(C) -> Failure + use<C> {
    let (label, ids) = (label.to_owned(), ids.clone());
    move |cause| Failure { label: Some(label.clone()), cause: cause.into(), ids: Some(ids.clone()) }
}

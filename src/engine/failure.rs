//! Why a run failed.

use std::sync::Arc;

use super::ids::Ids;
use crate::core::error::Error;

/// Result of what happens during the work.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a run failed.
#[derive(Debug)]
pub struct Failure {
    /// The call that failed, as the user wrote it; `None` if the error names it.
    pub label: Option<String>,
    pub error: Error,
    /// Whose numbers the error speaks of.
    pub ids: Option<Arc<Ids>>,
}

impl Failure {
    /// Of a call, about no point.
    pub fn of(label: &str, error: Error) -> Self {
        Self { label: Some(label.into()), error, ids: None }
    }

    /// A sentence that names the call itself.
    pub fn said(message: String) -> Self {
        Self { label: None, error: Error::Input(message), ids: None }
    }
}

/// What makes a failure of a call of an error about points of these ids.
pub fn failed(label: &str, ids: &Arc<Ids>) -> impl Fn(Error) -> Failure + use<> {
    let (label, ids) = (label.to_owned(), ids.clone());
    move |error| Failure { label: Some(label.clone()), error, ids: Some(ids.clone()) }
}

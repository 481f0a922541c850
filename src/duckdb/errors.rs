//! Errors as DuckDB has them, and panics kept from it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use duckdb_neo::error::DuckDBError;
use duckdb_neo::{Error, Result};

use crate::engine::refusal::Refusal;

/// An error that the user can mend.
pub fn invalid(message: impl Into<String>) -> Error {
    Error::invalid_input(message)
}

/// An error about the names and types of a relation.
pub fn binder(message: impl Into<String>) -> Error {
    Error { code: DuckDBError::QueryBinder, message: message.into() }
}

/// An error that only a defect of this extension can cause. Not DuckDB's INTERNAL, which would
/// invalidate the whole database.
pub fn defect(message: impl Into<String>) -> Error {
    Error::api_error(format!("density_peaks has a defect, please report it: {}", message.into()))
}

/// An error of who calls by hand what only the SQL that a table function becomes calls.
pub fn by_hand() -> Error {
    invalid("this function is internal to density_peaks: only the SQL that its table functions become can call it")
}

/// What the engine refuses.
pub fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Input(message) => invalid(message),
        Refusal::Binder(message) => binder(message),
        Refusal::Defect(message) => defect(message),
        Refusal::Host(error) => match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) => invalid(error.to_string()),
        },
    }
}

/// DuckDB's own error, on its way through the engine.
pub fn hosted(error: Error) -> Refusal {
    Refusal::Host(Box::new(error))
}

/// Run a callback; a panic becomes a plain error.
pub fn guarded<T>(callback: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(callback)).unwrap_or_else(|panic| Err(defect(panic_text(panic.as_ref()))))
}

/// What a panic says.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".into())
}

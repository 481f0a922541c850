//! The DuckDB extension: everything that knows DuckDB.
//!
//! `knn_graph('faces', k := 20)` is a macro of two kinds with one name. As an expression it is a
//! [`plan`]: the stage and its arguments, not yet run, to be nested in another stage. As a table it
//! is that plan turned to SQL ([`sql`]): an aggregate, the [`sink`], collects the rows of each
//! relation; a table function, the [`source`], runs the stages ([`run`], in a [`job`]) and emits
//! rows that number their points; and a scalar function ([`ids`]) turns the numbers back into
//! ids. The three meet in a [`slot`]. All of it happens in the caller's own statement and transaction.

mod collect;
mod columns;
mod functions;
mod ids;
mod job;
mod memory;
mod model_file;
mod models;
mod plan;
mod run;
mod sink;
mod slot;
mod source;
mod sql;

use std::panic::{AssertUnwindSafe, catch_unwind};

use duckdb_loadable_macros::duckdb_entrypoint_c_api_v2;
use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::error::DuckDBError;
use duckdb_neo::extension::Extension;
use duckdb_neo::vector::{Unknown, Vector, WritableVectorElement};

#[duckdb_entrypoint_c_api_v2(extension_name = "density_peaks", api_version = "v2.0.0")]
fn load(extension: &Extension) -> Result<(), Box<dyn std::error::Error>> {
    plan::register(extension)?;
    sql::register(extension)?;
    columns::register(extension)?;
    sink::register(extension)?;
    source::register(extension)?;
    ids::register(extension)?;
    slot::register(extension)?;
    models::register(extension)?;
    functions::register(extension)?;
    Ok(())
}

/// An error that the user can mend.
fn invalid(message: impl Into<String>) -> duckdb_neo::Error {
    duckdb_neo::Error::invalid_input(message)
}

/// An error about the names and types of a relation.
fn binder(message: impl Into<String>) -> duckdb_neo::Error {
    duckdb_neo::Error { code: DuckDBError::QueryBinder, message: message.into() }
}

/// An error that only a defect of this extension can cause. Not DuckDB's INTERNAL, which would
/// invalidate the whole database.
fn defect(message: impl Into<String>) -> duckdb_neo::Error {
    duckdb_neo::Error::api_error(format!("density_peaks has a defect, please report it: {}", message.into()))
}

/// Write one value for every row.
fn repeat<'a, T: WritableVectorElement>(
    vectors: &VectorCollection,
    output: Vector<'_, Unknown>,
    value: T::Write<'a>,
) -> duckdb_neo::Result<()>
where
    T::Write<'a>: Copy,
{
    let mut output = output.cast::<T>()?;
    let rows = vectors.row_count()?;
    output.set_size(rows)?;
    let mut writer = output.writer()?;
    (0..rows).try_for_each(|row| writer.set(row, Some(value)))
}

/// Run a callback; a panic becomes a plain error.
fn guarded<T>(callback: impl FnOnce() -> duckdb_neo::Result<T>) -> duckdb_neo::Result<T> {
    catch_unwind(AssertUnwindSafe(callback)).unwrap_or_else(|panic| Err(defect(panic_text(panic.as_ref()))))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".into())
}

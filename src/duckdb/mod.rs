//! The DuckDB extension: everything that knows DuckDB.
//!
//! `knn_graph('faces', k := 20)` is a macro of two kinds with one name ([`functions`]). As an expression it
//! is a program of the engine, not yet run, to be nested in another call ([`arguments`]). As a table it
//! is that program turned to SQL ([`sql`]): an aggregate, the [`sink`], collects the rows of each
//! relation; a table function, the [`result`], runs the plan (in a [`job`]) and emits rows that number
//! their points; and a scalar function, the [`id_function`], turns the numbers back into ids. They meet
//! in a [`slot`]. All of it happens in the caller's own statement and transaction.

mod arguments;
mod bound;
mod collect;
mod embeddings;
mod errors;
mod explain_pair;
mod functions;
mod host;
mod id_function;
mod ids;
mod job;
mod result;
mod scalar;
mod scores;
mod sink;
mod slot;
mod sql;

use duckdb_loadable_macros::duckdb_entrypoint_c_api_v2;
use duckdb_neo::extension::Extension;

#[duckdb_entrypoint_c_api_v2(extension_name = "density_peaks", api_version = "v2.0.0")]
fn load(extension: &Extension) -> Result<(), Box<dyn std::error::Error>> {
    bound::register(extension)?;
    sink::register(extension)?;
    result::register(extension)?;
    id_function::register(extension)?;
    host::register(extension)?;
    functions::register(extension)?;
    functions::register_version(extension)?;
    functions::register_slots(extension)?;
    scores::register(extension)?;
    explain_pair::register(extension)?;
    Ok(())
}

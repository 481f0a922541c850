//! The DuckDB extension: everything that knows DuckDB.
//!
//! `knn_graph('faces', k := 20)` is a macro of two kinds with one name ([`functions`]). As an expression it
//! is a program of the engine, not yet run, to be nested in another call ([`arguments`]). As a table it
//! is that program turned to SQL ([`sql`]): an aggregate, the [`sink`], collects the rows of each
//! relation; a table function, the [`result`], runs the plan (in a [`job`]) and emits rows that number
//! their points; and a scalar function, the [`id_function`], turns the numbers back into ids. They meet
//! in a [`slot`]. All of it happens in the caller's own statement and transaction. DuckDB calls the [`entry_point`].

mod api_table;
mod arguments;
mod bound;
mod collect;
mod embeddings;
mod entry_point;
mod errors;
mod explain_pair;
#[cfg_attr(not(unix), path = "exported_unknown.rs")]
mod exported;
mod functions;
mod host;
mod id_function;
mod ids;
mod job;
mod local_file;
mod random;
mod result;
mod scalar;
mod scores;
mod sink;
mod slot;
mod sql;

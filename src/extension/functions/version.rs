//! `density_peaks_version()`.

use duckdb_neo::Result;
use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::extension::Extension;
use duckdb_neo::scalar::{ScalarCallbacks, ScalarFunctionBuilder};
use duckdb_neo::signature::{FunctionDocumentationBuilder, SignatureBuilder};
use duckdb_neo::types::DuckDBType;
use duckdb_neo::vector::{Unknown, Vector};

use super::super::{guarded, repeat};

struct Version;

impl ScalarCallbacks for Version {
    type BindData = ();
    type InitData = ();

    fn exec(
        &self,
        _: Option<&()>,
        _: Option<&mut ()>,
        _: &Context,
        vectors: &mut VectorCollection,
        output: Vector<'_, Unknown>,
    ) -> Result<()> {
        guarded(|| repeat::<String>(vectors, output, env!("CARGO_PKG_VERSION")))
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    let docs = FunctionDocumentationBuilder::new()
        .description("Version of the density_peaks extension.")
        .add_example("", "SELECT density_peaks_version()")
        .add_category("density_peaks");
    let signature = SignatureBuilder::new().return_type(String::logical_type(extension)?).documentation(docs);
    ScalarFunctionBuilder::new("density_peaks_version", signature, Version).register(extension)
}

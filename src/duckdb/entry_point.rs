//! What DuckDB calls to load the extension.

use std::cell::Cell;
use std::error::Error;
use std::ffi::{c_char, c_void};
use std::ptr::null;
use std::sync::Arc;

use duckdb_neo::extension::{Extension, run_extension_entrypoint};
use duckdb_neo::ffi::{duckdb_v2_extension_handle, duckdb_v2_extension_input};

use super::api_table::{self, Table};
use super::{bound, explain_pair, exported, functions, host, id_function, result, scores, sink};
use crate::engine::limits::Ledger;

thread_local! {
    /// What `duckdb-neo` reads of the table of the load that runs on this thread.
    static PART: Cell<Table> = const { Cell::new(null()) };
}

unsafe extern "C" fn part(_: duckdb_v2_extension_handle, _: *const c_char) -> *const c_void {
    PART.get().cast()
}

/// # Safety
/// Only DuckDB may call this, with its own input.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn density_peaks_init_c_api_v2(input: *mut duckdb_v2_extension_input) {
    // SAFETY: DuckDB's input lives until this function returns.
    let Some(mut input) = (unsafe { input.as_ref() }).copied() else { return };
    let Some(get_api) = input.get_api else { return };
    let preceding = api_table::preceding();
    let refusal = exported::refusal(get_api as *const c_void);
    if preceding.is_err() && refusal.is_none() {
        // DuckDB then says that its table was not asked for, which is better than to say nothing.
        return;
    }
    // SAFETY: DuckDB asks for this call, with this handle. The table outlives the load.
    let table: Table = unsafe { get_api(input.extension, api_table::VERSION.as_ptr()) }.cast();
    if table.is_null() {
        return;
    }
    // SAFETY: it is DuckDB's table.
    match preceding.and_then(|preceding| unsafe { api_table::part(table, preceding) }) {
        Ok(known) => {
            PART.set(known);
            input.get_api = Some(part);
            // SAFETY: the input is DuckDB's, and `part` gives the table that `duckdb-neo` reads.
            unsafe { run_extension_entrypoint(&input, "v2.0.0", register) };
        }
        Err(reason) => {
            if let Some(refusal) = refusal {
                refusal.set(&input, &reason);
            }
        }
    }
}

fn register(extension: &Extension) -> Result<(), Box<dyn Error>> {
    bound::register(extension)?;
    sink::register(extension)?;
    let ledger = Arc::new(Ledger::default());
    result::register(extension, ledger.clone())?;
    id_function::register(extension)?;
    host::register(extension)?;
    functions::register(extension)?;
    functions::register_version(extension)?;
    functions::register_slots(extension)?;
    functions::register_memory(extension, ledger)?;
    scores::register(extension)?;
    explain_pair::register(extension)?;
    Ok(())
}

//! Where there is no `dladdr`, no function of DuckDB's C API is known by its name.

use std::ffi::c_void;

use duckdb_neo::ffi::duckdb_v2_extension_input;

pub enum Refusal {}

impl Refusal {
    pub fn set(&self, _: &duckdb_v2_extension_input, _: &str) {
        match *self {}
    }
}

pub fn refusal(_: *const c_void) -> Option<Refusal> {
    None
}

pub fn name(_: *const c_void) -> Option<String> {
    None
}

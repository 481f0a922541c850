//! The table of functions that DuckDB hands to an extension, and the versions of DuckDB whose table is known.
//!
//! It differs from version to version and says nothing of its layout; a wrong one ends the process. `duckdb-neo`
//! reads that of one version. So far each other has the same functions in the same order, with some in front
//! of them: `known_versions.txt` says how many. docs/duckdb_versions.md has the steps for the next version.

use std::ffi::{CStr, c_void};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use duckdb_neo::ffi::duckdb_ext_api_v2;
use findshlibs::{Avma, Segment, SharedLibrary, TargetSharedLibrary};

use super::exported;

/// A line a version of DuckDB: its number, and how many functions precede those of `duckdb-neo`.
const KNOWN: &str = include_str!("known_versions.txt");
/// The C API of `duckdb-neo`, and the functions in its table: how many, the first and the last.
pub const VERSION: &CStr = c"v2.0.0";
const FUNCTIONS: usize = size_of::<duckdb_ext_api_v2>() / size_of::<*const c_void>();
const FIRST: &str = "duckdb_v2_arena_allocate";
const LAST: &str = "duckdb_v2_statement_add_collection";

pub type Table = *const *const c_void;

/// The part of DuckDB's table that `duckdb-neo` reads, or why it is not there.
///
/// # Safety
/// The table must be DuckDB's.
pub unsafe fn part(table: Table, preceding: usize) -> Result<Table, String> {
    for (function, name) in [(0, FIRST), (FUNCTIONS - 1, LAST)] {
        // SAFETY: a known table is that long. One that is shorter by far fewer functions than FUNCTIONS has its FIRST
        // looked at within it, and is refused there.
        let found = exported::name(unsafe { *table.add(preceding + function) });
        if found.is_some_and(|found| found != name) {
            return Err(refusal("this file is for another version of DuckDB than this one, whose C API differs"));
        }
    }
    // SAFETY: as above.
    Ok(unsafe { table.add(preceding) })
}

/// How many functions precede those of `duckdb-neo` in the version of DuckDB that this file is for.
pub fn preceding() -> Result<usize, String> {
    let version = version_of_file()?;
    let line = known().find(|(known, _)| *known == version);
    line.and_then(|(_, preceding)| preceding.parse().ok()).ok_or_else(|| {
        refusal(&format!("this file says that it is for DuckDB '{version}', whose C API it does not know"))
    })
}

fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    KNOWN.lines().filter_map(|line| line.split_once(' '))
}

fn refusal(reason: &str) -> String {
    let versions: Vec<&str> = known().map(|(version, _)| version).collect();
    format!(
        "{reason}. density_peaks {} is for DuckDB {}; take its file for the one that you have, or another release",
        env!("CARGO_PKG_VERSION"),
        versions.join(" and ")
    )
}

/// The version of DuckDB that this file's footer names. DuckDB loads no file whose footer names another than its own.
fn version_of_file() -> Result<String, String> {
    let path = own_file().ok_or("the file of density_peaks was not found among the loaded libraries")?;
    let read = || {
        let mut file = File::open(&path)?;
        // Eight fields of 32 bytes, the last one first, and 256 bytes for a signature; see scripts/package.py.
        file.seek(SeekFrom::End(-512 + 5 * 32))?;
        let mut field = [0; 32];
        file.read_exact(&mut field).map(|()| field)
    };
    let field = read().map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let version = String::from_utf8_lossy(&field);
    Ok(version.trim_end_matches('\0').trim_start_matches('v').to_owned())
}

fn own_file() -> Option<PathBuf> {
    let here = Avma(own_file as *const () as usize);
    let mut file = None;
    TargetSharedLibrary::each(|library| {
        if library.segments().any(|segment| segment.is_load() && segment.contains_avma(library, here)) {
            file = Some(PathBuf::from(library.name()));
        }
    });
    file
}

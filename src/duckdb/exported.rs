//! Functions of DuckDB's C API by their names, where the library that has them exports these.

use std::ffi::{CStr, c_void};
use std::mem::{MaybeUninit, transmute};

use duckdb_neo::ffi::{DUCKDB_V2_ERROR, duckdb_v2_error_info_handle, duckdb_v2_extension_input, duckdb_v2_str};

type SetCode = unsafe extern "C" fn(duckdb_v2_error_info_handle, DUCKDB_V2_ERROR) -> DUCKDB_V2_ERROR;
type SetText = unsafe extern "C" fn(duckdb_v2_error_info_handle, *const duckdb_v2_str) -> DUCKDB_V2_ERROR;

/// What fails a load without a table of functions.
pub struct Refusal {
    set_code: SetCode,
    set_text: SetText,
}

impl Refusal {
    pub fn set(&self, input: &duckdb_v2_extension_input, text: &str) {
        let text = duckdb_v2_str { ptr: text.as_ptr().cast(), len: text.len() as u64 };
        // SAFETY: DuckDB gives each load an error to fill, and copies the text.
        unsafe {
            (self.set_code)(*input.err, DUCKDB_V2_ERROR::DUCKDB_V2_ERROR_API);
            (self.set_text)(*input.err, &text);
        }
    }
}

/// The functions that fail a load, of the library that `get_api` is in.
pub fn refusal(get_api: *const c_void) -> Option<Refusal> {
    let file = symbol(get_api)?.dli_fname;
    // SAFETY: the library is loaded already, so none of its code runs.
    let library = unsafe { libc::dlopen(file, libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    // A program has no name to open it by, but every library sees its functions.
    let library = if library.is_null() { libc::RTLD_DEFAULT } else { library };
    let function = |name: &CStr| {
        // SAFETY: the library is open.
        let function = unsafe { libc::dlsym(library, name.as_ptr()) };
        (!function.is_null()).then_some(function)
    };
    let code = function(c"duckdb_v2_error_info_set_code")?;
    let text = function(c"duckdb_v2_error_info_set_text")?;
    // SAFETY: the functions of these names are of these types.
    let (set_code, set_text) =
        unsafe { (transmute::<*mut c_void, SetCode>(code), transmute::<*mut c_void, SetText>(text)) };
    Some(Refusal { set_code, set_text })
}

/// The name of a function, if it is one of DuckDB's C API and exported.
pub fn name(function: *const c_void) -> Option<String> {
    let found = symbol(function)?;
    if found.dli_sname.is_null() || found.dli_saddr.cast_const() != function {
        return None;
    }
    // SAFETY: the name is in the loaded library.
    let name = unsafe { CStr::from_ptr(found.dli_sname) }.to_str().ok()?;
    name.starts_with("duckdb_v2_").then(|| name.to_owned())
}

fn symbol(address: *const c_void) -> Option<libc::Dl_info> {
    let mut found = MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: `dladdr` does not read at the address, and it fills `found` if it returns another number than 0.
    unsafe { (libc::dladdr(address, found.as_mut_ptr()) != 0).then(|| found.assume_init()) }
}

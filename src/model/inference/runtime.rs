//! ONNX Runtime, which runs the models: a library of its own, found and loaded once a model is used.

use std::error::Error as _;
use std::ffi::OsStr;
use std::path::{Path, PathBuf, absolute};
use std::sync::{Arc, Mutex, PoisonError};

use findshlibs::{SharedLibrary, TargetSharedLibrary};
use ort::environment::Environment;

use crate::core::error::{Error, Result};

/// ONNX Runtime, loaded. There is one in a process, and it stays.
#[derive(Debug, Clone)]
pub struct Runtime {
    path: PathBuf,
    pub(super) environment: Environment,
}

static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Load the library at `path`; or else the one that the environment variable `ORT_DYLIB_PATH`
    /// names, one that the process has loaded, or that of the `onnxruntime` package of the Python that
    /// runs in the process.
    ///
    /// # Errors
    /// If there is none, if it is older than 1.17 or no ONNX Runtime, or if another is loaded already.
    pub fn load(path: Option<&Path>) -> Result<Self> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let given = path.map(|path| absolute(path).unwrap_or_else(|_| path.to_owned()));
        if let Some(runtime) = &*loaded {
            let other = given.filter(|given| !same_file(given, &runtime.path));
            return match other {
                None => Ok(runtime.clone()),
                Some(other) => Err(Error::Runtime(format!(
                    "ONNX Runtime was loaded from {} before; to use {}, start a new process",
                    runtime.path.display(),
                    other.display()
                ))),
            };
        }
        let named = given.or_else(|| {
            let variable = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty())?;
            absolute(variable).ok()
        });
        let candidates = named.map_or_else(in_process, |named| vec![named]);
        let mut error = None;
        for path in candidates {
            match open(&path) {
                Ok(environment) => return Ok(loaded.insert(Self { path, environment }).clone()),
                Err(reason) => error = error.or(Some(reason)),
            }
        }
        Err(error.unwrap_or(Error::NoRuntime))
    }

    /// The file that was loaded.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

fn open(path: &Path) -> Result<Environment> {
    let failed = |reason: String| {
        let path = path.display();
        Error::Runtime(format!("ONNX Runtime cannot be loaded from {path} ({reason}); version 1.17 or later is needed"))
    };
    let builder = ort::init_from(path).map_err(|error| {
        use ort::LoadDynamicError::*;
        failed(match error {
            // The error itself says no more than that it failed.
            Dlopen { error, .. } => error.source().map_or_else(|| error.to_string(), |reason| reason.to_string()),
            MissingApi { .. } => "it is another library".into(),
            InvalidVersionString => "it has no version".into(),
            BadVersion { version_str, .. } => format!("it is version {version_str}"),
        })
    })?;
    // It would write to the standard error what is in our errors too.
    let environment =
        builder.with_name("density_peaks").with_telemetry(false).with_logger(Arc::new(|_, _, _, _, _| {}));
    environment.build().map_err(|error| failed(error.to_string()))
}

/// Where the library may be, by what the process has loaded.
fn in_process() -> Vec<PathBuf> {
    let mut libraries = Vec::new();
    TargetSharedLibrary::each(|library| libraries.push(PathBuf::from(library.name())));
    let mut found: Vec<PathBuf> = libraries.iter().filter(|path| is_onnxruntime(path)).cloned().collect();
    // The Python package links a copy of its own, and has the library beside it.
    let capi = libraries.iter().filter_map(|path| path.parent()).filter(|folder| folder.ends_with("onnxruntime/capi"));
    found.extend(capi.flat_map(libraries_in));
    // Of the packages of several Pythons, those beside DuckDB's are the right ones.
    let is_duckdb = |path: &Path| path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.contains("duckdb"));
    libraries.sort_by_key(|path| !is_duckdb(path));
    let packages = libraries.iter().flat_map(|path| path.ancestors());
    let packages = packages.filter(|folder| folder.ends_with("site-packages") || folder.ends_with("dist-packages"));
    found.extend(packages.flat_map(|packages| libraries_in(&packages.join("onnxruntime/capi"))));
    let mut seen = std::collections::HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    found
}

fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| is_onnxruntime(path)).collect()
}

/// Whether a file is called as the library is: `libonnxruntime.so.1.32.0`, `onnxruntime.dll`, ...
fn is_onnxruntime(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with("libonnxruntime.") || name.eq_ignore_ascii_case("onnxruntime.dll")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let error = open(Path::new("/no/libonnxruntime.so")).unwrap_err().to_string();
        assert!(error.contains("/no/libonnxruntime.so") && error.contains("1.17"), "{error}");
    }

    #[test]
    fn the_library_is_known_by_its_name() {
        let yes = ["libonnxruntime.so.1.32.0", "libonnxruntime.so", "libonnxruntime.1.32.0.dylib", "onnxruntime.dll"];
        let no = ["libonnxruntime_providers_shared.so", "onnxruntime_pybind11_state.so", "libc.so.6"];
        assert!(yes.iter().all(|name| is_onnxruntime(Path::new(name))));
        assert!(!no.iter().any(|name| is_onnxruntime(Path::new(name))));
    }
}

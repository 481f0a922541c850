//! A statement as the engine's host: its settings, and files through DuckDB's file system, so that
//! `enable_external_access` and the like hold.

use std::path::{Path, PathBuf};

use duckdb_neo::connection::{Context, SettingScope};
use duckdb_neo::custom_option::{CustomOptionBuilder, CustomOptionCallbacks};
use duckdb_neo::extension::Extension;
use duckdb_neo::file::{FileBuilder, FileSystem};
use duckdb_neo::types::DuckDBType;
use duckdb_neo::value::Value;
use duckdb_neo::{Error, Result, ToValue};

use super::errors::{hosted, invalid};
use crate::engine::host::{Host, NewFile, Sentence};
use crate::engine::limits::{Limits, parse_bytes};
use crate::engine::refusal::{self, Refusal, input};

/// Name of the setting that names the library that models run with.
const SETTING: &str = "density_peaks_onnxruntime";

/// The statement that a callback belongs to.
pub struct Statement<'a>(pub &'a Context);

impl Host for Statement<'_> {
    fn limits(&self) -> refusal::Result<Limits> {
        let setting = |name| Ok(self.0.config()?.get_value(name)?.0.to_string());
        let threads = setting("threads").map_err(hosted)?.parse().unwrap_or(1);
        let memory = parse_bytes(&setting("memory_limit").map_err(hosted)?).unwrap_or(u64::MAX);
        Ok(Limits { threads, memory })
    }

    fn model_library(&self) -> refusal::Result<Option<PathBuf>> {
        let library = || self.0.config()?.get_value(SETTING)?.0.get::<String>();
        Ok(library().map_err(hosted)?.filter(|path| !path.is_empty()).map(PathBuf::from))
    }

    fn read(
        &self,
        path: &str,
        most: u64,
        unreadable: Sentence<'_>,
        too_large: &dyn Fn(u64) -> Refusal,
    ) -> refusal::Result<Vec<u8>> {
        // DuckDB's message begins with the kind of error, which the code says too.
        let failed = |error: Error| {
            let reason = error.message.split_once(" Error: ").map_or(&*error.message, |(_, reason)| reason);
            hosted(Error { code: error.code, message: unreadable(reason) })
        };
        let system = FileSystem::new(self.0).map_err(hosted)?;
        let file = FileBuilder::new(&system, path).map_err(hosted)?.read().open().map_err(failed)?;
        let size = file.size().map_err(failed)?;
        if size > most {
            return Err(too_large(size));
        }
        file.read_at(0, size as usize).map_err(failed)
    }

    fn check_writable(&self, file: &NewFile<'_>) -> refusal::Result<()> {
        let NewFile { function, argument, path: name, overwrite } = *file;
        let system = FileSystem::new(self.0).map_err(hosted)?;
        let path = system.expand(name).map_err(hosted)?;
        if system.exists(&path).map_err(hosted)? && !overwrite {
            return Err(input(format!(
                "{function}: {argument} '{name}' exists; name another file, or replace it with overwrite := true"
            )));
        }
        if system.is_remote(&path).map_err(hosted)? {
            return Ok(());
        }
        if Path::new(&path).is_dir() {
            return Err(input(format!("{function}: {argument} '{name}' is a directory; name a file")));
        }
        let part = part(&path);
        create(&system, &part, &[]).map_err(|error| unwritable(file, error))?;
        system.remove(&part).map(|_| ()).map_err(hosted)
    }

    fn write(&self, file: &NewFile<'_>, bytes: &[u8]) -> refusal::Result<()> {
        let system = FileSystem::new(self.0).map_err(hosted)?;
        let path = system.expand(file.path).map_err(hosted)?;
        if system.is_remote(&path).map_err(hosted)? {
            return create(&system, &path, bytes).map_err(|error| unwritable(file, error));
        }
        let part = part(&path);
        let written = create(&system, &part, bytes).and_then(|()| system.move_item(&part, &path));
        written.map_err(|error| {
            let _ = system.remove(&part);
            unwritable(file, error)
        })
    }
}

fn part(path: &str) -> String {
    format!("{path}.part")
}

fn create(system: &FileSystem<'_>, path: &str, mut bytes: &[u8]) -> Result<()> {
    let file = FileBuilder::new(system, path)?.write().create_new().open()?;
    while !bytes.is_empty() {
        match file.write(bytes)? {
            0 => return Err(invalid("the file takes no more")),
            written => bytes = &bytes[written..],
        }
    }
    file.close()
}

fn unwritable(file: &NewFile<'_>, error: Error) -> Refusal {
    let NewFile { function, argument, path, .. } = file;
    let message = format!("{function}: {argument} '{path}' cannot be written: {}", error.message);
    hosted(Error { message, ..error })
}

/// Refuses to name a library, which is code, where files outside are out of reach.
struct Library;

impl CustomOptionCallbacks for Library {
    fn update(&self, context: &Context, value: Value, _: SettingScope, is_reset: bool) -> Result<Value> {
        let external = context.config()?.get_value("enable_external_access")?.0.to_string();
        if !is_reset && external != "true" {
            return Err(invalid(format!("{SETTING} cannot be set while enable_external_access is false")));
        }
        Ok(value)
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    let description = "Path of the ONNX Runtime library that density_peaks runs models with; empty: found by itself";
    CustomOptionBuilder::new(SETTING, description, String::logical_type(extension)?, Library)
        .default_value(String::new().value(extension)?)
        .no_session()
        .register(extension)
}

//! A statement as the engine's host: its settings, and files through DuckDB's file system, so that
//! `enable_external_access` and the like hold.

use std::io;
use std::path::PathBuf;

use duckdb_neo::connection::{Context, SettingScope};
use duckdb_neo::custom_option::{CustomOptionBuilder, CustomOptionCallbacks};
use duckdb_neo::error::DuckDBError;
use duckdb_neo::extension::Extension;
use duckdb_neo::file::{FileBuilder, FileSystem};
use duckdb_neo::types::DuckDBType;
use duckdb_neo::value::Value;
use duckdb_neo::{Error, Result, ToValue};

use super::errors::{hosted, invalid};
use super::local_file::{self, NewFile as LocalFile, Problem};
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
        Ok(Limits { threads, memory, account: Default::default() })
    }

    fn model_library(&self) -> refusal::Result<Option<PathBuf>> {
        let library = || self.0.config()?.get_value(SETTING)?.0.get::<String>();
        let library = library().map_err(hosted)?.filter(|path| !path.is_empty());
        // The settings may be others than when it was set.
        library.map(|path| check_library(self.0, &path).map(|()| path.into()).map_err(hosted)).transpose()
    }

    fn read(
        &self,
        path: &str,
        most: u64,
        unreadable: Sentence<'_>,
        too_large: &dyn Fn(u64) -> Refusal,
    ) -> refusal::Result<Vec<u8>> {
        let failed = |error: Error| hosted(Error { message: unreadable(reason(&error)), ..error });
        let system = FileSystem::new(self.0).map_err(hosted)?;
        let expanded = system.expand(path).map_err(hosted)?;
        // DuckDB is asked first, whether the path is out of reach.
        system.exists(&expanded).map_err(failed)?;
        if let Some(local) = local_file::local(&expanded) {
            local_file::check_readable(&local).map_err(|problem| match problem {
                Problem::Is(what) => input(unreadable(&format!("it {what}"))),
                Problem::Io(error) => failed(io_error(&error)),
            })?;
        }
        let file = FileBuilder::new(&system, path).map_err(hosted)?.read().open().map_err(failed)?;
        let size = file.size().map_err(failed)?;
        if size > most {
            return Err(too_large(size));
        }
        file.read_at(0, size as usize).map_err(failed)
    }

    fn check_writable(&self, file: &NewFile<'_>) -> refusal::Result<()> {
        match self.target(file)? {
            FilePlace::Local(path) => {
                LocalFile::create(&path, file.overwrite).map(drop).map_err(|found| unwritable(file, found))
            }
            FilePlace::Other(_) => Ok(()),
        }
    }

    fn write(&self, file: &NewFile<'_>, bytes: &[u8]) -> refusal::Result<()> {
        match self.target(file)? {
            FilePlace::Local(path) => LocalFile::create(&path, file.overwrite)
                .and_then(|new| new.write(bytes))
                .map_err(|found| unwritable(file, found)),
            FilePlace::Other(path) => {
                let system = FileSystem::new(self.0).map_err(hosted)?;
                create(&system, &path, bytes).map_err(|error| failed_to_write(file, error))
            }
        }
    }
}

/// Where a file is to be written.
enum FilePlace {
    Local(PathBuf),
    /// On another file system of DuckDB, which makes a file's name appear with it, or does not.
    Other(String),
}

impl Statement<'_> {
    /// Where a file is to be written, if DuckDB lets it be reached.
    fn target(&self, file: &NewFile<'_>) -> refusal::Result<FilePlace> {
        let system = FileSystem::new(self.0).map_err(hosted)?;
        let path = system.expand(file.path).map_err(hosted)?;
        let exists = system.exists(&path).map_err(|error| failed_to_write(file, error))?;
        match local_file::local(&path) {
            Some(path) => Ok(FilePlace::Local(path)),
            None if exists && !file.overwrite => Err(unwritable(file, local_file::EXISTS)),
            None => Ok(FilePlace::Other(path)),
        }
    }
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

fn unwritable(file: &NewFile<'_>, problem: Problem) -> Refusal {
    let NewFile { function, argument, path, .. } = file;
    match problem {
        Problem::Is(what) => input(format!("{function}: {argument} '{path}' {what}")),
        Problem::Io(error) => failed_to_write(file, io_error(&error)),
    }
}

fn failed_to_write(file: &NewFile<'_>, error: Error) -> Refusal {
    let NewFile { function, argument, path, .. } = file;
    let message = format!("{function}: {argument} '{path}' cannot be written: {}", reason(&error));
    hosted(Error { message, ..error })
}

fn io_error(error: &io::Error) -> Error {
    Error { code: DuckDBError::IoGeneral, message: error.to_string() }
}

/// DuckDB's message begins with the kind of error, which the code says too.
fn reason(error: &Error) -> &str {
    error.message.split_once(" Error: ").map_or(&*error.message, |(_, reason)| reason)
}

/// A library is code: to name one takes what it takes to load an extension without a signature.
fn check_library(context: &Context, path: &str) -> Result<()> {
    let config = context.config()?;
    for (setting, needed) in [("enable_external_access", "true"), ("allow_unsigned_extensions", "true")] {
        if config.get_value(setting)?.0.to_string() != needed {
            return Err(forbidden(&format!("{setting} = false")));
        }
    }
    // Fails where the file system is disabled.
    let system = FileSystem::new(context)?;
    system.exists(&system.expand(path)?).map_err(|error| forbidden(reason(&error))).map(|_| ())
}

fn forbidden(reason: &str) -> Error {
    let message = format!(
        "{SETTING} cannot be used ({reason}): it names a library, which is code, and takes what an unsigned \
         extension takes; RESET it, and install onnxruntime beside DuckDB, or name the library with the environment \
         variable ORT_DYLIB_PATH"
    );
    Error { code: DuckDBError::ConfigurationPermission, message }
}

/// Refuses a library where code may not be loaded.
struct Library;

impl CustomOptionCallbacks for Library {
    fn update(&self, context: &Context, value: Value, _: SettingScope, is_reset: bool) -> Result<Value> {
        match value.get::<String>()? {
            Some(path) if !is_reset && !path.is_empty() => check_library(context, &path).map(|()| value),
            _ => Ok(value),
        }
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    let description = "Path of the ONNX Runtime library that density_peaks runs models with; empty: found by itself";
    CustomOptionBuilder::new(SETTING, description, String::logical_type(extension)?, Library)
        .default_value(String::new().value(extension)?)
        .no_session()
        .register(extension)
}

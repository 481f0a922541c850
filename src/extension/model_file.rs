//! The file that `train_similarity` writes, through DuckDB's file system: so `enable_external_access`
//! and the like hold.

use std::path::Path;

use duckdb_neo::Result;
use duckdb_neo::connection::Context;
use duckdb_neo::file::{FileBuilder, FileSystem};

use super::invalid;
use super::plan::TrainSimilarity;

/// Check before the work that the file can be written after it, and may be.
pub fn check(context: &Context, stage: &TrainSimilarity) -> Result<()> {
    let system = FileSystem::new(context)?;
    let path = system.expand(&stage.model)?;
    if system.exists(&path)? && !stage.overwrite {
        let path = &stage.model;
        return Err(invalid(format!(
            "train_similarity: model '{path}' exists; name another file, or replace it with overwrite := true"
        )));
    }
    if system.is_remote(&path)? {
        return Ok(());
    }
    if Path::new(&path).is_dir() {
        return Err(invalid(format!("train_similarity: model '{}' is a directory; name a file", stage.model)));
    }
    let part = part(&path);
    create(&system, &part, &[]).map_err(|error| unwritable(stage, error))?;
    system.remove(&part).map(|_| ())
}

/// Write the file; one that is there before stays whole until the new one is.
pub fn write(context: &Context, stage: &TrainSimilarity, bytes: &[u8]) -> Result<()> {
    let system = FileSystem::new(context)?;
    let path = system.expand(&stage.model)?;
    if system.is_remote(&path)? {
        return create(&system, &path, bytes).map_err(|error| unwritable(stage, error));
    }
    let part = part(&path);
    let written = create(&system, &part, bytes).and_then(|()| system.move_item(&part, &path));
    written.map_err(|error| {
        let _ = system.remove(&part);
        unwritable(stage, error)
    })
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

fn unwritable(stage: &TrainSimilarity, error: duckdb_neo::Error) -> duckdb_neo::Error {
    let message = format!("train_similarity: model '{}' cannot be written: {}", stage.model, error.message);
    duckdb_neo::Error { message, ..error }
}

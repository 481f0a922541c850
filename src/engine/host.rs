//! What the engine asks of the database that it runs in.

use std::path::PathBuf;

use super::limits::Limits;
use super::refusal::{Refusal, Result};

/// Makes the sentence of a failure of its reason.
pub type Sentence<'a> = &'a dyn Fn(&str) -> String;

/// The files and settings of the statement that a plan belongs to. Files go through the host, so that
/// what it forbids stays forbidden.
pub trait Host {
    fn limits(&self) -> Result<Limits>;

    /// The library that models run with, where a setting names one.
    fn model_library(&self) -> Result<Option<PathBuf>>;

    /// Read a whole file, but not one of more than `most` bytes, for which `too_large` has the sentence
    /// of its size.
    fn read(
        &self,
        path: &str,
        most: u64,
        unreadable: Sentence<'_>,
        too_large: &dyn Fn(u64) -> Refusal,
    ) -> Result<Vec<u8>>;

    /// Whether a file can be written later, and may be.
    fn check_writable(&self, file: &NewFile<'_>) -> Result<()>;

    /// Write a file; one that is there before stays whole until the new one is.
    fn write(&self, file: &NewFile<'_>, bytes: &[u8]) -> Result<()>;
}

/// A file to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewFile<'a> {
    /// The function that the user called, and the argument that names the path, for messages.
    pub function: &'static str,
    pub argument: &'static str,
    pub path: &'a str,
    /// Whether one that exists may go.
    pub overwrite: bool,
}

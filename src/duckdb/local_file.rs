//! Local files, past DuckDB's file system, which cannot tell a device from a file, give a file its mode
//! or make its name appear with it. What is replaced is a regular file, and it is replaced as a whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::random::random_number;

/// Why a path is not read or written.
pub enum Problem {
    /// What is there, as the end of a sentence about the path.
    Is(&'static str),
    Io(io::Error),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The path of a local file, unless the path is that of another file system, such as `s3://...`.
pub fn local(path: &str) -> Option<PathBuf> {
    // The forms of a file's URL that DuckDB takes.
    let of_url = ["file://localhost/", "file:///", "file:/"].iter().find_map(|start| path.strip_prefix(start));
    match of_url {
        Some(path) => Some(Path::new("/").join(path)),
        None => (!path.contains("://")).then(|| path.into()),
    }
}

/// Refuse to read what may never end.
pub fn check_readable(path: &Path) -> Result<(), Problem> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(Problem::Is("is no regular file")),
        // Who opens it says why it is not there.
        _ => Ok(()),
    }
}

/// A new file beside the path that it is to have, under a name of its own. Dropped, it is gone.
pub struct NewFile<'a> {
    file: File,
    name: PathBuf,
    target: &'a Path,
    overwrite: bool,
}

impl<'a> NewFile<'a> {
    /// Begin a file, with the mode of the one that it replaces.
    pub fn create(target: &'a Path, overwrite: bool) -> Result<Self, Problem> {
        let permissions = check_target(target, overwrite)?;
        let name = target.with_file_name(format!("density_peaks-{:016x}.part", random_number()));
        let file = OpenOptions::new().write(true).create_new(true).open(&name)?;
        let new = Self { file, name, target, overwrite };
        if let Some(permissions) = permissions {
            new.file.set_permissions(permissions)?;
        }
        Ok(new)
    }

    /// Write all of it, and give it its path.
    pub fn write(mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.file.write_all(bytes)?;
        self.file.sync_all()?;
        if !self.link()? {
            check_target(self.target, self.overwrite)?;
            fs::rename(&self.name, self.target)?;
        }
        // So that the name is kept too, where the system can do it.
        let _ = File::open(self.target.with_file_name(".")).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// Give it its path if nothing is there, which a rename does not ask; false where something may be there, or
    /// the file system has no links.
    fn link(&self) -> Result<bool, Problem> {
        if self.overwrite {
            return Ok(false);
        }
        match fs::hard_link(&self.name, self.target) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(EXISTS),
            linked => Ok(linked.is_ok()),
        }
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.name);
    }
}

/// That it is there, and may not be replaced.
pub const EXISTS: Problem = Problem::Is("exists; name another file, or replace it with overwrite := true");

/// Refuse a path that is not to be replaced; gives the mode of a file that may be.
fn check_target(target: &Path, overwrite: bool) -> Result<Option<Permissions>, Problem> {
    let found = match fs::symlink_metadata(target) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if found.is_symlink() {
        return Err(Problem::Is("is a symbolic link; name the file itself"));
    }
    if found.is_dir() {
        return Err(Problem::Is("is a directory; name a file"));
    }
    if !found.is_file() {
        return Err(Problem::Is("is no regular file; name another"));
    }
    if overwrite { Ok(Some(found.permissions())) } else { Err(EXISTS) }
}

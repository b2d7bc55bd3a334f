//! Files that are complete or absent: written, flushed to disk, then given their name.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::manifest::FileSum;
use crate::{Error, Result};

/// Counts and hashes what passes through.
pub(super) struct Summing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Summing<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    pub(super) fn finish(self) -> FileSum {
        let sha256 = self.hash.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        FileSum { sha256, bytes: self.bytes }
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.hash.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Creates `path`, lets `write` fill it and forces it to disk. Problems are reported under the name `shown`.
pub(super) fn write_synced(
    path: &Path,
    shown: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<FileSum> {
    let failed = |error| cannot_write(shown, &error);
    let file = std::fs::File::create(path).map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, Summing::new(&file));
    write(&mut out).map_err(|error| match error {
        Error::Io(error) => failed(error),
        other => other,
    })?;
    let out = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(out.finish())
}

/// Checksum of a file as it is on disk.
pub(super) fn sum(path: &Path) -> Result<FileSum> {
    let mut file = fs_err::File::open(path)?;
    let mut out = Summing::new(io::sink());
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(out.finish()),
            n => out.write_all(&buffer[..n])?,
        }
    }
}

/// Forces a directory's entries to disk.
pub(super) fn sync_dir(path: &Path) -> Result<()> {
    fs_err::File::open(path)?.sync_all()?;
    Ok(())
}

/// What a failed write says: the file, the system's reason, and what to do about a full disk.
pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let sentence = Error::file(path, format!("could not be written: {error}"));
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => sentence
            .with_hint("make room on this disk or choose another directory; nothing was replaced"),
        _ => sentence,
    }
}

/// `path` made absolute, its parent, and its last name.
pub(super) fn named(path: &Path) -> Result<(PathBuf, PathBuf, String)> {
    let path = std::path::absolute(path)?;
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let (parent, name) = (parent.to_path_buf(), name.to_string_lossy().into_owned());
            Ok((path, parent, name))
        }
        _ => Err(Error::file(&path, "expected a directory with a name of its own")),
    }
}

/// A file being written beside the one it will become; dropped before [`NewFile::finish`], nothing is left of it.
#[derive(Debug)]
pub(crate) struct NewFile {
    target: PathBuf,
    parent: PathBuf,
    temporary: PathBuf,
    file: std::fs::File,
}

impl NewFile {
    /// Starts the file that will be `path`.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let (target, parent, name) = named(path)?;
        if target.exists() && !target.is_file() {
            return Err(Error::file(target, "expected a file to write, got something else")
                .with_hint("choose a name that is free, or that of a file to replace"));
        }
        let temporary = parent.join(format!(".{name}.new"));
        let file =
            std::fs::File::create(&temporary).map_err(|error| cannot_write(&target, &error))?;
        Ok(Self { target, parent, temporary, file })
    }

    /// What is to be written to.
    pub(crate) fn file(&self) -> &std::fs::File {
        &self.file
    }

    /// A failed write, as an error of the file it was to become.
    pub(crate) fn failed(&self, error: &io::Error) -> Error {
        cannot_write(&self.target, error)
    }

    /// Forces it to disk and gives it its name; an earlier file of that name is replaced.
    pub(crate) fn finish(self) -> Result<()> {
        self.file.sync_all().map_err(|error| self.failed(&error))?;
        std::fs::rename(&self.temporary, &self.target).map_err(|error| self.failed(&error))?;
        sync_dir(&self.parent)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After `finish` there is none of that name.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// Writes a whole file or nothing: a temporary file beside it, forced to disk, then renamed.
///
/// # Errors
///
/// Where it cannot be written; an earlier file of that name is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = NewFile::create(path)?;
    new.file().write_all(bytes).map_err(|error| new.failed(&error))?;
    new.finish()
}

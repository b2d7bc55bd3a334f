//! Finding the files of a public log.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Files in `src` whose name `wanted` accepts, by name; `src` itself if it is a file.
pub(super) fn find_all(
    src: &Path,
    what: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<PathBuf>> {
    if src.is_file() {
        return Ok(vec![src.into()]);
    }
    let mut names = Vec::new();
    for entry in fs_err::read_dir(src)? {
        let entry = entry?;
        if entry.path().is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    let found: Vec<PathBuf> =
        names.iter().filter(|name| wanted(name)).map(|name| src.join(name)).collect();
    if found.is_empty() {
        let got = if names.is_empty() { "no file".into() } else { names.join(", ") };
        return Err(Error::file(src, format!("expected {what}, found {got}")));
    }
    Ok(found)
}

/// The one file in the directory `src` whose name `wanted` accepts.
pub(super) fn find(src: &Path, what: &str, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    if src.is_file() {
        return Err(Error::file(src, "expected a directory with the files of this format"));
    }
    let mut found = find_all(src, what, wanted)?;
    if found.len() > 1 {
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        return Err(Error::file(src, format!("expected one {what}, found {}", names.join(", "))));
    }
    Ok(found.remove(0))
}

/// Whether `name` is `stem` with `.gz` or without.
pub(super) fn is(name: &str, stem: &str) -> bool {
    name.strip_suffix(".gz").unwrap_or(name) == stem
}

/// Whether `name` ends in `suffix`, then `.gz` or nothing.
pub(super) fn ends(name: &str, suffix: &str) -> bool {
    name.strip_suffix(".gz").unwrap_or(name).ends_with(suffix)
}

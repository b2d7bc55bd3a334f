//! The real binary, a small shop to run it on, and what tests ask of both.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

pub(crate) fn daogou(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_daogou"))
        .current_dir(directory)
        .args(arguments)
        .output()
        .unwrap()
}

pub(crate) fn done(directory: &Path, arguments: &[&str]) -> String {
    let output = daogou(directory, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// An error: exit code 2, nothing on standard output, all of `parts` on standard error.
pub(crate) fn refused(directory: &Path, arguments: &[&str], parts: &[&str]) {
    let output = daogou(directory, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?} wrote to standard output");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: expected `{part}` in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// The founding document's columns: 8 users, 6 items, 240 rows.
pub(crate) fn shop(directory: &Path) {
    let mut text = String::from("user_id,item_id,brand,price,click,purchase,category\n");
    for i in 0..240u32 {
        let (user, item) = (i * 7 % 8, i * 5 % 6);
        let click = u32::from((user + item + i / 48) % 3 == 0);
        let buy = u32::from(click == 1 && i % 4 == 0);
        text += &format!(
            "u{user},p{item},b{},{},{click},{buy},c{}\n",
            item % 2,
            100 + item * 50,
            item % 3
        );
    }
    fs::write(directory.join("shop.csv"), text).unwrap();
}

pub(crate) fn prepared() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    shop(directory.path());
    done(directory.path(), &["init", "shop.csv"]);
    directory
}

pub(crate) fn replace(directory: &Path, file: &str, from: &str, to: &str) {
    let path = directory.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "no `{from}` in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

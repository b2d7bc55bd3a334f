//! The documents name files that exist.

use std::path::{Path, PathBuf};

/// Where paths of the repository begin.
const PLACES: [&str; 6] = [".ci/", "configs/", "crates/", "docs/", "examples/", "tests/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap()
}

/// What stands between single backticks, outside fenced blocks, and looks like a path of the repository.
fn paths(markdown: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).filter(|code| {
                PLACES.iter().any(|place| code.starts_with(place)) && !code.contains(' ')
            }));
        }
    }
    found
}

/// Targets of links within the repository, anchors left out.
fn links(markdown: &str) -> Vec<&str> {
    markdown
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .filter_map(|target| target.split('#').next())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

#[test]
fn paths_and_links_lead_somewhere() {
    let mut missing = Vec::new();
    for document in [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "README.md",
        "README.zh-CN.md",
        "SPEED.md",
        "docs/off-policy.md",
        "docs/tasks.md",
    ] {
        let text = text(document);
        for path in paths(&text).into_iter().chain(links(&text)) {
            if !root().join(path).exists() {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "named but not there:\n{}", missing.join("\n"));
}

#[test]
fn the_architecture_names_every_crate() {
    let text = text("ARCHITECTURE.md");
    let named = paths(&text);
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let prefix = format!("crates/{name}");
        assert!(named.iter().any(|path| path.starts_with(&prefix)), "{prefix} is not described");
    }
    assert!(named.len() > 20, "the code map has only {} paths", named.len());
}

#[test]
fn a_path_that_is_not_there_is_found() {
    let markdown =
        "See `crates/daogou` and `crates/nowhere/src`, not `x`.\n```\n`crates/fenced`\n```\n";
    assert_eq!(paths(markdown), ["crates/daogou", "crates/nowhere/src"]);
    assert_eq!(links("[a](README.md#top) [b](https://example.org) [c](#here)"), ["README.md"]);
    assert!(!root().join("crates/nowhere/src").exists());
}

#[test]
fn both_readmes_show_the_same_commands() {
    let commands = |document: &str| -> Vec<String> {
        text(document)
            .lines()
            .map(|line| line.split(" #").next().unwrap_or(line).trim().to_owned())
            .filter(|line| line.starts_with("cargo ") || line.starts_with("daogou "))
            .collect()
    };
    let english = commands("README.md");
    assert_eq!(english, commands("README.zh-CN.md"));
    for command in ["cargo run --release -- demo", "cargo test --workspace"] {
        assert!(english.iter().any(|line| line == command), "the README lost `{command}`");
    }
}

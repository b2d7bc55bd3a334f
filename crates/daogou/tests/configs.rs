//! The example configurations of the repository are ones that the program accepts.

use std::path::{Path, PathBuf};

use daogou::schema::{Config, ModelKind};

fn examples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_example_configuration_is_accepted() {
    let files = examples();
    for file in &files {
        if let Err(error) = Config::read(file) {
            panic!("{}: {error}", file.display());
        }
    }
    let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    for expected in [
        "event_log.toml",
        "four_columns.toml",
        "mmoe.toml",
        "shared_bottom.toml",
        "shared_mlp.toml",
    ] {
        assert!(names.contains(&expected), "{names:?}");
    }
}

#[test]
fn the_smallest_one_is_the_founding_network() {
    let file = examples().into_iter().find(|file| file.ends_with("shared_mlp.toml")).unwrap();
    let config = Config::read(&file).unwrap();
    assert_eq!(config.model.kind, ModelKind::SharedMlp);
    assert_eq!(config.model.shared_units, [128, 64]);
    let inputs: Vec<_> = config.features.iter().map(|f| (f.name.as_str(), f.dim)).collect();
    assert_eq!(
        inputs,
        [("user_id", Some(32)), ("item_id", Some(32)), ("brand", Some(16)), ("price", None)]
    );
    let tasks: Vec<_> = config.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(tasks, ["click", "purchase", "diversity"]);
}

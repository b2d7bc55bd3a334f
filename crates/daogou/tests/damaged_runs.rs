//! A run whose files were changed together with their checksums: it opens and answers, or says what is wrong. It never
//! panics, whatever stands in its files.

use std::fmt::Write;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use daogou::data::Dataset;
use daogou::recommend::{Ask, recommend};
use daogou::run::TrainedRun;
use daogou::schema::Config;
use daogou::train::{Options, train};
use daogou_nn::{Rng, Team};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A small run on disk.
fn run(home: &Path) -> PathBuf {
    let options =
        daogou::simulate::Options { users: 12, items: 24, requests: 120, ..Default::default() };
    daogou::simulate::run(&options, home, &mut |_| {}).unwrap();
    let mut config = Config::read(&home.join("daogou.toml")).unwrap();
    config.train.epochs = 1;
    let data = Dataset::load(&config, home).unwrap();
    let trained = train(&config, &data, &Options::default(), &mut ()).unwrap();
    let history = trained.history.clone();
    let provenance = daogou::artifact::Provenance {
        created_at: "2026-01-01T00:00:00Z".into(),
        seed: 1,
        data_fingerprint: data.report.fingerprint.clone(),
        metrics: json!({}),
    };
    let target = home.join("run");
    TrainedRun::new(&config, trained, &data).save(&target, &history, provenance).unwrap();
    target
}

/// Writes `bytes` over a file of the run, and its length and checksum into the manifest.
fn overwrite(run: &Path, name: &str, bytes: &[u8]) {
    fs::write(run.join(name), bytes).unwrap();
    let path = run.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut hex = String::new();
    Sha256::digest(bytes).iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
    manifest["files"][name] = json!({ "bytes": bytes.len(), "sha256": hex });
    fs::write(path, manifest.to_string()).unwrap();
}

/// Changes one value somewhere in a document: to another number or kind, or the length of a list.
fn change(value: &mut Value, rng: &mut Rng) {
    match value {
        Value::Array(items) if !items.is_empty() && rng.below(5) > 0 => {
            let place = rng.below(items.len() as u64) as usize;
            match rng.below(12) {
                0 => {
                    items.remove(place);
                }
                1 => items.push(items[place].clone()),
                _ => change(&mut items[place], rng),
            }
        }
        Value::Object(fields) if !fields.is_empty() && rng.below(20) > 0 => {
            let place = rng.below(fields.len() as u64) as usize;
            let key = fields.keys().nth(place).unwrap().clone();
            if rng.below(12) == 0 {
                fields.remove(&key);
            } else {
                change(&mut fields[&key], rng);
            }
        }
        other => {
            let number = other.as_f64().unwrap_or(1.0);
            *other = match rng.below(9) {
                0 => json!(0),
                1 => json!((number as i64).saturating_add(1)),
                2 => json!(1_000_000),
                3 => json!(u32::MAX),
                4 => json!(-1),
                5 => json!(1e300),
                6 => json!("中文"),
                7 => json!([]),
                _ => Value::Null,
            };
        }
    }
}

/// Opens the run and asks it for a list. `Err` is the message of a panic.
fn use_it(run: &Path) -> Result<Result<(), String>, String> {
    let attempt = || -> daogou::Result<()> {
        let (run, _) = TrainedRun::open(run)?;
        for user in ["u00003", "nobody"] {
            recommend(
                &run,
                &Ask { user: user.into(), k: Some(5), ..Ask::default() },
                &mut Team::new(1),
            )?;
        }
        Ok(())
    };
    catch_unwind(AssertUnwindSafe(attempt)).map(|done| done.map_err(|e| e.to_string())).map_err(
        |panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()))
                .unwrap_or_default()
        },
    )
}

#[test]
fn whatever_stands_in_its_files_a_run_opens_or_says_what_is_wrong() {
    let home = tempfile::tempdir().unwrap();
    let original = run(home.path());
    assert_eq!(use_it(&original), Ok(Ok(())));
    let manifest: Value =
        serde_json::from_slice(&fs::read(original.join("manifest.json")).unwrap()).unwrap();
    let names: Vec<String> = manifest["files"].as_object().unwrap().keys().cloned().collect();
    let rounds: u64 = std::env::var("DAOGOU_DAMAGE_ROUNDS").map_or(300, |n| n.parse().unwrap());
    let (mut panics, mut told, mut served) = (Vec::new(), 0, 0);
    for name in &names {
        let before = fs::read(original.join(name)).unwrap();
        for round in 0..rounds {
            let mut rng = Rng::new(round, 0x00da_4a9e);
            let document = serde_json::from_slice::<Value>(&before);
            let after = match document {
                Ok(mut document) if round % 4 != 0 => {
                    change(&mut document, &mut rng);
                    document.to_string().into_bytes()
                }
                _ => {
                    let mut bytes = before.clone();
                    if rng.below(4) == 0 {
                        bytes.truncate(rng.below(bytes.len() as u64) as usize);
                    }
                    for _ in 0..=rng.below(3) {
                        if !bytes.is_empty() {
                            let place = rng.below(bytes.len() as u64) as usize;
                            bytes[place] = rng.below(256) as u8;
                        }
                    }
                    bytes
                }
            };
            overwrite(&original, name, &after);
            match use_it(&original) {
                Ok(Ok(())) => served += 1,
                Ok(Err(sentence)) => {
                    assert!(!sentence.is_empty());
                    told += 1;
                }
                Err(panic) => panics.push(format!("{name}, round {round}: {panic}")),
            }
        }
        overwrite(&original, name, &before);
    }
    assert!(panics.is_empty(), "{} of them:\n{}", panics.len(), panics.join("\n"));
    assert!(told > 0 && served > 0, "{told} told, {served} served");
}

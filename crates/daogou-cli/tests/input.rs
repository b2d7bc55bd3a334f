//! What people feed the binary: every format and its oddities, and a sentence for what cannot be read.

mod binary;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use binary::{daogou, done, prepared, refused, replace, shop};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

const TRAIN: [&str; 4] = ["train", "daogou.toml", "--run-dir", "run"];

#[test]
fn bad_logs_get_a_sentence() {
    let directory = prepared();
    let d = directory.path();
    let good = fs::read_to_string(d.join("shop.csv")).unwrap();
    let train = ["train", "daogou.toml", "--run-dir", "run"];
    let header = "user_id,item_id,brand,price,click,purchase,category\n";
    let with_row = |row: &str| format!("{good}{row}\n").into_bytes();
    let cases: Vec<(Vec<u8>, Vec<&str>)> = vec![
        (Vec::new(), vec!["shop.csv", "empty"]),
        (header.as_bytes().to_vec(), vec!["shop.csv", "no rows"]),
        (good.replace(',', ";").into_bytes(), vec!["shop.csv", "hint:", "delimiter"]),
        (with_row("u1,p1,b1"), vec!["shop.csv:242", "7", "3"]),
        (with_row("u1,p1,b1,NaN,0,0,c1"), vec!["shop.csv:242", "`price`", "finite number", "NaN"]),
        (with_row("u1,p1,b1,1e39,0,0,c1"), vec!["shop.csv:242", "`price`", "3.4e38", "1e39"]),
        (with_row("u1,p1,b1,inf,0,0,c1"), vec!["shop.csv:242", "`price`", "finite number"]),
        (with_row("u1,p1,b1,-5,0,0,c1"), vec!["shop.csv:242", "`price`", "at least 0", "`-5`"]),
        (with_row("u1,p1,b1,,0,0,c1"), vec!["shop.csv:242", "`price`", "finite number", "``"]),
        (with_row(",p1,b1,5,0,0,c1"), vec!["shop.csv:242", "`user_id`", "an id", "``"]),
        (with_row("u1,,b1,5,0,0,c1"), vec!["shop.csv:242", "`item_id`", "an id", "``"]),
        (with_row("u1,p1,b1,5,0.5,0,c1"), vec!["shop.csv:242", "`click`", "0 or 1", "0.5"]),
        (with_row("u1,p1,b1,5,0,1,c1"), vec!["shop.csv:242", "purchase", "click"]),
        ([good.as_bytes(), b"u1,p\xff,b1,5,0,0,c1\n"].concat(), vec!["shop.csv:242", "UTF-8"]),
        (
            good.replace(",1,0,", ",0,0,").replace(",1,1,", ",0,0,").into_bytes(),
            vec!["task `click`", "both 0 and 1"],
        ),
    ];
    for (bytes, parts) in cases {
        fs::write(d.join("shop.csv"), bytes).unwrap();
        refused(d, &train, &parts);
        assert!(!d.join("run").join("manifest.json").exists(), "something was written: {parts:?}");
    }
    let mut one_user = header.to_string();
    for line in good.lines().skip(1) {
        one_user += &format!("u1{}\n", &line[2..]);
    }
    fs::write(d.join("shop.csv"), one_user).unwrap();
    refused(d, &train, &["at least 2 users"]);
    fs::remove_file(d.join("shop.csv")).unwrap();
    refused(d, &train, &["shop.csv"]);
    fs::write(d.join("shop.parquet"), b"PAR1 cut off").unwrap();
    replace(d, "daogou.toml", "shop.csv", "shop.parquet");
    refused(d, &train, &["shop.parquet", "Parquet"]);
}

#[test]
fn a_share_of_bad_rows_passes_when_allowed_and_is_counted() {
    let directory = prepared();
    let d = directory.path();
    let good = fs::read_to_string(d.join("shop.csv")).unwrap();
    fs::write(d.join("shop.csv"), format!("{good}u1,p1,b1,x,0,0,c1\nu1,p1\n")).unwrap();
    let arguments =
        ["train", "daogou.toml", "--run-dir", "run", "--set", "data.max_bad_share=0.05"];
    let output = daogou(d, &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("2 bad rows") && said.contains("shop.csv:242"),
        "{said}"
    );
    refused(
        d,
        &["train", "daogou.toml", "--run-dir", "other", "--set", "data.max_bad_share=0.001"],
        &["max_bad_share"],
    );
}

#[test]
fn bad_configurations_and_runs_are_named() {
    let directory = prepared();
    let d = directory.path();
    refused(d, &["train", "nowhere.toml"], &["nowhere.toml"]);
    refused(d, &["train", "daogou.toml", "--set", "train.epoch=3"], &["epoch"]);
    refused(d, &["eval", "nowhere"], &["nowhere"]);
    refused(d, &["import", "netflix", "shop.csv", "--out", "out"], &["netflix", "trivago2019"]);
    refused(d, &["init", "shop.csv"], &["exists already", "hint:"]);
    let config = fs::read_to_string(d.join("daogou.toml")).unwrap();
    fs::write(d.join("daogou.toml"), format!("colour = 1\n{config}")).unwrap();
    refused(d, &["train", "daogou.toml"], &["daogou.toml", "colour"]);
    fs::write(d.join("daogou.toml"), config.replace("brand", "brend")).unwrap();
    refused(d, &["train", "daogou.toml"], &["`brend`", "shop.csv"]);
    fs::write(d.join("daogou.toml"), &config).unwrap();
    done(d, &["train", "daogou.toml", "--run-dir", "run"]);
    let model = d.join("run/model.safetensors");
    let mut bytes = fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&model, bytes).unwrap();
    refused(d, &["eval", "run"], &["model.safetensors"]);
    replace(d, "run/manifest.json", "\"format_version\": 1", "\"format_version\": 99");
    refused(d, &["eval", "run"], &["99"]);
    fs::write(d.join("run/manifest.json"), "{\"format\": \"something\"}").unwrap();
    refused(d, &["eval", "run"], &["manifest.json"]);
}

/// Rewrites the shop's rows, header first.
fn rewrite(d: &Path, file: &str, mut line: impl FnMut(usize, Vec<&str>) -> String) {
    let text = fs::read_to_string(d.join("shop.csv")).unwrap();
    let rows = text.lines().enumerate().map(|(i, l)| line(i, l.split(',').collect()));
    fs::write(d.join(file), rows.collect::<String>()).unwrap();
}

#[test]
fn every_form_of_a_log_trains_to_the_same_weights() {
    let directory = prepared();
    let d = directory.path();
    let weights = |form: &str, delimiter: &str, files: &str| {
        let config = fs::read_to_string(d.join("daogou.toml")).unwrap();
        let data = format!("impressions = [\"{files}\"]\ndelimiter = \"{delimiter}\"");
        let config = config.replacen("impressions = [\"shop.csv\"]", &data, 1);
        assert!(config.contains(&data), "{config}");
        fs::write(d.join("form.toml"), config).unwrap();
        done(d, &["train", "form.toml", "--run-dir", form, "--set", "train.epochs=2"]);
        fs::read(d.join(form).join("model.safetensors")).unwrap()
    };
    let plain = weights("plain", ",", "shop.csv");
    let same = |form: &str, delimiter: &str, files: &str| {
        assert!(weights(form, delimiter, files) == plain, "{form}");
    };
    rewrite(d, "windows.csv", |i, row| {
        format!("{}{}\r\n", if i == 0 { "\u{feff}" } else { "" }, row.join(","))
    });
    same("windows", ",", "windows.csv");
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&fs::read(d.join("shop.csv")).unwrap()).unwrap();
    fs::write(d.join("packed.csv.gz"), packed.finish().unwrap()).unwrap();
    same("packed", ",", "packed.csv.gz");
    rewrite(d, "semicolons.csv", |_, row| row.join(";") + "\n");
    same("semicolons", ";", "semicolons.csv");
    rewrite(d, "tabs.tsv", |_, row| row.join("\t") + "\n");
    same("tabs", "\\t", "tabs.tsv");
    // Cells with the delimiter, quotes and a line break in them.
    rewrite(d, "quoted.csv", |i, row| {
        let brand =
            if i == 0 { row[2].into() } else { format!("\"{}, \"\"the\"\"\nbrand\"", row[2]) };
        format!("{},{},{brand},{}\n", row[0], row[1], row[3..].join(","))
    });
    same("quoted", ",", "quoted.csv");
    let names = ["user_id", "item_id", "brand", "price", "click", "purchase", "category"];
    rewrite(d, "lines.jsonl", |i, row| {
        if i == 0 {
            return String::new();
        }
        let number = |name: &str| ["price", "click", "purchase"].contains(&name);
        let cells = names.iter().zip(&row).rev().map(|(name, cell)| {
            if number(name) {
                format!("\"{name}\":{cell}")
            } else {
                format!("\"{name}\":\"{cell}\"")
            }
        });
        format!("{{{}}}\n", cells.collect::<Vec<_>>().join(","))
    });
    same("lines", ",", "lines.jsonl");
    rewrite(d, "part-1.csv", |i, row| if i < 100 { row.join(",") + "\n" } else { String::new() });
    rewrite(
        d,
        "part-2.csv",
        |i, row| {
            if i == 0 || i >= 100 { row.join(",") + "\n" } else { String::new() }
        },
    );
    same("globs", ",", "part-*.csv");
    refused(
        d,
        &["train", "daogou.toml", "--set", "data.impressions=[\"none-*.csv\"]"],
        &["data.impressions", "no file matches", "none-*.csv"],
    );
}

#[test]
fn json_lines_may_lack_what_is_not_needed() {
    let directory = prepared();
    let d = directory.path();
    let mut lines: Vec<String> = Vec::new();
    for i in 0..60 {
        let (user, item) = (i * 7 % 8, i * 5 % 6);
        let click = u8::from((user + item + i / 12) % 3 == 0);
        let brand =
            if i % 4 == 0 { String::new() } else { format!(",\"brand\":\"b{}\"", item % 2) };
        lines.push(format!(
            "{{\"user_id\":\"u{user}\",\"item_id\":{item},\"price\":{},\"click\":{click},\"purchase\":{},\"category\":\"c{}\"{brand}}}",
            100 + item, u8::from(click == 1 && i % 2 == 0), item % 3
        ));
    }
    replace(d, "daogou.toml", "shop.csv", "shop.jsonl");
    let write =
        |lines: &[String]| fs::write(d.join("shop.jsonl"), lines.join("\n") + "\n").unwrap();
    write(&lines);
    done(d, &TRAIN);
    let good = lines.clone();
    for (from, to, parts) in [
        ("\"user_id\":\"u4\",", "", ["shop.jsonl:13", "`user_id`", "an id"]),
        ("\"click\":", "\"clicked\":", ["shop.jsonl:13", "`click`", "0 or 1"]),
        ("\"user_id\":", "\"user_id\"=", ["shop.jsonl:13", "JSON object", "expected"]),
    ] {
        lines.clone_from(&good);
        assert!(lines[12].contains(from), "{}", lines[12]);
        lines[12] = lines[12].replacen(from, to, 1);
        write(&lines);
        refused(d, &["train", "daogou.toml", "--run-dir", "other"], &parts);
        assert!(!d.join("other").exists());
    }
}

#[test]
fn a_header_and_a_time_are_read_strictly() {
    let directory = tempfile::tempdir().unwrap();
    let d = directory.path();
    shop(d);
    rewrite(d, "twice.csv", |i, row| {
        format!("{},{}\n", row.join(","), if i == 0 { "price" } else { "1" })
    });
    done(d, &["init", "shop.csv"]);
    replace(d, "daogou.toml", "shop.csv", "twice.csv");
    refused(d, &TRAIN, &["twice.csv", "one column `price`, found two", "hint:"]);
    fs::remove_file(d.join("daogou.toml")).unwrap();

    let time = |i: usize| {
        if i == 0 { "time".into() } else { format!("2026-01-{:02} 12:00:00", 1 + i / 10) }
    };
    rewrite(d, "times.csv", |i, row| format!("{},{}\n", row.join(","), time(i)));
    done(d, &["init", "times.csv"]);
    done(d, &["train", "daogou.toml", "--run-dir", "run", "--set", "train.epochs=1"]);
    done(d, &["eval", "run"]);
    // The log changes under the run: its users and items may no longer be those of the run.
    replace(d, "times.csv", "u7,p5,b1,350", "u6,p5,b1,350");
    refused(d, &["eval", "run"], &["the log changed", "fingerprint", "hint:", "--data"]);
    done(d, &["eval", "run", "--data", "times.csv"]);
    replace(d, "times.csv", "2026-01-03 12:00:00", "the third of May");
    refused(
        d,
        &["train", "daogou.toml", "--run-dir", "other"],
        &["times.csv:21", "`time`", "a time", "the third of May"],
    );
    assert!(!d.join("other").exists());
}

#[test]
fn a_parquet_file_cut_anywhere_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let d = directory.path();
    done(d, &["simulate", "--out", "shop", "--users", "20", "--items", "30", "--requests", "200"]);
    let log = d.join("shop/impressions.parquet");
    let whole = fs::read(&log).unwrap();
    for keep in [whole.len() - 1, whole.len() / 2, 8, 0] {
        fs::write(&log, &whole[..keep]).unwrap();
        refused(
            d,
            &["train", "shop/daogou.toml", "--run-dir", "run"],
            &["impressions.parquet", "Parquet"],
        );
        assert!(!d.join("run").exists());
    }
    // Whole by its length and ends, but with a page overwritten.
    let mut hole = whole.clone();
    hole[whole.len() / 3..whole.len() / 3 + 400].fill(0xa5);
    fs::write(&log, &hole).unwrap();
    refused(d, &["train", "shop/daogou.toml", "--run-dir", "run"], &["impressions.parquet"]);
    fs::write(&log, &whole).unwrap();
    done(d, &["train", "shop/daogou.toml", "--run-dir", "run", "--set", "train.epochs=1"]);
}

#[test]
fn strangers_and_wild_numbers_are_met_with_an_answer() {
    let directory = prepared();
    let d = directory.path();
    done(d, &TRAIN);
    fs::write(d.join("new.csv"), "user_id,item_id,brand,price,category\nx,y,z,5,q\n,y,z,5,q\n")
        .unwrap();
    let predict = ["predict", "run", "--input", "new.csv", "--output", "out.csv"];
    refused(d, &predict, &["new.csv:3", "`user_id`", "an id"]);
    assert!(!d.join("out.csv").exists());
    fs::write(d.join("new.csv"), "user_id,item_id,brand,price,category\nx,y,z,5,q\n").unwrap();
    let output = daogou(d, &predict);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success()
            && said.contains("of 1 rows 1 are of unknown users, 1 of unknown items"),
        "{said}"
    );
    // Someone who is not in the log gets what the log says about everyone.
    let scored = fs::read_to_string(d.join("out.csv")).unwrap();
    let p: f64 = scored.lines().nth(1).unwrap().split(',').nth(5).unwrap().parse().unwrap();
    assert!(p > 0.0 && p < 1.0, "{scored}");

    let many = done(
        d,
        &["recommend", "run", "--user", "u1", "-k", "18446744073709551615", "--format", "json"],
    );
    let many: Value = serde_json::from_str(&many).unwrap();
    assert_eq!(many["items"].as_array().unwrap().len(), 6, "all there are");
    refused(d, &["recommend", "run", "--user", "u1", "-k", "0"], &["`k`", "at least 1"]);
    let mut all = vec!["recommend", "run", "--user", "u1"];
    all.extend(["p0", "p1", "p2", "p3", "p4", "p5"].iter().flat_map(|item| ["--exclude", item]));
    refused(d, &all, &["no item is left", "hint:"]);
    refused(d, &["recommend", "run", "--user", "u1", "--context", "mood=5"], &["context", "mood"]);
    refused(d, &["recommend", "run", "--user", "u1", "--context", "mood"], &["column=value"]);
}

#[test]
fn lists_need_no_category_and_no_price() {
    let directory = tempfile::tempdir().unwrap();
    let d = directory.path();
    shop(d);
    // A request of six items each, as lists of them are measured.
    rewrite(d, "bare.csv", |i, row| match i {
        0 => "user_id,item_id,request_id,click\n".into(),
        _ => format!("u{},{},r{},{}\n", (i - 1) / 6 % 8, row[1], (i - 1) / 6, row[4]),
    });
    done(d, &["init", "bare.csv"]);
    done(d, &["train", "daogou.toml", "--run-dir", "run", "--set", "train.epochs=1"]);
    let report: Value =
        serde_json::from_str(&done(d, &["eval", "run", "--format", "json"])).unwrap();
    let model = &report["lists"]["built"]["model"];
    assert!(model["catalogue_coverage"].is_number() && model["kl"].is_null(), "{model}");
    assert!(model["category_entropy"].is_null() && model["unseen_share"].is_null(), "{model}");
}

#[test]
fn weights_of_another_run_are_refused() {
    let directory = prepared();
    let d = directory.path();
    done(d, &["train", "daogou.toml", "--run-dir", "run", "--set", "train.epochs=1"]);
    done(
        d,
        &[
            "train",
            "daogou.toml",
            "--run-dir",
            "other",
            "--set",
            "train.epochs=1",
            "--set",
            "model.embedding_dim=4",
        ],
    );
    let model = |run: &str| d.join(run).join("model.safetensors");
    fs::copy(model("other"), model("run")).unwrap();
    refused(d, &["eval", "run"], &["model.safetensors", "damaged"]);
    // Even with a manifest that vouches for it.
    let manifest = |run: &str| -> Value {
        serde_json::from_slice(&fs::read(d.join(run).join("manifest.json")).unwrap()).unwrap()
    };
    let mut forged = manifest("run");
    forged["files"]["model.safetensors"] = manifest("other")["files"]["model.safetensors"].clone();
    fs::write(d.join("run/manifest.json"), forged.to_string()).unwrap();
    refused(d, &["eval", "run"], &["model.safetensors", "tensor", "expected"]);
}

/// A disk that takes no more, as a limit on the size of files: writing then fails like that, without any privilege.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_half_written() {
    let directory = prepared();
    let d = directory.path();
    let limited = |blocks: u32, arguments: &str| {
        let binary = env!("CARGO_BIN_EXE_daogou");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec '{binary}' {arguments}");
        let output = Command::new("sh").current_dir(d).args(["-c", &script]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(d).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let (code, said) = limited(1, "train daogou.toml --run-dir run");
    assert_eq!(code, Some(2), "{said}");
    for part in ["could not be written", "run", "hint:", "make room"] {
        assert!(said.contains(part), "expected `{part}` in: {said}");
    }
    assert_eq!(names(), before);
    done(d, &TRAIN);
    let whole = fs::read(d.join("run/model.safetensors")).unwrap();
    let before = names();
    let (code, said) = limited(1, "train daogou.toml --run-dir run");
    assert!(code == Some(2) && said.contains("nothing was replaced"), "{said}");
    assert!(whole == fs::read(d.join("run/model.safetensors")).unwrap(), "the earlier run is gone");
    // Wherever it fills up, at a checkpoint or at any file of the finished run, until there is room for all of them.
    let fits = (1..=16).map(|n| 1 << n).find(|&blocks| {
        let (code, said) = limited(blocks, "train daogou.toml --run-dir run");
        if code == Some(0) {
            return true;
        }
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("could not be written") && said.contains("make room"), "{said}");
        assert!(whole == fs::read(d.join("run/model.safetensors")).unwrap(), "{blocks} blocks");
        done(d, &["eval", "run"]);
        false
    });
    assert!(fits.is_some_and(|blocks| blocks > 2), "{fits:?}");
    assert_eq!(names(), before);
    for output in ["out.csv", "out.jsonl", "out.csv.gz", "out.parquet"] {
        let (code, said) = limited(1, &format!("predict run --input shop.csv --output {output}"));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(output) && said.contains("could not be written"), "{said}");
    }
    assert_eq!(names(), before);
}

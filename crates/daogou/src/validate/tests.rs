use std::fmt::Write as _;

use super::*;

const CONFIG: &str = r#"
    [data]
    impressions = ["log.csv"]
    [data.split]
    method = "time"
    [columns]
    time = "time"
    [[feature]]
    name = "item_id"
    side = "item"
    type = "id"
    [[feature]]
    name = "price"
    side = "impression"
    type = "number"
    transform = "log1p"
    [[task]]
    name = "click"
    kind = "binary"
    [[task]]
    name = "purchase"
    kind = "binary"
"#;

const HEADER: &str = "user_id,item_id,time,price,click,purchase,extra\n";

/// A log without fault: one click in three, one purchase in two clicks.
fn log(n: usize) -> String {
    let mut text = String::from(HEADER);
    for row in 0..n {
        let click = usize::from(row * 7 % 3 == 0);
        let purchase = click * usize::from(row * 11 % 5 < 2);
        let (user, item, price) = (row % 9, row * 5 % 17, row * 13 % 29);
        writeln!(text, "{user},{item},{},{price},{click},{purchase},{}", 1000 + row, row % 2)
            .unwrap();
    }
    text
}

fn found(config: &str, files: &[(&str, &str)]) -> Findings {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let config = toml::from_str(config).unwrap();
    validate(&config, directory.path()).unwrap()
}

/// Exactly one finding, of this kind and with these words.
fn only(findings: &Findings, error: bool, words: &[&str]) {
    let (one, none) = if error {
        (&findings.errors, &findings.warnings)
    } else {
        (&findings.warnings, &findings.errors)
    };
    assert!(one.len() == 1 && none.is_empty(), "{findings:#?}");
    for word in words {
        assert!(one[0].contains(word), "{word} not in {}", one[0]);
    }
}

#[test]
fn a_good_log_has_no_findings() {
    assert_eq!(found(CONFIG, &[("log.csv", &log(400))]), Findings::default());
}

#[test]
fn a_missing_column_is_named_with_a_near_one() {
    let config = CONFIG.replace("\"price\"", "\"prize\"");
    only(
        &found(&config, &[("log.csv", &log(40))]),
        true,
        &["feature.prize.column", "did you mean `price`?"],
    );
    let config = CONFIG.replace("time = \"time\"", "time = \"when\"");
    only(&found(&config, &[("log.csv", &log(40))]), true, &["columns.time", "no column `when`"]);
}

#[test]
fn a_label_is_no_input() {
    let config = CONFIG.replace("name = \"item_id\"", "name = \"f\"\ncolumn = \"click\"");
    let words = ["feature.f.column", "`click` is the label of task `click`"];
    only(&found(&config, &[("log.csv", &log(40))]), true, &words);
}

#[test]
fn a_missing_file_and_a_contradiction_are_findings() {
    only(&found(CONFIG, &[]), true, &["data.impressions", "log.csv"]);
    let config = CONFIG.replace("log1p", "buckets\"\nbuckets = 1\ncolumn = \"price");
    only(&found(&config, &[("log.csv", &log(40))]), true, &["feature.price"]);
}

#[test]
fn bad_cells_are_named_and_tolerated_only_if_asked() {
    for (cell, words) in [
        ("1,2,1,5,0.5,0,1\n", ["log.csv:402", "`click`", "expected 0 or 1, got `0.5`"]),
        ("1,2,1,-5,0,0,1\n", ["log.csv:402", "`price`", "at least 0, got `-5`"]),
        ("1,2,1,NaN,0,0,1\n", ["log.csv:402", "`price`", "a number, got `NaN`"]),
        ("1,2,1,,0,0,1\n", ["log.csv:402", "`price`", "set `missing`"]),
        ("1,2,noon,1,0,0,1\n", ["log.csv:402", "`time`", "got `noon`"]),
        (",2,1,1,0,0,1\n", ["log.csv:402", "`user_id`", "expected an id"]),
        ("1,2,1\n", ["log.csv:402", "expected 7 fields, got 3", "1 of 401 rows"]),
    ] {
        let text = log(400) + cell;
        only(&found(CONFIG, &[("log.csv", &text)]), true, &words);
        let lenient = CONFIG.replace("[data]", "[data]\nmax_bad_share = 0.01");
        only(&found(&lenient, &[("log.csv", &text)]), false, &words);
    }
}

#[test]
fn labels_that_cannot_be_learnt() {
    let text = log(400).lines().enumerate().fold(String::new(), |mut out, (row, line)| {
        let mut cells: Vec<&str> = line.split(',').collect();
        if row > 0 {
            (cells[4], cells[5]) = ("0", "0");
        }
        writeln!(out, "{}", cells.join(",")).unwrap();
        out
    });
    let findings = found(CONFIG, &[("log.csv", &text)]);
    assert_eq!(findings.errors.len(), 2, "{findings:?}");
    assert!(findings.errors[0].contains("`click` is never 1 in 400 rows"), "{findings:?}");

    let text = log(400) + "1,2,2000,1,0,1,1\n";
    only(
        &found(CONFIG, &[("log.csv", &text)]),
        true,
        &["`purchase`", "1 of 401 rows are bought but not clicked"],
    );
    let config = CONFIG
        .replace("name = \"purchase\"", "name = \"purchase\"\nobjective = \"all_impressions\"");
    assert!(found(&config, &[("log.csv", &text)]).passed());
}

#[test]
fn columns_that_say_nothing_or_the_same_or_too_much() {
    let extra = |name: &str| {
        format!("{CONFIG}\n[[feature]]\nname = \"{name}\"\nside = \"impression\"\ntype = \"id\"\n")
    };
    let with = |value: &dyn Fn(&[&str], usize) -> String| {
        log(400).lines().enumerate().fold(String::new(), |mut out, (row, line)| {
            let cells: Vec<&str> = line.split(',').collect();
            let last = if row == 0 { "extra".into() } else { value(&cells, row) };
            writeln!(out, "{},{last}", cells[..6].join(",")).unwrap();
            out
        })
    };
    let check = |text: &str| found(&extra("extra"), &[("log.csv", text)]);
    only(&check(&with(&|_, _| "x".into())), false, &["`extra`", "same value in all 400 rows"]);
    only(
        &check(&with(&|cells, _| cells[1].into())),
        false,
        &["`item_id` and `extra`", "remove one"],
    );
    // Known but for a few rows: an AUC above 0.99, and not the label itself.
    let nearly =
        with(&|cells, row| if row % 100 == 1 { "u".into() } else { format!("c{}", cells[4]) });
    only(&check(&nearly), false, &["`extra` alone predicts `click`", "AUC of 0.99"]);
    let same = check(&with(&|cells, _| cells[4].into()));
    assert!(same.errors[0].contains("one is a label"), "{same:?}");
}

#[test]
fn tests_must_come_after_training() {
    let config = CONFIG.replace("[data]", "[data]\ntest = [\"test.csv\"]");
    let late = log(100).replace(",10", ",20");
    let (main, test) = (log(90), late.as_str());
    assert_eq!(found(&config, &[("log.csv", &main), ("test.csv", test)]), Findings::default());
    only(
        &found(&config, &[("log.csv", test), ("test.csv", &main)]),
        true,
        &["test files begin at 1000"],
    );

    let random = CONFIG.replace("\"time\"\n    [columns]", "\"random\"\n    [columns]");
    only(
        &found(&random, &[("log.csv", &log(400))]),
        false,
        &["data.split.method", "earlier than training"],
    );
    let from = CONFIG.replace("[data.split]", "[data.split]\ntest_from = \"2020-01-01T00:00:00Z\"");
    only(&found(&from, &[("log.csv", &log(400))]), true, &["test_from", "from 1000 to 1399"]);
    let order = CONFIG.replace("\"time\"\n    [columns]", "\"row_order\"\n    [columns]");
    assert!(found(&order, &[("log.csv", &log(400))]).passed());
    let text = log(400) + "1,2,1,5,0,0,1\n";
    only(&found(&order, &[("log.csv", &text)]), true, &["row_order", "1 rows are earlier"]);
}

#[test]
fn side_tables_and_event_logs() {
    let config = CONFIG
        .replace("[data]", "[data]\nitems = \"items.csv\"")
        .replace("[[task]]\n    name = \"click\"", "[[feature]]\nname = \"brand\"\nside = \"item\"\ntype = \"id\"\n[[task]]\n    name = \"click\"");
    let items = |n: usize| {
        (0..n).fold(String::from("item_id,brand\n"), |mut out, item| {
            writeln!(out, "{item},b{}", item % 3).unwrap();
            out
        })
    };
    let log = log(400);
    assert_eq!(
        found(&config, &[("log.csv", &log), ("items.csv", &items(17))]),
        Findings::default()
    );
    let few = found(&config, &[("log.csv", &log), ("items.csv", &items(16))]);
    only(&few, false, &["of 400 rows are about items", "complete the table"]);
    let twice = items(17) + "3,b1\n";
    only(
        &found(&config, &[("log.csv", &log), ("items.csv", &twice)]),
        true,
        &["items.csv:19", "got `3`"],
    );

    let events = "[data]\nevents = [\"e.csv\"]\n[data.event_log]\nclick = [\"view\"]\npurchase = [\"buy\"]\n\
        [columns]\ntime = \"time\"\nevent = \"event\"\n[[task]]\nname = \"click\"\nkind = \"binary\"\n\
        [[task]]\nname = \"purchase\"\nkind = \"binary\"\n";
    let rows = "user_id,item_id,time,event\n1,1,1000,view\n2,1,1001,order\n";
    only(
        &found(events, &[("e.csv", rows)]),
        true,
        &["data.event_log.purchase", "the log has order, view"],
    );
}

#[test]
fn one_user_is_worth_a_word() {
    let text = log(400).lines().enumerate().fold(String::new(), |mut out, (row, line)| {
        let rest = line.split_once(',').unwrap().1;
        writeln!(out, "{},{rest}", if row == 0 { "user_id" } else { "me" }).unwrap();
        out
    });
    only(&found(CONFIG, &[("log.csv", &text)]), false, &["one user"]);
}

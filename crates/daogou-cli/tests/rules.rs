//! Rules of lists as people meet them: in the configuration, as flags, and what they hear of rules that cannot be met.

mod binary;

use std::fs;
use std::path::Path;

use binary::{daogou, done, prepared, refused};
use serde_json::Value;

const ASK: [&str; 6] = ["recommend", "run", "--user", "u1", "-k", "3"];

/// A list as JSON.
fn list(d: &Path, more: &[&str]) -> Value {
    let arguments = [&ASK[..], more, &["--format", "json"]].concat();
    serde_json::from_str(&done(d, &arguments)).unwrap()
}

/// One text of every item of a list.
fn column(list: &Value, name: &str) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item[name].as_str().unwrap().to_string()).collect()
}

#[test]
fn flags_of_a_request_hold() {
    let directory = prepared();
    let d = directory.path();
    done(d, &["train", "daogou.toml", "--run-dir", "run", "--set", "train.epochs=2"]);
    let of = |more: &[&str]| column(&list(d, more), "category");
    let ids = |more: &[&str]| column(&list(d, more), "item_id");
    for value in ["c0", "c1", "c2"] {
        let is = |category: &&String| *category == value;
        let none = of(&["--quota", &format!("category={value}:max=0")]);
        assert!(none.len() == 3 && none.iter().filter(is).count() == 0, "{none:?}");
        let both = of(&["--quota", &format!("category={value}:min=2,max=2")]);
        assert_eq!(both.iter().filter(is).count(), 2, "{both:?}");
    }
    let mut each = of(&["--quota", "category:max=1"]);
    each.sort();
    assert_eq!(each, ["c0", "c1", "c2"]);
    let spaced = of(&["--spacing", "category=1"]);
    assert!(spaced.windows(2).all(|pair| pair[0] != pair[1]), "{spaced:?}");
    let mut cheap = ids(&["--price", "100..200"]);
    cheap.sort();
    assert_eq!(cheap, ["p0", "p1", "p2"]);
    assert_eq!(ids(&["--price", "..100"]), ["p0"], "all there are");

    // A pin, its reason, and what the others say.
    let pinned = list(d, &["--pin", "p5@2", "--exclude", "p0"]);
    assert_eq!(pinned["items"][1]["item_id"], "p5");
    assert_eq!(pinned["items"][1]["reasons"]["moved_by"], "pinned to place 2");
    let free = list(d, &[]);
    for item in free["items"].as_array().unwrap() {
        assert!(item["reasons"]["moved_by"].is_null(), "{item}");
    }
    let top = list(d, &["--builder", "top_k"]);
    assert!(top["items"][0]["reasons"]["displaced"].is_null());
    let worst: Vec<String> = (0..6).map(|i| format!("p{i}")).collect();
    let worst = worst.iter().find(|id| !column(&top, "item_id").contains(id)).unwrap();
    let pin = format!("{worst}@1");
    let pinned = list(d, &["--builder", "top_k", "--pin", &pin]);
    let third = top["items"][2]["item_id"].as_str().unwrap();
    assert_eq!(pinned["items"][0]["reasons"]["displaced"], third);
    let text = done(d, &[&ASK[..], &["--builder", "top_k", "--pin", &pin, "--explain"]].concat());
    for part in ["rule: pinned to place 1", &format!("instead of {third}"), "ILD", "revenue"] {
        assert!(text.contains(part), "expected `{part}` in {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn rules_that_cannot_be_met_get_a_sentence() {
    let directory = prepared();
    let d = directory.path();
    done(d, &["train", "daogou.toml", "--run-dir", "run", "--set", "train.epochs=1"]);
    let cases: &[(&[&str], &[&str])] = &[
        (&["--quota", "maker:max=1"], &["lists.quota", "expected one of category", "`maker`"]),
        (&["--quota", "brand=b7:max=1"], &["`brand`: expected one of b", "got `b7`"]),
        (&["--quota", "category=c0"], &["expected `attribute=value:limit=number`", "hint:"]),
        (
            &["--quota", "category=c0:min=3"],
            &["rule `category c0` (at least 3): cannot be met, 2 such candidates"],
        ),
        (
            &["--quota", "category=c0:min=2", "--quota", "category=c1:min=2"],
            &["with other minima it asks for 4 of 3 places"],
        ),
        (&["--quota", "category:max=0"], &["rules `category` (at most 0)", "fill 0"]),
        (&["--spacing", "category"], &["expected `attribute=number`", "hint:"]),
        (&["--pin", "p9@1"], &["lists.pin", "expected an item of the catalogue, got `p9`"]),
        (&["--pin", "p1@1", "--exclude", "p1"], &["`p1` is excluded from this list"]),
        (&["--pin", "p1@1", "--pin", "p2@1"], &["`p1` and `p2` are both pinned to place 1"]),
        (&["--pin", "p1@1", "--pin", "p1@2"], &["`p1` is pinned to places 1 and 2"]),
        (&["--pin", "p1@4"], &["pin of `p1` at place 4: the list has 3 places"]),
        (
            &["--pin", "p5@1", "--price", "..200"],
            &["pin of `p5` at place 1: another rule excludes it: `price` (at most 200)"],
        ),
        (
            &["--pin", "p0@1", "--pin", "p3@2", "--spacing", "category=1"],
            &["rule `category` (at most 1 in 2 places): the pins break it", "`p"],
        ),
        (
            &["--price", "5000.."],
            &["all 6 candidates are excluded: 6 by `price` (at least 5000)", "hint:"],
        ),
        (&["--price", "20"], &["expected `lowest..highest`, got `20`", "hint:"]),
        (&["--price", "9..1"], &["lists.price_max", "at least the lowest price, 9, got 1"]),
        (&["--seen", "some"], &["lists.seen", "got `some`"]),
        (&["--builder", "best"], &["lists.builder", "expected one of auto", "got `best`"]),
        (&["--objectives", "click=-1"], &["lists.objectives.click", "at least 0, got -1"]),
        (&["--objectives", "luck=1"], &["lists.objectives.luck", "expected one of click"]),
    ];
    for (more, parts) in cases {
        refused(d, &[&ASK[..], more].concat(), parts);
    }
}

#[test]
fn configured_rules_hold_in_every_list_and_floors_are_priced() {
    let directory = prepared();
    let d = directory.path();
    let config = fs::read_to_string(d.join("daogou.toml")).unwrap();
    let train = |rules: &str| {
        fs::write(d.join("ruled.toml"), format!("{config}\n{rules}")).unwrap();
        let sets = ["--set", "train.epochs=1", "--set", "lists.k=3"];
        [&["train", "ruled.toml", "--run-dir", "run"], &sets[..]].concat()
    };
    // What the log has none of is said before training.
    for (rules, parts) in [
        (
            "[[lists.quota]]\nof = \"category\"\nvalue = \"case\"\nmax = 1\n",
            ["lists.quota", "case"],
        ),
        ("[[lists.pin]]\nitem = \"p9\"\nplace = 1\n", ["lists.pin", "p9"]),
        ("[[lists.bonus]]\nof = \"brand\"\nvalue = \"b9\"\nadd = 0.1\n", ["lists.bonus", "b9"]),
        ("[[lists.floor]]\nof = \"brand\"\nvalue = \"b9\"\nshare = 0.1\n", ["lists.floor", "b9"]),
        (
            "[[lists.floor]]\nof = \"maker\"\nvalue = \"b1\"\nshare = 0.1\n",
            ["lists.floor", "maker"],
        ),
        ("[[lists.quota]]\nof = \"brand\"\nmost = 1\n", ["most", "max"]),
    ] {
        refused(d, &train(rules), &parts);
        assert!(!d.join("run").exists());
    }
    done(
        d,
        &train(
            "[[lists.quota]]\nof = \"category\"\nmax = 1\n\
             [[lists.pin]]\nitem = \"p4\"\nplace = 3\n\
             [[lists.bonus]]\nof = \"brand\"\nvalue = \"b1\"\nadd = 0.5\n\
             [[lists.floor]]\nof = \"brand\"\nvalue = \"b0\"\nshare = 0.6\n",
        ),
    );
    let made = list(d, &[]);
    let mut categories = column(&made, "category");
    categories.sort();
    assert_eq!(categories, ["c0", "c1", "c2"]);
    assert_eq!(made["items"][2]["item_id"], "p4");
    for item in made["items"].as_array().unwrap() {
        let odd = ["p1", "p3", "p5"].contains(&item["item_id"].as_str().unwrap());
        let bonus = item["contributions"]["bonus"].as_f64().unwrap();
        assert!(!odd || (bonus - 0.5).abs() < 1e-6, "{item}");
    }
    refused(d, &[&ASK[..], &["--pin", "p1@3"]].concat(), &["`p4` and `p1`", "place 3"]);
    let inspected: Value =
        serde_json::from_str(&done(d, &["inspect", "run", "--format", "json"])).unwrap();
    let floor = &inspected["exposure"]["floors"][0];
    assert!(floor["reached"].as_f64().unwrap() >= 0.59 && floor["price"].as_f64().unwrap() > 0.0);
    let text = done(d, &["inspect", "run"]);
    assert!(text.contains("exposure floor") && text.contains("brand b0"), "{text}");
    assert!(done(d, &["eval", "run"]).contains("exposure floor"));
    assert!(d.join("run/exposure.json").exists());
}

#[test]
fn rerank_holds_to_rules_and_refuses_what_it_cannot() {
    let directory = tempfile::tempdir().unwrap();
    let d = directory.path();
    let rerank = |more: &[&str]| -> Vec<String> {
        let all = [&["rerank", "--input", "s.csv", "--output", "l.csv", "-k", "2"], more].concat();
        done(d, &all);
        let text = fs::read_to_string(d.join("l.csv")).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(2).unwrap().to_string()).collect()
    };
    let rows = "request,item,score,category,brand,price\n\
                r,a,0.9,phone,x,900\nr,b,0.8,phone,x,800\nr,c,0.7,phone,y,700\nr,d,0.1,case,z,10\n";
    fs::write(d.join("s.csv"), rows).unwrap();
    let plain = ["--objectives", "click=1"];
    let ruled = |more: &[&str]| rerank(&[&plain, more].concat());
    assert_eq!(ruled(&[]), ["a", "b"]);
    assert_eq!(ruled(&["--quota", "brand:max=1"]), ["a", "c"]);
    assert_eq!(ruled(&["--spacing", "category=1"]), ["a", "d"]);
    assert_eq!(ruled(&["--price", "..800"]), ["b", "c"]);
    assert_eq!(ruled(&["--pin", "d@1"]), ["d", "a"]);
    let call = ["rerank", "--input", "s.csv", "--output", "no.csv"];
    for (more, parts) in [
        (["--quota", "seller:max=1"], ["s.csv", "expected a column `seller` for quotas"]),
        (["--seen", "exclude"], ["s.csv", "expected a column `novel`"]),
        (["--pin", "e@1"], ["request `r`", "got `e`"]),
        (["--quota", "category=case:min=2"], ["request `r`", "rule `category case`"]),
    ] {
        refused(d, &[&call[..], &more].concat(), &parts);
    }
    for (text, part) in [
        ("request,item,score\n", "has no rows"),
        ("request,item,score\nr,a,NaN\n", "expected a number, got `NaN`"),
        ("request,item,score,category\nr,a,0.5,\nr,b,x,\n", "column `score`"),
    ] {
        fs::write(d.join("s.csv"), text).unwrap();
        refused(d, &call, &["s.csv", part]);
    }
    assert!(!d.join("no.csv").exists(), "nothing is half-written");
    // Nothing is known of the categories: then no list is near to a mix or far from it.
    fs::write(d.join("s.csv"), "request,item,score,category\nr,a,0.5,\nr,b,0.75,\n").unwrap();
    assert_eq!(rerank(&[]), ["b", "a"]);
    assert!(daogou(d, &["rerank", "--help"]).status.success());
}

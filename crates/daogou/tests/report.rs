//! The page about a run: it stands alone, says the same every time, and survives whatever a log holds.

use std::fs;
use std::path::Path;

use daogou::artifact::Provenance;
use daogou::data::Dataset;
use daogou::evaluate::EvaluateOptions;
use daogou::metrics::BootstrapOptions;
use daogou::report::{Material, Report, Series, TradeOff};
use daogou::run::TrainedRun;
use daogou::schema::Config;
use daogou::train::{Options, train};

/// Few replicates: the intervals are not what is tested here.
const OPTIONS: EvaluateOptions = EvaluateOptions {
    bootstrap: BootstrapOptions { replicates: 16, level: 0.95, seed: 1 },
    lists: 40,
};

const HOSTILE: &str = "</svg><script>alert(1)</script>&\"'<img src=x onerror=y>\u{202e}\u{7}";

/// Trains on a configuration beside its files and writes the run.
fn run(directory: &Path, config: &Config) -> TrainedRun {
    let data = Dataset::load(config, directory).unwrap();
    let config = config.with_absolute_paths(directory).unwrap();
    let trained = train(&config, &data, &Options::default(), &mut ()).unwrap();
    let history = trained.history.clone();
    let run = TrainedRun::new(&config, trained, &data);
    let provenance = Provenance {
        created_at: "2026-01-02T03:04:05Z".into(),
        seed: config.train.seed,
        data_fingerprint: data.report.fingerprint.clone(),
        metrics: serde_json::Value::Null,
    };
    run.save(&directory.join("run"), &history, provenance).unwrap();
    run
}

fn report(directory: &Path, trade_offs: &[TradeOff]) -> Report {
    let home = directory.join("run");
    let history = TrainedRun::history(&home).unwrap();
    let (run, manifest) = TrainedRun::open(&home).unwrap();
    let data = run.training_log(&manifest).unwrap();
    let material =
        Material { run: &run, manifest: &manifest, history: &history, data: &data, trade_offs };
    Report::new(&material, &OPTIONS).unwrap()
}

/// Anchors of the sections of a page, in order.
fn sections(html: &str) -> Vec<&str> {
    html.split("<section id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// What holds for every page.
fn check(report: &Report, directory: &Path) {
    let html = report.html();
    for tag in tags(html) {
        let name = tag.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap();
        let loads = ["script", "link", "img", "image", "iframe", "object", "embed", "form", "use"];
        assert!(!loads.contains(&name), "<{tag}>");
        let bare = tag.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for outside in ["http:", "https:", "//", " src", " on", "javascript", "url("] {
            assert!(!bare.contains(outside), "<{tag}>");
        }
    }
    let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    assert!(!style.contains("url(") && !style.contains("@import"));
    assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    let path = directory.to_string_lossy();
    assert!(!html.contains(&*path), "{}", around(html, &path));
    for nonsense in ["NaN", "inf ", "Infinity", "#DA90"] {
        assert!(!html.contains(nonsense), "`{nonsense}`: {}", around(html, nonsense));
    }
    let charts: Vec<(&str, &str)> = report.charts().collect();
    assert_eq!(html.matches("<svg").count(), charts.len());
    assert_eq!(html.matches("<figure").count(), charts.len());
    for figure in html.split("<figure").skip(1) {
        let figure = figure.split("</figure>").next().unwrap();
        assert!(figure.contains("role=\"img\"") && figure.contains("<title id="), "{figure}");
        assert!(figure.contains("<details") && figure.contains("<table"), "{figure}");
        let rows = figure.split("<tbody>").nth(1).unwrap().matches("<tr").count();
        assert!(rows > 0, "{figure}");
    }
    let mut names: Vec<&str> = charts.iter().map(|chart| chart.0).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), charts.len(), "two charts of one name");
    for (name, svg) in &charts {
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{name}");
        assert!(svg.contains("prefers-color-scheme: dark"), "{name} has its own colours");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
    }
    // Every anchor leads somewhere, and only to one place.
    let mut ids: Vec<&str> =
        html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for target in html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(ids.contains(&target), "{target}");
    }
    let n = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), n, "an id stands twice");
}

/// What stands between `<` and `>`: everything else is text, in which `<` is escaped.
fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<').skip(1).filter_map(|rest| rest.split('>').next())
}

/// Where something stands, for a message.
fn around(text: &str, part: &str) -> String {
    let Some(at) = text.find(part) else { return String::new() };
    let chars: Vec<char> = text[..at].chars().collect();
    let before: String = chars[chars.len().saturating_sub(60)..].iter().collect();
    format!("{before}{}", text[at..].chars().take(60).collect::<String>())
}

#[test]
fn a_shop_with_everything_gives_every_section() {
    let home = tempfile::tempdir().unwrap();
    let d = home.path();
    let options =
        daogou::simulate::Options { users: 80, items: 150, requests: 3000, ..Default::default() };
    daogou::simulate::run(&options, d, &mut |_| {}).unwrap();
    let mut config = Config::read(&d.join("daogou.toml")).unwrap();
    config.train.epochs = 2;
    run(d, &config);
    let series = |name: &str, line| Series {
        name: name.into(),
        points: vec![(0.1, 0.5), (0.2, 0.75), (0.4, 0.8)],
        line,
    };
    let trade_off = TradeOff {
        title: format!("Clicks {HOSTILE}"),
        x: "KL, nats".into(),
        y: "expected clicks".into(),
        series: vec![series("exact", true), series(HOSTILE, false)],
        note: HOSTILE.into(),
    };
    let page = report(d, std::slice::from_ref(&trade_off));
    check(&page, d);
    let html = page.html();
    let all = [
        "run",
        "learning",
        "metrics",
        "reliability",
        "trade-offs",
        "lists",
        "mix",
        "exposure",
        "segments",
        "examples",
    ];
    assert_eq!(sections(html), all);
    assert!(html.contains("2026-01-02 03:04:05 UTC"), "the run's time, not this one's");
    for part in ["CTR", "CVR", "CTCVR", "Diversity", "Novelty", "user: new", "age: ", "too few"] {
        assert!(html.contains(part), "{part}");
    }
    assert_eq!(html.matches("class=\"phone\"").count(), 5);
    assert_eq!(html.matches("class=\"card\"").count(), 5 * config.lists.k);

    let again = report(d, &[trade_off]);
    assert!(html == again.html(), "the same run gives the same page");
    assert!(page.charts().eq(again.charts()));

    let without = report(d, &[]);
    assert!(!sections(without.html()).contains(&"trade-offs"));
    let target = d.join("run/report.html");
    without.write(&target).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), without.html());
    let written = fs::read_dir(d.join("run/charts")).unwrap().count();
    assert_eq!(written, without.charts().count());
    TrainedRun::open(&d.join("run")).unwrap();
    // A run that replaces this one takes its page along.
    run(d, &config);
    assert!(!target.exists() && !d.join("run/charts").exists(), "a page about another run");
    let error = without.write(d).unwrap_err().to_string();
    assert!(error.contains("expected a file to write"), "{error}");
}

/// Rows of a small log; `columns` are written as they come from `row`.
fn log(directory: &Path, header: &str, row: impl Fn(u32) -> String) {
    let rows: String = (0..600).map(|i| row(i) + "\n").collect();
    fs::write(directory.join("log.csv"), format!("{header}\n{rows}")).unwrap();
}

fn config(directory: &Path, columns: &str, text: &str) -> Config {
    let path = directory.join("daogou.toml");
    let common = "[data]\nimpressions = [\"log.csv\"]\n[train]\nepochs = 1\nbatch_size = 64\n";
    fs::write(&path, format!("{common}[columns]\n{columns}{text}")).unwrap();
    Config::read(&path).unwrap()
}

const IDS: &str = "[[feature]]\nname = \"user_id\"\nside = \"user\"\ntype = \"id\"\n\
                   [[feature]]\nname = \"item_id\"\nside = \"item\"\ntype = \"id\"\n";

#[test]
fn clicks_alone_give_the_sections_that_apply() {
    let home = tempfile::tempdir().unwrap();
    let d = home.path();
    log(d, "user_id,item_id,click", |i| {
        let (user, item) = (i * 7 % 11, i * 5 % 13);
        format!("u{user},p{item},{}", u32::from((user + item + i / 31) % 3 == 0))
    });
    let text = format!(
        "{IDS}[data.split]\nmethod = \"random\"\n[[task]]\nname = \"click\"\nkind = \"binary\"\n"
    );
    run(d, &config(d, "", &text));
    let page = report(d, &[]);
    check(&page, d);
    // Neither categories nor a purchase, nor time.
    let expected =
        ["run", "learning", "metrics", "reliability", "lists", "exposure", "segments", "examples"];
    assert_eq!(sections(page.html()), expected);
    for part in ["CVR", "user: new", "wanted new", "Diversity"] {
        assert!(!page.html().contains(part), "{part}");
    }
}

#[test]
fn a_task_that_builds_no_lists_is_measured_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let d = home.path();
    log(d, "user_id,item_id,like", |i| {
        format!("u{},p{},{}", i % 9, i * 5 % 13, u32::from(i * i % 7 < 3))
    });
    let text = format!(
        "{IDS}[data.split]\nmethod = \"row_order\"\n[[task]]\nname = \"like\"\nkind = \"binary\"\n\
         [lists.objectives]\nclick = 1.0\n"
    );
    run(d, &config(d, "", &text));
    let page = report(d, &[]);
    check(&page, d);
    let expected = ["run", "learning", "metrics", "reliability", "segments"];
    assert_eq!(sections(page.html()), expected);
}

#[test]
fn whatever_a_log_holds_is_text() {
    let home = tempfile::tempdir().unwrap();
    let d = home.path();
    let quoted = format!("\"{}\"", HOSTILE.replace('"', "\"\""));
    log(d, "user_id,item_id,click,purchase,category,title,group", |i| {
        let (user, item) = (i * 7 % 11, i * 5 % 13);
        let click = u32::from((user + item + i / 31) % 3 == 0);
        let purchase = u32::from(click == 1 && i % 4 == 0);
        let id = |n: u32| quoted.replace("alert", &format!("alert{n}"));
        let category = id(item % 3);
        format!("{},{},{click},{purchase},{category},{quoted},{}", id(user), id(item), id(user % 2))
    });
    let text = format!(
        "[data.split]\nmethod = \"random\"\n{IDS}\
         [[feature]]\nname = \"group\"\nside = \"user\"\ntype = \"id\"\n\
         [[task]]\nname = \"click\"\nkind = \"binary\"\n[[task]]\nname = \"purchase\"\nkind = \"binary\"\n\
         [[task]]\nname = \"diversity\"\nkind = \"distribution\"\nsource = \"row\"\n"
    );
    run(d, &config(d, "category = \"category\"\ntitle = \"title\"\n", &text));
    let page = report(d, &[]);
    check(&page, d);
    let html = page.html();
    assert!(sections(html).contains(&"mix") && sections(html).contains(&"examples"));
    // It is there, as text: the title in cards, categories and groups in tables and drawings.
    assert!(html.contains("&lt;/svg&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;"), "title");
    assert!(html.contains("category: &lt;/svg&gt;&lt;script&gt;alert"), "segments");
    assert!(html.contains("group: &lt;/svg&gt;"), "{}", around(html, "group: "));
    for (name, svg) in page.charts() {
        assert!(!svg.contains("<script") && !svg.contains("onerror=y>"), "{name}");
        assert!(!svg.contains('\u{7}') && !svg.contains('\u{202e}'), "{name}");
    }
}

//! JD.com log (JData): views, orders, follows and comments of products with brand, shop, category, launch month.
//!
//! Products are described by a small knowledge graph: `sku_id` → `entity2id` → id → `kg2id` → id of the brand, shop,
//! category or month, named in `entity2id` again.

use std::path::Path;

use rustc_hash::FxHashMap;

use super::source;
use super::target::{Cell, Kind, Staging};
use super::{Format, Imported, event_log};
use crate::rows::{Layout, Rows};
use crate::schema::{Config, Feature, FeatureType, Side, Transform};
use crate::{Error, Result};

pub(super) const FORMAT: Format = Format {
    name: "jdata",
    about: "JD.com log: a directory with train.csv, test_new_item.csv (or test.csv), and one file each of \
        *.entity2id, *.kg2id, *.relation2id",
    import,
};

/// Relations of the graph, in the order of the columns they fill.
const RELATIONS: [&str; 4] = ["item-brand", "item-shop", "item-cate", "item-years"];

/// A product.
#[derive(Clone, Default)]
struct Product {
    sku: String,
    /// Brand, shop, category, launch month.
    described: [String; 4],
}

fn import(src: &Path, out: &Staging) -> Result<Imported> {
    let mut logs = vec![source::find(src, "train.csv", |name| source::is(name, "train.csv"))?];
    // The file with new items repeats the rows of the one without.
    let test = source::find(src, "test_new_item.csv", |name| source::is(name, "test_new_item.csv"))
        .or_else(|_| source::find(src, "test.csv", |name| source::is(name, "test.csv")))?;
    logs.push(test);
    let products = products(src)?;

    let mut events = out.table(
        "events.parquet",
        &[
            ("user_id", Kind::Text),
            ("item_id", Kind::Text),
            ("time", Kind::Int),
            ("event", Kind::Text),
            ("session_id", Kind::Text),
        ],
    )?;
    let mut unknown = 0_u64;
    for log in &logs {
        let columns = ["user_id", "sku_id", "action_time", "type", "sessionId"];
        let mut rows = Rows::open(log, Layout::COMMAS, &columns)?;
        while rows.advance()? {
            let event = match rows.text(3) {
                "1" => "view",
                "2" => "order",
                "3" => "follow",
                "4" => "comment",
                _ => return Err(rows.cell(3, "1 (view), 2 (order), 3 (follow) or 4 (comment)")),
            };
            unknown += u64::from(!products.contains_key(rows.id(1)?));
            events.push(&[
                Cell::Text(rows.id(0)?),
                Cell::Text(rows.id(1)?),
                Cell::Int(rows.time(2)?),
                Cell::Text(event),
                Cell::some(rows.text(4)),
            ])?;
        }
    }

    let mut items = out.table(
        "items.parquet",
        &[
            ("item_id", Kind::Text),
            ("brand", Kind::Text),
            ("shop", Kind::Text),
            ("category", Kind::Text),
            ("launch_month", Kind::Text),
            ("launch_months", Kind::Int),
        ],
    )?;
    let mut listed: Vec<&Product> = products.values().collect();
    listed.sort_by(|a, b| a.sku.cmp(&b.sku));
    for product in listed {
        let [brand, shop, category, month] = &product.described;
        items.push(&[
            Cell::Text(&product.sku),
            Cell::some(brand),
            Cell::some(shop),
            Cell::some(category),
            Cell::some(month),
            months(month).map_or(Cell::Missing, Cell::Int),
        ])?;
    }
    let mut notes = Vec::new();
    if unknown > 0 {
        notes.push(format!("events of products that the graph does not describe: {unknown}"));
    }
    Ok(Imported {
        config: config(),
        header: "JD.com log: views and orders of products; what was shown and not viewed is not in it.",
        comments: COMMENTS,
        tables: vec![events.finish()?, items.finish()?],
        notes,
    })
}

/// Months since year 0 of `YYYYMM`.
fn months(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok().filter(|_| text.len() == 6)?;
    (1..=12).contains(&(number % 100)).then(|| number / 100 * 12 + number % 100 - 1)
}

/// Products by `sku_id`.
fn products(src: &Path) -> Result<FxHashMap<String, Product>> {
    let part = |suffix: &str| {
        source::find(src, &format!("*{suffix} file"), |name| source::ends(name, suffix))
    };
    let mut relations: FxHashMap<String, usize> = FxHashMap::default();
    let mut rows = Rows::open(&part(".relation2id")?, Layout::TABS, &["relation", "id"])?;
    while rows.advance()? {
        if let Some(at) = RELATIONS.iter().position(|name| *name == rows.text(0)) {
            relations.insert(rows.id(1)?.into(), at);
        }
    }

    let mut names: FxHashMap<String, (String, bool)> = FxHashMap::default();
    let mut rows = Rows::open(&part(".entity2id")?, Layout::TABS, &["entity", "id", "type"])?;
    while rows.advance()? {
        names.insert(rows.id(1)?.into(), (rows.id(0)?.into(), rows.text(2) == "item"));
    }
    let mut products: FxHashMap<String, Product> = FxHashMap::default();
    for (name, _) in names.values().filter(|(_, is_item)| *is_item) {
        products.insert(name.clone(), Product { sku: name.clone(), ..Product::default() });
    }

    let graph = part(".kg2id")?;
    let mut rows = Rows::open(&graph, Layout::TABS, &["head", "tail", "relation"])?;
    while rows.advance()? {
        let Some(&at) = relations.get(rows.text(2)) else { continue };
        let (Some((sku, true)), Some((value, false))) =
            (names.get(rows.text(0)), names.get(rows.text(1)))
        else {
            return Err(rows.row(format!(
                "expected ids of a product and of what describes it, got `{}` and `{}`",
                rows.text(0),
                rows.text(1)
            )));
        };
        if let Some(product) = products.get_mut(sku) {
            product.described[at].clone_from(value);
        }
    }
    if products.is_empty() {
        return Err(Error::file(graph, "expected entities of type `item`, found none"));
    }
    Ok(products)
}

const COMMENTS: &[(&str, &str)] = &[
    (
        "data.event_log",
        "The first view of a product is a click, an order of it afterwards a purchase. Products the user never\n\
         touched are sampled as not clicked: the click rate is artificial. Follows and comments are not used.",
    ),
    (
        "columns.category",
        "The commonest 19 categories keep their name in the category mix; the others are `other`.",
    ),
    ("feature.launch_months", "Age: months since year 0 of the launch."),
];

fn config() -> Config {
    use FeatureType::{Id, Number};
    use Side::{Item, User};
    let id = |name: &str, side, min_count| Feature {
        min_count: Some(min_count),
        ..Feature::new(name, side, Id)
    };
    let mut config = event_log(&["view"], &["order"]);
    config.columns.category = Some("category".into());
    config.features = vec![
        id("user_id", User, 3),
        Feature {
            of: Some(["item_id", "brand", "shop", "category"].map(String::from).into()),
            ..Feature::new("history", User, FeatureType::History)
        },
        id("item_id", Item, 3),
        id("brand", Item, 2),
        id("shop", Item, 2),
        id("category", Item, 1),
        Feature {
            transform: Some(Transform::Buckets),
            buckets: Some(12),
            ..Feature::new("launch_months", Item, Number)
        },
    ];
    config
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, real, shared, write};
    use crate::importers::import;

    const FILES: [(&str, &str); 6] = [
        (
            "train.csv",
            "action_time,user_id,sku_id,type,sessionId,index\n2018-03-01 00:00:06,u1,s1,1,7,1.0\n2018-03-01 00:01:06,u1,s1,2,7,2.0\n",
        ),
        (
            "test.csv",
            "action_time,user_id,sku_id,type,sessionId,index\n2018-03-02 00:00:00,u2,s1,3,8,1.0\n",
        ),
        (
            "test_new_item.csv",
            "action_time,user_id,sku_id,type,sessionId,index\n2018-03-02 00:00:00,u2,s1,3,8,1.0\n2018-03-02 00:00:01,u2,s2,4,8,1.0\n",
        ),
        (
            "x.entity2id",
            "entity\tid\ttype\n0\t0\t0\ns1\t1\titem\ns2\t2\titem\nacme\t3\tbrand\nshop\t4\tshop\nphones\t5\tcate\n201712\t6\tyears\n",
        ),
        ("x.kg2id", "head\ttail\trelation\n1\t3\t1\n1\t4\t2\n1\t5\t3\n1\t6\t4\n2\t5\t3\n"),
        (
            "x.relation2id",
            "relation\tid\nitem-brand\t1\nitem-shop\t2\nitem-cate\t3\nitem-years\t4\n",
        ),
    ];

    #[test]
    fn events_and_described_products() {
        let (_dir, out) = imported("jdata", &FILES);
        assert_eq!(
            out.rows("events.parquet", &["user_id", "item_id", "time", "event"]),
            [
                "u1 s1 1519862406 view",
                "u1 s1 1519862466 order",
                "u2 s1 1519948800 follow",
                "u2 s2 1519948801 comment"
            ]
        );
        assert_eq!(
            out.rows("items.parquet", &["item_id", "brand", "shop", "category", "launch_months"]),
            ["s1 acme shop phones 24215", "s2   phones "]
        );
    }

    #[test]
    fn bad_input_is_named() {
        let mut files = FILES;
        files[0].1 =
            "action_time,user_id,sku_id,type,sessionId,index\n2018-03-01 00:00:06,u1,s1,9,7,1.0\n";
        let dir = write(&files);
        let error = import("jdata", dir.path(), &dir.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("train.csv:2: column `type`: expected 1 (view)"), "{error}");
        let dir = write(&FILES[..4]);
        let error = import("jdata", dir.path(), &dir.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("relation2id"), "{error}");
        assert!(!dir.path().join("out").exists());
    }

    #[test]
    fn real_log_has_its_known_counts() {
        let Some(src) = shared("jdata") else { return };
        let (_dir, out) = real("jdata", &src);
        let events = out.rows("events.parquet", &["event"]);
        let count = |event: &str| events.iter().filter(|found| *found == event).count();
        assert_eq!((events.len(), count("view"), count("order")), (30_360, 27_161, 2_164));
        assert_eq!(out.summary.tables[1].rows, 12_971);
        let distinct = |column: &str| {
            let mut values = out.rows("items.parquet", &[column]);
            values.sort();
            values.dedup();
            values.len()
        };
        assert_eq!((distinct("brand"), distinct("shop"), distinct("category")), (1864, 2631, 78));
    }
}

//! REES46 shop logs: view, cart and purchase events with category code, brand and price in every row.

use std::path::Path;

use rustc_hash::FxHashMap;

use super::source;
use super::target::{Cell, Kind, Staging};
use super::{Format, Imported, event_log};
use crate::Result;
use crate::rows::{Layout, Rows};
use crate::schema::{Config, Feature, FeatureType, Missing, Side, Transform};

pub(super) const FORMAT: Format = Format {
    name: "rees46",
    about: "REES46 shop log: a .csv or .csv.gz file of events (as 2019-Oct.csv), or a directory of them",
    import,
};

struct Product {
    id: String,
    category_id: String,
    code: String,
    brand: String,
    price: Option<f64>,
}

fn import(src: &Path, out: &Staging) -> Result<Imported> {
    let files = source::find_all(src, "a .csv file of events", |name| source::ends(name, ".csv"))?;
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
    let mut products: Vec<Product> = Vec::new();
    let mut places: FxHashMap<String, usize> = FxHashMap::default();
    for file in &files {
        let mut rows = Rows::open(
            file,
            Layout::COMMAS,
            &[
                "user_id",
                "product_id",
                "event_time",
                "event_type",
                "user_session",
                "category_id",
                "category_code",
                "brand",
                "price",
            ],
        )?;
        while rows.advance()? {
            let event = rows.text(3);
            if !matches!(event, "view" | "cart" | "remove_from_cart" | "purchase") {
                return Err(rows.cell(3, "view, cart, remove_from_cart or purchase"));
            }
            events.push(&[
                Cell::Text(rows.id(0)?),
                Cell::Text(rows.id(1)?),
                Cell::Int(rows.time(2)?),
                Cell::Text(event),
                Cell::some(rows.text(4)),
            ])?;
            if !places.contains_key(rows.text(1)) {
                places.insert(rows.text(1).into(), products.len());
                products.push(Product {
                    id: rows.text(1).into(),
                    category_id: rows.text(5).into(),
                    code: rows.text(6).into(),
                    brand: rows.text(7).into(),
                    price: rows.optional(8)?,
                });
            }
        }
    }
    let mut items = out.table(
        "items.parquet",
        &[
            ("item_id", Kind::Text),
            ("category", Kind::Text),
            ("category_code", Kind::Text),
            ("category_id", Kind::Text),
            ("brand", Kind::Text),
            ("price", Kind::Number),
        ],
    )?;
    for product in &products {
        items.push(&[
            Cell::Text(&product.id),
            Cell::some(product.code.split('.').next().unwrap_or_default()),
            Cell::some(&product.code),
            Cell::some(&product.category_id),
            Cell::some(&product.brand),
            Cell::optional(product.price),
        ])?;
    }
    Ok(Imported {
        config: config(),
        header: "REES46 shop log: views, carts and purchases; what was shown and not viewed is not in it.",
        comments: COMMENTS,
        tables: vec![events.finish()?, items.finish()?],
        notes: Vec::new(),
    })
}

const COMMENTS: &[(&str, &str)] = &[
    (
        "data.event_log",
        "The first view of a product is a click, a purchase of it afterwards a purchase. Products the user never\n\
         touched are sampled as not clicked: the click rate is artificial. Carts are not used.",
    ),
    ("columns.category", "First part of the category code."),
    ("columns.price", "Brand, category and price of a product are those of its first event."),
];

fn config() -> Config {
    use FeatureType::{Id, Number};
    use Side::{Item, User};
    let id = |name: &str, side, min_count| Feature {
        min_count: Some(min_count),
        ..Feature::new(name, side, Id)
    };
    let mut config = event_log(&["view"], &["purchase"]);
    config.columns.category = Some("category".into());
    config.columns.price = Some("price".into());
    config.features = vec![
        id("user_id", User, 3),
        Feature {
            of: Some(["item_id", "brand", "category_id"].map(String::from).into()),
            ..Feature::new("history", User, FeatureType::History)
        },
        id("item_id", Item, 3),
        id("brand", Item, 2),
        id("category_id", Item, 2),
        id("category_code", Item, 2),
        Feature {
            transform: Some(Transform::Log1p),
            missing: Some(Missing::Value(0.0)),
            ..Feature::new("price", Item, Number)
        },
    ];
    config
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, real, shared, write};
    use crate::importers::import;

    const LOG: &str = ",event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n\
        0,2019-10-01 00:00:00 UTC,view,p1,c1,appliances.kitchen.oven,acme,35.5,u1,s1\n\
        1,2019-10-01 00:00:05 UTC,purchase,p1,c1,appliances.kitchen.oven,acme,36.5,u1,s1\n\
        2,2019-10-01 00:00:06 UTC,cart,p2,c2,,,,u1,s1\n";

    #[test]
    fn events_and_products() {
        let (_dir, out) = imported("rees46", &[("oct.csv", LOG)]);
        assert_eq!(
            out.rows("events.parquet", &["user_id", "item_id", "time", "event"]),
            ["u1 p1 1569888000 view", "u1 p1 1569888005 purchase", "u1 p2 1569888006 cart"]
        );
        assert_eq!(
            out.rows("items.parquet", &["item_id", "category", "brand", "price"]),
            ["p1 appliances acme 35.5", "p2   "]
        );
    }

    #[test]
    fn bad_input_is_named() {
        for (row, expected) in [
            (
                "3,yesterday,view,p1,c1,,,1,u1,s1\n",
                "oct.csv:5: column `event_time`: expected a time",
            ),
            (
                "3,2019-10-01 00:00:00 UTC,look,p1,c1,,,1,u1,s1\n",
                "oct.csv:5: column `event_type`: expected view",
            ),
            (
                "3,2019-10-01 00:00:00 UTC,view,p9,c1,,,NaN,u1,s1\n",
                "oct.csv:5: column `price`: expected a number",
            ),
        ] {
            let dir = write(&[("oct.csv", &(LOG.to_string() + row))]);
            let error =
                import("rees46", dir.path(), &dir.path().join("out")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn real_log_has_its_known_counts() {
        let Some(src) = shared("rees46") else { return };
        let (_dir, out) = real("rees46", &src);
        let events = out.rows("events.parquet", &["event"]);
        let count = |event: &str| events.iter().filter(|found| *found == event).count();
        assert_eq!((events.len(), count("cart"), count("purchase")), (5000, 50, 54));
    }
}

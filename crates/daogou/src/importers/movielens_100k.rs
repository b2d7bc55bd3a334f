//! MovieLens-100k as RecBole's atomic files: ratings with time, films with genres, people with age and occupation.
//!
//! A rating says that a film was watched, and how it was liked. Both are events: `rate` for every rating, and `like`
//! at the same time for four or five stars, so that the funnel watched → liked stands for clicked → bought.

use std::path::Path;

use rustc_hash::FxHashMap;

use super::source;
use super::target::{Cell, Kind, Staging};
use super::{Format, Imported, event_log};
use crate::Result;
use crate::rows::{Layout, Rows};
use crate::schema::{Config, Feature, FeatureType, Side, Transform};

pub(super) const FORMAT: Format = Format {
    name: "movielens-100k",
    about: "MovieLens-100k: a directory with RecBole's atomic files *.inter, *.item, *.user",
    import,
};

fn import(src: &Path, out: &Staging) -> Result<Imported> {
    let part = |suffix: &str| {
        source::find(src, &format!("*{suffix} file"), |name| source::ends(name, suffix))
    };
    let (inter, item, user) = (part(".inter")?, part(".item")?, part(".user")?);

    let mut events = out.table(
        "events.parquet",
        &[
            ("user_id", Kind::Text),
            ("item_id", Kind::Text),
            ("time", Kind::Int),
            ("event", Kind::Text),
        ],
    )?;
    let mut rows =
        Rows::open(&inter, Layout::TABS, &["user_id", "item_id", "rating", "timestamp"])?;
    while rows.advance()? {
        let rating = rows.number(2)?;
        if !(0.5..=5.0).contains(&rating) {
            return Err(rows.cell(2, "a rating from 0.5 to 5"));
        }
        let (user, item, time) = (rows.id(0)?, rows.id(1)?, rows.number(3)? as i64);
        for event in ["rate", "like"].into_iter().take(if rating >= 4.0 { 2 } else { 1 }) {
            events.push(&[
                Cell::Text(user),
                Cell::Text(item),
                Cell::Int(time),
                Cell::Text(event),
            ])?;
        }
    }

    let columns = ["item_id", "movie_title", "release_year", "class"];
    let mut films: FxHashMap<String, u32> = FxHashMap::default();
    let mut rows = Rows::open(&item, Layout::TABS, &columns)?;
    while rows.advance()? {
        for genre in rows.text(3).split_whitespace() {
            *films.entry(genre.into()).or_default() += 1;
        }
    }
    let mut items = out.table(
        "items.parquet",
        &[
            ("item_id", Kind::Text),
            ("title", Kind::Text),
            ("year", Kind::Number),
            ("genres", Kind::Text),
            ("genre", Kind::Text),
        ],
    )?;
    let mut rows = Rows::open(&item, Layout::TABS, &columns)?;
    while rows.advance()? {
        let genres: Vec<&str> = rows.text(3).split_whitespace().collect();
        let main = genres.iter().min_by_key(|genre| (films[**genre], **genre));
        items.push(&[
            Cell::Text(rows.id(0)?),
            Cell::some(rows.text(1)),
            Cell::optional(rows.text(2).parse().ok()),
            Cell::some(&genres.join("|")),
            Cell::some(main.copied().unwrap_or_default()),
        ])?;
    }

    let mut users = out.table(
        "users.parquet",
        &[
            ("user_id", Kind::Text),
            ("age", Kind::Number),
            ("gender", Kind::Text),
            ("occupation", Kind::Text),
        ],
    )?;
    let mut rows = Rows::open(&user, Layout::TABS, &["user_id", "age", "gender", "occupation"])?;
    while rows.advance()? {
        users.push(&[
            Cell::Text(rows.id(0)?),
            Cell::optional(rows.optional(1)?),
            Cell::some(rows.text(2)),
            Cell::some(rows.text(3)),
        ])?;
    }
    Ok(Imported {
        config: config(),
        header: "MovieLens-100k: who watched and liked what; films not watched are sampled.",
        comments: COMMENTS,
        tables: vec![events.finish()?, items.finish()?, users.finish()?],
        notes: Vec::new(),
    })
}

const COMMENTS: &[(&str, &str)] = &[
    (
        "data.event_log",
        "A rated film is a click; four or five stars, given in the same moment, are a purchase: liked, given\n\
         watched. Films the person never rated are sampled as not clicked: the click rate is artificial.",
    ),
    (
        "columns.category",
        "The film's genre that fewest films have: the list of genres is alphabetical, its first says little.",
    ),
];

fn config() -> Config {
    use FeatureType::{Id, Multi, Number};
    use Side::{Item, User};
    let mut config = event_log(&["rate"], &["like"]);
    config.columns.category = Some("genre".into());
    config.columns.title = Some("title".into());
    config.data.users = Some("users.parquet".into());
    let number = |name: &str, side, buckets| Feature {
        transform: Some(Transform::Buckets),
        buckets: Some(buckets),
        ..Feature::new(name, side, Number)
    };
    config.features = vec![
        Feature { min_count: Some(5), ..Feature::new("user_id", User, Id) },
        number("age", User, 8),
        Feature::new("gender", User, Id),
        Feature::new("occupation", User, Id),
        Feature {
            of: Some(["item_id", "genre"].map(String::from).into()),
            ..Feature::new("history", User, FeatureType::History)
        },
        Feature { min_count: Some(5), ..Feature::new("item_id", Item, Id) },
        Feature::new("genre", Item, Id),
        Feature::new("genres", Item, Multi),
        number("year", Item, 16),
    ];
    config
}

#[cfg(test)]
mod tests {
    use super::super::tests::{imported, real, shared, write};
    use crate::importers::import;

    const FILES: [(&str, &str); 3] = [
        (
            "x.inter",
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t7\t3\t100\n1\t8\t4\t101\n",
        ),
        (
            "x.item",
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n7\tThe \"Best\" Film\t1995\tAction Comedy\n8\tOther\t\tAction\n",
        ),
        (
            "x.user",
            "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n1\t24\tM\twriter\t0\n",
        ),
    ];

    #[test]
    fn ratings_become_events_and_genres_are_listed() {
        let (_dir, out) = imported("movielens-100k", &FILES);
        assert_eq!(
            out.rows("events.parquet", &["user_id", "item_id", "time", "event"]),
            ["1 7 100 rate", "1 8 101 rate", "1 8 101 like"]
        );
        assert_eq!(
            out.rows("items.parquet", &["item_id", "title", "year", "genres", "genre"]),
            ["7 The \"Best\" Film 1995.0 Action|Comedy Comedy", "8 Other  Action Action"]
        );
        assert_eq!(
            out.rows("users.parquet", &["user_id", "age", "gender", "occupation"]),
            ["1 24.0 M writer"]
        );
    }

    #[test]
    fn bad_input_is_named() {
        let mut files = FILES;
        files[0].1 = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t7\t11\t100\n";
        let dir = write(&files);
        let error =
            import("movielens-100k", dir.path(), &dir.path().join("out")).unwrap_err().to_string();
        assert!(
            error.contains("x.inter:2: column `rating`: expected a rating from 0.5 to 5, got `11`"),
            "{error}"
        );
        let error = import("movielens-100k", write(&FILES[..2]).path(), &dir.path().join("out"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("expected *.user file"), "{error}");
    }

    #[test]
    fn real_log_has_its_known_counts() {
        let Some(src) = shared("ml-100k") else { return };
        let (_dir, out) = real("movielens-100k", &src);
        let events = out.rows("events.parquet", &["event"]);
        let count = |event: &str| events.iter().filter(|found| *found == event).count();
        assert_eq!((count("rate"), count("like")), (100_000, 34_174 + 21_201));
        assert_eq!((out.summary.tables[1].rows, out.summary.tables[2].rows), (1682, 943));
    }
}

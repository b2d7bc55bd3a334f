use super::*;

/// Infers from files written to a directory; the printed file must mean the same as the configuration.
fn inferred(files: &[(&str, &str)]) -> Result<Inferred> {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|(name, text)| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        })
        .collect();
    let found = infer(&paths)?;
    assert_eq!(
        Config::parse(&found.toml, Path::new("daogou.toml")).unwrap(),
        found.config,
        "{}",
        found.toml
    );
    Ok(found)
}

fn feature<'a>(found: &'a Inferred, name: &str) -> &'a Feature {
    found
        .config
        .features
        .iter()
        .find(|f| f.name == name)
        .unwrap_or_else(|| panic!("{name}: {}", found.toml))
}

fn tasks(found: &Inferred) -> Vec<&str> {
    found.config.tasks.iter().map(|task| task.name.as_str()).collect()
}

/// 200 rows from a template; `{u}`, `{i}`, `{n}` are a user, an item and the row.
fn rows(header: &str, template: &str) -> String {
    let mut text = format!("{header}\n");
    for n in 0..200_usize {
        let row = template
            .replace("{u}", &format!("{}", n % 20))
            .replace("{i}", &format!("{}", n * 7 % 30))
            .replace("{b}", &format!("{}", n * 7 % 30 % 4))
            .replace("{c}", &format!("{}", usize::from(n % 3 == 0)))
            .replace("{p}", &format!("{}", usize::from(n % 9 == 0)))
            .replace("{r}", &format!("{}", n / 5))
            .replace("{k}", &format!("{}", n % 5 + 1))
            .replace("{n}", &format!("{n}"));
        text.push_str(&row);
        text.push('\n');
    }
    text
}

#[test]
fn the_founding_documents_columns_need_no_question() {
    let text = rows(
        "user_id,item_id,brand,price,click,purchase,category",
        "{u},{i},{b},9{b}.5,{c},{p},{b}",
    );
    let found = inferred(&[("log.csv", &text)]).unwrap();
    let config = &found.config;
    assert_eq!(
        (config.columns.user.as_str(), config.columns.item.as_str()),
        ("user_id", "item_id")
    );
    assert_eq!(
        (config.columns.category.as_deref(), config.columns.price.as_deref()),
        (Some("category"), Some("price"))
    );
    assert_eq!(config.data.split.method, SplitMethod::RowOrder);
    assert_eq!(tasks(&found), ["click", "purchase", "diversity"]);
    assert_eq!(config.tasks[2].source, Some(LabelSource::Row));
    let names: Vec<_> = config.features.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["user_id", "item_id", "brand", "price"]);
    assert_eq!(
        (feature(&found, "brand").side, feature(&found, "brand").kind),
        (Side::Item, FeatureType::Id)
    );
    assert_eq!(
        (feature(&found, "price").kind, feature(&found, "price").transform),
        (FeatureType::Number, Some(Transform::Log1p))
    );
    for piece in [
        "No time column was found",
        "the label is the row's own category",
        "method = \"row_order\"",
    ] {
        assert!(found.toml.contains(piece), "{}", found.toml);
    }
    assert!(!config.lists.objectives.contains_key("novelty"));
}

#[test]
fn three_rows_are_enough() {
    let text = "user_id,item_id,brand,price,click,purchase,category\n1,1,1,10.5,1,0,3\n1,2,2,20,0,0,4\n2,1,1,10.5,1,1,3\n";
    assert_eq!(tasks(&inferred(&[("log.csv", text)]).unwrap()), ["click", "purchase", "diversity"]);
}

#[test]
fn other_languages_spellings_and_formats() {
    let chinese = rows(
        "用户ID;商品ID;时间;品牌;价格;类别;点击;购买",
        "{u};{i};2024-01-0{k} 10:00:00;{b};9{b};{b};{c};{p}",
    );
    let found = inferred(&[("log.csv", &chinese)]).unwrap();
    assert_eq!(found.config.data.delimiter, ';');
    assert_eq!(found.config.columns.time.as_deref(), Some("时间"));
    assert_eq!(found.config.tasks[0].label(), "点击");
    assert_eq!(tasks(&found), ["click", "purchase", "diversity", "novelty"]);
    assert_eq!(feature(&found, "history").of.as_ref().unwrap().len(), 3, "{}", found.toml);

    let jsonl = rows(
        "",
        r#"{"userId":"{u}","itemId":"{i}","clicked":{c},"requestId":"{r}","position":{k},"timestamp":170000{n}000}"#,
    );
    let found = inferred(&[("log.jsonl", &jsonl)]).unwrap();
    let columns = &found.config.columns;
    assert_eq!(
        (columns.request.as_deref(), columns.position.as_deref()),
        (Some("requestId"), Some("position"))
    );
    assert_eq!(found.config.tasks[0].label(), "clicked");
    assert!(found.config.model.position_term);
}

#[test]
fn values_decide_type_and_side() {
    let text = rows(
        "uid,sku,request_id,device,tags,shown_price,views,city_name,cart,note,click",
        "{u},{i},{r},phone{r},a|b{b},{n}.25,{n}000,\"X{u}, Y\",{c},text {n},{c}",
    );
    let found = inferred(&[("log.csv", &text)]).unwrap();
    assert_eq!(
        (feature(&found, "device").side, feature(&found, "device").kind),
        (Side::Context, FeatureType::Id)
    );
    assert_eq!(
        (feature(&found, "tags").side, feature(&found, "tags").kind),
        (Side::Item, FeatureType::Multi)
    );
    assert_eq!(
        (feature(&found, "shown_price").side, feature(&found, "shown_price").kind),
        (Side::Impression, FeatureType::Number)
    );
    assert_eq!(
        (feature(&found, "city_name").side, feature(&found, "city_name").kind),
        (Side::User, FeatureType::Id)
    );
    for name in ["cart", "note"] {
        assert!(found.config.features.iter().all(|f| f.name != name));
        assert!(
            found.notes.iter().any(|note| note.contains(&format!("`{name}`"))),
            "{:?}",
            found.notes
        );
    }
}

#[test]
fn a_price_that_changes_belongs_to_the_impression() {
    let found =
        inferred(&[("log.csv", &rows("user_id,item_id,price,click", "{u},{i},{n},{c}"))]).unwrap();
    assert_eq!(feature(&found, "price").side, Side::Impression);
    assert!(
        found.notes.iter().any(|note| note.contains("several values for one item")),
        "{:?}",
        found.notes
    );
}

#[test]
fn event_logs_and_side_tables() {
    let mut events = rows(
        "event_time,event_type,product_id,user_id,user_session,discount,platform",
        "2024-01-0{k} 00:00:00,view,{i},{u},s{r},0.{n},{c}",
    );
    events.push_str(
        "2024-01-06 00:00:00,purchase,1,1,s1,0.5,1\n2024-01-06 00:00:00,cart,1,1,s1,0.5,1\n",
    );
    let items = rows("product_id,name,brand,category_code,price", "{n},Thing {n},{b},{b},1{n}.5");
    let users = rows("user_id,age,gender", "{n},{k}{b},{c}");
    let found =
        inferred(&[("users.csv", &users), ("events.csv", &events), ("items.csv", &items)]).unwrap();
    let log = found.config.data.event_log.as_ref().unwrap();
    assert_eq!(
        (&log.click[..], &log.purchase[..]),
        (&["view".to_string()][..], &["purchase".to_string()][..])
    );
    assert_eq!(found.config.columns.title.as_deref(), Some("name"));
    assert_eq!(feature(&found, "platform").side, Side::Context);
    // What changes with each event would tell viewed items from sampled ones.
    for name in ["user_session", "discount"] {
        assert!(found.config.features.iter().all(|f| f.name != name), "{}", found.toml);
    }
    assert_eq!(found.config.columns.category.as_deref(), Some("category_code"));
    assert_eq!(feature(&found, "brand").side, Side::Item);
    assert_eq!(
        (feature(&found, "age").side, feature(&found, "age").kind),
        (Side::User, FeatureType::Number)
    );
    assert!(
        found.notes.iter().any(|note| note == "event types left out: cart"),
        "{:?}",
        found.notes
    );
}

#[test]
fn what_cannot_be_known_is_an_error_with_a_remedy() {
    for (files, expected) in [
        (vec![("log.csv", "item_id,click\n1,0\n")], "no column looks like a user id"),
        (
            vec![("log.csv", "user_id,item_id,brand\n1,2,3\n")],
            "no column of 0 and 1 looks like a label",
        ),
        (vec![("log.csv", "user_id,item_id,click\n1,2,0.5\n")], "no column of 0 and 1"),
        (vec![("log.csv", "user_id,item_id,click\n")], "found only a header"),
        (vec![("log.csv", "")], "found an empty file"),
        (vec![("log.csv", "user_id,item_id,event\n1,2,view\n")], "needs a time column"),
        (vec![("log.csv", "user_id,item_id,event,time\n1,2,7,2024-01-01\n")], "types: 7"),
        (
            vec![("log.csv", "user_id,item_id,click\n1,2,0\n"), ("items.csv", "id,brand\n2,3\n")],
            "expected a column `item_id` as in the log",
        ),
        (
            vec![
                ("log.csv", "user_id,item_id,click\n1,2,0\n"),
                ("items.csv", "item_id;brand\n2;3\n"),
            ],
            "expected one separator",
        ),
    ] {
        let error = inferred(&files).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

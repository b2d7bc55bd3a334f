//! What a shop has on offer now: the items of a run, and what was changed and added since it was trained.
//!
//! A change is an overlay of attributes, named like the columns of the log: what it names is as it says, the rest stays
//! as the run knows it. An item that the run has never seen is described by its attributes alone; its own id is that of
//! an unknown item, which the network has learned by leaving ids out.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use serde_json::Value;

use crate::data::{Catalogue, Column, Encoding, Field, OTHER, SideTable, encode_cell, feature_of};
use crate::run::TrainedRun;
use crate::schema::{Columns, Side};
use crate::{Error, Result};

/// Values by column name: text, numbers, truth values, lists of them; null where nothing is known.
pub type Attributes = BTreeMap<String, Value>;

/// Items on offer. Rows of the run come first and keep their numbers; row 0 is everything unknown.
#[derive(Clone, Debug)]
pub struct Stock {
    pub(crate) items: SideTable,
    pub(crate) catalogue: Catalogue,
    rows: HashMap<String, u32, FxBuildHasher>,
    /// Whether an item may be listed.
    listed: Vec<bool>,
    /// What was changed, by item row.
    overlays: HashMap<u32, Attributes, FxBuildHasher>,
    /// Rows that the run knows, with the unknown one.
    known: usize,
}

/// A value as the text that a file would have.
pub(crate) fn text(value: &Value, separator: &str) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(values) => {
            let parts: Option<Vec<String>> =
                values.iter().map(|v| (!v.is_array()).then(|| text(v, "")).flatten()).collect();
            parts.map(|parts| parts.join(separator))
        }
        Value::Object(_) => None,
    }
}

/// What attributes say of one row of a side, which is `row` of the run's where it knows it: columns, each with its value.
///
/// # Errors
///
/// Where a value is not what its column holds; `key` names the attribute.
pub(crate) fn encoded(
    run: &TrainedRun,
    side: Side,
    (id, row): (Option<&str>, Option<u32>),
    attributes: &Attributes,
) -> Result<Vec<(usize, Column)>> {
    let (config, space) = (&run.config, &run.stored.space);
    let own = if side == Side::User { &config.columns.user } else { &config.columns.item };
    let cell = |field: &Field| {
        let feature = feature_of(config, field);
        let column = feature.column();
        match (attributes.get(column), id) {
            // A person or an item is who it is, whatever is said of it.
            (_, Some(id)) if column == own => Ok(Some(id.to_string())),
            (Some(value), _) => {
                text(value, feature.separator.as_deref().unwrap_or("|")).map(Some).ok_or_else(
                    || Error::config(column, format!("expected text or a number, got `{value}`")),
                )
            }
            (None, _) => Ok(None),
        }
    };
    let mut out = Vec::new();
    for (field, encoding) in space.fields.iter().zip(&space.encodings) {
        if field.side != side || *encoding == Encoding::Timeline || encoding.is_past() {
            continue;
        }
        let column = feature_of(config, field).column();
        let (value, mut group) = (cell(field)?, None);
        if let Some(of) = encoding.within() {
            let its = (&space.fields[of], &space.encodings[of]);
            let within = feature_of(config, its.0).column();
            // Of a known item it is what it was.
            let before = run.stored.items.columns[its.0.column].rows(&[row.unwrap_or(0)]);
            let now = match cell(its.0)? {
                Some(id) => encode_cell(config, its, &id, None, within)?,
                None => before.clone(),
            };
            if value.is_none() && row.is_some() && now != before {
                return Err(Error::config(
                    within,
                    format!("expected `{column}` beside it: `{}` is within it", field.name),
                ));
            }
            group = Some(now);
        }
        if let Some(value) = value {
            let cell = encode_cell(config, (field, encoding), &value, group.as_ref(), column)?;
            out.push((field.column, cell));
        }
    }
    Ok(out)
}

impl Stock {
    /// What the run's own log had. O(items).
    pub fn of(run: &TrainedRun) -> Self {
        let (items, catalogue) = (run.stored.items.clone(), run.stored.catalogue.clone());
        let rows = items.ids.iter().enumerate().skip(1);
        Self {
            rows: rows.map(|(row, id)| (id.clone(), row as u32)).collect(),
            listed: (0..items.ids.len()).map(|row| row > 0).collect(),
            overlays: HashMap::default(),
            known: items.ids.len(),
            items,
            catalogue,
        }
    }

    /// Number of rows, with the unknown one.
    pub fn rows(&self) -> usize {
        self.items.ids.len()
    }

    /// Row of an item.
    pub fn row(&self, id: &str) -> Option<u32> {
        self.rows.get(id).copied()
    }

    /// Id of a row.
    pub fn id(&self, row: u32) -> &str {
        &self.items.ids[row as usize]
    }

    /// Whether the run was trained with this item.
    pub fn is_known(&self, row: u32) -> bool {
        (row as usize) < self.known
    }

    /// Whether an item may be listed.
    pub fn is_listed(&self, row: u32) -> bool {
        self.listed[row as usize]
    }

    /// Rows that may be listed, ascending.
    pub fn listed(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.listed).filter_map(|(row, &listed)| listed.then_some(row))
    }

    /// Takes an item off the shelf, or puts it back.
    pub fn list(&mut self, row: u32, listed: bool) {
        self.listed[row as usize] = listed && row > 0;
    }

    /// Whether [`Stock::put`] would do it.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn check(&self, run: &TrainedRun, id: &str, overlay: &Attributes) -> Result<()> {
        self.described(run, id, overlay).map(|_| ())
    }

    /// What an overlay says, as the network and as lists read it.
    fn described(
        &self,
        run: &TrainedRun,
        id: &str,
        overlay: &Attributes,
    ) -> Result<(Vec<(usize, Column)>, Special)> {
        if id.is_empty() {
            return Err(Error::config("id", "expected an item id, got an empty one"));
        }
        let row = self.row(id).filter(|&row| (row as usize) < self.known);
        let columns = encoded(run, Side::Item, (Some(id), row), overlay)?;
        let special = Special::of(&run.config.columns, overlay, &self.catalogue)?;
        Ok((columns, special))
    }

    /// Adds an item or changes one: its attributes are those of the run with `overlay` over them, in place of an earlier
    /// overlay. Returns its row. O(features), and the length of their vocabularies.
    ///
    /// # Errors
    ///
    /// Where a value is not what its column holds; nothing is changed then.
    pub fn put(&mut self, run: &TrainedRun, id: &str, overlay: Attributes) -> Result<u32> {
        let (columns, special) = self.described(run, id, &overlay)?;
        let row = self.row(id).unwrap_or(self.rows() as u32);
        let at = row as usize;
        if at == self.rows() {
            self.rows.insert(id.to_string(), row);
            self.items.ids.push(id.to_string());
            self.listed.push(true);
            self.catalogue.grow();
        }
        // First as the run knows it, or as it knows nothing, then what the overlay says.
        let (stored, from) = (&run.stored, if self.is_known(row) { at } else { 0 });
        for (to, base) in self.items.columns.iter_mut().zip(&stored.items.columns) {
            to.set(at, (base, from));
        }
        for (column, cell) in columns {
            self.items.columns[column].set(at, (&cell, 0));
        }
        self.catalogue.copy(at, (&stored.catalogue, from));
        special.write(&mut self.catalogue, at);
        self.overlays.insert(row, overlay);
        Ok(row)
    }

    /// Category, where known.
    pub fn category(&self, row: u32) -> Option<&str> {
        let place = *self.catalogue.category.get(row as usize)?;
        self.catalogue.categories.get(usize::from(place)).map(String::as_str)
    }

    /// Price, where known.
    pub fn price(&self, row: u32) -> Option<f32> {
        self.catalogue.price.get(row as usize).copied().filter(|price| !price.is_nan())
    }

    /// Text for people, where there is one.
    pub fn title(&self, row: u32) -> Option<&str> {
        self.catalogue.title.get(row as usize).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// What was changed of an item since the run was trained.
    pub fn overlay(&self, row: u32) -> Option<&Attributes> {
        self.overlays.get(&row)
    }

    /// Items that were changed or added, and what was said of them, in the order of their rows.
    pub fn overlaid(&self) -> impl Iterator<Item = (&str, &Attributes)> {
        let mut rows: Vec<u32> = self.overlays.keys().copied().collect();
        rows.sort_unstable();
        rows.into_iter().map(|row| (self.id(row), &self.overlays[&row]))
    }

    /// One attribute of an item: as changed, or as the run knows it where it keeps the value itself (category, price,
    /// title, and ids with a vocabulary); null where unknown.
    pub fn attribute(&self, run: &TrainedRun, row: u32, name: &str) -> Value {
        if let Some(value) = self.overlay(row).and_then(|overlay| overlay.get(name)) {
            return value.clone();
        }
        let columns = &run.config.columns;
        let is = |column: &Option<String>, role: &str| {
            name == role || column.as_deref().is_some_and(|column| column == name)
        };
        if name == "id" || name == columns.item {
            return self.id(row).into();
        }
        if is(&columns.price, "price") && !self.catalogue.price.is_empty() {
            // The number that was written, not the nearest that 32 bits hold.
            return self.price(row).map_or(Value::Null, short);
        }
        if is(&columns.title, "title") && !self.catalogue.title.is_empty() {
            return self.title(row).map_or(Value::Null, Value::from);
        }
        let space = &run.stored.space;
        let fields = space.fields.iter().zip(&space.encodings);
        for (field, encoding) in fields.filter(|(field, _)| field.side == Side::Item) {
            if let Encoding::Vocabulary { values } = encoding
                && (field.name == name || feature_of(&run.config, field).column() == name)
                && let Column::Ids(ids) = &self.items.columns[field.column]
            {
                let place = (ids[row as usize] as usize).checked_sub(1);
                return place.map_or(Value::Null, |place| values[place].clone().into());
            }
        }
        if is(&columns.category, "category") {
            return self.category(row).map_or(Value::Null, Value::from);
        }
        Value::Null
    }

    /// Names of all attributes that [`Stock::attribute`] knows of some item, in order.
    pub fn attribute_names(&self, run: &TrainedRun) -> Vec<String> {
        let columns = &run.config.columns;
        let mut names: Vec<String> = ["id".into(), columns.item.clone()].into();
        for (column, role, any) in [
            (&columns.category, "category", !self.catalogue.category.is_empty()),
            (&columns.price, "price", !self.catalogue.price.is_empty()),
            (&columns.title, "title", !self.catalogue.title.is_empty()),
        ] {
            if any {
                names.push(role.into());
                names.extend(column.clone());
            }
        }
        let space = &run.stored.space;
        for (field, encoding) in space.fields.iter().zip(&space.encodings) {
            if field.side == Side::Item && matches!(encoding, Encoding::Vocabulary { .. }) {
                names.push(field.name.clone());
                names.push(feature_of(&run.config, field).column().to_string());
            }
        }
        names.extend(self.overlays.values().flat_map(|overlay| overlay.keys().cloned()));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// All that is known of an item, by name of column.
    pub fn attributes(&self, run: &TrainedRun, row: u32) -> Attributes {
        let columns = &run.config.columns;
        let mut all = Attributes::new();
        let roles = [&columns.category, &columns.price, &columns.title];
        let space = &run.stored.space;
        let of_items = space.fields.iter().filter(|field| field.side == Side::Item);
        let names = of_items.map(|field| feature_of(&run.config, field).column().to_string());
        for name in names.chain(roles.into_iter().flatten().cloned()) {
            if name != columns.item {
                let value = self.attribute(run, row, &name);
                if !value.is_null() {
                    all.insert(name, value);
                }
            }
        }
        let overlay = self.overlay(row).into_iter().flatten();
        all.extend(overlay.map(|(name, value)| (name.clone(), value.clone())));
        all.retain(|_, value| !value.is_null());
        all
    }
}

/// The highest price: sums of such prices are still numbers of 32 bits.
const HIGHEST: f64 = 1e15;

/// The shortest number that rounds to this one.
fn short(price: f32) -> Value {
    let digits: f64 = price.to_string().parse().expect("a number's text is a number");
    digits.into()
}

/// What lists need to know of an item, as an overlay says it; `None` where it does not.
struct Special {
    category: Option<u16>,
    price: Option<f32>,
    title: Option<String>,
}

impl Special {
    fn of(columns: &Columns, overlay: &Attributes, catalogue: &Catalogue) -> Result<Self> {
        let named =
            |column: &Option<String>| column.as_ref().and_then(|c| overlay.get_key_value(c));
        let category = named(&columns.category).filter(|_| !catalogue.category.is_empty());
        let category = category.map(|(_, value)| {
            let name = text(value, "").unwrap_or_default();
            let place = |name: &str| catalogue.categories.iter().position(|c| c == name);
            let found = if name.is_empty() { None } else { place(&name).or_else(|| place(OTHER)) };
            found.map_or(u16::MAX, |place| place as u16)
        });
        let price = match named(&columns.price).filter(|_| !catalogue.price.is_empty()) {
            None => None,
            Some((_, Value::Null)) => Some(f32::NAN),
            Some((key, value)) => {
                let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
                let number = number.filter(|x| (0.0..=HIGHEST).contains(x)).ok_or_else(|| {
                    Error::config(key, format!("expected a price from 0 to 1e15, got `{value}`"))
                })?;
                Some(number as f32)
            }
        };
        let title = named(&columns.title).filter(|_| !catalogue.title.is_empty());
        let title = title.map(|(_, value)| text(value, " ").unwrap_or_default());
        Ok(Self { category, price, title })
    }

    fn write(self, catalogue: &mut Catalogue, row: usize) {
        if let Some(category) = self.category {
            catalogue.category[row] = category;
        }
        if let Some(price) = self.price {
            catalogue.price[row] = price;
        }
        if let Some(title) = self.title {
            catalogue.title[row] = title;
        }
    }
}

impl Catalogue {
    /// One more item, of which nothing is known.
    fn grow(&mut self) {
        fn more<T>(values: &mut Vec<T>, value: T) {
            if !values.is_empty() {
                values.push(value);
            }
        }
        more(&mut self.category, u16::MAX);
        more(&mut self.price, f32::NAN);
        more(&mut self.title, String::new());
        more(&mut self.train_clicks, 0);
        more(&mut self.train_impressions, 0);
    }

    /// Row `row` becomes row `from` of another.
    fn copy(&mut self, row: usize, (other, from): (&Self, usize)) {
        fn put<T: Clone>(to: &mut [T], row: usize, values: &[T], from: usize) {
            if let Some(to) = to.get_mut(row) {
                to.clone_from(&values[from]);
            }
        }
        put(&mut self.category, row, &other.category, from);
        put(&mut self.price, row, &other.price, from);
        put(&mut self.title, row, &other.title, from);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::Dataset;
    use crate::schema::Config;
    use crate::{simulate, train};

    /// The shop reads a price within its category: what a change says, in whichever part, is what the network reads.
    #[test]
    fn a_new_price_is_measured_among_its_like() {
        let directory = tempfile::tempdir().unwrap();
        let options =
            simulate::Options { users: 30, items: 60, requests: 400, ..Default::default() };
        simulate::run(&options, directory.path(), &mut |_| {}).unwrap();
        let mut config = Config::read(&directory.path().join("daogou.toml")).unwrap();
        config.train.epochs = 1;
        let data = Dataset::load(&config, directory.path()).unwrap();
        let trained = train::train(&config, &data, &train::Options::default(), &mut ()).unwrap();
        let run = TrainedRun::new(&config, trained, &data);
        let mut stock = Stock::of(&run);
        let fields = &run.stored.space.fields;
        let level = fields.iter().find(|field| field.name == "price_level").unwrap().column;
        let read = |stock: &Stock, row: u32| match &stock.items.columns[level] {
            Column::Numbers(values) => values[row as usize],
            other => panic!("{other:?}"),
        };
        let attributes = |value: Value| value.as_object().unwrap().clone().into_iter().collect();
        let (row, id) = (7, "i00006");
        assert_eq!(stock.row(id), Some(row));
        let category =
            stock.catalogue.categories[usize::from(stock.catalogue.category[row as usize])].clone();
        let (price, before) = (stock.catalogue.price[row as usize], read(&stock, row));
        // A price alone is one of the category that the item has.
        stock.put(&run, id, attributes(json!({"price": 2.0 * f64::from(price)}))).unwrap();
        let dearer = read(&stock, row);
        assert!(dearer > before, "{dearer} after {before}");
        let whole = json!({"price": price, "category": category});
        stock.put(&run, id, attributes(whole)).unwrap();
        assert!((read(&stock, row) - before).abs() < 1e-5);
        let row = stock.put(&run, "new", attributes(json!({"price": price}))).unwrap();
        assert_ne!(read(&stock, row), before, "a new item of no category is among all");
        let row = stock
            .put(&run, "like", attributes(json!({"price": price, "category": category})))
            .unwrap();
        assert!((read(&stock, row) - before).abs() < 1e-5);
        // Another category alone would leave its price without a measure.
        let other = stock.catalogue.categories.iter().find(|&other| *other != category);
        let other = other.unwrap().clone();
        let error = stock.put(&run, id, attributes(json!({"category": other}))).unwrap_err();
        assert!(error.to_string().contains("`price` beside it"), "{error}");
        stock.put(&run, id, attributes(json!({"category": category}))).unwrap();
        assert_eq!(read(&stock, 7), before);
        // A new item without a price is a mean one of its like.
        let row = stock.put(&run, "priceless", attributes(json!({"category": other}))).unwrap();
        assert_eq!(read(&stock, row), 0.0);
    }
}

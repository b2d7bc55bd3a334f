//! One number for a whole log, to notice that it has changed.

use daogou_nn::rng::{hash, mix};

use super::dataset::{Column, Dataset, SideTable, Target};

/// 64 bits, hex, that change with any person, item, request, impression or label of a log, with any value that a network
/// or a list reads of them, and with their order. Titles are not in it: they change nothing but what is shown.
pub(super) fn of(data: &Dataset) -> String {
    let mut state = State(0);
    state.side(&data.users);
    state.side(&data.items);
    data.catalogue.category.iter().for_each(|&category| state.add(u64::from(category)));
    state.numbers(&data.catalogue.price);

    let requests = &data.requests;
    for r in 0..requests.len() {
        state.add(u64::from(requests.user[r]) << 32 | u64::from(requests.offsets[r + 1]));
        state.add(requests.time.get(r).map_or(0, |&time| time as u64));
    }
    let impressions = &data.impressions;
    for (i, &item) in impressions.item.iter().enumerate() {
        let labels = impressions.labels.iter().fold(0u64, |bits, l| bits << 1 | u64::from(l[i]));
        let position = impressions.position.get(i).map_or(0, |&position| u64::from(position));
        state.add(u64::from(item) << 32 | position);
        state.add(labels);
    }
    state.numbers(&impressions.propensity);
    for target in data.targets.iter().flatten() {
        match target {
            Target::Number { value, .. } => state.numbers(value),
            Target::Class { class, .. } => class.iter().for_each(|&c| state.add(u64::from(c))),
            // These follow from the rest.
            _ => {}
        }
    }
    requests.columns.iter().chain(&impressions.columns).for_each(|column| state.column(column));
    format!("{:016x}", state.0)
}

struct State(u64);

impl State {
    fn add(&mut self, value: u64) {
        self.0 = mix(self.0 ^ value);
    }

    fn numbers(&mut self, values: &[f32]) {
        values.iter().for_each(|value| self.add(u64::from(value.to_bits())));
    }

    fn column(&mut self, column: &Column) {
        match column {
            Column::Ids(ids) => ids.iter().for_each(|&id| self.add(u64::from(id))),
            Column::Numbers(values) => self.numbers(values),
            Column::Bags { offsets, ids } => {
                offsets.iter().chain(ids).for_each(|&value| self.add(u64::from(value)));
            }
        }
    }

    fn side(&mut self, side: &SideTable) {
        side.ids.iter().for_each(|id| self.add(hash(id)));
        side.columns.iter().for_each(|column| self.column(column));
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;

    use super::*;
    use crate::schema::Config;

    const CONFIG: &str = "[data]\nimpressions = [\"log.csv\"]\nitems = \"items.csv\"\nusers = \"users.csv\"\n\
        [columns]\nprice = \"price\"\ncategory = \"kind\"\nposition = \"position\"\ntitle = \"title\"\n\
        [data.split]\nmethod = \"row_order\"\n\
        [[feature]]\nname = \"brand\"\nside = \"item\"\ntype = \"id\"\n\
        [[feature]]\nname = \"age\"\nside = \"user\"\ntype = \"number\"\n\
        [[task]]\nname = \"click\"\nkind = \"binary\"\n";

    /// Whatever is changed in whichever table of a log shows, and nothing else does.
    #[test]
    fn a_change_in_any_table_shows() {
        let log = (0..80).fold(String::from("user_id,item_id,position,click\n"), |mut log, i| {
            writeln!(log, "u{},i{},{},{}", i % 7, i * 5 % 9, 1 + i % 2, i32::from(i % 3 == 0))
                .unwrap();
            log
        });
        let items =
            (0..9).fold(String::from("item_id,brand,price,kind,title\n"), |mut items, i| {
                writeln!(items, "i{i},b{},{},k{},Item {i}", i % 4, 10 + i, i % 3).unwrap();
                items
            });
        let users = (0..7).fold(String::from("user_id,age\n"), |mut users, u| {
            writeln!(users, "u{u},{}", 20 + u).unwrap();
            users
        });
        let of = |log: &str, items: &str, users: &str| {
            let directory = tempfile::tempdir().unwrap();
            for (name, text) in [("log.csv", log), ("items.csv", items), ("users.csv", users)] {
                fs_err::write(directory.path().join(name), text).unwrap();
            }
            let config = Config::parse(CONFIG, Path::new("daogou.toml")).unwrap();
            Dataset::load(&config, directory.path()).unwrap().report.fingerprint
        };
        let own = of(&log, &items, &users);
        assert_eq!(own, of(&log, &items, &users));
        assert_eq!(own, of(&log, &items.replace("Item 4", "Item four"), &users));
        for (from, to) in
            [("b1,11,k1", "b1,12,k1"), ("b2,16,k0", "b3,16,k0"), ("b3,13,k0", "b3,13,k1")]
        {
            assert!(items.contains(from));
            assert_ne!(own, of(&log, &items.replace(from, to), &users), "{from} became {to}");
        }
        assert_ne!(own, of(&log, &items, &users.replace("u3,23", "u3,24")));
        for (from, to) in
            [("u0,i0,1,1", "u0,i0,2,1"), ("u0,i0,1,1", "u0,i0,1,0"), ("u1,i5,2", "u1,i6,2")]
        {
            assert!(log.contains(from));
            assert_ne!(own, of(&log.replacen(from, to, 1), &items, &users), "{from} became {to}");
        }
        // Another name for the same person.
        let renamed = |text: &str| text.replace("u3,", "v3,");
        assert_ne!(own, of(&renamed(&log), &items, &renamed(&users)));
    }
}

//! Lists from a plain file of scores: no model, no run.

use std::path::Path;

use rustc_hash::FxHashMap;

use crate::artifact::write_atomic;
use crate::assortment::{Assortment, no_such_value};
use crate::lists::rules::NO_VALUE;
use crate::lists::{
    Candidates, Heads, ListBuilder, Objective, Scratch, Seen, Weights, build_under, builder,
    utility_scale,
};
use crate::metrics::diversity::UNKNOWN;
use crate::rows::{Layout, Rows, header};
use crate::rule_book::RuleBook;
use crate::schema::ListRules;
use crate::{Error, Result};

/// How lists are made.
#[derive(Clone, Debug, PartialEq)]
pub struct RerankOptions {
    /// A name that [`builder()`] knows.
    pub builder: String,
    /// Items per list.
    pub k: usize,
    /// Weights of the objectives; of a file with a `score`, `diversity` and `novelty` alone are used.
    pub weights: Weights,
    /// Wanted share of novel items.
    pub wanted_novelty: f64,
    /// What every list holds to. Quotas count values of any column, the price band needs `price` and the policy for seen
    /// items `novel`.
    pub rules: ListRules,
}

/// What was read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RerankSummary {
    /// Candidates read.
    pub rows: usize,
    /// Lists written.
    pub lists: usize,
}

/// The columns, by name. What a request has and what it lacks is the same for all.
struct Columns {
    names: Vec<String>,
    has_score: bool,
    /// Columns that quotas count.
    counted: Vec<Counted>,
}

/// A column of which a quota counts values.
struct Counted {
    column: usize,
    /// Distinct values as they come first, and the number of each.
    values: Vec<String>,
    numbers: FxHashMap<String, u32>,
}

impl Counted {
    /// Number of a cell's value.
    fn number(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return NO_VALUE;
        }
        self.numbers.get(text).copied().unwrap_or_else(|| {
            let next = self.values.len() as u32;
            self.values.push(text.into());
            self.numbers.insert(text.into(), next);
            next
        })
    }
}

/// Candidates of one request.
#[derive(Default)]
struct Request {
    name: String,
    items: Vec<String>,
    titles: Vec<String>,
    /// `score`, or `click`.
    click: Vec<f32>,
    purchase: Vec<f32>,
    price: Vec<f32>,
    category: Vec<u16>,
    novel: Vec<f32>,
    /// Values of every counted column.
    counted: Vec<Vec<u32>>,
}

/// One request's candidates, as rules speak of them.
struct Offer<'a> {
    request: &'a Request,
    columns: &'a Columns,
}

impl Offer<'_> {
    fn counted(&self, of: &str) -> usize {
        let all = &self.columns.counted;
        let found = all.iter().position(|counted| self.columns.names[counted.column] == of);
        found.expect("every column that a quota counts was asked of the header")
    }
}

impl Assortment for Offer<'_> {
    fn values(&self, _: &str, of: &str) -> Result<Vec<u32>> {
        Ok(self.request.counted[self.counted(of)].clone())
    }

    fn value(&self, key: &str, of: &str, value: &str) -> Result<u32> {
        let counted = &self.columns.counted[self.counted(of)];
        counted
            .numbers
            .get(value)
            .copied()
            .ok_or_else(|| no_such_value(key, of, value, counted.values.iter().map(String::as_str)))
    }

    fn candidate(&self, key: &str, item: &str) -> Result<u32> {
        let place = self.request.items.iter().position(|other| other == item);
        place.map(|place| place as u32).ok_or_else(|| {
            Error::config(key, format!("expected an item of the request, got `{item}`"))
        })
    }
}

/// Memory that is used again from request to request, and the last list.
#[derive(Default)]
struct Memory {
    scratch: Scratch,
    utility: Vec<f32>,
    list: Vec<u32>,
}

impl Columns {
    fn of(path: &Path, rules: &ListRules) -> Result<Self> {
        const KNOWN: [&str; 9] = [
            "request", "item", "score", "click", "purchase", "price", "category", "novel", "title",
        ];
        let mut names = header(path, Layout::COMMAS)?;
        let all = names.clone();
        let is_counted = |name: &str| rules.quotas.iter().any(|quota| quota.of == name);
        names.retain(|name| KNOWN.contains(&name.as_str()) || is_counted(name));
        let has = |name: &str| names.iter().any(|other| other == name);
        let seen = rules.seen.is_some_and(|policy| policy != Seen::Allow);
        let quotas = rules.quotas.iter().map(|quota| (quota.of.as_str(), "quotas"));
        let others = [
            rules.price.map(|_| ("price", "a price band")),
            seen.then_some(("novel", "a policy for seen items")),
        ];
        for (needed, by) in quotas.chain(others.into_iter().flatten()) {
            if !has(needed) {
                let found = all.join(", ");
                let problem = format!("expected a column `{needed}` for {by}, found {found}");
                return Err(Error::file(path, problem));
            }
        }
        for needed in ["request", "item"] {
            if !has(needed) {
                return Err(Error::file(path, format!("expected a column `{needed}`, got none")));
            }
        }
        if has("score") == has("click") {
            let got = if has("score") { "both" } else { "none" };
            return Err(Error::file(
                path,
                format!("expected a column `score` or a column `click`, got {got}"),
            ));
        }
        let counted = (0..names.len()).filter(|&column| is_counted(&names[column]));
        let counted = counted.map(|column| Counted {
            column,
            values: Vec::new(),
            numbers: FxHashMap::default(),
        });
        Ok(Self { has_score: has("score"), counted: counted.collect(), names })
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }
}

/// Reads candidates (`request`, `item`, and `score` or else `click` with `purchase` and `price`; `category`, `novel` and
/// `title` if there are any), builds one list per request and writes `request, position, item, score` (and `title`) as
/// CSV, requests as they come first.
///
/// The wanted mix of a request is what its candidates promise: the shares of their utility by category, so that a list
/// is calibrated to the scores (Steck 2018). Without categories diversity has no weight, without `novel` novelty has
/// none. Ties break by item. Every list holds to the rules. The file is kept in memory.
///
/// Errors: a missing column, no rows, a cell that is no number, an item twice in a request, what the builder refuses and
/// rules that cannot be met, by request.
pub fn rerank(input: &Path, output: &Path, options: &RerankOptions) -> Result<RerankSummary> {
    let builder = builder(&options.builder)?;
    options.rules.check()?;
    check_output(input, output)?;
    let mut columns = Columns::of(input, &options.rules)?;
    let (requests, categories) = read(input, &mut columns)?;
    if requests.is_empty() {
        return Err(Error::file(input, "has no rows: expected at least one below the header"));
    }
    let mut summary = RerankSummary { rows: 0, lists: requests.len() };
    let mut memory = Memory::default();
    let wrong = |error: csv::Error| Error::file(output, error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let has_titles = columns.place("title").is_some();
    let title = has_titles.then_some("title");
    writer
        .write_record(["request", "position", "item", "score"].into_iter().chain(title))
        .map_err(wrong)?;
    for request in &requests {
        summary.rows += request.items.len();
        request
            .build(&columns, options, builder, categories, &mut memory)
            .map_err(|error| error.about(&format!("request `{}`", request.name)))?;
        for (position, &i) in memory.list.iter().enumerate() {
            let i = i as usize;
            let numbers = [(position + 1).to_string(), memory.utility[i].to_string()];
            let cells = [&request.name, &numbers[0], &request.items[i], &numbers[1]];
            writer.write_record(cells.into_iter().chain(request.titles.get(i))).map_err(wrong)?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| Error::file(output, error.to_string()))?;
    write_atomic(output, &bytes)?;
    Ok(summary)
}

/// That lists can be written where they are asked for: as CSV, and not over what is read.
fn check_output(input: &Path, output: &Path) -> Result<()> {
    let extension = output.extension().and_then(|extension| extension.to_str());
    if let Some(other) = extension.filter(|e| ["parquet", "jsonl", "gz", "tsv"].contains(e)) {
        let problem =
            format!("lists are written as CSV: expected a name that says so, got .{other}");
        return Err(Error::file(output, problem));
    }
    let place = |path: &Path| path.canonicalize().ok();
    if place(output).is_some_and(|place_of| Some(place_of) == place(input)) {
        return Err(Error::file(output, "is the input: expected another file for the lists"));
    }
    Ok(())
}

/// Requests as they come first, and the number of categories.
fn read(input: &Path, columns: &mut Columns) -> Result<(Vec<Request>, usize)> {
    let mut rows = Rows::open(input, Layout::COMMAS, &columns.names)?;
    let mut counted = std::mem::take(&mut columns.counted);
    let columns_read = &*columns;
    let place = |name: &str| columns_read.place(name);
    let known = |name: &str| place(name).expect("checked with the header");
    let (request, item) = (known("request"), known("item"));
    let score = known(if columns_read.has_score { "score" } else { "click" });
    let mut requests: Vec<Request> = Vec::new();
    let mut by_name: FxHashMap<String, usize> = FxHashMap::default();
    let mut categories: FxHashMap<String, u16> = FxHashMap::default();
    while rows.advance()? {
        let name = rows.id(request)?;
        let index = by_name.get(name).copied().unwrap_or_else(|| {
            by_name.insert(name.to_string(), requests.len());
            let counted = vec![Vec::new(); counted.len()];
            requests.push(Request { name: name.to_string(), counted, ..Request::default() });
            requests.len() - 1
        });
        let own = &mut requests[index];
        own.items.push(rows.id(item)?.to_string());
        let probability = |column: usize| -> Result<f32> {
            let number = rows.number(column)?;
            if (0.0..=1.0).contains(&number) {
                return Ok(number as f32);
            }
            Err(rows.cell(column, "a probability from 0 to 1"))
        };
        own.click.push(if columns.has_score {
            rows.number(score)? as f32
        } else {
            probability(score)?
        });
        if let Some(column) = place("purchase") {
            own.purchase.push(probability(column)?);
        }
        if let Some(column) = place("price") {
            own.price.push(rows.optional(column)?.map_or(f32::NAN, |price| price as f32));
        }
        if let Some(column) = place("novel") {
            own.novel.push(rows.number(column)? as f32);
        }
        if let Some(column) = place("title") {
            own.titles.push(rows.text(column).to_string());
        }
        for (values, counted) in own.counted.iter_mut().zip(&mut counted) {
            values.push(counted.number(rows.text(counted.column)));
        }
        if let Some(column) = place("category") {
            let text = rows.text(column);
            let next = categories.len();
            own.category.push(match categories.get(text).copied() {
                _ if text.is_empty() => UNKNOWN,
                Some(category) => category,
                None if next == usize::from(UNKNOWN) => {
                    return Err(rows.cell(column, "at most 65,535 categories"));
                }
                None => {
                    categories.insert(text.to_string(), next as u16);
                    next as u16
                }
            });
        }
    }
    columns.counted = counted;
    Ok((requests, categories.len()))
}

impl Request {
    fn build(
        &self,
        columns: &Columns,
        options: &RerankOptions,
        builder: &dyn ListBuilder,
        categories: usize,
        memory: &mut Memory,
    ) -> Result<()> {
        let Memory { scratch, utility, list } = memory;
        fn some(values: &[f32]) -> Option<&[f32]> {
            (!values.is_empty()).then_some(values)
        }
        let heads = Heads {
            click: Some(&self.click),
            purchase: some(&self.purchase),
            price: some(&self.price),
            bonus: None,
        };
        let Weights { diversity, novelty, .. } = options.weights;
        let weights = if columns.has_score {
            Weights { click: 1.0, diversity, novelty, ..Weights::default() }
        } else {
            options.weights
        };
        weights.utility(&heads, self.items.len(), utility)?;
        let tie_break = self.ranks()?;
        let mix = self.promised_mix(utility, categories);
        let (lambda_diversity, lambda_novelty) =
            weights.lambdas(utility_scale(utility, options.k, &mut Vec::new()));
        let candidates = Candidates {
            utility,
            category: &self.category,
            novel: &self.novel,
            tie_break: &tie_break,
            ..Candidates::default()
        };
        let objective = Objective {
            k: options.k,
            lambda_diversity: if mix.is_empty() { 0.0 } else { lambda_diversity },
            lambda_novelty: if self.novel.is_empty() { 0.0 } else { lambda_novelty },
            wanted_mix: &mix,
            wanted_novelty: options.wanted_novelty,
            smoothing: 0.01,
        };
        let book = RuleBook::new(&options.rules, &Offer { request: self, columns })?;
        match book.rules(self.items.len(), some(&self.price), &self.novel)? {
            None => builder.build(&candidates, &objective, scratch, list),
            Some(rules) => build_under(&rules, builder, &candidates, &objective, scratch, list),
        }
    }

    /// Rank of each item by its id, so that ties do not depend on the order of rows.
    fn ranks(&self) -> Result<Vec<u64>> {
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.sort_unstable_by_key(|&i| &self.items[i]);
        if let Some(pair) = order.windows(2).find(|pair| self.items[pair[0]] == self.items[pair[1]])
        {
            return Err(Error::data(format!(
                "expected each item once, got `{}` twice",
                self.items[pair[0]]
            )));
        }
        let mut ranks = vec![0; order.len()];
        order.iter().enumerate().for_each(|(rank, &i)| ranks[i] = rank as u64);
        Ok(ranks)
    }

    /// Shares of positive utility by category; empty if no item of known category has any.
    fn promised_mix(&self, utility: &[f32], categories: usize) -> Vec<f32> {
        let mut mix = vec![0f64; categories];
        for (&category, &utility) in self.category.iter().zip(utility) {
            if let Some(share) = mix.get_mut(usize::from(category)) {
                *share += f64::from(utility.max(0.0));
            }
        }
        let total: f64 = mix.iter().sum();
        if total > 0.0 {
            mix.iter().map(|share| (share / total) as f32).collect()
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(builder: &str) -> RerankOptions {
        let weights = Weights { click: 1.0, diversity: 1.0, novelty: 1.0, ..Weights::default() };
        RerankOptions {
            builder: builder.into(),
            k: 2,
            weights,
            wanted_novelty: 0.5,
            rules: ListRules::default(),
        }
    }

    fn lists(text: &str, options: &RerankOptions) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("scores.csv"), folder.path().join("lists.csv"));
        fs_err::write(&input, text).unwrap();
        rerank(&input, &output, options)?;
        Ok(fs_err::read_to_string(output).unwrap())
    }

    #[test]
    fn a_file_of_scores_becomes_a_file_of_lists() {
        let scores = "request,item,score,category,title\n\
                      r2,c,0.5,phone,C\nr1,a,0.9,phone,A\nr1,b,0.8,phone,B\nr1,c,0.7,case,\"C, red\"\n";
        let top = lists(scores, &options("top_k")).unwrap();
        assert_eq!(
            top,
            "request,position,item,score,title\nr2,1,c,0.5,C\nr1,1,a,0.9,A\nr1,2,b,0.8,B\n"
        );
        let mixed = lists(scores, &options("exact")).unwrap();
        assert!(mixed.ends_with("r1,1,a,0.9,A\nr1,2,c,0.7,\"C, red\"\n"), "{mixed}");
        // Ties break by item, whatever the order of rows; novelty is heard.
        let heads =
            "item,request,click,purchase,novel\nz,r,0.5,0.5,0\ny,r,0.5,0.5,0\nx,r,0.25,0.5,1\n";
        let bought = RerankOptions {
            weights: Weights { purchase: 1.0, novelty: 9.0, ..Weights::default() },
            ..options("auto")
        };
        assert_eq!(
            lists(heads, &bought).unwrap(),
            "request,position,item,score\nr,1,y,0.25\nr,2,x,0.125\n"
        );
    }

    #[test]
    fn lists_hold_to_rules_by_the_columns_of_the_file() {
        let scores = "request,item,score,category,brand,price,novel\n\
                      r,a,0.9,phone,x,900,0\nr,b,0.8,phone,x,800,1\nr,c,0.7,case,y,,1\nr,d,0.6,case,,50,1\n";
        let ruled = |rules: ListRules| -> Result<String> {
            let text = lists(scores, &RerankOptions { rules, ..options("top_k") })?;
            let items = text.lines().skip(1).map(|line| line.split(',').nth(2).unwrap());
            Ok(items.collect())
        };
        let quota =
            |text: &str| ListRules { quotas: vec![text.parse().unwrap()], ..ListRules::default() };
        let pin =
            |text: &str| ListRules { pins: vec![text.parse().unwrap()], ..ListRules::default() };
        let price =
            |text: &str| ListRules { price: Some(text.parse().unwrap()), ..ListRules::default() };
        let seen = |policy| ListRules { seen: Some(policy), ..ListRules::default() };
        for (rules, expected) in [
            (ListRules::default(), "ab"),
            (quota("brand:max=1"), "ac"),
            (quota("brand=x:max=0"), "cd"),
            (quota("category=case:min=1"), "ac"),
            (quota("category:in_a_row=1"), "ac"),
            (price("..850"), "bd"),
            (pin("d@1"), "da"),
            (seen(Seen::Exclude), "bc"),
            (seen(Seen::AtMost(1)), "ab"),
            (seen(Seen::Allow), "ab"),
        ] {
            assert_eq!(ruled(rules.clone()).unwrap(), expected, "{rules:?}");
        }
        for (rules, parts) in [
            (quota("seller:max=1"), ["expected a column `seller` for quotas", "brand"]),
            (quota("brand=z:max=1"), ["request `r`", "`brand`: expected one of x, y, got `z`"]),
            (quota("brand=y:min=2"), ["request `r`", "rule `brand y` (at least 2): cannot be met"]),
            (pin("e@1"), ["request `r`", "expected an item of the request, got `e`"]),
            (pin("a@3"), ["request `r`", "pin of `a` at place 3: the list has 2 places"]),
            (price("5000.."), ["request `r`", "all 4 candidates are excluded: 4 by `price`"]),
        ] {
            let message = ruled(rules).unwrap_err().to_string();
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        let bare = "request,item,score\nr,a,0.9\n";
        for (rules, part) in [
            (
                price("1.."),
                "expected a column `price` for a price band, found request, item, score",
            ),
            (seen(Seen::Exclude), "expected a column `novel` for a policy for seen items"),
        ] {
            let refused = lists(bare, &RerankOptions { rules, ..options("auto") });
            assert!(refused.unwrap_err().to_string().contains(part));
        }
    }

    #[test]
    fn files_that_cannot_be_read_are_refused() {
        for (text, part) in [
            ("item,score\na,1\n", "expected a column `request`, got none"),
            ("request,item\nr,a\n", "expected a column `score` or a column `click`, got none"),
            ("request,item,score,click\nr,a,1,1\n", "got both"),
            ("request,item,score\nr,a,x\n", "column `score`"),
            ("request,item,score\nr,a,NaN\n", "column `score`: expected a number, got `NaN`"),
            ("request,item,score\n", "has no rows: expected at least one below the header"),
            (
                "request,item,score\nr,a,1\nr,a,2\n",
                "request `r`: expected each item once, got `a` twice",
            ),
            ("request,item,score,novel\nr,a,1,2\n", "request `r`: novelty of candidate 0"),
        ] {
            let message = lists(text, &options("auto")).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        assert!(lists("", &options("best")).unwrap_err().to_string().contains("lists.builder"));
    }
}

//! Lists from a plain file of scores: no model, no run.

use std::path::Path;

use rustc_hash::FxHashMap;

use crate::artifact::write_atomic;
use crate::lists::{
    Candidates, Heads, ListBuilder, Objective, Scratch, Weights, builder, utility_scale,
};
use crate::metrics::diversity::UNKNOWN;
use crate::rows::{Layout, Rows, header};
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
}

/// Memory that is used again from request to request, and the last list.
#[derive(Default)]
struct Memory {
    scratch: Scratch,
    utility: Vec<f32>,
    list: Vec<u32>,
}

impl Columns {
    fn of(path: &Path) -> Result<Self> {
        const KNOWN: [&str; 9] = [
            "request", "item", "score", "click", "purchase", "price", "category", "novel", "title",
        ];
        let mut names = header(path, Layout::COMMAS)?;
        names.retain(|name| KNOWN.contains(&name.as_str()));
        let has = |name: &str| names.iter().any(|other| other == name);
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
        Ok(Self { has_score: has("score"), names })
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
/// none. Ties break by item. The file is kept in memory.
///
/// Errors: a missing column, no rows, a cell that is no number, an item twice in a request, what the builder refuses, by
/// request.
pub fn rerank(input: &Path, output: &Path, options: &RerankOptions) -> Result<RerankSummary> {
    let builder = builder(&options.builder)?;
    let columns = Columns::of(input)?;
    let (requests, categories) = read(input, &columns)?;
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
            .map_err(|error| Error::data(format!("request `{}`: {error}", request.name)))?;
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

/// Requests as they come first, and the number of categories.
fn read(input: &Path, columns: &Columns) -> Result<(Vec<Request>, usize)> {
    let mut rows = Rows::open(input, Layout::COMMAS, &columns.names)?;
    let place = |name: &str| columns.place(name);
    let known = |name: &str| place(name).expect("checked with the header");
    let (request, item) = (known("request"), known("item"));
    let score = known(if columns.has_score { "score" } else { "click" });
    let mut requests: Vec<Request> = Vec::new();
    let mut by_name: FxHashMap<String, usize> = FxHashMap::default();
    let mut categories: FxHashMap<String, u16> = FxHashMap::default();
    while rows.advance()? {
        let name = rows.id(request)?;
        let index = by_name.get(name).copied().unwrap_or_else(|| {
            by_name.insert(name.to_string(), requests.len());
            requests.push(Request { name: name.to_string(), ..Request::default() });
            requests.len() - 1
        });
        let own = &mut requests[index];
        own.items.push(rows.id(item)?.to_string());
        own.click.push(rows.number(score)? as f32);
        if let Some(column) = place("purchase") {
            own.purchase.push(rows.number(column)? as f32);
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
        builder.build(&candidates, &objective, scratch, list)
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
        RerankOptions { builder: builder.into(), k: 2, weights, wanted_novelty: 0.5 }
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
    fn files_that_cannot_be_read_are_refused() {
        for (text, part) in [
            ("item,score\na,1\n", "expected a column `request`, got none"),
            ("request,item\nr,a\n", "expected a column `score` or a column `click`, got none"),
            ("request,item,score,click\nr,a,1,1\n", "got both"),
            ("request,item,score\nr,a,x\n", "column `score`"),
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

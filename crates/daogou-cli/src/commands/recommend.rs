//! `daogou recommend`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use daogou::filter::Filter;
use daogou::lists::Weights;
use daogou::pareto::Presets;
use daogou::recommend::{Ask, Item, Recommendation, recommend};
use daogou::run::TrainedRun;

use super::rule_flags::RuleFlags;
use super::{Format, Outcome};
use crate::terminal::{fit, print, wrapped};

/// Build one list for one person
#[derive(Args)]
pub(crate) struct Recommend {
    /// Run directory
    run: PathBuf,
    /// User id; an unknown one is a newcomer
    #[arg(long)]
    user: String,
    /// Items of the list
    #[arg(short)]
    k: Option<usize>,
    /// Weights: `click=1,purchase=3,diversity=0.3,novelty=0.1`
    #[arg(long, value_name = "o=w,…")]
    objectives: Option<String>,
    /// Weights saved by `daogou pareto --save-preset`
    #[arg(long, value_name = "NAME", conflicts_with = "objectives")]
    preset: Option<String>,
    /// How far to go beyond what the person is predicted to want: 0 to 1, all categories alike and all new
    #[arg(long, value_name = "x")]
    explore: Option<f64>,
    /// Value of a context feature: `hour=20`
    #[arg(long, value_name = "col=v")]
    context: Vec<String>,
    /// Item that must not be shown
    #[arg(long, value_name = "ID")]
    exclude: Vec<String>,
    /// What items must be like: `category in ["phone"] and price <= 3000`
    #[arg(long, value_name = "FILTER")]
    filter: Option<Filter>,
    #[command(flatten)]
    rules: RuleFlags,
    /// auto, exact, greedy, greedy_swap, top_k, mmr, dpp, xquad or random_swap
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,
    /// Say for every item what each objective gains from it, and why it is where it is
    #[arg(long)]
    explain: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

impl Recommend {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let (run, _) = TrainedRun::open(&self.run)?;
        let mut context = std::collections::BTreeMap::new();
        for pair in &self.context {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                daogou::Error::config("context", format!("expected `column=value`, got `{pair}`"))
            })?;
            context.insert(name.to_string(), value.to_string());
        }
        let (weights, explore) = match &self.preset {
            Some(name) => {
                let presets = Presets::read(&self.run)?;
                let preset = presets.get(name)?;
                (Some(preset.weights), Some(preset.explore))
            }
            None => (self.objectives.as_deref().map(str::parse::<Weights>).transpose()?, None),
        };
        let ask = Ask {
            user: self.user,
            k: self.k,
            weights,
            explore: self.explore.or(explore),
            context,
            exclude: self.exclude,
            candidates: None,
            filter: self.filter,
            rules: self.rules.rules()?,
            builder: self.builder,
            time: None,
        };
        let mut team = daogou_nn::Team::new(daogou::train::threads(run.config.train.threads));
        let list = recommend(&run, &ask, &mut team)?;
        print(&match self.format {
            Format::Json => serde_json::to_string_pretty(&list)? + "\n",
            Format::Table => shown(&list, self.explain),
        })?;
        Ok(Outcome::Done)
    }
}

/// A list as text of 80 columns.
pub(super) fn shown(list: &Recommendation, explain: bool) -> String {
    let mut out = String::new();
    let newcomer = if list.known { "" } else { " (not in the log: a newcomer)" };
    let _ = writeln!(out, "{}{newcomer}", list.user);
    let mut wants: Vec<(&String, &f32)> = list.wanted.mix.iter().collect();
    wants.sort_by(|a, b| b.1.total_cmp(a.1));
    if !wants.is_empty() {
        let top: Vec<String> =
            wants.iter().take(4).map(|(c, p)| format!("{c} {:.0} %", **p * 100.0)).collect();
        let novelty =
            list.wanted.novelty.map_or_else(String::new, |n| format!("; {:.0} % new", n * 100.0));
        let _ = writeln!(out, "  wants {}{novelty}", top.join(", "));
    }
    if explain {
        out += "  below each item: what the list would lose without it, by objective\n";
    }
    for (place, item) in list.items.iter().enumerate() {
        let name = item.title.as_deref().unwrap_or(&item.item_id);
        let category = item.category.as_deref().unwrap_or("");
        let heads: Vec<String> =
            item.heads.iter().map(|(name, p)| format!("{name} {:.1} %", p * 100.0)).collect();
        let line = format!(
            "{:>3}  {} {} {}",
            place + 1,
            fit(name, 30),
            fit(category, 12),
            heads.join("  ")
        );
        let _ = writeln!(out, "{}", line.trim_end());
        if explain {
            out += &why(item);
        }
    }
    let l = &list.list;
    let some = |name: &str, value: Option<f64>| value.map(|v| format!("{name} {v:.3}"));
    let promised = [
        some("expected clicks", l.expected_clicks),
        some("orders", l.expected_orders),
        some("revenue", l.expected_revenue.filter(|_| explain)),
    ];
    let made = [
        some("KL to wanted", l.kl),
        some("new", l.novelty),
        some("entropy", l.entropy),
        some("ILD", l.distance.filter(|_| explain)),
    ];
    if explain {
        for line in [&promised[..], &made] {
            let said: Vec<String> = line.iter().flatten().cloned().collect();
            if !said.is_empty() {
                out += &wrapped(&said, " · ", "  ");
            }
        }
    } else {
        let said: Vec<String> = promised.into_iter().chain(made).flatten().collect();
        out += &wrapped(&said, " · ", "  ");
    }
    out
}

/// What an item is worth to its list, and why it is where it is.
fn why(item: &Item) -> String {
    const INDENT: &str = "     ";
    let c = &item.contributions;
    let parts = [
        ("click", c.click),
        ("purchase", c.purchase),
        ("revenue", c.revenue),
        ("bonus", c.bonus),
        ("diversity", c.diversity),
        ("novelty", c.novelty),
    ];
    // What would be printed as 0 says nothing.
    let mut worth: Vec<String> = Vec::new();
    for (name, value) in parts.into_iter().filter(|(_, value)| value.abs() >= 5e-5) {
        let sign = match (worth.is_empty(), value < 0.0) {
            (true, false) => "",
            (true, true) => "−",
            (false, false) => "+ ",
            (false, true) => "− ",
        };
        worth.push(format!("{sign}{name} {:.4}", value.abs()));
    }
    let total = format!("{:.4} =", c.total());
    worth.insert(0, if worth.is_empty() { total.replace(" =", "") } else { total });
    let mut out = wrapped(&worth, " ", INDENT);
    let reasons = &item.reasons;
    let mut place: Vec<String> =
        reasons.moved_by.iter().map(|rule| format!("rule: {rule}")).collect();
    let other = reasons.displaced_title.as_ref().or(reasons.displaced.as_ref());
    place.extend(other.map(|other| format!("instead of {other}")));
    if !place.is_empty() {
        out += &wrapped(&place, "; ", INDENT);
    }
    out
}

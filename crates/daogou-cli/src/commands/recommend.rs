//! `daogou recommend`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use daogou::lists::Weights;
use daogou::pareto::Presets;
use daogou::recommend::{Ask, Recommendation, recommend};
use daogou::run::TrainedRun;

use super::{Format, Outcome};
use crate::terminal::{fit, print};

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
    /// Value of a context feature: `hour=20`
    #[arg(long, value_name = "col=v")]
    context: Vec<String>,
    /// Item that must not be shown
    #[arg(long, value_name = "ID")]
    exclude: Vec<String>,
    /// Say for every item what each objective gains from it
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
        let weights = match &self.preset {
            Some(name) => Some(Presets::read(&self.run)?.get(name)?.weights),
            None => self.objectives.as_deref().map(str::parse::<Weights>).transpose()?,
        };
        let ask =
            Ask { user: self.user, k: self.k, weights, context, exclude: self.exclude, time: None };
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
            let c = &item.contributions;
            let parts = [
                ("click", c.click),
                ("purchase", c.purchase),
                ("revenue", c.revenue),
                ("diversity", c.diversity),
                ("novelty", c.novelty),
            ];
            let said: Vec<String> = parts
                .iter()
                .filter(|(_, value)| value.abs() > 1e-6)
                .map(|(name, value)| format!("{name} {value:+.4}"))
                .collect();
            let _ = writeln!(out, "       {}", said.join("  "));
        }
    }
    let l = &list.list;
    let said: Vec<String> = [
        ("expected clicks", l.expected_clicks),
        ("orders", l.expected_orders),
        ("KL to wanted", l.kl),
        ("new", l.novelty),
        ("entropy", l.entropy),
    ]
    .iter()
    .filter_map(|(name, value)| value.map(|v| format!("{name} {v:.3}")))
    .collect();
    let _ = writeln!(out, "  {}", said.join(" · "));
    out
}

//! `daogou inspect`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use daogou::data::LabelEncoding;
use daogou::evaluate::table::floor_rows;
use daogou::run::TrainedRun;
use daogou::train::Round;

use super::{Format, Outcome};
use crate::terminal::print;

/// Show what is in a run
#[derive(Args)]
pub(crate) struct Inspect {
    /// Run directory
    run: PathBuf,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

impl Inspect {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let (run, manifest) = TrainedRun::open(&self.run)?;
        let model = &run.network.model;
        let history = TrainedRun::history(&self.run)?;
        let experts = Round::kept(&history).and_then(|round| round.experts.as_ref());
        let tables: Vec<(String, usize, usize)> =
            model.table_specs().map(|(n, rows, dim)| (n.to_string(), rows, dim)).collect();
        if self.format == Format::Json {
            let json = serde_json::json!({
                "manifest": manifest,
                "config": run.config,
                "tables": tables.iter().map(|(n, r, d)| serde_json::json!({"name": n, "rows": r, "dim": d})).collect::<Vec<_>>(),
                "dense_parameters": model.n_dense(),
                "users": run.stored.users.ids.len() - 1,
                "items": run.stored.items.ids.len() - 1,
                "labels": run.stored.space.labels,
                "exposure": run.exposure,
                "experts": experts,
            });
            print(&(serde_json::to_string_pretty(&json)? + "\n"))?;
            return Ok(Outcome::Done);
        }
        let p = &manifest.provenance;
        let mut out = String::new();
        let _ = writeln!(
            out,
            "made {} by daogou {}, format {}",
            p.created_at, manifest.program_version, manifest.format_version
        );
        let _ = writeln!(out, "seed {}, data {}", p.seed, p.data_fingerprint);
        let _ = writeln!(
            out,
            "{} users, {} items, {} categories",
            run.stored.users.ids.len() - 1,
            run.stored.items.ids.len() - 1,
            run.stored.catalogue.categories.len()
        );
        let _ = writeln!(out, "\ntasks");
        for task in &run.config.tasks {
            let learned = run.stored.space.labels.get(&task.name);
            let learned = learned.map_or_else(String::new, |labels| match labels {
                LabelEncoding::Number(scale) => format!(
                    "   {} of mean {:.4}, sd {:.4}",
                    if scale.log1p { "ln(1 + label)" } else { "label" },
                    scale.mean,
                    scale.sd
                ),
                LabelEncoding::Classes(classes) => format!("   {} classes", classes.len()),
            });
            let _ = writeln!(
                out,
                "  {:<20}{:<14}weight {}{learned}",
                task.name,
                task.kind.name(),
                task.weight()
            );
        }
        let _ = writeln!(out, "\ntables{:>34}{:>6}", "rows", "dim");
        for (name, rows, dim) in &tables {
            let _ = writeln!(out, "  {name:<28}{rows:>10}{dim:>6}");
        }
        let _ = writeln!(out, "  {:<28}{:>10}", "dense parameters", model.n_dense());
        if let Some(used) = experts {
            let _ = writeln!(
                out,
                "\n{:<42}{:>8}  share of each expert",
                "gates, on validation", "entropy"
            );
            for gate in &used.gates {
                let shares: Vec<String> = gate.shares.iter().map(|s| format!("{s:.3}")).collect();
                let _ =
                    writeln!(out, "  {:<40}{:>8.3}  {}", gate.gate, gate.entropy, shares.join(" "));
            }
            let _ = writeln!(out, "\n{:<42}{:>8}", "experts", "dead");
            for expert in &used.experts {
                let _ = writeln!(out, "  {:<40}{:>6.0} %", expert.expert, 100.0 * expert.dead);
            }
            for warning in used.warnings(&run.config.model) {
                let _ = writeln!(out, "  warning: {warning}");
            }
        }
        floor_rows(&mut out, &run.exposure.floors);
        let _ = writeln!(out, "\nfiles");
        for (name, file) in &manifest.files {
            let _ = writeln!(out, "  {name:<28}{:>12} bytes  {}", file.bytes, &file.sha256[..12]);
        }
        let _ = writeln!(out, "\nvalidation of the best round");
        for line in serde_json::to_string_pretty(&p.metrics)?.lines() {
            let _ = writeln!(out, "  {line}");
        }
        print(&out)?;
        Ok(Outcome::Done)
    }
}

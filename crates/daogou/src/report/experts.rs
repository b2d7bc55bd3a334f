//! How gates used their experts at the round that was kept.

use maud::html;

use super::Section;
use super::chart::Table;
use super::numbers::fixed;
use crate::schema::Config;
use crate::train::Round;

/// Shares of every gate and dead units of every expert; `None` where they were not measured.
pub(super) fn section(config: &Config, history: &[Round]) -> Option<Section> {
    let used = Round::kept(history)?.experts.as_ref()?;
    let mut gates = Table { words: true, ..Table::new(&["gate", "experts in use", "shares"]) };
    for gate in &used.gates {
        let shares: Vec<String> = gate
            .experts
            .iter()
            .zip(&gate.shares)
            .map(|(expert, share)| format!("{expert} {:.0} %", 100.0 * share))
            .collect();
        gates.rows.push(vec![
            gate.gate.clone(),
            format!("{} of {}", fixed(Some(gate.entropy.exp()), 1), gate.experts.len()),
            shares.join(", "),
        ]);
    }
    let mut experts = Table::new(&["expert", "dead units"]);
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    experts.rows = used.experts.iter().map(|e| vec![e.expert.clone(), percent(e.dead)]).collect();
    let warnings = used.warnings(&config.model);
    let body = html! {
        p {
            "A gate shares its attention out over experts, impression by impression; the shares are means over the "
            "validation split. Experts in use is the exponential of the mean entropy of a row: 1 where each row takes "
            "one expert. A dead unit is 0 on every validation row, and learns nothing more. "
            @if warnings.is_empty() { "Nothing here wastes an expert." }
        }
        @if !warnings.is_empty() { ul { @for warning in &warnings { li { (warning) } } } }
        (gates.markup())
        (experts.markup())
    };
    Some(Section { id: "experts", title: "Use of experts", body, charts: Vec::new() })
}

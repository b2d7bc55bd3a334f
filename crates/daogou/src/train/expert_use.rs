//! How a network of experts is used: what training cannot see in its losses, and what makes it waste its experts.
//!
//! A gate may come to lean on one expert (collapse: the others no longer learn for this task), and the units of an
//! expert may come to be 0 on every row (dead ReLU units never learn again). Both were found in production networks whose
//! losses looked fine (HoME, Kuaishou 2024).

use std::ops::Range;
use std::sync::Mutex;

use daogou_nn::{Micro, Model, NodeId, Parameters, Team, Workspace};
use serde::{Deserialize, Serialize};

use crate::models::predict::{MICRO, cut};
use crate::models::{Feed, Level, Mixing, Mode, Source};
use crate::schema::{ModelConfig, ModelKind};

/// Below this a unit counts as silent: ReLU gives exactly 0, SiLU only nearly.
const SILENT: f32 = 1e-6;

/// Mean share of one expert from which a gate leans on it.
const LEANS_FROM: f64 = 0.9;

/// Share of dead units from which an expert is dead.
const DEAD_FROM: f64 = 0.9;

/// Use of all experts on some rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpertUse {
    /// In the order of the network's gates.
    pub gates: Vec<GateUse>,
    /// Every expert once.
    pub experts: Vec<UnitUse>,
}

/// How a gate shares its attention out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateUse {
    /// For whom: a task, `impressions` where the impression level reads the request level, `all`.
    pub gate: String,
    /// Names of its experts.
    pub experts: Vec<String>,
    /// Mean weight of each over the rows: of sum 1.
    pub shares: Vec<f64>,
    /// Mean entropy of a row's weights, in nats: from 0, one expert per row, to ln of their number, all alike.
    pub entropy: f64,
}

/// Units of an expert that are never used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitUse {
    /// Name of the expert.
    pub expert: String,
    /// Share of the units of its last layer that are 0 on every row.
    pub dead: f64,
}

/// Sums over some rows.
#[derive(Clone)]
struct Tally {
    /// Per gate: rows.
    rows: Vec<f64>,
    /// Per gate and expert: summed weights.
    shares: Vec<Vec<f64>>,
    /// Per gate: summed entropies.
    entropy: Vec<f64>,
    /// Per expert and unit: whether it was ever more than silent.
    alive: Vec<Vec<bool>>,
}

impl Tally {
    fn new(model: &Model, gates: &[Mixing], experts: &[(&str, Level, NodeId)]) -> Self {
        Self {
            rows: vec![0.0; gates.len()],
            shares: gates.iter().map(|gate| vec![0.0; gate.experts.len()]).collect(),
            entropy: vec![0.0; gates.len()],
            alive: experts.iter().map(|(_, _, node)| vec![false; model.cols(*node)]).collect(),
        }
    }

    /// Adds the rows of a micro-batch that was run forward.
    fn count(
        &mut self,
        (model, workspace, micro): (&Model, &Workspace, &Micro),
        gates: &[Mixing],
        experts: &[(&str, Level, NodeId)],
    ) {
        let rows_of = |level: Level| micro.rows[usize::from(level == Level::Impression)];
        for (index, gate) in gates.iter().enumerate() {
            for row in 0..rows_of(gate.level) {
                for (sum, &weight) in
                    self.shares[index].iter_mut().zip(workspace.row(model, gate.weights, row))
                {
                    let weight = f64::from(weight);
                    *sum += weight;
                    if weight > 0.0 {
                        self.entropy[index] -= weight * weight.ln();
                    }
                }
                self.rows[index] += 1.0;
            }
        }
        for ((_, level, node), alive) in experts.iter().zip(&mut self.alive) {
            for row in 0..rows_of(*level) {
                for (alive, value) in alive.iter_mut().zip(workspace.row(model, *node, row)) {
                    *alive |= value.abs() >= SILENT;
                }
            }
        }
    }

    fn add(&mut self, other: &Self) {
        let add = |to: &mut [f64], from: &[f64]| to.iter_mut().zip(from).for_each(|(t, f)| *t += f);
        add(&mut self.rows, &other.rows);
        add(&mut self.entropy, &other.entropy);
        self.shares.iter_mut().zip(&other.shares).for_each(|(to, from)| add(to, from));
        for (to, from) in self.alive.iter_mut().zip(&other.alive) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to |= from);
        }
    }
}

impl ExpertUse {
    /// Measures on some requests and all their impressions; `None` without gates or rows. Costs a forward pass. The result
    /// does not depend on the number of threads.
    pub fn measure(
        (model, parameters): (&Model, &Parameters),
        (feed, gates): (&Feed, &[Mixing]),
        source: &Source<'_>,
        requests: &[u32],
        team: &mut Team,
    ) -> Option<Self> {
        if gates.is_empty() || requests.is_empty() {
            return None;
        }
        let mut experts: Vec<(&str, Level, NodeId)> = Vec::new();
        for gate in gates {
            for expert in &gate.experts {
                if experts.iter().all(|(name, ..)| *name != expert.name) {
                    experts.push((&expert.name, gate.level, expert.output));
                }
            }
        }
        let none = Tally::new(model, gates, &experts);
        let mut jobs: Vec<(Range<usize>, Tally)> = Vec::new();
        let offsets = &source.requests.offsets;
        let rows_of = |r: u32| (offsets[r as usize + 1] - offsets[r as usize]) as usize;
        cut(rows_of, requests, MICRO, |part| jobs.push((part, none.clone())));
        let memory = || Mutex::new((Micro::new(model), Workspace::new(model)));
        let members: Vec<_> = (0..team.size()).map(|_| memory()).collect();
        team.for_each(&mut jobs, |member, _, (part, tally)| {
            let mut memory = members[member].lock().expect("each member has its own");
            let (micro, workspace) = &mut *memory;
            feed.fill(source, &requests[part.clone()], Mode::Evaluate, micro);
            model.forward(parameters, micro, workspace);
            tally.count((model, workspace, micro), gates, &experts);
        });
        let mut total = none;
        jobs.iter().for_each(|(_, tally)| total.add(tally));
        let of_gate = |(index, gate): (usize, &Mixing)| {
            let rows = total.rows[index].max(1.0);
            GateUse {
                gate: gate.gate.clone(),
                experts: gate.experts.iter().map(|expert| expert.name.clone()).collect(),
                shares: total.shares[index].iter().map(|sum| sum / rows).collect(),
                entropy: total.entropy[index] / rows,
            }
        };
        let of_expert = |((name, ..), alive): (&(&str, Level, NodeId), &Vec<bool>)| UnitUse {
            expert: (*name).into(),
            dead: alive.iter().filter(|alive| !**alive).count() as f64 / alive.len() as f64,
        };
        Some(Self {
            gates: gates.iter().enumerate().map(of_gate).collect(),
            experts: experts.iter().zip(&total.alive).map(of_expert).collect(),
        })
    }

    /// What is wrong, and what to change: a sentence each.
    pub fn warnings(&self, model: &ModelConfig) -> Vec<String> {
        let fewer = match model.kind {
            ModelKind::Mmoe => "`model.experts`",
            _ => "`model.task_experts` and `model.shared_experts`",
        };
        let mut found = Vec::new();
        for gate in self.gates.iter().filter(|gate| gate.shares.len() > 1) {
            let leaning = gate.experts.iter().zip(&gate.shares);
            for (expert, share) in leaning.filter(|(_, share)| **share > LEANS_FROM) {
                let advice = if model.layer_norm {
                    format!("lower {fewer}")
                } else {
                    format!("set `model.layer_norm = true`, or lower {fewer}")
                };
                found.push(format!(
                    "the gate of `{}` leans on one expert: {:.0} % of `{expert}`; {advice}",
                    gate.gate,
                    100.0 * share
                ));
            }
        }
        for expert in self.experts.iter().filter(|expert| expert.dead > DEAD_FROM) {
            let of: Vec<String> = self
                .gates
                .iter()
                .filter(|gate| gate.experts.contains(&expert.expert))
                .map(|gate| format!("`{}`", gate.gate))
                .collect();
            let advice = if model.silu {
                "lower `train.learning_rate`"
            } else {
                "set `model.silu = true`, or lower `train.learning_rate`"
            };
            found.push(format!(
                "{:.0} % of the units of expert `{}`, read by {}, are 0 on every validation row; {advice}",
                100.0 * expert.dead,
                expert.expert,
                of.join(", ")
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(shares: &[f64], dead: f64) -> ExpertUse {
        let names: Vec<String> = (0..shares.len()).map(|j| format!("experts.{j}")).collect();
        ExpertUse {
            experts: names.iter().map(|name| UnitUse { expert: name.clone(), dead }).collect(),
            gates: vec![GateUse {
                gate: "click".into(),
                experts: names,
                shares: shares.to_vec(),
                entropy: 0.0,
            }],
        }
    }

    #[test]
    fn warnings_name_gate_expert_and_remedy() {
        let mut model = ModelConfig { kind: ModelKind::Mmoe, ..ModelConfig::default() };
        assert!(used(&[0.5, 0.5], 0.3).warnings(&model).is_empty());
        assert!(used(&[1.0], 0.0).warnings(&model).is_empty(), "one expert has nobody beside it");
        let said = used(&[0.03, 0.97], 0.0).warnings(&model).join("\n");
        for part in ["`click`", "`experts.1`", "97 %", "model.layer_norm", "model.experts"] {
            assert!(said.contains(part), "{said}");
        }
        let said = used(&[0.5, 0.5], 0.95).warnings(&model);
        assert_eq!(said.len(), 2);
        assert!(said[0].contains("`experts.0`") && said[0].contains("model.silu"), "{said:?}");
        // What is set already is no advice.
        (model.layer_norm, model.silu) = (true, true);
        let said = used(&[0.03, 0.97], 0.95).warnings(&model).join("\n");
        assert!(!said.contains("layer_norm") && !said.contains("silu"), "{said}");
    }
}

//! Where the gradients of several losses meet, and the ways back to there.
//!
//! ```text
//!  tables, numbers ── trunk ── representation ── heads ── losses
//!                     └ learns from Σ α_k L_k ┘   └ learn from Σ L_k
//! ```
//!
//! A model declares what its losses share ([`Graph::represent`]): what a shared trunk gives, experts and gates. Ways of
//! balancing losses compare gradients there, where they are small, and not at tables, where they are not. *Heads* are the
//! ops that lead to no part of the representation and read tables only through it; everything else is the trunk.
//!
//! Parts may stand one above another, as what towers of an impression read stands above what the request level gives. A
//! gradient is then taken through the ops between them, so that a loss above is compared with one below.

use super::{Backward, Graph, NodeId, View, root_of};
use crate::layers::{Given, Picked};
use crate::real::Real;

/// A node of the representation that at least two losses reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) node: NodeId,
    /// Its gradient is complete before this op's backward pass, which may overwrite it.
    pub(crate) complete_before: usize,
}

/// The representation that losses share. Parts that one loss alone reaches (a task's own experts) belong to the trunk and are
/// not compared.
#[derive(Clone, Debug)]
pub(crate) struct Representation {
    /// In the order in which gradients arrive.
    pub(crate) parts: Vec<Part>,
    /// Per loss: the way back to the parts, and no further.
    pub(crate) to_parts: Vec<Backward>,
    /// Per loss and part: whether its gradient arrives there.
    pub(crate) reached: Vec<Vec<bool>>,
    /// By op: whether it is of the heads.
    pub(crate) heads: Vec<bool>,
    /// The way back from all losses through the heads, and no further.
    pub(crate) through_heads: Backward,
}

impl<T: Real> Graph<T> {
    /// Nothing where no node was declared, or none that two losses reach.
    pub(super) fn plan_representation(&self) -> Option<Representation> {
        // A node whose readers all read its parts instead is not there any more.
        let mut parts: Vec<Part> = self
            .shared
            .iter()
            .filter_map(|&node| Some(Part { node, complete_before: self.producer(node)? }))
            .collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.complete_before));
        let declared: Vec<NodeId> = parts.iter().map(|part| part.node).collect();

        let reached_by = |plans: &[Backward], part: &Part| {
            plans.iter().filter(|plan| self.arrives(plan, part.node)).count()
        };
        let plans = self.plans_to(&declared);
        parts.retain(|part| reached_by(&plans, part) > 1);
        if parts.is_empty() {
            return None;
        }
        let nodes: Vec<NodeId> = parts.iter().map(|part| part.node).collect();
        let to_parts = self.plans_to(&nodes);
        let reached = to_parts
            .iter()
            .map(|plan| nodes.iter().map(|node| self.arrives(plan, *node)).collect())
            .collect();

        let heads = self.heads(&declared);
        let mut learns = vec![false; self.nodes.len()];
        for (op, head) in self.ops.iter().zip(&heads) {
            let through = || op.inputs().iter().any(|i| self.learns_through(&learns, *i));
            let own = *head && (op.has_parameters() || through());
            learns[op.output().0] = own;
        }
        let runs: Vec<bool> = self.ops.iter().map(|op| learns[op.output().0]).collect();
        let mut through_heads = self.plan_backward(&learns, &runs, |_| true);
        self.plan_cuts(&mut through_heads);
        Some(Representation { parts, to_parts, reached, heads, through_heads })
    }

    /// The op that computes a node, or what the node is a view of.
    fn producer(&self, node: NodeId) -> Option<usize> {
        let own = self.ops.iter().position(|op| op.output() == node);
        own.or_else(|| match self.nodes[node.0].view {
            View::Columns(of, _) | View::Reshape(of) => self.producer(of),
            View::Own => None,
        })
    }

    /// For each loss, the way back to `nodes`, through what lies between them, and no further.
    fn plans_to(&self, nodes: &[NodeId]) -> Vec<Backward> {
        let mut leads = vec![false; self.nodes.len()];
        nodes.iter().for_each(|node| leads[node.0] = true);
        let mut runs = vec![false; self.ops.len()];
        for (op, runs) in self.ops.iter().zip(&mut runs) {
            *runs = op.inputs().iter().any(|i| self.learns_through(&leads, *i));
            leads[op.output().0] |= *runs;
        }
        (0..self.losses.len())
            .map(|loss| self.plan_backward(&leads, &runs, |start| start == loss))
            .collect()
    }

    /// Whether a gradient arrives at a node by a plan.
    fn arrives(&self, plan: &Backward, node: NodeId) -> bool {
        if self.is_output(node) {
            self.is_reached(&plan.written, node)
        } else {
            plan.written[root_of(&self.nodes, node).0]
        }
    }

    /// By op: whether it leads to no declared node and reads tables, if at all, through declared nodes only.
    fn heads(&self, declared: &[NodeId]) -> Vec<bool> {
        // Parts of a node that no op computes stand for the node.
        let whole = |mut node: NodeId| loop {
            match self.nodes[node.0].view {
                View::Columns(of, _) | View::Reshape(of) if !self.is_output(node) => node = of,
                _ => return node,
            }
        };
        let mut raw = vec![false; self.nodes.len()];
        for op in &self.ops {
            let picked = op.as_linear().map_or(&[][..], |linear| &linear.picked);
            let reads_table = matches!(op.given(), Some(Given::Site(_)))
                || picked.iter().any(|picked| matches!(picked, Picked::Table { .. }));
            let inputs = op.inputs();
            let past = inputs.iter().any(|input| {
                let of = whole(*input);
                !declared.contains(input) && !declared.contains(&of) && raw[of.0]
            });
            raw[op.output().0] = reads_table || past;
        }
        let mut leads = vec![false; self.nodes.len()];
        declared.iter().for_each(|node| leads[whole(*node).0] = true);
        let mut heads = vec![false; self.ops.len()];
        for (op, head) in self.ops.iter().zip(&mut heads).rev() {
            let out = op.output().0;
            if leads[out] {
                op.inputs().iter().for_each(|input| leads[whole(*input).0] = true);
            }
            *head = !leads[out] && !raw[out];
        }
        heads
    }
}

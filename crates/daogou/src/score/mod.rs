//! Scoring many candidates for one person, with what does not depend on the person computed beforehand.
//!
//! The first layer of `shared_mlp` reads `[user | item, brand, price, …]`, so `W·x + b = W_user·x_user + (W_item·x_item +
//! b)`. The second part is one row per item, computed once; a request pays for its own half once and one addition per
//! candidate. Exact but for the order of additions.

use daogou_nn::{DenseLayer, Model, Parameters};

use crate::{Error, Result};

/// Candidates scored at a time, so that activations stay in the core's nearest cache.
const BLOCK: usize = 128;

/// Scores candidates of a `shared_mlp` network with two hidden layers.
pub struct Scorer {
    /// The user's part of the first layer, without bias.
    user: DenseLayer,
    /// Per item: the rest of the first layer, before its activation.
    halves: Vec<f32>,
    second: DenseLayer,
    heads: DenseLayer,
    units: usize,
    own: Vec<f32>,
    first_out: Vec<f32>,
    second_out: Vec<f32>,
}

impl Scorer {
    /// Takes the layers of `model`: `user_columns` inputs of the first layer are the user's, the others are
    /// `item_inputs`, row by row. Costs one forward pass of the first layer over all items and keeps its width per item.
    ///
    /// # Errors
    ///
    /// Where the network does not have these layers.
    pub fn new(
        model: &Model,
        parameters: &Parameters,
        user_columns: usize,
        item_inputs: &[f32],
    ) -> Result<Self> {
        let missing =
            |what: &str| Error::data(format!("expected a shared_mlp network with {what}"));
        let find = |name: &str| model.params().iter().find(|p| p.name == name);
        let weight = |name: &str| -> Result<(&[f32], usize, usize)> {
            let p = find(name).ok_or_else(|| missing(&format!("`{name}`")))?;
            Ok((&parameters.dense()[p.range()], p.rows, p.cols))
        };
        let bias = |name: &str| -> Result<&[f32]> {
            Ok(&parameters.dense()
                [find(name).ok_or_else(|| missing(&format!("`{name}`")))?.range()])
        };
        let (w0, units, inputs) = weight("shared_net.0.weight")?;
        if user_columns >= inputs {
            return Err(missing("item inputs"));
        }
        let item_columns = inputs - user_columns;
        let part = |from: usize, to: usize| -> Vec<f32> {
            w0.chunks_exact(inputs).flat_map(|row| row[from..to].iter().copied()).collect()
        };
        let zeros = vec![0.0; units];
        let user = DenseLayer::new(&part(0, user_columns), &zeros, user_columns, false);
        let rest = DenseLayer::new(
            &part(user_columns, inputs),
            bias("shared_net.0.bias")?,
            item_columns,
            false,
        );
        let items = item_inputs.len() / item_columns;
        let mut halves = vec![0.0; items * units];
        rest.apply(item_inputs, &mut halves);
        let (w1, _, cols) = weight("shared_net.2.weight")?;
        let second = DenseLayer::new(w1, bias("shared_net.2.bias")?, cols, true);
        let mut head_weights = Vec::new();
        let mut head_biases = Vec::new();
        let names = model.params().iter().filter_map(|p| p.name.strip_suffix("_head.weight"));
        for name in names {
            head_weights.extend_from_slice(weight(&format!("{name}_head.weight"))?.0);
            head_biases.extend_from_slice(bias(&format!("{name}_head.bias"))?);
        }
        let heads = DenseLayer::new(&head_weights, &head_biases, second.units(), false);
        Ok(Self {
            own: vec![0.0; units],
            first_out: vec![0.0; BLOCK * units],
            second_out: vec![0.0; BLOCK * second.units()],
            user,
            halves,
            second,
            heads,
            units,
        })
    }

    /// Logits per candidate: all heads in the order of the network.
    pub fn width(&self) -> usize {
        self.heads.units()
    }

    /// Scores `candidates` (item rows) for the user with these inputs, into `out`: [`Scorer::width`] logits each.
    /// Allocates nothing.
    ///
    /// # Panics
    ///
    /// If `out` is too short or an item does not exist.
    pub fn score(&mut self, user: &[f32], candidates: &[u32], out: &mut [f32]) {
        let (units, width) = (self.units, self.width());
        self.user.apply(user, &mut self.own);
        for (block, out) in candidates.chunks(BLOCK).zip(out.chunks_mut(BLOCK * width)) {
            let n = block.len();
            daogou_nn::add_relu_rows(
                &self.own,
                &self.halves,
                block,
                &mut self.first_out[..n * units],
            );
            let hidden = &mut self.second_out[..n * self.second.units()];
            self.second.apply(&self.first_out[..n * units], hidden);
            self.heads.apply(hidden, &mut out[..n * width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::bench::{ScoreOptions, Sizes, score};

    #[test]
    fn precomputed_halves_give_the_plain_logits() {
        let sizes = Sizes { users: 50, items: 300, brands: 7, classes: 9 };
        let result = score(&ScoreOptions { sizes, candidates: 210, requests: 20 });
        assert!(result.largest_difference < 1e-5, "{}", result.largest_difference);
    }
}

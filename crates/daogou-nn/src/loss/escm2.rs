//! The purchase loss of ESCM² (Wang et al. 2022): CVR learned from clicked rows as if rows had been clicked at random.
//!
//! People click what they are likely to buy, so clicked rows are no fair sample. With `o` the click, `s` the purchase,
//! `a`, `v` the logits of CTR and CVR, `ℓ = softplus(v) − s·v` the loss of CVR on a clicked row, and `w` the weight of a
//! click, each row of all impressions costs
//!
//! ```text
//! IPS  λ_g·ESMM(a, v; s) + λ_c·o·w·ℓ
//! DR   λ_g·ESMM(a, v; s) + λ_c·[δ + o·w·(ℓ − δ) + o·w·(ℓ − δ)²],   δ = softplus(d)
//! ```
//!
//! In DR the imputation `δ` of another logit `d` stands in for the loss of rows that nobody clicked; the squared term,
//! where `ℓ` is a constant, teaches it. The mean over all rows is right where either `σ(a)` or `δ` is.
//!
//! The weight is `w = min(ρ/σ(a), clip) / (ρ·N)` with `ρ` the click rate of the training split: `1/σ(a)`, but no click
//! counts more than `clip` times the usual one. `σ(a)` is a constant here: the click head learns from its own loss and from
//! ESMM's, not from making weights small. `N` normalises the weights by themselves: it is their mean over the clicks of the
//! micro-batch times `ρ`, taken as if [`PRIOR`] clicks of the usual weight had been seen as well, since few clicks tell
//! little of their mean; 1 where normalising is turned off.

use super::{Loss, LossSum, bce_product};
use crate::graph::{GradMode, InputId, NodeId};
use crate::kernels::vectorised;
use crate::layers::Pass;
use crate::real::Real;

/// Clicks of the usual weight that count along in the normaliser.
pub(crate) const PRIOR: f64 = 32.0;

/// How ESCM² weighs its terms and its clicks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Debiasing {
    /// ρ: the share of clicked rows, above 0.
    pub click_rate: f64,
    /// λ_c: of the CVR risk.
    pub cvr_weight: f64,
    /// λ_g: of ESMM's entire-space loss.
    pub ctcvr_weight: f64,
    /// Most that a click counts, in usual clicks.
    pub clip: f64,
    /// Whether weights are divided by their mean.
    pub self_normalise: bool,
}

pub(crate) struct Escm2 {
    pub(crate) click: NodeId,
    pub(crate) purchase: NodeId,
    /// Of the doubly robust form.
    pub(crate) imputation: Option<NodeId>,
    pub(crate) clicked: InputId,
    pub(crate) bought: InputId,
    pub(crate) debiasing: Debiasing,
}

impl Debiasing {
    /// `min(ρ/σ(a), clip)`.
    #[inline(always)]
    fn relative<T: Real>(&self, a: T) -> T {
        (T::of(self.click_rate) / a.sigmoid()).min(T::of(self.clip))
    }

    /// The CVR risk of a row and its derivatives by `v` and `d`; `w` is 0 where the row was not clicked, and `known` is `ℓ`
    /// as the imputation sees it.
    #[inline(always)]
    fn risk<T: Real>(v: T, d: Option<T>, s: T, (w, known): (T, T)) -> (T, T, T) {
        let loss = v.softplus() - s * v;
        let dv = w * (v.sigmoid() - s);
        let Some(d) = d else { return (w * loss, dv, T::ZERO) };
        let (imputed, slope) = (d.softplus(), d.sigmoid());
        let miss = known - imputed;
        let dd = slope * (T::ONE - w - w * (miss + miss));
        (imputed + w * (loss - imputed) + w * miss * miss, dv, dd)
    }
}

impl<T: Real> Loss<T> for Escm2 {
    fn inputs(&self) -> Vec<NodeId> {
        [self.click, self.purchase].into_iter().chain(self.imputation).collect()
    }
    fn run(&self, pass: &mut Pass<'_, T>, scale: Option<T>, modes: &[GradMode]) -> LossSum {
        let (a, v) = (pass.value(self.click), pass.value(self.purchase));
        let d = self.imputation.map(|node| pass.value(node));
        let (clicked, bought) = (pass.input(self.clicked), pass.input(self.bought));
        let (mut da, mut dv) = (pass.grad_mut(self.click), pass.grad_mut(self.purchase));
        let mut dd = self.imputation.map(|node| pass.grad_mut(node));
        let by = &self.debiasing;
        let (of_cvr, of_ctcvr) = (T::of(by.cvr_weight), T::of(by.ctcvr_weight));
        vectorised(
            #[inline(always)]
            || {
                let mut unit = T::of(1.0 / by.click_rate);
                if by.self_normalise {
                    let (mut sum, mut clicks) = (T::of(PRIOR), T::of(PRIOR));
                    for i in (0..clicked.len()).filter(|i| clicked[*i] != T::ZERO) {
                        sum += by.relative(a.row(i)[0]);
                        clicks += T::ONE;
                    }
                    unit *= clicks / sum;
                }
                let mut total = LossSum::default();
                for i in 0..clicked.len() {
                    let (a, v, s) = (a.row(i)[0], v.row(i)[0], bought[i]);
                    let (whole, [whole_a, whole_v]) = bce_product::point([a, v], s);
                    let w = if clicked[i] == T::ZERO { T::ZERO } else { unit * by.relative(a) };
                    let known = v.softplus() - s * v;
                    let (risk, risk_v, risk_d) =
                        Debiasing::risk(v, d.map(|d| d.row(i)[0]), s, (w, known));
                    total.sum += (of_ctcvr * whole + of_cvr * risk).f64();
                    total.weight += 1.0;
                    let Some(scale) = scale else { continue };
                    super::give_one(modes[0], &mut da.row(i)[0], scale * of_ctcvr * whole_a);
                    let g = scale * (of_ctcvr * whole_v + of_cvr * risk_v);
                    super::give_one(modes[1], &mut dv.row(i)[0], g);
                    if let Some(dd) = &mut dd {
                        super::give_one(modes[2], &mut dd.row(i)[0], scale * of_cvr * risk_d);
                    }
                }
                total
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every derivative against central differences, with weight and known loss held as the method holds them.
    #[test]
    fn derivatives_of_the_risk() {
        for (v, d, s, w) in [
            (-2.0, Some(0.3), 0.0, 4.0),
            (1.5, Some(-1.0), 1.0, 0.7),
            (0.4, None, 1.0, 12.0),
            (-1.0, Some(2.0), 0.0, 0.0),
        ] {
            let known = f64::softplus(v) - s * v;
            let at = |v: f64, d: Option<f64>| Debiasing::risk(v, d, s, (w, known)).0;
            let (_, dv, dd) = Debiasing::risk(v, d, s, (w, known));
            let h = 1e-6;
            let by_v = (at(v + h, d) - at(v - h, d)) / (2.0 * h);
            assert!((by_v - dv).abs() < 1e-7, "by v: {by_v}, {dv}");
            if let Some(z) = d {
                let by_d = (at(v, Some(z + h)) - at(v, Some(z - h))) / (2.0 * h);
                assert!((by_d - dd).abs() < 1e-7, "by d: {by_d}, {dd}");
            }
        }
    }

    /// With the true propensities, clicked rows alone give the mean loss of all rows; so does DR with any imputation.
    #[test]
    fn clicked_rows_stand_for_all() {
        let mut rng = crate::Rng::new(7, 7);
        let n = 400_000;
        let by = Debiasing {
            click_rate: 0.5,
            cvr_weight: 1.0,
            ctcvr_weight: 0.0,
            clip: 1e9,
            self_normalise: false,
        };
        let (mut all, mut ips, mut dr, mut naive, mut clicks) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for _ in 0..n {
            // Who clicks is likelier to buy, and the model does not know why.
            let a: f64 = 1.5 * rng.normal();
            let (v, p) = (-0.5, f64::sigmoid(a - 1.0));
            let s = f64::from(u8::from(rng.uniform() < p));
            let loss = f64::softplus(v) - s * v;
            all += loss;
            let clicked = rng.uniform() < f64::sigmoid(a);
            let w = if clicked { by.relative(a) / by.click_rate } else { 0.0 };
            ips += Debiasing::risk(v, None, s, (w, loss)).0;
            let imputed = f64::softplus(0.8);
            let (whole, ..) = Debiasing::risk(v, Some(0.8), s, (w, loss));
            dr += whole - w * (loss - imputed) * (loss - imputed);
            naive += if clicked { loss } else { 0.0 };
            clicks += f64::from(u8::from(clicked));
        }
        let n = f64::from(n);
        let (all, ips, dr, naive) = (all / n, ips / n, dr / n, naive / clicks);
        assert!((ips - all).abs() < 0.01 && (dr - all).abs() < 0.01, "{all}, {ips}, {dr}");
        assert!((naive - all).abs() > 0.05, "{all}, {naive}");
    }
}

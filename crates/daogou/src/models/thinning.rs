//! Negative down-sampling: training reads every click and a share of the impressions without one.
//!
//! An impression without a click is read with probability `w`. Among what is read `P(click) = p / (p + w·(1 − p))`, so that
//! the logit is larger by `−ln w` (He et al. 2014, section 6.3). Training adds this to the click logit, and what is served is
//! the logit without it: nothing is left to correct afterwards. `P(click) · P(purchase | click)` of an ESMM is that of the rows
//! read once its first factor is, since all clicks are read; losses among clicks alone see no difference. What other tasks
//! learn from an impression without a click counts `1 / w` times.
//!
//! Which rows are read is a function of the epoch and the row alone. It is drawn anew in every epoch: after a few of them
//! nearly every impression has been read, at the cost of a share.

use daogou_nn::rng::mix;

use crate::data::Impressions;

/// Which impressions an epoch reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thinning {
    /// Key of the epoch's draws.
    pub key: u64,
    /// Share of the impressions without a click that is read: `w`, above 0.
    pub rate: f64,
    /// Number of the click among the binary tasks.
    pub click: usize,
}

impl Thinning {
    /// Whether the epoch reads an impression.
    pub fn reads(&self, impressions: &Impressions, impression: usize) -> bool {
        let limit = (self.rate * u64::MAX as f64) as u64;
        impressions.labels[self.click][impression] == 1
            || mix(self.key ^ impression as u64) <= limit
    }

    /// What is added to the click logit.
    pub fn offset(&self) -> f32 {
        -self.rate.ln() as f32
    }

    /// How many impressions of the log one that is read stands for.
    pub fn weight(&self, impressions: &Impressions, impression: usize) -> f32 {
        let clicked = impressions.labels[self.click][impression] == 1;
        if clicked { 1.0 } else { (1.0 / self.rate) as f32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_click_is_read_and_a_share_of_the_rest() {
        let rows = 20_000;
        let clicks: Vec<u8> = (0..rows).map(|i| u8::from(i % 10 == 0)).collect();
        let labels = vec![vec![0; rows], clicks];
        let impressions = Impressions { labels, ..Impressions::default() };
        let thinning = Thinning { key: 7, rate: 0.25, click: 1 };
        let read = |thinning: &Thinning| -> Vec<usize> {
            (0..rows).filter(|&i| thinning.reads(&impressions, i)).collect()
        };
        let first = read(&thinning);
        assert!((0..rows).step_by(10).all(|click| first.binary_search(&click).is_ok()));
        let others = first.len() - rows / 10;
        // 18,000 draws of a quarter: 4,500 with a standard deviation of 58.
        assert!(others.abs_diff(4_500) < 300, "{others}");
        assert_ne!(read(&Thinning { key: 8, ..thinning }), first, "another epoch");
        let stands_for: f64 =
            first.iter().map(|&i| f64::from(thinning.weight(&impressions, i))).sum();
        assert!((stands_for / rows as f64 - 1.0).abs() < 0.06, "{stands_for}");
        // Odds among what is read are those of the log over the rate.
        assert!((f64::from(thinning.offset()) - 4f64.ln()).abs() < 1e-6);
    }
}

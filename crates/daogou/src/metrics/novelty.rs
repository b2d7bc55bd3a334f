//! How new a list is: to the person, and beside what everybody clicks.

/// Share of clicks that the head set covers.
pub const HEAD_SHARE: f64 = 0.8;

/// How often each item was clicked, on the training split.
#[derive(Clone, Debug)]
pub struct Popularity {
    clicks: Vec<u32>,
    total: f64,
    head: Vec<bool>,
}

impl Popularity {
    /// From the clicks of every item of the catalogue.
    ///
    /// The head set is the fewest items that cover at least [`HEAD_SHARE`] of the clicks, most clicked first, equal
    /// counts by item number. Without clicks it is empty. O(n log n).
    pub fn new(clicks: Vec<u32>) -> Self {
        let total: u64 = clicks.iter().map(|&n| u64::from(n)).sum();
        let mut items: Vec<u32> = (0..clicks.len() as u32).collect();
        items.sort_by_key(|&i| std::cmp::Reverse(clicks[i as usize]));
        let mut head = vec![false; clicks.len()];
        let mut covered = 0u64;
        for item in items {
            if covered as f64 >= HEAD_SHARE * total as f64 {
                break;
            }
            head[item as usize] = true;
            covered += u64::from(clicks[item as usize]);
        }
        Self { clicks, total: total as f64, head }
    }

    /// Items in the catalogue.
    pub fn len(&self) -> usize {
        self.clicks.len()
    }

    /// Whether the catalogue is empty.
    pub fn is_empty(&self) -> bool {
        self.clicks.is_empty()
    }

    /// Whether an item is outside the head set.
    pub fn is_long_tail(&self, item: u32) -> bool {
        !self.head[item as usize]
    }

    /// `−log2 p(i)`, bits, with `p(i) = (n_i + 1) / (N + |I|)`: finite for items nobody clicked.
    pub fn self_information(&self, item: u32) -> f64 {
        self.bits() - (f64::from(self.clicks[item as usize]) + 1.0).log2()
    }

    /// [`Popularity::self_information`] over that of an item nobody clicked, `log2(N + |I|)`: in `[0, 1]`.
    pub fn self_information_normalised(&self, item: u32) -> f64 {
        let bits = self.bits();
        if bits > 0.0 { self.self_information(item) / bits } else { 0.0 }
    }

    fn bits(&self) -> f64 {
        (self.total + self.len() as f64).log2()
    }

    /// Share of a list's items in the long tail. `None` for an empty list.
    pub fn long_tail_share(&self, list: &[u32]) -> Option<f64> {
        mean(list.iter().map(|&i| f64::from(u8::from(self.is_long_tail(i)))))
    }

    /// Mean self-information of a list's items, bits. `None` for an empty list.
    pub fn mean_self_information(&self, list: &[u32]) -> Option<f64> {
        mean(list.iter().map(|&i| self.self_information(i)))
    }

    /// Mean normalised self-information of a list's items. `None` for an empty list.
    pub fn mean_self_information_normalised(&self, list: &[u32]) -> Option<f64> {
        mean(list.iter().map(|&i| self.self_information_normalised(i)))
    }
}

/// Share of a list's items this person has not seen before. `None` for an empty list.
pub fn unseen_share(unseen: &[bool]) -> Option<f64> {
    mean(unseen.iter().map(|&u| f64::from(u8::from(u))))
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let n = values.len();
    (n > 0).then(|| values.sum::<f64>() / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_covers_eighty_percent_and_no_more() {
        let p = Popularity::new(vec![0, 50, 30, 10, 10]);
        assert_eq!(
            (0..5).map(|i| p.is_long_tail(i)).collect::<Vec<_>>(),
            [true, false, false, true, true]
        );
        let p = Popularity::new(vec![49, 30, 21]);
        assert!(!p.is_long_tail(2), "79 % is not enough");
        assert_eq!(p.long_tail_share(&[0, 1]), Some(0.0));
        let none = Popularity::new(vec![0, 0]);
        assert_eq!(none.long_tail_share(&[0, 1]), Some(1.0));
        assert_eq!(none.long_tail_share(&[]), None);
    }

    #[test]
    fn self_information_by_hand() {
        let p = Popularity::new(vec![0, 3, 9]); // N + |I| = 15
        assert!((p.self_information(1) - (15f64 / 4.0).log2()).abs() < 1e-12);
        assert!((p.self_information_normalised(0) - 1.0).abs() < 1e-12);
        let mean = 0.5 * ((15f64).log2() + (1.5f64).log2());
        assert!((p.mean_self_information(&[0, 2]).unwrap() - mean).abs() < 1e-12);
        assert_eq!(Popularity::new(vec![0]).self_information_normalised(0), 0.0);
        assert_eq!(unseen_share(&[true, false, false, true]), Some(0.5));
        assert_eq!(unseen_share(&[]), None);
    }
}

//! What the inputs of a network depend on when lists are made: on the item alone, or on the visit alone.
//!
//! Fields of an item are the item's. Everything else that an impression has in a log (its position, how it was sampled,
//! fields of the impression itself) is unknown before a list is shown, and so the same for all items; so is what is known
//! of the person. What the person has seen of an item, its category or its brand depends on both, and is usually nothing.

use daogou_nn::DomainId;
use daogou_nn::frozen::{InputOf, Keyed};

use super::Network;
use super::feed::{IdSource, MapSource, NumberSource};
use crate::schema::Side;

/// Number of the domain of impressions: the second of every network.
const IMPRESSIONS: DomainId = DomainId(1);

impl Network {
    /// What a micro-batch of [`Mode::Serve`](super::Mode::Serve) depends on, with an item row as the key of an impression.
    /// `group_of` tells the group of an impression-side column and its place there; `usual` the usual row of each group.
    pub(crate) fn keyed(
        &self,
        group_of: impl Fn(usize) -> Option<(usize, usize)>,
        usual: Vec<Vec<f32>>,
    ) -> Keyed {
        let feed = &self.feed;
        let bag_of_item = |bag: usize| feed.bags[bag].0 == Side::Item;
        let site = |source: &IdSource| match *source {
            IdSource::Field { side, .. } => side == Side::Item,
            IdSource::Bag(bag) => bag_of_item(bag),
            IdSource::History { .. } => false,
        };
        let number = |source: &NumberSource| match *source {
            NumberSource::Field { side: Side::Item, .. } => InputOf::Key,
            NumberSource::Field { side: Side::Impression, column } => group_of(column)
                .map_or(InputOf::Pattern, |(group, place)| InputOf::Group { group, place }),
            _ => InputOf::Pattern,
        };
        let map = |source: &MapSource| match *source {
            MapSource::Bag(bag) => bag_of_item(bag),
            _ => false,
        };
        Keyed {
            domain: IMPRESSIONS,
            sites: feed.ids.iter().map(|(source, _)| site(source)).collect(),
            inputs: feed.numbers.iter().map(|(source, _)| number(source)).collect(),
            maps: feed.maps.iter().map(map).collect(),
            usual,
            outputs: self.heads.iter().map(|head| head.logits).collect(),
        }
    }
}

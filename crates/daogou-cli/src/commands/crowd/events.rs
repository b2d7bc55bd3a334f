//! What people do, as a server is told.

use std::collections::BTreeMap;

use daogou::simulate::World;
use daogou::simulate::crowd::{Response, Visit};
use serde::Serialize;

/// Values of context columns by name.
pub(super) type Context = BTreeMap<&'static str, String>;

/// An event of `POST /v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Event {
    /// A function of seed, request, position and type: the same event has the same id however often it is told.
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) user: String,
    pub(super) item: String,
    pub(super) timestamp: i64,
    /// The server's id of the list.
    pub(super) request: String,
    pub(super) position: u32,
    /// The price of what was bought, a whole number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<Context>,
}

/// The body of `POST /v1/events`.
#[derive(Serialize)]
pub(super) struct Batch<'a> {
    pub(super) events: &'a [Event],
}

/// The events of a visit: those of the visit itself, and those of later.
pub(super) fn events(
    (seed, visit): (u64, &Visit),
    request: &str,
    context: &Context,
    response: &Response,
) -> (Vec<Event>, Vec<Event>) {
    let (mut now, mut later) = (Vec::new(), Vec::new());
    for reaction in &response.reactions {
        let event = |kind: &'static str, timestamp: i64| Event {
            id: format!("crowd-{seed}-{}-{}-{kind}", visit.number(), reaction.position),
            kind,
            user: visit.user_id(),
            item: World::item_id(reaction.item),
            timestamp,
            request: request.to_string(),
            position: reaction.position,
            value: (kind == "purchase").then_some(reaction.price as u64),
            context: (kind == "impression").then(|| context.clone()),
        };
        now.push(event("impression", visit.time()));
        now.extend(reaction.clicked.map(|time| event("click", time)));
        later.extend(reaction.bought.map(|time| event("purchase", time)));
    }
    (now, later)
}

//! People: profiles, and what they did lately.

use axum::Json;
use axum::extract::State;
use daogou::stock::Attributes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::documents::{self, Written};
use super::items::PAGE;
use super::{Body, Id, Query, Refusals, Shared};
use crate::list_id::now;
use crate::memory::{Person, UserDocument};
use crate::problem::{Answer, Problem};
use crate::store::{Change, Kind};

/// Events of a person that are shown.
const RECENT: usize = 50;

/// A search.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// In the id, whatever the case.
    #[serde(default)]
    pub(crate) query: String,
    /// Rows, at most 1000; 50 where it is left out.
    #[serde(default)]
    #[param(minimum = 0)]
    pub(crate) limit: Option<usize>,
    /// Rows to leave out at the head.
    #[serde(default)]
    #[param(minimum = 0)]
    pub(crate) offset: usize,
}

/// A page of people.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct UserPage {
    /// How many there are in all.
    pub(crate) total: usize,
    pub(crate) users: Vec<UserRow>,
}

/// A person of a page.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct UserRow {
    pub(crate) id: String,
    /// `model`: trained with; `store`: has a profile here.
    pub(crate) source: &'static str,
}

/// A person.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct UserAnswer {
    pub(crate) id: String,
    /// Attributes that were given here.
    #[schema(value_type = Object)]
    pub(crate) attributes: Attributes,
    /// `model` or `store`.
    pub(crate) source: &'static str,
    /// Whether the model that answers was trained with them.
    pub(crate) known: bool,
    /// Number of items they have seen.
    pub(crate) seen: usize,
    /// Newest first.
    pub(crate) recent: Vec<Recent>,
}

/// Something a person did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Recent {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) item: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// Unix time.
    pub(crate) timestamp: i64,
}

/// People in one go.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsersBody {
    pub(crate) users: Vec<UserEntry>,
}

/// A person of a bulk.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserEntry {
    pub(crate) id: String,
    /// By column name of the log.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) attributes: Attributes,
}

/// Search people
///
/// First those of the model, then those who have a profile here only.
#[utoipa::path(
    get,
    path = "/v1/users",
    tag = "catalogue",
    params(Search),
    responses((status = 200, description = "a page", body = UserPage), Refusals)
)]
pub(crate) async fn search(
    State(app): Shared,
    Query(search): Query<Search>,
) -> Answer<Json<UserPage>> {
    let model = std::sync::Arc::clone(&app.models.serving().model);
    let words = search.query.to_lowercase();
    let limit = search.limit.unwrap_or(50).min(PAGE);
    let mut total = 0;
    let mut users = Vec::new();
    let mut add = |id: &str, source| {
        total += 1;
        if total > search.offset && users.len() < limit {
            users.push(UserRow { id: id.to_string(), source });
        }
    };
    for id in model.users() {
        if words.is_empty() || id.to_lowercase().contains(&words) {
            add(id, "model");
        }
    }
    // Ids alone count, as with the model's.
    let (stored, _) = app.store.search(Kind::User, &search.query, crate::store::PAGE, 0).await?;
    for document in stored {
        if model.user_row(&document.id).is_none() && document.id.to_lowercase().contains(&words) {
            add(&document.id, "store");
        }
    }
    Ok(Json(UserPage { total, users }))
}

impl super::super::app::App {
    fn shown(&self, id: &str, person: &Person) -> Answer<UserAnswer> {
        let counter = self.models.serving();
        let (model, stock) = (&*counter.model, &counter.stock);
        let visitor = person.visitor(id, now(), (model, stock), &self.config.engaged)?;
        let recent = person.events.iter().rev().take(RECENT).map(|event| Recent {
            kind: event.kind.to_string(),
            item: event.item.to_string(),
            title: stock.row(&event.item).and_then(|row| stock.title(row)).map(str::to_string),
            timestamp: event.time,
        });
        Ok(UserAnswer {
            id: id.to_string(),
            attributes: person.profile.clone().unwrap_or_default().attributes,
            source: if person.profile.is_some() { "store" } else { "model" },
            known: visitor.is_known(),
            seen: visitor.seen(),
            recent: recent.collect(),
        })
    }

    /// Whether a profile fits the model that answers.
    fn check_user(&self, id: &str, profile: &UserDocument) -> Answer<()> {
        let person = Person { profile: Some(profile.clone()), ..Person::default() };
        let counter = self.models.serving();
        person.visitor(id, 0, (&counter.model, &counter.stock), &self.config.engaged)?;
        Ok(())
    }
}

/// One person
#[utoipa::path(
    get,
    path = "/v1/users/{id}",
    tag = "catalogue",
    params(("id" = String, Path, description = "person")),
    responses((status = 200, description = "the person", body = UserAnswer), Refusals)
)]
pub(crate) async fn get(State(app): Shared, Id(id): Id) -> Answer<Json<UserAnswer>> {
    let person = app.person(&id).await?;
    let answer = app.shown(&id, &person)?;
    if !answer.known && person.profile.is_none() && person.events.is_empty() {
        return Err(Problem::not_found(format!("nothing is known of `{id}`")));
    }
    Ok(Json(answer))
}

/// Write a profile
///
/// What is not named stays as the model knows it.
#[utoipa::path(
    put,
    path = "/v1/users/{id}",
    tag = "catalogue",
    params(("id" = String, Path, description = "person")),
    request_body = UserDocument,
    responses((status = 200, description = "as they are now", body = UserAnswer), Refusals)
)]
pub(crate) async fn put(
    State(app): Shared,
    Id(id): Id,
    Body(body): Body<UserDocument>,
) -> Answer<Json<UserAnswer>> {
    app.check_user(&id, &body)?;
    app.change(vec![Change::put(Kind::User, id.clone(), documents::body(&body))]).await?;
    let person = app.person(&id).await?;
    Ok(Json(app.shown(&id, &person)?))
}

/// Change some of a profile
#[utoipa::path(
    patch,
    path = "/v1/users/{id}",
    tag = "catalogue",
    params(("id" = String, Path, description = "person")),
    request_body = UserDocument,
    responses((status = 200, description = "as they are now", body = UserAnswer), Refusals)
)]
pub(crate) async fn patch(
    State(app): Shared,
    Id(id): Id,
    Body(body): Body<UserDocument>,
) -> Answer<Json<UserAnswer>> {
    let edit = |before: Option<UserDocument>| {
        let mut profile = before.unwrap_or_default();
        profile.attributes.extend(body.attributes.clone());
        app.check_user(&id, &profile)?;
        Ok(profile)
    };
    app.edit(Kind::User, &id, edit).await?;
    let person = app.person(&id).await?;
    Ok(Json(app.shown(&id, &person)?))
}

/// Forget a person
///
/// Their profile and all of their events are deleted from the store. What a model has learned of them stays until one is
/// trained without.
#[utoipa::path(
    delete,
    path = "/v1/users/{id}",
    tag = "catalogue",
    params(("id" = String, Path, description = "person")),
    responses((status = 200, description = "how many events were deleted", body = Forgotten), Refusals)
)]
pub(crate) async fn delete(State(app): Shared, Id(id): Id) -> Answer<Json<Forgotten>> {
    let events = app.store.forget_user(&id).await?;
    app.memory.forget(&id);
    Ok(Json(Forgotten { events }))
}

/// What was deleted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Forgotten {
    pub(crate) events: u64,
}

/// Write many profiles
///
/// A bad one is named and the others are written.
#[utoipa::path(
    post,
    path = "/v1/users",
    tag = "catalogue",
    request_body = UsersBody,
    responses((status = 200, description = "what became of them", body = Written), Refusals)
)]
pub(crate) async fn bulk(State(app): Shared, Body(body): Body<UsersBody>) -> Answer<Json<Written>> {
    let entries = body.users.into_iter();
    let entries = entries.map(|entry| (entry.id, UserDocument { attributes: entry.attributes }));
    let check = |id: &str, profile: &UserDocument| app.check_user(id, profile);
    Ok(Json(app.write_many((Kind::User, "users"), entries.collect(), check).await?))
}

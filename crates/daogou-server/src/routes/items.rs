//! The catalogue.

use axum::Json;
use axum::extract::State;
use daogou::stock::Attributes;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::documents::{self, Written};
use super::{Body, Id, Query, Refusals, Shared, blocking};
use crate::models::{Counter, ItemDocument};
use crate::problem::{Answer, Problem};
use crate::store::{Change, Kind};

/// Most rows of a page.
pub(crate) const PAGE: usize = 1_000;

/// A search.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// In id or title, whatever the case.
    #[serde(default)]
    pub(crate) query: String,
    /// Category.
    #[serde(default)]
    pub(crate) category: Option<String>,
    /// Rows, at most 1000; 50 where it is left out.
    #[serde(default)]
    #[param(minimum = 0)]
    pub(crate) limit: Option<usize>,
    /// Rows to leave out at the head.
    #[serde(default)]
    #[param(minimum = 0)]
    pub(crate) offset: usize,
}

/// A page of the catalogue.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ItemPage {
    /// How many there are in all.
    pub(crate) total: usize,
    pub(crate) items: Vec<ItemRow>,
}

/// An item of a page.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ItemRow {
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) price: Option<f32>,
    /// Whether it may be listed.
    pub(crate) available: bool,
    /// `model`: as the model knows it; `store`: changed or added here.
    pub(crate) source: &'static str,
}

/// An item.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ItemAnswer {
    pub(crate) id: String,
    /// Whether it may be listed.
    pub(crate) available: bool,
    /// All that is known, by column name of the log.
    #[schema(value_type = Object)]
    pub(crate) attributes: Attributes,
    /// `model` or `store`.
    pub(crate) source: &'static str,
    /// Whether the model that answers was trained with it.
    pub(crate) known: bool,
}

/// Items in one go.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemsBody {
    pub(crate) items: Vec<ItemEntry>,
}

/// An item of a bulk.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemEntry {
    pub(crate) id: String,
    /// Whether it may be listed; true where it is left out.
    #[serde(default)]
    pub(crate) available: Option<bool>,
    /// By column name of the log.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) attributes: Attributes,
}

/// What of an item changes.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemPatch {
    #[serde(default)]
    pub(crate) available: Option<bool>,
    /// By column name of the log; null: no longer known.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) attributes: Attributes,
}

fn source(changed: bool) -> &'static str {
    if changed { "store" } else { "model" }
}

fn shown(counter: &Counter, id: &str) -> Answer<ItemAnswer> {
    let Counter { model, stock, .. } = counter;
    let row =
        stock.row(id).ok_or_else(|| Problem::not_found(format!("there is no item `{id}`")))?;
    Ok(ItemAnswer {
        id: id.to_string(),
        available: stock.is_listed(row),
        attributes: stock.attributes(&model.run, row),
        source: source(stock.overlay(row).is_some()),
        known: stock.is_known(row),
    })
}

/// Search the catalogue
#[utoipa::path(
    get,
    path = "/v1/items",
    tag = "catalogue",
    params(Search),
    responses((status = 200, description = "a page", body = ItemPage), Refusals)
)]
pub(crate) async fn search(
    State(app): Shared,
    Query(search): Query<Search>,
) -> Answer<Json<ItemPage>> {
    let counter = app.models.serving();
    blocking(move || {
        let stock = &counter.stock;
        let words = search.query.to_lowercase();
        let mut total = 0;
        let mut items = Vec::new();
        let limit = search.limit.unwrap_or(50).min(PAGE);
        for row in 1..stock.rows() as u32 {
            let category = stock.category(row);
            let title = stock.title(row);
            let fits = search.category.as_deref().is_none_or(|own| category == Some(own))
                && (words.is_empty()
                    || stock.id(row).to_lowercase().contains(&words)
                    || title.is_some_and(|title| title.to_lowercase().contains(&words)));
            if !fits {
                continue;
            }
            total += 1;
            if total > search.offset && items.len() < limit {
                items.push(ItemRow {
                    id: stock.id(row).to_string(),
                    title: title.map(str::to_string),
                    category: category.map(str::to_string),
                    price: stock.price(row),
                    available: stock.is_listed(row),
                    source: source(stock.overlay(row).is_some()),
                });
            }
        }
        Ok(Json(ItemPage { total, items }))
    })
    .await
}

/// One item
#[utoipa::path(
    get,
    path = "/v1/items/{id}",
    tag = "catalogue",
    params(("id" = String, Path, description = "item")),
    responses((status = 200, description = "the item", body = ItemAnswer), Refusals)
)]
pub(crate) async fn get(State(app): Shared, Id(id): Id) -> Answer<Json<ItemAnswer>> {
    Ok(Json(shown(&app.models.serving(), &id)?))
}

/// Add or replace an item
///
/// What is not named stays as the model knows it. A new item is recommended at once, by what is said of it.
#[utoipa::path(
    put,
    path = "/v1/items/{id}",
    tag = "catalogue",
    params(("id" = String, Path, description = "item")),
    request_body = ItemDocument,
    responses((status = 200, description = "as it is now", body = ItemAnswer), Refusals)
)]
pub(crate) async fn put(
    State(app): Shared,
    Id(id): Id,
    Body(body): Body<ItemDocument>,
) -> Answer<Json<ItemAnswer>> {
    app.models.check_item(&id, &body)?;
    app.change(vec![Change::put(Kind::Item, id.clone(), documents::body(&body))]).await?;
    Ok(Json(shown(&app.models.serving(), &id)?))
}

/// Change some of an item
#[utoipa::path(
    patch,
    path = "/v1/items/{id}",
    tag = "catalogue",
    params(("id" = String, Path, description = "item")),
    request_body = ItemPatch,
    responses((status = 200, description = "as it is now", body = ItemAnswer), Refusals)
)]
pub(crate) async fn patch(
    State(app): Shared,
    Id(id): Id,
    Body(body): Body<ItemPatch>,
) -> Answer<Json<ItemAnswer>> {
    let edit = |before: Option<ItemDocument>| {
        let mut item = match before {
            Some(before) => before,
            None => {
                let now = shown(&app.models.serving(), &id)?;
                ItemDocument { available: now.available, attributes: Attributes::new() }
            }
        };
        item.available = body.available.unwrap_or(item.available);
        item.attributes.extend(body.attributes.clone());
        app.models.check_item(&id, &item)?;
        Ok(item)
    };
    app.edit(Kind::Item, &id, edit).await?;
    Ok(Json(shown(&app.models.serving(), &id)?))
}

/// Take an item off the shelf
///
/// It is not listed again until it is put back.
#[utoipa::path(
    delete,
    path = "/v1/items/{id}",
    tag = "catalogue",
    params(("id" = String, Path, description = "item")),
    responses((status = 200, description = "as it is now", body = ItemAnswer), Refusals)
)]
pub(crate) async fn delete(State(app): Shared, Id(id): Id) -> Answer<Json<ItemAnswer>> {
    shown(&app.models.serving(), &id)?;
    app.change(vec![Change::delete(Kind::Item, id.clone())]).await?;
    Ok(Json(shown(&app.models.serving(), &id)?))
}

/// Add or replace many items
///
/// A bad item is named and the others are written.
#[utoipa::path(
    post,
    path = "/v1/items",
    tag = "catalogue",
    request_body = ItemsBody,
    responses((status = 200, description = "what became of them", body = Written), Refusals)
)]
pub(crate) async fn bulk(State(app): Shared, Body(body): Body<ItemsBody>) -> Answer<Json<Written>> {
    let entries = body.items.into_iter().map(|entry| {
        let available = entry.available.unwrap_or(true);
        (entry.id, ItemDocument { available, attributes: entry.attributes })
    });
    let check = |id: &str, item: &ItemDocument| app.models.check_item(id, item);
    Ok(Json(app.write_many((Kind::Item, "items"), entries.collect(), check).await?))
}

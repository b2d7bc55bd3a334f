//! Shapes that other servers answer with, so that a shop can come over without new code: metarank's `/rank/{model}` and
//! gorse's `/api/recommend/{user}`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::lists::{RankBody, RecommendBody};
use super::{Body, Id, Query, Refusals, Shared};
use crate::problem::{Answer, Problem};

/// metarank's ranking event. Fields of items and of the session are in the catalogue and the model here, and are not
/// read from it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(crate) struct Ranking {
    /// Person.
    #[serde(default)]
    pub(crate) user: Option<String>,
    #[serde(default)]
    pub(crate) session: Option<String>,
    /// Unix time in milliseconds, as text or a number.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) timestamp: Option<Value>,
    /// Candidates.
    pub(crate) items: Vec<Candidate>,
}

/// A candidate.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(crate) struct Candidate {
    pub(crate) id: String,
}

/// metarank's answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Ranks {
    /// Milliseconds.
    pub(crate) took: u64,
    /// Best first.
    pub(crate) items: Vec<Rank>,
}

/// A candidate and its score.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Rank {
    pub(crate) item: String,
    pub(crate) score: f32,
}

/// Put candidates in order, as metarank does
///
/// `model` is a model in memory, or `default` for the one that answers.
#[utoipa::path(
    post,
    path = "/rank/{model}",
    tag = "lists",
    params(("model" = String, Path, description = "a model in memory, or `default`")),
    request_body = Ranking,
    responses((status = 200, description = "candidates in order", body = Ranks), Refusals)
)]
pub(crate) async fn metarank(
    State(app): Shared,
    Id(model): Id,
    Body(body): Body<Ranking>,
) -> Answer<Json<Ranks>> {
    let time = match &body.timestamp {
        None | Some(Value::Null) => None,
        Some(value) => {
            let ms = value.as_i64().or_else(|| value.as_str()?.parse().ok());
            let ms = ms.ok_or_else(|| {
                Problem::wrong("timestamp", format!("expected milliseconds, got `{value}`"))
            })?;
            Some(ms.div_euclid(1000))
        }
    };
    // Nobody in particular is a newcomer.
    let user = body.user.or(body.session).unwrap_or_else(|| "anonymous".into());
    let answer = app
        .rank(RankBody {
            user,
            candidates: body.items.iter().map(|item| item.id.as_str()).collect(),
            context: std::collections::BTreeMap::new(),
            objectives: None,
            preset: None,
            time,
            model: (model != "default").then_some(model),
        })
        .await?;
    let items = answer.items.iter();
    let items = items.map(|item| Rank { item: item.item_id.to_string(), score: item.score });
    Ok(Json(Ranks { took: answer.timings.total_us / 1000, items: items.collect() }))
}

/// gorse's parameters.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// Items; 10 where it is left out.
    #[serde(default)]
    #[param(minimum = 0)]
    pub(crate) n: Option<usize>,
    /// Items to leave out at the head.
    #[serde(default)]
    #[param(minimum = 0)]
    pub(crate) offset: usize,
    /// Category.
    #[serde(default)]
    pub(crate) category: Option<String>,
}

/// Ids of a list, as gorse gives them
#[utoipa::path(
    get,
    path = "/api/recommend/{user}",
    tag = "lists",
    params(("user" = String, Path, description = "person"), Page),
    responses((status = 200, description = "item ids", body = Vec<String>), Refusals)
)]
pub(crate) async fn gorse(
    State(app): Shared,
    Id(user): Id,
    Query(page): Query<Page>,
) -> Answer<Json<Vec<String>>> {
    let n = page.n.unwrap_or(10);
    if n == 0 {
        return Ok(Json(Vec::new()));
    }
    let filter = page.category.map(|category| {
        format!("category = \"{}\"", category.replace('\\', "\\\\").replace('"', "\\\""))
    });
    let body = RecommendBody {
        user,
        k: Some(n.saturating_add(page.offset)),
        context: std::collections::BTreeMap::new(),
        objectives: None,
        preset: None,
        explore: None,
        filter,
        exclude: Vec::new(),
        candidates: None,
        builder: None,
        explain: false,
        time: None,
        preview: false,
        model: None,
    };
    let (answer, _) = app.list(body).await?;
    Ok(Json(answer.items.into_iter().skip(page.offset).map(|item| item.item_id).collect()))
}

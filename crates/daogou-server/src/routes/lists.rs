//! Lists and ranks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use daogou::filter::Filter;
use daogou::guide::Ranking;
use daogou::lists::{Contributions, ListSummary, Weights};
use daogou::recommend::{Ask, Reasons, Wanted};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::names::Names;
use super::{Body, Refusals, Shared, check_id};
use crate::app::App;
use crate::list_id::{Origin, now};
use crate::live::Happened;
use crate::memory::Person;
use crate::models::Counter;
use crate::presets::weights;
use crate::problem::{Answer, Problem};
use crate::telemetry::{Stage, Where};

/// A list is asked for.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecommendBody {
    /// Person; an unknown one is a newcomer.
    pub(crate) user: String,
    /// Items; as configured where it is left out.
    #[serde(default)]
    pub(crate) k: Option<usize>,
    /// Values of context features, by name: text or numbers.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) context: BTreeMap<String, Value>,
    /// Weights: click, purchase, revenue, diversity, novelty.
    #[serde(default)]
    pub(crate) objectives: Option<BTreeMap<String, f64>>,
    /// Named weights; not together with `objectives`.
    #[serde(default)]
    pub(crate) preset: Option<String>,
    /// How far to go beyond what the person is predicted to want, from 0 to 1.
    #[serde(default)]
    pub(crate) explore: Option<f64>,
    /// What items must be like: `category in ["phone"] and price <= 3000`.
    #[serde(default)]
    pub(crate) filter: Option<String>,
    /// Items that must not be shown.
    #[serde(default)]
    pub(crate) exclude: Vec<String>,
    /// The only items that may be shown.
    #[serde(default)]
    pub(crate) candidates: Option<Vec<String>>,
    /// auto, exact, greedy, greedy_swap, top_k, mmr, dpp, xquad or random_swap.
    #[serde(default)]
    pub(crate) builder: Option<String>,
    /// Say for every item what each objective gains from it, and why it is where it is.
    #[serde(default)]
    pub(crate) explain: bool,
    /// Unix time of the request; now where it is left out.
    #[serde(default)]
    pub(crate) time: Option<i64>,
    /// A look that counts nowhere and is in no experiment.
    #[serde(default)]
    pub(crate) preview: bool,
    /// A model that is in memory; the one that answers where it is left out.
    #[serde(default)]
    pub(crate) model: Option<String>,
}

/// A list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RecommendAnswer {
    pub(crate) user: String,
    /// Whether the model was trained with this person.
    pub(crate) known: bool,
    /// In the order to show them.
    pub(crate) items: Vec<ListedItem>,
    /// The list as a whole: expected_clicks, expected_orders, expected_revenue, kl, novelty, entropy, distance.
    #[schema(value_type = Object)]
    pub(crate) list: ListSummary,
    /// What the request heads say this person wants now: `mix` by category, `novelty`.
    #[schema(value_type = Object)]
    pub(crate) wanted: Wanted,
    pub(crate) model: String,
    pub(crate) preset: Option<String>,
    pub(crate) experiment: Option<InArm>,
    /// Id of the list, for its events.
    pub(crate) request: String,
    pub(crate) timings: Timings,
}

/// An item of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ListedItem {
    pub(crate) item_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) price: Option<f32>,
    /// Utility under the weights asked for.
    pub(crate) score: f32,
    /// Probability of each binary task.
    pub(crate) heads: BTreeMap<String, f32>,
    /// What each objective gains from the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) contributions: Option<Contributions>,
    /// Why it is here and not elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) reasons: Option<Reasons>,
}

/// Experiment and arm of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct InArm {
    pub(crate) name: String,
    pub(crate) arm: String,
}

/// Where the time went, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Timings {
    pub(crate) queue_us: u64,
    pub(crate) score_us: u64,
    pub(crate) list_us: u64,
    pub(crate) total_us: u64,
}

/// Text of a context value.
pub(crate) fn texts(context: &BTreeMap<String, Value>) -> Answer<BTreeMap<String, String>> {
    let text = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null => String::new(),
            _ => {
                return Err(Problem::wrong(
                    format!("context.{name}"),
                    format!("expected text or a number, got `{value}`"),
                ));
            }
        };
        Ok((name.clone(), text))
    };
    context.iter().map(text).collect()
}

/// How a list is to be made.
pub(crate) struct Way {
    pub(crate) counter: Arc<Counter>,
    pub(crate) weights: Option<Weights>,
    pub(crate) explore: Option<f64>,
    pub(crate) origin: Origin,
}

/// A request has one way to say its weights.
fn not_both(preset: Option<&String>, objectives: Option<&BTreeMap<String, f64>>) -> Answer<()> {
    if preset.is_some() && objectives.is_some() {
        return Err(Problem::wrong("preset", "expected a preset or objectives, got both"));
    }
    Ok(())
}

fn at_most(key: &str, got: usize, most: usize) -> Answer<()> {
    if got <= most {
        return Ok(());
    }
    Err(Problem::wrong(key, format!("expected at most {most}, got {got}")))
}

impl App {
    /// The counter that a request is answered from.
    pub(crate) fn counter(&self, model: Option<&str>) -> Answer<Arc<Counter>> {
        let Some(name) = model else { return Ok(self.models.serving()) };
        self.models.counter(name).ok_or_else(|| {
            Problem::wrong("model", format!("expected a model that is in memory, got `{name}`"))
                .hint(format!("load it: POST /v1/models/{name}/load"))
        })
    }

    /// What weights and model a request is answered with. What it says itself stands before an experiment.
    pub(crate) fn way(&self, body: &RecommendBody) -> Answer<Way> {
        not_both(body.preset.as_ref(), body.objectives.as_ref())?;
        let free = body.preset.is_none()
            && body.objectives.is_none()
            && body.explore.is_none()
            && body.model.is_none()
            && !body.preview;
        let assigned = free.then(|| self.experiments.assign(&body.user)).flatten();
        let mut origin = Origin::default();
        let (mut preset, mut objectives) = (body.preset.clone(), body.objectives.clone());
        let (mut explore, mut model) = (body.explore, body.model.clone());
        if let Some((experiment, arm)) = assigned {
            origin.arm = Some((experiment, arm.name));
            (preset, objectives, explore, model) =
                (arm.preset, arm.objectives, arm.explore, arm.model);
        }
        let counter = self.counter(model.as_deref())?;
        let (weights, own) = self.wished(&counter, objectives.as_ref(), preset.as_deref())?;
        origin.preset = preset;
        Ok(Way { counter, weights, explore: explore.or(own), origin })
    }

    /// Weights, and how far to explore, by objectives or by a preset's name; `None`: as configured.
    fn wished(
        &self,
        counter: &Counter,
        objectives: Option<&BTreeMap<String, f64>>,
        preset: Option<&str>,
    ) -> Answer<(Option<Weights>, Option<f64>)> {
        match (objectives, preset) {
            (_, Some(name)) => {
                let preset = self.presets.get(name, &counter.model.presets)?;
                Ok((Some(preset.weights()?), preset.explore))
            }
            (Some(objectives), None) => Ok((Some(weights(objectives)?), None)),
            (None, None) => Ok((None, None)),
        }
    }

    /// A person as they are remembered.
    pub(crate) async fn person(&self, user: &str) -> Answer<Arc<Person>> {
        check_id("user", user)?;
        self.memory.person(user, &self.store).await
    }

    /// One list.
    pub(crate) async fn list(
        self: &Arc<Self>,
        body: RecommendBody,
    ) -> Answer<(RecommendAnswer, Origin)> {
        let started = Instant::now();
        self.pool.room()?;
        at_most("k", body.k.unwrap_or(0), self.config.k)?;
        at_most("exclude", body.exclude.len(), self.config.candidates)?;
        let candidates = body.candidates.as_ref().map_or(0, Vec::len);
        at_most("candidates", candidates, self.config.candidates)?;
        at_most("context", body.context.len(), 1_000)?;
        let way = self.way(&body)?;
        let filter = body.filter.as_deref().map(str::parse::<Filter>).transpose()?;
        let person = self.person(&body.user).await?;
        let time = body.time.unwrap_or_else(now);
        let ask = Ask {
            user: body.user,
            k: body.k,
            weights: way.weights,
            explore: way.explore,
            context: texts(&body.context)?,
            exclude: body.exclude,
            candidates: body.candidates,
            filter,
            rules: daogou::schema::ListRules::default(),
            builder: body.builder,
            time: Some(time),
        };
        let (app, counter) = (Arc::clone(self), Arc::clone(&way.counter));
        let work =
            move |guide: &mut daogou::guide::Guide<'_>, team: &mut daogou_nn::Team, waited| {
                let of = (&*counter.model, &counter.stock);
                let visitor = person.visitor(&ask.user, time, of, &app.config.engaged)?;
                let list = guide.recommend(&ask, (&visitor, time), team)?;
                Ok((list, guide.spent(), waited))
            };
        let (list, spent, waited) = self.pool.run(Arc::clone(&way.counter), work).await?;
        let timings = self.timings(started, waited, spent);
        if !body.preview {
            let (entropy, novelty) = (list.list.entropy, list.list.novelty);
            self.live.note(now(), &way.origin, Happened::Listed { entropy, novelty });
            self.experiments.made(&way.origin, entropy, novelty);
            let place = Where::from(&way.origin);
            self.telemetry.lists.get_or_create(&place).inc();
            self.telemetry.entropy.get_or_create(&place).inc_by(entropy.unwrap_or(0.0));
            self.telemetry.novelty.get_or_create(&place).inc_by(novelty.unwrap_or(0.0));
        }
        let items = list.items.into_iter().map(|item| ListedItem {
            item_id: item.item_id,
            title: item.title,
            category: item.category,
            price: item.price,
            score: item.score,
            heads: item.heads,
            contributions: body.explain.then_some(item.contributions),
            reasons: body.explain.then_some(item.reasons),
        });
        let answer = RecommendAnswer {
            user: list.user,
            known: list.known,
            items: items.collect(),
            list: list.list,
            wanted: list.wanted,
            model: way.counter.model.name.clone(),
            preset: way.origin.preset.clone(),
            experiment: way.origin.arm.clone().map(|(name, arm)| InArm { name, arm }),
            request: way.origin.new_id(),
            timings,
        };
        let origin = if body.preview { Origin::default() } else { way.origin };
        Ok((answer, origin))
    }

    fn timings(&self, started: Instant, waited: Duration, spent: daogou::guide::Spent) -> Timings {
        for (stage, took) in [("queue", waited), ("score", spent.score), ("list", spent.list)] {
            self.telemetry.stages.get_or_create(&Stage { stage }).observe(took.as_secs_f64());
        }
        let us = |took: Duration| took.as_micros() as u64;
        Timings {
            queue_us: us(waited),
            score_us: us(spent.score),
            list_us: us(spent.list),
            total_us: us(started.elapsed()),
        }
    }
}

/// One list for one person
#[utoipa::path(
    post,
    path = "/v1/recommend",
    tag = "lists",
    request_body = RecommendBody,
    responses((status = 200, description = "a list", body = RecommendAnswer), Refusals)
)]
pub(crate) async fn recommend(
    State(app): Shared,
    Body(body): Body<RecommendBody>,
) -> Answer<Response> {
    let (answer, origin) = app.list(body).await?;
    let mut response = Json(answer).into_response();
    response.extensions_mut().insert(origin);
    Ok(response)
}

/// Candidates are to be put in order.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RankBody {
    /// Person; an unknown one is a newcomer.
    pub(crate) user: String,
    /// Items.
    #[schema(value_type = Vec<String>)]
    pub(crate) candidates: Names,
    /// Values of context features, by name: text or numbers.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) context: BTreeMap<String, Value>,
    /// Weights: click, purchase, revenue. Diversity and novelty are of lists and do not count here.
    #[serde(default)]
    pub(crate) objectives: Option<BTreeMap<String, f64>>,
    /// Named weights; not together with `objectives`.
    #[serde(default)]
    pub(crate) preset: Option<String>,
    /// Unix time of the request; now where it is left out.
    #[serde(default)]
    pub(crate) time: Option<i64>,
    /// A model that is in memory; the one that answers where it is left out.
    #[serde(default)]
    pub(crate) model: Option<String>,
}

/// Candidates in order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RankAnswer {
    /// Best first.
    #[schema(value_type = Vec<RankedItem<'_>>)]
    pub(crate) items: RankedItems,
    pub(crate) model: String,
    pub(crate) timings: Timings,
}

/// A candidate.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RankedItem<'a> {
    pub(crate) item_id: &'a str,
    /// Whether it is in the catalogue; otherwise it was scored as an item of which nothing is known.
    pub(crate) known: bool,
    /// Utility under the weights asked for.
    pub(crate) score: f32,
    /// Probability of each binary task.
    #[schema(value_type = BTreeMap<String, f32>)]
    pub(crate) heads: RankedHeads<'a>,
}

/// The candidates and their order. They are made into JSON from where they are: an answer has thousands of names.
#[derive(Clone, Debug)]
pub(crate) struct RankedItems {
    candidates: Names,
    ranking: Ranking,
}

impl RankedItems {
    pub(crate) fn iter(&self) -> impl Iterator<Item = RankedItem<'_>> {
        self.ranking.items.iter().enumerate().map(|(place, ranked)| RankedItem {
            item_id: self.candidates.get(ranked.candidate),
            known: ranked.known,
            score: ranked.score,
            heads: RankedHeads { ranking: &self.ranking, place },
        })
    }
}

impl Serialize for RankedItems {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// Probabilities of one candidate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RankedHeads<'a> {
    ranking: &'a Ranking,
    place: usize,
}

impl Serialize for RankedHeads<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.ranking.heads(self.place))
    }
}

impl App {
    /// Candidates in order.
    pub(crate) async fn rank(self: &Arc<Self>, body: RankBody) -> Answer<RankAnswer> {
        let started = Instant::now();
        self.pool.room()?;
        at_most("candidates", body.candidates.len(), self.config.candidates)?;
        at_most("context", body.context.len(), 1_000)?;
        not_both(body.preset.as_ref(), body.objectives.as_ref())?;
        let counter = self.counter(body.model.as_deref())?;
        let (found, _) = self.wished(&counter, body.objectives.as_ref(), body.preset.as_deref())?;
        let context = texts(&body.context)?;
        let person = self.person(&body.user).await?;
        let time = body.time.unwrap_or_else(now);
        let (app, own) = (Arc::clone(self), Arc::clone(&counter));
        let work =
            move |guide: &mut daogou::guide::Guide<'_>, team: &mut daogou_nn::Team, waited| {
                let of = (&*own.model, &own.stock);
                let visitor = person.visitor(&body.user, time, of, &app.config.engaged)?;
                let candidates: Vec<&str> = body.candidates.iter().collect();
                let ranking = guide.rank(&candidates, (&context, found), (&visitor, time), team)?;
                Ok((RankedItems { candidates: body.candidates, ranking }, guide.spent(), waited))
            };
        let (items, spent, waited) = self.pool.run(Arc::clone(&counter), work).await?;
        Ok(RankAnswer {
            items,
            model: counter.model.name.clone(),
            timings: self.timings(started, waited, spent),
        })
    }
}

/// Put given candidates in order
#[utoipa::path(
    post,
    path = "/v1/rank",
    tag = "lists",
    request_body = RankBody,
    responses((status = 200, description = "candidates in order", body = RankAnswer), Refusals)
)]
pub(crate) async fn rank(
    State(app): Shared,
    Body(body): Body<RankBody>,
) -> Answer<Json<RankAnswer>> {
    Ok(Json(app.rank(body).await?))
}

//! Own speed: training and scoring with the founding document's network, building lists; on rows already in memory.

mod lists;
mod score;
mod train;
mod visit;

pub use lists::{ListOptions, ListResult, lists};
pub use score::{ScoreOptions, ScoreResult, score};
pub use train::{TrainOptions, TrainResult, train};
pub use visit::{VisitOptions, VisitResult, visits};

use daogou_nn::{Activation, DomainId, Graph, Init, Model, NodeId};

/// Sizes of the founding document's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of the user table, 32 wide.
    pub users: usize,
    /// Rows of the item table, 32 wide.
    pub items: usize,
    /// Rows of the brand table, 16 wide.
    pub brands: usize,
    /// Categories of the diversity head.
    pub classes: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { users: 100_000, items: 10_000, brands: 100, classes: 50 }
    }
}

/// What is trained, on rows of the founding document's tables and price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// The founding document's network.
    #[default]
    SharedMlp,
    /// MMoE (Ma et al. 2018): 4 experts of 128 units, a gate and a tower of 64 units for click and for purchase.
    Mmoe,
}

impl Preset {
    /// The graph, and the weights of its losses.
    fn model(self, sizes: &Sizes) -> (Model, Vec<f64>) {
        match self {
            Self::SharedMlp => (network(sizes).0, vec![1.0, 1.0, 0.1]),
            Self::Mmoe => (mmoe(sizes), vec![1.0, 1.0]),
        }
    }
}

/// User, item and brand by id, and the price: `[rows, 81]`.
fn columns(g: &mut Graph, rows: DomainId, sizes: &Sizes) -> NodeId {
    let init = Init::Normal(0.01);
    let user = g.table("user_embed", sizes.users, 32, init);
    let item = g.table("item_embed", sizes.items, 32, init);
    let brand = g.table("brand_embed", sizes.brands, 16, init);
    let parts = [g.lookup(user, rows), g.lookup(item, rows), g.lookup(brand, rows)];
    let price = g.input(rows, 1);
    let price = g.dense(price);
    g.concat(&[parts[0], parts[1], parts[2], price])
}

/// `Σ_j softmax(W_k x + b_k)_j · e_j(x)` for click and purchase, losses BCE + BCE.
fn mmoe(sizes: &Sizes) -> Model {
    const TASKS: [&str; 2] = ["click", "purchase"];
    let mut g = Graph::new();
    let rows = g.domain("impression");
    let x = columns(&mut g, rows, sizes);
    let names: Vec<String> = (0..4).map(|j| format!("experts.{j}.0")).collect();
    let experts: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 128)).collect();
    let experts = g.linear_group(&experts, x, Activation::Relu);
    let names = TASKS.map(|task| format!("gates.{task}"));
    let gates = names.each_ref().map(|name| (name.as_str(), experts.len()));
    let gates = g.linear_group(&gates, x, Activation::None);
    let gates: Vec<NodeId> = gates.into_iter().map(|gate| g.softmax(gate)).collect();
    let mixed = g.mixtures(&gates, &experts);
    for (task, mixed) in TASKS.into_iter().zip(mixed) {
        g.represent(mixed);
        let tower = g.mlp(&format!("{task}_tower"), mixed, &[64], Activation::Relu);
        let logit = g.linear(&format!("{task}_head"), tower, 1, Activation::None);
        let label = g.input(rows, 1);
        g.bce(task, logit, label, None);
    }
    g.finish()
}

/// The founding document's network: 81 → 128 → 64 → {1, 1, classes}, losses BCE + BCE + cross-entropy. Returns the graph
/// and its three heads.
fn network(sizes: &Sizes) -> (Model, [NodeId; 3]) {
    let mut g = Graph::new();
    let rows = g.domain("impression");
    let x = columns(&mut g, rows, sizes);
    let shared = g.mlp("shared_net", x, &[128, 64], Activation::Relu);
    g.represent(shared);
    let group = [("ctr_head", 1), ("cvr_head", 1), ("div_head", sizes.classes)];
    let heads = g.linear_group(&group, shared, Activation::None);
    let (click, purchase, class) = (g.input(rows, 1), g.input(rows, 1), g.input(rows, 1));
    g.bce("click", heads[0], click, None);
    g.bce("purchase", heads[1], purchase, None);
    g.cross_entropy_class("diversity", heads[2], class, None);
    (g.finish(), [heads[0], heads[1], heads[2]])
}

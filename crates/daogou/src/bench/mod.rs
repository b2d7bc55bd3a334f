//! Own speed: training and scoring with the founding document's network, building lists; on rows already in memory.

mod lists;
mod score;
mod train;
mod visit;

pub use lists::{ListOptions, ListResult, lists};
pub use score::{ScoreOptions, ScoreResult, score};
pub use train::{TrainOptions, TrainResult, train};
pub use visit::{VisitOptions, VisitResult, visits};

use daogou_nn::{Activation, Graph, Init, Model, NodeId};

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

/// The founding document's network: 81 → 128 → 64 → {1, 1, classes}, losses BCE + BCE + cross-entropy. Returns the graph
/// and its three heads.
fn network(sizes: &Sizes) -> (Model, [NodeId; 3]) {
    let mut g = Graph::new();
    let rows = g.domain("impression");
    let init = Init::Normal(0.01);
    let user = g.table("user_embed", sizes.users, 32, init);
    let item = g.table("item_embed", sizes.items, 32, init);
    let brand = g.table("brand_embed", sizes.brands, 16, init);
    let parts = [g.lookup(user, rows), g.lookup(item, rows), g.lookup(brand, rows)];
    let price = g.input(rows, 1);
    let price = g.dense(price);
    let x = g.concat(&[parts[0], parts[1], parts[2], price]);
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

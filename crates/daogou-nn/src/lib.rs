//! A small deterministic training engine: an op graph with automatic backward, sparse embedding tables, optimisers.
//!
//! It speaks of tables, ops, gradients and optimisers and knows nothing of users, items or files.
//!
//! A model is a [`Graph`] of ops, built once in forward style. Rows live in *domains* (requests, impressions, past
//! events); a *map* leads from each row of one domain to a row of another, so ragged data needs no padding. A
//! [`Batch`] is cut into micro-batches that fit a core's cache; the [`Engine`] runs them on a fixed number of logical
//! shards, adds shard gradients in a fixed order and updates only the embedding rows a batch touched. The bits of the
//! result do not depend on the number of threads.
//!
//! ```
//! use daogou_nn::{Activation, Batch, Engine, EngineConfig, Graph, Init, StepSize};
//!
//! // Learn y = 1 exactly when the id is even.
//! let mut g = Graph::<f32>::new();
//! let rows = g.domain("rows");
//! let table = g.table("id_embed", 10, 4, Init::Normal(0.1));
//! let x = g.lookup(table, rows);
//! let hidden = g.linear("hidden", x, 8, Activation::Relu);
//! let logit = g.linear("head", hidden, 1, Activation::None);
//! let label = g.input(rows, 1);
//! g.bce("even", logit, label, None);
//!
//! let mut engine = Engine::new(g.finish(), &EngineConfig { seed: 1, threads: 1, ..EngineConfig::default() });
//! let mut batch = Batch::new(engine.model(), 1);
//! for step in 1..=300 {
//!     let micro = &mut batch.micros_mut()[0];
//!     micro.clear();
//!     for id in 0..10u32 {
//!         micro.ids[0].push(id);
//!         micro.inputs[0].push(f32::from(u8::from(id % 2 == 0)));
//!     }
//!     micro.rows[0] = 10;
//!     engine.step(&mut batch, &StepSize { step, dense: 0.01, tables: 0.1 }).unwrap();
//! }
//! assert!(engine.losses()[0].mean() < 0.01);
//! ```

mod aligned;
mod batch;
mod dense_layer;
pub mod embedding;
mod engine;
pub mod frozen;
#[cfg(test)]
mod gradcheck;
mod graph;
pub mod init;
pub mod kernels;
mod layers;
mod loss;
mod matrix;
pub mod optim;
mod parameters;
mod projection;
mod real;
pub mod rng;
mod team;
mod workspace;

pub use batch::{Batch, Micro};
pub use dense_layer::{DenseLayer, add_relu_rows};
pub use embedding::Table;
pub use engine::{Diverged, Engine, EngineConfig, StepSize, Weighing};
pub use frozen::{Frozen, FrozenWorkspace};
pub use graph::{DomainId, Graph, InputId, MapId, Model, NodeId, Param, TableId};
pub use init::Init;
pub use layers::Activation;
pub use loss::{Debiasing, LossSum};
pub use optim::{DenseOptimizer, TableOptimizer};
pub use parameters::Parameters;
pub use real::Real;
pub use rng::Rng;
pub use team::Team;
pub use workspace::Workspace;

//! Initial values of parameters and tables.

use crate::real::Real;
use crate::rng::{Rng, hash};

/// How a parameter starts. Each parameter has its own random stream, keyed by its name, so that adding one does not
/// change the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All one value.
    Constant(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform in `[-limit, limit]`.
    Uniform(f64),
}

impl Init {
    /// He initialisation for a layer followed by ReLU: N(0, 2 / inputs) (He et al. 2015).
    pub fn he(inputs: usize) -> Self {
        Self::Normal((2.0 / inputs as f64).sqrt())
    }

    /// Fills `values`.
    pub fn fill<T: Real>(self, values: &mut [T], seed: u64, name: &str) {
        let mut rng = Rng::new(seed, hash(name));
        match self {
            Self::Constant(value) => values.fill(T::of(value)),
            Self::Normal(sd) => values.iter_mut().for_each(|v| *v = T::of(sd * rng.normal())),
            Self::Uniform(limit) => {
                values.iter_mut().for_each(|v| *v = T::of(limit * (2.0 * rng.uniform() - 1.0)));
            }
        }
    }
}

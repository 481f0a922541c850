//! What a graph takes, as measured, and by that the choice of the method.

use super::descent::LARGEST_DIM;
use super::options::{KnnOptions, Method};
use super::tree;

/// An approximate method has to be so many times as fast as the exact one to be chosen: a graph that is not
/// exact is a loss that a user did not ask for, and has to earn its place. A choice, as is the next; what
/// follows from both is in docs/notes/benchmarks.md, "NN-descent".
const WORTH: f64 = 5.0;

/// And to find so much of the mass.
const ENOUGH: f64 = 0.975;

/// What a method takes and finds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// [`Method::Exact`] or [`Method::NnDescent`].
    pub method: Method,
    /// Seconds of one thread of a processor with AVX-512 VNNI.
    pub seconds: f64,
    /// Share of the exact neighbors that are found.
    pub recall: f64,
    /// Share of their weight `exp(-distance / 0.1)` that the found ones have.
    pub mass: f64,
}

/// What each method is expected to take and to find for `n` points of `dim` dimensions and `k` neighbors
/// each, by a fit to the measurements in docs/notes/benchmarks.md; recall and mass are those of a million
/// generated points. In few dimensions both are the k-d tree, whose seconds are a rough fit to 20,000 points.
pub fn estimates(n: usize, dim: usize, k: usize) -> [Estimate; 2] {
    const MICROSECOND: f64 = 1e-6;
    if dim <= tree::LARGEST_DIM {
        let seconds = n as f64 * (3.0 + 0.4 * k as f64) * 1.9f64.powf(dim as f64 - 2.0) * MICROSECOND;
        return [Method::Exact, Method::NnDescent].map(|method| Estimate { method, seconds, recall: 1.0, mass: 1.0 });
    }
    let (n, dim, k) = (n as f64, dim as f64, k as f64);
    // Each pair once, and a row's candidates.
    let exact = n / 2.0 * (0.000_15 + dim / 320_000.0) + 10.0 + 0.09 * dim;
    // Cells, their joins and the exact distances of what is found; with more points there are more cells, and more is
    // out of the cache.
    let far = 1.0 + 0.65 * (n / 1e5).log10().max(0.0);
    let descent = (43.5 + 0.273 * k) * (0.8 + dim / 1280.0) * far;
    // The more are asked for, the more of them are far ones, which are harder to find.
    let (recall, mass) = (0.909 - 0.095 * (k / 20.0).ln(), 1.0 - 0.0126 * (k / 20.0).powf(0.2));
    [
        Estimate { method: Method::Exact, seconds: n * exact * MICROSECOND, recall: 1.0, mass: 1.0 },
        Estimate {
            method: Method::NnDescent,
            seconds: n * descent * MICROSECOND,
            recall: recall.clamp(0.0, 1.0),
            mass: mass.clamp(0.0, 1.0),
        },
    ]
}

/// The method that [`Method::Auto`] stands for, but for queries.
pub fn choice(n: usize, dim: usize, k: usize) -> Method {
    let [exact, descent] = estimates(n, dim, k);
    let takes = dim <= LARGEST_DIM;
    let worth = exact.seconds > WORTH * descent.seconds && descent.mass >= ENOUGH;
    if takes && worth { descent.method } else { exact.method }
}

impl KnnOptions {
    /// The method, which is not [`Method::Auto`] any more.
    pub(super) fn resolved(&self, base: usize, queries: bool, dim: usize) -> Method {
        match self.method {
            Method::Auto if queries => Method::Exact,
            Method::Auto => choice(base, dim, self.k),
            method => method,
        }
    }
}

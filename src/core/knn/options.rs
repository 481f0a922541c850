//! What graph to build, and how.

use super::points::Metric;
use crate::core::embeddings::Precision;

/// Neighbors a point, unless another number is asked for.
pub const K: usize = 30;

/// Neighbors of a node in the index of [`Method::Hnsw`], unless another number is asked for: usearch's
/// own default, as the next two.
pub const CONNECTIVITY: usize = 16;

/// Candidates that the index looks at while a point is added, unless another number is asked for.
pub const EXPANSION_ADD: usize = 128;

/// Candidates that the index looks at in a search, unless another number is asked for.
pub const EXPANSION_SEARCH: usize = 64;

/// Rows of one vector that stand in the lists of a graph to cluster by. More than three can spoil clusters, and one loses
/// what copies of records say, see "Copies" in docs/results.md.
pub const COPIES: usize = 3;

/// How neighbors are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// NN-descent where it is expected to be at least five times as fast and to find 0.975 of the mass,
    /// see [`estimates`](super::estimates); else, and for queries, exact.
    #[default]
    Auto,
    /// All pairs, in blocks of matrix products; in at most 4 dimensions by a k-d tree, with the same result.
    Exact,
    /// NN-descent: approximate, and the same in every run. In at most 4 dimensions it is [`Method::Exact`].
    NnDescent,
    /// usearch's HNSW index: approximate, and not the same from run to run on several threads. The
    /// index stores the features once more, in their precision; in 8 bits, under cosine alone.
    Hnsw,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Exact, Self::NnDescent, Self::Hnsw];

    /// `auto`, `exact`, `nn_descent` or `hnsw`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Exact => "exact",
            Self::NnDescent => "nn_descent",
            Self::Hnsw => "hnsw",
        }
    }

    /// Whether it is exact.
    pub(super) fn looks_at_all_pairs(self) -> bool {
        !matches!(self, Self::NnDescent | Self::Hnsw)
    }

    /// What it is, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Auto => "exact, but nn_descent where it is expected to be five times as fast",
            Self::Exact => "all pairs",
            Self::NnDescent => "approximate",
            Self::Hnsw => "approximate, with a usearch index",
        }
    }
}

/// What graph to build.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnnOptions {
    /// Neighbors a point, at least 1. With fewer other points, all of them.
    pub k: usize,
    /// How neighbors are found.
    pub method: Method,
    /// Parameters of [`Method::Hnsw`].
    pub hnsw: HnswOptions,
    /// Of rows with equal features, how many stand in lists, at least 1: the first. Each has neighbors, those of the
    /// others too. `None`: all stand in lists.
    pub copies: Option<usize>,
}

impl Default for KnnOptions {
    fn default() -> Self {
        Self { k: K, method: Method::default(), hnsw: HnswOptions::default(), copies: None }
    }
}

impl KnnOptions {
    /// Whether the method that is asked for has the metric in this precision: usearch has features of
    /// 8 bits under cosine alone.
    pub fn takes(&self, metric: Metric, precision: Precision) -> bool {
        self.method != Method::Hnsw || precision != Precision::I8 || metric == Metric::Cosine
    }
}

/// The parameters of the index, under usearch's names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HnswOptions {
    /// Neighbors of a node in the index, at least 2.
    pub connectivity: usize,
    /// Candidates looked at while a point is added, at least 1.
    pub expansion_add: usize,
    /// Candidates looked at in a search, at least 1; never fewer than are asked for.
    pub expansion_search: usize,
}

impl Default for HnswOptions {
    fn default() -> Self {
        Self { connectivity: CONNECTIVITY, expansion_add: EXPANSION_ADD, expansion_search: EXPANSION_SEARCH }
    }
}

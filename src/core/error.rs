//! Everything that can go wrong, as one enum.
//!
//! The core counts points by row number, and says what is wrong. A caller that knows the ids of the points
//! puts them in the row numbers' places, with [`PointProblem::of`] and [`EdgeProblem::of`], and adds the way
//! out, which depends on what the caller was asked.

use std::fmt::Display;

/// Result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and at which row.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter is outside its range.
    #[error("{name} must be {range}, got {value}")]
    Parameter {
        /// The parameter's name.
        name: &'static str,
        /// The values it takes, in words.
        range: String,
        /// The value given.
        value: String,
    },
    /// Arrow data of a type or shape that the stage does not take.
    #[error("{0}")]
    Input(String),
    /// Something is wrong with one point.
    #[error("{}", .problem.of(format_args!("point {row}")))]
    Point {
        /// Row number of the point.
        row: u32,
        /// What is wrong.
        problem: PointProblem,
    },
    /// Something is wrong with one edge.
    #[error("{}", .problem.of(src, dst))]
    Edge {
        /// Row number of the edge's source.
        src: u32,
        /// Row number of the edge's destination.
        dst: u32,
        /// What is wrong.
        problem: EdgeProblem,
    },
    /// Two points may not share a cluster, and are one or joined by pairs that must.
    #[error("{}", contradiction(chain, |row| row.to_string()))]
    Contradiction {
        /// Row numbers of the two points and of those between them, each joined to the next.
        chain: Vec<u32>,
    },
    /// No cluster ids are left for new clusters.
    #[error("the greatest cluster id is {greatest}, so that no number is left above it")]
    NoClusterIdLeft {
        /// The greatest id of the earlier clusters.
        greatest: i64,
    },
    /// Labels of which nothing can be learned.
    #[error("{0}")]
    Labels(String),
    /// The steps of training left the finite numbers.
    #[error(
        "with learning_rate := {learning_rate} training diverges: in epoch {epoch} the loss is no longer a finite number; \
         give a smaller one"
    )]
    Diverged {
        /// The rate of the first step.
        learning_rate: f64,
        /// The epoch, from 1.
        epoch: usize,
    },
    /// The work needs more memory than it may use.
    #[error("{0}")]
    Memory(String),
    /// The `usearch` index refused.
    #[error("the HNSW index failed: {0}")]
    Index(String),
    /// A model breaks the contract, or fails.
    #[error("the model cannot be used: {0}")]
    Model(String),
    /// ONNX Runtime is not there.
    #[error("a model needs ONNX Runtime, which is not here; install it, or name the library")]
    NoRuntime,
    /// ONNX Runtime cannot be loaded.
    #[error("{0}")]
    Runtime(String),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// What is wrong with a point.
#[derive(Debug, Clone, PartialEq)]
pub enum PointProblem {
    /// The same id twice.
    DuplicateId,
    /// Cosine distance is not defined for a vector of length zero.
    ZeroVector,
    /// NaN or an infinity among the embedding's values.
    NotFinite,
    /// The squared length does not fit single precision.
    TooLong,
    /// The longest of all, and so short that squared distances do not fit single precision.
    TooShort,
    /// Another number of dimensions than the first embedding's.
    Dimensions {
        /// Dimensions of this embedding.
        found: usize,
        /// Dimensions of the others.
        expected: usize,
    },
    /// An embedding of no dimensions.
    Empty,
    /// NULL where an embedding is expected.
    NullEmbedding,
    /// A row of the transition matrix that does not sum to 1.
    RowSum(f64),
    /// A density that is NaN, infinite or negative.
    Density(f64),
    /// The parents do not lead to a peak.
    Circle,
}

impl PointProblem {
    /// What is wrong with the point of this name, such as `point 3`.
    pub fn of(&self, point: impl Display) -> String {
        match self {
            Self::DuplicateId => format!("{point} occurs more than once"),
            Self::ZeroVector => {
                format!("the embedding of {point} is a zero vector, which has no cosine distance")
            }
            Self::NotFinite => format!("the embedding of {point} contains NaN or infinity"),
            Self::TooLong => format!("the embedding of {point} is too long for single precision"),
            Self::TooShort => format!(
                "the embeddings are too short for single precision, in which their squared distances become 0; the \
                 longest is that of {point}"
            ),
            Self::Dimensions { found, expected } => {
                format!("the embedding of {point} has {found} dimensions, others have {expected}")
            }
            Self::Empty => format!("the embedding of {point} is empty"),
            Self::NullEmbedding => format!("the embedding of {point} is NULL or contains NULL"),
            Self::RowSum(sum) => format!("the probabilities of {point} sum to {sum}, not to 1"),
            Self::Density(density) => {
                format!("the density of {point} is {density}; a density is a finite number of at least 0")
            }
            Self::Circle => format!("the parents of {point} lead back to it"),
        }
    }
}

/// What is wrong with an edge.
#[derive(Debug, Clone, PartialEq)]
pub enum EdgeProblem {
    /// The same edge twice.
    Duplicate,
    /// A value that is NaN, infinite or outside its range.
    Value {
        /// What the value is: `distance`, `similarity`, `probability`.
        name: &'static str,
        /// The value.
        value: f64,
        /// The range that it should lie in, in words.
        range: &'static str,
    },
    /// A distance of a k-NN graph that is below 0, as only the inner product of vectors longer than 1 gives.
    BelowZero(f64),
}

impl EdgeProblem {
    /// What is wrong with the edge between the points of these numbers or ids.
    pub fn of(&self, src: impl Display, dst: impl Display) -> String {
        match self {
            Self::Duplicate => format!("the edge {src} -> {dst} occurs more than once"),
            Self::Value { name, value, range } => {
                format!("the {name} of edge {src} -> {dst} is {value}; it must be {range}")
            }
            Self::BelowZero(distance) => format!(
                "the distance of edge {src} -> {dst} is {distance}; it must be at least 0, so embeddings under the \
                 inner product must not be longer than 1"
            ),
        }
    }
}

/// Why the ends of a chain of points, named by `name`, cannot be kept apart.
fn contradiction(chain: &[u32], name: impl Fn(u32) -> String) -> String {
    match chain {
        [point] => format!("the point {} cannot be kept apart from itself", name(*point)),
        _ => {
            let names: Vec<String> = chain.iter().map(|&row| name(row)).collect();
            let (first, last) = (&names[0], &names[names.len() - 1]);
            format!(
                "the points {first} and {last} cannot be kept apart: pairs that must share a cluster join {}",
                names.join(" - ")
            )
        }
    }
}

impl Error {
    /// The same error about the rows that these are the numbers of.
    pub(crate) fn renumber(self, rows: &[u32]) -> Self {
        match self {
            Self::Point { row, problem } => Self::Point { row: rows[row as usize], problem },
            Self::Edge { src, dst, problem } => {
                Self::Edge { src: rows[src as usize], dst: rows[dst as usize], problem }
            }
            Self::Contradiction { chain } => {
                Self::Contradiction { chain: chain.into_iter().map(|row| rows[row as usize]).collect() }
            }
            other => other,
        }
    }

    pub(crate) fn point(row: usize, problem: PointProblem) -> Self {
        Self::Point { row: row as u32, problem }
    }

    pub(crate) fn edge(src: usize, dst: u32, problem: EdgeProblem) -> Self {
        Self::Edge { src: src as u32, dst, problem }
    }
}

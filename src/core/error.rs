//! Everything that can go wrong, as one enum.
//!
//! The core counts points by row number. A caller that knows their ids renders a message with
//! [`Error::message`], so that the user reads the id and not the row.

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
    #[error("{}", .problem.of(row))]
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
    /// Labels of which nothing can be learned.
    #[error("{0}")]
    Labels(String),
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
    /// The message about the point with this id.
    pub fn of(&self, id: &dyn Display) -> String {
        match self {
            Self::DuplicateId => format!("id {id} occurs more than once; ids must be unique"),
            Self::ZeroVector => {
                format!("the embedding of id {id} is a zero vector, which has no cosine distance")
            }
            Self::NotFinite => format!("the embedding of id {id} contains NaN or infinity"),
            Self::TooLong => {
                format!("the embedding of id {id} is too long for single precision; scale the embeddings down")
            }
            Self::Dimensions { found, expected } => {
                format!("the embedding of id {id} has {found} dimensions, others have {expected}")
            }
            Self::Empty => format!("the embedding of id {id} is empty; leave the row out"),
            Self::NullEmbedding => format!("the embedding of id {id} is NULL or contains NULL; leave the row out"),
            Self::RowSum(sum) => {
                format!("the probabilities of src {id} sum to {sum}, not to 1")
            }
            Self::Density(density) => {
                format!("the density of id {id} is {density}; a density is a finite number of at least 0")
            }
            Self::Circle => format!("the parents of id {id} lead back to it"),
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
    /// A pair that may not share a cluster is one point, or joined by those that must.
    Contradiction,
}

impl EdgeProblem {
    /// The message about the edge between these ids.
    pub fn of(&self, src: &dyn Display, dst: &dyn Display) -> String {
        match self {
            Self::Duplicate => format!("the edge {src} -> {dst} occurs more than once; keep one of its rows"),
            Self::Value { name, value, range } => {
                format!("the {name} of edge {src} -> {dst} is {value}; it must be {range}")
            }
            Self::Contradiction => {
                format!(
                    "the pair {src}, {dst} cannot be kept apart: it is one point, or must_link joins the two; leave it out, or what joins them"
                )
            }
        }
    }
}

impl Error {
    /// The message with each row number replaced by what `id` makes of it.
    pub fn message(&self, id: impl Fn(u32) -> String) -> String {
        match self {
            Self::Point { row, problem } => problem.of(&id(*row)),
            Self::Edge { src, dst, problem } => problem.of(&id(*src), &id(*dst)),
            other => other.to_string(),
        }
    }

    /// The same about the rows that these are the numbers of.
    pub(crate) fn renumber(self, rows: &[u32]) -> Self {
        match self {
            Self::Point { row, problem } => Self::Point { row: rows[row as usize], problem },
            Self::Edge { src, dst, problem } => {
                Self::Edge { src: rows[src as usize], dst: rows[dst as usize], problem }
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

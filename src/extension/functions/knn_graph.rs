//! `knn_graph(source, ...)`, stage 1.

use duckdb_neo::Result;

use super::super::plan::{Arguments, KnnGraph, Plan};
use super::{Default, Parameter, Stage};
use crate::core::embeddings::Precision;
use crate::core::knn::{Method, Metric};

pub static STAGE: Stage = Stage {
    name: "knn_graph",
    description: "The k nearest neighbors of each point by its embedding.",
    returns: "Returns src, dst, rank (1..k) and distance, nearest first; equal distances in order of dst.",
    parameters: &PARAMETERS,
    examples: &[
        "FROM knn_graph('faces', k := 20)",
        "FROM knn_graph('faces', id := 'face_id', embedding := 'features', metric := 'l2sq')",
        "FROM knn_graph('faces', queries := 'new_faces', k := 5)",
    ],
    nested_example: Some("FROM transition_matrix(knn_graph('faces', k := 20))"),
    plan: |arguments| plan(arguments, None).map(Plan::KnnGraph),
};

/// The parameters of the graph, here and in `cluster_embeddings`.
pub const PARAMETERS: [Parameter; 11] = [
    SOURCE,
    K,
    METRIC,
    METHOD,
    ID,
    EMBEDDING,
    Parameter {
        name: "queries",
        default: Default::Null,
        description: "relation of the points whose neighbors in source are wanted, with the same columns; a point is never its own neighbor. NULL: those of source",
    },
    CONNECTIVITY,
    EXPANSION_ADD,
    EXPANSION_SEARCH,
    PRECISION,
];

pub const SOURCE: Parameter = Parameter {
    name: "source",
    default: Default::Required,
    description: "name of a relation with one row a point: a table, view, CTE, file or DataFrame",
};
pub const K: Parameter =
    Parameter { name: "k", default: Default::Integer(80), description: "neighbors of a point, at least 1" };
pub const METRIC: Parameter = Parameter {
    name: "metric",
    default: Default::Text("cosine"),
    description: "'cosine' (1 - cos), 'ip' (1 - inner product) or 'l2sq' (squared Euclidean)",
};
pub const METHOD: Parameter = Parameter {
    name: "method",
    default: Default::Text("auto"),
    description: "'exact', 'nn_descent' (approximate), 'hnsw' (approximate, with a usearch index) or 'auto': exact, but nn_descent where it is expected to be five times as fast, see knn_methods",
};
pub const ID: Parameter =
    Parameter { name: "id", default: Default::Text("id"), description: "column of the ids, unique and of any type" };
pub const EMBEDDING: Parameter = Parameter {
    name: "embedding",
    default: Default::Text("embedding"),
    description: "column of the embeddings: FLOAT[n], FLOAT[], DOUBLE[n] or DOUBLE[]",
};
pub const CONNECTIVITY: Parameter = Parameter {
    name: "connectivity",
    default: Default::Integer(16),
    description: "hnsw: neighbors of a node in the index, at least 2",
};
pub const EXPANSION_ADD: Parameter = Parameter {
    name: "expansion_add",
    default: Default::Integer(128),
    description: "hnsw: candidates looked at while a point is added, at least 1",
};
pub const EXPANSION_SEARCH: Parameter = Parameter {
    name: "expansion_search",
    default: Default::Integer(64),
    description: "hnsw: candidates looked at in a search, at least 1; never fewer than k + 1",
};
pub const PRECISION: Parameter = Parameter {
    name: "precision",
    default: Default::Text("f32"),
    description: "how the embeddings are kept: 'f32', 'f16' (half the memory) or 'i8' (a quarter), rounded; 'i8' with hnsw only for cosine",
};

pub fn metric(arguments: &Arguments<'_>) -> Result<Metric> {
    arguments.choice("metric", &[("cosine", Metric::Cosine), ("ip", Metric::Ip), ("l2sq", Metric::L2sq)])
}

pub fn precision(arguments: &Arguments<'_>) -> Result<Precision> {
    arguments.choice("precision", &[("f32", Precision::F32), ("f16", Precision::F16), ("i8", Precision::I8)])
}

pub fn plan(arguments: &Arguments<'_>, caller: Option<&str>) -> Result<KnnGraph> {
    let (metric, precision) = (metric(arguments)?, precision(arguments)?);
    let graph = KnnGraph {
        function: caller.unwrap_or(STAGE.name).into(),
        source: arguments.relation("source")?,
        queries: if caller.is_none() { arguments.optional_relation("queries")? } else { None },
        id: arguments.column("id")?,
        embedding: arguments.column("embedding")?,
        k: arguments.count("k", 1)?,
        metric,
        method: arguments.choice(
            "method",
            &[
                ("auto", Method::Auto),
                ("exact", Method::Exact),
                ("nn_descent", Method::NnDescent),
                ("hnsw", Method::Hnsw),
            ],
        )?,
        connectivity: arguments.count("connectivity", 2)?,
        expansion_add: arguments.count("expansion_add", 1)?,
        expansion_search: arguments.count("expansion_search", 1)?,
        precision,
        partition_by: None,
    };
    if !graph.options().takes(metric, precision) {
        return Err(arguments.error("precision := 'i8' needs metric := 'cosine'; use 'f16'"));
    }
    if graph.method == Method::NnDescent && graph.queries.is_some() {
        return Err(arguments.error("method := 'nn_descent' takes no queries; use 'exact' or 'hnsw'"));
    }
    Ok(graph)
}

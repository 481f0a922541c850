//! `knn_graph(source, ...)`, stage 1.

use std::ops::Range;

use crate::core::embeddings::Precision;
use crate::core::error::Error;
use crate::core::knn::{self, ABSENT, HnswOptions, KnnOptions, Method, Metric, Points};
use crate::core::sparse;
use crate::engine::limits::{Limits, bytes_text};
use crate::engine::prelude::*;
use crate::engine::values::{IdGraph, PointRows, PointSet};

pub static FUNCTION: Function = Function {
    name: "knn_graph",
    description: "The k nearest neighbors of each point by its embedding.",
    returns: "Returns src, dst, rank (1..k) and distance, nearest first; equal distances in order of dst.",
    parameters: &[
        &SOURCE,
        &K,
        &METRIC,
        &METHOD,
        &ID,
        &EMBEDDING,
        &QUERIES,
        &CONNECTIVITY,
        &EXPANSION_ADD,
        &EXPANSION_SEARCH,
        &PRECISION,
        &COPIES,
    ],
    examples: &[
        "FROM knn_graph('faces', k := 20)",
        "FROM knn_graph('faces', id := 'face_id', embedding := 'features', metric := 'l2sq')",
        "FROM knn_graph('faces', queries := 'new_faces', k := 5)",
    ],
    nested_example: Some("FROM transition_matrix(knn_graph('faces', k := 20))"),
    build: |call| {
        let queries = call.get(&QUERIES)?;
        build(call, queries).map(|graph| graph.node)
    },
};

pub const SOURCE: Parameter<RelationName> = Parameter {
    name: "source",
    default: DefaultValue::Required,
    takes: OF_POINTS,
    description: "name of a relation with one row a point: a table, view, CTE, file or DataFrame",
};
pub const K: Parameter<Count> = Parameter {
    name: "k",
    default: DefaultValue::Integer(knn::K as i32),
    takes: Count(1),
    description: "neighbors of a point, at least 1",
};
pub const METRIC: Parameter<Choice<Metric>> = Parameter {
    name: "metric",
    default: DefaultValue::Text("cosine"),
    takes: Choice(|| Metric::ALL.map(|metric| (metric.name(), metric, metric.meaning())).into()),
    description: "distance of two embeddings",
};
pub const METHOD: Parameter<Choice<Method>> = Parameter {
    name: "method",
    default: DefaultValue::Text("auto"),
    takes: Choice(|| Method::ALL.map(|method| (method.name(), method, method.meaning())).into()),
    description: "how neighbors are found, see knn_methods",
};
pub const ID: Parameter<ColumnName> = Parameter {
    name: "id",
    default: DefaultValue::Text("id"),
    takes: ColumnName,
    description: "column of the ids, unique and of any type",
};
pub const EMBEDDING: Parameter<ColumnName> = Parameter {
    name: "embedding",
    default: DefaultValue::Text("embedding"),
    takes: ColumnName,
    description: "column of the embeddings: lists or arrays of numbers, best FLOAT[n]",
};
const QUERIES: Parameter<OrNull<RelationName>> = Parameter {
    name: "queries",
    default: DefaultValue::Null,
    takes: OrNull(OF_POINTS),
    description: "relation of the points whose neighbors in source are wanted, with the same columns; a point is never its own neighbor. NULL: those of source",
};
pub const CONNECTIVITY: Parameter<Count> = Parameter {
    name: "connectivity",
    default: DefaultValue::Integer(knn::CONNECTIVITY as i32),
    takes: Count(2),
    description: "hnsw: neighbors of a node in the index, at least 2",
};
pub const EXPANSION_ADD: Parameter<Count> = Parameter {
    name: "expansion_add",
    default: DefaultValue::Integer(knn::EXPANSION_ADD as i32),
    takes: Count(1),
    description: "hnsw: candidates looked at while a point is added, at least 1",
};
pub const EXPANSION_SEARCH: Parameter<Count> = Parameter {
    name: "expansion_search",
    default: DefaultValue::Integer(knn::EXPANSION_SEARCH as i32),
    takes: Count(1),
    description: "hnsw: candidates looked at in a search, at least 1; never fewer than k + 1",
};
pub const PRECISION: Parameter<Choice<Precision>> = Parameter {
    name: "precision",
    default: DefaultValue::Text("f32"),
    takes: Choice(|| Precision::ALL.map(|precision| (precision.name(), precision, precision.meaning())).into()),
    description: "how the embeddings are kept, rounded; 'i8' with hnsw only for cosine",
};

pub const COPIES: Parameter<OrNull<Count>> = Parameter {
    name: "copies",
    default: DefaultValue::Null,
    takes: OrNull(Count(1)),
    description: "of rows with equal embeddings, how many are neighbors of others, at least 1: the first by id. NULL: all",
};

/// What graph to build of which embeddings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GraphOptions {
    pub knn: KnnOptions,
    pub metric: Metric,
    pub precision: Precision,
}

impl GraphOptions {
    /// Those of a call.
    pub fn of(call: &Call<'_>) -> Checked<Self> {
        let (metric, precision) = (call.get(&METRIC)?, call.get(&PRECISION)?);
        let knn = KnnOptions {
            k: call.get(&K)?,
            method: call.get(&METHOD)?,
            hnsw: HnswOptions {
                connectivity: call.get(&CONNECTIVITY)?,
                expansion_add: call.get(&EXPANSION_ADD)?,
                expansion_search: call.get(&EXPANSION_SEARCH)?,
            },
            copies: call.get(&COPIES)?,
        };
        if !knn.takes(metric, precision) {
            return Err(call.error("precision := 'i8' needs metric := 'cosine'; use 'f16'"));
        }
        Ok(Self { knn, metric, precision })
    }
}

/// The graph of a call, of `queries` where their relation is named.
pub fn build(call: &mut Call<'_>, queries: Option<String>) -> Checked<Input<IdGraph>> {
    let source = call.get(&SOURCE)?;
    let (id, embedding) = (call.column(&ID)?, call.column(&EMBEDDING)?);
    let options = GraphOptions::of(call)?;
    if options.knn.method == Method::NnDescent && queries.is_some() {
        return Err(call.error("method := 'nn_descent' takes no queries; use 'exact' or 'hnsw'"));
    }
    let reads = Reads::points(&id, &embedding, options.precision, None);
    let mut points = |argument, name| {
        let rows = call.read(argument, name, reads.clone());
        call.add(MetricPoints { rows, metric: options.metric })
    };
    let queries = queries.map(|name| points(QUERIES.name, name));
    let source = points(SOURCE.name, source);
    Ok(call.add(NearestNeighbors { source, queries, options }))
}

/// The graph of a relation by cosine that an argument names, for who takes no other options.
pub fn by_cosine(
    call: &mut Call<'_>,
    argument: &'static str,
    name: String,
    (id, embedding): (&str, &str),
    k: usize,
) -> (Input<PointSet>, Input<IdGraph>) {
    let knn = KnnOptions { k, ..Default::default() };
    let options = GraphOptions { knn, metric: Metric::Cosine, precision: Precision::F32 };
    let rows = call.read(argument, name, Reads::points(id, embedding, options.precision, None));
    let source = call.add(MetricPoints { rows, metric: options.metric });
    (source, call.add(NearestNeighbors { source, queries: None, options }))
}

/// Embeddings under a metric: what a graph is made of, and a model judges it by.
#[derive(Debug, PartialEq)]
struct MetricPoints {
    rows: Input<PointRows>,
    metric: Metric,
}

impl Operator for MetricPoints {
    type Output = PointSet;

    fn inputs(&self) -> Vec<usize> {
        vec![self.rows.node]
    }

    fn columns(&self) -> Vec<Column<PointSet>> {
        vec![]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<PointSet> {
        let (label, name) = (run.label(self.rows), run.relation(self.rows).name.clone());
        let PointRows { ids, embeddings } = run.take(self.rows)?;
        let points = Points::new(embeddings, self.metric, run.monitor).map_err(failed(&label, &ids))?;
        Ok(PointSet { ids, points, label, name })
    }
}

#[derive(Debug, PartialEq)]
struct NearestNeighbors {
    source: Input<PointSet>,
    queries: Option<Input<PointSet>>,
    options: GraphOptions,
}

impl Operator for NearestNeighbors {
    type Output = IdGraph;

    fn inputs(&self) -> Vec<usize> {
        self.queries.into_iter().chain([self.source]).map(|input| input.node).collect()
    }

    fn neighbors(&self) -> Option<usize> {
        Some(self.options.knn.k)
    }

    fn seconds(&self, extent: Extent) -> f64 {
        let [exact, descent] = knn::estimates(extent.points, extent.dim, self.options.knn.k);
        let estimate = if self.options.knn.method == knn::Method::NnDescent { descent } else { exact };
        estimate.seconds
    }

    fn columns(&self) -> Vec<Column<IdGraph>> {
        let dst = if self.queries.is_some() { Whose::Second } else { Whose::First };
        vec![
            id("src", Whose::First, |graph: &IdGraph, edges| {
                graph.edges(edges, |src, row, places| src.resize(src.len() + places.len(), row as u32))
            }),
            id("dst", dst, |graph: &IdGraph, edges| {
                graph.edges(edges, |dst, row, places| dst.extend_from_slice(&graph.graph.row(row).0[places]))
            }),
            integer("rank", |graph: &IdGraph, edges| {
                graph.edges(edges, |rank, _, places| rank.extend(places.start as i32 + 1..=places.end as i32))
            }),
            float("distance", |graph: &IdGraph, edges| {
                graph.edges(edges, |distance, row, places| distance.extend_from_slice(&graph.graph.row(row).1[places]))
            }),
        ]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<IdGraph> {
        let keeps = run.is_read_again(self.source);
        let base = run.value(self.source)?;
        let queries = self.queries.map(|queries| run.value(queries)).transpose()?;
        let about = |error| Failure::of(&base.label, error);
        let searches = queries.as_ref().map_or(base.points.len(), |queries| queries.points.len());
        let size = GraphSize {
            base: base.points.len(),
            queries: searches,
            has_queries: queries.is_some(),
            dim: base.points.dim(),
            threads: run.limits.threads,
        };
        let after = After { edge_bytes: run.edge_bytes(self), keeps };
        let what = || {
            let points = size.base + if size.has_queries { size.queries } else { 0 };
            format!("{points} embeddings of {} dimensions with k := {}", size.dim, self.options.knn.k)
        };
        let needs = |precision: Precision, k: usize| need(&self.options, precision, k, size, after);
        check_fits(&self.options, size.base, what, &run.limits, needs).map_err(about)?;
        let (monitor, options) = (run.monitor, &self.options.knn);
        let Some(queries) = queries else {
            let graph = knn::knn_graph(&base.points, options, monitor).map_err(failed(&base.label, &base.ids))?;
            return Ok(self.graph(graph, &base, &base, run));
        };
        if !queries.points.is_empty() && !base.points.is_empty() && queries.points.dim() != size.dim {
            let (found, expected) = (queries.points.dim(), size.dim);
            let name = &queries.name;
            return Err(about(Error::Input(format!(
                "the embeddings of queries \"{name}\" have {found} dimensions, those of source have {expected}"
            ))));
        }
        let same = queries.ids.numbers_in(&base.ids);
        let same: Vec<u32> = same.into_iter().map(|same| same.unwrap_or(ABSENT)).collect();
        let graph = knn::knn_queries(&base.points, &queries.points, &same, options, monitor);
        let graph = graph.map_err(failed(&queries.label, &queries.ids))?;
        Ok(self.graph(graph, &queries, &base, run))
    }
}

impl NearestNeighbors {
    fn graph(&self, graph: knn::KnnGraph, src: &PointSet, dst: &PointSet, run: &Run<'_>) -> IdGraph {
        let length = |row: usize| graph.row(row).0.len();
        let starts = if run.is_result(self) { sparse::starts(graph.len(), length) } else { vec![] };
        IdGraph { starts, src: src.ids.clone(), dst: dst.ids.clone(), label: dst.label.clone(), graph }
    }
}

impl IdGraph {
    /// A value of each of some edges: `extend` adds those of places in one row.
    fn edges<T: Clone>(&self, edges: Range<usize>, extend: impl Fn(&mut Vec<T>, usize, Range<usize>)) -> Values<'_, T> {
        let mut row = self.starts.partition_point(|&start| start <= edges.start).saturating_sub(1);
        let mut values = Vec::with_capacity(edges.len());
        while values.len() < edges.len() {
            let (start, end) = (self.starts[row], self.starts[row + 1].min(edges.end));
            let from = edges.start + values.len();
            extend(&mut values, row, from - start..end - start);
            row += 1;
        }
        Values::All(values.into())
    }
}

/// How large a graph is.
#[derive(Clone, Copy)]
pub struct GraphSize {
    pub base: usize,
    pub queries: usize,
    pub has_queries: bool,
    pub dim: usize,
    pub threads: usize,
}

/// What follows a graph.
#[derive(Clone, Copy)]
pub struct After {
    /// Bytes an edge, 0 if nothing does.
    pub edge_bytes: u64,
    /// Whether the points are still needed.
    pub keeps: bool,
}

/// Bytes of a graph with its points, or of what follows it if that takes more.
pub fn need(options: &GraphOptions, precision: Precision, k: usize, size: GraphSize, after: After) -> u64 {
    let GraphSize { base, queries, has_queries, dim, threads } = size;
    let of_queries = has_queries.then_some(queries);
    let points = (base + of_queries.unwrap_or(0)) as u64 * (precision.row_bytes(dim) as u64 + 8);
    let knn = KnnOptions { k, ..options.knn };
    let edges = queries as u64 * (k.min(base) as u64 + 1);
    let graph = points + knn.memory(precision, base, of_queries, dim, threads);
    let kept = if after.keeps { points } else { 0 };
    let after = if after.edge_bytes > 0 { edges * after.edge_bytes + queries as u64 * 32 + kept } else { 0 };
    graph.max(after)
}

/// Refuse work that does not fit, and say what would.
pub fn check_fits(
    options: &GraphOptions,
    base: usize,
    what: impl FnOnce() -> String,
    limits: &Limits,
    needs: impl Fn(Precision, usize) -> u64,
) -> Result<(), Error> {
    limits.reserve(what, needs(options.precision, options.knn.k), |left| {
        let fits = what_fits(options, base, |precision, k| Some(needs(precision, k)).filter(|&need| need <= left));
        if fits.is_empty() { String::new() } else { format!("{} would fit, or ", fits.join(" or ")) }
    })
}

/// What to ask for in place of a graph over `base` rows that does not fit, where `fitting` is the need
/// of what does: a coarser precision, a smaller k, or else both.
fn what_fits(options: &GraphOptions, base: usize, fitting: impl Fn(Precision, usize) -> Option<u64>) -> Vec<String> {
    let coarser = || {
        let coarser = Precision::ALL.into_iter().filter(|&precision| precision > options.precision);
        coarser.filter(|&precision| options.knn.takes(options.metric, precision))
    };
    let largest_k = |precision| (1..=options.knn.k.min(base)).rev().find(|&k| fitting(precision, k).is_some());
    let precision = coarser().find_map(|precision| {
        let need = bytes_text(fitting(precision, options.knn.k)?);
        Some(format!("precision := '{}' ({need})", precision.name()))
    });
    let k = largest_k(options.precision).map(|k| format!("k := {k}"));
    let both = || {
        let mut coarser = coarser();
        coarser.find_map(|precision| {
            Some(format!("precision := '{}' with k := {}", precision.name(), largest_k(precision)?))
        })
    };
    let one: Vec<String> = precision.into_iter().chain(k).collect();
    if one.is_empty() { both().into_iter().collect() } else { one }
}

/// The points of a graph, those of the rows first, for who judges its edges by their embeddings.
pub fn points_of(call: &Call<'_>, graph: Input<IdGraph>) -> (Vec<Input<PointSet>>, Option<Metric>) {
    let graph = call.operator::<NearestNeighbors>(graph);
    let points = graph.into_iter().flat_map(|graph| graph.queries.into_iter().chain([graph.source])).collect();
    (points, graph.map(|graph| graph.options.metric))
}

//! What operators hand to each other, and read of relations.

use std::fmt::Display;
use std::sync::Arc;

use super::failure::{Failure, Result, failed};
use super::ids::Ids;
use super::operator::{FromRows, Input, Run};
use super::relation::{Collected, CollectedColumn, CollectedKeys, Field, Null, Reads, RowKey, Sorted};
use super::table::{Column, Rows, Values, Whose, all, double, each, id};
use crate::core::cluster_tree;
use crate::core::embeddings::{EmbeddingRows, Embeddings};
use crate::core::error::Error;
use crate::core::knn::{KnnGraph, Points};
use crate::core::sparse::{self, Matrix};

/// That a point has no embedding.
pub fn no_embedding(id: &dyn Display) -> String {
    format!("id {id} has no row in source; every point needs an embedding")
}

/// Embeddings, in order of their ids.
#[derive(Clone)]
pub struct PointRows {
    pub ids: Arc<Ids>,
    pub embeddings: Embeddings,
}

impl PointRows {
    /// Of rows as they came.
    pub fn new(
        ids: Arc<Ids>,
        (rows, order): (EmbeddingRows, &[u32]),
        label: &str,
        run: &Run<'_>,
    ) -> Result<Self, Failure> {
        let in_order = |mut embeddings: Embeddings| embeddings.permute(order, run.monitor).map(|()| embeddings);
        let embeddings = rows.finish(run.monitor).and_then(in_order).map_err(failed(label, &ids))?;
        Ok(Self { ids, embeddings })
    }
}

impl FromRows for PointRows {
    fn from_rows(rows: Collected, label: &str, run: &Run<'_>) -> Result<Self> {
        let mut rows = Sorted::new(rows, label)?;
        Self::new(rows.ids.clone(), rows.embeddings(), label, run)
    }
}

/// Embeddings under a metric, with their ids, their relation and the call that reads it.
pub struct PointSet {
    pub ids: Arc<Ids>,
    pub points: Points,
    pub name: String,
    pub label: String,
}

impl Rows for PointSet {
    fn count(&self) -> usize {
        self.points.len()
    }
}

/// A k-NN graph with the ids of its rows and of its neighbors, and the call that makes it.
pub struct IdGraph {
    pub graph: KnnGraph,
    pub src: Arc<Ids>,
    pub dst: Arc<Ids>,
    pub label: String,
    /// Where the edges of each row start, where they are the result.
    pub starts: Vec<usize>,
}

impl Rows for IdGraph {
    fn count(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    fn ids(&self) -> Vec<Arc<Ids>> {
        vec![self.src.clone(), self.dst.clone()]
    }
}

/// A graph with a row for every point that an edge names, as if it were a stored table.
pub enum WholeGraph {
    Same(Arc<IdGraph>),
    Renumbered { graph: KnnGraph, ids: Arc<Ids>, label: String },
}

impl WholeGraph {
    pub fn new(graph: Arc<IdGraph>) -> Self {
        if Arc::ptr_eq(&graph.src, &graph.dst) {
            return Self::Same(graph);
        }
        let IdGraph { graph, src, dst, label, .. } = &*graph;
        let mut used = vec![false; dst.len()];
        (0..graph.len()).flat_map(|row| graph.row(row).0).for_each(|&j| used[j as usize] = true);
        let (all, src, dst) = Ids::union(src, dst, &used);
        let graph = graph.renumber(all.len(), &src, &dst);
        Self::Renumbered { graph, ids: Arc::new(all), label: label.clone() }
    }

    pub fn graph(&self) -> &KnnGraph {
        match self {
            Self::Same(graph) => &graph.graph,
            Self::Renumbered { graph, .. } => graph,
        }
    }

    pub fn ids(&self) -> &Arc<Ids> {
        match self {
            Self::Same(graph) => &graph.src,
            Self::Renumbered { ids, .. } => ids,
        }
    }

    pub fn label(&self) -> &str {
        match self {
            Self::Same(graph) => &graph.label,
            Self::Renumbered { label, .. } => label,
        }
    }
}

/// What is taken as a graph: a nested one, or a relation of edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GraphInput {
    Stage(Input<IdGraph>),
    Relation(Input<Edges>),
}

impl GraphInput {
    pub fn node(&self) -> usize {
        match self {
            Self::Stage(input) => input.node,
            Self::Relation(input) => input.node,
        }
    }
}

/// A matrix with the ids of its points and the call that made it.
#[derive(Clone)]
pub struct Edges {
    pub matrix: Arc<Matrix>,
    pub ids: Arc<Ids>,
    pub label: String,
    /// Whether the values are similarities, where they may be.
    pub similarity: bool,
}

impl Edges {
    pub fn new(matrix: Matrix, ids: Arc<Ids>, label: String) -> Self {
        Self { matrix: Arc::new(matrix), ids, label, similarity: false }
    }

    pub fn failed(&self) -> impl Fn(Error) -> Failure + use<> {
        failed(&self.label, &self.ids)
    }

    /// What is read of edges with a value each.
    pub fn reads(value: Field, made_by: &'static str) -> Reads {
        Reads::by_ends(made_by, vec![value])
    }

    /// What is read of edges with a distance each.
    pub fn reads_distances(made_by: &'static str) -> Reads {
        Self::reads(Field::Number { column: "distance", null: MISSING_VALUE }, made_by)
    }

    /// The edges that an input gives, as its reader knows them.
    pub fn of(run: &mut Run<'_>, input: Input<Self>) -> Result<Self> {
        let edges = run.take(input)?;
        Ok(Self { label: run.label_or(input, edges.label), ..edges })
    }
}

/// Bytes an edge of P, and of its links with the clusters of them.
pub fn tree_bytes() -> u64 {
    12 + cluster_tree::memory(1)
}

/// `src`, `dst` and the value of each of the edges that a result has.
pub fn edge_columns<O: 'static>(value: &str, edges: fn(&O) -> &Edges) -> Vec<Column<O>> {
    vec![
        id("src", Whose::First, move |output, rows| {
            let starts = edges(output).matrix.indptr();
            let starts = starts.raw_storage();
            let mut row = starts.partition_point(|&start| start <= rows.start).saturating_sub(1);
            let mut src = Vec::with_capacity(rows.len());
            while src.len() < rows.len() {
                src.resize(starts[row + 1].min(rows.end) - rows.start, row as u32);
                row += 1;
            }
            Values::All(src.into())
        }),
        id("dst", Whose::First, move |output, rows| all(&edges(output).matrix.indices()[rows])),
        double(value, move |output, rows| all(&edges(output).matrix.data()[rows])),
    ]
}

/// An edge without a value is none.
const MISSING_VALUE: Null<f64> = Null::Refuse("leave the row out");

/// A probability of each edge.
pub const PROBABILITY: Field = Field::Number { column: "probability", null: MISSING_VALUE };

/// Where a graph, a transition matrix and the like come from.
pub const MADE_BY_KNN_GRAPH: &str = "a graph is made by knn_graph(...)";
pub const MADE_BY_TRANSITION_MATRIX: &str = "a transition matrix is made by transition_matrix(...)";
pub const MADE_BY_TPDI: &str = "distances are made by tpdi(...)";
pub const MADE_BY_DPC: &str = "clusters are made by dpc_cluster(...) or cluster_embeddings(...)";

impl Rows for Edges {
    fn count(&self) -> usize {
        self.matrix.nnz()
    }

    fn ids(&self) -> Vec<Arc<Ids>> {
        vec![self.ids.clone()]
    }
}

impl FromRows for Edges {
    fn from_rows(rows: Collected, label: &str, run: &Run<'_>) -> Result<Self> {
        let count = rows.len();
        let CollectedKeys::Ends { ids, mut src, mut dst } = rows.keys else {
            unreachable!("the relation has a row an edge")
        };
        let (values, similarity) = match rows.columns.into_iter().next() {
            Some(CollectedColumn::Numbers(values)) => (values, false),
            Some(CollectedColumn::Strengths { values, similarity }) => (values, similarity),
            _ => unreachable!("an edge has a value"),
        };
        // As they were collected, sorted and as a matrix; or that and what is made of it.
        let need = count as u64 * run.most_edge_bytes().max(44);
        run.limits.check(label, || format!("{count} edges"), need + ids.memory(), "")?;
        let (ids, places) = ids.sorted();
        src.iter_mut().chain(&mut dst).for_each(|end| *end = places[*end as usize]);
        let ids = Arc::new(ids);
        let matrix = sparse::from_edges(ids.len(), &src, &dst, &values, run.monitor).map_err(failed(label, &ids))?;
        Ok(Self { similarity, ..Self::new(matrix, ids, label.into()) })
    }
}

/// The density of each point, and the call that gave it.
#[derive(Clone)]
pub struct Densities {
    pub values: Vec<f64>,
    pub ids: Arc<Ids>,
    /// `None` if a stage gave them.
    pub label: Option<String>,
}

impl Densities {
    /// `id` and `density`.
    pub fn columns() -> Vec<Column<Self>> {
        vec![
            id("id", Whose::First, |_: &Self, rows| each(rows, |row| row as u32)),
            double("density", |densities: &Self, rows| all(&densities.values[rows])),
        ]
    }

    pub fn reads() -> Reads {
        let made_by = "densities are made by ndde(...)";
        let density = Field::Number { column: "density", null: Null::Refuse("every point needs one") };
        let key = RowKey::Id { column: "id".into(), hint: "" };
        Reads { key, fields: vec![density], made_by, has_all_points: true }
    }
}

impl Rows for Densities {
    fn count(&self) -> usize {
        self.values.len()
    }

    fn ids(&self) -> Vec<Arc<Ids>> {
        vec![self.ids.clone()]
    }
}

impl FromRows for Densities {
    fn from_rows(rows: Collected, label: &str, _: &Run<'_>) -> Result<Self> {
        let mut rows = Sorted::new(rows, label)?;
        Ok(Self { values: rows.numbers(), ids: rows.ids, label: Some(label.into()) })
    }
}

/// Labels of a relation, numbered, in order of their ids.
pub struct Labels {
    ids: Arc<Ids>,
    numbers: Vec<Option<u32>>,
    label: String,
}

impl Labels {
    pub fn reads(id: &str, label: String) -> Reads {
        let hint = "name the column of labels with label := '...'";
        Reads::by_id(id, "", vec![Field::Label { columns: vec![label], hint }])
    }

    /// The label of each of these points.
    pub fn of(&self, ids: &Ids) -> Result<Vec<Option<u32>>> {
        let places = ids.numbers_in(&self.ids);
        if ids.len() > 0 && self.ids.len() > 0 && places.iter().all(Option::is_none) {
            let error = "none of the ids of labels is an id of density; name their column with id := '...'";
            return Err(Failure::of(&self.label, Error::Input(error.into())));
        }
        Ok(places.into_iter().map(|place| self.numbers[place? as usize]).collect())
    }
}

impl FromRows for Labels {
    fn from_rows(rows: Collected, label: &str, _: &Run<'_>) -> Result<Self> {
        let mut rows = Sorted::new(rows, label)?;
        let (_, numbers) = rows.labels();
        Ok(Self { ids: rows.ids, numbers, label: label.into() })
    }
}

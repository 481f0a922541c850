//! `transition_matrix(graph, ...)`, stage 2.

use std::sync::Arc;

use super::both_ways::{BothWays, UNDIRECTED};

use super::knn_graph::{EMBEDDING, ID, points_of};
use super::pairs::{self, GivenPairs, UnknownIds};
use super::separated;
use crate::core::calibration::{self, Calibration};
use crate::core::embeddings::Precision;
use crate::core::error::Error;
use crate::core::knn::{Metric, Points};
use crate::core::row::Row;
use crate::core::similarity::{self, Kernel};
use crate::core::transition;
use crate::engine::models::{ModelFile, message};
use crate::engine::prelude::*;
use crate::engine::values::{
    Edges, GraphInput, MADE_BY_KNN_GRAPH, PointRows, PointSet, WholeGraph, edge_columns, no_embedding,
};
use crate::model::Neighborhoods;

pub static FUNCTION: Function = Function {
    name: "transition_matrix",
    description: "The probability of a step from each point to itself and to each neighbor: its similarity, divided by the row's sum.",
    returns: "Returns src, dst and probability, the point itself included; the probabilities of a src sum to 1.",
    parameters: &[
        &GRAPH,
        &KERNEL,
        &SIGMA,
        &MODEL,
        &SOURCE,
        &ID,
        &EMBEDDING,
        &UNDIRECTED,
        &MUST_LINK,
        &CANNOT_LINK,
        &UNKNOWN_IDS,
    ],
    examples: &[
        "FROM transition_matrix('g')",
        "FROM transition_matrix('g', source := 'faces', model := 'similarity.onnx')",
        "FROM transition_matrix(knn_graph('faces', k := 20), kernel := 'exp', sigma := 0.1)",
    ],
    nested_example: Some("FROM ndde(transition_matrix('g', sigma := 0.08))"),
    build: |call| {
        let given = call.get(&GRAPH)?;
        let (kernel, undirected) = (KernelChoice::of(call)?, call.get(&UNDIRECTED)?);
        let graph = match given {
            StageOrName::Stage(_) if undirected == Some(true) => {
                return Err(call.error(
                    "undirected := true is for a relation of edges, not for knn_graph(...); store the graph in a table",
                ));
            }
            StageOrName::Stage(stage) => GraphInput::Stage(call.stage(&GRAPH, stage)?),
            StageOrName::Relation(name) => {
                let strength = Field::Strength { distances_only: kernel.distances_only };
                let edges = call.read(GRAPH.name, name, Edges::reads(strength, MADE_BY_KNN_GRAPH));
                GraphInput::Relation(call.add(BothWays { edges, undirected }))
            }
        };
        let source = call.get(&SOURCE)?;
        let transition = build(call, graph, kernel, source)?;
        let pairs = GivenPairs::of(call)?;
        Ok(separated::build(call, graph, transition, pairs).node)
    },
};

const MUST_LINK: Parameter<OrNull<RelationName>> = Parameter {
    description: "name of a relation with src and dst: pairs that share a cluster, which say how far a pair of cannot_link reaches. NULL: none",
    ..pairs::MUST_LINK
};
const UNKNOWN_IDS: Parameter<Choice<UnknownIds>> =
    Parameter { description: "what ids of no point mean in must_link and cannot_link", ..pairs::UNKNOWN_IDS };
const CANNOT_LINK: Parameter<OrNull<RelationName>> = Parameter {
    description: "name of a relation with src and dst: pairs that do not share a cluster; no step is left between what is near to one and what is near to the other. NULL: none",
    ..pairs::CANNOT_LINK
};
const GRAPH: Parameter<StageOrRelation> = Parameter {
    name: "graph",
    default: DefaultValue::Required,
    takes: StageOrRelation { function: "knn_graph", columns: "src, dst, and distance or similarity" },
    description: "knn_graph(...), or name of a relation with src, dst, and distance or similarity",
};
pub const KERNEL: Parameter<Choice<KernelName>> = Parameter {
    name: "kernel",
    default: DefaultValue::Text("auto"),
    takes: Choice(|| {
        vec![
            ("auto", KernelName::Auto, "linear for a given similarity or a model, else exp"),
            ("linear", KernelName::Linear, "1 - distance, or the similarity as given"),
            ("exp", KernelName::Exp, "exp(-distance / sigma)"),
        ]
    }),
    description: "similarity of two neighbors",
};
pub const SIGMA: Parameter<OrAuto> = Parameter {
    name: "sigma",
    default: DefaultValue::Number(similarity::SIGMA),
    takes: OrAuto(Number {
        is: "a number above 0",
        range: "a finite number above 0",
        valid: |sigma| sigma > 0.0 && sigma.is_finite(),
    }),
    description: "scale of kernel 'exp', above 0; or 'auto': in its place the kernel that the graph's own distances call for",
};
pub const MODEL: Parameter<OrNull<Path>> = Parameter {
    name: "model",
    default: DefaultValue::Null,
    takes: OrNull(Path),
    description: "path of an ONNX file: a learned model gives the similarities, in place of the distances",
};
const SOURCE: Parameter<OrNull<RelationName>> = Parameter {
    name: "source",
    default: DefaultValue::Null,
    takes: OrNull(OF_POINTS),
    description: "with a model over a stored graph: name of the relation with one row a point that has the embeddings. NULL: those of knn_graph(...)",
};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KernelName {
    Auto,
    Linear,
    Exp,
}

/// What `kernel` and `sigma` ask for together: of distances; given similarities are taken as they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelChoice {
    /// `None`: the one that the graph's distances call for.
    pub kernel: Option<Kernel>,
    /// Whether given similarities are not taken.
    distances_only: bool,
}

impl KernelChoice {
    /// That of a call.
    pub fn of(call: &Call<'_>) -> Checked<Self> {
        let (name, sigma) = (call.get(&KERNEL)?, call.get(&SIGMA)?);
        let kernel = match name {
            KernelName::Linear => Some(Kernel::Linear),
            KernelName::Auto | KernelName::Exp => sigma.map(|sigma| Kernel::Exp { sigma }),
        };
        Ok(Self { kernel, distances_only: name == KernelName::Exp })
    }
}

/// The transition matrix of a call over a graph, by a model where one is named.
pub fn build(
    call: &mut Call<'_>,
    graph: GraphInput,
    kernel: KernelChoice,
    source: Option<String>,
) -> Checked<Input<Edges>> {
    let Some(path) = call.get(&MODEL)? else {
        if source.is_some() {
            return Err(call.error("source is for a model alone; leave it out, or set model := '...'"));
        }
        return Ok(call.add(Transition { graph, kernel: kernel.kernel }));
    };
    if kernel.distances_only {
        return Err(call.error("kernel := 'exp' is for distances, but a model gives similarities; leave it out"));
    }
    let (id, embedding) = (call.column(&ID)?, call.column(&EMBEDDING)?);
    let (features, sources, metric) = match (source, graph) {
        (Some(name), _) => {
            let reads = Reads::points(&id, &embedding, Precision::F32, None);
            let rows = call.read(SOURCE.name, name, reads);
            (Features::Rows(rows), vec![rows.node], graph_metric(call, graph))
        }
        (None, GraphInput::Stage(graph)) => {
            let (points, metric) = points_of(call, graph);
            (Features::Points(points), call.sources(graph.node), metric)
        }
        (None, GraphInput::Relation(_)) => {
            return Err(
                call.error("a model needs the embeddings; name the relation that has them with source := '...'")
            );
        }
    };
    let model = ModelFile { function: call.name(), path, sources, metric };
    // The paper takes the probability as it is.
    let calibrated = kernel.kernel.is_none();
    Ok(call.add(LearnedTransition { graph, features, model, calibrated }))
}

/// The transition matrix over a graph by the kernel that its distances call for.
pub fn calibrated(call: &mut Call<'_>, graph: GraphInput) -> Input<Edges> {
    call.add(Transition { graph, kernel: None })
}

fn graph_metric(call: &Call<'_>, graph: GraphInput) -> Option<Metric> {
    match graph {
        GraphInput::Stage(graph) => points_of(call, graph).1,
        GraphInput::Relation(_) => None,
    }
}

fn columns() -> Vec<Column<Edges>> {
    edge_columns("probability", |edges| edges)
}

/// P by a kernel.
#[derive(Debug, PartialEq)]
struct Transition {
    graph: GraphInput,
    kernel: Option<Kernel>,
}

impl Operator for Transition {
    type Output = Edges;

    fn inputs(&self) -> Vec<usize> {
        vec![self.graph.node()]
    }

    fn columns(&self) -> Vec<Column<Edges>> {
        columns()
    }

    fn edge_bytes(&self) -> u64 {
        edge_bytes(self.kernel)
    }

    fn seconds(&self, extent: Extent) -> f64 {
        extent.edges as f64 * if self.kernel.is_some() { 2e-8 } else { 2e-6 }
    }

    fn run(&self, run: &mut Run<'_>) -> Result<Edges> {
        Ok(transition(self.graph, self.kernel, run)?.1)
    }
}

/// Bytes an edge of what follows a graph: P, or what finds a kernel, which is the graph, P, the distances in order,
/// those between clusters, and the links of the communities.
pub fn edge_bytes(kernel: Option<Kernel>) -> u64 {
    if kernel.is_some() { GIVEN_BYTES } else { FOUND_BYTES }
}

const GIVEN_BYTES: u64 = 36;
const FOUND_BYTES: u64 = 88;

/// P by a kernel, or by the one that the distances call for, with what they call for: that kernel.
pub fn transition(graph: GraphInput, kernel: Option<Kernel>, run: &mut Run<'_>) -> Result<(Calibration, Edges)> {
    let monitor = run.monitor;
    let by = |kernel: Kernel, matrix| (Calibration::Kernel(kernel), matrix);
    match graph {
        GraphInput::Stage(graph) => {
            let graph = WholeGraph::new(run.value(graph)?);
            let found = match kernel {
                Some(kernel) => transition::from_graph(graph.graph(), kernel, monitor).map(|matrix| by(kernel, matrix)),
                None => calibration::of_graph(graph.graph(), monitor),
            };
            let (kernel, matrix) = found.map_err(failed(graph.label(), graph.ids()))?;
            Ok((kernel, Edges::new(matrix, graph.ids().clone(), graph.label().into())))
        }
        GraphInput::Relation(edges) => {
            let edges = Edges::of(run, edges)?;
            let found = match (edges.similarity, kernel) {
                (true, _) => {
                    transition::from_similarities(&edges.matrix, monitor).map(|matrix| by(Kernel::Linear, matrix))
                }
                (false, Some(kernel)) => {
                    transition::from_distances(&edges.matrix, kernel, monitor).map(|matrix| by(kernel, matrix))
                }
                (false, None) => calibration::of_distances(&edges.matrix, monitor),
            };
            let (kernel, matrix) = found.map_err(edges.failed())?;
            Ok((kernel, Edges::new(matrix, edges.ids, edges.label)))
        }
    }
}

/// The embeddings that a model is given.
#[derive(Debug, PartialEq)]
enum Features {
    /// Those that the graph was made of, of the rows first.
    Points(Vec<Input<PointSet>>),
    Rows(Input<PointRows>),
}

/// P by a learned model.
#[derive(Debug, PartialEq)]
struct LearnedTransition {
    graph: GraphInput,
    features: Features,
    model: ModelFile,
    /// Whether the kernel that the graph calls for is put on the probabilities.
    calibrated: bool,
}

impl Operator for LearnedTransition {
    type Output = Edges;

    fn inputs(&self) -> Vec<usize> {
        let features = match &self.features {
            Features::Points(points) => points.iter().map(|input| input.node).collect(),
            Features::Rows(rows) => vec![rows.node],
        };
        std::iter::once(self.graph.node()).chain(features).collect()
    }

    fn columns(&self) -> Vec<Column<Edges>> {
        columns()
    }

    fn model(&self) -> Option<&ModelFile> {
        Some(&self.model)
    }

    fn edge_bytes(&self) -> u64 {
        if self.calibrated { FOUND_BYTES } else { GIVEN_BYTES }
    }

    fn seconds(&self, extent: Extent) -> f64 {
        // A small Transformer over each point's neighbors.
        extent.points as f64 * 4e-3
    }

    fn run(&self, run: &mut Run<'_>) -> Result<Edges> {
        let model = run.models.get(&self.model);
        let (neighborhoods, ids, label) = match self.graph {
            GraphInput::Stage(graph) => {
                let graph = WholeGraph::new(run.value(graph)?);
                (Neighborhoods::of_graph(graph.graph()), graph.ids().clone(), graph.label().to_owned())
            }
            GraphInput::Relation(edges) => {
                let edges = Edges::of(run, edges)?;
                let of = if edges.similarity { Neighborhoods::of_similarities } else { Neighborhoods::of_distances };
                (of(&edges.matrix), edges.ids, edges.label)
            }
        };
        let points = self.points(model.contract().metric, run)?;
        let points = PointsOfIds::new(&ids, points, failed(&label, &ids))?;
        let matrix = model.transition(neighborhoods, |point| points.row(point), run.monitor);
        let matrix = matrix.map_err(|error| match error {
            Error::Model(_) | Error::Memory(_) => Failure::said(message(&self.model, &error)),
            other => failed(&label, &ids)(other),
        })?;
        let matrix = match self.calibrated {
            true => calibration::of_similarities(&matrix, run.monitor).map_err(failed(&label, &ids))?.1,
            false => matrix,
        };
        Ok(Edges::new(matrix, ids, label))
    }
}

impl LearnedTransition {
    /// The embeddings, as the metric sees them.
    fn points(&self, metric: Metric, run: &mut Run<'_>) -> Result<Vec<Arc<PointSet>>> {
        match &self.features {
            Features::Points(points) => points.iter().map(|&points| run.value(points)).collect(),
            Features::Rows(rows) => {
                let (label, name) = (run.label(*rows), run.relation(*rows).name.clone());
                let PointRows { ids, embeddings } = run.take(*rows)?;
                let points = Points::new(embeddings, metric, run.monitor).map_err(failed(&label, &ids))?;
                Ok(vec![Arc::new(PointSet { ids, points, name, label })])
            }
        }
    }
}

/// What a model is given of each point.
struct PointsOfIds {
    points: Vec<Arc<PointSet>>,
    /// Which of the `points`, and which row there; `None` if it is the point's own number.
    places: Option<Vec<(u32, u32)>>,
}

impl PointsOfIds {
    /// Of points with these ids; the first that has a point counts.
    fn new(ids: &Arc<Ids>, points: Vec<Arc<PointSet>>, failed: impl Fn(Cause) -> Failure) -> Result<Self> {
        let places = match &*points {
            [own] if Arc::ptr_eq(&own.ids, ids) => None,
            _ => {
                let numbers: Vec<_> = points.iter().map(|own| ids.numbers_in(&own.ids)).collect();
                let place = |row: usize| {
                    let found = numbers.iter().zip(0..).find_map(|(numbers, at)| Some((at, numbers[row]?)));
                    found.ok_or(Cause::Point(row as u32, no_embedding))
                };
                Some((0..ids.len()).map(place).collect::<Result<_, _>>().map_err(failed)?)
            }
        };
        Ok(Self { points, places })
    }

    fn row(&self, point: u32) -> Row<'_> {
        let (at, row) = self.places.as_ref().map_or((0, point), |places| places[point as usize]);
        self.points[at as usize].points.row(row as usize)
    }
}

//! A plan carried out on collected relations, with the stages of the core. What two stages share
//! is computed once.

mod assign;
mod clusters;
mod constrained;
mod graph;
mod learned;
mod methods;
mod partitions;
mod peaks;
mod training;

use std::sync::Arc;

pub use assign::AssignedRow;
pub use clusters::{MergeRow, SplitRow, SummaryRow};
pub use constrained::Clusters;
use graph::Graph;
pub use training::Trained;

use super::collect::Collected;
use super::ids::{IdColumn, Ids};
use super::job::Failure;
use super::memory::{Limits, bytes_text};
use super::models::Models;
use super::plan::{Input, KernelName, KnnGraph, LearnedModel, Ndde, Plan, TransitionMatrix};
use super::sql::Relation;
use crate::core::calibration::{kernel_of_distances, kernel_of_graph};
use crate::core::dpc::Candidates;
use crate::core::embeddings::{Embeddings, Precision};
use crate::core::error::{Error, PointProblem};
use crate::core::knn::{self, ABSENT, Points};
use crate::core::monitor::Monitor;
use crate::core::ndde::{NddeOptions, ndde};
use crate::core::similarity::Kernel;
use crate::core::sparse::{self, Matrix};
use crate::core::sweep::TauRow;
use crate::core::{tpdi, transition};

type Result<T, E = Failure> = std::result::Result<T, E>;

/// The result of a plan.
pub struct Output {
    /// Whose ids the id columns number: the first column's, and the second's where they differ.
    pub ids: Vec<Arc<Ids>>,
    pub table: Table,
}

/// A relation's rows.
pub struct Rows {
    pub rows: Collected,
    /// Whether edges carry a similarity, not a distance.
    pub similarity: bool,
}

/// A result that is not yet rows.
pub enum Table {
    Graph {
        graph: Arc<knn::KnnGraph>,
        starts: Vec<usize>,
    },
    Edges(Arc<Matrix>),
    Densities(Vec<f64>),
    Clusters(Clusters),
    Assigned(Vec<AssignedRow>),
    /// The cluster of each point.
    Groups(Vec<u32>),
    Sweep(Vec<TauRow>),
    /// What `'auto'` stands for.
    Parameters {
        kernel: Kernel,
        tau: f64,
    },
    Summary(Vec<SummaryRow>),
    Merges(Vec<MergeRow>),
    Splits(Vec<SplitRow>),
    Trained(Trained),
    /// Rows of the points in `order`.
    Decision {
        order: Vec<u32>,
        density: Vec<f64>,
        delta: Vec<f64>,
        candidates: Candidates,
    },
}

impl Table {
    pub fn rows(&self) -> usize {
        match self {
            Self::Graph { starts, .. } => starts.last().copied().unwrap_or(0),
            Self::Edges(matrix) => matrix.nnz(),
            Self::Densities(densities) => densities.len(),
            Self::Clusters(clusters) => clusters.clustering.len(),
            Self::Assigned(rows) => rows.len(),
            Self::Groups(clusters) => clusters.len(),
            Self::Sweep(rows) => rows.len(),
            Self::Parameters { .. } => 1,
            Self::Decision { order, .. } => order.len(),
            Self::Summary(rows) => rows.len(),
            Self::Merges(rows) => rows.len(),
            Self::Splits(rows) => rows.len(),
            Self::Trained(trained) => trained.epochs.len(),
        }
    }
}

/// Run a plan on its relations, which are in the order of [`super::sql::relations`].
pub fn run(
    plan: &Plan,
    relations: &[Relation],
    inputs: Vec<Rows>,
    limits: Limits,
    models: Models,
    monitor: &Monitor,
) -> Result<Output> {
    let similar = relations.iter().zip(&inputs).filter(|(_, rows)| rows.similarity);
    let similar = similar.map(|(relation, _)| relation.clone()).collect();
    let relations = relations.iter().cloned().zip(inputs.into_iter().map(|rows| Some(rows.rows))).collect();
    let mut run = Run {
        relations,
        similar,
        limits,
        learned: plan.learned().into_iter().map(|(stage, model)| (stage.clone(), model.clone())).collect(),
        models,
        monitor,
        whole: !matches!(plan, Plan::KnnGraph(_)),
        calibrates: plan.calibrates(),
        graphs: vec![],
        readers: vec![],
        sources: vec![],
        points: vec![],
        known_graphs: vec![],
        given: vec![],
        transitions: vec![],
    };
    run.foresee(plan, &mut Vec::new());
    if !run.models.is_empty() {
        run.monitor.part(0.0..learned::GRAPH);
        run.check_models(plan)?;
    }
    run.stage(plan)
}

/// A matrix with the ids of its points and the call that made it.
#[derive(Clone)]
struct Edges {
    matrix: Arc<Matrix>,
    ids: Arc<Ids>,
    label: String,
}

impl Edges {
    fn failed(&self) -> impl Fn(Error) -> Failure + use<> {
        failed(&self.label, &self.ids)
    }
}

struct Run<'a> {
    relations: Vec<(Relation, Option<Collected>)>,
    /// The relations whose edges carry a similarity.
    similar: Vec<Relation>,
    limits: Limits,
    /// The stages with a model, and the models.
    learned: Vec<(TransitionMatrix, LearnedModel)>,
    models: Models,
    monitor: &'a Monitor,
    /// Whether stages follow the graph.
    whole: bool,
    /// Whether one of them finds a kernel from the graph's distances.
    calibrates: bool,
    /// The graphs and the edges of relations still to be asked for, each as often as it will be.
    graphs: Vec<KnnGraph>,
    readers: Vec<Relation>,
    /// Likewise the sources of models.
    sources: Vec<Relation>,
    /// What is asked for again.
    points: Vec<(Relation, Arc<Ids>, Embeddings)>,
    known_graphs: Vec<(KnnGraph, Graph)>,
    given: Vec<(Relation, Edges)>,
    transitions: Vec<(Input, Edges)>,
}

fn failed(label: &str, ids: &Arc<Ids>) -> impl Fn(Error) -> Failure + use<> {
    let (label, ids) = (label.to_owned(), ids.clone());
    move |error| Failure { label: Some(label.clone()), error, ids: Some(ids.clone()) }
}

impl Run<'_> {
    fn stage(&mut self, plan: &Plan) -> Result<Output> {
        let (ids, table) = match plan {
            Plan::KnnGraph(graph) => {
                let Graph { graph, src, dst, .. } = self.graph(graph)?;
                let starts = sparse::starts(graph.len(), |row| graph.row(row).0.len());
                (vec![src, dst], Table::Graph { graph, starts })
            }
            Plan::TransitionMatrix(stage) => {
                let edges = self.new_transition(stage, plan)?;
                (vec![edges.ids], Table::Edges(edges.matrix))
            }
            Plan::AutoParameters(stage) => (vec![], self.auto_parameters(plan, stage)?),
            Plan::Ndde(stage) => {
                let (densities, ids) = self.densities(stage, plan)?;
                (vec![ids], Table::Densities(densities))
            }
            Plan::Tpdi(stage) => {
                let edges = self.distances(&stage.transition, plan, None)?;
                (vec![edges.ids], Table::Edges(edges.matrix))
            }
            Plan::DpcCluster(stage) => self.dpc(plan, stage)?,
            Plan::TauSweep(stage) => (vec![], self.sweep(plan, stage)?),
            Plan::DecisionGraph(stage) => {
                let peaks = self.peaks(plan, (&stage.density, 0), (&stage.distance, 1))?;
                (vec![peaks.ids()], peaks.decision_graph(self.monitor)?)
            }
            Plan::ClusterSummary(_) => self.summary(plan)?,
            Plan::SuggestMerges(stage) => self.merges(plan, stage)?,
            Plan::SuggestSplits(stage) => self.splits(plan, stage)?,
            Plan::AssignClusters(stage) => self.assign(plan, stage)?,
            Plan::ClusterWith(stage) => self.cluster_with(plan, stage)?,
            Plan::KmeansCluster(stage) => self.kmeans(plan, stage)?,
            Plan::TrainSimilarity(stage) => (vec![], self.train(plan, stage)?),
        };
        Ok(Output { ids, table })
    }

    /// Count what each distinct stage will ask for.
    fn foresee(&mut self, plan: &Plan, seen: &mut Vec<Plan>) {
        if let Plan::KnnGraph(graph) = plan {
            return self.graphs.push(graph.clone());
        }
        if seen.contains(plan) {
            return;
        }
        seen.push(plan.clone());
        self.readers.extend(Relation::read_by(plan).into_iter().flatten());
        if let Plan::TransitionMatrix(TransitionMatrix { model: Some(model), .. }) = plan
            && model.source.is_some()
        {
            self.sources.push(read_by(plan, 1));
        }
        for input in plan.inputs() {
            if let Input::Stage(stage) = input {
                self.foresee(stage, seen);
            }
        }
    }

    fn take(&mut self, relation: &Relation) -> Collected {
        let found = self.relations.iter_mut().find(|(other, _)| other.same(relation));
        found.and_then(|(_, rows)| rows.take()).expect("every relation is collected, and taken once")
    }

    fn graph(&mut self, stage: &KnnGraph) -> Result<Graph> {
        if let Some(asked) = self.graphs.iter().position(|graph| graph == stage) {
            self.graphs.swap_remove(asked);
        }
        let known = self.known_graphs.iter().position(|known| known.0 == *stage);
        let graph = match known {
            Some(known) => self.known_graphs.swap_remove(known).1,
            None => self.new_graph(stage)?,
        };
        if self.graphs.contains(stage) {
            self.known_graphs.push((stage.clone(), graph.clone()));
        }
        Ok(graph)
    }

    fn new_graph(&mut self, stage: &KnnGraph) -> Result<Graph> {
        let relation = Relation::points(stage);
        let label = relation.label();
        let (ids, base) = self.points(&relation, Some(stage))?;
        let queries = Relation::queries(stage).map(|relation| self.points(&relation, Some(stage))).transpose()?;
        let searches = queries.as_ref().map_or(base.len(), |queries| queries.1.len());
        self.check_memory(stage, base.len(), searches, base.dim()).map_err(|error| Failure {
            label: Some(label.clone()),
            error,
            ids: None,
        })?;
        if let Some((_, queries)) = queries.as_ref().filter(|(_, queries)| !queries.is_empty() && !base.is_empty())
            && queries.dim() != base.dim()
        {
            let (name, found, expected) = (stage.queries.as_deref().unwrap_or(""), queries.dim(), base.dim());
            let error = format!(
                "the embeddings of queries \"{name}\" have {found} dimensions, those of source have {expected}"
            );
            return Err(Failure { label: Some(label), error: Error::Input(error), ids: None });
        }
        let keep = self.keeps_points(stage);
        let kept = |points: Vec<(&Arc<Ids>, Points)>| {
            let points = points.into_iter().filter(|_| keep);
            points.map(|(ids, points)| (ids.clone(), Arc::new(points))).collect()
        };
        let (options, monitor) = (stage.options(), self.monitor);
        let base = Points::new(base, stage.metric, monitor).map_err(failed(&label, &ids))?;
        match queries {
            None => {
                let graph = knn::knn_graph(&base, &options, monitor).map_err(failed(&label, &ids))?;
                let points = kept(vec![(&ids, base)]);
                Ok(Graph { graph: Arc::new(graph), src: ids.clone(), dst: ids, points })
            }
            Some((query_ids, queries)) => {
                let label = Relation::queries(stage).map_or(label, |relation| relation.label());
                let failed = failed(&label, &query_ids);
                let queries = Points::new(queries, stage.metric, monitor).map_err(&failed)?;
                let same = query_ids.numbers_in(&ids);
                let same: Vec<u32> = same.into_iter().map(|same| same.unwrap_or(ABSENT)).collect();
                let graph = knn::knn_queries(&base, &queries, &same, &options, monitor).map_err(&failed)?;
                let points = kept(vec![(&query_ids, queries), (&ids, base)]);
                Ok(Graph { graph: Arc::new(graph), src: query_ids, dst: ids, points })
            }
        }
    }

    fn collected_points(&mut self, relation: &Relation) -> Result<(Arc<Ids>, Embeddings)> {
        let Collected::Points { ids, rows, .. } = self.take(relation) else { unreachable!("points were collected") };
        let (ids, order) = unique(ids, &relation.label())?;
        let in_order = |mut embeddings: Embeddings| embeddings.permute(&order, self.monitor).map(|()| embeddings);
        let embeddings = rows.finish(self.monitor).and_then(in_order).map_err(failed(&relation.label(), &ids))?;
        Ok((ids, embeddings))
    }

    /// The points of a relation in order of their ids, for a graph or a model.
    fn points(&mut self, relation: &Relation, stage: Option<&KnnGraph>) -> Result<(Arc<Ids>, Embeddings)> {
        let kept = self.points.iter().position(|kept| kept.0.same(relation));
        let (ids, embeddings) = match kept {
            Some(kept) => {
                let (_, ids, embeddings) = self.points.swap_remove(kept);
                (ids, embeddings)
            }
            None => self.collected_points(relation)?,
        };
        // Another graph or model of the same points may follow, under another metric.
        let reads = |graph: &KnnGraph| {
            Relation::points(graph).same(relation) || Relation::queries(graph).is_some_and(|q| q.same(relation))
        };
        let model = self.sources.iter().any(|source| source.same(relation));
        if model || self.graphs.iter().any(|graph| Some(graph) != stage && reads(graph)) {
            self.points.push((relation.clone(), ids.clone(), embeddings.clone()));
        }
        Ok((ids, embeddings))
    }

    /// Bytes of a graph with its points, or of the stages after it if they take more. `shape` is the
    /// number of points, that of searches, and the dimensions.
    fn need(&self, stage: &KnnGraph, precision: Precision, k: usize, shape: (usize, usize, usize)) -> u64 {
        let (base, queries, dim) = shape;
        let of_queries = stage.queries.is_some().then_some(queries);
        let points = (base + of_queries.unwrap_or(0)) as u64;
        let options = knn::KnnOptions { k, ..stage.options() };
        let edges = queries as u64 * (k.min(base) as u64 + 1);
        let graph = points * (precision.row_bytes(dim) as u64 + 8) + options.memory(precision, base, of_queries, dim);
        // P, with its roots and the distances, or with its transpose; or, beside the embeddings, P
        // and the similarities. While a kernel is found, the graph beside them.
        let kept = if self.keeps_points(stage) { points * (precision.row_bytes(dim) as u64 + 8) } else { 0 };
        let edge_bytes = if self.calibrates { 44 } else { 36 };
        let after = if self.whole { edges * edge_bytes + queries as u64 * 32 + kept } else { 0 };
        graph.max(after)
    }

    fn check_memory(&self, stage: &KnnGraph, base: usize, queries: usize, dim: usize) -> Result<(), Error> {
        let points = base + if stage.queries.is_some() { queries } else { 0 };
        let what = format!("{points} embeddings of {dim} dimensions with k := {}", stage.k);
        self.check_fits(stage, base, &what, |precision, k| self.need(stage, precision, k, (base, queries, dim)))
    }

    /// Refuse work that does not fit, and say what would.
    fn check_fits(
        &self,
        stage: &KnnGraph,
        base: usize,
        what: &str,
        needs: impl Fn(Precision, usize) -> u64,
    ) -> Result<(), Error> {
        let (need, limit) = (needs(stage.precision, stage.k), self.limits.memory);
        if need <= limit {
            return Ok(());
        }
        let fits = what_fits(stage, base, |precision, k| Some(needs(precision, k)).filter(|&need| need <= limit));
        let smaller = if fits.is_empty() { String::new() } else { format!("{} would fit, or ", fits.join(" or ")) };
        Err(too_large(what, need, limit, &smaller))
    }

    /// Likewise for edges of a relation: as they were collected, sorted, and as two matrices.
    fn check_edges(&self, edges: usize) -> Result<(), Error> {
        let need = edges as u64 * 56;
        let limit = self.limits.memory;
        if need <= limit { Ok(()) } else { Err(too_large(&format!("{edges} edges"), need, limit, "")) }
    }

    /// P, of a stage or of a relation, for `plan`.
    fn transition(&mut self, input: &Input, plan: &Plan) -> Result<Edges> {
        if let Some(known) = self.transitions.iter().find(|known| known.0 == *input) {
            return Ok(known.1.clone());
        }
        let edges = match input {
            Input::Stage(inner) => match &**inner {
                Plan::TransitionMatrix(stage) => self.new_transition(stage, inner)?,
                other => unreachable!("{} was refused as a transition matrix", other.name()),
            },
            Input::Relation(_) => self.given_edges(&read_by(plan, 0))?,
        };
        self.transitions.push((input.clone(), edges.clone()));
        Ok(edges)
    }

    fn new_transition(&mut self, stage: &TransitionMatrix, plan: &Plan) -> Result<Edges> {
        if let Some(model) = &stage.model {
            return self.learned_transition(stage, model, plan);
        }
        let kernel = match stage.kernel {
            KernelName::Linear => Some(Kernel::Linear),
            KernelName::Auto | KernelName::Exp => stage.sigma.map(|sigma| Kernel::Exp { sigma }),
        };
        self.transition_by(kernel, &stage.graph, plan).map(|found| found.1)
    }

    /// P by a kernel, or by the one that the distances call for, with that kernel. `plan` reads the graph.
    fn transition_by(&mut self, kernel: Option<Kernel>, graph: &Input, plan: &Plan) -> Result<(Kernel, Edges)> {
        let monitor = self.monitor;
        let (kernel, matrix, ids, label) = match graph {
            Input::Stage(inner) => {
                let Plan::KnnGraph(inner) = &**inner else { unreachable!("only a graph is taken as a graph") };
                let Graph { graph, src: ids, .. } = self.graph(inner)?.over_all_points();
                let label = Relation::points(inner).label();
                let failed = failed(&label, &ids);
                let kernel = kernel.map_or_else(|| kernel_of_graph(&graph, monitor), Ok).map_err(&failed)?;
                let matrix = transition::from_graph(&graph, kernel, monitor).map_err(failed)?;
                (kernel, matrix, ids, label)
            }
            Input::Relation(_) => {
                let relation = read_by(plan, 0);
                let similarity = self.similar.iter().any(|other| other.same(&relation));
                let edges = self.given_edges(&relation)?;
                let of_distances = || kernel_of_distances(&edges.matrix, monitor);
                let (kernel, matrix) = if similarity {
                    (Kernel::Linear, transition::from_similarities(&edges.matrix, monitor))
                } else {
                    let kernel = kernel.map_or_else(of_distances, Ok).map_err(edges.failed())?;
                    (kernel, transition::from_distances(&edges.matrix, kernel, monitor))
                };
                (kernel, matrix.map_err(edges.failed())?, edges.ids, edges.label)
            }
        };
        Ok((kernel, Edges { matrix: Arc::new(matrix), ids, label }))
    }

    fn densities(&mut self, stage: &Ndde, plan: &Plan) -> Result<(Vec<f64>, Arc<Ids>)> {
        let edges = self.transition(&stage.transition, plan)?;
        let options = NddeOptions { epsilon: stage.epsilon, max_iterations: stage.max_iterations };
        Ok((ndde(&edges.matrix, &options, self.monitor).map_err(edges.failed())?, edges.ids))
    }

    /// All distances; or, for a clustering by densities of the same points, those that it looks at.
    fn distances(&mut self, transition: &Input, plan: &Plan, densities: Option<(&[f64], &Arc<Ids>)>) -> Result<Edges> {
        let edges = self.transition(transition, plan)?;
        self.transitions.clear();
        let matrix = match densities.filter(|(_, ids)| Arc::ptr_eq(ids, &edges.ids)) {
            Some((density, _)) => tpdi::tpdi_upward(&edges.matrix, density, self.monitor),
            None => tpdi::tpdi(&edges.matrix, self.monitor),
        };
        Ok(Edges { matrix: Arc::new(matrix.map_err(edges.failed())?), ..edges })
    }

    fn given_edges(&mut self, relation: &Relation) -> Result<Edges> {
        if let Some(asked) = self.readers.iter().position(|reader| reader.same(relation)) {
            self.readers.swap_remove(asked);
        }
        let known = self.given.iter().position(|known| known.0.same(relation));
        let edges = match known {
            Some(known) => self.given.swap_remove(known).1,
            None => self.new_given_edges(relation)?,
        };
        if self.readers.iter().any(|reader| reader.same(relation)) {
            self.given.push((relation.clone(), edges.clone()));
        }
        Ok(Edges { label: relation.label(), ..edges })
    }

    fn new_given_edges(&mut self, relation: &Relation) -> Result<Edges> {
        let Collected::Edges { ids, mut src, mut dst, values } = self.take(relation) else {
            unreachable!("edges were collected")
        };
        let label = relation.label();
        self.check_edges(values.len()).map_err(|error| Failure { label: Some(label.clone()), error, ids: None })?;
        let (ids, order) = ids.into_ids().sorted();
        let mut number = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, &old)| number[old as usize] = new as u32);
        src.iter_mut().chain(&mut dst).for_each(|end| *end = number[*end as usize]);
        let ids = Arc::new(ids);
        let matrix = sparse::from_edges(ids.len(), &src, &dst, &values, self.monitor).map_err(failed(&label, &ids))?;
        Ok(Edges { matrix: Arc::new(matrix), ids, label })
    }
}

/// What to ask for in place of a graph over `base` rows that does not fit, where `fitting` is the need
/// of what does: a coarser precision, a smaller k, or else both.
fn what_fits(stage: &KnnGraph, base: usize, fitting: impl Fn(Precision, usize) -> Option<u64>) -> Vec<String> {
    let coarser = || {
        let coarser = Precision::ALL.into_iter().filter(|&precision| precision > stage.precision);
        coarser.filter(|&precision| stage.options().takes(stage.metric, precision))
    };
    let largest_k = |precision| (1..=stage.k.min(base)).rev().find(|&k| fitting(precision, k).is_some());
    let precision = coarser().find_map(|precision| {
        let need = bytes_text(fitting(precision, stage.k)?);
        Some(format!("precision := '{}' ({need})", precision.name()))
    });
    let k = largest_k(stage.precision).map(|k| format!("k := {k}"));
    let both = || {
        let mut coarser = coarser();
        coarser.find_map(|precision| {
            Some(format!("precision := '{}' with k := {}", precision.name(), largest_k(precision)?))
        })
    };
    let one: Vec<String> = precision.into_iter().chain(k).collect();
    if one.is_empty() { both().into_iter().collect() } else { one }
}

fn too_large(what: &str, need: u64, limit: u64, smaller: &str) -> Error {
    let (enough, need, limit) = (bytes_text(need + need / 10), bytes_text(need), bytes_text(limit));
    Error::Memory(format!(
        "{what} need about {need}, but memory_limit is {limit}; {smaller}SET memory_limit = '{enough}'"
    ))
}

fn kernel(name: KernelName, sigma: f64) -> Kernel {
    match name {
        KernelName::Linear => Kernel::Linear,
        KernelName::Auto | KernelName::Exp => Kernel::Exp { sigma },
    }
}

fn read_by(plan: &Plan, at: usize) -> Relation {
    Relation::read_by(plan).swap_remove(at).expect("the input is a relation")
}

fn unique(ids: IdColumn, label: &str) -> Result<(Arc<Ids>, Vec<u32>)> {
    let (ids, order) = ids.sorted();
    let ids = Arc::new(ids);
    match ids.duplicate() {
        Some(row) => Err(failed(label, &ids)(Error::point(row, PointProblem::DuplicateId))),
        None => Ok((ids, order)),
    }
}

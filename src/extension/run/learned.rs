//! Transition matrices by a learned model.

use std::sync::Arc;

use super::super::ids::Ids;
use super::super::job::Failure;
use super::super::models::message;
use super::super::plan::{Input, KnnGraph, LearnedModel, Plan, TransitionMatrix};
use super::super::sql::Relation;
use super::{Collected, Edges, Graph, Result, Run, failed, read_by};
use crate::core::error::{Error, PointProblem};
use crate::core::knn::{Metric, Points};
use crate::core::row::Row;
use crate::model::{Model, Neighborhoods};

/// The graph's share of the progress; the models take the rest.
pub(super) const GRAPH: f64 = 0.1;

/// What a model is given of each point.
struct Features {
    points: Vec<Arc<Points>>,
    /// Which of the `points`, and which row there; `None` if it is the point's own number.
    places: Option<Vec<(u32, u32)>>,
}

impl Features {
    /// Of points with these ids, from relations of points; the first that has a point counts.
    fn new(ids: &Arc<Ids>, relations: Vec<(Arc<Ids>, Arc<Points>)>, failed: impl Fn(Error) -> Failure) -> Result<Self> {
        let places = match &*relations {
            [(own, _)] if Arc::ptr_eq(own, ids) => None,
            _ => {
                let numbers: Vec<_> = relations.iter().map(|(own, _)| ids.numbers_in(own)).collect();
                let place = |row: usize| {
                    let found = numbers.iter().zip(0..).find_map(|(numbers, at)| Some((at, numbers[row]?)));
                    found.ok_or_else(|| Error::point(row, PointProblem::NoEmbedding))
                };
                Some((0..ids.len()).map(place).collect::<Result<_, _>>().map_err(failed)?)
            }
        };
        Ok(Self { points: relations.into_iter().map(|(_, points)| points).collect(), places })
    }

    fn row(&self, point: u32) -> Row<'_> {
        let (at, row) = self.places.as_ref().map_or((0, point), |places| places[point as usize]);
        self.points[at as usize].row(row as usize)
    }
}

impl Run<'_> {
    /// Whether a model wants the points of a graph once it is there.
    pub(super) fn keeps_points(&self, graph: &KnnGraph) -> bool {
        let of_graph = |input: &Input| match input {
            Input::Stage(stage) => matches!(&**stage, Plan::KnnGraph(inner) if inner == graph),
            Input::Relation(_) => false,
        };
        self.learned.iter().any(|(stage, model)| model.source.is_none() && of_graph(&stage.graph))
    }

    /// Try the models, and compare the dimensions that they take with those of the rows.
    pub(super) fn check_models(&self, plan: &Plan) -> Result<()> {
        let failure = |message: String| Failure { label: None, error: Error::Input(message), ids: None };
        for (relation, rows) in &self.relations {
            if let Some(Collected::Points { rows, .. }) = rows
                && let Some(dim) = rows.dim()
            {
                self.models.check_dim(plan, relation, dim).map_err(failure)?;
            }
        }
        for (at, (_, learned)) in self.learned.iter().enumerate() {
            if self.learned[..at].iter().all(|other| other.1.file != learned.file) {
                self.model(learned).dry_run(self.monitor).map_err(|error| failure(message(learned, &error)))?;
            }
        }
        Ok(())
    }

    fn model(&self, learned: &LearnedModel) -> Arc<Model> {
        self.models.get(&learned.file).expect("every model of the plan is open").clone()
    }

    pub(super) fn learned_transition(
        &mut self,
        stage: &TransitionMatrix,
        learned: &LearnedModel,
        plan: &Plan,
    ) -> Result<Edges> {
        let model = self.model(learned);
        let (neighborhoods, ids, label, points) = match &stage.graph {
            Input::Stage(inner) => {
                let Plan::KnnGraph(knn_graph) = &**inner else { unreachable!("only a graph is taken as a graph") };
                let Graph { graph, src: ids, points, .. } = self.graph(knn_graph)?.over_all_points();
                (Neighborhoods::of_graph(&graph), ids, Relation::points(knn_graph).label(), points)
            }
            Input::Relation(_) => {
                let relation = read_by(plan, 0);
                let similarity = self.similar.iter().any(|other| other.same(&relation));
                let edges = self.given_edges(&relation)?;
                let of_edges = if similarity { Neighborhoods::of_similarities } else { Neighborhoods::of_distances };
                (of_edges(&edges.matrix), edges.ids, edges.label, vec![])
            }
        };
        let points = match &learned.source {
            Some(_) => vec![self.features(&read_by(plan, 1), model.contract().metric)?],
            None => points,
        };
        let failed = failed(&label, &ids);
        let features = Features::new(&ids, points, &failed)?;
        self.monitor.part(GRAPH..1.0);
        let matrix = model.transition(neighborhoods, |point| features.row(point), self.monitor);
        let matrix = matrix.map_err(|error| match error {
            Error::Model(_) | Error::Memory(_) => {
                Failure { label: None, error: Error::Input(message(learned, &error)), ids: None }
            }
            other => failed(other),
        })?;
        Ok(Edges { matrix: Arc::new(matrix), ids, label })
    }

    /// The embeddings of a relation, as the metric sees them.
    fn features(&mut self, relation: &Relation, metric: Metric) -> Result<(Arc<Ids>, Arc<Points>)> {
        if let Some(asked) = self.sources.iter().position(|source| source.same(relation)) {
            self.sources.swap_remove(asked);
        }
        let (ids, embeddings) = self.points(relation, None)?;
        let points = Points::new(embeddings, metric, self.monitor).map_err(failed(&relation.label(), &ids))?;
        Ok((ids, Arc::new(points)))
    }
}

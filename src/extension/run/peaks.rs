//! The stages over densities and distances: `dpc_cluster`, `tau_sweep`, `decision_graph`.

use std::sync::Arc;

use super::super::collect::Collected;
use super::super::ids::Ids;
use super::super::job::Failure;
use super::super::plan::{AutoParameters, Input, Plan, TauSweep};
use super::super::sql::Relation;
use super::{Edges, Result, Run, Table, failed, read_by, unique};
use crate::core::dpc;
use crate::core::error::{EdgeProblem, Error};
use crate::core::monitor::Monitor;
use crate::core::ndde::{NddeOptions, ndde};
use crate::core::sparse;
use crate::core::sweep::sweep;
use crate::core::threshold::auto_tau;
use crate::core::tpdi::tpdi_upward;

/// Densities, and distances of the same points.
pub(super) struct Peaks {
    pub density: Vec<f64>,
    pub distances: Edges,
    /// The call that gave the densities.
    pub label: String,
}

impl Peaks {
    pub fn ids(&self) -> Arc<Ids> {
        self.distances.ids.clone()
    }

    pub fn failed(&self) -> impl Fn(Error) -> Failure + use<> {
        let of_density = failed(&self.label, &self.distances.ids);
        let of_distances = self.distances.failed();
        move |error| match error {
            Error::Point { .. } => of_density(error),
            _ => of_distances(error),
        }
    }

    pub fn candidates(&self, monitor: &Monitor) -> Result<dpc::Candidates> {
        dpc::candidates(&self.density, &self.distances.matrix, monitor).map_err(self.failed())
    }

    /// The threshold that the distances call for.
    pub fn auto_tau(&self, monitor: &Monitor) -> Result<f64> {
        auto_tau(&self.density, &self.distances.matrix, monitor).map_err(self.failed())
    }

    /// Likeliest peaks first: by density times delta. A point without a candidate is at least as far
    /// from a higher one as any other.
    pub fn decision_graph(self, monitor: &Monitor) -> Result<Table> {
        let candidates = self.candidates(monitor)?;
        let farthest = candidates.iter().flatten().fold(1.0, |farthest: f64, candidate| farthest.max(candidate.1));
        let delta: Vec<f64> = candidates.iter().map(|candidate| candidate.map_or(farthest, |(_, d)| d)).collect();
        let density = self.density;
        let weight = |row: u32| density[row as usize] * delta[row as usize];
        let mut order: Vec<u32> = (0..density.len() as u32).collect();
        order.sort_by(|&a, &b| weight(b).total_cmp(&weight(a)).then(a.cmp(&b)));
        Ok(Table::Decision { order, density, delta, candidates })
    }
}

impl Run<'_> {
    /// What a stage over densities and distances reads: two inputs, with their places among all.
    pub(super) fn peaks(
        &mut self,
        plan: &Plan,
        (density, density_at): (&Input, usize),
        (distance, distance_at): (&Input, usize),
    ) -> Result<Peaks> {
        let (density, ids, label) = match density {
            Input::Stage(inner) => match &**inner {
                Plan::Ndde(ndde) => {
                    let (density, ids) = self.densities(ndde, inner)?;
                    (density, ids, plan.name().into())
                }
                other => unreachable!("{} was refused as a density", other.name()),
            },
            Input::Relation(_) => {
                let relation = read_by(plan, density_at);
                let (density, ids) = self.given_densities(&relation)?;
                (density, ids, relation.label())
            }
        };
        let distances = match distance {
            Input::Stage(inner) => match &**inner {
                Plan::Tpdi(tpdi) => self.distances(&tpdi.transition, inner, Some((&density, &ids)))?,
                other => unreachable!("{} was refused as a distance", other.name()),
            },
            Input::Relation(_) => self.given_edges(&read_by(plan, distance_at))?,
        };
        Ok(Peaks { density, distances: align(distances, &ids, plan)?, label })
    }

    pub(super) fn sweep(&mut self, plan: &Plan, stage: &TauSweep) -> Result<Table> {
        // Before the long work, because they may be wrong.
        let labels = stage.labels.as_ref().map(|_| self.labels(&read_by(plan, 2))).transpose()?;
        let peaks = self.peaks(plan, (&stage.density, 0), (&stage.distance, 1))?;
        let labels = labels.map(|labels| labels.of(&peaks.ids())).transpose()?;
        let candidates = peaks.candidates(self.monitor)?;
        let rows = sweep(&candidates, &stage.taus, labels.as_deref(), self.monitor);
        rows.map(Table::Sweep).map_err(peaks.failed())
    }

    pub(super) fn auto_parameters(&mut self, plan: &Plan, stage: &AutoParameters) -> Result<Table> {
        let (kernel, edges) = self.transition_by(None, &stage.graph, plan)?;
        let density = ndde(&edges.matrix, &NddeOptions::default(), self.monitor).map_err(edges.failed())?;
        let matrix = tpdi_upward(&edges.matrix, &density, self.monitor).map_err(edges.failed())?;
        let distances = Edges { matrix: Arc::new(matrix), ..edges };
        let peaks = Peaks { density, distances, label: plan.name().into() };
        Ok(Table::Parameters { kernel, tau: peaks.auto_tau(self.monitor)? })
    }

    pub(super) fn labels(&mut self, relation: &Relation) -> Result<Labels> {
        let Collected::Labels { ids, numbers, .. } = self.take(relation) else { unreachable!("labels were collected") };
        let label = relation.label();
        let (ids, order) = unique(ids, &label)?;
        let numbers = order.iter().map(|&at| numbers[at as usize]).collect();
        Ok(Labels { ids, numbers, label })
    }

    fn given_densities(&mut self, relation: &Relation) -> Result<(Vec<f64>, Arc<Ids>)> {
        let Collected::Densities { ids, values } = self.take(relation) else {
            unreachable!("densities were collected")
        };
        let (ids, order) = unique(ids, &relation.label())?;
        Ok((order.iter().map(|&at| values[at as usize]).collect(), ids))
    }
}

/// Labels of a relation, numbered, in order of their ids.
pub(super) struct Labels {
    ids: Arc<Ids>,
    numbers: Vec<Option<u32>>,
    label: String,
}

impl Labels {
    /// The label of each of these points.
    pub fn of(&self, ids: &Ids) -> Result<Vec<Option<u32>>> {
        let places = ids.numbers_in(&self.ids);
        if ids.len() > 0 && self.ids.len() > 0 && places.iter().all(Option::is_none) {
            let error = Error::Input(
                "none of the ids of labels is an id of density; name their column with id := '...'".into(),
            );
            return Err(Failure { label: Some(self.label.clone()), error, ids: None });
        }
        Ok(places.into_iter().map(|place| self.numbers[place? as usize]).collect())
    }
}

/// The same edges, numbered by the ids of the densities.
fn align(edges: Edges, ids: &Arc<Ids>, plan: &Plan) -> Result<Edges> {
    if Arc::ptr_eq(&edges.ids, ids) {
        return Ok(edges);
    }
    let numbers = edges.ids.numbers_in(ids);
    let (mut lengths, mut columns) = (vec![0; ids.len()], Vec::with_capacity(edges.matrix.nnz()));
    for (row, neighbors) in edges.matrix.outer_iterator().enumerate() {
        for &neighbor in neighbors.indices() {
            let (Some(src), Some(dst)) = (numbers[row], numbers[neighbor as usize]) else {
                let problem = EdgeProblem::NoDensity { dst: numbers[row].is_some() };
                return Err(failed(plan.name(), &edges.ids)(Error::edge(row, neighbor, problem)));
            };
            // Both are in order of the ids, so rows and columns stay in order.
            lengths[src as usize] += 1;
            columns.push(dst);
        }
    }
    let starts = sparse::starts(ids.len(), |row| lengths[row]);
    let matrix = sparse::matrix(ids.len(), starts, columns, edges.matrix.data().to_vec());
    Ok(Edges { matrix: Arc::new(matrix), ids: ids.clone(), ..edges })
}

//! `assign_clusters`.

use std::sync::Arc;

use super::super::collect::Collected;
use super::super::ids::Ids;
use super::super::job::Failure;
use super::super::plan::{AssignClusters, Plan};
use super::super::sql::Relation;
use super::{Result, Run, Table, failed, kernel, read_by, too_large, unique};
use crate::core::assign::{AssignOptions, Assignment, assign};
use crate::core::error::{Error, PointProblem};
use crate::core::knn::{KnnOptions, Method, Points};

/// A row of `assign_clusters`.
pub struct AssignedRow {
    pub point: u32,
    pub cluster: Option<i64>,
    pub assignment: Assignment,
}

/// A clustering, its points in order of their ids.
struct Members {
    ids: Arc<Ids>,
    cluster: Vec<i64>,
    delta: Vec<f64>,
    density: Vec<f64>,
}

impl Run<'_> {
    pub(super) fn assign(&mut self, plan: &Plan, stage: &AssignClusters) -> Result<(Vec<Arc<Ids>>, Table)> {
        let [source, base] = [0, 1].map(|at| read_by(plan, at));
        let members = self.members(&read_by(plan, 2))?;
        let (base_ids, base_points) = self.collected_points(&base)?;
        let (new_ids, new_points) = self.collected_points(&source)?;
        if let Some(row) = new_ids.numbers_in(&base_ids).iter().position(Option::is_some) {
            return Err(failed(&source.label(), &new_ids)(Error::point(row, PointProblem::NotNew)));
        }
        let of_base = base_ids.numbers_in(&members.ids).into_iter().enumerate();
        let of_base = of_base.map(|(row, at)| at.ok_or_else(|| Error::point(row, PointProblem::NoCluster)));
        let of_base = of_base.collect::<Result<Vec<u32>, Error>>().map_err(failed(&base.label(), &base_ids))?;
        let about = |error| Failure { label: Some(source.label()), error, ids: None };
        let (found, dim) = (new_points.dim(), base_points.dim());
        if found != dim && !new_points.is_empty() && !base_points.is_empty() {
            let error = format!("the embeddings have {found} dimensions, those of base have {dim}");
            return Err(about(Error::Input(error)));
        }
        self.check_assign(stage, base_points.len(), new_points.len(), dim).map_err(about)?;
        let new_points = Points::new(new_points, stage.metric, self.monitor);
        let new_points = new_points.map_err(failed(&source.label(), &new_ids))?;
        let base_points = Points::new(base_points, stage.metric, self.monitor);
        let base_points = base_points.map_err(failed(&base.label(), &base_ids))?;
        let values = |values: &[f64]| of_base.iter().map(|&at| values[at as usize]).collect::<Vec<f64>>();
        let (density, delta) = (values(&members.density), values(&members.delta));
        let options = AssignOptions { k: stage.k, kernel: kernel(stage.kernel, stage.sigma), tau: stage.tau };
        let ids = Arc::new(Ids::chain(&base_ids, &new_ids));
        let assignments = assign(&base_points, &new_points, &density, &delta, &options, self.monitor);
        let assignments = assignments.map_err(failed(&source.label(), &ids))?;
        let rows = (base_ids.len() as u32..).zip(assignments).map(|(point, assignment)| {
            let cluster = assignment.parent.map(|parent| members.cluster[of_base[parent as usize] as usize]);
            AssignedRow { point, cluster, assignment }
        });
        let rows = rows.collect();
        Ok((vec![ids], Table::Assigned(rows)))
    }

    fn members(&mut self, relation: &Relation) -> Result<Members> {
        let Collected::Members { ids, clusters, deltas, densities } = self.take(relation) else {
            unreachable!("clusters were collected")
        };
        let (ids, order) = unique(ids, &relation.label())?;
        let density: Vec<f64> = order.iter().map(|&at| densities[at as usize]).collect();
        if let Some(row) = density.iter().position(|d| !(*d >= 0.0 && d.is_finite())) {
            let problem = PointProblem::Density(density[row]);
            return Err(failed(&relation.label(), &ids)(Error::point(row, problem)));
        }
        let cluster = order.iter().map(|&at| clusters[at as usize]).collect();
        let delta = order.iter().map(|&at| deltas[at as usize]).collect();
        Ok(Members { ids, cluster, delta, density })
    }

    /// Refuse work that does not fit.
    fn check_assign(&self, stage: &AssignClusters, base: usize, new: usize, dim: usize) -> Result<(), Error> {
        let options = KnnOptions { k: stage.k, method: Method::Exact, ..Default::default() };
        let met = base.min(new.saturating_mul(stage.k));
        let rows = (base + new + met) as u64 * (stage.precision.row_bytes(dim) as u64 + 8);
        let searches = [new, met].map(|queries| options.memory(stage.precision, base, Some(queries), dim));
        let need = rows + searches.iter().sum::<u64>() + (base * (8 * self.limits.threads + 24)) as u64;
        if need <= self.limits.memory {
            return Ok(());
        }
        let what = format!("{new} new rows and {base} of base, of {dim} dimensions, with k := {}", stage.k);
        Err(too_large(&what, need, self.limits.memory, "assign fewer rows at a time, or "))
    }
}

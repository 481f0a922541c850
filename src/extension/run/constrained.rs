//! `dpc_cluster`, with the relations that may be given beside densities and distances.

use std::sync::Arc;

use super::super::collect::Collected;
use super::super::ids::{IdColumn, Ids};
use super::super::plan::{DpcCluster, Plan};
use super::super::sql::Relation;
use super::{Result, Run, Table, failed, read_by, unique};
use crate::core::constraints::{Constraints, dpc_constrained};
use crate::core::dpc::{Clustering, dpc};
use crate::core::error::{Error, PointProblem};
use crate::core::relabel::relabel;

/// A clustering, and the ids of its clusters where they are not 0, 1, 2, ...
pub struct Clusters {
    pub clustering: Clustering,
    pub ids: Option<Vec<i64>>,
    /// The partition of each point, `None` for NULL, where there are some.
    pub partitions: Option<Vec<Option<u32>>>,
}

/// Pairs of a relation, their ends numbered by its ids in their order.
pub(super) struct Pairs {
    ids: Arc<Ids>,
    ends: Vec<(u32, u32)>,
    pub label: String,
}

impl Pairs {
    /// Each pair in other numbers, those of all ids.
    fn renumber(&self, numbers: &[u32]) -> Vec<(u32, u32)> {
        self.ends.iter().map(|&(a, b)| (numbers[a as usize], numbers[b as usize])).collect()
    }

    fn check(&self, known: impl Iterator<Item = bool>) -> Result<()> {
        match known.enumerate().find(|(_, known)| !known) {
            Some((row, _)) => Err(failed(&self.label, &self.ids)(Error::point(row, PointProblem::NotAPoint))),
            None => Ok(()),
        }
    }

    /// Each pair in the numbers of the points.
    pub fn of(&self, points: &Ids) -> Result<Vec<(u32, u32)>> {
        let numbers = self.ids.numbers_in(points);
        self.check(numbers.iter().map(Option::is_some))?;
        Ok(self.renumber(&numbers.into_iter().flatten().collect::<Vec<u32>>()))
    }
}

/// An earlier clustering.
struct Previous {
    ids: Arc<Ids>,
    clusters: Vec<i64>,
    label: String,
}

impl Previous {
    fn relabel(&self, clustering: &Clustering, points: &Ids) -> Result<Vec<i64>> {
        let earlier = points.numbers_in(&self.ids);
        let earlier: Vec<Option<i64>> = earlier.iter().map(|at| Some(self.clusters[(*at)? as usize])).collect();
        let greatest = self.clusters.iter().max().copied();
        relabel(&clustering.cluster, &earlier, greatest).map_err(failed(&self.label, &self.ids))
    }
}

impl Run<'_> {
    pub(super) fn dpc(&mut self, plan: &Plan, stage: &DpcCluster) -> Result<(Vec<Arc<Ids>>, Table)> {
        // What is given is taken and checked before the long work, because it may be wrong.
        let (mut previous, mut must_link, mut cannot_link) = (None, None, None);
        for (at, (argument, _)) in stage.given().enumerate() {
            let relation = read_by(plan, at + 2);
            match argument {
                "previous" => previous = Some(self.previous(&relation)?),
                "must_link" => must_link = Some(self.pairs(&relation)?),
                _ => cannot_link = Some(self.pairs(&relation)?),
            }
        }
        if let Some(cannot_link) = &cannot_link {
            check_contradictions(must_link.as_ref(), cannot_link)?;
        }
        let (peaks, partitions) = match stage.partitioned() {
            Some(stages) => self
                .partitioned_peaks(stages, must_link.as_ref())
                .map(|(peaks, partitions)| (peaks, Some(partitions)))?,
            None => (self.peaks(plan, (&stage.density, 0), (&stage.distance, 1))?, None),
        };
        let tau = stage.tau.map_or_else(|| peaks.auto_tau(self.monitor), Ok)?;
        let (ids, failed) = (peaks.ids(), peaks.failed());
        let clustering = if must_link.is_some() || cannot_link.is_some() {
            let of = |pairs: Option<Pairs>| pairs.map_or(Ok(vec![]), |pairs| pairs.of(&ids));
            let constraints = Constraints { must_link: of(must_link)?, cannot_link: of(cannot_link)? };
            dpc_constrained(peaks.density, &peaks.distances.matrix, tau, &constraints, self.monitor)
        } else {
            dpc(peaks.density, &peaks.distances.matrix, tau, self.monitor)
        };
        let clustering = clustering.map_err(failed)?;
        let cluster_ids = previous.map(|previous| previous.relabel(&clustering, &ids)).transpose()?;
        let (partition_ids, partitions) = partitions.map(|partitions| (partitions.ids, partitions.of)).unzip();
        let ids = std::iter::once(ids).chain(partition_ids).collect();
        Ok((ids, Table::Clusters(Clusters { clustering, ids: cluster_ids, partitions })))
    }

    fn previous(&mut self, relation: &Relation) -> Result<Previous> {
        let Collected::Members { ids, clusters, .. } = self.take(relation) else {
            unreachable!("clusters were collected")
        };
        let label = relation.label();
        let (ids, order) = unique(ids, &label)?;
        let clusters = order.iter().map(|&at| clusters[at as usize]).collect();
        Ok(Previous { ids, clusters, label })
    }

    fn pairs(&mut self, relation: &Relation) -> Result<Pairs> {
        let Collected::Edges { ids, src, dst, .. } = self.take(relation) else { unreachable!("pairs were collected") };
        let (ids, order) = ids.into_ids().sorted();
        let mut number = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, &old)| number[old as usize] = new as u32);
        let ends = src.iter().zip(&dst).map(|(&a, &b)| (number[a as usize], number[b as usize])).collect();
        let pairs = Pairs { ids: Arc::new(ids), ends, label: relation.label() };
        if let Some(points) = self.collected_ids() {
            let mut known = vec![false; pairs.ids.len()];
            pairs.ids.numbers_of(points).into_iter().flatten().for_each(|number| known[number as usize] = true);
            pairs.check(known.into_iter())?;
        }
        Ok(pairs)
    }

    /// The ids of all points, where they are known before the work: not if edges or a second relation
    /// name them.
    fn collected_ids(&self) -> Option<&IdColumn> {
        let mut columns = self.relations.iter().filter_map(|(_, rows)| match rows {
            Some(Collected::Points { ids, .. } | Collected::Densities { ids, .. }) => Some(ids),
            _ => None,
        });
        columns.next().filter(|_| columns.next().is_none())
    }
}

/// Names a pair that must and cannot share a cluster.
fn check_contradictions(must_link: Option<&Pairs>, cannot_link: &Pairs) -> Result<()> {
    let none = Pairs { ids: Arc::new(Ids::none_like(&cannot_link.ids)), ends: vec![], label: String::new() };
    let must_link = must_link.unwrap_or(&none);
    let used = vec![true; must_link.ids.len()];
    let (all, of_cannot, of_must) = Ids::union(&cannot_link.ids, &must_link.ids, &used);
    let constraints =
        Constraints { must_link: must_link.renumber(&of_must), cannot_link: cannot_link.renumber(&of_cannot) };
    let all = Arc::new(all);
    constraints.check(all.len()).map_err(failed(&cannot_link.label, &all))
}

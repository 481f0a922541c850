//! The stages over a stored clustering: `cluster_summary`, `suggest_merges`, `suggest_splits`.

use std::sync::Arc;

use super::super::collect::Collected;
use super::super::ids::Ids;
use super::super::job::Failure;
use super::super::plan::{Plan, SuggestMerges, SuggestSplits};
use super::super::sql::Relation;
use super::{Result, Run, Table, failed, read_by, unique};
use crate::core::error::{Error, PointProblem};
use crate::core::suggest::{self, Merge, Split};
use crate::core::summary::{Summary, summarize};

/// A row of `cluster_summary`.
pub struct SummaryRow {
    pub cluster: i64,
    pub peak: Option<u32>,
    pub summary: Summary,
}

/// A row of `suggest_merges`.
pub struct MergeRow {
    pub cluster: i64,
    pub other: i64,
    pub merge: Merge,
    pub size: usize,
    pub other_size: usize,
}

/// A row of `suggest_splits`.
pub struct SplitRow {
    pub cluster: i64,
    pub split: Split,
}

/// A relation's clusters, its points in order of their ids.
struct Clusters {
    ids: Arc<Ids>,
    /// Number of each point's cluster, in order of the cluster ids.
    cluster: Vec<u32>,
    cluster_ids: Vec<i64>,
    sizes: Vec<usize>,
    /// `None` for a parent that is no point.
    parent: Vec<Option<u32>>,
    delta: Vec<f64>,
    label: String,
}

impl Clusters {
    fn failed(&self) -> impl Fn(Error) -> Failure + use<> {
        failed(&self.label, &self.ids)
    }

    fn is_peak(&self, point: u32) -> bool {
        self.parent[point as usize] == Some(point)
    }

    /// The number of each point among others, which have them all.
    fn numbers_in(&self, others: &Ids, problem: PointProblem) -> Result<Vec<u32>> {
        let numbers = self.ids.numbers_in(others).into_iter().enumerate();
        let numbers = numbers.map(|(row, number)| number.ok_or_else(|| Error::point(row, problem.clone())));
        numbers.collect::<Result<_, Error>>().map_err(self.failed())
    }
}

impl Run<'_> {
    pub(super) fn summary(&mut self, plan: &Plan) -> Result<(Vec<Arc<Ids>>, Table)> {
        let clusters = self.clusters(&read_by(plan, 0))?;
        let source = read_by(plan, 1);
        let (ids, embeddings) = self.collected_points(&source)?;
        let numbers = clusters.numbers_in(&ids, PointProblem::NoEmbedding)?;
        let (mut cluster, mut peaks) = (vec![None; ids.len()], vec![None; clusters.sizes.len()]);
        for (point, &number) in (0u32..).zip(&numbers) {
            let of_point = clusters.cluster[point as usize];
            cluster[number as usize] = Some(of_point);
            if clusters.is_peak(point) {
                peaks[of_point as usize].get_or_insert(number);
            }
        }
        let summaries = summarize(&embeddings, &cluster, peaks.len(), self.monitor);
        let summaries = summaries.map_err(failed(&source.label(), &ids))?;
        let rows = clusters.cluster_ids.iter().zip(peaks).zip(summaries);
        let rows = rows.map(|((&cluster, peak), summary)| SummaryRow { cluster, peak, summary });
        Ok((vec![ids], Table::Summary(rows.collect())))
    }

    pub(super) fn merges(&mut self, plan: &Plan, stage: &SuggestMerges) -> Result<(Vec<Arc<Ids>>, Table)> {
        let clusters = self.clusters(&read_by(plan, 0))?;
        let peaks = self.peaks(plan, (&stage.density, 1), (&stage.distance, 2))?;
        let ids = peaks.ids();
        let mut points = vec![None; ids.len()];
        for (point, number) in (0u32..).zip(clusters.numbers_in(&ids, PointProblem::NoDensity)?) {
            points[number as usize] = Some(point);
        }
        let candidates = peaks.candidates(self.monitor)?;
        let merges = suggest::merges(&candidates, |row| points[row].is_some_and(|point| clusters.is_peak(point)));
        let cluster = |row: u32| points[row as usize].map(|point| clusters.cluster[point as usize] as usize);
        let rows = merges.into_iter().filter_map(|merge| {
            let (one, other) = (cluster(merge.peak)?, cluster(merge.candidate)?);
            (one != other).then(|| MergeRow {
                cluster: clusters.cluster_ids[one],
                other: clusters.cluster_ids[other],
                merge,
                size: clusters.sizes[one],
                other_size: clusters.sizes[other],
            })
        });
        Ok((vec![ids.clone()], Table::Merges(rows.collect())))
    }

    pub(super) fn splits(&mut self, plan: &Plan, stage: &SuggestSplits) -> Result<(Vec<Arc<Ids>>, Table)> {
        let clusters = self.clusters(&read_by(plan, 0))?;
        let parents = clusters.parent.iter().enumerate();
        let parents = parents.map(|(row, parent)| parent.ok_or_else(|| Error::point(row, PointProblem::NoParent)));
        let splits = parents
            .collect::<Result<Vec<u32>, Error>>()
            .and_then(|parent| suggest::splits(&parent, &clusters.delta, stage.min_size))
            .map_err(clusters.failed())?;
        let cluster = |point: u32| clusters.cluster_ids[clusters.cluster[point as usize] as usize];
        let rows = splits.into_iter().map(|split| SplitRow { cluster: cluster(split.point), split });
        Ok((vec![clusters.ids.clone()], Table::Splits(rows.collect())))
    }

    fn clusters(&mut self, relation: &Relation) -> Result<Clusters> {
        let Collected::Clusters { ids, parents, clusters, deltas } = self.take(relation) else {
            unreachable!("clusters were collected")
        };
        let label = relation.label();
        let (ids, order) = unique(ids, &label)?;
        let parents = ids.numbers_of(&parents);
        let mut cluster_ids = clusters.clone();
        cluster_ids.sort_unstable();
        cluster_ids.dedup();
        let number = |at: &u32| cluster_ids.partition_point(|&id| id < clusters[*at as usize]) as u32;
        let cluster: Vec<u32> = order.iter().map(number).collect();
        let mut sizes = vec![0; cluster_ids.len()];
        cluster.iter().for_each(|&cluster| sizes[cluster as usize] += 1);
        let parent = order.iter().map(|&at| parents[at as usize]).collect();
        let delta = order.iter().map(|&at| deltas[at as usize]).collect();
        Ok(Clusters { ids, cluster, cluster_ids, sizes, parent, delta, label })
    }
}

//! `suggest_merges(clusters, density, distance, ...)`: clusters that nearly join.

use std::fmt::Display;

use super::suggest_splits::{CLUSTERS, CLUSTERS_ID, StoredClusters};
use crate::core::suggest::{self, Merge};
use crate::engine::peaks::{DENSITY, DISTANCE, PeakInputs};
use crate::engine::prelude::*;

pub static FUNCTION: Function = Function {
    name: "suggest_merges",
    description: "Pairs of clusters that would be one at a larger tau: the peak of one has its nearest neighbor of higher density in the other.",
    returns: "Returns cluster_id, other_cluster_id, delta (they join at any tau above it), peak_id (of the first), candidate_id (that neighbor, in the other), size and other_size, least delta first.",
    parameters: &[&CLUSTERS, &DENSITY, &DISTANCE, &CLUSTERS_ID],
    examples: &["FROM suggest_merges('clusters', ndde('p'), tpdi('p')) LIMIT 20"],
    nested_example: None,
    build: |call| {
        let id = call.column(&CLUSTERS_ID)?;
        let clusters = call.relation(&CLUSTERS, StoredClusters::reads(&id))?;
        let peaks = PeakInputs::of(call)?;
        Ok(call.add(SuggestMerges { clusters, peaks }).node)
    },
};

#[derive(Debug, PartialEq)]
struct SuggestMerges {
    clusters: Input<StoredClusters>,
    peaks: PeakInputs,
}

fn no_density(id: &dyn Display) -> String {
    format!("id {id} has no density; every point of a cluster needs a row in the density relation")
}

struct MergeRow {
    cluster: i64,
    other: i64,
    merge: Merge,
    size: usize,
    other_size: usize,
}

impl Operator for SuggestMerges {
    type Output = List<MergeRow>;

    fn inputs(&self) -> Vec<usize> {
        std::iter::once(self.clusters.node).chain(self.peaks.nodes()).collect()
    }

    fn columns(&self) -> Vec<Column<List<MergeRow>>> {
        vec![
            bigint("cluster_id", |list: &Self::Output, rows| list.each(rows, |row| row.cluster)),
            bigint("other_cluster_id", |list: &Self::Output, rows| list.each(rows, |row| row.other)),
            double("delta", |list: &Self::Output, rows| list.each(rows, |row| row.merge.delta)),
            id("peak_id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.merge.peak)),
            id("candidate_id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.merge.candidate)),
            bigint("size", |list: &Self::Output, rows| list.each(rows, |row| row.size as i64)),
            bigint("other_size", |list: &Self::Output, rows| list.each(rows, |row| row.other_size as i64)),
        ]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<MergeRow>> {
        let clusters = run.read(self.clusters)?;
        let peaks = self.peaks.read(run)?;
        let ids = peaks.ids();
        let mut points = vec![None; ids.len()];
        for (point, number) in (0u32..).zip(clusters.numbers_in(ids, no_density)?) {
            points[number as usize] = Some(point);
        }
        let candidates = peaks.candidates(run.monitor)?;
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
        Ok(List { rows: rows.collect(), ids: vec![ids.clone()] })
    }
}

//! `cluster_summary(clusters, source, ...)`: one row a cluster.

use super::knn_graph::{EMBEDDING, ID, SOURCE};
use super::suggest_splits::{CLUSTERS, StoredClusters};
use crate::core::embeddings::Precision;
use crate::core::summary::{Summary, summarize};
use crate::engine::prelude::*;
use crate::engine::values::{PointRows, no_embedding};

pub static FUNCTION: Function = Function {
    name: "cluster_summary",
    description: "What each cluster is like: its size, its most central point and how close its points are, by cosine.",
    returns: "Returns cluster_id, size, medoid_id (the point of least mean distance to the others), peak_id, mean_distance (of the points to their mean direction) and cohesion (mean cosine of two points, NULL for a single one), in order of cluster_id.",
    parameters: &[&CLUSTERS, &SOURCE, &ID, &EMBEDDING],
    examples: &["FROM cluster_summary('clusters', 'faces') ORDER BY cohesion LIMIT 20"],
    nested_example: None,
    build: |call| {
        let (id, embedding) = (call.column(&ID)?, call.column(&EMBEDDING)?);
        let clusters = call.relation(&CLUSTERS, StoredClusters::reads(&id))?;
        let source = call.relation(&SOURCE, Reads::points(&id, &embedding, Precision::F32, None))?;
        Ok(call.add(ClusterSummary { clusters, source }).node)
    },
};

#[derive(Debug, PartialEq)]
struct ClusterSummary {
    clusters: Input<StoredClusters>,
    source: Input<PointRows>,
}

struct SummaryRow {
    cluster: i64,
    peak: Option<u32>,
    summary: Summary,
}

impl Operator for ClusterSummary {
    type Output = List<SummaryRow>;

    fn inputs(&self) -> Vec<usize> {
        vec![self.clusters.node, self.source.node]
    }

    fn columns(&self) -> Vec<Column<List<SummaryRow>>> {
        vec![
            bigint("cluster_id", |list: &Self::Output, rows| list.each(rows, |row| row.cluster)),
            bigint("size", |list: &Self::Output, rows| list.each(rows, |row| row.summary.size as i64)),
            id("medoid_id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.summary.medoid)),
            id("peak_id", Whose::First, |list: &Self::Output, rows| list.some(rows, |row| row.peak)),
            double("mean_distance", |list: &Self::Output, rows| list.each(rows, |row| row.summary.mean_distance)),
            double("cohesion", |list: &Self::Output, rows| list.some(rows, |row| row.summary.cohesion)),
        ]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<SummaryRow>> {
        let clusters = run.read(self.clusters)?;
        let label = run.label(self.source);
        let PointRows { ids, embeddings } = run.take(self.source)?;
        let numbers = clusters.numbers_in(&ids, no_embedding)?;
        let (mut cluster, mut peaks) = (vec![None; ids.len()], vec![None; clusters.sizes.len()]);
        for (point, &number) in (0u32..).zip(&numbers) {
            let of_point = clusters.cluster[point as usize];
            cluster[number as usize] = Some(of_point);
            if clusters.is_peak(point) {
                peaks[of_point as usize].get_or_insert(number);
            }
        }
        let summaries = summarize(&embeddings, &cluster, peaks.len(), run.monitor).map_err(failed(&label, &ids))?;
        let rows = clusters.cluster_ids.iter().zip(peaks).zip(summaries);
        let rows = rows.map(|((&cluster, peak), summary)| SummaryRow { cluster, peak, summary }).collect();
        Ok(List { rows, ids: vec![ids] })
    }
}

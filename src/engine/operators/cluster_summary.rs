//! `cluster_summary(clusters, source, ...)`: one row a cluster.

use super::cluster_labels::{ANY_CLUSTERS, CLUSTER, ClusterLabels, members};
use super::knn_graph::{EMBEDDING, ID, SOURCE};
use crate::core::embeddings::Precision;
use crate::core::halves::halves;
use crate::core::summary::{Summary, summarize};
use crate::engine::prelude::*;
use crate::engine::values::PointRows;

pub static FUNCTION: Function = Function {
    name: "cluster_summary",
    description: "What each cluster is like: its size, its most central point, how close its points are, by cosine, and how much it looks like two.",
    returns: "Returns cluster_id, size, medoid_id (the point of least mean distance to the others), peak_id (NULL where clusters has no column is_peak), mean_distance (of the points to their mean direction), cohesion (mean cosine of two points) and doubt (mean cosine distance between the two parts that the cluster falls into most readily: the greatest are to be looked at first), both NULL for a single point, in order of cluster_id.",
    parameters: &[&ANY_CLUSTERS, &SOURCE, &ID, &EMBEDDING, &CLUSTER],
    examples: &[
        "FROM cluster_summary('clusters', 'faces') ORDER BY doubt DESC LIMIT 20",
        "FROM cluster_summary('people', 'photos', id := 'file', cluster := 'name')",
    ],
    nested_example: None,
    build: |call| {
        let (id, embedding) = (call.column(&ID)?, call.column(&EMBEDDING)?);
        let clusters = ClusterLabels::of(call, &ANY_CLUSTERS)?;
        let source = call.relation(&SOURCE, Reads::points(&id, &embedding, Precision::F32, None))?;
        Ok(call.add(ClusterSummary { clusters, source }).node)
    },
};

#[derive(Debug, PartialEq)]
struct ClusterSummary {
    clusters: Input<ClusterLabels>,
    source: Input<PointRows>,
}

struct SummaryRow {
    peak: Option<u32>,
    summary: Summary,
    doubt: Option<f64>,
}

impl Operator for ClusterSummary {
    type Output = List<SummaryRow>;

    fn inputs(&self) -> Vec<usize> {
        vec![self.clusters.node, self.source.node]
    }

    fn columns(&self) -> Vec<Column<List<SummaryRow>>> {
        vec![
            id("cluster_id", Whose::Label, |_: &Self::Output, rows| each(rows, |row| row as u32)),
            bigint("size", |list: &Self::Output, rows| list.each(rows, |row| row.summary.size as i64)),
            id("medoid_id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.summary.medoid)),
            id("peak_id", Whose::First, |list: &Self::Output, rows| list.some(rows, |row| row.peak)),
            double("mean_distance", |list: &Self::Output, rows| list.each(rows, |row| row.summary.mean_distance)),
            double("cohesion", |list: &Self::Output, rows| list.some(rows, |row| row.summary.cohesion)),
            double("doubt", |list: &Self::Output, rows| list.some(rows, |row| row.doubt)),
        ]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<SummaryRow>> {
        let clusters = run.read(self.clusters)?;
        let label = run.label(self.source);
        let PointRows { ids, embeddings } = run.take(self.source)?;
        let (cluster, peaks) = clusters.in_order_of(&ids)?;
        let mut peak_of = vec![None; clusters.labels.len()];
        for peak in peaks {
            if let Some(own) = cluster[peak as usize] {
                peak_of[own as usize].get_or_insert(peak);
            }
        }
        let (count, failed) = (peak_of.len(), failed(&label, &ids));
        let summaries = summarize(&embeddings, &cluster, count, run.monitor).map_err(&failed)?;
        let parts = halves(&embeddings, &members(&cluster, count), run.monitor).map_err(&failed)?;
        let rows = peak_of.into_iter().zip(summaries).zip(parts).map(|((peak, summary), parts)| {
            let doubt = (summary.size > 1).then(|| parts.map_or(0.0, |parts| parts.distance));
            SummaryRow { peak, summary, doubt }
        });
        Ok(List { rows: rows.collect(), ids: vec![ids, clusters.labels.clone()] })
    }
}

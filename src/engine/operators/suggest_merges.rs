//! `suggest_merges(clusters, density, distance, ...)`: clusters that nearly join.

use std::fmt::Display;

use super::cluster_labels::{CLUSTER, CLUSTERS_ID, ClusterLabels};
use super::knn_graph::{self, EMBEDDING, K};
use super::suggest_splits::{CLUSTERS, StoredClusters};
use super::transition_matrix;
use crate::core::likely::{Likely, likely};
use crate::core::links::Links;
use crate::core::suggest::{self, Merge};
use crate::engine::peaks::{self, PeakInputs};
use crate::engine::prelude::*;
use crate::engine::values::{Edges, GraphInput, PointSet};

pub static FUNCTION: Function = Function {
    name: "suggest_merges",
    description: "Pairs of clusters that are likely one, from the clusters and the embeddings; or, from densities and distances, those that would be one at a larger tau: the peak of one has its nearest neighbor of higher density in the other.",
    returns: "Returns from embeddings cluster_id, other_cluster_id, score (from 0 to 1), id and other_id (the two points that have most in common, one in each), size and other_size, likeliest first. From densities and distances cluster_id, other_cluster_id, delta (they join at any tau above it), peak_id (of the first), candidate_id (that neighbor, in the other), size and other_size, least delta first.",
    parameters: &[&CLUSTERS, &DENSITY, &DISTANCE, &CLUSTERS_ID, &EMBEDDING, &K, &CLUSTER],
    examples: &[
        "FROM suggest_merges('clusters', 'faces') LIMIT 20",
        "FROM suggest_merges('clusters', ndde('p'), tpdi('p')) LIMIT 20",
    ],
    nested_example: None,
    build: |call| {
        if !call.is_given(&DISTANCE) {
            return of_embeddings(call);
        }
        let id = call.column(&CLUSTERS_ID)?;
        let clusters = call.relation(&CLUSTERS, StoredClusters::reads(&id))?;
        let peaks = PeakInputs::of(call)?;
        Ok(call.add(SuggestMerges { clusters, peaks }).node)
    },
};

/// Read as the name of the embeddings where there is no distance.
const DENSITY: Parameter<StageOrRelation> = Parameter {
    description: "name of the relation with the embeddings; or, with a distance, ndde(...), or name of a relation with id and density",
    ..peaks::DENSITY
};
const DISTANCE: Parameter<OrNull<StageOrRelation>> = Parameter {
    name: peaks::DISTANCE.name,
    default: DefaultValue::Null,
    takes: OrNull(peaks::DISTANCE.takes),
    description: "tpdi(...), or name of a relation with src, dst and distance. NULL: pairs are judged by the embeddings",
};

/// Clusters of any method, judged by the embeddings alone.
fn of_embeddings(call: &mut Call<'_>) -> Checked<usize> {
    let StageOrName::Relation(source) = call.get(&DENSITY)? else {
        return Err(call.error("a density needs a distance beside it: tpdi(...)"));
    };
    let (id, embedding, k) = (call.column(&CLUSTERS_ID)?, call.column(&EMBEDDING)?, call.get(&K)?);
    let clusters = ClusterLabels::of(call, &CLUSTERS)?;
    let (points, graph) = knn_graph::by_cosine(call, "source", source, (&id, &embedding), k);
    let transition = transition_matrix::calibrated(call, GraphInput::Stage(graph));
    Ok(call.add(LikelyMerges { clusters, points, transition }).node)
}

#[derive(Debug, PartialEq)]
struct LikelyMerges {
    clusters: Input<ClusterLabels>,
    points: Input<PointSet>,
    transition: Input<Edges>,
}

struct LikelyRow {
    pair: Likely,
    sizes: (i64, i64),
}

impl Operator for LikelyMerges {
    type Output = List<LikelyRow>;

    fn inputs(&self) -> Vec<usize> {
        vec![self.clusters.node, self.points.node, self.transition.node]
    }

    fn columns(&self) -> Vec<Column<List<LikelyRow>>> {
        vec![
            id("cluster_id", Whose::Label, |list: &Self::Output, rows| list.each(rows, |row| row.pair.clusters.0)),
            id("other_cluster_id", Whose::Label, |list: &Self::Output, rows| {
                list.each(rows, |row| row.pair.clusters.1)
            }),
            double("score", |list: &Self::Output, rows| list.each(rows, |row| row.pair.score)),
            id("id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.pair.points.0)),
            id("other_id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.pair.points.1)),
            bigint("size", |list: &Self::Output, rows| list.each(rows, |row| row.sizes.0)),
            bigint("other_size", |list: &Self::Output, rows| list.each(rows, |row| row.sizes.1)),
        ]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<LikelyRow>> {
        let clusters = run.read(self.clusters)?;
        let points = run.value(self.points)?;
        let (cluster, _) = clusters.in_order_of(&points.ids)?;
        let transition = Edges::of(run, self.transition)?;
        let failed = failed(&points.label, &points.ids);
        let links = Links::new(&transition.matrix, run.monitor).map_err(&failed)?;
        let mut sizes = vec![0i64; clusters.labels.len()];
        cluster.iter().flatten().for_each(|&own| sizes[own as usize] += 1);
        let pairs = likely(&links, &points.points, &cluster, sizes.len(), run.monitor).map_err(&failed)?;
        let rows = pairs.into_iter().map(|pair| {
            let (a, b) = pair.clusters;
            LikelyRow { pair, sizes: (sizes[a as usize], sizes[b as usize]) }
        });
        Ok(List { rows: rows.collect(), ids: vec![points.ids.clone(), clusters.labels.clone()] })
    }
}

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

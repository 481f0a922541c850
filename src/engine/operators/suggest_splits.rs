//! `suggest_splits(clusters, ...)`: clusters that one weak link holds together; and what is read of a
//! stored clustering.

use std::fmt::Display;
use std::sync::Arc;

use super::cluster_labels::{CLUSTER, CLUSTERS_ID, ClusterLabels, members};
use super::knn_graph::EMBEDDING;
use crate::core::embeddings::Precision;
use crate::core::halves::halves;
use crate::core::suggest::{self, Split};
use crate::core::summary::summarize;
use crate::engine::prelude::*;
use crate::engine::values::{MADE_BY_DPC, PointRows};

pub static FUNCTION: Function = Function {
    name: "suggest_splits",
    description: "Where each cluster falls in two: with the embeddings the two parts that have least in common, of clusters of any method; without them at its weakest link, the longest step to a parent that has enough points on both sides.",
    returns: "Returns with a source cluster_id, doubt (mean cosine distance between the two parts), id and other_id (the most central point of each part), size and other_size, most doubtful first. Without it cluster_id, delta (length of the link), id and parent_id (its ends), size_below (points that hang on id, itself included) and size_above (the other points of the cluster), greatest delta first. Clusters without such a link are left out.",
    parameters: &[&CLUSTERS, &MIN_SIZE, &CLUSTERS_ID, &SOURCE, &EMBEDDING, &CLUSTER],
    examples: &[
        "FROM suggest_splits('clusters', min_size := 5) LIMIT 20",
        "FROM suggest_splits('clusters', source := 'faces') LIMIT 20",
    ],
    nested_example: None,
    build: |call| {
        let (min_size, id) = (call.get(&MIN_SIZE)?, call.column(&CLUSTERS_ID)?);
        if let Some(source) = call.get(&SOURCE)? {
            let embedding = call.column(&EMBEDDING)?;
            let clusters = ClusterLabels::of(call, &CLUSTERS)?;
            let source = call.read(SOURCE.name, source, Reads::points(&id, &embedding, Precision::F32, None));
            return Ok(call.add(SuggestParts { clusters, source, min_size }).node);
        }
        let clusters = call.relation(&CLUSTERS, StoredClusters::reads(&id))?;
        Ok(call.add(SuggestSplits { clusters, min_size }).node)
    },
};

pub const CLUSTERS: Parameter<RelationName> = Parameter {
    name: "clusters",
    default: DefaultValue::Required,
    takes: OF_POINTS,
    description: "name of a relation that dpc_cluster(...) or cluster_embeddings(...) gave",
};
const MIN_SIZE: Parameter<Count> = Parameter {
    name: "min_size",
    default: DefaultValue::Integer(2),
    takes: Count(1),
    description: "points on either side of the link, at least 1",
};

const SOURCE: Parameter<OrNull<RelationName>> = Parameter {
    name: "source",
    default: DefaultValue::Null,
    takes: OrNull(OF_POINTS),
    description: "name of the relation with the embeddings, for clusters of any method. NULL: the clusters' own links are looked at",
};

/// The two parts of each cluster by the embeddings.
#[derive(Debug, PartialEq)]
struct SuggestParts {
    clusters: Input<ClusterLabels>,
    source: Input<PointRows>,
    min_size: usize,
}

struct PartsRow {
    cluster: u32,
    doubt: f64,
    medoids: [u32; 2],
    sizes: [usize; 2],
}

impl Operator for SuggestParts {
    type Output = List<PartsRow>;

    fn inputs(&self) -> Vec<usize> {
        vec![self.clusters.node, self.source.node]
    }

    fn columns(&self) -> Vec<Column<List<PartsRow>>> {
        vec![
            id("cluster_id", Whose::Label, |list: &Self::Output, rows| list.each(rows, |row| row.cluster)),
            double("doubt", |list: &Self::Output, rows| list.each(rows, |row| row.doubt)),
            id("id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.medoids[0])),
            id("other_id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.medoids[1])),
            bigint("size", |list: &Self::Output, rows| list.each(rows, |row| row.sizes[0] as i64)),
            bigint("other_size", |list: &Self::Output, rows| list.each(rows, |row| row.sizes[1] as i64)),
        ]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<PartsRow>> {
        let clusters = run.read(self.clusters)?;
        let label = run.label(self.source);
        let PointRows { ids, embeddings } = run.take(self.source)?;
        let (cluster, _) = clusters.in_order_of(&ids)?;
        let failed = failed(&label, &ids);
        let found = halves(&embeddings, &members(&cluster, clusters.labels.len()), run.monitor).map_err(&failed)?;
        let smaller = |parts: &[Vec<u32>; 2]| parts.iter().map(Vec::len).min().unwrap_or(0);
        let found = (0u32..).zip(found).filter_map(|(cluster, parts)| parts.map(|parts| (cluster, parts)));
        let found: Vec<_> = found.filter(|(_, halves)| smaller(&halves.parts) >= self.min_size).collect();
        // Each part as a cluster of its own, for its medoid.
        let mut of_part = vec![None; ids.len()];
        for (part, points) in (0u32..).zip(found.iter().flat_map(|(_, halves)| &halves.parts)) {
            points.iter().for_each(|&point| of_part[point as usize] = Some(part));
        }
        let parts = summarize(&embeddings, &of_part, 2 * found.len(), run.monitor).map_err(&failed)?;
        let rows = found.iter().zip(parts.chunks_exact(2));
        let mut rows: Vec<PartsRow> = rows
            .map(|((cluster, halves), parts)| PartsRow {
                cluster: *cluster,
                doubt: halves.distance,
                medoids: [parts[0].medoid, parts[1].medoid],
                sizes: [parts[0].size, parts[1].size],
            })
            .collect();
        rows.sort_by(|a, b| b.doubt.total_cmp(&a.doubt).then(a.cluster.cmp(&b.cluster)));
        Ok(List { rows, ids: vec![ids, clusters.labels.clone()] })
    }
}

#[derive(Debug, PartialEq)]
struct SuggestSplits {
    clusters: Input<StoredClusters>,
    min_size: usize,
}

struct SplitRow {
    cluster: i64,
    split: Split,
}

impl Operator for SuggestSplits {
    type Output = List<SplitRow>;

    fn inputs(&self) -> Vec<usize> {
        vec![self.clusters.node]
    }

    fn columns(&self) -> Vec<Column<List<SplitRow>>> {
        vec![
            bigint("cluster_id", |list: &Self::Output, rows| list.each(rows, |row| row.cluster)),
            double("delta", |list: &Self::Output, rows| list.each(rows, |row| row.split.delta)),
            id("id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.split.point)),
            id("parent_id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.split.parent)),
            bigint("size_below", |list: &Self::Output, rows| list.each(rows, |row| row.split.below as i64)),
            bigint("size_above", |list: &Self::Output, rows| list.each(rows, |row| row.split.rest as i64)),
        ]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<SplitRow>> {
        let clusters = run.read(self.clusters)?;
        let parents = clusters.parent.iter().enumerate();
        let parents = parents.map(|(row, parent)| parent.ok_or(Cause::Point(row as u32, no_parent)));
        let parents = parents.collect::<Result<Vec<u32>, Cause>>().map_err(clusters.failed())?;
        let splits = suggest::splits(&parents, &clusters.delta, self.min_size).map_err(clusters.failed())?;
        let cluster = |point: u32| clusters.cluster_ids[clusters.cluster[point as usize] as usize];
        let rows = splits.into_iter().map(|split| SplitRow { cluster: cluster(split.point), split }).collect();
        Ok(List { rows, ids: vec![clusters.ids.clone()] })
    }
}

fn no_parent(id: &dyn Display) -> String {
    format!("the parent of id {id} has no row of its own; give whole clusters")
}

/// A relation's clusters, its points in order of their ids.
pub struct StoredClusters {
    pub ids: Arc<Ids>,
    /// Number of each point's cluster, in order of the cluster ids.
    pub cluster: Vec<u32>,
    pub cluster_ids: Vec<i64>,
    pub sizes: Vec<usize>,
    /// `None` for a parent that is no point.
    parent: Vec<Option<u32>>,
    delta: Vec<f64>,
    label: String,
}

impl StoredClusters {
    /// What is read of a clustering; a delta of NULL is NaN.
    pub fn reads(id: &str) -> Reads {
        let cluster = Field::Integer { column: "cluster_id", null: Null::Refuse("leave the row out") };
        let delta = Field::Number { column: "delta", null: Null::Is(f64::NAN) };
        Reads::by_id(id, MADE_BY_DPC, vec![Field::OtherId { column: "parent_id" }, cluster, delta])
    }

    fn failed<C: Into<Cause>>(&self) -> impl Fn(C) -> Failure + use<C> {
        failed(&self.label, &self.ids)
    }

    pub fn is_peak(&self, point: u32) -> bool {
        self.parent[point as usize] == Some(point)
    }

    /// The number of each point among others, which have them all.
    pub fn numbers_in(&self, others: &Ids, missing: fn(&dyn Display) -> String) -> Result<Vec<u32>> {
        let numbers = self.ids.numbers_in(others).into_iter().enumerate();
        let numbers = numbers.map(|(row, number)| number.ok_or(Cause::Point(row as u32, missing)));
        numbers.collect::<Result<_, Cause>>().map_err(self.failed())
    }
}

impl FromRows for StoredClusters {
    fn from_rows(rows: Collected, label: &str, run: &Run<'_>) -> Result<Self> {
        // Parents, and the clusters' numbers with what finds them.
        let count = rows.len();
        run.limits.check_more(label, || format!("{count} rows"), count as u64 * 24)?;
        let mut rows = Sorted::new(rows, label)?;
        let (parent, clusters, delta) = (rows.other_ids(), rows.integers(), rows.numbers());
        let (cluster, cluster_ids) = numbered(&clusters);
        let mut sizes = vec![0; cluster_ids.len()];
        cluster.iter().for_each(|&cluster| sizes[cluster as usize] += 1);
        Ok(Self { ids: rows.ids, cluster, cluster_ids, sizes, parent, delta, label: label.into() })
    }
}

/// The number of each point's cluster, in order of the cluster ids, and those.
pub fn numbered(clusters: &[i64]) -> (Vec<u32>, Vec<i64>) {
    let mut ids = clusters.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let number = |cluster: &i64| ids.partition_point(|id| id < cluster) as u32;
    (clusters.iter().map(number).collect(), ids)
}

//! `kmeans_cluster(source, clusters, ...)`: k-means, which needs no graph.

use super::cluster_with::PointGroups;
use super::knn_graph::{EMBEDDING, ID, SOURCE};
use crate::core::embeddings::Precision;
use crate::core::knn::Metric;
use crate::core::methods::{self, Kmeans, kmeans};
use crate::engine::prelude::*;
use crate::engine::values::PointRows;

pub static FUNCTION: Function = Function {
    name: "kmeans_cluster",
    description: "Cluster points into a given number of clusters by k-means: Lloyd's algorithm from a k-means++ start.",
    returns: "Returns id and cluster_id (0, 1, 2, ... in order of the smallest ids).",
    parameters: &[&SOURCE, &CLUSTERS, &METRIC, &MAX_ITERATIONS, &ID, &EMBEDDING],
    examples: &["FROM kmeans_cluster('faces', clusters := 100)"],
    nested_example: None,
    build: |call| {
        let (id, embedding) = (call.column(&ID)?, call.column(&EMBEDDING)?);
        check_name(call, &id, "cluster_id")?;
        let options = Kmeans {
            clusters: call.get(&CLUSTERS)?,
            metric: call.get(&METRIC)?,
            max_iterations: call.get(&MAX_ITERATIONS)?,
        };
        let source = call.relation(&SOURCE, Reads::points(&id, &embedding, Precision::F32, None))?;
        Ok(call.add(KmeansCluster { source, id, options }).node)
    },
};

/// The result has a column of the ids and this one.
pub fn check_name(call: &Call<'_>, id: &str, other: &str) -> Checked<()> {
    if id.eq_ignore_ascii_case(other) {
        return Err(call.error(format!("id := '{id}' is also another column of the result; rename it in a view")));
    }
    Ok(())
}

const CLUSTERS: Parameter<Count> = Parameter {
    name: "clusters",
    default: DefaultValue::Required,
    takes: Count(1),
    description: "number of clusters, at least 1 and at most that of the points",
};
const METRIC: Parameter<Choice<Metric>> = Parameter {
    name: "metric",
    default: DefaultValue::Text("cosine"),
    takes: Choice(|| {
        let of = |metric: Metric, meaning| (metric.name(), metric, meaning);
        vec![
            of(Metric::Cosine, "of the embeddings scaled to length 1"),
            of(Metric::L2sq, "of the embeddings as they are"),
        ]
    }),
    description: "distance to a center",
};
const MAX_ITERATIONS: Parameter<Count> = Parameter {
    name: "max_iterations",
    default: DefaultValue::Integer(methods::MAX_ITERATIONS as i32),
    takes: Count(1),
    description: "moves of the centers at most, at least 1",
};

#[derive(Debug, PartialEq)]
struct KmeansCluster {
    source: Input<PointRows>,
    id: String,
    options: Kmeans,
}

impl Operator for KmeansCluster {
    type Output = PointGroups;

    fn inputs(&self) -> Vec<usize> {
        vec![self.source.node]
    }

    fn columns(&self) -> Vec<Column<PointGroups>> {
        PointGroups::columns(&self.id)
    }

    fn run(&self, run: &mut Run<'_>) -> Result<PointGroups> {
        let label = run.label(self.source);
        let PointRows { ids, embeddings } = run.take(self.source)?;
        let (points, dim, clusters) = (embeddings.len(), embeddings.dim(), self.options.clusters);
        // The features in single precision and as the search for the nearest center keeps them, and the
        // centers before and after a move.
        let need = (points * (8 * dim + 64) + clusters.min(points) * dim * 16) as u64;
        let what = || format!("{points} embeddings of {dim} dimensions with clusters := {clusters}");
        run.limits.check(&label, what, need, "")?;
        let clusters = kmeans(embeddings, &self.options, run.monitor).map_err(failed(&label, &ids))?;
        Ok(PointGroups { clusters, ids })
    }
}

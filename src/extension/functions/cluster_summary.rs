//! `cluster_summary(clusters, source, ...)`: one row a cluster.

use super::super::plan::{ClusterSummary, Input, Plan};
use super::knn_graph::{EMBEDDING, ID, SOURCE};
use super::{Default, Parameter, Stage};

pub static STAGE: Stage = Stage {
    name: "cluster_summary",
    description: "What each cluster is like: its size, its most central point and how close its points are, by cosine.",
    returns: "Returns cluster_id, size, medoid_id (the point of least mean distance to the others), peak_id, mean_distance (of the points to their mean direction) and cohesion (mean cosine of two points, NULL for a single one), in order of cluster_id.",
    parameters: &[CLUSTERS, SOURCE, ID, EMBEDDING],
    examples: &["FROM cluster_summary('clusters', 'faces') ORDER BY cohesion LIMIT 20"],
    nested_example: None,
    plan: |arguments| {
        Ok(Plan::ClusterSummary(ClusterSummary {
            clusters: Input::Relation(arguments.relation("clusters")?),
            source: Input::Relation(arguments.relation("source")?),
            id: arguments.column("id")?,
            embedding: arguments.column("embedding")?,
        }))
    },
};

pub const CLUSTERS: Parameter = Parameter {
    name: "clusters",
    default: Default::Required,
    description: "name of a relation that dpc_cluster(...) or cluster_embeddings(...) gave",
};

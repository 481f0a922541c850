//! `kmeans_cluster(source, clusters, ...)`: k-means, which needs no graph.

use super::super::plan::{Input, KmeansCluster, Plan};
use super::knn_graph::{EMBEDDING, ID, SOURCE};
use super::{Default, Parameter, Stage};
use crate::core::knn::Metric;
use crate::core::methods::Kmeans;

pub static STAGE: Stage = Stage {
    name: "kmeans_cluster",
    description: "Cluster points into a given number of clusters by k-means: Lloyd's algorithm from a k-means++ start.",
    returns: "Returns id and cluster_id (0, 1, 2, ... in order of the smallest ids).",
    parameters: &[
        SOURCE,
        Parameter {
            name: "clusters",
            default: Default::Required,
            description: "number of clusters, at least 1 and at most that of the points",
        },
        Parameter {
            name: "metric",
            default: Default::Text("cosine"),
            description: "'cosine' (of the embeddings scaled to length 1) or 'l2sq' (of the embeddings as they are)",
        },
        Parameter {
            name: "max_iterations",
            default: Default::Integer(100),
            description: "moves of the centers at most, at least 1",
        },
        ID,
        EMBEDDING,
    ],
    examples: &["FROM kmeans_cluster('faces', clusters := 100)"],
    nested_example: None,
    plan: |arguments| {
        let id = arguments.column("id")?;
        if id.eq_ignore_ascii_case("cluster_id") {
            return Err(
                arguments.error(format!("id := '{id}' is also another column of the result; rename it in a view"))
            );
        }
        Ok(Plan::KmeansCluster(KmeansCluster {
            source: Input::Relation(arguments.relation("source")?),
            id,
            embedding: arguments.column("embedding")?,
            options: Kmeans {
                clusters: arguments.count("clusters", 1)?,
                metric: arguments.choice("metric", &[("cosine", Metric::Cosine), ("l2sq", Metric::L2sq)])?,
                max_iterations: arguments.count("max_iterations", 1)?,
            },
        }))
    },
};

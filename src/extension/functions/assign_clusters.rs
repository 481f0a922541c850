//! `assign_clusters(source, base, clusters, ...)`: new rows for a clustering that stands.

use super::super::plan::{AssignClusters, Input, Plan};
use super::cluster_embeddings::id;
use super::cluster_summary::CLUSTERS;
use super::dpc_cluster::{TAU, tau};
use super::knn_graph::{EMBEDDING, ID, K, METRIC, PRECISION, metric, precision};
use super::transition_matrix::{KERNEL, SIGMA, kernel};
use super::{Default, Parameter, Stage};

pub static STAGE: Stage = Stage {
    name: "assign_clusters",
    description: "The cluster that each new row joins, by the same distances as in cluster_embeddings and without clustering the old rows again; each new row on its own.",
    returns: "Returns the columns of cluster_embeddings for the new rows: id, cluster_id (NULL for a row that joins none), parent_id (the row of base that it joined, else its own id), delta (distance to that row, else to its nearest neighbor of higher density, NULL without one), density and is_peak (whether it joined none).",
    parameters: &[
        Parameter {
            name: "source",
            default: Default::Required,
            description: "name of a relation with the new rows, one row a point; their ids are not in base",
        },
        Parameter {
            name: "base",
            default: Default::Required,
            description: "name of the relation that was clustered, with the same columns",
        },
        CLUSTERS,
        K,
        TAU,
        METRIC,
        ID,
        EMBEDDING,
        KERNEL,
        SIGMA,
        PRECISION,
    ],
    examples: &[
        "FROM assign_clusters('new_faces', base := 'faces', clusters := 'clusters')",
        "INSERT INTO clusters FROM assign_clusters('new_faces', base := 'faces', clusters := 'clusters') WHERE cluster_id IS NOT NULL",
    ],
    nested_example: None,
    plan: |arguments| {
        let (kernel, sigma) = kernel(arguments)?;
        let sigma = sigma.ok_or_else(|| {
            arguments.error("sigma := 'auto' is for a whole graph, and each new row comes alone; name the number")
        })?;
        let tau = tau(arguments)?.ok_or_else(|| {
            arguments.error("tau := 'auto' is for a whole clustering, and each new row comes alone; name the number")
        })?;
        Ok(Plan::AssignClusters(AssignClusters {
            source: Input::Relation(arguments.relation("source")?),
            base: Input::Relation(arguments.relation("base")?),
            clusters: Input::Relation(arguments.relation("clusters")?),
            id: id(arguments)?,
            embedding: arguments.column("embedding")?,
            k: arguments.count("k", 1)?,
            metric: metric(arguments)?,
            precision: precision(arguments)?,
            kernel,
            sigma,
            tau,
        }))
    },
};

//! The clusterings to compare with: `cluster_with`, `kmeans_cluster`.

use std::sync::Arc;

use super::super::ids::Ids;
use super::super::job::Failure;
use super::super::plan::{ClusterWith, Input, KmeansCluster, Plan};
use super::super::sql::Relation;
use super::graph::Graph;
use super::{Edges, Result, Run, Table, failed, read_by, too_large};
use crate::core::methods::{cluster_graph, from_knn_graph, kmeans};

impl Run<'_> {
    pub(super) fn cluster_with(&mut self, plan: &Plan, stage: &ClusterWith) -> Result<(Vec<Arc<Ids>>, Table)> {
        let edges = match &stage.graph {
            Input::Stage(inner) => {
                let Plan::KnnGraph(inner) = &**inner else { unreachable!("only a graph is taken as a graph") };
                let Graph { graph, src: ids, .. } = self.graph(inner)?.over_all_points();
                let label = Relation::points(inner).label();
                let matrix = from_knn_graph(&graph, self.monitor).map_err(failed(&label, &ids))?;
                Edges { matrix: Arc::new(matrix), ids, label }
            }
            Input::Relation(_) => self.given_edges(&read_by(plan, 0))?,
        };
        let (points, count) = (edges.ids.len(), edges.matrix.nnz());
        let (need, limit) = (stage.method.memory(points, count), self.limits.memory);
        if need > limit {
            let error = too_large(&format!("{} of {count} edges", plan.name()), need, limit, "use a smaller k, or ");
            return Err(Failure { label: Some(edges.label), error, ids: None });
        }
        let clusters = cluster_graph(&edges.matrix, &stage.method, self.monitor).map_err(edges.failed())?;
        Ok((vec![edges.ids], Table::Groups(clusters)))
    }

    pub(super) fn kmeans(&mut self, plan: &Plan, stage: &KmeansCluster) -> Result<(Vec<Arc<Ids>>, Table)> {
        let relation = read_by(plan, 0);
        let (ids, embeddings) = self.collected_points(&relation)?;
        let (points, dim, clusters) = (embeddings.len(), embeddings.dim(), stage.options.clusters);
        // The features in single precision and as the search for the nearest center keeps them, and the
        // centers before and after a move.
        let need = (points * (8 * dim + 64) + clusters.min(points) * dim * 16) as u64;
        if need > self.limits.memory {
            let what = format!("{points} embeddings of {dim} dimensions with clusters := {clusters}");
            let error = too_large(&what, need, self.limits.memory, "");
            return Err(Failure { label: Some(relation.label()), error, ids: None });
        }
        let clusters = kmeans(embeddings, &stage.options, self.monitor).map_err(failed(&relation.label(), &ids))?;
        Ok((vec![ids], Table::Groups(clusters)))
    }
}

//! `cluster_embeddings` with `partition_by`: a run for each partition.

use std::sync::Arc;

use super::super::collect::Collected;
use super::super::ids::Ids;
use super::super::job::Failure;
use super::super::plan::{KnnGraph, Ndde, TransitionMatrix};
use super::super::sql::Relation;
use super::constrained::Pairs;
use super::peaks::Peaks;
use super::{Edges, Result, Run, failed, kernel, unique};
use crate::core::embeddings::Precision;
use crate::core::error::{EdgeProblem, Error};
use crate::core::ndde::NddeOptions;
use crate::core::partitions::densities_and_distances;
use crate::core::pipeline::ClusterOptions;

/// The partition of each point, `None` for NULL, and the values that they number.
pub struct Partitions {
    pub ids: Arc<Ids>,
    pub of: Vec<Option<u32>>,
}

impl Run<'_> {
    /// Densities and distances of each partition on its own. No pair of `must_link` may be of two.
    pub(super) fn partitioned_peaks(
        &mut self,
        (graph, transition, ndde): (&KnnGraph, &TransitionMatrix, &Ndde),
        must_link: Option<&Pairs>,
    ) -> Result<(Peaks, Partitions)> {
        let relation = Relation::points(graph);
        let label = relation.label();
        let Collected::Points { ids, rows, partitions: Some((values, numbers)) } = self.take(&relation) else {
            unreachable!("points were collected with their partitions")
        };
        let (ids, order) = unique(ids, &label)?;
        let (values, of_values) = values.into_ids().sorted();
        let mut place = vec![0; of_values.len()];
        (0u32..).zip(&of_values).for_each(|(new, &old)| place[old as usize] = new);
        let of: Vec<Option<u32>> =
            order.iter().map(|&at| numbers[at as usize].map(|number| place[number as usize])).collect();
        if let Some(must_link) = must_link {
            let apart = |&(a, b): &(u32, u32)| of[a as usize] != of[b as usize];
            if let Some((a, b)) = must_link.of(&ids)?.into_iter().find(apart) {
                return Err(failed(&must_link.label, &ids)(Error::edge(a as usize, b, EdgeProblem::Partitions)));
            }
        }
        // Those of NULL are one more partition.
        let mut members = vec![Vec::new(); values.len() + 1];
        for (row, value) in (0u32..).zip(&of) {
            members[value.map_or(values.len(), |value| value as usize)].push(row);
        }
        members.retain(|rows| !rows.is_empty());

        let dim = rows.dim().unwrap_or(0);
        self.check_partitions(graph, order.len(), &members, dim).map_err(|error| Failure {
            label: Some(label.clone()),
            error,
            ids: None,
        })?;
        let mut points = rows.finish(self.monitor).map_err(failed(&label, &ids))?;
        points.permute(&order, self.monitor).map_err(failed(&label, &ids))?;
        let options = ClusterOptions {
            metric: graph.metric,
            knn: graph.options(),
            kernel: kernel(transition.kernel, transition.sigma.expect("'auto' was refused with partition_by")),
            ndde: NddeOptions { epsilon: ndde.epsilon, max_iterations: ndde.max_iterations },
            ..Default::default()
        };
        let (density, matrix) =
            densities_and_distances(&points, &members, &options, self.monitor).map_err(failed(&label, &ids))?;
        let distances = Edges { matrix: Arc::new(matrix), ids, label: label.clone() };
        Ok((Peaks { density, distances, label }, Partitions { ids: Arc::new(values), of }))
    }

    /// Refuse work that does not fit: all points and distances, and as many partitions at work as there
    /// are threads.
    fn check_partitions(&self, graph: &KnnGraph, points: usize, members: &[Vec<u32>], dim: usize) -> Result<(), Error> {
        let largest = members.iter().map(Vec::len).max().unwrap_or(0);
        let at_work = self.limits.threads.min(members.len()) as u64;
        let needs = |precision: Precision, k: usize| {
            let row_bytes = precision.row_bytes(dim) as u64 + 8;
            let edges = |points: usize| points as u64 * (k.min(largest) as u64 + 1);
            points as u64 * row_bytes
                + edges(points) * 24
                + at_work * self.need(graph, precision, k, (largest, largest, dim))
        };
        let what =
            format!("{points} embeddings of {dim} dimensions in {} partitions with k := {}", members.len(), graph.k);
        self.check_fits(graph, largest, &what, needs)
    }
}

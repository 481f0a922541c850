//! A transition matrix without the steps between what may not share a cluster.

use std::sync::Arc;

use super::pairs::{GivenPairs, Pairs};
use crate::core::cluster_tree;
use crate::core::constraints::Constraints;
use crate::core::separation::{of_distances, of_graph, of_similarities};
use crate::engine::prelude::*;
use crate::engine::values::{Edges, GraphInput, WholeGraph, edge_columns};

/// The transition matrix of a graph without the steps between what pairs keep apart.
pub fn build(call: &mut Call<'_>, graph: GraphInput, transition: Input<Edges>, pairs: GivenPairs) -> Input<Edges> {
    let GivenPairs { must_link, cannot_link } = pairs;
    match cannot_link {
        Some(cannot_link) => call.add(Separated { graph, transition, must_link, cannot_link }),
        None => transition,
    }
}

#[derive(Debug, PartialEq)]
struct Separated {
    graph: GraphInput,
    transition: Input<Edges>,
    must_link: Option<Input<Pairs>>,
    cannot_link: Input<Pairs>,
}

impl Operator for Separated {
    type Output = Edges;

    fn inputs(&self) -> Vec<usize> {
        let must_link = self.must_link.map(|pairs| pairs.node);
        [self.transition.node, self.graph.node(), self.cannot_link.node].into_iter().chain(must_link).collect()
    }

    fn columns(&self) -> Vec<Column<Edges>> {
        edge_columns("probability", |edges| edges)
    }

    fn edge_bytes(&self) -> u64 {
        // The graph, and the links of P by a kernel of its own with the clusters of them.
        8 + cluster_tree::memory(1)
    }

    fn run(&self, run: &mut Run<'_>) -> Result<Edges> {
        // What is given is checked before the long work.
        let must_link = self.must_link.map(|pairs| Pairs::of(run, pairs)).transpose()?;
        let cannot_link = Pairs::of(run, self.cannot_link)?;
        Pairs::check_contradictions(must_link.as_deref(), &cannot_link)?;
        let monitor = run.monitor;
        let constraints = |ids: &Ids| -> Result<Constraints> {
            let must_link = must_link.map_or(Ok(vec![]), |pairs| pairs.numbered(ids))?;
            Ok(Constraints { must_link, cannot_link: cannot_link.numbered(ids)? })
        };
        let sides = match self.graph {
            GraphInput::Stage(graph) => {
                let graph = WholeGraph::new(run.value(graph)?);
                let constraints = constraints(graph.ids())?;
                of_graph(graph.graph(), &constraints, monitor).map_err(failed(graph.label(), graph.ids()))?
            }
            GraphInput::Relation(edges) => {
                let edges = Edges::of(run, edges)?;
                let of = if edges.similarity { of_similarities } else { of_distances };
                of(&edges.matrix, &constraints(&edges.ids)?, monitor).map_err(edges.failed())?
            }
        };
        let edges = Edges::of(run, self.transition)?;
        let Some(sides) = sides else { return Ok(edges) };
        let matrix = sides.separate(&edges.matrix, monitor).map_err(edges.failed())?;
        Ok(Edges { matrix: Arc::new(matrix), ..edges })
    }
}

//! A transition matrix without the steps between what may not share a cluster.

use std::sync::Arc;

use super::pairs::GivenPairs;
use crate::core::separation::{of_distances, of_graph, of_similarities};
use crate::engine::prelude::*;
use crate::engine::values::{Edges, GraphInput, WholeGraph, edge_columns, tree_bytes};

/// The transition matrix of a graph without the steps between what pairs keep apart.
pub fn build(call: &mut Call<'_>, graph: GraphInput, transition: Input<Edges>, pairs: GivenPairs) -> Input<Edges> {
    match pairs.cannot_link {
        Some(_) => call.add(Separated { graph, transition, pairs }),
        None => transition,
    }
}

/// Bytes an edge: the graph, P, another P by a kernel of its own, and the links and clusters of that one.
pub fn edge_bytes() -> u64 {
    20 + tree_bytes()
}

#[derive(Debug, PartialEq)]
struct Separated {
    graph: GraphInput,
    transition: Input<Edges>,
    pairs: GivenPairs,
}

impl Operator for Separated {
    type Output = Edges;

    fn inputs(&self) -> Vec<usize> {
        [self.transition.node, self.graph.node()].into_iter().chain(self.pairs.nodes()).collect()
    }

    fn columns(&self) -> Vec<Column<Edges>> {
        edge_columns("probability", |edges| edges)
    }

    fn edge_bytes(&self) -> u64 {
        edge_bytes()
    }

    fn seconds(&self, extent: Extent) -> f64 {
        extent.edges as f64 * 1.5e-6
    }

    fn run(&self, run: &mut Run<'_>) -> Result<Edges> {
        // What is given is checked before the long work.
        let pairs = self.pairs.read(run)?;
        let monitor = run.monitor;
        let (matrix, edges) = match self.graph {
            GraphInput::Stage(graph) => {
                let graph = WholeGraph::new(run.value(graph)?);
                let constraints = pairs.constraints(graph.ids())?;
                let edges = Edges::of(run, self.transition)?;
                let matrix = of_graph(graph.graph(), &edges.matrix, &constraints, monitor);
                (matrix.map_err(failed(graph.label(), graph.ids()))?, edges)
            }
            GraphInput::Relation(graph) => {
                let graph = Edges::of(run, graph)?;
                let constraints = pairs.constraints(&graph.ids)?;
                let edges = Edges::of(run, self.transition)?;
                let of = if graph.similarity { of_similarities } else { of_distances };
                (of(&graph.matrix, &edges.matrix, &constraints, monitor).map_err(graph.failed())?, edges)
            }
        };
        Ok(Edges { matrix: matrix.map_or(edges.matrix, Arc::new), ..edges })
    }
}

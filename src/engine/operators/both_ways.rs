//! Edges of a relation in both directions, where it names each pair once.

use std::sync::Arc;

use crate::core::sparse::{both_ways, is_one_way};
use crate::engine::prelude::*;
use crate::engine::values::{Edges, edge_columns};

pub const UNDIRECTED: Parameter<FlagOrAuto> = Parameter {
    name: "undirected",
    default: DefaultValue::Text("auto"),
    takes: FlagOrAuto,
    description: "whether an edge of a relation counts in both directions where it has one alone; 'auto': if no pair of the relation has both",
};

/// The edges of a relation, those that lack their reverse with it.
#[derive(Debug, PartialEq)]
pub struct BothWays {
    pub edges: Input<Edges>,
    /// `None`: if no edge has its reverse.
    pub undirected: Option<bool>,
}

impl Operator for BothWays {
    type Output = Edges;

    fn inputs(&self) -> Vec<usize> {
        vec![self.edges.node]
    }

    fn columns(&self) -> Vec<Column<Edges>> {
        edge_columns("value", |edges| edges)
    }

    fn run(&self, run: &mut Run<'_>) -> Result<Edges> {
        let edges = Edges::of(run, self.edges)?;
        let failed = edges.failed();
        let wanted = match self.undirected {
            Some(undirected) => undirected,
            None => is_one_way(&edges.matrix, run.monitor).map_err(&failed)?,
        };
        if !wanted {
            return Ok(edges);
        }
        // The edges, their transpose and both.
        let (count, what) = (edges.matrix.nnz(), "edges in both directions");
        run.limits.check(&edges.label, || format!("{count} {what}"), count as u64 * 48, "")?;
        let matrix = both_ways(&edges.matrix, run.monitor).map_err(failed)?;
        Ok(Edges { matrix: Arc::new(matrix), ..edges })
    }
}

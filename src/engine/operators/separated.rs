//! A transition matrix without the steps between what may not share a cluster.

use std::sync::Arc;

use super::pairs::{GivenPairs, Pairs};
use crate::core::cluster_tree;
use crate::core::constraints::Constraints;
use crate::core::separation::separated;
use crate::engine::prelude::*;
use crate::engine::values::{Edges, edge_columns};

/// The transition matrix without the steps between what pairs keep apart.
pub fn build(call: &mut Call<'_>, transition: Input<Edges>, pairs: GivenPairs) -> Input<Edges> {
    let GivenPairs { must_link, cannot_link } = pairs;
    match cannot_link {
        Some(cannot_link) => call.add(Separated { transition, must_link, cannot_link }),
        None => transition,
    }
}

#[derive(Debug, PartialEq)]
struct Separated {
    transition: Input<Edges>,
    must_link: Option<Input<Pairs>>,
    cannot_link: Input<Pairs>,
}

impl Operator for Separated {
    type Output = Edges;

    fn inputs(&self) -> Vec<usize> {
        [Some(self.transition.node), self.must_link.map(|pairs| pairs.node), Some(self.cannot_link.node)]
            .into_iter()
            .flatten()
            .collect()
    }

    fn columns(&self) -> Vec<Column<Edges>> {
        edge_columns("probability", |edges| edges)
    }

    fn edge_bytes(&self) -> u64 {
        // P before and after, and its links with the clusters of them.
        24 + cluster_tree::memory(1)
    }

    fn run(&self, run: &mut Run<'_>) -> Result<Edges> {
        // What is given is checked before the long work.
        let must_link = self.must_link.map(|pairs| Pairs::of(run, pairs)).transpose()?;
        let cannot_link = Pairs::of(run, self.cannot_link)?;
        Pairs::check_contradictions(must_link.as_deref(), &cannot_link)?;
        let edges = Edges::of(run, self.transition)?;
        let constraints = Constraints {
            must_link: must_link.map_or(Ok(vec![]), |pairs| pairs.numbered(&edges.ids))?,
            cannot_link: cannot_link.numbered(&edges.ids)?,
        };
        let matrix = separated(&edges.matrix, &constraints, run.monitor).map_err(edges.failed())?;
        Ok(Edges { matrix: matrix.map_or(edges.matrix, Arc::new), ..edges })
    }
}

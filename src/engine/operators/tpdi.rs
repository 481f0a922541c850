//! `tpdi(transition)`, stage 4.

use super::ndde::{TRANSITION, transition};
use crate::engine::peaks::Distances;
use crate::engine::prelude::*;
use crate::engine::values::Edges;

pub static FUNCTION: Function = Function {
    name: "tpdi",
    description: "Transition-probability distance of the two ends of each edge: how little their rows of the transition matrix have in common.",
    returns: "Returns src, dst and distance, between 0 and 1; a point's step to itself is left out.",
    parameters: &[&TRANSITION],
    examples: &["FROM tpdi('p')", "FROM tpdi(transition_matrix(knn_graph('faces')))"],
    nested_example: Some("FROM dpc_cluster(ndde('p'), tpdi('p'), tau := 0.7)"),
    build: |call| {
        let transition = transition(call)?;
        Ok(build(call, transition).node)
    },
};

/// The distances along a transition matrix.
pub fn build(call: &mut Call<'_>, transition: Input<Edges>) -> Input<Distances> {
    call.add(TransitionDistance { transition })
}

#[derive(Debug, PartialEq)]
struct TransitionDistance {
    transition: Input<Edges>,
}

impl Operator for TransitionDistance {
    type Output = Distances;

    fn inputs(&self) -> Vec<usize> {
        vec![self.transition.node]
    }

    fn columns(&self) -> Vec<Column<Distances>> {
        Distances::columns()
    }

    /// All distances where they are the result; else whoever reads them may need a part alone.
    fn run(&self, run: &mut Run<'_>) -> Result<Distances> {
        let transition = Edges::of(run, self.transition)?;
        if run.is_result(self) { Distances::all(transition, run.monitor) } else { Ok(Distances::Of(transition)) }
    }
}

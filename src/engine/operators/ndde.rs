//! `ndde(transition, ...)`, stage 3.

use crate::core::ndde::{self, NddeOptions};
use crate::engine::prelude::*;
use crate::engine::values::{Densities, Edges, MADE_BY_TRANSITION_MATRIX, PROBABILITY};

pub static FUNCTION: Function = Function {
    name: "ndde",
    description: "Neighborhood-diffusion density: what each point holds when a mass of 1 a point has spread along the transition matrix.",
    returns: "Returns id and density; densities are at least 0 and sum to the number of points.",
    parameters: &[&TRANSITION, &EPSILON, &MAX_ITERATIONS],
    examples: &["FROM ndde('p')", "FROM ndde(transition_matrix('g'), max_iterations := 1)"],
    nested_example: Some("FROM dpc_cluster(ndde('p', epsilon := 0.05), tpdi('p'))"),
    build: |call| {
        let transition = transition(call)?;
        build(call, transition).map(|density| density.node)
    },
};

pub const TRANSITION: Parameter<StageOrRelation> = Parameter {
    name: "transition",
    default: DefaultValue::Required,
    takes: StageOrRelation { function: "transition_matrix", columns: "src, dst, probability" },
    description: "transition_matrix(...), or name of a relation with src, dst and probability",
};
pub const EPSILON: Parameter<Number> = Parameter {
    name: "epsilon",
    default: DefaultValue::Number(ndde::EPSILON),
    takes: ABOVE_0,
    description: "length of the last step of the diffusion, above 0",
};
pub const MAX_ITERATIONS: Parameter<Count> = Parameter {
    name: "max_iterations",
    default: DefaultValue::Integer(ndde::MAX_ITERATIONS as i32),
    takes: Count(1),
    description: "steps of the diffusion at most, at least 1",
};

/// The transition matrix that a call names.
pub fn transition(call: &mut Call<'_>) -> Checked<Input<Edges>> {
    call.stage_or_relation(&TRANSITION, Edges::reads(PROBABILITY, MADE_BY_TRANSITION_MATRIX))
}

/// How far a call lets the density spread.
pub fn options(call: &Call<'_>) -> Checked<NddeOptions> {
    Ok(NddeOptions { epsilon: call.get(&EPSILON)?, max_iterations: call.get(&MAX_ITERATIONS)? })
}

/// The density of a call along a transition matrix.
pub fn build(call: &mut Call<'_>, transition: Input<Edges>) -> Checked<Input<Densities>> {
    let options = options(call)?;
    Ok(call.add(Density { transition, options }))
}

#[derive(Debug, PartialEq)]
struct Density {
    transition: Input<Edges>,
    options: NddeOptions,
}

impl Operator for Density {
    type Output = Densities;

    fn inputs(&self) -> Vec<usize> {
        vec![self.transition.node]
    }

    fn columns(&self) -> Vec<Column<Densities>> {
        Densities::columns()
    }

    fn seconds(&self, extent: Extent) -> f64 {
        extent.edges as f64 * 6e-8
    }

    fn run(&self, run: &mut Run<'_>) -> Result<Densities> {
        let edges = Edges::of(run, self.transition)?;
        let values = ndde::ndde(&edges.matrix, &self.options, run.monitor).map_err(edges.failed())?;
        Ok(Densities { values, ids: edges.ids, label: None })
    }
}

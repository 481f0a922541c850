//! `ndde(transition, ...)`, stage 3.

use duckdb_neo::Result;

use super::super::plan::{Arguments, Input, Ndde, Plan};
use super::{Default, Parameter, Stage};

pub static STAGE: Stage = Stage {
    name: "ndde",
    description: "Neighborhood-diffusion density: what each point holds when a mass of 1 a point has spread along the transition matrix.",
    returns: "Returns id and density; densities are at least 0 and sum to the number of points.",
    parameters: &[TRANSITION, EPSILON, MAX_ITERATIONS],
    examples: &["FROM ndde('p')", "FROM ndde(transition_matrix('g'), max_iterations := 1)"],
    nested_example: Some("FROM dpc_cluster(ndde('p', epsilon := 0.05), tpdi('p'))"),
    plan: |arguments| plan(arguments, transition(arguments)?),
};

pub const TRANSITION: Parameter = Parameter {
    name: "transition",
    default: Default::Required,
    description: "transition_matrix(...), or name of a relation with src, dst and probability",
};
pub const EPSILON: Parameter = Parameter {
    name: "epsilon",
    default: Default::Number(0.05),
    description: "length of the last step of the diffusion, above 0",
};
pub const MAX_ITERATIONS: Parameter = Parameter {
    name: "max_iterations",
    default: Default::Integer(100),
    description: "steps of the diffusion at most, at least 1",
};

pub fn transition(arguments: &Arguments<'_>) -> Result<Input> {
    arguments.input("transition", "transition_matrix", "src, dst, probability")
}

pub fn plan(arguments: &Arguments<'_>, transition: Input) -> Result<Plan> {
    let epsilon = arguments.number("epsilon")?;
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err(arguments.error(format!("epsilon must be a finite number above 0, got {epsilon}")));
    }
    Ok(Plan::Ndde(Ndde { transition, epsilon, max_iterations: arguments.count("max_iterations", 1)? }))
}

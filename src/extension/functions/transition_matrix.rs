//! `transition_matrix(graph, ...)`, stage 2.

use duckdb_neo::Result;

use super::super::plan::{Arguments, KernelName, Plan, TransitionMatrix};
use super::{Default, Parameter, Stage};

pub static STAGE: Stage = Stage {
    name: "transition_matrix",
    description: "The probability of a step from each point to itself and to each neighbor: its similarity, divided by the row's sum.",
    returns: "Returns src, dst and probability, the point itself included; the probabilities of a src sum to 1.",
    parameters: &[
        Parameter {
            name: "graph",
            default: Default::Required,
            description: "knn_graph(...), or name of a relation with src, dst, and distance or similarity",
        },
        KERNEL,
        SIGMA,
    ],
    examples: &[
        "FROM transition_matrix('g')",
        "FROM transition_matrix(knn_graph('faces', k := 20), kernel := 'exp', sigma := 0.1)",
    ],
    nested_example: Some("FROM ndde(transition_matrix('g', sigma := 0.08))"),
    plan: |arguments| {
        let graph = arguments.input("graph", "knn_graph", "src, dst, and distance or similarity")?;
        let (kernel, sigma) = kernel(arguments)?;
        Ok(Plan::TransitionMatrix(TransitionMatrix { graph, kernel, sigma }))
    },
};

pub const KERNEL: Parameter = Parameter {
    name: "kernel",
    default: Default::Text("auto"),
    description: "'linear' (1 - distance, or the similarity as given), 'exp' (exp(-distance / sigma)) or 'auto': linear for a given similarity, else exp",
};
pub const SIGMA: Parameter = Parameter {
    name: "sigma",
    default: Default::Number(0.1),
    description: "scale of kernel 'exp', above 0; or 'auto': in its place the kernel that the graph's own distances call for",
};

pub fn kernel(arguments: &Arguments<'_>) -> Result<(KernelName, Option<f64>)> {
    let kernel = arguments
        .choice("kernel", &[("auto", KernelName::Auto), ("linear", KernelName::Linear), ("exp", KernelName::Exp)])?;
    match arguments.number_or_auto("sigma", "a number above 0")? {
        Some(sigma) if !(sigma > 0.0 && sigma.is_finite()) => {
            Err(arguments.error(format!("sigma must be a finite number above 0, got {sigma}")))
        }
        sigma => Ok((kernel, sigma)),
    }
}

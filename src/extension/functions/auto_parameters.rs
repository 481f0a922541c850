//! `auto_parameters(graph)`: what `'auto'` stands for.

use super::super::plan::{AutoParameters, Plan};
use super::{Default, Parameter, Stage};

pub static STAGE: Stage = Stage {
    name: "auto_parameters",
    description: "What sigma := 'auto' and tau := 'auto' stand for over a graph of distances: the kernel that its distances call for, and the threshold over that kernel's clusters.",
    returns: "Returns one row: location and scale of the kernel exp(-exp((distance - location) / scale)), both NULL where no strangers are seen; sigma, which is NULL but there, where the kernel is exp(-distance / sigma); and tau.",
    parameters: &[Parameter {
        name: "graph",
        default: Default::Required,
        description: "knn_graph(...), or name of a relation with src, dst and distance",
    }],
    examples: &["FROM auto_parameters(knn_graph('faces'))", "FROM auto_parameters('g')"],
    nested_example: None,
    plan: |arguments| {
        let graph = arguments.input("graph", "knn_graph", "src, dst, distance")?;
        Ok(Plan::AutoParameters(AutoParameters { graph }))
    },
};

//! `auto_parameters(graph)`: what `'auto'` stands for.

use std::sync::Arc;

use super::transition_matrix::{edge_bytes, transition};
use crate::core::ndde::{NddeOptions, ndde};
use crate::core::similarity::Kernel;
use crate::core::tpdi::tpdi_upward;
use crate::engine::peaks::Peaks;
use crate::engine::prelude::*;
use crate::engine::values::{Edges, GraphInput, MADE_BY_KNN_GRAPH};

pub static FUNCTION: Function = Function {
    name: "auto_parameters",
    description: "What sigma := 'auto' and tau := 'auto' stand for over a graph of distances: the kernel that its distances call for, and the threshold over that kernel's clusters.",
    returns: "Returns one row: kernel, 'gumbel' or, where no strangers are seen, 'exp'; location and scale of the first, exp(-exp((distance - location) / scale)), and sigma of the second, exp(-distance / sigma), each NULL for the other; and tau.",
    parameters: &[&GRAPH],
    examples: &["FROM auto_parameters(knn_graph('faces'))", "FROM auto_parameters('g')"],
    nested_example: None,
    build: |call| {
        let graph = distances(call)?;
        Ok(call.add(AutoParameters { graph }).node)
    },
};

pub const GRAPH: Parameter<StageOrRelation> = Parameter {
    name: "graph",
    default: DefaultValue::Required,
    takes: StageOrRelation { function: "knn_graph", columns: "src, dst, distance" },
    description: "knn_graph(...), or name of a relation with src, dst and distance",
};

/// The graph of distances that a call names.
pub fn distances(call: &mut Call<'_>) -> Checked<GraphInput> {
    Ok(match call.get(&GRAPH)? {
        StageOrName::Stage(stage) => GraphInput::Stage(call.stage(&GRAPH, stage)?),
        StageOrName::Relation(name) => {
            GraphInput::Relation(call.read(GRAPH.name, name, Edges::reads_distances(MADE_BY_KNN_GRAPH)))
        }
    })
}

#[derive(Debug, PartialEq)]
struct AutoParameters {
    graph: GraphInput,
}

/// A kernel and a threshold.
struct Parameters {
    kernel: Kernel,
    tau: f64,
}

impl Operator for AutoParameters {
    type Output = List<Parameters>;

    fn inputs(&self) -> Vec<usize> {
        vec![self.graph.node()]
    }

    fn columns(&self) -> Vec<Column<List<Parameters>>> {
        let number = |name: &str, value: fn(&Kernel) -> Option<f64>| {
            double(name, move |list: &Self::Output, rows| list.some(rows, |row| value(&row.kernel)))
        };
        vec![
            text("kernel", |list: &Self::Output, rows| {
                list.each(rows, |row| match row.kernel {
                    Kernel::Gumbel { .. } => "gumbel",
                    Kernel::Exp { .. } => "exp",
                    Kernel::Linear => "linear",
                })
            }),
            number("location", |kernel| match kernel {
                Kernel::Gumbel { location, .. } => Some(*location),
                _ => None,
            }),
            number("scale", |kernel| match kernel {
                Kernel::Gumbel { scale, .. } => Some(*scale),
                _ => None,
            }),
            number("sigma", |kernel| match kernel {
                Kernel::Exp { sigma } => Some(*sigma),
                _ => None,
            }),
            double("tau", |list: &Self::Output, rows| list.each(rows, |row| row.tau)),
        ]
    }

    fn edge_bytes(&self) -> u64 {
        edge_bytes(None)
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<Parameters>> {
        let (kernel, edges) = transition(self.graph, None, run)?;
        let density = ndde(&edges.matrix, &NddeOptions::default(), run.monitor).map_err(edges.failed())?;
        let matrix = tpdi_upward(&edges.matrix, &density, run.monitor).map_err(edges.failed())?;
        let distances = Edges { matrix: Arc::new(matrix), ..edges };
        let peaks = Peaks { density, distances, label: FUNCTION.name.into() };
        let tau = peaks.auto_tau(run.monitor)?;
        Ok(List { rows: vec![Parameters { kernel, tau }], ids: vec![] })
    }
}

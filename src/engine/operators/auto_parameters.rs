//! `auto_parameters(graph)`: what `'auto'` stands for.

use std::sync::Arc;

use super::both_ways::BothWays;
use super::transition_matrix::{edge_bytes, transition};
use crate::core::calibration::Calibration;
use crate::core::ndde::{NddeOptions, ndde};
use crate::core::similarity::Kernel;
use crate::core::tpdi::tpdi_upward;
use crate::engine::peaks::Peaks;
use crate::engine::prelude::*;
use crate::engine::values::{Edges, GraphInput, MADE_BY_KNN_GRAPH};

pub static FUNCTION: Function = Function {
    name: "auto_parameters",
    description: "What sigma := 'auto' and tau := 'auto' stand for over a graph of distances: the kernel that its distances call for, and the threshold over that kernel's clusters.",
    returns: "Returns one row: kernel, 'gompertz' or, where no strangers are seen, 'communities'; location and scale of the first, exp(exp(-location / scale) - exp((distance - location) / scale)), NULL for the second, by which neighbors of one community are alike and others are not; tau; and advice, what to do where the graph cannot tell, else NULL.",
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
            let edges = call.read(GRAPH.name, name, Edges::reads_distances(MADE_BY_KNN_GRAPH));
            GraphInput::Relation(call.add(BothWays { edges, undirected: None }))
        }
    })
}

#[derive(Debug, PartialEq)]
struct AutoParameters {
    graph: GraphInput,
}

const NO_STRANGERS: &str = "the neighbors of no point are strangers, so that the graph cannot tell how near strangers come; clusters may have more points than a row has neighbors: take a larger k";

/// A kernel and a threshold.
struct Parameters {
    calibration: Calibration,
    tau: f64,
}

impl Parameters {
    /// Location and scale of the kernel.
    fn gompertz(&self) -> Option<(f64, f64)> {
        match self.calibration {
            Calibration::Kernel(Kernel::Gompertz { location, scale }) => Some((location, scale)),
            _ => None,
        }
    }
}

impl Operator for AutoParameters {
    type Output = List<Parameters>;

    fn inputs(&self) -> Vec<usize> {
        vec![self.graph.node()]
    }

    fn columns(&self) -> Vec<Column<List<Parameters>>> {
        vec![
            text("kernel", |list: &Self::Output, rows| {
                list.each(rows, |row| if row.gompertz().is_some() { "gompertz" } else { "communities" })
            }),
            double("location", |list: &Self::Output, rows| {
                list.some(rows, |row| row.gompertz().map(|kernel| kernel.0))
            }),
            double("scale", |list: &Self::Output, rows| list.some(rows, |row| row.gompertz().map(|kernel| kernel.1))),
            double("tau", |list: &Self::Output, rows| list.each(rows, |row| row.tau)),
            text("advice", |list: &Self::Output, rows| {
                list.some(rows, |row| row.gompertz().is_none().then_some(NO_STRANGERS))
            }),
        ]
    }

    fn edge_bytes(&self) -> u64 {
        edge_bytes(None)
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<Parameters>> {
        let (calibration, edges) = transition(self.graph, None, run)?;
        let density = ndde(&edges.matrix, &NddeOptions::default(), run.monitor).map_err(edges.failed())?;
        let matrix = tpdi_upward(&edges.matrix, &density, run.monitor).map_err(edges.failed())?;
        let distances = Edges { matrix: Arc::new(matrix), ..edges };
        let peaks = Peaks { density, distances, label: FUNCTION.name.into() };
        let tau = peaks.auto_tau(run.monitor)?;
        Ok(List { rows: vec![Parameters { calibration, tau }], ids: vec![] })
    }
}

//! `cluster_with(graph, method, ...)`: other clusterings of a graph.

use std::sync::Arc;

use super::auto_parameters::{GRAPH, distances};
use super::dpc_cluster::{RESULT_ID, result_id};
use crate::core::methods::{self, DensityKernel, GraphMethod, Stop, cluster_graph, from_knn_graph};
use crate::core::similarity::SIGMA;
use crate::engine::prelude::*;
use crate::engine::values::{Edges, GraphInput, WholeGraph};

pub static FUNCTION: Function = Function {
    name: "cluster_with",
    description: "Cluster the points of a graph by another method, to compare with dpc_cluster. A parameter that is not the method's is an error.",
    returns: "Returns id and cluster_id (0, 1, 2, ... in order of the smallest ids).",
    parameters: &[
        &GRAPH,
        &METHOD,
        &THRESHOLD,
        &CLUSTERS,
        &EPSILON,
        &MIN_POINTS,
        &CUTOFF,
        &DENSITY_KERNEL,
        &MAP_SIGMA,
        &RESULT_ID,
    ],
    examples: &[
        "FROM cluster_with('g', method := 'connected_components', threshold := 0.4)",
        "FROM cluster_with(knn_graph('faces', k := 80), method := 'dbscan', epsilon := 0.4, min_points := 3)",
    ],
    nested_example: None,
    build: |call| {
        let graph = distances(call)?;
        let (method, id) = (method(call)?, result_id(call)?);
        Ok(call.add(ClusterWith { graph, method, id }).node)
    },
};

const METHOD: Parameter<Choice<Known>> = Parameter {
    name: "method",
    default: DefaultValue::Required,
    takes: Choice(|| METHODS.map(|known| (known.name, known, known.meaning)).into()),
    description: "the other method",
};
const THRESHOLD: Parameter<OrNull<Number>> = Parameter {
    name: "threshold",
    default: DefaultValue::Null,
    takes: OrNull(AT_LEAST_0),
    description: "of all but dbscan: the largest distance at which points or clusters join, at least 0",
};
const CLUSTERS: Parameter<OrNull<Count>> = Parameter {
    name: "clusters",
    default: DefaultValue::Null,
    takes: OrNull(Count(1)),
    description: "of single_linkage and average_linkage, in place of threshold: the number of clusters to stop at",
};
const EPSILON: Parameter<OrNull<Number>> = Parameter {
    name: "epsilon",
    default: DefaultValue::Null,
    takes: OrNull(AT_LEAST_0),
    description: "of dbscan: the largest distance of two neighbors, at least 0",
};
const MIN_POINTS: Parameter<OrNull<Count>> = Parameter {
    name: "min_points",
    default: DefaultValue::Null,
    takes: OrNull(Count(1)),
    description: "of dbscan: neighbors of a core point, itself included, at least 1 (NULL: 5)",
};
const CUTOFF: Parameter<OrNull<Number>> = Parameter {
    name: "cutoff",
    default: DefaultValue::Null,
    takes: OrNull(ABOVE_0),
    description: "of density_peaks: the distance within which neighbors count toward a density, above 0",
};
const DENSITY_KERNEL: Parameter<OrNull<Choice<DensityKernel>>> = Parameter {
    name: "kernel",
    default: DefaultValue::Null,
    takes: OrNull(Choice(|| DensityKernel::ALL.map(|kernel| (kernel.name(), kernel, kernel.meaning())).into())),
    description: "of density_peaks, how neighbors count toward a density (NULL: 'gaussian')",
};
const MAP_SIGMA: Parameter<OrNull<Number>> = Parameter {
    name: "sigma",
    default: DefaultValue::Null,
    takes: OrNull(ABOVE_0),
    description: "of map_equation: scale of the weights exp(-distance / sigma), above 0 (NULL: 0.1)",
};

/// A method with its parameters, and what makes it of a call's arguments.
#[derive(Clone, Copy)]
struct Known {
    name: &'static str,
    meaning: &'static str,
    parameters: &'static [&'static dyn Described],
    of: fn(&Arguments<'_, '_>) -> Checked<GraphMethod>,
}

const METHODS: [Known; 7] = [
    Known {
        name: "connected_components",
        meaning: "of the edges up to threshold",
        parameters: &[&THRESHOLD],
        of: |given| Ok(GraphMethod::ConnectedComponents { threshold: given.needed(&THRESHOLD)? }),
    },
    Known {
        name: "single_linkage",
        meaning: "by the least distance of two clusters",
        parameters: &[&THRESHOLD, &CLUSTERS],
        of: |given| given.stop().map(GraphMethod::SingleLinkage),
    },
    Known {
        name: "average_linkage",
        meaning: "by the mean distance of two clusters",
        parameters: &[&THRESHOLD, &CLUSTERS],
        of: |given| given.stop().map(GraphMethod::AverageLinkage),
    },
    Known {
        name: "dbscan",
        meaning: "by the neighbors within epsilon",
        parameters: &[&EPSILON, &MIN_POINTS],
        of: |given| {
            let min_points = given.call.get(&MIN_POINTS)?.unwrap_or(methods::MIN_POINTS);
            Ok(GraphMethod::Dbscan { epsilon: given.needed(&EPSILON)?, min_points })
        },
    },
    Known {
        name: "rank_order",
        meaning: "approximate rank-order clustering",
        parameters: &[&THRESHOLD],
        of: |given| Ok(GraphMethod::RankOrder { threshold: given.needed(&THRESHOLD)? }),
    },
    Known {
        name: "density_peaks",
        meaning: "as published, without diffusion",
        parameters: &[&THRESHOLD, &CUTOFF, &DENSITY_KERNEL],
        of: |given| {
            Ok(GraphMethod::DensityPeaks {
                kernel: given.call.get(&DENSITY_KERNEL)?.unwrap_or_default(),
                cutoff: given.needed(&CUTOFF)?,
                threshold: given.needed(&THRESHOLD)?,
            })
        },
    },
    Known {
        name: "map_equation",
        meaning: "communities",
        parameters: &[&THRESHOLD, &MAP_SIGMA],
        of: |given| {
            let threshold = given.needed(&THRESHOLD)?;
            let sigma = given.call.get(&MAP_SIGMA)?.unwrap_or(SIGMA);
            Ok(GraphMethod::MapEquation { threshold, sigma })
        },
    },
];

/// The arguments of a call for a method.
struct Arguments<'a, 'b> {
    method: &'static str,
    call: &'a Call<'b>,
}

impl Arguments<'_, '_> {
    fn needed<T: Takes>(&self, parameter: &Parameter<OrNull<T>>) -> Checked<T::Given> {
        let (method, name) = (self.method, parameter.name);
        self.call.get(parameter)?.ok_or_else(|| self.call.error(format!("method '{method}' needs {name} := ...")))
    }

    fn stop(&self) -> Checked<Stop> {
        match (self.call.is_given(&THRESHOLD), self.call.is_given(&CLUSTERS)) {
            (true, false) => self.needed(&THRESHOLD).map(Stop::Threshold),
            (false, true) => self.needed(&CLUSTERS).map(Stop::Clusters),
            _ => {
                let method = self.method;
                let needs = "needs either threshold := ... or clusters := ...";
                Err(self.call.error(format!("method '{method}' {needs}")))
            }
        }
    }
}

fn method(call: &Call<'_>) -> Checked<GraphMethod> {
    let Known { name, parameters, of, .. } = call.get(&METHOD)?;
    let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name()).collect();
    let of_methods = FUNCTION.parameters[2..].iter().filter(|parameter| parameter.name() != RESULT_ID.name);
    for parameter in of_methods {
        if !names.contains(&parameter.name()) && call.is_given(*parameter) {
            let (one, takes) = (parameter.name(), names.join(" and "));
            return Err(call.error(format!("method '{name}' takes no {one}; its parameters are {takes}")));
        }
    }
    of(&Arguments { method: name, call })
}

#[derive(Debug, PartialEq)]
struct ClusterWith {
    graph: GraphInput,
    method: GraphMethod,
    id: String,
}

/// The cluster of each point.
pub struct PointGroups {
    pub clusters: Vec<u32>,
    pub ids: Arc<Ids>,
}

impl PointGroups {
    /// The ids, in a column of this name, and `cluster_id`.
    pub fn columns(name: &str) -> Vec<Column<Self>> {
        vec![
            id(name, Whose::First, |_: &Self, rows| each(rows, |row| row as u32)),
            bigint("cluster_id", |groups: &Self, rows| each(rows, |row| i64::from(groups.clusters[row]))),
        ]
    }
}

impl Rows for PointGroups {
    fn count(&self) -> usize {
        self.clusters.len()
    }

    fn ids(&self) -> Vec<Arc<Ids>> {
        vec![self.ids.clone()]
    }
}

impl Operator for ClusterWith {
    type Output = PointGroups;

    fn inputs(&self) -> Vec<usize> {
        vec![self.graph.node()]
    }

    fn columns(&self) -> Vec<Column<PointGroups>> {
        PointGroups::columns(&self.id)
    }

    fn run(&self, run: &mut Run<'_>) -> Result<PointGroups> {
        let edges = match self.graph {
            GraphInput::Stage(graph) => {
                let graph = WholeGraph::new(run.value(graph)?);
                let failed = failed(graph.label(), graph.ids());
                let matrix = from_knn_graph(graph.graph(), run.monitor).map_err(failed)?;
                Edges::new(matrix, graph.ids().clone(), graph.label().into())
            }
            GraphInput::Relation(edges) => Edges::of(run, edges)?,
        };
        let (points, count) = (edges.ids.len(), edges.matrix.nnz());
        let need = self.method.memory(points, count);
        run.limits.check(
            &edges.label,
            || format!("{} of {count} edges", FUNCTION.name),
            need,
            "use a smaller k, or ",
        )?;
        let clusters = cluster_graph(&edges.matrix, &self.method, run.monitor).map_err(edges.failed())?;
        Ok(PointGroups { clusters, ids: edges.ids })
    }
}

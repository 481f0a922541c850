//! `cluster_with(graph, method, ...)`: other clusterings of a graph.

use duckdb_neo::Result;

use super::super::plan::{Arguments, ClusterWith, Plan};
use super::{Default, Parameter, Stage};
use crate::core::methods::{DensityKernel, GraphMethod, Stop};

pub static STAGE: Stage = Stage {
    name: "cluster_with",
    description: "Cluster the points of a graph by another method, to compare with dpc_cluster. A parameter that is not the method's is an error.",
    returns: "Returns id and cluster_id (0, 1, 2, ... in order of the smallest ids).",
    parameters: &[
        Parameter {
            name: "graph",
            default: Default::Required,
            description: "knn_graph(...), or name of a relation with src, dst and distance",
        },
        Parameter {
            name: "method",
            default: Default::Required,
            description: "'connected_components', 'single_linkage', 'average_linkage', 'dbscan', 'rank_order' (approximate rank-order clustering), 'density_peaks' (as published, without diffusion) or 'map_equation' (communities)",
        },
        Parameter {
            name: "threshold",
            default: Default::Null,
            description: "of all but dbscan: the largest distance at which points or clusters join, at least 0",
        },
        Parameter {
            name: "clusters",
            default: Default::Null,
            description: "of single_linkage and average_linkage, in place of threshold: the number of clusters to stop at",
        },
        Parameter {
            name: "epsilon",
            default: Default::Null,
            description: "of dbscan: the largest distance of two neighbors, at least 0",
        },
        Parameter {
            name: "min_points",
            default: Default::Null,
            description: "of dbscan: neighbors of a core point, itself included, at least 1 (NULL: 5)",
        },
        Parameter {
            name: "cutoff",
            default: Default::Null,
            description: "of density_peaks: the distance within which neighbors count toward a density, above 0",
        },
        Parameter {
            name: "kernel",
            default: Default::Null,
            description: "of density_peaks: 'gaussian' (exp(-(distance / cutoff)^2)) or 'count' (NULL: 'gaussian')",
        },
        Parameter {
            name: "sigma",
            default: Default::Null,
            description: "of map_equation: scale of the weights exp(-distance / sigma), above 0 (NULL: 0.1)",
        },
    ],
    examples: &[
        "FROM cluster_with('g', method := 'connected_components', threshold := 0.4)",
        "FROM cluster_with(knn_graph('faces', k := 80), method := 'dbscan', epsilon := 0.4, min_points := 3)",
    ],
    nested_example: None,
    plan: |arguments| {
        Ok(Plan::ClusterWith(ClusterWith {
            graph: arguments.input("graph", "knn_graph", "src, dst, distance")?,
            method: method(arguments)?,
        }))
    },
};

/// A method's name and its parameters.
type Known = (&'static str, &'static [&'static str]);

const METHODS: [Known; 7] = [
    ("connected_components", &["threshold"]),
    ("single_linkage", &["threshold", "clusters"]),
    ("average_linkage", &["threshold", "clusters"]),
    ("dbscan", &["epsilon", "min_points"]),
    ("rank_order", &["threshold"]),
    ("density_peaks", &["threshold", "cutoff", "kernel"]),
    ("map_equation", &["threshold", "sigma"]),
];

fn method(arguments: &Arguments<'_>) -> Result<GraphMethod> {
    let (name, takes) = arguments.choice("method", &METHODS.map(|known| (known.0, known)))?;
    for parameter in &STAGE.parameters[2..] {
        if !takes.contains(&parameter.name) && arguments.is_given(parameter.name)? {
            let (one, takes) = (parameter.name, takes.join(" and "));
            return Err(arguments.error(format!("method '{name}' takes no {one}; its parameters are {takes}")));
        }
    }
    let needs = |parameter: &str| match arguments.is_given(parameter)? {
        true => Ok(()),
        false => Err(arguments.error(format!("method '{name}' needs {parameter} := ..."))),
    };
    let at_least_0 = |parameter: &str| {
        needs(parameter)?;
        let number = arguments.number(parameter)?;
        let message = || arguments.error(format!("{parameter} must be a finite number of at least 0, got {number}"));
        if number >= 0.0 && number.is_finite() { Ok(number) } else { Err(message()) }
    };
    let above_0 = |parameter: &str| {
        let number = arguments.number(parameter)?;
        let message = || arguments.error(format!("{parameter} must be a finite number above 0, got {number}"));
        if number > 0.0 && number.is_finite() { Ok(number) } else { Err(message()) }
    };
    let stop = || match (arguments.is_given("threshold")?, arguments.is_given("clusters")?) {
        (true, false) => at_least_0("threshold").map(Stop::Threshold),
        (false, true) => arguments.count("clusters", 1).map(Stop::Clusters),
        _ => Err(arguments.error(format!("method '{name}' needs either threshold := ... or clusters := ..."))),
    };
    Ok(match name {
        "connected_components" => GraphMethod::ConnectedComponents { threshold: at_least_0("threshold")? },
        "single_linkage" => GraphMethod::SingleLinkage(stop()?),
        "average_linkage" => GraphMethod::AverageLinkage(stop()?),
        "dbscan" => GraphMethod::Dbscan {
            epsilon: at_least_0("epsilon")?,
            min_points: if arguments.is_given("min_points")? { arguments.count("min_points", 1)? } else { 5 },
        },
        "rank_order" => GraphMethod::RankOrder { threshold: at_least_0("threshold")? },
        "density_peaks" => GraphMethod::DensityPeaks {
            kernel: match arguments.is_given("kernel")? {
                true => {
                    let kernels = [("gaussian", DensityKernel::Gaussian), ("count", DensityKernel::Count)];
                    arguments.choice("kernel", &kernels)?
                }
                false => DensityKernel::Gaussian,
            },
            cutoff: needs("cutoff").and_then(|()| above_0("cutoff"))?,
            threshold: at_least_0("threshold")?,
        },
        _ => GraphMethod::MapEquation {
            threshold: at_least_0("threshold")?,
            sigma: if arguments.is_given("sigma")? { above_0("sigma")? } else { 0.1 },
        },
    })
}

//! `cluster_embeddings(source, ...)`: all five stages in one call.

use duckdb_neo::Result;

use super::super::plan::{Arguments, Input, Plan, Tpdi, TransitionMatrix};
use super::dpc_cluster::{CANNOT_LINK, MUST_LINK, PREVIOUS, RETURNS, TAU, tau};
use super::knn_graph::*;
use super::ndde::{EPSILON, MAX_ITERATIONS};
use super::transition_matrix::{KERNEL, MODEL, SIGMA, kernel, model};
use super::{Default, Parameter, Stage, dpc_cluster, knn_graph, ndde};

/// The columns of the result beside the id.
const OTHER_COLUMNS: [&str; 5] = ["cluster_id", "parent_id", "delta", "density", "is_peak"];

pub static STAGE: Stage = Stage {
    name: "cluster_embeddings",
    description: "Cluster points by their embeddings: knn_graph, transition_matrix, ndde, tpdi and dpc_cluster in one call.",
    returns: RETURNS,
    parameters: &[
        SOURCE,
        K,
        TAU,
        METRIC,
        METHOD,
        ID,
        EMBEDDING,
        KERNEL,
        SIGMA,
        MODEL,
        EPSILON,
        MAX_ITERATIONS,
        CONNECTIVITY,
        EXPANSION_ADD,
        EXPANSION_SEARCH,
        PRECISION,
        PREVIOUS,
        MUST_LINK,
        CANNOT_LINK,
        PARTITION_BY,
    ],
    examples: &[
        "FROM cluster_embeddings('faces', k := 80, tau := 0.7)",
        "FROM cluster_embeddings('faces', sigma := 'auto', tau := 'auto')",
        "FROM cluster_embeddings('faces', k := 80, model := 'similarity.onnx')",
        "SELECT p.*, c.cluster_id FROM photos p JOIN cluster_embeddings('photos', id := 'photo_id') c USING (photo_id)",
    ],
    nested_example: None,
    plan: |arguments| {
        let mut graph = knn_graph::plan(arguments, Some(STAGE.name))?;
        let (kernel, sigma) = kernel(arguments)?;
        let model = model(arguments, kernel, None)?;
        let id = id(arguments)?;
        graph.partition_by = partition_by(arguments, &id)?;
        let others = [
            (model.is_some(), "model"),
            (sigma.is_none(), "sigma := 'auto'"),
            (tau(arguments)?.is_none(), "tau := 'auto'"),
        ];
        let other = others.into_iter().find_map(|(given, other)| given.then_some(other));
        if let (Some(other), Some(_)) = (other, &graph.partition_by) {
            let way_out = "cluster each partition in a call of its own, over a view with WHERE";
            return Err(arguments.error(format!("partition_by takes no {other}; {way_out}")));
        }
        let graph = Input::Stage(Box::new(Plan::KnnGraph(graph)));
        let transition = Plan::TransitionMatrix(TransitionMatrix { graph, kernel, sigma, model });
        let transition = Input::Stage(Box::new(transition));
        let density = ndde::plan(arguments, transition.clone())?;
        let [density, distance] = [density, Plan::Tpdi(Tpdi { transition })].map(|plan| Input::Stage(Box::new(plan)));
        dpc_cluster::plan(arguments, STAGE.name, id, density, distance)
    },
};

const PARTITION_BY: Parameter = Parameter {
    name: "partition_by",
    default: Default::Null,
    description: "column of the partitions, of any type: the rows of each are clustered on their own, and the column is the second of the result. NULL: all rows are one",
};

fn partition_by(arguments: &Arguments<'_>, id: &str) -> Result<Option<String>> {
    let column = arguments.optional_column("partition_by")?;
    let mut others = OTHER_COLUMNS.into_iter().chain([id]);
    match column.as_ref().filter(|column| others.any(|other| other.eq_ignore_ascii_case(column))) {
        Some(column) => Err(arguments
            .error(format!("partition_by := '{column}' is also another column of the result; rename it in a view"))),
        None => Ok(column),
    }
}

/// The column of the ids, which is also that of the result.
pub fn id(arguments: &Arguments<'_>) -> Result<String> {
    let id = arguments.column("id")?;
    if OTHER_COLUMNS.iter().any(|column| column.eq_ignore_ascii_case(&id)) {
        return Err(arguments.error(format!("id := '{id}' is also another column of the result; rename it in a view")));
    }
    Ok(id)
}

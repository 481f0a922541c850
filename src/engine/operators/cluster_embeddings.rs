//! `cluster_embeddings(source, ...)`: all five stages in one call.

use super::dpc_cluster::{self, CutBy, GivenRelations, PREVIOUS, PeaksInput, RETURNS_STRENGTH, check_name};
use super::knn_graph::{
    self, CONNECTIVITY, EMBEDDING, EXPANSION_ADD, EXPANSION_SEARCH, GraphOptions, ID, K, METHOD, METRIC, PRECISION,
    SOURCE,
};
use super::linkage_cluster::{self, CLUSTERS};
use super::ndde::{self, EPSILON, MAX_ITERATIONS};
use super::pairs::{CANNOT_LINK, MUST_LINK, UNKNOWN_IDS};
use super::partitions::PartitionedRuns;
use super::separated;
use super::tpdi;
use super::transition_matrix::{self, KERNEL, KernelChoice, MODEL};
use crate::core::knn;
use crate::core::similarity::Kernel;
use crate::engine::peaks::PeakInputs;
use crate::engine::prelude::*;
use crate::engine::values::GraphInput;

pub static FUNCTION: Function = Function {
    name: "cluster_embeddings",
    description: "Cluster points by their embeddings, with nothing to set: knn_graph, transition_matrix and linkage_cluster in one call; or, with numbers for sigma and tau, the pipeline of density peaks: knn_graph, transition_matrix, ndde, tpdi and dpc_cluster.",
    returns: RETURNS_STRENGTH,
    parameters: &[
        &SOURCE,
        &K,
        &TAU,
        &METRIC,
        &METHOD,
        &ID,
        &EMBEDDING,
        &KERNEL,
        &SIGMA,
        &MODEL,
        &EPSILON,
        &MAX_ITERATIONS,
        &CONNECTIVITY,
        &EXPANSION_ADD,
        &EXPANSION_SEARCH,
        &PRECISION,
        &COPIES,
        &PREVIOUS,
        &MUST_LINK,
        &CANNOT_LINK,
        &UNKNOWN_IDS,
        &PARTITION_BY,
        &CLUSTERS,
    ],
    examples: &[
        "FROM cluster_embeddings('faces')",
        "FROM cluster_embeddings('faces', k := 80, sigma := 0.1, tau := 0.7)",
        "FROM cluster_embeddings('texts', clusters := 150)",
        "FROM cluster_embeddings('faces', model := 'similarity.onnx')",
        "SELECT p.*, c.cluster_id FROM photos p JOIN cluster_embeddings('photos', id := 'photo_id') c USING (photo_id)",
    ],
    nested_example: None,
    build: |call| {
        let kernel = KernelChoice::of(call)?;
        let id = call.column(&ID)?;
        check_name(call, ID.name, &id, &[])?;
        let tau = call.get(&TAU)?;
        if call.is_given(&CLUSTERS) && tau.is_some() {
            return Err(call.error("clusters and tau both say where to cut; leave one out"));
        }
        match call.get(&PARTITION_BY)? {
            Some(columns) => partitioned(call, id, columns, kernel.kernel, tau),
            None => whole(call, id, kernel, tau),
        }
    },
};

/// Without numbers the graph says both.
pub const SIGMA: Parameter<OrAuto> = Parameter { default: DefaultValue::Text("auto"), ..transition_matrix::SIGMA };
pub const TAU: Parameter<OrAuto> = Parameter {
    default: DefaultValue::Text("auto"),
    description: "'auto': clusters without a threshold, as linkage_cluster makes them; or a number from 0 to 1: density peak clustering, where a point joins its parent if their distance is below it",
    ..dpc_cluster::TAU
};
/// A thousand copies of one picture must not hide what is near it.
const COPIES: Parameter<OrNull<Count>> =
    Parameter { default: DefaultValue::Integer(knn::COPIES as i32), ..knn_graph::COPIES };
const PARTITION_BY: Parameter<OrNull<ColumnNames>> = Parameter {
    name: "partition_by",
    default: DefaultValue::Null,
    takes: OrNull(ColumnNames),
    description: "column of the partitions, of any type, or a list of columns: the rows of each value are clustered on their own, and the columns are in the result, after the id. NULL: all rows are one",
};

/// All rows are one: the nested form of the stages.
fn whole(call: &mut Call<'_>, id: String, kernel: KernelChoice, tau: Option<f64>) -> Checked<usize> {
    let graph = GraphInput::Stage(knn_graph::build(call, None)?);
    let transition = transition_matrix::build(call, graph, kernel, None)?;
    let given = GivenRelations::of(call, &id)?;
    let transition = separated::build(call, graph, transition, given.pairs);
    let Some(tau) = tau else { return linkage_cluster::build(call, transition, given, id) };
    let density = ndde::build(call, transition)?;
    let distance = tpdi::build(call, transition);
    let peaks = PeaksInput::Stages(PeakInputs::new(density, distance), CutBy::Tau(tau));
    dpc_cluster::build(call, peaks, given, id, vec![])
}

/// The rows of each partition on their own.
fn partitioned(
    call: &mut Call<'_>,
    id: String,
    columns: Vec<String>,
    kernel: Option<Kernel>,
    tau: Option<f64>,
) -> Checked<usize> {
    for (at, column) in columns.iter().enumerate() {
        let others = columns[..at].iter().chain([&id]).map(|other| &**other).collect::<Vec<_>>();
        check_name(call, PARTITION_BY.name, &call.named(PARTITION_BY.name, column.clone())?, &others)?;
    }
    let refused: [&dyn Described; 2] = [&MODEL, &CLUSTERS];
    if let Some(other) = refused.into_iter().find(|&parameter| call.is_given(parameter)) {
        let way_out = "cluster each partition in a call of its own, over a view with WHERE";
        return Err(call.error(format!("partition_by takes no {}; {way_out}", other.name())));
    }
    let graph = GraphOptions::of(call)?;
    let hint = "name the column of the partitions with partition_by := '...'";
    let partition = Field::Label { columns: columns.clone(), hint };
    let reads = Reads::points(&id, &call.column(&EMBEDDING)?, graph.precision, Some(partition));
    let source = call.relation(&SOURCE, reads)?;
    let ndde = ndde::options(call)?;
    let given = GivenRelations::of(call, &id)?;
    let runs = PartitionedRuns { source, graph, kernel, ndde, tau, pairs: given.pairs };
    let peaks = PeaksInput::Partitions(call.add(runs), tau);
    dpc_cluster::build(call, peaks, given, id, columns)
}

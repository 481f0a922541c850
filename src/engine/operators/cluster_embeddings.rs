//! `cluster_embeddings(source, ...)`: all five stages in one call.

use super::dpc_cluster::{
    self, CANNOT_LINK, Cut, GivenRelations, MUST_LINK, PREVIOUS, PeaksInput, RETURNS, TAU, check_name,
};
use super::knn_graph::{
    self, CONNECTIVITY, EMBEDDING, EXPANSION_ADD, EXPANSION_SEARCH, GraphOptions, ID, K, METHOD, METRIC, PRECISION,
    SOURCE,
};
use super::linkage_cluster;
use super::ndde::{self, EPSILON, MAX_ITERATIONS};
use super::partitions::PartitionedRuns;
use super::tpdi;
use super::transition_matrix::{self, KERNEL, KernelChoice, MODEL, SIGMA};
use crate::engine::peaks::PeakInputs;
use crate::engine::prelude::*;
use crate::engine::values::GraphInput;

pub static FUNCTION: Function = Function {
    name: "cluster_embeddings",
    description: "Cluster points by their embeddings: knn_graph, transition_matrix, ndde, tpdi and dpc_cluster in one call.",
    returns: RETURNS,
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
        &PREVIOUS,
        &MUST_LINK,
        &CANNOT_LINK,
        &PARTITION_BY,
    ],
    examples: &[
        "FROM cluster_embeddings('faces', k := 80, tau := 0.7)",
        "FROM cluster_embeddings('faces', sigma := 'auto', tau := 'auto')",
        "FROM cluster_embeddings('faces', k := 80, model := 'similarity.onnx')",
        "SELECT p.*, c.cluster_id FROM photos p JOIN cluster_embeddings('photos', id := 'photo_id') c USING (photo_id)",
    ],
    nested_example: None,
    build: |call| {
        let kernel = KernelChoice::of(call)?;
        let id = call.column(&ID)?;
        check_name(call, ID.name, &id, &[])?;
        match call.get(&PARTITION_BY)? {
            Some(column) => partitioned(call, id, column, kernel),
            None => whole(call, id, kernel),
        }
    },
};

const PARTITION_BY: Parameter<OrNull<ColumnName>> = Parameter {
    name: "partition_by",
    default: DefaultValue::Null,
    takes: OrNull(ColumnName),
    description: "column of the partitions, of any type: the rows of each are clustered on their own, and the column is the second of the result. NULL: all rows are one",
};

/// All rows are one: the nested form of the stages.
fn whole(call: &mut Call<'_>, id: String, kernel: KernelChoice) -> Checked<usize> {
    let graph = GraphInput::Stage(knn_graph::build(call, None)?);
    let transition = transition_matrix::build(call, graph, kernel, None)?;
    let given = GivenRelations::of(call, &id)?;
    if call.get(&TAU)?.is_none() {
        return linkage_cluster::build(call, transition, given, id);
    }
    let density = ndde::build(call, transition)?;
    let distance = tpdi::build(call, transition);
    let peaks = PeaksInput::Stages(PeakInputs::new(density, distance));
    dpc_cluster::build(call, peaks, Cut::of(call)?, given, id, None)
}

/// The rows of each partition on their own.
fn partitioned(call: &mut Call<'_>, id: String, column: String, kernel: KernelChoice) -> Checked<usize> {
    let column = call.named(PARTITION_BY.name, column)?;
    check_name(call, PARTITION_BY.name, &column, &[&id])?;
    let model = call.is_given(&MODEL).then_some("model");
    let tau = call.get(&TAU)?.is_none().then_some("tau := 'auto'");
    let sigma = kernel.kernel.is_none().then_some("sigma := 'auto'");
    let (None, None, Some(kernel)) = (model, tau, kernel.kernel) else {
        let other = model.or(sigma).or(tau).unwrap_or_default();
        let way_out = "cluster each partition in a call of its own, over a view with WHERE";
        return Err(call.error(format!("partition_by takes no {other}; {way_out}")));
    };
    let graph = GraphOptions::of(call)?;
    let hint = "name the column of the partitions with partition_by := '...'";
    let partition = Field::Label { column: column.clone(), hint };
    let reads = Reads::points(&id, &call.column(&EMBEDDING)?, graph.precision, Some(partition));
    let source = call.relation(&SOURCE, reads)?;
    let ndde = ndde::options(call)?;
    let given = GivenRelations::of(call, &id)?;
    let runs = PartitionedRuns { source, graph, kernel, ndde, must_link: given.must_link };
    let peaks = PeaksInput::Partitions(call.add(runs));
    dpc_cluster::build(call, peaks, Cut::of(call)?, given, id, Some(column))
}

//! `linkage_cluster(transition, ...)`: clusters of a transition matrix without a threshold.

use super::dpc_cluster::{self, CutBy, GivenRelations, PREVIOUS, PeaksInput, RESULT_ID, RETURNS_STRENGTH, result_id};
use super::ndde::{self, EPSILON, MAX_ITERATIONS, TRANSITION};
use super::pairs::{CANNOT_LINK, MUST_LINK, UNKNOWN_IDS};
use super::tpdi;
use crate::engine::peaks::PeakInputs;
use crate::engine::prelude::*;
use crate::engine::values::Edges;

pub static FUNCTION: Function = Function {
    name: "linkage_cluster",
    description: "Clusters of a transition matrix without a threshold: points and clusters merge by the mean of what links them, in which a pair that neither row had room for says nothing, and of the clusters on the way those are taken that describe a random walk in the fewest bits.",
    returns: RETURNS_STRENGTH,
    parameters: &[
        &TRANSITION,
        &EPSILON,
        &MAX_ITERATIONS,
        &PREVIOUS,
        &MUST_LINK,
        &CANNOT_LINK,
        &UNKNOWN_IDS,
        &CLUSTERS,
        &RESULT_ID,
    ],
    examples: &[
        "FROM linkage_cluster(transition_matrix(knn_graph('faces'), sigma := 'auto'))",
        "FROM linkage_cluster('p', clusters := 150)",
    ],
    nested_example: None,
    build: |call| {
        let transition = ndde::transition(call)?;
        let id = result_id(call)?;
        let given = GivenRelations::of(call, &id)?;
        build(call, transition, given, id)
    },
};

pub const CLUSTERS: Parameter<OrNull<Count>> = Parameter {
    name: "clusters",
    default: DefaultValue::Null,
    takes: OrNull(Count(1)),
    description: "how many clusters, from the merges of cluster_tree. NULL: as many as describe a random walk in the fewest bits",
};

/// The clustering of a call along a transition matrix; `id` names a column.
pub fn build(call: &mut Call<'_>, transition: Input<Edges>, given: GivenRelations, id: String) -> Checked<usize> {
    let clusters = call.get(&CLUSTERS)?;
    let density = ndde::build(call, transition)?;
    let distance = tpdi::build(call, transition);
    let peaks = PeaksInput::Stages(PeakInputs::new(density, distance), CutBy::Tree(transition, clusters));
    dpc_cluster::build(call, peaks, given, id, vec![])
}

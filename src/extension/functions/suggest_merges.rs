//! `suggest_merges(clusters, density, distance, ...)`: clusters that nearly join.

use super::super::plan::{Input, Plan, SuggestMerges};
use super::cluster_summary::CLUSTERS;
use super::dpc_cluster::{DENSITY, DISTANCE, density, distance};
use super::{Default, Parameter, Stage};

pub static STAGE: Stage = Stage {
    name: "suggest_merges",
    description: "Pairs of clusters that would be one at a larger tau: the peak of one has its nearest neighbor of higher density in the other.",
    returns: "Returns cluster_id, other_cluster_id, delta (they join at any tau above it), peak_id (of the first), candidate_id (that neighbor, in the other), size and other_size, least delta first.",
    parameters: &[CLUSTERS, DENSITY, DISTANCE, CLUSTERS_ID],
    examples: &["FROM suggest_merges('clusters', ndde('p'), tpdi('p')) LIMIT 20"],
    nested_example: None,
    plan: |arguments| {
        Ok(Plan::SuggestMerges(SuggestMerges {
            clusters: Input::Relation(arguments.relation("clusters")?),
            density: density(arguments)?,
            distance: distance(arguments)?,
            id: arguments.column("id")?,
        }))
    },
};

pub const CLUSTERS_ID: Parameter =
    Parameter { name: "id", default: Default::Text("id"), description: "column of the ids in clusters" };

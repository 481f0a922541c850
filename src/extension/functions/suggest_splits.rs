//! `suggest_splits(clusters, ...)`: clusters that one weak link holds together.

use super::super::plan::{Input, Plan, SuggestSplits};
use super::cluster_summary::CLUSTERS;
use super::suggest_merges::CLUSTERS_ID;
use super::{Default, Parameter, Stage};

pub static STAGE: Stage = Stage {
    name: "suggest_splits",
    description: "The weakest link of each cluster: the longest step to a parent that has enough points on both sides.",
    returns: "Returns cluster_id, delta (length of the link), id and parent_id (its ends), size_below (points that hang on id, itself included) and size_above (the other points of the cluster), greatest delta first. Clusters without such a link are left out.",
    parameters: &[
        CLUSTERS,
        Parameter {
            name: "min_size",
            default: Default::Integer(2),
            description: "points on either side of the link, at least 1",
        },
        CLUSTERS_ID,
    ],
    examples: &["FROM suggest_splits('clusters', min_size := 5) LIMIT 20"],
    nested_example: None,
    plan: |arguments| {
        Ok(Plan::SuggestSplits(SuggestSplits {
            clusters: Input::Relation(arguments.relation("clusters")?),
            min_size: arguments.count("min_size", 1)?,
            id: arguments.column("id")?,
        }))
    },
};

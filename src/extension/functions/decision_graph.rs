//! `decision_graph(density, distance)`: density against delta, to see peaks in.

use super::super::plan::{DecisionGraph, Plan};
use super::Stage;
use super::dpc_cluster::{DENSITY, DISTANCE, density, distance};

pub static STAGE: Stage = Stage {
    name: "decision_graph",
    description: "The decision graph of Rodriguez and Laio (2014): peaks are the points of high density and high delta.",
    returns: "Returns id, density, delta (distance to the candidate parent, the nearest neighbor of higher density; without one the largest distance, at least 1) and candidate_id (that neighbor, or NULL), in falling order of density times delta.",
    parameters: &[DENSITY, DISTANCE],
    examples: &["FROM decision_graph(ndde('p'), tpdi('p')) LIMIT 20"],
    nested_example: None,
    plan: |arguments| {
        Ok(Plan::DecisionGraph(DecisionGraph { density: density(arguments)?, distance: distance(arguments)? }))
    },
};

//! `tpdi(transition)`, stage 4.

use super::super::plan::{Plan, Tpdi};
use super::Stage;
use super::ndde::{TRANSITION, transition};

pub static STAGE: Stage = Stage {
    name: "tpdi",
    description: "Transition-probability distance of the two ends of each edge: how little their rows of the transition matrix have in common.",
    returns: "Returns src, dst and distance, between 0 and 1; a point's step to itself is left out.",
    parameters: &[TRANSITION],
    examples: &["FROM tpdi('p')", "FROM tpdi(transition_matrix(knn_graph('faces')))"],
    nested_example: Some("FROM dpc_cluster(ndde('p'), tpdi('p'), tau := 0.7)"),
    plan: |arguments| Ok(Plan::Tpdi(Tpdi { transition: transition(arguments)? })),
};

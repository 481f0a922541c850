//! `tau_sweep(density, distance, ...)`: what each threshold would give.

use super::super::plan::{Input, Plan, TauSweep};
use super::dpc_cluster::{DENSITY, DISTANCE, density, distance};
use super::{Default, Parameter, Stage};

pub static STAGE: Stage = Stage {
    name: "tau_sweep",
    description: "What dpc_cluster would give for each of many tau, in figures and in one pass: to choose tau by.",
    returns: "Returns tau, clusters, singletons (clusters of one point) and largest (points of the largest cluster), one row a tau, in the order of taus; with labels also pairwise_precision, pairwise_recall, pairwise_f, bcubed_precision, bcubed_recall and bcubed_f over the points that have a label, NULL where a divisor is 0.",
    parameters: &[
        DENSITY,
        DISTANCE,
        Parameter {
            name: "taus",
            default: Default::Numbers(&[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]),
            description: "list of the thresholds, each between 0 and 1",
        },
        Parameter {
            name: "labels",
            default: Default::Null,
            description: "name of a relation with the true label of each id; ids that are no point are left out. NULL: no scores",
        },
        Parameter {
            name: "label",
            default: Default::Text("label"),
            description: "column of the labels, of any type; NULL for a point without one",
        },
        Parameter {
            name: "id",
            default: Default::Text("id"),
            description: "column of the ids in labels, unique and of the type that density has",
        },
    ],
    examples: &[
        "FROM tau_sweep('r', 'd')",
        "FROM tau_sweep(ndde('p'), tpdi('p'), taus := [0.6, 0.7, 0.8], labels := 'faces', label := 'identity')",
    ],
    nested_example: None,
    plan: |arguments| {
        let taus = arguments.numbers("taus")?;
        if let Some(tau) = taus.iter().find(|tau| !(0.0..=1.0).contains(*tau)) {
            return Err(arguments.error(format!("taus must be between 0 and 1, got {tau}")));
        }
        Ok(Plan::TauSweep(TauSweep {
            density: density(arguments)?,
            distance: distance(arguments)?,
            taus,
            labels: arguments.optional_relation("labels")?.map(Input::Relation),
            label: arguments.column("label")?,
            id: arguments.column("id")?,
        }))
    },
};

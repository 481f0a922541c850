//! `tau_sweep(density, distance, ...)`: what each threshold would give.

use crate::core::sweep::{Scores, TauRow, sweep};
use crate::engine::peaks::{DENSITY, DISTANCE, PeakInputs};
use crate::engine::prelude::*;
use crate::engine::values::Labels;

pub static FUNCTION: Function = Function {
    name: "tau_sweep",
    description: "What dpc_cluster would give for each of many tau, in figures and in one pass: to choose tau by.",
    returns: "Returns tau, clusters, singletons (clusters of one point) and largest (points of the largest cluster), one row a tau, in the order of taus; with labels also pairwise_precision, pairwise_recall, pairwise_f, bcubed_precision, bcubed_recall and bcubed_f over the points that have a label, NULL where a divisor is 0.",
    parameters: &[&DENSITY, &DISTANCE, &TAUS, &LABELS, &LABEL, &ID],
    examples: &[
        "FROM tau_sweep('r', 'd')",
        "FROM tau_sweep(ndde('p'), tpdi('p'), taus := [0.6, 0.7, 0.8], labels := 'faces', label := 'identity')",
    ],
    nested_example: None,
    build: |call| {
        let taus = call.get(&TAUS)?;
        let peaks = PeakInputs::of(call)?;
        let labels = call.get(&LABELS)?;
        let (label, id) = (call.column(&LABEL)?, call.column(&ID)?);
        let labels = labels.map(|name| call.read(LABELS.name, name, Labels::reads(&id, label)));
        Ok(call.add(TauSweep { peaks, taus, labels }).node)
    },
};

const TAUS: Parameter<Numbers> = Parameter {
    name: "taus",
    default: DefaultValue::Numbers(&[0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]),
    takes: Numbers(Number { is: "a number", range: "between 0 and 1", valid: |tau| (0.0..=1.0).contains(&tau) }),
    description: "list of the thresholds, each between 0 and 1",
};
const LABELS: Parameter<OrNull<RelationName>> = Parameter {
    name: "labels",
    default: DefaultValue::Null,
    takes: OrNull(OF_POINTS),
    description: "name of a relation with the true label of each id; ids that are no point are left out. NULL: no scores",
};
const LABEL: Parameter<ColumnName> = Parameter {
    name: "label",
    default: DefaultValue::Text("label"),
    takes: ColumnName,
    description: "column of the labels, of any type; NULL for a point without one",
};
const ID: Parameter<ColumnName> = Parameter {
    name: "id",
    default: DefaultValue::Text("id"),
    takes: ColumnName,
    description: "column of the ids in labels, unique and of the type that density has",
};

#[derive(Debug, PartialEq)]
struct TauSweep {
    peaks: PeakInputs,
    taus: Vec<f64>,
    labels: Option<Input<Labels>>,
}

impl Operator for TauSweep {
    type Output = List<TauRow>;

    fn inputs(&self) -> Vec<usize> {
        self.peaks.nodes().into_iter().chain(self.labels.map(|labels| labels.node)).collect()
    }

    fn columns(&self) -> Vec<Column<List<TauRow>>> {
        let score = |name: &str, value: fn(&Scores) -> Option<f64>| {
            double(name, move |list: &Self::Output, rows| list.some(rows, |row| row.scores.as_ref().and_then(value)))
        };
        let mut columns = vec![
            double("tau", |list: &Self::Output, rows| list.each(rows, |row| row.tau)),
            bigint("clusters", |list: &Self::Output, rows| list.each(rows, |row| row.clusters as i64)),
            bigint("singletons", |list: &Self::Output, rows| list.each(rows, |row| row.singletons as i64)),
            bigint("largest", |list: &Self::Output, rows| list.each(rows, |row| row.largest as i64)),
        ];
        if self.labels.is_some() {
            columns.extend([
                score("pairwise_precision", |scores| scores.pairwise.precision),
                score("pairwise_recall", |scores| scores.pairwise.recall),
                score("pairwise_f", |scores| scores.pairwise.f),
                score("bcubed_precision", |scores| scores.bcubed.precision),
                score("bcubed_recall", |scores| scores.bcubed.recall),
                score("bcubed_f", |scores| scores.bcubed.f),
            ]);
        }
        columns
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<TauRow>> {
        // Before the long work, because they may be wrong.
        let labels = self.labels.map(|labels| run.read(labels)).transpose()?;
        let peaks = self.peaks.read(run)?;
        let labels = labels.map(|labels| labels.of(peaks.ids())).transpose()?;
        let candidates = peaks.candidates(run.monitor)?;
        let rows = sweep(&candidates, &self.taus, labels.as_deref(), run.monitor).map_err(peaks.failed())?;
        Ok(List { rows, ids: vec![] })
    }
}

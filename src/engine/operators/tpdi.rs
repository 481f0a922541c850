//! `tpdi(transition, ...)`, stage 4.

use std::fmt::Display;
use std::sync::Arc;

use super::ndde::{TRANSITION, transition};
use crate::core::tpdi::tpdi_from;
use crate::engine::peaks::Distances;
use crate::engine::prelude::*;
use crate::engine::relation::RowKey;
use crate::engine::values::Edges;

pub static FUNCTION: Function = Function {
    name: "tpdi",
    description: "Transition-probability distance of the two ends of each edge: how little their rows of the transition matrix have in common.",
    returns: "Returns src, dst and distance, between 0 and 1; a point's step to itself is left out.",
    parameters: &[&TRANSITION, &SOURCES],
    examples: &[
        "FROM tpdi('p')",
        "FROM tpdi(transition_matrix(knn_graph('faces')))",
        "FROM tpdi('p', sources := 'new_faces')",
    ],
    nested_example: Some("FROM dpc_cluster(ndde('p'), tpdi('p'), tau := 0.7)"),
    build: |call| {
        let transition = transition(call)?;
        let key = RowKey::Id { column: "id".into(), hint: "" };
        let reads = Reads { key, fields: vec![], made_by: "the column of sources is id", has_all_points: false };
        let sources = call.get(&SOURCES)?.map(|name| call.read(SOURCES.name, name, reads));
        Ok(call.add(TransitionDistance { transition, sources }).node)
    },
};

const SOURCES: Parameter<OrNull<RelationName>> = Parameter {
    name: "sources",
    default: DefaultValue::Null,
    takes: OrNull(RelationName { is: "the name of a relation with column id" }),
    description: "name of a relation with the id of each src that is wanted; of transition the rows of these and of their neighbors are read alone, and others may be absent. NULL: every src",
};

/// The distances along a transition matrix.
pub fn build(call: &mut Call<'_>, transition: Input<Edges>) -> Input<Distances> {
    call.add(TransitionDistance { transition, sources: None })
}

/// Some points, in order of their ids.
#[derive(Clone)]
struct Sources {
    ids: Arc<Ids>,
    label: String,
}

impl FromRows for Sources {
    fn from_rows(rows: Collected, label: &str, _: &Run<'_>) -> Result<Self> {
        Ok(Self { ids: Sorted::new(rows, label)?.ids, label: label.into() })
    }
}

fn no_source(id: &dyn Display) -> String {
    format!("id {id} of sources is not in the transition matrix; leave it out")
}

#[derive(Debug, PartialEq)]
struct TransitionDistance {
    transition: Input<Edges>,
    sources: Option<Input<Sources>>,
}

impl Operator for TransitionDistance {
    type Output = Distances;

    fn inputs(&self) -> Vec<usize> {
        std::iter::once(self.transition.node).chain(self.sources.map(|sources| sources.node)).collect()
    }

    fn columns(&self) -> Vec<Column<Distances>> {
        Distances::columns()
    }

    /// All distances where they are the result; else whoever reads them may need a part alone.
    fn run(&self, run: &mut Run<'_>) -> Result<Distances> {
        let transition = Edges::of(run, self.transition)?;
        if let Some(sources) = self.sources {
            let Sources { ids, label } = run.take(sources)?;
            let mut wanted = vec![false; transition.ids.len()];
            for (id, number) in (0..).zip(ids.numbers_in(&transition.ids)) {
                wanted[number.ok_or_else(|| failed(&label, &ids)(Cause::Point(id, no_source)))? as usize] = true;
            }
            let matrix = tpdi_from(&transition.matrix, &wanted, run.monitor).map_err(transition.failed())?;
            return Ok(Distances::Known(Edges { matrix: Arc::new(matrix), ..transition }));
        }
        if run.is_result(self) { Distances::all(transition, run.monitor) } else { Ok(Distances::Of(transition)) }
    }
}

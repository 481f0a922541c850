//! What the operators over densities and distances read.

use std::fmt::Display;
use std::sync::Arc;

use super::failure::{Cause, Failure, Result, failed};
use super::ids::Ids;
use super::operator::{FromRows, Input, Run};
use super::parameter::{DefaultValue, Parameter, StageOrRelation};
use super::plan::Call;
use super::refusal;
use super::relation::Collected;
use super::table::{Column, Rows};
use super::values::{Densities, Edges, MADE_BY_TPDI, edge_columns};
use crate::core::dpc::{self, Candidates};
use crate::core::error::Error;
use crate::core::monitor::Monitor;
use crate::core::sparse;
use crate::core::threshold::auto_tau;
use crate::core::tpdi::{tpdi, tpdi_upward};

pub const DENSITY: Parameter<StageOrRelation> = Parameter {
    name: "density",
    default: DefaultValue::Required,
    takes: StageOrRelation { function: "ndde", columns: "id, density" },
    description: "ndde(...), or name of a relation with id and density",
};
pub const DISTANCE: Parameter<StageOrRelation> = Parameter {
    name: "distance",
    default: DefaultValue::Required,
    takes: StageOrRelation { function: "tpdi", columns: "src, dst, distance" },
    description: "tpdi(...), or name of a relation with src, dst and distance",
};

/// The distances of edges.
#[derive(Clone)]
pub enum Distances {
    Known(Edges),
    /// Those of a transition matrix, of which a reader may need a part alone.
    Of(Edges),
}

impl Distances {
    fn edges(&self) -> &Edges {
        match self {
            Self::Known(edges) | Self::Of(edges) => edges,
        }
    }

    /// All of them, computed if they are not known.
    pub fn all(transition: Edges, monitor: &Monitor) -> Result<Self> {
        let matrix = tpdi(&transition.matrix, monitor).map_err(transition.failed())?;
        Ok(Self::Known(Edges { matrix: Arc::new(matrix), ..transition }))
    }

    /// The distances that a clustering by these densities looks at; or all.
    fn upward(self, density: &Densities, monitor: &Monitor) -> Result<Edges> {
        let transition = match self {
            Self::Known(edges) => return Ok(edges),
            Self::Of(transition) => transition,
        };
        let matrix = match Arc::ptr_eq(&density.ids, &transition.ids) {
            true => tpdi_upward(&transition.matrix, &density.values, monitor),
            false => tpdi(&transition.matrix, monitor),
        };
        Ok(Edges { matrix: Arc::new(matrix.map_err(transition.failed())?), ..transition })
    }

    /// `src`, `dst` and `distance`.
    pub fn columns() -> Vec<Column<Self>> {
        edge_columns("distance", Self::edges)
    }
}

impl Rows for Distances {
    fn count(&self) -> usize {
        self.edges().count()
    }

    fn ids(&self) -> Vec<Arc<Ids>> {
        self.edges().ids()
    }
}

impl FromRows for Distances {
    fn from_rows(rows: Collected, label: &str, run: &Run<'_>) -> Result<Self> {
        Edges::from_rows(rows, label, run).map(Self::Known)
    }
}

/// Densities, and distances of the same points.
pub struct Peaks {
    pub density: Vec<f64>,
    pub distances: Edges,
    /// The call that gave the densities.
    pub label: String,
}

impl Peaks {
    pub fn ids(&self) -> &Arc<Ids> {
        &self.distances.ids
    }

    pub fn failed(&self) -> impl Fn(Error) -> Failure + use<> {
        let of_density = failed(&self.label, &self.distances.ids);
        let of_distances = self.distances.failed();
        move |error| match error {
            Error::Point { .. } => of_density(error),
            _ => of_distances(error),
        }
    }

    pub fn candidates(&self, monitor: &Monitor) -> Result<Candidates> {
        dpc::candidates(&self.density, &self.distances.matrix, monitor).map_err(self.failed())
    }

    /// The threshold that the distances call for.
    pub fn auto_tau(&self, monitor: &Monitor) -> Result<f64> {
        auto_tau(&self.density, &self.distances.matrix, monitor).map_err(self.failed())
    }
}

/// The inputs that give [`Peaks`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeakInputs {
    density: Input<Densities>,
    distance: Input<Distances>,
}

impl PeakInputs {
    pub fn new(density: Input<Densities>, distance: Input<Distances>) -> Self {
        Self { density, distance }
    }

    /// Those of the parameters [`DENSITY`] and [`DISTANCE`].
    pub fn of(call: &mut Call<'_>) -> refusal::Result<Self> {
        let density = call.stage_or_relation(&DENSITY, Densities::reads())?;
        let distance = call.stage_or_relation(&DISTANCE, Edges::reads_distances(MADE_BY_TPDI))?;
        Ok(Self { density, distance })
    }

    pub fn nodes(&self) -> [usize; 2] {
        [self.density.node, self.distance.node]
    }

    pub fn read(&self, run: &mut Run<'_>) -> Result<Peaks> {
        let reader = self.density.reader;
        let density = run.take(self.density)?;
        let distances = run.take(self.distance)?;
        let mut distances = distances.upward(&density, run.monitor)?;
        distances.label = run.label_or(self.distance, distances.label);
        let distances = align(distances, &density.ids, reader)?;
        Ok(Peaks { density: density.values, distances, label: density.label.unwrap_or_else(|| reader.into()) })
    }
}

fn no_density(end: &str, id: &dyn Display, src: &dyn Display, dst: &dyn Display) -> String {
    format!("{end} {id} of edge {src} -> {dst} has no density; every point needs a row in the density relation")
}

/// The same edges, numbered by the ids of the densities.
fn align(edges: Edges, ids: &Arc<Ids>, reader: &str) -> Result<Edges> {
    if Arc::ptr_eq(&edges.ids, ids) {
        return Ok(edges);
    }
    let numbers = edges.ids.numbers_in(ids);
    let (mut lengths, mut columns) = (vec![0; ids.len()], Vec::with_capacity(edges.matrix.nnz()));
    for (row, neighbors) in edges.matrix.outer_iterator().enumerate() {
        for &neighbor in neighbors.indices() {
            let (Some(src), Some(dst)) = (numbers[row], numbers[neighbor as usize]) else {
                let src = |src: &dyn Display, dst: &dyn Display| no_density("src", src, src, dst);
                let dst = |src: &dyn Display, dst: &dyn Display| no_density("dst", dst, src, dst);
                let missing = if numbers[row].is_some() { dst } else { src };
                return Err(failed(reader, &edges.ids)(Cause::Pair(row as u32, neighbor, missing)));
            };
            // Both are in order of the ids, so rows and columns stay in order.
            lengths[src as usize] += 1;
            columns.push(dst);
        }
    }
    let starts = sparse::starts(ids.len(), |row| lengths[row]);
    let matrix = sparse::matrix(ids.len(), starts, columns, edges.matrix.data().to_vec());
    Ok(Edges { matrix: Arc::new(matrix), ids: ids.clone(), ..edges })
}

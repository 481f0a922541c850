//! `decision_graph(density, distance)`: density against delta, to see peaks in.

use crate::engine::peaks::{DENSITY, DISTANCE, PeakInputs};
use crate::engine::prelude::*;

pub static FUNCTION: Function = Function {
    name: "decision_graph",
    description: "The decision graph of Rodriguez and Laio (2014): peaks are the points of high density and high delta.",
    returns: "Returns id, density, delta (distance to the candidate parent, the nearest neighbor of higher density; without one the largest distance, at least 1) and candidate_id (that neighbor, or NULL), in falling order of density times delta.",
    parameters: &[&DENSITY, &DISTANCE],
    examples: &["FROM decision_graph(ndde('p'), tpdi('p')) LIMIT 20"],
    nested_example: None,
    build: |call| {
        let peaks = PeakInputs::of(call)?;
        Ok(call.add(DecisionGraph { peaks }).node)
    },
};

#[derive(Debug, PartialEq)]
struct DecisionGraph {
    peaks: PeakInputs,
}

/// A point of the graph.
struct Place {
    point: u32,
    density: f64,
    delta: f64,
    candidate: Option<u32>,
}

impl Operator for DecisionGraph {
    type Output = List<Place>;

    fn inputs(&self) -> Vec<usize> {
        self.peaks.nodes().into()
    }

    fn columns(&self) -> Vec<Column<List<Place>>> {
        vec![
            id("id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.point)),
            double("density", |list: &Self::Output, rows| list.each(rows, |row| row.density)),
            double("delta", |list: &Self::Output, rows| list.each(rows, |row| row.delta)),
            id("candidate_id", Whose::First, |list: &Self::Output, rows| list.some(rows, |row| row.candidate)),
        ]
    }

    /// Likeliest peaks first: by density times delta. A point without a candidate is at least as far
    /// from a higher one as any other.
    fn run(&self, run: &mut Run<'_>) -> Result<List<Place>> {
        let peaks = self.peaks.read(run)?;
        // The candidates, the rows, and these once more while they are sorted.
        let points = peaks.density.len();
        let more = points * (size_of::<Option<(u32, f64)>>() + size_of::<Place>());
        run.limits.check_more(&peaks.label, || format!("{points} densities"), more as u64)?;
        let candidates = peaks.candidates(run.monitor)?;
        let farthest = candidates.iter().flatten().fold(1.0, |farthest: f64, candidate| farthest.max(candidate.1));
        let places = (0..).zip(&peaks.density).zip(&candidates);
        let mut rows: Vec<Place> = places
            .map(|((point, &density), candidate)| Place {
                point,
                density,
                delta: candidate.map_or(farthest, |(_, delta)| delta),
                candidate: candidate.map(|(candidate, _)| candidate),
            })
            .collect();
        let weight = |place: &Place| place.density * place.delta;
        rows.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then(a.point.cmp(&b.point)));
        Ok(List { rows, ids: vec![peaks.ids().clone()] })
    }
}

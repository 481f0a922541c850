//! How much the two ends of an edge have in common, along a transition matrix.

use rayon::prelude::*;

use crate::core::copies::{SAME, unnamed_copies};
use crate::core::error::Result;
use crate::core::memory::{filled, room};
use crate::core::monitor::Monitor;
use crate::core::ndde::check_transition;
use crate::core::overlap::{AHEAD, Spread, ask_for};
use crate::core::sparse::{Matrix, ROWS, laid, largest, near_order, places, row, starts_of};

/// A smaller strength says nothing of two points: the clusters are the same without, for a fraction of the work.
pub(crate) const FLOOR: f64 = 0.05;
/// A probability below this part of the row's largest is left out of what rows share: 80 such cannot add
/// 1e-4 to an overlap.
const NEGLIGIBLE: f64 = 1e-12;

/// An undirected edge, from its smaller end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// The other end.
    pub to: u32,
    /// The larger of the overlap and of the similarities that the two rows give the edge; 1 for copies.
    pub strength: f64,
    /// What the two rows of P have in common, `sum_c sqrt(p_ic p_jc)`, from 0 to 1.
    pub overlap: f64,
}

/// The links of all points that are worth a look, and what each point's row leaves open.
#[derive(Debug, Clone, PartialEq)]
pub struct Links {
    starts: Vec<usize>,
    links: Vec<Link>,
    /// The similarity of the last neighbor of each row: that of a point which is not in the row is less. 1 for
    /// a point without neighbors, whose row says nothing.
    pub open: Vec<f64>,
    /// The rows that stand beside a copy of theirs and are named by nobody, with that copy: they have no links.
    pub copies: Vec<(u32, u32)>,
}

impl Links {
    /// Those of a transition matrix. The similarity of an edge is its probability, divided by the largest of its
    /// row, which is that of staying.
    ///
    /// # Errors
    /// If P is not a transition matrix, or the run is stopped.
    pub fn new(transition: &Matrix, monitor: &Monitor) -> Result<Self> {
        check_transition(transition, monitor)?;
        let n = transition.rows();
        let unit: Vec<f64> = (0..n).into_par_iter().map(|i| largest(row(transition, i).1)).collect();
        let unit = &unit;
        let similarities = |i: usize| {
            let (columns, values) = row(transition, i);
            columns.iter().zip(values).map(move |(&j, &p)| (j, p, unit[i]))
        };
        let others = |i: usize| similarities(i).filter(move |&(j, ..)| j as usize != i);
        let possible = |i: usize| others(i).filter(|&(_, p, _)| p > 0.0);
        let copies = unnamed_copies(n, |i| possible(i).map(|(j, p, unit)| (j, p >= unit * (1.0 - SAME))))?;
        let mut is_copy = filled(false, n)?;
        copies.iter().for_each(|&(copy, _)| is_copy[copy as usize] = true);
        let is_copy = &is_copy;
        let neighbors = |i: usize| others(i).filter(move |_| !is_copy[i]);
        let open = |i: usize| neighbors(i).map(|(_, p, unit)| p / unit).min_by(f64::total_cmp);
        let open: Vec<f64> = (0..n).into_par_iter().map(|i| open(i).unwrap_or(1.0)).collect();

        let kept = |i: usize| similarities(i).filter(|&(_, p, unit)| p >= NEGLIGIBLE * unit);
        let (starts, columns, roots) = laid(n, |i| kept(i).map(|(j, p, _)| (j, p.sqrt())))?;
        let roots = |i: usize| (&columns[starts[i]..starts[i + 1]], &roots[starts[i]..starts[i + 1]]);
        let similarity = |i: usize, j: usize| {
            let at = row(transition, i).0.binary_search(&(j as u32)).ok()?;
            Some(transition.data()[places(transition, i).start + at] / unit[i])
        };

        // A step of probability 0 may lead to a copy.
        let linked = |i: usize| neighbors(i).filter(|&(j, ..)| !is_copy[j as usize]);
        let order = near_order(transition, monitor)?;
        let phase = monitor.phase(0.0..0.5, n.div_ceil(ROWS));
        let units: Vec<Vec<(u32, Link)>> = (0..n.div_ceil(ROWS))
            .into_par_iter()
            .map_init(
                || Spread::new(n),
                |spread, unit| {
                    phase.step()?;
                    let mut found = Vec::new();
                    for i in order[unit * ROWS..((unit + 1) * ROWS).min(n)].iter().map(|&i| i as usize) {
                        spread.with(roots(i), |spread| {
                            let mut ahead = linked(i).skip(AHEAD);
                            for (j, p, unit) in linked(i) {
                                if let Some((ahead, ..)) = ahead.next() {
                                    ask_for((row(transition, ahead as usize).0, &[]));
                                    ask_for(roots(ahead as usize));
                                }
                                let back = similarity(j as usize, i);
                                // An edge of both rows is looked at from its smaller end.
                                if back.is_some() && (j as usize) < i {
                                    continue;
                                }
                                let overlap = spread.product(roots(j as usize));
                                let strength = overlap.max(p / unit).max(back.unwrap_or(0.0));
                                if strength >= FLOOR {
                                    let (from, to) = (j.min(i as u32), j.max(i as u32));
                                    found.push((from, Link { to, strength, overlap }));
                                }
                            }
                        });
                    }
                    Ok(found)
                },
            )
            .collect::<Result<_>>()?;
        let count = units.iter().map(Vec::len).sum();
        let mut all: Vec<(u32, Link)> = room(count)?;
        units.into_iter().for_each(|unit| all.extend(unit));
        all.par_sort_unstable_by_key(|&(from, link)| (from, link.to));
        let mut from: Vec<u32> = room(count)?;
        from.extend(all.iter().map(|link| link.0));
        let mut links = room(count)?;
        links.extend(all.into_iter().map(|link| link.1));
        Ok(Self { starts: starts_of(n, &from), links, open, copies })
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Number of links.
    pub fn count(&self) -> usize {
        self.links.len()
    }

    /// Those within parts of the points alone; a point without a part has none.
    pub fn within(mut self, part: impl Fn(u32) -> Option<u32>) -> Self {
        let (mut start, mut kept) = (0, 0);
        for from in 0..self.len() {
            let of_from = part(from as u32);
            let end = self.starts[from + 1];
            for at in start..end {
                if of_from.is_some() && of_from == part(self.links[at].to) {
                    self.links[kept] = self.links[at];
                    kept += 1;
                }
            }
            (start, self.starts[from + 1]) = (end, kept);
        }
        self.links.truncate(kept);
        self
    }

    /// The links of a point to those after it.
    pub fn of(&self, point: usize) -> &[Link] {
        &self.links[self.starts[point]..self.starts[point + 1]]
    }
}

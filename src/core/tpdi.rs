//! Stage 4, the transition-probability distance: `d_ij = 1 - sum_c sqrt(p_ic p_jc)` over the
//! columns c that rows i and j share (equation 8 of the paper), for the stored edges i -> j.

use rayon::prelude::*;

use crate::core::dpc::above;
use crate::core::error::Result;
use crate::core::memory::filled;
use crate::core::monitor::Monitor;
use crate::core::ndde::{check_rows, check_transition};
use crate::core::overlap::{AHEAD, Spread, ask_for};
use crate::core::sparse::{Matrix, ROWS, matrix, near_order, places, row, starts, units};

/// The distance of every stored edge, without the self-loops. Distances are in [0, 1] and
/// symmetric.
///
/// # Errors
/// If a probability is negative, a row does not sum to 1, or the run is stopped.
pub fn tpdi(transition: &Matrix, monitor: &Monitor) -> Result<Matrix> {
    check_transition(transition, monitor)?;
    distances(transition, monitor, &|i, j| i != j)
}

/// Those of the edges from some points, `sources`. The rows of these and of their neighbors are all that is read; others
/// may be empty.
///
/// # Errors
/// As [`tpdi`], of the rows that are read.
pub fn tpdi_from(transition: &Matrix, sources: &[bool], monitor: &Monitor) -> Result<Matrix> {
    let mut read = sources.to_vec();
    for (i, _) in sources.iter().enumerate().filter(|(_, source)| **source) {
        row(transition, i).0.iter().for_each(|&j| read[j as usize] = true);
    }
    check_rows(transition, |i| read[i], monitor)?;
    distances(transition, monitor, &|i, j| sources[i] && i != j)
}

/// The distances that [`dpc`](crate::core::dpc::dpc()) looks at: of the edges that lead to a higher
/// density. With these alone it gives the same clustering, for half the work.
///
/// # Errors
/// As [`tpdi`].
pub fn tpdi_upward(transition: &Matrix, density: &[f64], monitor: &Monitor) -> Result<Matrix> {
    check_transition(transition, monitor)?;
    distances(transition, monitor, &|i, j| above(density, j, i))
}

fn distances(
    transition: &Matrix,
    monitor: &Monitor,
    wanted: &(impl Fn(usize, usize) -> bool + Sync),
) -> Result<Matrix> {
    let n = transition.rows();
    let mut roots = filled(0.0f64, transition.nnz())?;
    roots.par_iter_mut().zip(transition.data()).for_each(|(root, p)| *root = p.sqrt());
    let root_row = |i: usize| (row(transition, i).0, &roots[places(transition, i)]);
    let ends = |i: usize| row(transition, i).0.iter().copied().filter(move |&j| wanted(i, j as usize));
    let starts = starts(n, |i| ends(i).count());
    let (mut columns, mut distances) = (filled(0, starts[n])?, filled(0.0, starts[n])?);
    // Each row in a unit of its own, and these in an order in which neighbors are near.
    let units = units(&starts, &mut columns, 1).into_iter().zip(units(&starts, &mut distances, 1));
    let mut units: Vec<_> = units.map(Some).collect();
    let order = near_order(transition, monitor)?;
    let mut rows: Vec<_> = order.iter().filter_map(|&i| units[i as usize].take()).collect();
    rows.par_chunks_mut(ROWS).try_for_each_init(
        || Spread::new(n),
        |spread, rows| {
            monitor.check()?;
            for ((row, columns), (_, distances)) in rows {
                let i = row.start;
                columns.iter_mut().zip(ends(i)).for_each(|(column, j)| *column = j);
                spread.with(root_row(i), |spread| {
                    for (at, (&j, distance)) in columns.iter().zip(&mut **distances).enumerate() {
                        if let Some(&ahead) = columns.get(at + AHEAD) {
                            ask_for(root_row(ahead as usize));
                        }
                        *distance = (1.0 - spread.product(root_row(j as usize))).clamp(0.0, 1.0);
                    }
                });
            }
            Ok(())
        },
    )?;
    Ok(matrix(n, starts, columns, distances))
}

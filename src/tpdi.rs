//! Stage 4, the transition-probability distance: `d_ij = 1 - sum_c sqrt(p_ic p_jc)` over the
//! columns c that rows i and j share (equation 8 of the paper), for the stored edges i -> j.

use rayon::prelude::*;

use crate::error::Result;
use crate::kernels::prefetch;
use crate::monitor::Monitor;
use crate::ndde::check_transition;
use crate::sparse::{Matrix, matrix, row, row_units};

/// How many neighbors ahead a row is asked for.
const AHEAD: usize = 6;

/// The distance of every stored edge, without the self-loops. Distances are in [0, 1] and
/// symmetric.
///
/// # Errors
/// If a probability is negative, a row does not sum to 1, or the run is stopped.
pub fn tpdi(transition: &Matrix, monitor: &Monitor) -> Result<Matrix> {
    check_transition(transition)?;
    let n = transition.rows();
    let roots = transition.map(|p| p.sqrt());
    let mut starts = Vec::with_capacity(n + 1);
    starts.push(0);
    for i in 0..n {
        let columns = row(transition, i).0;
        let edges = columns.len() - usize::from(columns.binary_search(&(i as u32)).is_ok());
        starts.push(starts[i] + edges);
    }
    let (mut columns, mut distances) = (vec![0; starts[n]], vec![0.0; starts[n]]);
    (row_units(&starts, &mut columns).into_par_iter()).zip(row_units(&starts, &mut distances)).try_for_each_init(
        || vec![0.0; n],
        |dense, ((rows, columns), (_, distances))| {
            monitor.check()?;
            let mut edges = columns.iter_mut().zip(distances);
            for i in rows {
                // Row i spread out; the rows of its neighbors then look their columns up.
                let (neighbors, values) = row(&roots, i);
                neighbors.iter().zip(values).for_each(|(&c, &value)| dense[c as usize] = value);
                for (at, &j) in neighbors.iter().enumerate().filter(|&(_, &j)| j as usize != i) {
                    if let Some(&ahead) = neighbors.get(at + AHEAD) {
                        let (columns, values) = row(&roots, ahead as usize);
                        prefetch(columns);
                        prefetch(values);
                    }
                    let (others, values) = row(&roots, j as usize);
                    let shared: f64 = others.iter().zip(values).map(|(&c, value)| dense[c as usize] * value).sum();
                    let (column, distance) = edges.next().expect("one place an edge");
                    (*column, *distance) = (j, (1.0 - shared).clamp(0.0, 1.0));
                }
                neighbors.iter().for_each(|&c| dense[c as usize] = 0.0);
            }
            Ok(())
        },
    )?;
    Ok(matrix(n, starts, columns, distances))
}

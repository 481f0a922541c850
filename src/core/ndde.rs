//! Stage 3, neighborhood-diffusion density: `rho(0) = 1`, `rho <- P^T rho` until it settles.
//!
//! Algorithm 1 of the paper prints `P rho`, which never moves, since the rows of P sum to 1. Its
//! Theorem 1 (mean density 1 in every closed cluster) and the released code need the transpose.

use rayon::prelude::*;

use crate::core::error::{EdgeProblem, Error, PointProblem, Result};
use crate::core::monitor::Monitor;
use crate::core::sparse::{Matrix, ROWS, row, transpose};

/// The length of a step that counts as settled, unless another is asked for.
pub const EPSILON: f64 = 0.05;

/// Steps at most, unless another number is asked for.
pub const MAX_ITERATIONS: usize = 100;

/// How far a row's sum may be from 1: probabilities that went through single precision pass.
const ROW_SUM_TOLERANCE: f64 = 1e-4;

/// When the diffusion ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NddeOptions {
    /// Largest length of a step, `||rho_new - rho||_2`, that counts as settled; above 0.
    pub epsilon: f64,
    /// Steps at most, at least 1. One step is the form of the released code.
    pub max_iterations: usize,
}

impl Default for NddeOptions {
    fn default() -> Self {
        Self { epsilon: EPSILON, max_iterations: MAX_ITERATIONS }
    }
}

/// The density of each point. Densities are at least 0 and sum to N.
///
/// # Errors
/// If an option is out of range, a probability is negative, a row does not sum to 1, or the run
/// is stopped.
pub fn ndde(transition: &Matrix, options: &NddeOptions, monitor: &Monitor) -> Result<Vec<f64>> {
    if !(options.epsilon > 0.0 && options.epsilon.is_finite()) {
        let (range, value) = ("a finite number above 0".into(), options.epsilon.to_string());
        return Err(Error::Parameter { name: "epsilon", range, value });
    }
    if options.max_iterations == 0 {
        return Err(Error::Parameter { name: "max_iterations", range: "at least 1".into(), value: "0".into() });
    }
    check_transition(transition, monitor)?;
    // Column by column each density is a sum in a fixed order, and no two threads write the same.
    let (starts, sources, probabilities) = transpose(transition, monitor)?;
    let n = transition.rows();
    let (mut density, mut next) = (vec![1.0; n], vec![0.0; n]);
    for _ in 0..options.max_iterations {
        // The squares of a unit's changes are summed with it, and the units in their order, so
        // that the sum is the same on any number of threads.
        let changes: Vec<f64> = (next.par_chunks_mut(ROWS).enumerate())
            .map(|(unit, next)| {
                monitor.check()?;
                let first = unit * ROWS;
                let mut change = 0.0;
                for (at, next) in next.iter_mut().enumerate() {
                    let places = starts[first + at]..starts[first + at + 1];
                    let terms = sources[places.clone()].iter().zip(&probabilities[places]);
                    *next = terms.fold(0.0, |sum, (&i, p)| sum + p * density[i as usize]);
                    change += (*next - density[first + at]).powi(2);
                }
                Ok(change)
            })
            .collect::<Result<_>>()?;
        std::mem::swap(&mut density, &mut next);
        if changes.iter().sum::<f64>().sqrt() <= options.epsilon {
            break;
        }
    }
    Ok(density)
}

/// Check that P is a transition matrix.
///
/// # Errors
/// If a probability is negative or not finite, a row does not sum to 1, or the run is stopped.
pub fn check_transition(transition: &Matrix, monitor: &Monitor) -> Result<()> {
    check_rows(transition, |_| true, monitor)
}

/// The same of some rows.
pub(crate) fn check_rows(transition: &Matrix, some: impl Fn(usize) -> bool + Sync, monitor: &Monitor) -> Result<()> {
    (0..transition.rows()).into_par_iter().filter(|&i| some(i)).try_for_each(|i| {
        monitor.check()?;
        let (columns, probabilities) = row(transition, i);
        for (&j, &value) in columns.iter().zip(probabilities) {
            if !(value >= 0.0 && value.is_finite()) {
                let range = "a finite number of at least 0";
                return Err(Error::edge(i, j, EdgeProblem::Value { name: "probability", value, range }));
            }
        }
        let sum = probabilities.iter().fold(0.0, |sum, p| sum + p);
        if (sum - 1.0).abs() > ROW_SUM_TOLERANCE {
            return Err(Error::point(i, PointProblem::RowSum(sum)));
        }
        Ok(())
    })
}

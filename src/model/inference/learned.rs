//! The learned similarity: a model that looks at a point with all its neighbors and gives, for each
//! neighbor, the probability that both share an identity (section 3.1 of the paper; the form of
//! the file is in docs/functions/transition_matrix.md).

use std::sync::{Mutex, MutexGuard, PoisonError};

use ort::session::Session;
use rayon::prelude::*;

use super::batch::{Batch, split};
use super::neighborhoods::Neighborhoods;
use super::runtime::Runtime;
use super::session::{open, run, stoppable};
use super::{dry_run, file_check, signature};
use crate::core::error::{EdgeProblem, Error, Result};
use crate::core::monitor::Monitor;
use crate::core::row::Row;
use crate::core::sparse::{self, Matrix};
use crate::core::transition;
use crate::model::contract::Contract;

/// How far a probability may be outside of 0 to 1, by rounding.
const ROUNDING: f32 = 1e-5;

/// A model, open and checked.
#[derive(Debug)]
pub struct Model {
    file: Vec<u8>,
    runtime: Runtime,
    memory: u64,
    contract: Contract,
    /// The session that the model was checked in, until its first use.
    spare: Mutex<Option<Session>>,
}

impl Model {
    /// Open the bytes of a file, and check it but for a dry run. Its runs will take up to `memory`
    /// bytes, all together.
    ///
    /// # Errors
    /// If the file is no ONNX model or breaks the contract.
    pub fn open(file: Vec<u8>, runtime: Runtime, memory: u64) -> Result<Self> {
        file_check::check(&file)?;
        let session = open(&file, &runtime, memory, 1)?.remove(0);
        let contract = signature::check(&session)?;
        Ok(Self { file, runtime, memory, contract, spare: Mutex::new(Some(session)) })
    }

    /// What the model says of itself.
    pub fn contract(&self) -> Contract {
        self.contract
    }

    /// Run the model on a few made-up points, to see that its results are probabilities that depend
    /// on an anchor and its neighbors alone.
    ///
    /// # Errors
    /// With what it does wrong.
    pub fn dry_run(&self, monitor: &Monitor) -> Result<()> {
        let mut session = self.sessions(1)?.remove(0);
        stoppable(monitor, |options| {
            dry_run::check(self.contract.dim, |batch| run(&mut session, batch, options, monitor))
        })?;
        *lock(&self.spare) = Some(session);
        Ok(())
    }

    /// The probability that the model gives each edge, as a matrix of as many points as have
    /// neighborhoods. `features` are those of a point; of length 1, if the contract says cosine.
    /// Every thread of the current pool runs a session of its own with one thread in it: the
    /// result does not depend on their number, and it is faster than one session with them all.
    ///
    /// # Errors
    /// If the model fails, its result is no probability, or the run is stopped.
    pub fn similarities<'a>(
        &self,
        neighborhoods: Neighborhoods,
        features: impl Fn(u32) -> Row<'a> + Sync,
        monitor: &Monitor,
    ) -> Result<Matrix> {
        let Neighborhoods { starts, mut neighbors } = neighborhoods;
        let mut values = vec![0.0; neighbors.len()];
        let batches = split(&starts, &mut neighbors, &mut values);
        let sessions = Mutex::new(self.sessions(rayon::current_num_threads().min(batches.len()))?);
        let phase = monitor.phase(0.0..1.0, batches.len());
        stoppable(monitor, |options| {
            batches.into_par_iter().try_for_each_init(Batch::default, |batch, (rows, neighbors, values)| {
                let first = starts[rows.start];
                let of_row = |row: usize| starts[row] - first..starts[row + 1] - first;
                batch.fill(rows.clone(), |row| &neighbors[of_row(row)], &features);
                let mut session = lock(&sessions).pop().ok_or_else(|| Error::Model("no session is left".into()))?;
                let prob = run(&mut session, batch, options, monitor);
                lock(&sessions).push(session);
                let (prob, width) = (prob?, batch.tokens - 1);
                let anchors = rows.filter(|&row| !of_row(row).is_empty());
                for (row, prob) in anchors.zip(prob.chunks(width)) {
                    in_order(row, &mut neighbors[of_row(row)], prob, &mut values[of_row(row)])?;
                }
                phase.step()
            })
        })?;
        Ok(sparse::matrix(starts.len() - 1, starts, neighbors, values))
    }

    /// The transition matrix of the probabilities that the model gives each neighbor.
    ///
    /// # Errors
    /// As [`Model::similarities`].
    pub fn transition<'a>(
        &self,
        neighborhoods: Neighborhoods,
        features: impl Fn(u32) -> Row<'a> + Sync,
        monitor: &Monitor,
    ) -> Result<Matrix> {
        transition::from_similarities(&self.similarities(neighborhoods, features, monitor)?, monitor)
    }

    /// Sessions to run the model in. They hold the memory of their runs, so they go with the run.
    fn sessions(&self, count: usize) -> Result<Vec<Session>> {
        let spare = lock(&self.spare).take().filter(|_| count == 1);
        spare.map_or_else(|| open(&self.file, &self.runtime, self.memory, count), |spare| Ok(vec![spare]))
    }
}

/// Check a row's probabilities, and put neighbors and probabilities in order of the neighbors.
fn in_order(row: usize, neighbors: &mut [u32], prob: &[f32], values: &mut [f64]) -> Result<()> {
    let mut edges: Vec<(u32, f32)> = neighbors.iter().copied().zip(prob.iter().copied()).collect();
    edges.sort_unstable_by_key(|edge| edge.0);
    for ((neighbor, value), (to, prob)) in neighbors.iter_mut().zip(values).zip(edges) {
        if !(-ROUNDING..=1.0 + ROUNDING).contains(&prob) {
            let name = "probability by the model";
            let problem = EdgeProblem::Value { name, value: prob.into(), range: "between 0 and 1" };
            return Err(Error::edge(row, to, problem));
        }
        (*neighbor, *value) = (to, f64::from(prob).clamp(0.0, 1.0));
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_checked_and_follow_their_neighbors_into_order() {
        let parts = in_order(3, &mut [5, 1], &[0.25, f32::NAN], &mut [0.0; 2]);
        let name = "probability by the model";
        assert!(
            matches!(parts, Err(Error::Edge { src: 3, dst: 1, problem: EdgeProblem::Value { name: n, .. } }) if n == name)
        );
        let (mut neighbors, mut values) = ([5, 1], [0.0; 2]);
        in_order(3, &mut neighbors, &[0.25, 1.000001], &mut values).unwrap();
        assert_eq!((neighbors, values), ([1, 5], [1.0, 0.25]));
    }
}

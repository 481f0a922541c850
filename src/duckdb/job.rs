//! The work of one statement: its plan runs in a pool of `threads` threads of our own, while DuckDB's
//! threads ask now and then whether it is done, and so show progress and can stop it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duckdb_neo::Result;

use super::errors::{defect, invalid, panic_text};
use crate::core::error::Error;
use crate::core::monitor::Monitor;
use crate::engine::failure::Failure;
use crate::engine::limits::Limits;
use crate::engine::models::Models;
use crate::engine::plan::Plan;
use crate::engine::relation::Collected;
use crate::engine::table::Table;

/// What a job gives.
pub type Outcome = std::result::Result<Arc<dyn Table>, Arc<Failure>>;

/// A run, and its result once it has one.
pub struct Job {
    pub monitor: Monitor,
    result: Mutex<Option<Outcome>>,
    done: Condvar,
}

impl Job {
    /// Start a plan on the rows of its relations.
    pub fn start(plan: Arc<Plan>, rows: Vec<Collected>, limits: Limits, models: Models) -> Result<Arc<Self>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(limits.threads)
            .thread_name(|at| format!("density_peaks {at}"))
            .build()
            .map_err(|error| invalid(format!("{} threads could not be started: {error}", limits.threads)))?;
        let job = Arc::new(Self { monitor: Monitor::new(), result: Mutex::default(), done: Condvar::new() });
        let running = job.clone();
        pool.spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| plan.run(rows, limits, models, &running.monitor)));
            let result = result.unwrap_or_else(|panic| {
                let error = Error::Input(defect(panic_text(panic.as_ref())).message);
                Err(Failure::of(plan.function(), error))
            });
            *lock(&running.result) = Some(result.map(Arc::from).map_err(Arc::new));
            running.done.notify_all();
        });
        Ok(job)
    }

    /// Wait a little for the result; `None` if it is not there yet.
    pub fn poll(&self) -> Option<Outcome> {
        let mut result = lock(&self.result);
        if result.is_none() {
            let wait = self.done.wait_timeout(result, Duration::from_millis(10));
            result = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        result.clone()
    }
}

/// Lock; a panic under a lock leaves nothing half-done here.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

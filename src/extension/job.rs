//! The work of one statement: the stages run in a pool of `threads` threads of our own, while
//! DuckDB's threads ask now and then whether it is done, and so show progress and can stop it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use duckdb_neo::Result;
use duckdb_neo::connection::Context;

use super::ids::{Ids, result_type};
use super::run::{Output, Rows, run};
use super::slot::{Slot, lock};
use super::{defect, invalid, panic_text};
use crate::core::error::Error;
use crate::core::monitor::Monitor;
use crate::engine_hints;

/// A run, and its result once it has one.
pub struct Job {
    pub monitor: Monitor,
    result: Mutex<Option<std::result::Result<Arc<Output>, Arc<Failure>>>>,
    done: Condvar,
}

/// Why a run failed.
pub struct Failure {
    /// The call that failed, as the user wrote it; `None` if the error names it.
    pub label: Option<String>,
    pub error: Error,
    /// Whose numbers the error speaks of.
    pub ids: Option<Arc<Ids>>,
}

impl Job {
    /// Start the slot's plan on these relations.
    pub fn start(slot: &Arc<Slot>, inputs: Vec<Rows>) -> Result<Arc<Self>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(slot.limits.threads)
            .thread_name(|at| format!("density_peaks {at}"))
            .build()
            .map_err(|error| invalid(format!("{} threads could not be started: {error}", slot.limits.threads)))?;
        let job = Arc::new(Self { monitor: Monitor::new(), result: Mutex::default(), done: Condvar::new() });
        let (slot, running) = (Arc::downgrade(slot), job.clone());
        let (plan, relations, limits, models) = match slot.upgrade() {
            Some(slot) => (slot.plan.clone(), slot.relations.clone(), slot.limits, slot.models.clone()),
            None => return Err(defect("the statement's plan is gone")),
        };
        pool.spawn(move || {
            let result =
                catch_unwind(AssertUnwindSafe(|| run(&plan, &relations, inputs, limits, models, &running.monitor)));
            let result = result.unwrap_or_else(|panic| {
                let error = Error::Input(defect(panic_text(panic.as_ref())).message);
                Err(Failure { label: Some(plan.name().into()), error, ids: None })
            });
            if let (Ok(output), Some(slot)) = (&result, slot.upgrade()) {
                *lock(&slot.ids) = output.ids.clone();
            }
            *lock(&running.result) = Some(result.map(Arc::new).map_err(Arc::new));
            running.done.notify_all();
        });
        Ok(job)
    }

    /// Wait a little for the result; `None` if it is not there yet.
    pub fn poll(&self, slot: &Slot, context: &Context) -> Result<Option<Arc<Output>>> {
        let mut result = lock(&self.result);
        if result.is_none() {
            let wait = self.done.wait_timeout(result, Duration::from_millis(10));
            result = wait.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        match result.as_ref() {
            None => Ok(None),
            Some(Ok(output)) => Ok(Some(output.clone())),
            Some(Err(failure)) => {
                let failure = failure.clone();
                drop(result);
                Err(failure.render(slot, context)?)
            }
        }
    }
}

impl Failure {
    fn render(&self, slot: &Slot, context: &Context) -> Result<duckdb_neo::Error> {
        let id_type = result_type(slot)?;
        let message = engine_hints::message(&self.error, |number| {
            let ids = self.ids.as_ref().filter(|ids| (number as usize) < ids.len());
            ids.and_then(|ids| ids.display(id_type, number, context).ok()).unwrap_or_else(|| format!("#{number}"))
        });
        Ok(invalid(match &self.label {
            Some(label) => format!("{label}: {message}"),
            None => message,
        }))
    }
}

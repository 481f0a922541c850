//! Progress of a long run, and the way to stop it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::core::error::{Error, Result};

/// Shared between the threads that work and the one that watches: how far the run is, and
/// whether it should stop. Every stage asks it after each unit of a few milliseconds.
#[derive(Debug, Default)]
pub struct Monitor {
    /// Progress in millionths.
    progress: AtomicU64,
    /// The part of the whole run that its phases now lie in, in millionths; without an end, all of it.
    part: (AtomicU64, AtomicU64),
    stopped: Arc<AtomicBool>,
}

impl Monitor {
    /// A run that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Share of the work that is done, 0 to 1.
    pub fn progress(&self) -> f64 {
        self.progress.load(Relaxed) as f64 / 1e6
    }

    /// Ask the run to end with [`Error::Interrupted`] at its next unit.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Let the phases that begin from now on, which make up 0 to 1 among themselves, make up this
    /// part of the whole run.
    pub fn part(&self, part: Range<f64>) {
        self.part.0.store((part.start * 1e6) as u64, Relaxed);
        self.part.1.store((part.end * 1e6) as u64, Relaxed);
    }

    /// Begin a phase of the run that moves progress over `span` in `units` equal steps.
    pub fn phase(&self, span: Range<f64>, units: usize) -> Phase<'_> {
        let (start, end) = (self.part.0.load(Relaxed), self.part.1.load(Relaxed));
        let (start, end) = if end == 0 { (0.0, 1.0) } else { (start as f64 / 1e6, end as f64 / 1e6) };
        let within = |share: f64| start + (end - start) * share;
        let span = within(span.start)..within(span.end);
        Phase { monitor: self, span, units, done: AtomicUsize::new(0) }
    }

    /// Of one of several runs that are one to the watcher: stopped with them, but without a say in
    /// their progress.
    pub fn silent(&self) -> Self {
        Self { stopped: self.stopped.clone(), ..Self::default() }
    }

    /// Fails once [`Monitor::stop`] was called.
    pub fn check(&self) -> Result<()> {
        if self.stopped.load(Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// One part of a run, see [`Monitor::phase`].
#[derive(Debug)]
pub struct Phase<'a> {
    monitor: &'a Monitor,
    span: Range<f64>,
    units: usize,
    done: AtomicUsize,
}

impl Phase<'_> {
    /// Count one unit as done; fails once the run should stop.
    pub fn step(&self) -> Result<()> {
        self.steps(1)
    }

    /// Count several at once.
    pub fn steps(&self, units: usize) -> Result<()> {
        self.monitor.check()?;
        let done = self.done.fetch_add(units, Relaxed) + units;
        let share = done as f64 / self.units.max(1) as f64;
        let progress = self.span.start + (self.span.end - self.span.start) * share.min(1.0);
        self.monitor.progress.fetch_max((progress * 1e6) as u64, Relaxed);
        Ok(())
    }
}

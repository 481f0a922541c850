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
    /// part of the whole run; what was before it is done.
    pub fn part(&self, part: Range<f64>) {
        self.part.0.store(millionths(part.start), Relaxed);
        self.part.1.store(millionths(part.end), Relaxed);
        self.progress.fetch_max(millionths(part.start), Relaxed);
    }

    /// The same, of the part that it is now, until what this returns is dropped.
    pub fn narrow(&self, part: Range<f64>) -> Narrowed<'_> {
        let whole = self.whole();
        self.part(within(&whole, part.start)..within(&whole, part.end));
        Narrowed { monitor: self, whole }
    }

    /// Begin a phase of the run that moves progress over `span` in `units` equal steps.
    pub fn phase(&self, span: Range<f64>, units: usize) -> Phase<'_> {
        let whole = self.whole();
        let span = within(&whole, span.start)..within(&whole, span.end);
        Phase { monitor: self, span, units, done: AtomicUsize::new(0) }
    }

    /// What 0 to 1 is now.
    fn whole(&self) -> Range<f64> {
        let (start, end) = (self.part.0.load(Relaxed), self.part.1.load(Relaxed));
        if end == 0 { 0.0..1.0 } else { start as f64 / 1e6..end as f64 / 1e6 }
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

fn millionths(share: f64) -> u64 {
    (share * 1e6).round() as u64
}

fn within(whole: &Range<f64>, share: f64) -> f64 {
    whole.start + (whole.end - whole.start) * share
}

/// A part of a part, see [`Monitor::narrow`].
#[derive(Debug)]
pub struct Narrowed<'a> {
    monitor: &'a Monitor,
    whole: Range<f64>,
}

impl Drop for Narrowed<'_> {
    fn drop(&mut self) {
        let end = self.monitor.whole().end;
        self.monitor.progress.fetch_max(millionths(end), Relaxed);
        self.monitor.part(self.whole.clone());
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
        self.monitor.progress.fetch_max(millionths(within(&self.span, share.min(1.0))), Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_parts_lie_within_them() {
        let monitor = Monitor::new();
        monitor.part(0.5..1.0);
        assert_eq!(monitor.progress(), 0.5);
        {
            let _half = monitor.narrow(0.0..0.5);
            monitor.phase(0.0..1.0, 4).step().unwrap();
            assert_eq!(monitor.progress(), 0.5625);
            let _last = monitor.narrow(0.8..1.0);
            assert_eq!(monitor.progress(), 0.7);
        }
        // What a part left undone is done with it.
        assert_eq!(monitor.progress(), 0.75);
        monitor.phase(0.5..1.0, 1).step().unwrap();
        assert_eq!(monitor.progress(), 1.0);
    }
}

//! Sessions of ONNX Runtime: opened, run, and ended before their time.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use ort::session::{RunOptions, Session};
use ort::value::TensorRef;

use super::arena::Arena;
use super::batch::Batch;
use super::runtime::Runtime;
use crate::core::error::{Error, Result};
use crate::core::monitor::Monitor;
use crate::model::contract::{NEIGHBORS, POINTS, PROB};

/// How often it is looked whether a run should end.
const WATCH: Duration = Duration::from_millis(10);

/// Open a model as often as it will run at a time. The sessions share one arena of `memory` bytes.
pub fn open(file: &[u8], runtime: &Runtime, memory: u64, count: usize) -> Result<Vec<Session>> {
    let open = || {
        let _arena = Arena::register(&runtime.environment, memory)?;
        (0..count)
            .map(|_| {
                let builder = Session::builder(&runtime.environment)?.with_intra_threads(1)?.with_env_allocators()?;
                // Folding would compute constants of any size outside of the arena.
                builder.with_disabled_optimizers("ConstantFolding")?.commit_from_memory(file)
            })
            .collect::<ort::Result<Vec<_>>>()
    };
    open().map_err(|error| match failed(&error) {
        Error::Model(message) => {
            Error::Model(message.replace("ONNX Runtime fails on it", "ONNX Runtime cannot open it"))
        }
        other => other,
    })
}

/// Probabilities [batch, tokens - 1]; those of absent neighbors mean nothing.
pub fn run(session: &mut Session, batch: &Batch, options: &RunOptions, monitor: &Monitor) -> Result<Vec<f32>> {
    let mut run = || {
        let anchors = batch.neighbors.len() / batch.tokens;
        let dim = batch.points.len() / batch.n.max(1);
        let points = TensorRef::from_array_view(([batch.n, dim], &*batch.points))?;
        let neighbors = TensorRef::from_array_view(([anchors, batch.tokens], &*batch.neighbors))?;
        let outputs = session.run_with_options(ort::inputs![POINTS => points, NEIGHBORS => neighbors], options)?;
        let (shape, prob) = outputs[PROB].try_extract_tensor::<f32>()?;
        let expected = [anchors as i64, batch.tokens as i64 - 1];
        Ok((**shape == expected).then(|| prob.to_vec()).ok_or((shape.to_vec(), expected)))
    };
    let prob = run();
    // A run that was ended fails too.
    monitor.check()?;
    prob.map_err(|error| failed(&error))?.map_err(|(found, expected)| {
        Error::Model(format!("its result \"{PROB}\" has the shape {found:?}, but must have {expected:?}"))
    })
}

/// A failure of ONNX Runtime, in one line.
fn failed(error: &ort::Error) -> Error {
    let text = error.message();
    if text.contains("smaller than requested bytes") || text.contains("Failed to allocate memory") {
        return Error::Memory("the model needs more memory than it may use".into());
    }
    let reason = text.rsplit("Status Message: ").next().unwrap_or(text);
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::Model(format!("ONNX Runtime fails on it: {reason}"))
}

/// Give work the options to run sessions under; they end soon after the run should stop, also in the
/// middle of a batch.
pub fn stoppable<T: Send>(monitor: &Monitor, work: impl FnOnce(&RunOptions) -> Result<T> + Send) -> Result<T> {
    /// Ends the watching however the work ends.
    struct Done<'a>(&'a AtomicBool, thread::Thread);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
            self.1.unpark();
        }
    }
    let options = RunOptions::new().map_err(|error| failed(&error))?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Relaxed) {
                if monitor.check().is_err() {
                    let _ = options.terminate();
                }
                thread::park_timeout(WATCH);
            }
        });
        let _done = Done(&done, watcher.thread().clone());
        work(&options)
    })
}

//! The learned similarity: a model that looks at a point with all its neighbors and gives, for each
//! neighbor, the probability that both share an identity (section 3.1 of the paper; the form of
//! the file is in docs/functions/transition_matrix.md).

use std::ops::Range;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use hashbrown::HashMap;
use ort::AsPointer;
use ort::environment::Environment;
use ort::session::{RunOptions, Session};
use ort::value::TensorRef;
use rayon::prelude::*;

use super::contract::Contract;
use super::runtime::Runtime;
use super::{dry_run, protobuf};
use crate::core::error::{EdgeProblem, Error, Result};
use crate::core::knn::KnnGraph;
use crate::core::monitor::Monitor;
use crate::core::row::Row;
use crate::core::sparse::{self, Matrix};
use crate::core::transition;

/// Tokens of a batch: 32 anchors with 80 neighbors each, after which larger batches gain nothing.
const TOKENS: usize = 32 * 81;

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
        protobuf::check(&file)?;
        let session = open(&file, &runtime, memory, 1)?.remove(0);
        let contract = Contract::of(&session)?;
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

/// The neighbors of each point, nearest first, the point itself not among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighborhoods {
    starts: Vec<usize>,
    neighbors: Vec<u32>,
}

impl Neighborhoods {
    /// Of a k-NN graph.
    pub fn of_graph(graph: &KnnGraph) -> Self {
        Self::new(graph.len(), |row| graph.row(row).0, |row, places| places.copy_from_slice(graph.row(row).0))
    }

    /// Of edges with a distance each; equal distances in order of the points.
    pub fn of_distances(distances: &Matrix) -> Self {
        Self::by(distances, |distance| distance)
    }

    /// Of edges with a similarity each.
    pub fn of_similarities(similarities: &Matrix) -> Self {
        Self::by(similarities, |similarity| -similarity)
    }

    fn by(edges: &Matrix, distance: impl Fn(f64) -> f64 + Sync) -> Self {
        let fill = |row: usize, places: &mut [u32]| {
            let (columns, values) = sparse::row(edges, row);
            let others = columns.iter().zip(values).filter(|edge| *edge.0 as usize != row);
            let mut others: Vec<(f64, u32)> = others.map(|(&column, &value)| (distance(value), column)).collect();
            others.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            places.iter_mut().zip(others).for_each(|(place, (_, column))| *place = column);
        };
        Self::new(edges.rows(), |row| sparse::row(edges, row).0, fill)
    }

    fn new<'a>(
        rows: usize,
        neighbors: impl Fn(usize) -> &'a [u32] + Sync,
        fill: impl Fn(usize, &mut [u32]) + Sync,
    ) -> Self {
        let others = |row: usize| neighbors(row).iter().filter(|&&neighbor| neighbor as usize != row).count();
        let starts = sparse::starts(rows, others);
        let mut neighbors = vec![0; starts[rows]];
        sparse::units(&starts, &mut neighbors, sparse::ROWS).into_par_iter().for_each(|(rows, neighbors)| {
            let first = starts[rows.start];
            rows.for_each(|row| fill(row, &mut neighbors[starts[row] - first..starts[row + 1] - first]));
        });
        Self { starts, neighbors }
    }
}

/// What goes into one run of a model.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Features [n, D] of the distinct points.
    pub points: Vec<f32>,
    pub n: usize,
    /// Rows of `points` [batch, tokens]: the anchor and its neighbors, -1 for an absent one.
    pub neighbors: Vec<i64>,
    pub tokens: usize,
}

impl Batch {
    /// Take the rows that have neighbors.
    fn fill<'a, 'b>(
        &mut self,
        rows: Range<usize>,
        neighbors: impl Fn(usize) -> &'b [u32],
        features: impl Fn(u32) -> Row<'a>,
    ) {
        self.points.clear();
        self.neighbors.clear();
        self.tokens = rows.clone().map(|row| neighbors(row).len()).max().unwrap_or(0) + 1;
        let mut places = HashMap::new();
        for row in rows.filter(|&row| !neighbors(row).is_empty()) {
            let end = self.neighbors.len() + self.tokens;
            for &point in [row as u32].iter().chain(neighbors(row)) {
                let next = places.len() as i64;
                self.neighbors.push(*places.entry(point).or_insert_with(|| {
                    features(point).append_to(&mut self.points);
                    next
                }));
            }
            self.neighbors.resize(end, -1);
        }
        self.n = places.len();
    }
}

/// Probabilities [batch, tokens - 1]; those of absent neighbors mean nothing.
fn run(session: &mut Session, batch: &Batch, options: &RunOptions, monitor: &Monitor) -> Result<Vec<f32>> {
    let mut run = || {
        let anchors = batch.neighbors.len() / batch.tokens;
        let dim = batch.points.len() / batch.n.max(1);
        let points = TensorRef::from_array_view(([batch.n, dim], &*batch.points))?;
        let neighbors = TensorRef::from_array_view(([anchors, batch.tokens], &*batch.neighbors))?;
        let outputs = session.run_with_options(ort::inputs!["points" => points, "neighbors" => neighbors], options)?;
        let (shape, prob) = outputs["prob"].try_extract_tensor::<f32>()?;
        let expected = [anchors as i64, batch.tokens as i64 - 1];
        Ok((**shape == expected).then(|| prob.to_vec()).ok_or((shape.to_vec(), expected)))
    };
    let prob = run();
    // A run that was ended fails too.
    monitor.check()?;
    prob.map_err(|error| failed(&error))?.map_err(|(found, expected)| {
        Error::Model(format!("its result \"prob\" has the shape {found:?}, but must have {expected:?}"))
    })
}

/// A failure of ONNX Runtime, in one line.
fn failed(error: &ort::Error) -> Error {
    let text = error.message();
    if text.contains("smaller than requested bytes") || text.contains("Failed to allocate memory") {
        let message =
            "the model needs more memory than memory_limit leaves it; raise memory_limit, or lower k or threads";
        return Error::Memory(message.into());
    }
    let reason = text.rsplit("Status Message: ").next().unwrap_or(text);
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    Error::Model(format!("ONNX Runtime fails on it: {reason}"))
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

/// A batch's rows, with its part of what there is for each edge.
type Part<'a> = (Range<usize>, &'a mut [u32], &'a mut [f64]);

/// Cut the rows into batches of as many tokens each, the longest row as the measure; or of one row.
fn split<'a>(starts: &[usize], mut neighbors: &'a mut [u32], mut values: &'a mut [f64]) -> Vec<Part<'a>> {
    let rows = starts.len() - 1;
    let mut parts = Vec::new();
    let mut start = 0;
    while start < rows {
        let (mut end, mut anchors, mut tokens) = (start, 0, 0);
        while end < rows {
            let length = starts[end + 1] - starts[end];
            if length > 0 {
                tokens = tokens.max(length + 1);
                anchors += 1;
            }
            if anchors > 1 && anchors * tokens > TOKENS {
                break;
            }
            end += 1;
        }
        let edges = starts[end] - starts[start];
        let (part, rest) = std::mem::take(&mut neighbors).split_at_mut(edges);
        let (part_values, rest_values) = std::mem::take(&mut values).split_at_mut(edges);
        (neighbors, values) = (rest, rest_values);
        if edges > 0 {
            parts.push((start..end, part, part_values));
        }
        start = end;
    }
    parts
}

/// Give work the options to run sessions under; they end soon after the run should stop, also in the
/// middle of a batch.
fn stoppable<T: Send>(monitor: &Monitor, work: impl FnOnce(&RunOptions) -> Result<T> + Send) -> Result<T> {
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
                thread::park_timeout(Duration::from_millis(10));
            }
        });
        let _done = Done(&done, watcher.thread().clone());
        work(&options)
    })
}

/// Open a model as often as it will run at a time. The sessions share one arena of `memory` bytes.
fn open(file: &[u8], runtime: &Runtime, memory: u64, count: usize) -> Result<Vec<Session>> {
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

/// While this lives, sessions that are opened take their memory from one arena of limited size. They
/// keep it.
struct Arena<'a> {
    environment: &'a Environment,
    info: *mut ort::sys::OrtMemoryInfo,
    _alone: MutexGuard<'static, ()>,
}

impl<'a> Arena<'a> {
    fn register(environment: &'a Environment, memory: u64) -> ort::Result<Self> {
        use ort::sys::{OrtAllocatorType::OrtArenaAllocator, OrtMemType::OrtMemTypeDefault};
        // One arena a process can be registered.
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = lock(&ALONE);
        let (mut info, mut config) = (null_mut(), null_mut());
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        let api = ort::api();
        // SAFETY: the API's own functions, with pointers that it has made; what they make is released,
        // the memory info when the arena is no longer registered.
        unsafe {
            ort::Error::result_from_status((api.CreateCpuMemoryInfo)(OrtArenaAllocator, OrtMemTypeDefault, &mut info))?;
            let arena = Self { environment, info, _alone: alone };
            // As much at a time as is asked for, the rest by default.
            ort::Error::result_from_status((api.CreateArenaCfg)(memory, 1, -1, -1, &mut config))?;
            let status = (api.CreateAndRegisterAllocator)(environment.ptr().cast_mut(), info, config);
            (api.ReleaseArenaCfg)(config);
            ort::Error::result_from_status(status)?;
            Ok(arena)
        }
    }
}

impl Drop for Arena<'_> {
    fn drop(&mut self) {
        let api = ort::api();
        // SAFETY: the environment and the memory info are alive, and both functions are the API's own.
        unsafe {
            // Fails if it was not registered.
            let _ =
                ort::Error::result_from_status((api.UnregisterAllocator)(self.environment.ptr().cast_mut(), self.info));
            (api.ReleaseMemoryInfo)(self.info);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_all_rows_in_order_with_up_to_as_many_tokens() {
        let lengths = (0..3000).map(|row| if row == 700 { 9000 } else { row % 90 });
        let starts: Vec<usize> = std::iter::once(0)
            .chain(lengths.scan(0, |sum, length| {
                *sum += length;
                Some(*sum)
            }))
            .collect();
        let edges = starts[3000];
        let (mut neighbors, mut values): (Vec<u32>, _) = ((0..edges as u32).collect(), vec![0.0; edges]);
        let parts = split(&starts, &mut neighbors, &mut values);
        let mut next = 0;
        for (rows, neighbors, values) in &parts {
            assert_eq!((neighbors[0] as usize, neighbors.len()), (next, values.len()));
            assert_eq!((starts[rows.start], starts[rows.end]), (next, next + neighbors.len()));
            next += neighbors.len();
            let lengths = rows.clone().map(|row| starts[row + 1] - starts[row]).filter(|&length| length > 0);
            let (anchors, longest) = (lengths.clone().count(), lengths.max().unwrap());
            assert!(anchors == 1 || anchors * (longest + 1) <= TOKENS, "{rows:?}");
        }
        assert_eq!(next, edges);
        assert!(parts.len() <= 3000 / (TOKENS / 90) + 1, "{}", parts.len());
    }

    #[test]
    fn neighbors_are_in_order_of_their_distance_without_the_point_itself() {
        let edges =
            sparse::from_edges(4, &[0, 0, 0, 0, 2], &[0, 1, 2, 3, 0], &[0.0, 0.5, 0.2, 0.5, 1.0], &Monitor::new());
        let edges = edges.unwrap();
        let starts = vec![0, 3, 3, 4, 4];
        let near = Neighborhoods::of_distances(&edges);
        assert_eq!(near, Neighborhoods { starts: starts.clone(), neighbors: vec![2, 1, 3, 0] });
        let similar = Neighborhoods::of_similarities(&edges);
        assert_eq!(similar, Neighborhoods { starts, neighbors: vec![1, 3, 2, 0] });
    }

    #[test]
    fn a_batch_has_each_point_once_and_minus_1_where_neighbors_are_absent() {
        let features: Vec<[f32; 2]> = (0..5).map(|point| [point as f32, 0.5]).collect();
        let rows: [&[u32]; 3] = [&[2, 4], &[], &[0]];
        let mut batch = Batch::default();
        batch.fill(0..3, |row| rows[row], |point| Row::F32(&features[point as usize]));
        assert_eq!((batch.n, batch.tokens), (3, 3));
        assert_eq!(batch.points, [0.0, 0.5, 2.0, 0.5, 4.0, 0.5]);
        assert_eq!(batch.neighbors, [0, 1, 2, 1, 0, -1]);
    }

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

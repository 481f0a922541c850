//! The way out: a table function that starts the slot's job, waits for it, and emits its rows on
//! several threads, in order of the ids.
//!
//! A scan can be stopped only between two calls, and an empty chunk ends it. So each call waits for a
//! few milliseconds at most, and answers with a tick, a row without an id, until the job is done.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::DataChunkRef;
use duckdb_neo::extension::Extension;
use duckdb_neo::logical_type::LogicalType;
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::table_function::*;
use duckdb_neo::types::DuckDBType;
use duckdb_neo::vector::{VectorElement, WritableVectorElement};
use duckdb_neo::{Result, bind_arguments::BindArgument};

use super::job::Job;
use super::memory::Limits;
use super::models::Models;
use super::plan::Plan;
use super::run::{Clusters, Output, Table};
use super::slot::{Slot, lock};
use super::sql::{Column, columns, relations};
use super::{defect, functions, guarded, model_file};
use crate::core::similarity::Kernel;
use crate::core::sweep::Scores;

/// Rows of one chunk.
const CHUNK: usize = 2048;

/// Rows that one thread takes at a time; DuckDB writes tables in groups of as many.
const BATCH: usize = 60 * CHUNK;

/// More rows than any join partner has, so that the source stays on the probe side.
const HUGE: usize = 1_000_000_000_000;

/// `density_peaks_source(token, plan)`.
struct Source;

struct Scan {
    job: Mutex<Option<Arc<Job>>>,
    next_batch: AtomicUsize,
    complete: AtomicBool,
}

impl Scan {
    /// The job is done; the first thread to know writes the file, if there is one.
    fn finish(&self, slot: &Slot, output: &Output, context: &Context) -> Result<()> {
        let _job = lock(&self.job);
        if let (Plan::TrainSimilarity(stage), Table::Trained(trained)) = (&slot.plan, &output.table)
            && !self.complete.load(Relaxed)
        {
            model_file::write(context, stage, &trained.file)?;
        }
        self.complete.store(true, Relaxed);
        Ok(())
    }

    fn stop(&self) {
        if let Some(job) = lock(&self.job).as_ref().filter(|_| !self.complete.load(Relaxed)) {
            job.monitor.stop();
        }
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One thread's place. DuckDB drops it before the job is done only if the statement is being
/// stopped; it then tells the other threads, which after Ctrl-C in Python nobody else does.
struct Worker {
    scan: Arc<Scan>,
    output: Option<Arc<Output>>,
    rows: Range<usize>,
    batch: usize,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.scan.stop();
    }
}

impl TableFunctionCallbacks for Source {
    type BindData = Arc<Slot>;
    type GlobalState = Arc<Scan>;
    type LocalState = Worker;

    fn bind(
        &self,
        context: &Context,
        arguments: Vec<BindArgument>,
        result: BindFunctionHandle<'_>,
    ) -> Result<Arc<Slot>> {
        guarded(|| {
            let value =
                |at: usize| arguments.get(at).and_then(|a| a.value.as_ref()).ok_or_else(|| defect("no argument"));
            let token = value(0)?.get::<u64>()?.ok_or_else(|| defect("the token is NULL"))?;
            let plan = Plan::from_json(&value(1)?.get::<String>()?.unwrap_or_default())?;
            for column in columns(&plan) {
                let (name, logical_type) = match &column {
                    Column::Id(name, _) => (name.as_str(), u32::logical_type(context)?),
                    Column::Value(name) => (*name, value_type(name, &plan, context)?),
                };
                result.add_result_column(name, &logical_type)?;
            }
            result.set_cardinality(HUGE, false)?;
            let relations = relations(&plan);
            let limits = Limits::of(context)?;
            let models = Models::open(&plan, limits, context)?;
            Ok(Slot::create(token, plan, relations, limits, models))
        })
    }

    fn init_global_state(
        &self,
        slot: &Arc<Slot>,
        _: &Context,
        _: InitColumnData<'_>,
    ) -> Result<(Option<Arc<Scan>>, Option<usize>)> {
        let scan = Scan { job: Mutex::default(), next_batch: AtomicUsize::new(0), complete: AtomicBool::new(false) };
        Ok((Some(Arc::new(scan)), Some(slot.limits.threads)))
    }

    fn init_local_state(
        &self,
        _: &Arc<Slot>,
        scan: Option<&Arc<Scan>>,
        _: &Context,
        _: InitColumnData<'_>,
    ) -> Result<Option<Worker>> {
        let scan = scan.cloned().ok_or_else(|| defect("no scan"))?;
        Ok(Some(Worker { scan, output: None, rows: 0..0, batch: 0 }))
    }

    fn progress(&self, _: &Arc<Slot>, scan: Option<&Arc<Scan>>, _: &Context) -> Result<Option<f64>> {
        // The last hundredth is for what follows the graph, and for the rows on their way out.
        guarded(|| Ok(scan.and_then(|scan| lock(&scan.job).as_ref().map(|job| job.monitor.progress().min(0.99)))))
    }

    fn exec(
        &self,
        slot: &Arc<Slot>,
        scan: Option<&Arc<Scan>>,
        worker: Option<&mut Worker>,
        context: &Context,
        output: DataChunkRef<'_>,
        _: ExecColumnInfo<'_>,
    ) -> Result<()> {
        guarded(|| {
            let (Some(scan), Some(worker)) = (scan, worker) else { return Err(defect("no scan")) };
            if worker.output.is_none() {
                let job = {
                    let mut job = lock(&scan.job);
                    match job.as_ref() {
                        Some(job) => job.clone(),
                        None => {
                            if let Plan::TrainSimilarity(stage) = &slot.plan {
                                model_file::check(context, stage)?;
                            }
                            job.insert(slot.job()?).clone()
                        }
                    }
                };
                worker.output = job.poll(slot, context)?;
                if let Some(output) = &worker.output {
                    scan.finish(slot, output, context)?;
                }
            }
            let Some(table) = worker.output.as_ref().map(|output| &output.table) else {
                return tick(output, &slot.plan);
            };
            if worker.rows.is_empty() {
                worker.batch = scan.next_batch.fetch_add(1, Relaxed);
                let start = (worker.batch * BATCH).min(table.rows());
                worker.rows = start..(start + BATCH).min(table.rows());
            }
            let rows = worker.rows.start..(worker.rows.start + CHUNK).min(worker.rows.end);
            worker.rows.start = rows.end;
            emit(table, rows, output)
        })
    }
}

impl TablePartitioningCallbacks for Source {
    fn partition_data(
        &self,
        _: &Arc<Slot>,
        _: Option<&Arc<Scan>>,
        worker: Option<&mut Worker>,
        _: &Context,
        _: PartitionData<'_>,
    ) -> Result<usize> {
        Ok(worker.map_or(0, |worker| worker.batch))
    }
}

fn value_type(name: &str, plan: &Plan, context: &Context) -> Result<LogicalType> {
    match (name, plan) {
        ("rank" | "epoch", _) => i32::logical_type(context),
        ("cluster_id" | "other_cluster_id" | "clusters" | "singletons" | "largest", _) => i64::logical_type(context),
        ("size" | "other_size" | "size_below" | "size_above", _) => i64::logical_type(context),
        ("is_peak" | "is_kept", _) => bool::logical_type(context),
        ("warning" | "kernel", _) => String::logical_type(context),
        ("distance", Plan::KnnGraph(_)) => f32::logical_type(context),
        _ => f64::logical_type(context),
    }
}

pub fn write<'a, T: WritableVectorElement>(
    output: &mut DataChunkRef<'_>,
    column: usize,
    values: impl ExactSizeIterator<Item = Option<T::Write<'a>>>,
) -> Result<()> {
    let mut vector = output.get_vector_at_mut::<T>(column)?;
    vector.set_size(values.len())?;
    let mut writer = vector.writer()?;
    values.enumerate().try_for_each(|(row, value)| writer.set(row, value))
}

/// Write a column without NULLs as a whole.
fn copy<T>(output: &mut DataChunkRef<'_>, column: usize, values: &[T]) -> Result<()>
where
    T: Copy + for<'a> VectorElement<Internal<'a> = T>,
{
    let mut vector = output.get_vector_at_mut::<T>(column)?;
    vector.set_size(values.len())?;
    let mut writer = vector.writer()?;
    let slots = writer.as_mut_ptr();
    // SAFETY: the vector stores these values and was sized to hold them all, and they have no children.
    unsafe {
        slots.copy_from_nonoverlapping(values.as_ptr(), values.len());
        writer.fill_validity(true)
    }
}

/// One row of NULLs.
fn tick(mut output: DataChunkRef<'_>, plan: &Plan) -> Result<()> {
    for column in 0..columns(plan).len() {
        let [mut vector] = output.get_vector_array_mut([column])?;
        vector.set_size(1)?;
        vector.set_null_slow(0)?;
    }
    Ok(())
}

fn emit(table: &Table, rows: Range<usize>, mut output: DataChunkRef<'_>) -> Result<()> {
    let output = &mut output;
    match table {
        Table::Graph { graph, starts } => {
            let mut row = starts.partition_point(|&start| start <= rows.start).saturating_sub(1);
            let (mut src, mut dst, mut rank, mut distance) = (vec![], vec![], vec![], vec![]);
            while src.len() < rows.len() {
                let (neighbors, distances) = graph.row(row);
                let from = (rows.start + src.len()) - starts[row];
                let to = neighbors.len().min(from + rows.len() - src.len());
                dst.extend_from_slice(&neighbors[from..to]);
                distance.extend_from_slice(&distances[from..to]);
                rank.extend(from as i32 + 1..=to as i32);
                src.resize(dst.len(), row as u32);
                row += 1;
            }
            copy(output, 0, &src)?;
            copy(output, 1, &dst)?;
            copy(output, 2, &rank)?;
            copy(output, 3, &distance)
        }
        Table::Edges(matrix) => {
            let starts = matrix.indptr();
            let starts = starts.raw_storage();
            let mut row = starts.partition_point(|&start| start <= rows.start).saturating_sub(1);
            let mut src = vec![];
            while src.len() < rows.len() {
                src.resize(starts[row + 1].min(rows.end) - rows.start, row as u32);
                row += 1;
            }
            copy(output, 0, &src)?;
            copy(output, 1, &matrix.indices()[rows.clone()])?;
            copy(output, 2, &matrix.data()[rows])
        }
        Table::Densities(densities) => {
            write::<u32>(output, 0, rows.clone().map(|row| Some(row as u32)))?;
            write::<f64>(output, 1, densities[rows].iter().map(|&density| Some(density)))
        }
        Table::Clusters(Clusters { clustering: clusters, ids, partitions }) => {
            let id = |&c: &u32| ids.as_ref().map_or(i64::from(c), |ids| ids[c as usize]);
            write::<u32>(output, 0, rows.clone().map(|row| Some(row as u32)))?;
            let at = match partitions {
                Some(partitions) => write::<u32>(output, 1, partitions[rows.clone()].iter().copied()).map(|()| 2)?,
                None => 1,
            };
            write::<i64>(output, at, clusters.cluster[rows.clone()].iter().map(|c| Some(id(c))))?;
            write::<u32>(output, at + 1, clusters.parent[rows.clone()].iter().map(|&parent| Some(parent)))?;
            write::<f64>(output, at + 2, clusters.delta[rows.clone()].iter().copied())?;
            write::<f64>(output, at + 3, clusters.density[rows.clone()].iter().map(|&density| Some(density)))?;
            write::<bool>(output, at + 4, rows.map(|row| Some(clusters.is_peak(row))))
        }
        Table::Assigned(table) => {
            let rows = &table[rows];
            write::<u32>(output, 0, rows.iter().map(|row| Some(row.point)))?;
            write::<i64>(output, 1, rows.iter().map(|row| row.cluster))?;
            write::<u32>(output, 2, rows.iter().map(|row| Some(row.assignment.parent.unwrap_or(row.point))))?;
            write::<f64>(output, 3, rows.iter().map(|row| row.assignment.delta))?;
            write::<f64>(output, 4, rows.iter().map(|row| Some(row.assignment.density)))?;
            write::<bool>(output, 5, rows.iter().map(|row| Some(row.assignment.parent.is_none())))
        }
        Table::Groups(clusters) => {
            write::<u32>(output, 0, rows.clone().map(|row| Some(row as u32)))?;
            write::<i64>(output, 1, clusters[rows].iter().map(|&cluster| Some(i64::from(cluster))))
        }
        Table::Sweep(sweep) => {
            let scored = sweep.iter().any(|row| row.scores.is_some());
            let rows = &sweep[rows];
            write::<f64>(output, 0, rows.iter().map(|row| Some(row.tau)))?;
            write::<i64>(output, 1, rows.iter().map(|row| Some(row.clusters as i64)))?;
            write::<i64>(output, 2, rows.iter().map(|row| Some(row.singletons as i64)))?;
            write::<i64>(output, 3, rows.iter().map(|row| Some(row.largest as i64)))?;
            if !scored {
                return Ok(());
            }
            let scores: [fn(&Scores) -> Option<f64>; 6] = [
                |scores| scores.pairwise.precision,
                |scores| scores.pairwise.recall,
                |scores| scores.pairwise.f,
                |scores| scores.bcubed.precision,
                |scores| scores.bcubed.recall,
                |scores| scores.bcubed.f,
            ];
            (4..).zip(scores).try_for_each(|(column, score)| {
                write::<f64>(output, column, rows.iter().map(|row| row.scores.as_ref().and_then(score)))
            })
        }
        Table::Parameters { kernel, tau } => {
            let (name, location, scale, sigma) = match *kernel {
                Kernel::Gumbel { location, scale } => ("gumbel", Some(location), Some(scale), None),
                Kernel::Exp { sigma } => ("exp", None, None, Some(sigma)),
                Kernel::Linear => ("linear", None, None, None),
            };
            write::<String>(output, 0, rows.clone().map(|_| Some(name)))?;
            (1..)
                .zip([location, scale, sigma, Some(*tau)])
                .try_for_each(|(column, value)| write::<f64>(output, column, rows.clone().map(|_| value)))
        }
        Table::Summary(table) => {
            let rows = &table[rows];
            write::<i64>(output, 0, rows.iter().map(|row| Some(row.cluster)))?;
            write::<i64>(output, 1, rows.iter().map(|row| Some(row.summary.size as i64)))?;
            write::<u32>(output, 2, rows.iter().map(|row| Some(row.summary.medoid)))?;
            write::<u32>(output, 3, rows.iter().map(|row| row.peak))?;
            write::<f64>(output, 4, rows.iter().map(|row| Some(row.summary.mean_distance)))?;
            write::<f64>(output, 5, rows.iter().map(|row| row.summary.cohesion))
        }
        Table::Merges(table) => {
            let rows = &table[rows];
            write::<i64>(output, 0, rows.iter().map(|row| Some(row.cluster)))?;
            write::<i64>(output, 1, rows.iter().map(|row| Some(row.other)))?;
            write::<f64>(output, 2, rows.iter().map(|row| Some(row.merge.delta)))?;
            write::<u32>(output, 3, rows.iter().map(|row| Some(row.merge.peak)))?;
            write::<u32>(output, 4, rows.iter().map(|row| Some(row.merge.candidate)))?;
            write::<i64>(output, 5, rows.iter().map(|row| Some(row.size as i64)))?;
            write::<i64>(output, 6, rows.iter().map(|row| Some(row.other_size as i64)))
        }
        Table::Splits(table) => {
            let rows = &table[rows];
            write::<i64>(output, 0, rows.iter().map(|row| Some(row.cluster)))?;
            write::<f64>(output, 1, rows.iter().map(|row| Some(row.split.delta)))?;
            write::<u32>(output, 2, rows.iter().map(|row| Some(row.split.point)))?;
            write::<u32>(output, 3, rows.iter().map(|row| Some(row.split.parent)))?;
            write::<i64>(output, 4, rows.iter().map(|row| Some(row.split.below as i64)))?;
            write::<i64>(output, 5, rows.iter().map(|row| Some(row.split.rest as i64)))
        }
        Table::Trained(trained) => {
            let epochs = &trained.epochs[rows];
            let cosine = trained.cosine;
            write::<i32>(output, 0, epochs.iter().map(|row| Some(row.epoch as i32)))?;
            write::<f64>(output, 1, epochs.iter().map(|row| Some(row.loss)))?;
            write::<f64>(output, 2, epochs.iter().map(|row| Some(row.held_out.auc)))?;
            write::<f64>(output, 3, epochs.iter().map(|row| Some(row.held_out.average_precision)))?;
            write::<f64>(output, 4, epochs.iter().map(|_| Some(cosine.auc)))?;
            write::<f64>(output, 5, epochs.iter().map(|_| Some(cosine.average_precision)))?;
            write::<bool>(output, 6, epochs.iter().map(|row| Some(row.epoch == trained.kept)))?;
            let warning = |epoch: usize| trained.warning.filter(|_| epoch == trained.kept);
            write::<String>(output, 7, epochs.iter().map(|row| warning(row.epoch)))
        }
        Table::Decision { order, density, delta, candidates } => {
            let rows = &order[rows];
            write::<u32>(output, 0, rows.iter().map(|&row| Some(row)))?;
            write::<f64>(output, 1, rows.iter().map(|&row| Some(density[row as usize])))?;
            write::<f64>(output, 2, rows.iter().map(|&row| Some(delta[row as usize])))?;
            write::<u32>(output, 3, rows.iter().map(|&row| candidates[row as usize].map(|(candidate, _)| candidate)))
        }
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<u64>("token"))
        .param(FunctionParameter::new::<String>("plan"))
        .documentation(functions::internal("Run a stage on the rows that its sinks collected."));
    TableFunctionBuilder::new("density_peaks_source", signature, Source)
        .with_progress()
        .with_partitioning()
        .register(extension)
}

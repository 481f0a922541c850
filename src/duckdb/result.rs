//! The way out: a table function that starts the slot's job, waits for it, and emits its rows on
//! several threads, in order of the ids.
//!
//! A scan can be stopped only between two calls, and an empty chunk ends it. So each call waits for a
//! few milliseconds at most, and answers with a tick, a row without an id, until the job is done.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use duckdb_neo::Result;
use duckdb_neo::bind_arguments::BindArgument;
use duckdb_neo::connection::{Context, FFILink};
use duckdb_neo::data_chunk::DataChunkRef;
use duckdb_neo::extension::Extension;
use duckdb_neo::logical_type::LogicalType;
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::table_function::*;
use duckdb_neo::types::DuckDBType;
use duckdb_neo::vector::{VectorElement, WritableVectorElement};

use super::arguments::plan;
use super::errors::{by_hand, defect, guarded, refused};
use super::functions::internal;
use super::host::Statement;
use super::job::{Job, lock};
use super::slot::Slot;
use crate::engine::host::Host;
use crate::engine::limits::{Account, Ledger, Limits};
use crate::engine::table::{Cells, Table, Type, Values};

/// Rows of one chunk.
const CHUNK: usize = 2048;

/// Rows that one thread takes at a time; DuckDB writes tables in groups of as many.
const BATCH: usize = 60 * CHUNK;

/// More rows than any join partner has, so that the source stays on the probe side.
const HUGE: usize = 1_000_000_000_000;

/// `density_peaks_result(token, plan)`.
struct Emission {
    /// Of the database.
    ledger: Arc<Ledger>,
}

struct Scan {
    job: Mutex<Option<Arc<Job>>>,
    next_batch: AtomicUsize,
    complete: AtomicBool,
}

impl Scan {
    /// The job is done; the first thread to know does what follows it.
    fn finish(&self, slot: &Slot, table: &dyn Table, context: &Context) -> Result<()> {
        let _job = lock(&self.job);
        if !self.complete.load(Relaxed) {
            slot.plan.store(table, &Statement(context)).map_err(refused)?;
            slot.set_ids(table.ids());
            // What is left of the work is its result.
            let ids = table.ids().iter().map(|ids| ids.memory()).sum::<u64>();
            slot.limits.account.settle((table.count() * table.width() * 8) as u64 + ids);
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
    table: Option<Arc<dyn Table>>,
    rows: Range<usize>,
    batch: usize,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.scan.stop();
    }
}

impl TableFunctionCallbacks for Emission {
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
            let value = |at: usize| arguments.get(at).and_then(|a| a.value.as_ref()).ok_or_else(by_hand);
            let token = value(0)?.get::<u64>()?.ok_or_else(by_hand)?;
            let plan = plan(&value(1)?.get::<String>()?.unwrap_or_default())?;
            for (name, of_type) in plan.columns().map_err(refused)? {
                result.add_result_column(&name, &logical_type(of_type, context)?)?;
            }
            result.set_cardinality(HUGE, false)?;
            let host = Statement(context);
            let account = Arc::new(Account::new(self.ledger.clone()));
            let limits = Limits { account, ..host.limits().map_err(refused)? };
            let models = plan.open_models(&host).map_err(refused)?;
            Slot::create(token, plan, limits, models)
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
        Ok(Some(Worker { scan, table: None, rows: 0..0, batch: 0 }))
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
            if worker.table.is_none() {
                let job = {
                    let mut job = lock(&scan.job);
                    match job.as_ref() {
                        Some(job) => job.clone(),
                        None => {
                            slot.plan.check(&Statement(context)).map_err(refused)?;
                            job.insert(slot.job()?).clone()
                        }
                    }
                };
                worker.table = match job.poll() {
                    None => None,
                    Some(Ok(table)) => {
                        scan.finish(slot, &*table, context)?;
                        Some(table)
                    }
                    Some(Err(failure)) => return Err(slot.render(&failure, context)),
                };
            }
            let Some(table) = &worker.table else { return tick(output, slot.columns.len()) };
            if worker.rows.is_empty() {
                worker.batch = scan.next_batch.fetch_add(1, Relaxed);
                let start = (worker.batch * BATCH).min(table.count());
                worker.rows = start..(start + BATCH).min(table.count());
            }
            let rows = worker.rows.start..(worker.rows.start + CHUNK).min(worker.rows.end);
            worker.rows.start = rows.end;
            emit(&**table, rows, output)
        })
    }
}

impl TablePartitioningCallbacks for Emission {
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

fn logical_type(of_type: Type, link: &impl FFILink) -> Result<LogicalType> {
    match of_type {
        Type::Id(_) => u32::logical_type(link),
        Type::Integer => i32::logical_type(link),
        Type::BigInt => i64::logical_type(link),
        Type::Float => f32::logical_type(link),
        Type::Double => f64::logical_type(link),
        Type::Boolean => bool::logical_type(link),
        Type::Text => String::logical_type(link),
    }
}

/// Write a column value by value.
fn write<'a, T: WritableVectorElement>(
    output: &mut DataChunkRef<'_>,
    column: usize,
    values: impl ExactSizeIterator<Item = Option<T::Write<'a>>>,
) -> Result<()> {
    let mut vector = output.get_vector_at_mut::<T>(column)?;
    vector.set_size(values.len())?;
    let mut writer = vector.writer()?;
    values.enumerate().try_for_each(|(row, value)| writer.set(row, value))
}

/// Write a column of numbers, as a whole where none is NULL.
fn numbers<T>(output: &mut DataChunkRef<'_>, column: usize, values: Values<'_, T>) -> Result<()>
where
    T: Copy + for<'a> VectorElement<Internal<'a> = T> + for<'a> WritableVectorElement<Write<'a> = T>,
{
    let values = match values {
        Values::Some(values) => return write::<T>(output, column, values.into_iter()),
        Values::All(values) => values,
    };
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
fn tick(mut output: DataChunkRef<'_>, columns: usize) -> Result<()> {
    for column in 0..columns {
        let [mut vector] = output.get_vector_array_mut([column])?;
        vector.set_size(1)?;
        vector.set_null_slow(0)?;
    }
    Ok(())
}

fn emit(table: &dyn Table, rows: Range<usize>, mut output: DataChunkRef<'_>) -> Result<()> {
    let output = &mut output;
    for column in 0..table.width() {
        match table.chunk(column, rows.clone()) {
            Cells::Id(values) => numbers(output, column, values)?,
            Cells::Integer(values) => numbers(output, column, values)?,
            Cells::BigInt(values) => numbers(output, column, values)?,
            Cells::Float(values) => numbers(output, column, values)?,
            Cells::Double(values) => numbers(output, column, values)?,
            Cells::Boolean(values) => numbers(output, column, values)?,
            Cells::Text(Values::All(values)) => write::<String>(output, column, values.iter().map(|&text| Some(text)))?,
            Cells::Text(Values::Some(values)) => write::<String>(output, column, values.into_iter())?,
        }
    }
    Ok(())
}

pub fn register(extension: &Extension, ledger: Arc<Ledger>) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<u64>("token"))
        .param(FunctionParameter::new::<String>("plan"))
        .documentation(internal("Run a stage on the rows that its sinks collected."));
    TableFunctionBuilder::new("density_peaks_result", signature, Emission { ledger })
        .with_progress()
        .with_partitioning()
        .register(extension)
}

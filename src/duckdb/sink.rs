//! The way in: an aggregate that collects the rows of a relation, on all of DuckDB's threads, and
//! hands them to the slot.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use duckdb_neo::aggregate::{AggregateCallbacks, AggregateFunctionBuilder, ReturnTypeHandle, States};
use duckdb_neo::bind_arguments::BindArguments;
use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::enums::FunctionProperty;
use duckdb_neo::extension::Extension;
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, DuckDBType};
use duckdb_neo::vector::{Unknown, Vector};
use duckdb_neo::{Error, Result};

use super::bound::place;
use super::collect::{InputRows, ThreadRows, no_rows, width};
use super::errors::{by_hand, defect, guarded, invalid};
use super::functions::internal;
use super::job::lock;
use super::slot::Slot;
use crate::engine::relation::RowKey;

/// First argument that is a column; before it come the token and the relation's number.
const FIRST: usize = 2;

/// `density_peaks_sink(token, relation, columns...)`: the number of rows collected.
struct Sink;

/// Whose rows these are. Two sinks are the same only if they fill the same place of the same slot.
struct Target {
    slot: Arc<Slot>,
    at: usize,
    /// Dimensions of the first embedding seen, by whichever thread; 0 before.
    dim: AtomicUsize,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.slot == other.slot && self.at == other.at
    }
}

impl Target {
    fn error(&self, message: impl std::fmt::Display) -> Error {
        invalid(format!("{}: {message}", self.slot.label(self.at)))
    }
}

impl AggregateCallbacks for Sink {
    type BindData = Target;
    // DuckDB lends a state shared when it is combined and finalized; the rows are moved out then.
    type StateItem = Mutex<ThreadRows>;

    fn bind(&self, _: &Context, arguments: BindArguments<'_>, _: ReturnTypeHandle<'_>) -> Result<Target> {
        guarded(|| {
            let slot = Slot::of(&arguments)?;
            let at = place(&arguments, slot.relations.len())?;
            if arguments.len()? != FIRST + width(&slot.relations[at].1) {
                return Err(by_hand());
            }
            Ok(Target { slot, at, dim: AtomicUsize::new(0) })
        })
    }

    fn init(&self, target: Option<&Target>) -> Mutex<ThreadRows> {
        if let Some(target) = target {
            target.slot.begin(target.at);
        }
        Mutex::default()
    }

    fn update(
        &self,
        target: Option<&Target>,
        vectors: &mut VectorCollection,
        states: States<'_, Mutex<ThreadRows>>,
    ) -> Result<()> {
        guarded(|| {
            let target = target.ok_or_else(|| defect("no bind data"))?;
            if states.is_empty() {
                return Ok(());
            }
            if states.as_ptrs().iter().any(|state| *state != states.as_ptrs()[0]) {
                return Err(target.slot.outer_query(target.at));
            }
            for column in FIRST..vectors.col_count() {
                flatten(vectors.get_untyped_vector_at_mut(column)?)?;
            }
            let (relation, bound) = (&target.slot.relations[target.at].1, target.slot.bound(target.at)?);
            let reserve = |rows, dim, ids| target.slot.reserve(target.at, rows, dim, ids);
            let rows = InputRows { relation, bound, vectors, first: FIRST, dim: &target.dim };
            rows.collect(&mut lock(&states[0]), reserve)
        })
    }

    fn combine(
        &self,
        _: Option<&Target>,
        sources: &States<'_, Mutex<ThreadRows>>,
        targets: States<'_, Mutex<ThreadRows>>,
    ) -> Result<()> {
        guarded(|| {
            for (at, source) in sources.iter().enumerate() {
                let source = std::mem::take(&mut *lock(source));
                let target = &mut *lock(&targets[at]);
                let appended = target.append(source);
                appended.map_err(|_| defect("rows of different lengths got past the check"))?;
            }
            Ok(())
        })
    }

    fn finalize(
        &self,
        target: Option<&Target>,
        states: &[&Mutex<ThreadRows>],
        output: Vector<'_, Unknown>,
        offset: usize,
    ) -> Result<()> {
        guarded(|| {
            let target = target.ok_or_else(|| defect("no bind data"))?;
            let relation = &target.slot.relations[target.at].1;
            let mut output = output.cast::<i64>()?;
            let mut writer = output.writer()?;
            for (at, state) in states.iter().enumerate() {
                let state = std::mem::take(&mut *lock(state));
                if state.null_keys > 0 {
                    let what = match relation.reads.key {
                        RowKey::Ends => "src or dst",
                        RowKey::Id { .. } => "id",
                    };
                    return Err(target.error(match state.null_keys {
                        1 => format!("1 row has a NULL {what}; leave it out"),
                        rows => format!("{rows} rows have a NULL {what}; leave them out"),
                    }));
                }
                let rows = match state.rows {
                    Some(rows) => rows,
                    None => no_rows(relation, target.slot.bound(target.at)?),
                };
                writer.set(offset + at, Some(rows.len() as i64))?;
                target.slot.fill(target.at, rows)?;
                target.dim.store(0, Relaxed);
            }
            Ok(())
        })
    }
}

/// Make a vector and its children flat, if they are not.
fn flatten(mut vector: Vector<'_, Unknown>) -> Result<()> {
    vector.flatten()?;
    if let Some(mut children) = vector.children_mut() {
        for child in 0..children.col_count() {
            flatten(children.get_untyped_vector_at_mut(child)?)?;
        }
    }
    Ok(())
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<u64>("token"))
        .param(FunctionParameter::new::<u32>("relation"))
        .param(FunctionParameter::vararg::<Any>("columns"))
        .return_type(i64::logical_type(extension)?)
        .documentation(internal("Collect the rows of a relation that a stage reads."));
    AggregateFunctionBuilder::new("density_peaks_sink", signature, Sink)
        .set_property(FunctionProperty::HasSpecialNullHandling(true))
        .register(extension)
}

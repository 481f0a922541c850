//! Where the sinks, the source and the id function of one statement meet.
//!
//! A slot is found by its token and owned by the bind data of those functions: it lives as long as
//! the query plan, and is freed with it, also after an error.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, Weak};

use duckdb_neo::connection::Context;
use duckdb_neo::extension::Extension;
use duckdb_neo::scalar::{ScalarCallbacks, ScalarFunctionBuilder};
use duckdb_neo::signature::SignatureBuilder;
use duckdb_neo::types::DuckDBType;
use duckdb_neo::vector::{Unknown, Vector};
use duckdb_neo::{Result, bind_arguments::BindArguments, data_chunk::VectorCollection, enums::FunctionProperty};

use super::collect::Collected;
use super::columns::Bound;
use super::ids::Ids;
use super::job::Job;
use super::memory::Limits;
use super::models::Models;
use super::plan::Plan;
use super::run::Rows;
use super::sql::{Columns, Relation};
use super::{defect, functions, guarded, invalid, repeat};
use crate::core::embeddings::Precision;

static SLOTS: LazyLock<Mutex<HashMap<u64, Weak<Slot>>>> = LazyLock::new(Default::default);
static NEXT_TOKEN: AtomicU64 = AtomicU64::new(0);

/// A token that no statement had before.
pub fn new_token() -> u64 {
    NEXT_TOKEN.fetch_add(1, Relaxed)
}

/// One call of a table macro within one statement.
pub struct Slot {
    pub plan: Plan,
    pub relations: Vec<Relation>,
    pub limits: Limits,
    pub models: Models,
    /// What was found of each relation's columns when the statement was bound.
    pub bound: Vec<OnceLock<Bound>>,
    /// Ids of the result: of its first id column, and of the second where it has other ids.
    pub ids: Mutex<Vec<Arc<Ids>>>,
    collected_bytes: AtomicU64,
    filled: Vec<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inputs: Vec<Option<Collected>>,
    /// The latest job. It stays, because a recursive query scans again without collecting again.
    job: Option<Arc<Job>>,
}

/// Two bind data are the same only if they share the slot.
impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Slot {
    /// Make the slot of `token`; it lives as long as the result.
    pub fn create(token: u64, plan: Plan, relations: Vec<Relation>, limits: Limits, models: Models) -> Arc<Self> {
        let mut slots = lock(&SLOTS);
        slots.retain(|_, slot| slot.strong_count() > 0);
        let filled = relations.iter().map(|_| AtomicBool::new(false)).collect();
        let slot = Arc::new(Self {
            state: Mutex::new(State { inputs: relations.iter().map(|_| None).collect(), ..Default::default() }),
            bound: relations.iter().map(|_| OnceLock::new()).collect(),
            plan,
            relations,
            limits,
            models,
            ids: Default::default(),
            collected_bytes: AtomicU64::new(0),
            filled,
        });
        slots.insert(token, Arc::downgrade(&slot));
        slot
    }

    /// Find the slot that the first argument names.
    pub fn of(arguments: &BindArguments<'_>) -> Result<Arc<Self>> {
        let token = arguments.value(0)?.map(|value| value.get::<u64>()).transpose()?.flatten();
        let token = token.ok_or_else(|| defect("the token is no constant"))?;
        lock(&SLOTS).get(&token).and_then(Weak::upgrade).ok_or_else(|| defect("the statement's plan is gone"))
    }

    /// Count bytes of a relation about to be kept; fails before they exceed the memory limit.
    pub fn reserve(&self, relation: usize, bytes: u64) -> Result<()> {
        let total = self.collected_bytes.fetch_add(bytes, Relaxed) + bytes;
        let relation = &self.relations[relation];
        let smaller = match relation.columns {
            Columns::Points { precision: Precision::F32, .. } => "use precision := 'f16', ",
            _ => "",
        };
        self.limits.check_collected(&relation.label(), total, smaller)
    }

    /// A sink begins.
    pub fn begin(&self, relation: usize) {
        self.filled[relation].store(false, Relaxed);
        self.collected_bytes.store(0, Relaxed);
    }

    /// A sink is done. It is done twice for one beginning if DuckDB has grouped it, because the
    /// relation depends on a row of an outer query.
    pub fn fill(&self, relation: usize, rows: Collected) -> Result<()> {
        if self.filled[relation].swap(true, Relaxed) {
            return Err(self.outer_query(relation));
        }
        lock(&self.state).inputs[relation] = Some(rows);
        Ok(())
    }

    /// The relation cannot be collected.
    pub fn outer_query(&self, relation: usize) -> duckdb_neo::Error {
        let label = self.relations[relation].label();
        invalid(format!("{label}: the relation depends on a row of an outer query; run the stage over a table"))
    }

    /// The job of a scan that begins: a new one if every relation was collected anew.
    pub fn job(self: &Arc<Self>) -> Result<Arc<Job>> {
        let mut state = lock(&self.state);
        if state.inputs.iter().all(Option::is_some) {
            let similar = self.bound.iter().map(|bound| bound.get().is_some_and(|bound| bound.similarity));
            let inputs = state.inputs.iter_mut().filter_map(Option::take);
            let inputs = inputs.zip(similar).map(|(rows, similarity)| Rows { rows, similarity }).collect();
            state.job = Some(Job::start(self, inputs)?);
        }
        state.job.clone().ok_or_else(|| defect("the source ran before its sinks"))
    }
}

/// Lock; a panic under a lock leaves nothing half-done here.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// `density_peaks_slots()`: the slots that are alive, for tests.
struct LiveSlots;

impl ScalarCallbacks for LiveSlots {
    type BindData = ();
    type InitData = ();

    fn exec(
        &self,
        _: Option<&()>,
        _: Option<&mut ()>,
        _: &Context,
        vectors: &mut VectorCollection,
        output: Vector<'_, Unknown>,
    ) -> Result<()> {
        guarded(|| {
            let live = lock(&SLOTS).values().filter(|slot| slot.strong_count() > 0).count();
            repeat::<i64>(vectors, output, live as i64)
        })
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .return_type(i64::logical_type(extension)?)
        .documentation(functions::internal("Number of statements that hold memory of density_peaks at the moment."));
    ScalarFunctionBuilder::new("density_peaks_slots", signature, LiveSlots)
        .set_property(FunctionProperty::Stability(duckdb_neo::enums::FunctionPropertyStability::Volatile))
        .register(extension)
}

//! Where the sinks, the source and the id function of one statement meet.
//!
//! A slot is found by its token and owned by the bind data of those functions: it lives as long as
//! the query plan, and is freed with it, also after an error.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, Weak};

use duckdb_neo::Result;
use duckdb_neo::bind_arguments::BindArguments;
use duckdb_neo::connection::Context;

use super::errors::{by_hand, defect, invalid, refused};
use super::ids::IdType;
use super::job::{Job, lock};
use super::random::random_number;
use crate::core::embeddings::Precision;
use crate::engine::failure::Failure;
use crate::engine::ids::Ids;
use crate::engine::limits::Limits;
use crate::engine::models::Models;
use crate::engine::plan::Plan;
use crate::engine::relation::{Collected, Field, Relation};
use crate::engine::table::{Type, Whose};

/// Bytes that some more rows may take at once, on all threads.
const ROOM: u64 = 32 << 20;

static SLOTS: LazyLock<Mutex<HashMap<u64, Weak<Slot>>>> = LazyLock::new(Default::default);

/// A token that no statement had before, and that nobody can foresee. SQL writes it as a BIGINT.
pub fn new_token() -> u64 {
    random_number() >> 1
}

/// The slots that are alive.
pub fn live_slots() -> i64 {
    lock(&SLOTS).values().filter(|slot| slot.strong_count() > 0).count() as i64
}

/// What was found of a relation's columns.
#[derive(Debug)]
pub struct Bound {
    pub id: IdType,
    /// What was found of each field.
    pub fields: Vec<BoundField>,
}

/// What was found of a field's column.
#[derive(Debug)]
pub enum BoundField {
    /// All that is to know.
    Plain,
    /// The type of labels.
    Label(IdType),
    /// The dimensions of the embeddings, where their type fixes them.
    Embedding(Option<usize>),
    /// Whether edges carry a similarity to use, not a distance.
    Strength { similarity: bool },
}

/// One call of a table macro within one statement.
pub struct Slot {
    pub plan: Arc<Plan>,
    pub columns: Vec<(String, Type)>,
    /// The relations that the plan reads, by their nodes.
    pub relations: Vec<(usize, Relation)>,
    pub limits: Limits,
    pub models: Models,
    /// What was found of each relation's columns when the statement was bound.
    pub bound: Vec<OnceLock<Bound>>,
    /// Ids of the result: of its first id column, and of the second where it has other ids.
    ids: Mutex<Vec<Arc<Ids>>>,
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
    pub fn create(token: u64, plan: Plan, limits: Limits, models: Models) -> Result<Arc<Self>> {
        let relations: Vec<(usize, Relation)> =
            plan.relations().into_iter().map(|(node, relation)| (node, relation.clone())).collect();
        let mut slots = lock(&SLOTS);
        slots.retain(|_, slot| slot.strong_count() > 0);
        let slot = Arc::new(Self {
            state: Mutex::new(State { inputs: relations.iter().map(|_| None).collect(), ..Default::default() }),
            bound: relations.iter().map(|_| OnceLock::new()).collect(),
            filled: relations.iter().map(|_| AtomicBool::new(false)).collect(),
            columns: plan.columns().map_err(refused)?,
            plan: Arc::new(plan),
            relations,
            limits,
            models,
            ids: Default::default(),
            collected_bytes: AtomicU64::new(0),
        });
        slots.insert(token, Arc::downgrade(&slot));
        Ok(slot)
    }

    /// Find the slot that the first argument names.
    pub fn of(arguments: &BindArguments<'_>) -> Result<Arc<Self>> {
        let token = arguments.value(0)?.map(|value| value.get::<u64>()).transpose()?.flatten();
        let token = token.ok_or_else(by_hand)?;
        lock(&SLOTS).get(&token).and_then(Weak::upgrade).ok_or_else(by_hand)
    }

    /// The call that reads a relation, for messages.
    pub fn label(&self, relation: usize) -> String {
        let relation = &self.relations[relation].1;
        relation.label(relation.function)
    }

    /// What was found of a relation's columns.
    pub fn bound(&self, relation: usize) -> Result<&Bound> {
        let bound = self.bound.get(relation).and_then(|bound| bound.get());
        bound.ok_or_else(by_hand)
    }

    /// The type of an id column of the result.
    pub fn type_of(&self, column: usize) -> Result<&IdType> {
        let bound = self.bound(0)?;
        let label = bound.fields.iter().find_map(|field| match field {
            BoundField::Label(label) => Some(label),
            _ => None,
        });
        match self.columns.get(column) {
            Some((_, Type::Id(Whose::Label | Whose::LabelColumn))) => {
                label.ok_or_else(|| defect("labels without a type"))
            }
            _ => Ok(self
                .bound
                .iter()
                .filter_map(OnceLock::get)
                .fold(&bound.id, |id, other| id.wider(&other.id).unwrap_or(id))),
        }
    }

    /// Count bytes of rows about to be kept of a relation, with embeddings of `dim` dimensions, and of the `ids`
    /// that were kept; fails before they exceed the memory limit.
    pub fn reserve(&self, relation: usize, rows: usize, dim: usize, ids: u64) -> Result<()> {
        let reads = &self.relations[relation].1.reads;
        let bytes = (rows * reads.row_bytes(dim)) as u64 + ids;
        let total = self.collected_bytes.fetch_add(bytes, Relaxed) + bytes;
        let is_single = |field: &Field| matches!(field, Field::Embedding { precision: Precision::F32, .. });
        let smaller = if reads.fields.iter().any(is_single) { "use precision := 'f16', " } else { "" };
        // Embeddings are kept in blocks; other columns grow by moving to twice the place, on all threads.
        let growth = ROOM + if dim == 0 { 2 * total } else { 0 };
        self.limits.check_collected(&self.label(relation), total, growth, smaller).map_err(refused)
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
        let label = self.label(relation);
        invalid(format!("{label}: the relation depends on a row of an outer query; run the stage over a table"))
    }

    /// The job of a scan that begins: a new one if every relation was collected anew.
    pub fn job(&self) -> Result<Arc<Job>> {
        let mut state = lock(&self.state);
        if state.inputs.iter().all(Option::is_some) {
            let rows = state.inputs.iter_mut().filter_map(Option::take).collect();
            state.job = Some(Job::start(self.plan.clone(), rows, self.limits.clone(), self.models.clone())?);
        }
        state.job.clone().ok_or_else(by_hand)
    }

    /// Keep the ids of the result.
    pub fn set_ids(&self, ids: Vec<Arc<Ids>>) {
        *lock(&self.ids) = ids;
    }

    /// The ids that a column of the result numbers.
    pub fn ids(&self, column: usize) -> Result<Arc<Ids>> {
        let Some((_, Type::Id(whose))) = self.columns.get(column) else { return Err(by_hand()) };
        lock(&self.ids).get(whose.place()).cloned().ok_or_else(by_hand)
    }

    /// A failure as the user reads it.
    pub fn render(&self, failure: &Failure, context: &Context) -> duckdb_neo::Error {
        let message = failure.message(|number| {
            let ids = failure.ids.as_ref().filter(|ids| (number as usize) < ids.len());
            let text = ids.and_then(|ids| self.type_of(0).ok()?.display(ids, number, context).ok());
            text.unwrap_or_else(|| format!("#{number}"))
        });
        invalid(match &failure.label {
            Some(label) => format!("{label}: {message}"),
            None => message,
        })
    }
}

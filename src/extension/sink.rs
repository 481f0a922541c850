//! The way in: an aggregate that collects the rows of a relation, on all of DuckDB's threads, and
//! hands them to the slot.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use duckdb_neo::aggregate::{AggregateCallbacks, AggregateFunctionBuilder, ReturnTypeHandle, States};
use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::enums::FunctionProperty;
use duckdb_neo::extension::Extension;
use duckdb_neo::logical_type::{LogicalType, LogicalTypeID};
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, DuckDBType};
use duckdb_neo::vector::{Unknown, Vector, VectorElement, VectorReader};
use duckdb_neo::{Result, bind_arguments::BindArguments};

use super::collect::Collected;
use super::columns::{Bound, relation_number};
use super::ids::{IdType, Interner};
use super::slot::{Slot, lock};
use super::sql::{Columns, Relation};
use super::{defect, functions, guarded, invalid};
use crate::core::error::{EdgeProblem, PointProblem};
use crate::engine_hints;

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
    fn relation(&self) -> &Relation {
        &self.slot.relations[self.at]
    }

    fn bound(&self) -> Result<&Bound> {
        self.slot.bound[self.at].get().ok_or_else(|| defect("the relation was not bound"))
    }

    fn error(&self, message: impl std::fmt::Display) -> duckdb_neo::Error {
        invalid(format!("{}: {message}", self.relation().label()))
    }
}

/// One thread's rows.
#[derive(Default)]
struct State {
    rows: Option<Collected>,
    null_ids: usize,
}

impl AggregateCallbacks for Sink {
    type BindData = Target;
    // DuckDB lends a state shared when it is combined and finalized; the rows are moved out then.
    type StateItem = Mutex<State>;

    fn bind(&self, _: &Context, arguments: BindArguments<'_>, _: ReturnTypeHandle<'_>) -> Result<Target> {
        guarded(|| {
            let slot = Slot::of(&arguments)?;
            let at = relation_number(&arguments, slot.relations.len())?;
            Ok(Target { slot, at, dim: AtomicUsize::new(0) })
        })
    }

    fn init(&self, target: Option<&Target>) -> Mutex<State> {
        if let Some(target) = target {
            target.slot.begin(target.at);
        }
        Mutex::default()
    }

    fn update(
        &self,
        target: Option<&Target>,
        vectors: &mut VectorCollection,
        states: States<'_, Mutex<State>>,
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
            let state = &mut *lock(&states[0]);
            collect(target, vectors, state)
        })
    }

    fn combine(
        &self,
        _: Option<&Target>,
        sources: &States<'_, Mutex<State>>,
        targets: States<'_, Mutex<State>>,
    ) -> Result<()> {
        guarded(|| {
            for (at, source) in sources.iter().enumerate() {
                let source = std::mem::take(&mut *lock(source));
                let target = &mut *lock(&targets[at]);
                target.null_ids += source.null_ids;
                match (&mut target.rows, source.rows) {
                    (Some(rows), Some(more)) => rows.append(more)?,
                    (rows @ None, more) => *rows = more,
                    (Some(_), None) => {}
                }
            }
            Ok(())
        })
    }

    fn finalize(
        &self,
        target: Option<&Target>,
        states: &[&Mutex<State>],
        output: Vector<'_, Unknown>,
        offset: usize,
    ) -> Result<()> {
        guarded(|| {
            let target = target.ok_or_else(|| defect("no bind data"))?;
            let mut output = output.cast::<i64>()?;
            let mut writer = output.writer()?;
            for (at, state) in states.iter().enumerate() {
                let state = std::mem::take(&mut *lock(state));
                if state.null_ids > 0 {
                    let what = match target.relation().columns {
                        Columns::Edges(_) | Columns::Probabilities | Columns::Distances | Columns::Pairs => {
                            "src or dst"
                        }
                        _ => "id",
                    };
                    return Err(target.error(match state.null_ids {
                        1 => format!("1 row has a NULL {what}; leave it out"),
                        rows => format!("{rows} rows have a NULL {what}; leave them out"),
                    }));
                }
                let empty = || Ok(Collected::new(&target.relation().columns, target.bound()?));
                let rows = state.rows.map_or_else(empty, Ok)?;
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

fn collect(target: &Target, vectors: &VectorCollection, state: &mut State) -> Result<()> {
    let bound = target.bound()?;
    let State { rows, null_ids } = state;
    let rows = rows.get_or_insert_with(|| Collected::new(&target.relation().columns, bound));
    let column = |at: usize| vectors.get_untyped_vector_at(FIRST + at);
    match rows {
        Collected::Points { ids, rows, partitions } => {
            let mut of_partitions = partitions.as_mut().zip(bound.label.as_ref());
            let of_rows = match &mut of_partitions {
                Some(((values, _), partition_type)) => ends(partition_type, values, column(3)?, column(4)?)?,
                None => vec![],
            };
            let embeddings = EmbeddingVector::new(column(2)?)?;
            let bytes = vectors.row_count()? * rows.precision().row_bytes(embeddings.typical_dim());
            target.slot.reserve(target.at, bytes as u64)?;
            let mut buffer = Vec::new();
            bound.id.read(column(0)?, column(1)?, |row, key| {
                let Some(key) = key else {
                    *null_ids += 1;
                    return Ok(());
                };
                let embedding = embeddings.row(row, &mut buffer);
                let pushed = embedding.and_then(|embedding| {
                    let found = embedding.len();
                    match target.dim.compare_exchange(0, found, Relaxed, Relaxed) {
                        _ if found == 0 => Err(PointProblem::Empty),
                        Err(expected) if expected != found => Err(PointProblem::Dimensions { found, expected }),
                        _ => rows.push(embedding),
                    }
                });
                if let Err(problem) = pushed {
                    return Err(target.error(engine_hints::point(&problem, &column(0)?.get_value_slow(row)?)));
                }
                if let Some(((_, numbers), _)) = &mut of_partitions {
                    numbers.push(of_rows[row]);
                }
                ids.push(&bound.id, key, column(0)?, row)
            })
        }
        Collected::Densities { ids, values } => {
            let densities = column(2)?.cast_ref::<f64>()?.reader()?;
            bound.id.read(column(0)?, column(1)?, |row, key| {
                let Some(key) = key else {
                    *null_ids += 1;
                    return Ok(());
                };
                let Some(&density) = densities.get(row)? else {
                    let id = column(0)?.get_value_slow(row)?;
                    return Err(target.error(format!("the density of id {id} is NULL; every point needs one")));
                };
                values.push(density);
                ids.push(&bound.id, key, column(0)?, row)
            })
        }
        Collected::Labels { ids, labels, numbers } => {
            let label_type = bound.label.as_ref().ok_or_else(|| defect("labels without a type"))?;
            let of_rows = ends(label_type, labels, column(2)?, column(3)?)?;
            bound.id.read(column(0)?, column(1)?, |row, key| {
                let Some(key) = key else {
                    *null_ids += 1;
                    return Ok(());
                };
                numbers.push(of_rows[row]);
                ids.push(&bound.id, key, column(0)?, row)
            })
        }
        Collected::Clusters { ids, parents, clusters, deltas } => {
            target.slot.reserve(target.at, 16 * vectors.row_count()? as u64)?;
            let null = |name: &str, row: usize| {
                let id = column(0)?.get_value_slow(row)?;
                Err(target.error(format!("the {name} of id {id} is NULL; leave the row out")))
            };
            bound.id.read(column(2)?, column(3)?, |row, key| match key {
                Some(key) => parents.push(&bound.id, key, column(2)?, row),
                None => null("parent_id", row),
            })?;
            let of_rows = column(4)?.cast_ref::<i64>()?.reader()?;
            let row_deltas = column(5)?.cast_ref::<f64>()?.reader()?;
            bound.id.read(column(0)?, column(1)?, |row, key| {
                let Some(key) = key else {
                    *null_ids += 1;
                    return Ok(());
                };
                let Some(&cluster) = of_rows.get(row)? else { return null("cluster_id", row) };
                clusters.push(cluster);
                deltas.push(row_deltas.get(row)?.copied().unwrap_or(f64::NAN));
                ids.push(&bound.id, key, column(0)?, row)
            })
        }
        Collected::Members { ids, clusters, deltas, densities } => {
            target.slot.reserve(target.at, 24 * vectors.row_count()? as u64)?;
            let with_density = matches!(target.relation().columns, Columns::Members { density: true, .. });
            let of_rows = column(2)?.cast_ref::<i64>()?.reader()?;
            let row_deltas = column(3)?.cast_ref::<f64>()?.reader()?;
            let row_densities = column(4)?.cast_ref::<f64>()?.reader()?;
            bound.id.read(column(0)?, column(1)?, |row, key| {
                let Some(key) = key else {
                    *null_ids += 1;
                    return Ok(());
                };
                let null = |name: &str| {
                    let id = column(0)?.get_value_slow(row)?;
                    Err(target.error(format!("the {name} of id {id} is NULL; leave the row out")))
                };
                match of_rows.get(row)? {
                    Some(&cluster) => clusters.push(cluster),
                    None if with_density => return null("cluster_id"),
                    // An id without a cluster has none to keep.
                    None => return Ok(()),
                }
                if with_density {
                    let Some(&density) = row_densities.get(row)? else { return null("density") };
                    deltas.push(row_deltas.get(row)?.copied().unwrap_or(f64::INFINITY));
                    densities.push(density);
                }
                ids.push(&bound.id, key, column(0)?, row)
            })
        }
        Collected::Edges { ids, src, dst, values } => {
            target.slot.reserve(target.at, 16 * vectors.row_count()? as u64)?;
            let (name, at) = match target.relation().columns {
                Columns::Probabilities => ("probability", 4),
                _ if bound.similarity => ("similarity", 5),
                _ => ("distance", 4),
            };
            let edge_values = column(at)?.cast_ref::<f64>()?.reader()?;
            let from = ends(&bound.id, ids, column(0)?, column(1)?)?;
            let to = ends(&bound.id, ids, column(2)?, column(3)?)?;
            for (row, (from, to)) in from.into_iter().zip(to).enumerate() {
                let (Some(from), Some(to)) = (from, to) else {
                    *null_ids += 1;
                    continue;
                };
                let Some(&value) = edge_values.get(row)? else {
                    let (from, to) = (column(0)?.get_value_slow(row)?, column(2)?.get_value_slow(row)?);
                    return Err(target.error(engine_hints::edge(&EdgeProblem::Null { name }, &from, &to)));
                };
                src.push(from);
                dst.push(to);
                values.push(value);
            }
            Ok(())
        }
    }
}

/// The numbers of one end of each edge, or of the labels, `None` for NULL.
fn ends(
    id_type: &IdType,
    interner: &mut Interner,
    ids: &Vector<'_, Unknown>,
    sort_keys: &Vector<'_, Unknown>,
) -> Result<Vec<Option<u32>>> {
    let mut numbers = Vec::with_capacity(ids.len());
    id_type.read(ids, sort_keys, |row, key| {
        numbers.push(key.map(|key| interner.intern(id_type, key, ids, row)).transpose()?);
        Ok(())
    })?;
    Ok(numbers)
}

/// Where a list lies in its child vector: offset and length.
struct ListSpan;

// SAFETY: DuckDB stores a row of a LIST as two 64-bit numbers, and `validate` takes no other type.
unsafe impl VectorElement for ListSpan {
    const TYPE_ID: LogicalTypeID = LogicalTypeID::List;
    type Internal<'a> = [u64; 2];
    type Ref<'a> = [u64; 2];

    unsafe fn get<'a, U: VectorElement>(reader: &VectorReader<'a, U>, physical: usize, _: usize) -> [u64; 2]
    where
        Self: 'a,
    {
        // SAFETY: the caller vouches for the type and the index.
        unsafe { *reader.as_ptr().cast::<[u64; 2]>().add(physical) }
    }
}

/// A flat vector of FLOAT[n], FLOAT[], DOUBLE[n] or DOUBLE[].
struct EmbeddingVector<'a> {
    rows: VectorReader<'a, Unknown>,
    shape: Shape<'a>,
    validity: Option<&'a [u64]>,
    values: Values<'a>,
}

enum Shape<'a> {
    Array(usize),
    List(VectorReader<'a, ListSpan>),
}

enum Values<'a> {
    Float(&'a [f32]),
    Double(&'a [f64]),
}

impl<'a> EmbeddingVector<'a> {
    fn new(rows: &'a Vector<'a, Unknown>) -> Result<Self> {
        let logical_type: &LogicalType = rows.logical_type();
        let shape = match logical_type.id()? {
            LogicalTypeID::Array => {
                let size = logical_type.get_param(1)?.1.get::<i64>()?;
                Shape::Array(size.ok_or_else(|| defect("an array without a size"))? as usize)
            }
            _ => Shape::List(rows.cast_ref::<ListSpan>()?.reader()?),
        };
        let child = rows.children().ok_or_else(|| defect("a list without a child"))?.get_untyped_vector_at(0)?;
        // SAFETY: the child is flat, and every bit pattern is a float, also behind a NULL.
        let (values, validity) = unsafe {
            match child.logical_type().id()? {
                LogicalTypeID::Float => {
                    let reader = child.cast_ref::<f32>()?.reader()?;
                    (Values::Float(reader.as_slice().unwrap_or_default()), reader.validity())
                }
                _ => {
                    let reader = child.cast_ref::<f64>()?.reader()?;
                    (Values::Double(reader.as_slice().unwrap_or_default()), reader.validity())
                }
            }
        };
        Ok(Self { rows: rows.reader()?, shape, validity, values })
    }

    /// Dimensions of most rows, to count memory by.
    fn typical_dim(&self) -> usize {
        let values = match self.values {
            Values::Float(values) => values.len(),
            Values::Double(values) => values.len(),
        };
        match self.shape {
            Shape::Array(size) => size,
            Shape::List(_) => values / self.rows.len().max(1),
        }
    }

    /// One row in single precision.
    fn row<'b>(&'b self, row: usize, buffer: &'b mut Vec<f32>) -> std::result::Result<&'b [f32], PointProblem> {
        let span = match &self.shape {
            Shape::Array(size) => (!self.rows.is_null(row).unwrap_or(true)).then_some((row * size, *size)),
            Shape::List(spans) => spans.get(row).ok().flatten().map(|[start, len]| (start as usize, len as usize)),
        };
        let (start, len) = span.ok_or(PointProblem::NullEmbedding)?;
        let valid = |at: usize| self.validity.is_none_or(|mask| mask[at / 64] >> (at % 64) & 1 == 1);
        if self.validity.is_some() && !(start..start + len).all(valid) {
            return Err(PointProblem::NullEmbedding);
        }
        match self.values {
            Values::Float(values) => Ok(&values[start..start + len]),
            Values::Double(values) => {
                let values = &values[start..start + len];
                if values.iter().any(|value| value.is_finite() && value.abs() > f64::from(f32::MAX)) {
                    return Err(PointProblem::TooLong);
                }
                buffer.clear();
                buffer.extend(values.iter().map(|&value| value as f32));
                Ok(buffer)
            }
        }
    }
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<u64>("token"))
        .param(FunctionParameter::new::<u32>("relation"))
        .param(FunctionParameter::vararg::<Any>("columns"))
        .return_type(i64::logical_type(extension)?)
        .documentation(functions::internal("Collect the rows of a relation that a stage reads."));
    AggregateFunctionBuilder::new("density_peaks_sink", signature, Sink)
        .set_property(FunctionProperty::HasSpecialNullHandling(true))
        .register(extension)
}

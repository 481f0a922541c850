//! Rows of a relation on their way from vectors into the columns that the engine reads.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::vector::{Unknown, Vector};
use duckdb_neo::{Error, Result};

use super::embeddings::{EmbeddingVector, is_read_as_it_is};
use super::errors::{defect, invalid};
use super::ids::IdType;
use super::slot::{Bound, BoundField};
use crate::core::embeddings::{EmbeddingRows, Look};
use crate::core::error::PointProblem;
use crate::engine::hints;
use crate::engine::ids::Interner;
use crate::engine::relation::{Collected, CollectedColumn, CollectedKeys, Field, Null, Relation, RowKey};

/// One thread's rows.
#[derive(Default)]
pub struct ThreadRows {
    pub rows: Option<Collected>,
    /// Rows left out because their key is NULL.
    pub null_keys: usize,
    /// Bytes of the ids that were counted.
    id_bytes: u64,
}

impl ThreadRows {
    /// Take in those of another thread.
    pub fn append(&mut self, other: Self) -> std::result::Result<(), PointProblem> {
        self.null_keys += other.null_keys;
        self.id_bytes += other.id_bytes;
        match (&mut self.rows, other.rows) {
            (Some(rows), Some(more)) => rows.append(more)?,
            (rows @ None, more) => *rows = more,
            (Some(_), None) => {}
        }
        Ok(())
    }
}

/// No rows, of the types that were found.
pub fn no_rows(relation: &Relation, bound: &Bound) -> Collected {
    let keys = match relation.reads.key {
        RowKey::Id { .. } => CollectedKeys::Ids(bound.id.column()),
        RowKey::Ends => CollectedKeys::Ends { ids: Interner::new(bound.id.column()), src: vec![], dst: vec![] },
    };
    let column = |(field, found): (&Field, &BoundField)| match (field, found) {
        (Field::Number { .. } | Field::OptionalFlag { .. }, _) => CollectedColumn::Numbers(vec![]),
        (Field::Integer { .. }, _) => CollectedColumn::Integers(vec![]),
        (Field::OtherId { .. }, _) => CollectedColumn::Ids(bound.id.column()),
        (Field::Label { .. }, BoundField::Label(label)) => {
            CollectedColumn::Labels { values: Interner::new(label.column()), numbers: vec![] }
        }
        (Field::Embedding { precision, .. }, _) => CollectedColumn::Embeddings(EmbeddingRows::new(*precision)),
        (Field::Look { .. }, _) => CollectedColumn::Looks(vec![]),
        (_, BoundField::Strength { similarity }) => {
            CollectedColumn::Strengths { values: vec![], similarity: *similarity }
        }
        _ => unreachable!("what is found of a column is of its field"),
    };
    let columns = relation.reads.fields.iter().zip(&bound.fields).map(column).collect();
    Collected { keys, columns }
}

/// Some rows of a relation, as vectors: those of the key, then those of each field, from `first` on.
pub struct InputRows<'a> {
    pub relation: &'a Relation,
    pub bound: &'a Bound,
    pub vectors: &'a VectorCollection,
    pub first: usize,
    /// Dimensions of the first embedding seen, by whichever thread; 0 before.
    pub dim: &'a AtomicUsize,
}

impl InputRows<'_> {
    /// Add the rows to those of a thread. `reserve` counts them before, with the dimensions of their embeddings, and
    /// the bytes of their ids after.
    pub fn collect(&self, state: &mut ThreadRows, reserve: impl Fn(usize, usize, u64) -> Result<()>) -> Result<()> {
        let rows = self.vectors.row_count()?;
        let ThreadRows { rows: collected, null_keys, id_bytes } = state;
        let collected = collected.get_or_insert_with(|| no_rows(self.relation, self.bound));
        reserve(rows, self.typical_dim()?, 0)?;
        self.add(collected, rows, null_keys)?;
        let ids = collected.id_bytes();
        reserve(0, 0, ids.saturating_sub(*id_bytes))?;
        *id_bytes = ids.max(*id_bytes);
        Ok(())
    }

    fn add(&self, collected: &mut Collected, rows: usize, null_keys: &mut usize) -> Result<()> {
        let Collected { keys, columns } = collected;
        let keep = self.keep(rows, null_keys)?;
        let mut column = key_width(self.relation);
        for (field, target) in self.relation.reads.fields.iter().zip(columns) {
            column += self.push(field, column, target, &keep)?;
        }
        match keys {
            CollectedKeys::Ids(ids) => self.bound.id.read(self.column(0)?, self.column(1)?, |row, key| {
                if let Some(key) = key.filter(|_| keep[row]) {
                    ids.push(key, self.bound.id.kept(self.column(0)?, row)?);
                }
                Ok(())
            }),
            CollectedKeys::Ends { ids, src, dst } => {
                for (at, ends) in [(0, src), (2, dst)] {
                    let numbers = intern(&self.bound.id, ids, self.column(at)?, self.column(at + 1)?)?;
                    ends.extend(numbers.into_iter().zip(&keep).filter(|(_, keep)| **keep).filter_map(|(end, _)| end));
                }
                Ok(())
            }
        }
    }

    fn column(&self, at: usize) -> Result<&Vector<'_, Unknown>> {
        self.vectors.get_untyped_vector_at(self.first + at)
    }

    /// Which rows are kept: those whose key is not NULL, and without a NULL that leaves out a row.
    fn keep(&self, rows: usize, null_keys: &mut usize) -> Result<Vec<bool>> {
        let ends: &[usize] = if self.relation.reads.key == RowKey::Ends { &[0, 2] } else { &[0] };
        let readers = ends.iter().map(|&at| self.column(at)?.reader()).collect::<Result<Vec<_>>>()?;
        let mut keep = vec![true; rows];
        for reader in &readers {
            for (row, keep) in keep.iter_mut().enumerate() {
                *keep &= !reader.is_null(row)?;
            }
        }
        *null_keys += keep.iter().filter(|keep| !**keep).count();
        let mut column = key_width(self.relation);
        for field in &self.relation.reads.fields {
            if let Field::Number { null: Null::Skip, .. } | Field::Integer { null: Null::Skip, .. } = field {
                let reader = self.column(column)?.reader()?;
                for (row, keep) in keep.iter_mut().enumerate() {
                    *keep &= !reader.is_null(row)?;
                }
            }
            column += field_width(field);
        }
        Ok(keep)
    }

    /// Dimensions of most embeddings, to count memory by.
    fn typical_dim(&self) -> Result<usize> {
        let mut column = key_width(self.relation);
        for field in &self.relation.reads.fields {
            if let Field::Embedding { .. } = field {
                return Ok(self.embedding_vector(column)?.typical_dim());
            }
            column += field_width(field);
        }
        Ok(0)
    }

    /// Add the values of a field, which begin at this column; gives how many columns they take.
    fn push(&self, field: &Field, at: usize, target: &mut CollectedColumn, keep: &[bool]) -> Result<usize> {
        let kept = (0..keep.len()).filter(|&row| keep[row]);
        match (field, target) {
            (Field::Number { column, null }, CollectedColumn::Numbers(values)) => {
                self.numbers(column, *null, at, kept, values)?;
            }
            (Field::OptionalFlag { column }, CollectedColumn::Numbers(values)) => {
                self.numbers(column, Null::Is(0.0), at, kept, values)?;
            }
            (Field::Integer { column, null }, CollectedColumn::Integers(values)) => {
                let reader = self.column(at)?.cast_ref::<i64>()?.reader()?;
                for row in kept {
                    values.push(match reader.get(row)? {
                        Some(&value) => value,
                        None => self.null(column, *null, row)?,
                    });
                }
            }
            (Field::OtherId { column }, CollectedColumn::Ids(ids)) => {
                self.bound.id.read(self.column(at)?, self.column(at + 1)?, |row, key| match key {
                    _ if !keep[row] => Ok(()),
                    Some(key) => {
                        ids.push(key, self.bound.id.kept(self.column(at)?, row)?);
                        Ok(())
                    }
                    None => Err(self.null_error(column, "leave the row out", row)?),
                })?;
            }
            (Field::Label { .. }, CollectedColumn::Labels { values, numbers }) => {
                let label = self.label_type()?;
                let of_rows = intern(label, values, self.column(at)?, self.column(at + 1)?)?;
                numbers.extend(kept.map(|row| of_rows[row]));
            }
            (Field::Embedding { .. }, CollectedColumn::Embeddings(rows)) => {
                self.embeddings(&self.embedding_vector(at)?, kept, rows)?;
            }
            (Field::Look { .. }, CollectedColumn::Looks(looks)) => {
                let (embeddings, mut buffer) = (self.embedding_vector(at)?, Vec::new());
                looks.extend(kept.map(|row| Look::at(embeddings.row(row, &mut buffer))));
            }
            (Field::Strength { .. }, CollectedColumn::Strengths { values, similarity }) => {
                let (name, at) = if *similarity { ("similarity", at + 1) } else { ("distance", at) };
                self.numbers(name, Null::Refuse("leave the row out"), at, kept, values)?;
            }
            _ => return Err(defect("a column is not of its field")),
        }
        Ok(field_width(field))
    }

    fn label_type(&self) -> Result<&IdType> {
        let label = self.bound.fields.iter().find_map(|field| match field {
            BoundField::Label(label) => Some(label),
            _ => None,
        });
        label.ok_or_else(|| defect("labels without a type"))
    }

    fn numbers(
        &self,
        name: &str,
        null: Null<f64>,
        at: usize,
        kept: impl Iterator<Item = usize>,
        values: &mut Vec<f64>,
    ) -> Result<()> {
        let reader = self.column(at)?.cast_ref::<f64>()?.reader()?;
        for row in kept {
            values.push(match reader.get(row)? {
                Some(&value) => value,
                None => self.null(name, null, row)?,
            });
        }
        Ok(())
    }

    /// The embeddings of the two columns that begin here.
    fn embedding_vector(&self, at: usize) -> Result<EmbeddingVector<'_>> {
        let own = self.column(at)?;
        if is_read_as_it_is(own.logical_type())? {
            EmbeddingVector::new(own)
        } else {
            EmbeddingVector::new(self.column(at + 1)?)
        }
    }

    fn embeddings(
        &self,
        embeddings: &EmbeddingVector<'_>,
        kept: impl Iterator<Item = usize>,
        rows: &mut EmbeddingRows,
    ) -> Result<()> {
        let mut buffer = Vec::new();
        for row in kept {
            let pushed = embeddings.row(row, &mut buffer).and_then(|embedding| {
                let found = embedding.len();
                match self.dim.compare_exchange(0, found, Relaxed, Relaxed) {
                    _ if found == 0 => Err(PointProblem::Empty),
                    Err(expected) if expected != found => Err(PointProblem::Dimensions { found, expected }),
                    _ => rows.push(embedding),
                }
            });
            if let Err(problem) = pushed {
                return Err(self.error(hints::point(&problem, &self.column(0)?.get_value_slow(row)?)));
            }
        }
        Ok(())
    }

    /// What a NULL of a row stands for.
    fn null<T>(&self, name: &str, null: Null<T>, row: usize) -> Result<T> {
        match null {
            Null::Is(value) => Ok(value),
            Null::Refuse(way_out) => Err(self.null_error(name, way_out, row)?),
            Null::Skip => Err(defect("a row was not left out")),
        }
    }

    fn null_error(&self, name: &str, way_out: &str, row: usize) -> Result<Error> {
        let first = self.column(0)?.get_value_slow(row)?;
        Ok(match self.relation.reads.key {
            RowKey::Id { .. } => self.error(format!("the {name} of id {first} is NULL; {way_out}")),
            RowKey::Ends => {
                let second = self.column(2)?.get_value_slow(row)?;
                self.error(format!("the {name} of edge {first} -> {second} is NULL; {way_out}"))
            }
        })
    }

    fn error(&self, message: impl std::fmt::Display) -> Error {
        invalid(format!("{}: {message}", self.relation.label(self.relation.function)))
    }
}

/// How many columns the key and the fields of a relation take.
pub fn width(relation: &Relation) -> usize {
    key_width(relation) + relation.reads.fields.iter().map(field_width).sum::<usize>()
}

/// How many columns the key takes: an id and its sort key, or those of both ends.
fn key_width(relation: &Relation) -> usize {
    match relation.reads.key {
        RowKey::Id { .. } => 2,
        RowKey::Ends => 4,
    }
}

/// How many columns a field takes.
fn field_width(field: &Field) -> usize {
    match field {
        Field::Number { .. } | Field::Integer { .. } | Field::OptionalFlag { .. } => 1,
        Field::OtherId { .. } | Field::Label { .. } | Field::Strength { .. } => 2,
        Field::Embedding { .. } | Field::Look { .. } => 2,
    }
}

/// The number of each value, `None` for NULL.
fn intern(
    id_type: &IdType,
    interner: &mut Interner,
    values: &Vector<'_, Unknown>,
    sort_keys: &Vector<'_, Unknown>,
) -> Result<Vec<Option<u32>>> {
    let mut numbers = Vec::with_capacity(values.len());
    id_type.read(values, sort_keys, |row, key| {
        numbers.push(key.map(|key| interner.intern(key, || id_type.kept(values, row))).transpose()?);
        Ok(())
    })?;
    Ok(numbers)
}

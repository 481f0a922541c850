//! Relations that operators read: which columns, what they must be, and what is kept of their rows.

use std::sync::Arc;

use super::failure::{Failure, Result, failed};
use super::ids::{IdColumn, Ids, Interner};
use crate::core::embeddings::{EmbeddingRows, Look, Precision};
use crate::core::error::{Error, PointProblem};

/// A relation, and what is read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    /// The function that reads it first, and the argument that named it, for messages.
    pub function: &'static str,
    pub argument: &'static str,
    pub name: String,
    pub reads: Reads,
}

/// What is read of a relation.
#[derive(Debug, Clone, PartialEq)]
pub struct Reads {
    pub key: RowKey,
    pub fields: Vec<Field>,
    /// Where such a relation comes from, for messages; or empty.
    pub made_by: &'static str,
    /// Whether it has a row for every point of the run.
    pub has_all_points: bool,
}

/// What tells the rows of a relation apart.
#[derive(Debug, Clone, PartialEq)]
pub enum RowKey {
    /// A row a point: the column of the ids; `hint` says how to name another, or is empty.
    Id { column: String, hint: &'static str },
    /// A row a pair of points: `src` and `dst`.
    Ends,
}

/// A further column.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// A number, kept in double precision.
    Number { column: &'static str, null: Null<f64> },
    /// A whole number of 64 bits.
    Integer { column: &'static str, null: Null<i64> },
    /// Another id of the type of the key; NULL is refused.
    OtherId { column: &'static str },
    /// A value of any type, to be told apart; may be NULL. Those of several columns are a STRUCT.
    Label { columns: Vec<String>, hint: &'static str },
    /// True or false, kept as 1 or 0; where there is no such column, or a NULL, 0.
    OptionalFlag { column: &'static str },
    /// Lists or arrays of numbers.
    Embedding { column: String, precision: Precision },
    /// The same, of which is kept what tells whether a row is valid.
    Look { column: String },
    /// `similarity` where there is one, else `distance`; or `distance` alone.
    Strength { distances_only: bool },
}

/// What a NULL stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Null<T> {
    /// A value.
    Is(T),
    /// A row to leave out.
    Skip,
    /// An error, with this way out.
    Refuse(&'static str),
}

/// How to name another column of the ids.
pub const NAME_IDS: &str = "name the column of ids with id := '...'";

impl RowKey {
    /// The column of the ids, or the first of the two.
    pub fn column(&self) -> &str {
        match self {
            Self::Id { column, .. } => column,
            Self::Ends => "src",
        }
    }
}

impl Reads {
    /// A row a point, whose ids are in a column that the argument `id` names.
    pub fn by_id(id: &str, made_by: &'static str, fields: Vec<Field>) -> Self {
        Self { key: RowKey::Id { column: id.into(), hint: NAME_IDS }, fields, made_by, has_all_points: false }
    }

    /// A row an edge or pair.
    pub fn by_ends(made_by: &'static str, fields: Vec<Field>) -> Self {
        Self { key: RowKey::Ends, fields, made_by, has_all_points: false }
    }

    /// The embeddings of points, and what else is read beside them.
    pub fn points(id: &str, embedding: &str, precision: Precision, more: Option<Field>) -> Self {
        let embedding = Field::Embedding { column: embedding.into(), precision };
        let fields = std::iter::once(embedding).chain(more).collect();
        Self { has_all_points: true, ..Self::by_id(id, "", fields) }
    }

    /// The column of the embeddings.
    pub fn embedding(&self) -> Option<&str> {
        self.fields.iter().find_map(|field| match field {
            Field::Embedding { column, .. } => Some(&**column),
            _ => None,
        })
    }

    /// Bytes that are kept of a row, but for ids; `dim` is that of the embeddings.
    pub fn row_bytes(&self, dim: usize) -> usize {
        let of_field = |field: &Field| match field {
            Field::Number { .. } | Field::Integer { .. } | Field::Strength { .. } | Field::OptionalFlag { .. } => 8,
            Field::Label { .. } => 8,
            Field::OtherId { .. } => 0,
            Field::Embedding { precision, .. } => precision.row_bytes(dim),
            Field::Look { .. } => size_of::<Look>(),
        };
        let ends = if self.key == RowKey::Ends { 8 } else { 0 };
        ends + self.fields.iter().map(of_field).sum::<usize>()
    }
}

impl Relation {
    /// A call that reads it, for messages.
    pub fn label(&self, function: &str) -> String {
        format!("{function}('{}')", self.name)
    }

    /// Whether the two read the same, whichever functions do: then it is read once.
    pub fn same(&self, other: &Self) -> bool {
        (self.argument, &self.name, &self.reads) == (other.argument, &other.name, &other.reads)
    }
}

/// The rows of a relation, or some of them.
#[derive(Debug)]
pub struct Collected {
    pub keys: CollectedKeys,
    /// One a field.
    pub columns: Vec<CollectedColumn>,
}

/// The keys of collected rows.
#[derive(Debug)]
pub enum CollectedKeys {
    Ids(IdColumn),
    /// Ends are numbers of the interned ids.
    Ends {
        ids: Interner,
        src: Vec<u32>,
        dst: Vec<u32>,
    },
}

/// The values of a field.
#[derive(Debug)]
pub enum CollectedColumn {
    Numbers(Vec<f64>),
    Integers(Vec<i64>),
    Ids(IdColumn),
    /// Numbers of the interned values, `None` for NULL.
    Labels {
        values: Interner,
        numbers: Vec<Option<u32>>,
    },
    Embeddings(EmbeddingRows),
    Looks(Vec<Look>),
    Strengths {
        values: Vec<f64>,
        similarity: bool,
    },
}

impl Collected {
    pub fn len(&self) -> usize {
        match &self.keys {
            CollectedKeys::Ids(ids) => ids.len(),
            CollectedKeys::Ends { src, .. } => src.len(),
        }
    }

    /// Bytes that reading the rows in order of their ids takes beside them: the keys, and columns.
    pub fn order_bytes(&self) -> u64 {
        let keys = match &self.keys {
            CollectedKeys::Ids(ids) => ids.key_memory(),
            CollectedKeys::Ends { ids, .. } => ids.memory(),
        };
        let labels = self.columns.iter().map(|column| match column {
            CollectedColumn::Labels { values, .. } => values.memory(),
            _ => 0,
        });
        keys + labels.sum::<u64>() + self.len() as u64 * (8 + 12 * self.columns.len() as u64)
    }

    /// Bytes of the ids and labels, which are of any size.
    pub fn id_bytes(&self) -> u64 {
        let keys = match &self.keys {
            CollectedKeys::Ids(ids) => ids.memory(),
            CollectedKeys::Ends { ids, .. } => ids.memory(),
        };
        let of_column = |column: &CollectedColumn| match column {
            CollectedColumn::Ids(ids) => ids.memory(),
            CollectedColumn::Labels { values, .. } => values.memory(),
            _ => 0,
        };
        keys + self.columns.iter().map(of_column).sum::<u64>()
    }

    /// Take in more rows of the same relation.
    ///
    /// # Errors
    /// If embeddings have other dimensions.
    pub fn append(&mut self, other: Self) -> Result<(), PointProblem> {
        match (&mut self.keys, other.keys) {
            (CollectedKeys::Ids(ids), CollectedKeys::Ids(more)) => ids.append(more),
            (
                CollectedKeys::Ends { ids, src, dst },
                CollectedKeys::Ends { ids: more, src: more_src, dst: more_dst },
            ) => {
                let numbers = ids.absorb(&more);
                src.extend(more_src.into_iter().map(|end| numbers[end as usize]));
                dst.extend(more_dst.into_iter().map(|end| numbers[end as usize]));
            }
            _ => unreachable!("the rows of a relation have keys of one kind"),
        }
        self.columns.iter_mut().zip(other.columns).try_for_each(|(column, more)| column.append(more))
    }

    /// The ids of a row each, unique and in order, and where each row of that order was.
    pub fn sort(keys: CollectedKeys, label: &str) -> Result<(Arc<Ids>, Vec<u32>)> {
        let CollectedKeys::Ids(ids) = keys else { unreachable!("the relation has a row a point") };
        let (ids, order) = ids.sorted();
        let ids = Arc::new(ids);
        match ids.duplicate() {
            Some(row) => Err(failed(label, &ids)(Error::point(row, PointProblem::DuplicateId))),
            None => Ok((ids, order)),
        }
    }
}

impl CollectedColumn {
    fn append(&mut self, other: Self) -> Result<(), PointProblem> {
        match (self, other) {
            (Self::Numbers(values), Self::Numbers(mut more)) => values.append(&mut more),
            (Self::Integers(values), Self::Integers(mut more)) => values.append(&mut more),
            (Self::Ids(ids), Self::Ids(more)) => ids.append(more),
            (Self::Labels { values, numbers }, Self::Labels { values: more_values, numbers: more }) => {
                let new = values.absorb(&more_values);
                numbers.extend(more.into_iter().map(|number| number.map(|number| new[number as usize])));
            }
            (Self::Embeddings(rows), Self::Embeddings(more)) => rows.append(more)?,
            (Self::Looks(looks), Self::Looks(mut more)) => looks.append(&mut more),
            (Self::Strengths { values, .. }, Self::Strengths { values: mut more, .. }) => values.append(&mut more),
            _ => unreachable!("a field has columns of one kind"),
        }
        Ok(())
    }
}

/// The rows of a relation with a row a point, in order of their ids; columns are taken one by one, in
/// the order of the fields.
pub struct Sorted {
    pub ids: Arc<Ids>,
    order: Vec<u32>,
    columns: std::vec::IntoIter<CollectedColumn>,
}

impl Sorted {
    pub fn new(rows: Collected, label: &str) -> Result<Self, Failure> {
        let (ids, order) = Collected::sort(rows.keys, label)?;
        Ok(Self { ids, order, columns: rows.columns.into_iter() })
    }

    fn in_order<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.order.iter().map(|&at| values[at as usize]).collect()
    }

    fn next(&mut self) -> CollectedColumn {
        self.columns.next().expect("every field has a column")
    }

    pub fn numbers(&mut self) -> Vec<f64> {
        let CollectedColumn::Numbers(values) = self.next() else { unreachable!("the field is a number") };
        self.in_order(&values)
    }

    pub fn integers(&mut self) -> Vec<i64> {
        let CollectedColumn::Integers(values) = self.next() else { unreachable!("the field is a whole number") };
        self.in_order(&values)
    }

    /// For each row the number of another id, `None` for one that has no row.
    pub fn other_ids(&mut self) -> Vec<Option<u32>> {
        let CollectedColumn::Ids(others) = self.next() else { unreachable!("the field is an id") };
        self.in_order(&self.ids.numbers_of(&others))
    }

    /// The distinct values, and the number of each row's.
    pub fn labels(&mut self) -> (Interner, Vec<Option<u32>>) {
        let CollectedColumn::Labels { values, numbers } = self.next() else { unreachable!("the field is a label") };
        let numbers = self.in_order(&numbers);
        (values, numbers)
    }

    /// The rows of embeddings as they came, and where each is in the order of the ids.
    pub fn embeddings(&mut self) -> (EmbeddingRows, &[u32]) {
        let CollectedColumn::Embeddings(rows) = self.next() else { unreachable!("the field is an embedding") };
        (rows, &self.order)
    }
}

//! The result of an operator as a table: its columns, each with its name, its type and what writes it.

use std::any::Any;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::ids::Ids;

/// A result that has rows.
pub trait Rows: Send + Sync + 'static {
    /// How many.
    fn count(&self) -> usize;

    /// Whose ids the id columns number, see [`Whose`].
    fn ids(&self) -> Vec<Arc<Ids>> {
        vec![]
    }
}

/// Whose ids the numbers of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The first of [`Rows::ids`], of the type of the ids.
    First,
    /// The second, of the type of the ids.
    Second,
    /// The second, of the type of the labels of the first relation.
    Label,
}

impl Whose {
    /// The place in [`Rows::ids`].
    pub fn place(self) -> usize {
        usize::from(self != Self::First)
    }
}

/// Values of some rows.
pub enum Values<'a, T: Clone> {
    /// None of them NULL.
    All(Cow<'a, [T]>),
    Some(Vec<Option<T>>),
}

type Writer<O, T> = Box<dyn for<'a> Fn(&'a O, Range<usize>) -> Values<'a, T> + Send + Sync>;
type TextWriter<O> = Box<dyn for<'a> Fn(&'a O, Range<usize>) -> Values<'a, &'a str> + Send + Sync>;

/// The type of a column, with what writes its rows.
enum Cells<O> {
    /// Numbers of points, which the host turns into their ids.
    Id(Whose, Writer<O, u32>),
    Integer(Writer<O, i32>),
    BigInt(Writer<O, i64>),
    Float(Writer<O, f32>),
    Double(Writer<O, f64>),
    Boolean(Writer<O, bool>),
    Text(TextWriter<O>),
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// An id, written as a number.
    Id(Whose),
    Integer,
    BigInt,
    Float,
    Double,
    Boolean,
    Text,
}

/// Values of some rows of a column, of its type.
pub enum Chunk<'a> {
    Id(Values<'a, u32>),
    Integer(Values<'a, i32>),
    BigInt(Values<'a, i64>),
    Float(Values<'a, f32>),
    Double(Values<'a, f64>),
    Boolean(Values<'a, bool>),
    Text(Values<'a, &'a str>),
}

/// A column of a result `O`.
pub struct Column<O> {
    pub name: String,
    cells: Cells<O>,
}

/// All values of some rows, none of them NULL.
pub fn all<T: Clone>(values: &[T]) -> Values<'_, T> {
    Values::All(Cow::Borrowed(values))
}

/// Values of some rows, one by one.
pub fn each<'a, T: Clone>(rows: Range<usize>, value: impl FnMut(usize) -> T) -> Values<'a, T> {
    Values::All(Cow::Owned(rows.map(value).collect()))
}

/// Values of some rows, one by one, some of them NULL.
pub fn some<'a, T: Clone>(rows: Range<usize>, value: impl FnMut(usize) -> Option<T>) -> Values<'a, T> {
    Values::Some(rows.map(value).collect())
}

macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident, $cells:ident, $value:ty;)+) => {$(
        $(#[$doc])*
        pub fn $name<O>(
            name: impl Into<String>,
            write: impl for<'a> Fn(&'a O, Range<usize>) -> Values<'a, $value> + Send + Sync + 'static,
        ) -> Column<O> {
            Column { name: name.into(), cells: Cells::$cells(Box::new(write)) }
        }
    )+};
}

columns! {
    /// A column of type INTEGER.
    integer, Integer, i32;
    /// A column of type BIGINT.
    bigint, BigInt, i64;
    /// A column of type FLOAT.
    float, Float, f32;
    /// A column of type DOUBLE.
    double, Double, f64;
    /// A column of type BOOLEAN.
    boolean, Boolean, bool;
}

/// A column of ids.
pub fn id<O>(
    name: impl Into<String>,
    whose: Whose,
    write: impl for<'a> Fn(&'a O, Range<usize>) -> Values<'a, u32> + Send + Sync + 'static,
) -> Column<O> {
    Column { name: name.into(), cells: Cells::Id(whose, Box::new(write)) }
}

/// A column of type VARCHAR.
pub fn text<O>(
    name: impl Into<String>,
    write: impl for<'a> Fn(&'a O, Range<usize>) -> Values<'a, &'a str> + Send + Sync + 'static,
) -> Column<O> {
    Column { name: name.into(), cells: Cells::Text(Box::new(write)) }
}

impl<O> Column<O> {
    pub fn of_type(&self) -> Type {
        match &self.cells {
            Cells::Id(whose, _) => Type::Id(*whose),
            Cells::Integer(_) => Type::Integer,
            Cells::BigInt(_) => Type::BigInt,
            Cells::Float(_) => Type::Float,
            Cells::Double(_) => Type::Double,
            Cells::Boolean(_) => Type::Boolean,
            Cells::Text(_) => Type::Text,
        }
    }

    fn chunk<'a>(&self, output: &'a O, rows: Range<usize>) -> Chunk<'a> {
        match &self.cells {
            Cells::Id(_, write) => Chunk::Id(write(output, rows)),
            Cells::Integer(write) => Chunk::Integer(write(output, rows)),
            Cells::BigInt(write) => Chunk::BigInt(write(output, rows)),
            Cells::Float(write) => Chunk::Float(write(output, rows)),
            Cells::Double(write) => Chunk::Double(write(output, rows)),
            Cells::Boolean(write) => Chunk::Boolean(write(output, rows)),
            Cells::Text(write) => Chunk::Text(write(output, rows)),
        }
    }
}

/// Rows that are made one by one, and whose ids they number.
pub struct List<R> {
    pub rows: Vec<R>,
    pub ids: Vec<Arc<Ids>>,
}

impl<R: Send + Sync + 'static> Rows for List<R> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn ids(&self) -> Vec<Arc<Ids>> {
        self.ids.clone()
    }
}

impl<R> List<R> {
    /// The value that each of some rows gives, for a column.
    pub fn each<'a, T: Clone>(&'a self, rows: Range<usize>, value: impl Fn(&'a R) -> T) -> Values<'a, T> {
        Values::All(Cow::Owned(self.rows[rows].iter().map(value).collect()))
    }

    /// Likewise, some of them NULL.
    pub fn some<'a, T: Clone>(&'a self, rows: Range<usize>, value: impl Fn(&'a R) -> Option<T>) -> Values<'a, T> {
        Values::Some(self.rows[rows].iter().map(value).collect())
    }
}

/// A result with its columns.
pub trait Table: Send + Sync {
    fn count(&self) -> usize;
    fn width(&self) -> usize;
    fn ids(&self) -> Vec<Arc<Ids>>;
    /// Some rows of a column, by its place.
    fn chunk(&self, column: usize, rows: Range<usize>) -> Chunk<'_>;
    /// The result itself.
    fn output(&self) -> &dyn Any;
}

/// The table of a result of one type.
pub struct TableOf<O> {
    pub output: Arc<O>,
    pub columns: Vec<Column<O>>,
}

impl<O: Rows> Table for TableOf<O> {
    fn count(&self) -> usize {
        self.output.count()
    }

    fn width(&self) -> usize {
        self.columns.len()
    }

    fn ids(&self) -> Vec<Arc<Ids>> {
        self.output.ids()
    }

    fn chunk(&self, column: usize, rows: Range<usize>) -> Chunk<'_> {
        self.columns[column].chunk(&self.output, rows)
    }

    fn output(&self) -> &dyn Any {
        &*self.output
    }
}

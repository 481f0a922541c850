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
    /// The same, of which the column of this name is shown.
    LabelColumn,
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
pub enum Cells<'a> {
    Id(Values<'a, u32>),
    Integer(Values<'a, i32>),
    BigInt(Values<'a, i64>),
    Float(Values<'a, f32>),
    Double(Values<'a, f64>),
    Boolean(Values<'a, bool>),
    Text(Values<'a, &'a str>),
}

/// Writes some rows of a column of a result `O`.
type Writer<O> = Box<dyn for<'a> Fn(&'a O, Range<usize>) -> Cells<'a> + Send + Sync>;

/// A column of a result `O`: its name, its type, and what writes some of its rows.
pub struct Column<O> {
    pub name: String,
    pub of_type: Type,
    write: Writer<O>,
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
    ($($(#[$doc:meta])* $name:ident($($whose:ident)?) $kind:ident, $value:ty;)+) => {$(
        $(#[$doc])*
        pub fn $name<O>(
            name: impl Into<String>,
            $($whose: Whose,)?
            write: impl for<'a> Fn(&'a O, Range<usize>) -> Values<'a, $value> + Send + Sync + 'static,
        ) -> Column<O> {
            let (name, of_type) = (name.into(), Type::$kind$(($whose))?);
            Column { name, of_type, write: Box::new(move |output, rows| Cells::$kind(write(output, rows))) }
        }
    )+};
}

columns! {
    /// A column of ids.
    id(whose) Id, u32;
    /// A column of type INTEGER.
    integer() Integer, i32;
    /// A column of type BIGINT.
    bigint() BigInt, i64;
    /// A column of type FLOAT.
    float() Float, f32;
    /// A column of type DOUBLE.
    double() Double, f64;
    /// A column of type BOOLEAN.
    boolean() Boolean, bool;
    /// A column of type VARCHAR.
    text() Text, &'a str;
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
    fn chunk(&self, column: usize, rows: Range<usize>) -> Cells<'_>;
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

    fn chunk(&self, column: usize, rows: Range<usize>) -> Cells<'_> {
        (self.columns[column].write)(&self.output, rows)
    }

    fn output(&self) -> &dyn Any {
        &*self.output
    }
}

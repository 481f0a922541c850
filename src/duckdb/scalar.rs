//! Scalar functions of two simple forms: one that makes a value of each row, and one that only checks
//! its arguments when it is bound.

use duckdb_neo::Result;
use duckdb_neo::bind_arguments::BindArguments;
use duckdb_neo::connection::Context;
use duckdb_neo::data_chunk::VectorCollection;
use duckdb_neo::scalar::{ScalarBindCallbacks, ScalarCallbacks};
use duckdb_neo::value::Value;
use duckdb_neo::vector::{Unknown, Vector, WritableVectorElement};

use super::errors::guarded;

/// Makes a text of the values of each row.
pub struct TextOf(pub fn(&Context, Vec<Value>) -> Result<String>);

impl ScalarCallbacks for TextOf {
    type BindData = ();
    type InitData = ();

    fn exec(
        &self,
        _: Option<&()>,
        _: Option<&mut ()>,
        context: &Context,
        vectors: &mut VectorCollection,
        output: Vector<'_, Unknown>,
    ) -> Result<()> {
        guarded(|| {
            let mut output = output.cast::<String>()?;
            let rows = vectors.row_count()?;
            output.set_size(rows)?;
            for row in 0..rows {
                let columns = 0..vectors.col_count();
                let values = columns.map(|column| vectors.get_untyped_vector_at(column)?.get_value_slow(row));
                let text = (self.0)(context, values.collect::<Result<_>>()?)?;
                output.writer()?.set(row, Some(&text))?;
            }
            Ok(())
        })
    }
}

/// Gives a number.
pub struct NumberOf<F>(pub F);

impl<F: Fn() -> i64 + Send + Sync + 'static> ScalarCallbacks for NumberOf<F> {
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
        guarded(|| repeat::<i64>(vectors, output, (self.0)()))
    }
}

/// Checks its arguments when it is bound; its value is true.
pub struct CheckAtBind(pub fn(&Context, &BindArguments<'_>) -> Result<()>);

impl ScalarCallbacks for CheckAtBind {
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
        guarded(|| repeat::<bool>(vectors, output, true))
    }
}

impl ScalarBindCallbacks for CheckAtBind {
    fn bind(&self, context: &Context, arguments: BindArguments<'_>) -> Result<()> {
        guarded(|| (self.0)(context, &arguments))
    }
}

/// Write one value for every row.
fn repeat<'a, T: WritableVectorElement>(
    vectors: &VectorCollection,
    output: Vector<'_, Unknown>,
    value: T::Write<'a>,
) -> Result<()>
where
    T::Write<'a>: Copy,
{
    let mut output = output.cast::<T>()?;
    let rows = vectors.row_count()?;
    output.set_size(rows)?;
    let mut writer = output.writer()?;
    (0..rows).try_for_each(|row| writer.set(row, Some(value)))
}

//! Embeddings in a vector of lists or arrays of floats.

use duckdb_neo::Result;
use duckdb_neo::logical_type::{LogicalType, LogicalTypeID};
use duckdb_neo::vector::{Unknown, Vector, VectorElement, VectorReader};

use super::errors::defect;
use crate::core::error::PointProblem;

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

/// The type of the values of embeddings of this type, where it is a list or an array.
pub fn values_type(embeddings: &LogicalType) -> Result<Option<LogicalTypeID>> {
    match embeddings.id()? {
        LogicalTypeID::List | LogicalTypeID::Array => {
            embeddings.get_param(0)?.1.get::<LogicalType>()?.map(|values| values.id()).transpose()
        }
        _ => Ok(None),
    }
}

/// Whether embeddings of this type are read as they are, and not as DOUBLE[].
pub fn is_read_as_it_is(embeddings: &LogicalType) -> Result<bool> {
    Ok(matches!(values_type(embeddings)?, Some(LogicalTypeID::Float | LogicalTypeID::Double)))
}

/// A flat vector of FLOAT[n], FLOAT[], DOUBLE[n] or DOUBLE[].
pub struct EmbeddingVector<'a> {
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
    pub fn new(rows: &'a Vector<'a, Unknown>) -> Result<Self> {
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
    pub fn typical_dim(&self) -> usize {
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
    pub fn row<'b>(&'b self, row: usize, buffer: &'b mut Vec<f32>) -> std::result::Result<&'b [f32], PointProblem> {
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

//! N x D features, row-major in single precision, one row a point.

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};
use rayon::prelude::*;

use crate::error::{Error, PointProblem, Result};
use crate::kernels::dot;

/// N x D features. Every value is finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    values: Vec<f32>,
    dim: usize,
    len: usize,
}

impl Embeddings {
    /// Take N x `dim` values, row-major.
    ///
    /// # Errors
    /// If the length is no multiple of `dim`, or a value is NaN or infinite.
    pub fn new(values: Vec<f32>, dim: usize) -> Result<Self> {
        if dim == 0 || !values.len().is_multiple_of(dim) {
            return Err(Error::Input(format!("{} values are no rows of {dim} dimensions", values.len())));
        }
        let len = values.len() / dim;
        match values.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(Error::point(at / dim, PointProblem::NotFinite)),
            None => Ok(Self { values, dim, len }),
        }
    }

    /// Copy from an Arrow array of lists: `FixedSizeList`, `List` or `LargeList` of
    /// `Float16`, `Float32` or `Float64`.
    ///
    /// # Errors
    /// On another type, a NULL, values that are not finite, and rows of different lengths.
    pub fn from_arrow(array: &dyn Array) -> Result<Self> {
        let mut rows = EmbeddingRows::default();
        let mut buffer = Vec::new();
        for row in 0..array.len() {
            let values: Option<ArrayRef> = match array.data_type() {
                _ if array.is_null(row) => None,
                DataType::FixedSizeList(..) => {
                    Some(array.as_any().downcast_ref::<FixedSizeListArray>().expect("checked type").value(row))
                }
                DataType::List(_) => Some(array.as_list::<i32>().value(row)),
                DataType::LargeList(_) => Some(array.as_list::<i64>().value(row)),
                other => return Err(Error::Input(format!("embeddings are lists of floats, not {other}"))),
            };
            let values =
                values.filter(|v| v.null_count() == 0).ok_or(Error::point(row, PointProblem::NullEmbedding))?;
            buffer.clear();
            match values.data_type() {
                DataType::Float16 => {
                    buffer.extend(values.as_primitive::<Float16Type>().values().iter().map(|x| x.to_f32()));
                }
                DataType::Float32 => buffer.extend_from_slice(values.as_primitive::<Float32Type>().values()),
                DataType::Float64 => {
                    buffer.extend(values.as_primitive::<Float64Type>().values().iter().map(|&x| x as f32));
                }
                other => return Err(Error::Input(format!("embeddings are lists of floats, not of {other}"))),
            }
            rows.push(&buffer).map_err(|problem| Error::point(row, problem))?;
        }
        Ok(rows.finish())
    }

    /// N, the number of points.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// D, the number of dimensions; 0 if there are no points.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The features of one point.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dim..][..self.dim]
    }

    /// Scale every row to length 1.
    ///
    /// # Errors
    /// If a row is zero.
    pub fn normalize(&mut self) -> Result<()> {
        self.values.par_chunks_exact_mut(self.dim.max(1)).enumerate().try_for_each(|(row, values)| {
            let length = dot(values, values).sqrt();
            if length == 0.0 {
                return Err(Error::point(row, PointProblem::ZeroVector));
            }
            values.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
            Ok(())
        })
    }

    /// Reorder in place: row `i` becomes the old row `order[i]`. `order` is a permutation of 0..N.
    pub fn permute(&mut self, order: &[u32]) {
        debug_assert_eq!(order.len(), self.len());
        let mut moved = vec![false; order.len()];
        let mut first = vec![0.0; self.dim];
        for start in 0..order.len() {
            if moved[start] || order[start] as usize == start {
                continue;
            }
            // Follow the cycle that begins here; its first row waits outside.
            first.copy_from_slice(self.row(start));
            let mut at = start;
            loop {
                moved[at] = true;
                let from = order[at] as usize;
                if from == start {
                    break;
                }
                self.values.copy_within(from * self.dim..(from + 1) * self.dim, at * self.dim);
                at = from;
            }
            self.values[at * self.dim..][..self.dim].copy_from_slice(&first);
        }
    }
}

/// Rows on their way to [`Embeddings`], in blocks, so that growing copies nothing and the final
/// array and the blocks are never both in memory as a whole.
#[derive(Debug, Default)]
pub struct EmbeddingRows {
    blocks: Vec<Vec<f32>>,
    dim: Option<usize>,
    len: usize,
}

/// Bytes of a block; above the size from which allocators give a block back to the system.
const BLOCK_BYTES: usize = 4 << 20;

impl EmbeddingRows {
    /// Number of rows so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows so far.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// D, once there is a row.
    pub fn dim(&self) -> Option<usize> {
        self.dim
    }

    /// Append one row.
    ///
    /// # Errors
    /// If it is empty or of another length than the first, or has a value that is not finite.
    pub fn push(&mut self, row: &[f32]) -> Result<(), PointProblem> {
        if row.is_empty() {
            return Err(PointProblem::Empty);
        }
        let expected = *self.dim.get_or_insert(row.len());
        if row.len() != expected {
            return Err(PointProblem::Dimensions { found: row.len(), expected });
        }
        if !row.iter().all(|x| x.is_finite()) {
            return Err(PointProblem::NotFinite);
        }
        let capacity = (BLOCK_BYTES / size_of::<f32>() / row.len()).max(1) * row.len();
        match self.blocks.last_mut() {
            Some(block) if block.len() + row.len() <= block.capacity() => block.extend_from_slice(row),
            _ => {
                let mut block = Vec::with_capacity(capacity);
                block.extend_from_slice(row);
                self.blocks.push(block);
            }
        }
        self.len += 1;
        Ok(())
    }

    /// Append the rows of another collection, without a copy.
    ///
    /// # Errors
    /// If its rows have another length.
    pub fn append(&mut self, mut other: Self) -> Result<(), PointProblem> {
        match (self.dim, other.dim) {
            (Some(expected), Some(found)) if found != expected => {
                return Err(PointProblem::Dimensions { found, expected });
            }
            (None, dim) => self.dim = dim,
            _ => {}
        }
        self.blocks.append(&mut other.blocks);
        self.len += other.len;
        Ok(())
    }

    /// All rows, in the order in which they came.
    pub fn finish(self) -> Embeddings {
        let dim = self.dim.unwrap_or(0);
        let mut values = Vec::with_capacity(self.len * dim);
        for block in self.blocks {
            values.extend_from_slice(&block);
        }
        Embeddings { values, dim, len: self.len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, ListArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;
    use std::sync::Arc;

    fn lists(values: Vec<f64>, lengths: &[usize]) -> ListArray {
        let field = Arc::new(Field::new_list_field(DataType::Float64, true));
        let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
        ListArray::new(field, offsets, Arc::new(Float64Array::from(values)), None)
    }

    #[test]
    fn lists_of_doubles_become_single_precision_rows() {
        let embeddings = Embeddings::from_arrow(&lists(vec![1.0, 2.0, 3.0, 4.0], &[2, 2])).unwrap();
        assert_eq!((embeddings.len(), embeddings.dim()), (2, 2));
        assert_eq!(embeddings.row(1), [3.0, 4.0]);
    }

    #[test]
    fn ragged_rows_name_both_dimensions() {
        let error = Embeddings::from_arrow(&lists(vec![1.0, 2.0, 3.0], &[2, 1])).unwrap_err();
        assert_eq!(error.message(|row| format!("#{row}")), "the embedding of id #1 has 1 dimensions, others have 2");
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        let error = Embeddings::new(vec![0.0, 1.0, f32::NAN, 0.0], 2).unwrap_err();
        assert_eq!(error, Error::point(1, PointProblem::NotFinite));
    }

    #[test]
    fn permuting_moves_whole_rows() {
        let mut embeddings = Embeddings::new((0..10).map(|x| x as f32).collect(), 2).unwrap();
        embeddings.permute(&[2, 0, 1, 4, 3]);
        assert_eq!(embeddings.values(), [4.0, 5.0, 0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 6.0, 7.0]);
    }

    #[test]
    fn a_zero_row_cannot_be_normalized() {
        let mut embeddings = Embeddings::new(vec![3.0, 4.0, 0.0, 0.0], 2).unwrap();
        assert_eq!(embeddings.normalize().unwrap_err(), Error::point(1, PointProblem::ZeroVector));
    }
}

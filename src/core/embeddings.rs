//! N x D features, row-major, one row a point, in the precision asked for.

use half::f16;
use rayon::prelude::*;

use crate::core::error::{Error, PointProblem, Result};
use crate::core::kernels::{round_to_f16, round_to_i8};
use crate::core::memory::room;
use crate::core::monitor::Monitor;
use crate::core::row::Row;

/// How a feature is stored. In half precision and in 8 bits every row has a scale of its own, so
/// that rows of any magnitude fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Precision {
    /// Single precision: four bytes.
    #[default]
    F32,
    /// Half precision: two bytes, off by at most 2^-11 of the row's greatest magnitude.
    F16,
    /// A whole number of -127 to 127: one byte, off by at most 1/254 of the row's greatest magnitude.
    I8,
}

impl Precision {
    /// From the finest to the coarsest.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::I8];

    /// Bytes of a value.
    pub fn value_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::I8 => 1,
        }
    }

    /// Bytes of a row of `dim` dimensions, with its scale.
    pub fn row_bytes(self, dim: usize) -> usize {
        let scale = if self == Self::F32 { 0 } else { size_of::<f32>() };
        dim * self.value_bytes() + scale
    }

    /// `f32`, `f16` or `i8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I8 => "i8",
        }
    }

    /// What it is, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::F32 => "single",
            Self::F16 => "half, in half the memory",
            Self::I8 => "8 bits, in a quarter of it",
        }
    }
}

/// N x D features. Every value is finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    values: Values,
    /// Of each row; none in single precision.
    scales: Vec<f32>,
    dim: usize,
    len: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    F32(Vec<f32>),
    F16(Vec<f16>),
    I8(Vec<i8>),
}

impl Values {
    fn row(&self, row: usize, dim: usize, scale: f32) -> Row<'_> {
        let places = row * dim..(row + 1) * dim;
        match self {
            Self::F32(values) => Row::F32(&values[places]),
            Self::F16(values) => Row::F16(&values[places], scale),
            Self::I8(values) => Row::I8(&values[places], scale),
        }
    }
}

impl Embeddings {
    /// Take N x `dim` values in single precision, row-major.
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
            None => Ok(Self { values: Values::F32(values), scales: Vec::new(), dim, len }),
        }
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

    /// How the features are stored.
    pub fn precision(&self) -> Precision {
        match self.values {
            Values::F32(_) => Precision::F32,
            Values::F16(_) => Precision::F16,
            Values::I8(_) => Precision::I8,
        }
    }

    /// The features of one point.
    pub fn row(&self, row: usize) -> Row<'_> {
        self.values.row(row, self.dim, self.scales.get(row).copied().unwrap_or(1.0))
    }

    /// Scale every row to length 1. Where rows have a scale, that alone changes, and rows of the
    /// same values become equal.
    ///
    /// # Errors
    /// If a row is zero, or the run is stopped.
    pub fn normalize(&mut self, monitor: &Monitor) -> Result<()> {
        let dim = self.dim.max(1);
        let length = |row: usize, values: Row<'_>| {
            monitor.check()?;
            match values.dot(values).sqrt() {
                0.0 => Err(Error::point(row, PointProblem::ZeroVector)),
                length => Ok(length),
            }
        };
        if let Values::F32(values) = &mut self.values {
            return values.par_chunks_exact_mut(dim).enumerate().try_for_each(|(row, values)| {
                let length = length(row, Row::F32(values))?;
                values.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
                Ok(())
            });
        }
        let values = &self.values;
        self.scales.par_iter_mut().enumerate().try_for_each(|(row, scale)| {
            *scale = (1.0 / length(row, values.row(row, dim, 1.0))?) as f32;
            Ok(())
        })
    }

    /// A copy of these rows, in this order.
    pub fn select(&self, rows: &[u32]) -> Self {
        let values = match &self.values {
            Values::F32(values) => Values::F32(select(values, self.dim, rows)),
            Values::F16(values) => Values::F16(select(values, self.dim, rows)),
            Values::I8(values) => Values::I8(select(values, self.dim, rows)),
        };
        let scales = if self.scales.is_empty() { vec![] } else { select(&self.scales, 1, rows) };
        Self { values, scales, dim: self.dim, len: rows.len() }
    }

    /// Reorder in place: row `i` becomes the old row `order[i]`. `order` is a permutation of 0..N.
    ///
    /// # Errors
    /// If the run is stopped.
    pub fn permute(&mut self, order: &[u32], monitor: &Monitor) -> Result<()> {
        debug_assert_eq!(order.len(), self.len());
        match &mut self.values {
            Values::F32(values) => permute(values, self.dim, order, monitor)?,
            Values::F16(values) => permute(values, self.dim, order, monitor)?,
            Values::I8(values) => permute(values, self.dim, order, monitor)?,
        }
        if self.precision() != Precision::F32 {
            permute(&mut self.scales, 1, order, monitor)?;
        }
        Ok(())
    }
}

/// Copy rows of `dim` values.
fn select<T: Copy>(values: &[T], dim: usize, rows: &[u32]) -> Vec<T> {
    let mut selected = Vec::with_capacity(rows.len() * dim);
    rows.iter().for_each(|&row| selected.extend_from_slice(&values[row as usize * dim..][..dim]));
    selected
}

/// Reorder rows of `dim` values in place.
fn permute<T: Copy>(values: &mut [T], dim: usize, order: &[u32], monitor: &Monitor) -> Result<()> {
    let mut moved = vec![false; order.len()];
    let mut first = Vec::with_capacity(dim);
    for start in 0..order.len() {
        if moved[start] || order[start] as usize == start {
            continue;
        }
        // Follow the cycle that begins here; its first row waits outside.
        first.clear();
        first.extend_from_slice(&values[start * dim..][..dim]);
        let mut at = start;
        loop {
            monitor.check()?;
            moved[at] = true;
            let from = order[at] as usize;
            if from == start {
                break;
            }
            values.copy_within(from * dim..(from + 1) * dim, at * dim);
            at = from;
        }
        values[at * dim..][..dim].copy_from_slice(&first);
    }
    Ok(())
}

/// What is to know of a row to tell whether it can be one of [`Embeddings`].
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// It can be one of rows of as many dimensions.
    Valid {
        /// Number of dimensions, at least 1.
        dim: u32,
        /// Sum of the squares of its values.
        squared_length: f64,
    },
    /// It cannot.
    Invalid(PointProblem),
}

impl Look {
    /// Look at a row.
    pub fn at(row: Result<&[f32], PointProblem>) -> Self {
        match row {
            Err(problem) => Self::Invalid(problem),
            Ok([]) => Self::Invalid(PointProblem::Empty),
            Ok(row) if !row.iter().all(|x| x.is_finite()) => Self::Invalid(PointProblem::NotFinite),
            Ok(row) => Self::Valid { dim: row.len() as u32, squared_length: Row::F32(row).dot(Row::F32(row)) },
        }
    }
}

/// Rows on their way to [`Embeddings`], rounded as they come. They are kept in blocks, so that
/// growing copies nothing and the final array and the blocks are never both in memory as a whole.
#[derive(Debug)]
pub struct EmbeddingRows {
    blocks: Blocks,
    scales: Vec<f32>,
    dim: Option<usize>,
    len: usize,
}

#[derive(Debug)]
enum Blocks {
    F32(Vec<Vec<f32>>),
    F16(Vec<Vec<f16>>),
    I8(Vec<Vec<i8>>),
}

/// Bytes of a block; above the size from which allocators give a block back to the system.
const BLOCK_BYTES: usize = 4 << 20;

impl EmbeddingRows {
    /// No rows yet.
    pub fn new(precision: Precision) -> Self {
        let blocks = match precision {
            Precision::F32 => Blocks::F32(Vec::new()),
            Precision::F16 => Blocks::F16(Vec::new()),
            Precision::I8 => Blocks::I8(Vec::new()),
        };
        Self { blocks, scales: Vec::new(), dim: None, len: 0 }
    }

    /// How the rows are stored.
    pub fn precision(&self) -> Precision {
        match self.blocks {
            Blocks::F32(_) => Precision::F32,
            Blocks::F16(_) => Precision::F16,
            Blocks::I8(_) => Precision::I8,
        }
    }

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
        match &mut self.blocks {
            Blocks::F32(blocks) => with_room(blocks, row.len()).extend_from_slice(row),
            Blocks::F16(blocks) => self.scales.push(round_to_f16(row, with_room(blocks, row.len()))),
            Blocks::I8(blocks) => self.scales.push(round_to_i8(row, with_room(blocks, row.len()))),
        }
        self.len += 1;
        Ok(())
    }

    /// Append the rows of another collection, without a copy of their values.
    ///
    /// # Errors
    /// If its rows have another length.
    ///
    /// # Panics
    /// If its precision is another.
    pub fn append(&mut self, mut other: Self) -> Result<(), PointProblem> {
        match (self.dim, other.dim) {
            (Some(expected), Some(found)) if found != expected => {
                return Err(PointProblem::Dimensions { found, expected });
            }
            (None, dim) => self.dim = dim,
            _ => {}
        }
        match (&mut self.blocks, &mut other.blocks) {
            (Blocks::F32(blocks), Blocks::F32(more)) => blocks.append(more),
            (Blocks::F16(blocks), Blocks::F16(more)) => blocks.append(more),
            (Blocks::I8(blocks), Blocks::I8(more)) => blocks.append(more),
            _ => panic!("rows of two precisions"),
        }
        self.scales.append(&mut other.scales);
        self.len += other.len;
        Ok(())
    }

    /// All rows, in the order in which they came.
    ///
    /// # Errors
    /// If the run is stopped.
    pub fn finish(self, monitor: &Monitor) -> Result<Embeddings> {
        let dim = self.dim.unwrap_or(0);
        let values = match self.blocks {
            Blocks::F32(blocks) => Values::F32(joined(blocks, self.len * dim, monitor)?),
            Blocks::F16(blocks) => Values::F16(joined(blocks, self.len * dim, monitor)?),
            Blocks::I8(blocks) => Values::I8(joined(blocks, self.len * dim, monitor)?),
        };
        Ok(Embeddings { values, scales: self.scales, dim, len: self.len })
    }
}

/// A block with room for a row of `dim` values.
fn with_room<T>(blocks: &mut Vec<Vec<T>>, dim: usize) -> &mut Vec<T> {
    if blocks.last().is_none_or(|block| block.len() + dim > block.capacity()) {
        blocks.push(Vec::with_capacity((BLOCK_BYTES / size_of::<T>() / dim).max(1) * dim));
    }
    blocks.last_mut().expect("there is a block now")
}

/// The blocks as one, each gone as soon as it is copied.
fn joined<T: Copy>(blocks: Vec<Vec<T>>, len: usize, monitor: &Monitor) -> Result<Vec<T>> {
    let mut values = room(len)?;
    for block in blocks {
        monitor.check()?;
        values.extend_from_slice(&block);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows in a precision.
    fn rounded(values: &[f32], dim: usize, precision: Precision) -> Embeddings {
        let mut rows = EmbeddingRows::new(precision);
        values.chunks(dim).for_each(|row| rows.push(row).unwrap());
        rows.finish(&Monitor::new()).unwrap()
    }

    fn decoded(embeddings: &Embeddings) -> Vec<f32> {
        let mut features = Vec::new();
        let row = |row| {
            embeddings.row(row).decode(1.0, &mut features);
            features.clone()
        };
        (0..embeddings.len()).flat_map(row).collect()
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        let error = Embeddings::new(vec![0.0, 1.0, f32::NAN, 0.0], 2).unwrap_err();
        assert_eq!(error, Error::point(1, PointProblem::NotFinite));
        for precision in Precision::ALL {
            let error = EmbeddingRows::new(precision).push(&[0.0, f32::INFINITY]).unwrap_err();
            assert_eq!(error, PointProblem::NotFinite);
        }
    }

    #[test]
    fn rows_keep_their_order_over_blocks_and_collections() {
        for precision in Precision::ALL {
            let dim = BLOCK_BYTES / 3;
            let rows = |numbers: [u8; 5]| {
                let mut rows = EmbeddingRows::new(precision);
                numbers.iter().for_each(|&number| rows.push(&vec![f32::from(number); dim]).unwrap());
                rows
            };
            let mut all = rows([1, 2, 3, 4, 5]);
            all.append(rows([6, 7, 8, 9, 10])).unwrap();
            let embeddings = all.finish(&Monitor::new()).unwrap();
            assert_eq!((embeddings.len(), embeddings.dim(), embeddings.precision()), (10, dim, precision));
            let first: Vec<f32> = decoded(&embeddings).into_iter().step_by(dim).map(f32::round).collect();
            assert_eq!(first, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], "{precision:?}");
        }
    }

    #[test]
    fn permuting_moves_whole_rows() {
        let values: Vec<f32> = (0..10).map(|x| x as f32).collect();
        for precision in Precision::ALL {
            let mut embeddings = rounded(&values, 2, precision);
            embeddings.permute(&[2, 0, 1, 4, 3], &Monitor::new()).unwrap();
            let expected = [4.0, 5.0, 0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 6.0, 7.0];
            assert_eq!(embeddings, rounded(&expected, 2, precision));
        }
    }

    #[test]
    fn normalized_rows_have_length_1() {
        for precision in Precision::ALL {
            let mut embeddings = rounded(&[3e-30, 4e-30, 5e30, -12e30], 2, precision);
            embeddings.normalize(&Monitor::new()).unwrap();
            for row in 0..2 {
                assert!((embeddings.row(row).dot(embeddings.row(row)) - 1.0).abs() < 1e-6, "{precision:?}");
            }
        }
    }

    #[test]
    fn a_zero_row_cannot_be_normalized() {
        for precision in Precision::ALL {
            let mut embeddings = rounded(&[3.0, 4.0, 0.0, 0.0], 2, precision);
            assert_eq!(embeddings.normalize(&Monitor::new()).unwrap_err(), Error::point(1, PointProblem::ZeroVector));
        }
    }

    #[test]
    fn a_scale_counts_as_memory() {
        assert_eq!(Precision::ALL.map(|precision| precision.row_bytes(256)), [1024, 516, 260]);
    }
}

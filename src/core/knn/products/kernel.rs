//! What a kernel of any instructions takes and gives, and the portable one.

use super::packed::{Pair, Quad};
use super::wanted::Wanted;

/// Sums of R rows and C columns.
pub(super) type ProductKernel<const R: usize, const C: usize> =
    unsafe fn(&[[Pair; R]], &[[Pair; C]], Bounds<R, C>, &mut Product<R, C>);

/// Which of the pairs of R rows and C columns may be wanted: of each row the bits of the columns.
pub(super) type CoarseKernel<const R: usize, const C: usize> =
    unsafe fn(&[[Quad; R]], &[[Quad; C]], Bounds<R, C>) -> [u32; R];

/// What a [`ProductKernel`] gives.
pub(super) struct Product<const R: usize, const C: usize> {
    pub sums: [[i32; C]; R],
    /// Bit j of row i: the pair of row i and column j is wanted.
    pub wanted: [u32; R],
}

/// [`Wanted`] of one product of panels.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a, const R: usize, const C: usize> {
    pub rows: &'a [i32; R],
    pub column_offsets: &'a [i32; C],
    pub columns: &'a [i32; C],
    pub row_offsets: &'a [i32; R],
}

impl<'a, const R: usize, const C: usize> Bounds<'a, R, C> {
    pub fn of(wanted: &'a Wanted, first_row: usize, first_column: usize) -> Self {
        Self {
            rows: panel(&wanted.rows, first_row),
            row_offsets: panel(&wanted.row_offsets, first_row),
            columns: panel(&wanted.columns, first_column),
            column_offsets: panel(&wanted.column_offsets, first_column),
        }
    }

    /// Whether the row wants the pair, and whether the column does.
    #[inline(always)]
    pub fn wanted(&self, row: usize, column: usize, sum: i32) -> (bool, bool) {
        let of_row = sum >= self.rows[row] + self.column_offsets[column];
        (of_row, sum >= self.columns[column] + self.row_offsets[row])
    }
}

fn panel<const W: usize>(values: &[i32], first: usize) -> &[i32; W] {
    values[first..].first_chunk().expect("filled up to whole panels")
}

/// The kernel for every processor.
pub(super) fn portable(rows: &[[Pair; 4]], columns: &[[Pair; 8]], limits: Bounds<4, 8>, product: &mut Product<4, 8>) {
    let mut sums = [[0; 8]; 4];
    for (rows, columns) in rows.iter().zip(columns) {
        for (sums, row) in sums.iter_mut().zip(rows) {
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum += i32::from(row[0]) * i32::from(column[0]) + i32::from(row[1]) * i32::from(column[1]);
            }
        }
    }
    product.sums = sums;
    product.wanted = std::array::from_fn(|row| {
        (0..8).fold(0, |wanted, column| {
            let (of_row, of_column) = limits.wanted(row, column, sums[row][column]);
            wanted | u32::from(of_row | of_column) << column
        })
    });
}

//! What a kernel of any instructions takes and gives.

use super::packed::{Pair, Quad};
use super::wanted::Wanted;

/// Sums of R rows and C columns.
pub(super) type ProductKernel<const R: usize, const C: usize> =
    unsafe fn(&[[Pair; R]], &[[Pair; C]], Bounds<R, C>, &mut Product<R, C>);

/// Which of the pairs of R rows and C columns may be wanted: of each row the bits of the columns. It is given an even
/// number of quads.
pub(super) type CoarseKernel<const R: usize, const C: usize> =
    unsafe fn(&[[Quad; R]], &[[Quad; C]], Bounds<R, C>) -> [u32; R];

/// Sums of whole numbers of few bits.
#[derive(Clone, Copy)]
pub(super) struct Coarse<const R: usize, const C: usize> {
    pub kernel: CoarseKernel<R, C>,
    /// What the numbers of columns are more, since the kernel takes them without a sign.
    pub shift: u8,
}

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

    /// Of each row the bits of the columns that are wanted.
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "an iterator is no part of the kernel without LTO, and spills the sums"
    )]
    pub fn bits(&self, sums: &[[i32; C]; R]) -> [u32; R] {
        let mut bits = [0; R];
        for row in 0..R {
            for column in 0..C {
                let (of_row, of_column) = self.wanted(row, column, sums[row][column]);
                bits[row] |= u32::from(of_row | of_column) << column;
            }
        }
        bits
    }
}

fn panel<const W: usize>(values: &[i32], first: usize) -> &[i32; W] {
    values[first..].first_chunk().expect("filled up to whole panels")
}

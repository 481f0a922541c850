//! Blocks of rows, packed, and their products panel by panel.
//!
//! Where the instructions allow, a panel is multiplied in 8 bits first. With one step for all rows,
//! `q = step * c + r`, with `c` of 8-bit whole numbers. So `<q_x, q_y>` is `step^2 <c_x, c_y>`, off by
//! at most `|r_x| |q_y| + |q_x| |r_y| + |r_x| |r_y|`, which is at most what a row's own slack and the
//! other's come to. Only a pair that may be wanted in spite of it is multiplied in 16 bits.

use super::kernel::{Bounds, Coarse, CoarseKernel, Product, ProductKernel};
use super::packed::{Packed, Rows};
use super::scale::Scale;
use super::wanted::Wanted;
use crate::core::kernels::dot_i16;

/// Blocks of columns that are kept packed for the next tiles: the more, the seldomer a block is packed, and the
/// more memory each thread holds.
pub(in crate::core::knn) const RUN: usize = 32;

/// Beyond so many dimensions, a sum of products in 8 bits could leave 32 bits.
const COARSE_DIM: usize = 1 << 15;

/// Multiplying a pair in 16 bits, alone, costs about as much as so many products of numbers within a panel in 8
/// bits. So 8 bits are left for a while where more than the share `dim / RECHECK` of the pairs pass, one in 20 at
/// 256 dimensions: these then take longer than the products in 8 bits. Only the time depends on it, and on the
/// next: not the graph.
const RECHECK: usize = 5000;

/// Blocks that are multiplied in 16 bits before 8 bits are tried again: limits come down as more is seen, so that
/// what did not pay at first does later. Where it never does, one block in 16 is tried in vain.
const PATIENCE: usize = 15;

/// Products of panels of R rows and C columns.
pub(in crate::core::knn) struct Tiles<const R: usize, const C: usize> {
    kernel: ProductKernel<R, C>,
    first: Option<Coarse<R, C>>,
    rows: Packed<R>,
    columns: [Packed<C>; RUN],
    /// The place of the next block of columns.
    next: usize,
    /// What may be wanted by sums in 8 bits.
    coarse: Wanted,
    /// Blocks left for which 8 bits are not tried, since too many pairs passed.
    patience: usize,
}

impl<const R: usize, const C: usize> Tiles<R, C> {
    pub(super) fn new(kernel: ProductKernel<R, C>, first: Option<Coarse<R, C>>) -> Self {
        Self {
            kernel,
            first,
            rows: Packed::default(),
            columns: std::array::from_fn(|_| Packed::default()),
            next: 0,
            coarse: Wanted::default(),
            patience: 0,
        }
    }

    pub(super) fn multiply(
        &mut self,
        scale: &Scale,
        rows: Rows,
        columns: Rows,
        wanted: &mut Wanted,
        found: impl FnMut(usize, usize, bool, bool, i32),
    ) {
        if !self.rows.holds(rows) {
            self.rows.hold(scale, rows);
        }
        let held = self.columns.iter().position(|packed| packed.holds(columns));
        let held = held.unwrap_or_else(|| {
            let at = self.next;
            self.columns[at].hold(scale, columns);
            self.next = (at + 1) % RUN;
            at
        });
        wanted.fill_up::<R, C>();
        let (rows, columns) = (&mut self.rows, &mut self.columns[held]);
        match self.first.filter(|_| rows.dim <= COARSE_DIM && !wanted.any()) {
            Some(Coarse { kernel, shift }) if self.patience == 0 => {
                rows.make_quads(scale, 0);
                columns.make_quads(scale, shift);
                self.coarse.loosen(wanted, scale, shift, rows, columns);
                let passed = multiply_coarse(kernel, rows, columns, &self.coarse, wanted, found);
                if passed * RECHECK > rows.len * columns.len * rows.dim {
                    self.patience = PATIENCE;
                }
            }
            _ => {
                self.patience = self.patience.saturating_sub(1);
                rows.make_pairs();
                columns.make_pairs();
                multiply(self.kernel, rows, columns, wanted, found);
            }
        }
    }
}

impl Wanted {
    /// What may be wanted by sums in 8 bits, where those of `wanted` are sums in 16 bits. The
    /// numbers of columns are `shift` more, which adds so many times a row's sum to its sums.
    fn loosen<const R: usize, const C: usize>(
        &mut self,
        wanted: &Self,
        scale: &Scale,
        shift: u8,
        rows: &Packed<R>,
        columns: &Packed<C>,
    ) {
        let square = f64::from(scale.first.step).powi(2);
        // One less, for what this arithmetic itself may be off.
        let loose = |sum: i32, slack: f64| ((f64::from(sum) - slack) / square).floor() as i32 - 1;
        let of_row = |((&sum, &slack), own): ((&i32, &f64), &i32)| loose(sum, slack) + i32::from(shift) * own;
        let of_column = |(&sum, &slack): (&i32, &f64)| loose(sum, slack);
        let with_rows = |sums| std::iter::zip(sums, &rows.slacks).zip(&rows.sums).map(of_row);
        let with_columns = |sums| std::iter::zip(sums, &columns.slacks).map(of_column);
        self.by_rows(with_rows(&wanted.rows), with_rows(&wanted.row_offsets));
        self.by_columns(with_columns(&wanted.columns), with_columns(&wanted.column_offsets));
        self.fill_up::<R, C>();
    }
}

/// Multiply in 16 bits.
fn multiply<const R: usize, const C: usize>(
    kernel: ProductKernel<R, C>,
    rows: &Packed<R>,
    columns: &Packed<C>,
    wanted: &Wanted,
    mut found: impl FnMut(usize, usize, bool, bool, i32),
) {
    let mut product = Product { sums: [[0; C]; R], wanted: [0; R] };
    // A panel of columns stays in the first-level cache while the rows pass by.
    for (at, column_panel) in panels(&columns.pairs, columns.len).enumerate() {
        let first_column = at * C;
        for (at, row_panel) in panels(&rows.pairs, rows.len).enumerate() {
            let first_row = at * R;
            let limits = Bounds::of(wanted, first_row, first_column);
            // SAFETY: a `Multiplier` is made for instructions that the processor has.
            unsafe { kernel(row_panel, column_panel, limits, &mut product) };
            each_bit(&product.wanted, rows.len - first_row, columns.len - first_column, |row, column| {
                let sum = product.sums[row][column];
                let (of_row, of_column) = limits.wanted(row, column, sum);
                found(first_row + row, first_column + column, of_row, of_column, sum);
            });
        }
    }
}

/// Multiply in 8 bits, and what passes in 16 bits; returns how many pairs passed.
fn multiply_coarse<const R: usize, const C: usize>(
    kernel: CoarseKernel<R, C>,
    rows: &Packed<R>,
    columns: &Packed<C>,
    coarse: &Wanted,
    wanted: &Wanted,
    mut found: impl FnMut(usize, usize, bool, bool, i32),
) -> usize {
    let mut passed = 0;
    for (at, column_panel) in panels(&columns.quads, columns.len).enumerate() {
        let first_column = at * C;
        for (at, row_panel) in panels(&rows.quads, rows.len).enumerate() {
            let first_row = at * R;
            // SAFETY: a `Multiplier` is made for instructions that the processor has.
            let bits = unsafe { kernel(row_panel, column_panel, Bounds::of(coarse, first_row, first_column)) };
            let limits = Bounds::<R, C>::of(wanted, first_row, first_column);
            each_bit(&bits, rows.len - first_row, columns.len - first_column, |row, column| {
                passed += 1;
                let sum = dot_i16(rows.whole(first_row + row), columns.whole(first_column + column));
                let (of_row, of_column) = limits.wanted(row, column, sum);
                if of_row | of_column {
                    found(first_row + row, first_column + column, of_row, of_column, sum);
                }
            });
        }
    }
    passed
}

/// The panels of a block of so many rows.
fn panels<T, const W: usize>(panels: &[[T; W]], len: usize) -> impl Iterator<Item = &[[T; W]]> {
    panels.chunks_exact(panels.len() / len.div_ceil(W))
}

/// The bits of a product, of those rows and columns that are there.
#[inline(always)]
fn each_bit<const R: usize>(bits: &[u32; R], rows: usize, columns: usize, mut action: impl FnMut(usize, usize)) {
    let columns_here = u32::MAX >> 32usize.saturating_sub(columns);
    for (row, bits) in bits.iter().enumerate().take(rows) {
        let mut bits = bits & columns_here;
        while bits != 0 {
            action(row, bits.trailing_zeros() as usize);
            bits &= bits - 1;
        }
    }
}

//! Blocks of rows, packed, and their products panel by panel.
//!
//! Where the instructions allow, a panel is multiplied in 8 bits first. With one step for all rows,
//! `q = step * c + r`, with `c` of 8-bit whole numbers. So `<q_x, q_y>` is `step^2 <c_x, c_y>`, off by
//! at most `|r_x| |q_y| + |q_x| |r_y| + |r_x| |r_y|`, which is at most what a row's own slack and the
//! other's come to. Only a pair that may be wanted in spite of it is multiplied in 16 bits.

use super::{LENGTH, Rows, Scale, Wanted};
use crate::core::kernels::{coarsen, dot_i16};

/// Blocks of columns that are kept packed for the next tiles.
pub(in crate::core::knn) const RUN: usize = 32;

/// Rows that are asked for ahead while a block is packed.
const AHEAD: usize = 4;

/// Rows are filled up with zeros to a multiple of this many dimensions.
const WIDTH: usize = 32;

/// Beyond so many dimensions, a sum of products in 8 bits could leave 32 bits.
const COARSE_DIM: usize = 1 << 15;

/// Multiplying a pair in 16 bits costs about as much as so many products of a panel in 8 bits.
const RECHECK: usize = 5000;

/// Blocks that are multiplied in 16 bits before 8 bits are tried again.
const PATIENCE: usize = 15;

/// Two neighboring dimensions of a row.
pub(super) type Pair = [i16; 2];

/// Four neighboring dimensions of a row. Those of columns are 128 more, and not signed.
pub(super) type Quad = [i8; 4];

/// Sums of R rows and C columns.
type Kernel<const R: usize, const C: usize> = unsafe fn(&[[Pair; R]], &[[Pair; C]], Limits<R, C>, &mut Product<R, C>);

/// Which of the pairs of R rows and C columns may be wanted: of each row the bits of the columns.
type CoarseKernel<const R: usize, const C: usize> = unsafe fn(&[[Quad; R]], &[[Quad; C]], Limits<R, C>) -> [u32; R];

/// What a [`Kernel`] gives.
pub(super) struct Product<const R: usize, const C: usize> {
    pub sums: [[i32; C]; R],
    /// Bit j of row i: the pair of row i and column j is wanted.
    pub wanted: [u32; R],
}

/// [`Wanted`] of one product of panels.
#[derive(Clone, Copy)]
pub(super) struct Limits<'a, const R: usize, const C: usize> {
    pub rows: &'a [i32; R],
    pub column_offsets: &'a [i32; C],
    pub columns: &'a [i32; C],
    pub row_offsets: &'a [i32; R],
}

impl<'a, const R: usize, const C: usize> Limits<'a, R, C> {
    fn of(wanted: &'a Wanted, first_row: usize, first_column: usize) -> Self {
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

/// Products of panels of R rows and C columns.
pub(in crate::core::knn) struct Tiles<const R: usize, const C: usize> {
    kernel: Kernel<R, C>,
    coarse_kernel: Option<CoarseKernel<R, C>>,
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
    pub(super) fn new(kernel: Kernel<R, C>, coarse_kernel: Option<CoarseKernel<R, C>>) -> Self {
        Self {
            kernel,
            coarse_kernel,
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
        match self.coarse_kernel.filter(|_| rows.dim <= COARSE_DIM && !wanted.any()) {
            Some(kernel) if self.patience == 0 => {
                rows.make_quads(scale, 0);
                columns.make_quads(scale, i8::MIN);
                self.coarse.loosen(wanted, scale, rows, columns);
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

/// Multiply in 16 bits.
fn multiply<const R: usize, const C: usize>(
    kernel: Kernel<R, C>,
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
            let limits = Limits::of(wanted, first_row, first_column);
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
            let bits = unsafe { kernel(row_panel, column_panel, Limits::of(coarse, first_row, first_column)) };
            let limits = Limits::<R, C>::of(wanted, first_row, first_column);
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

/// A block of rows, with what was made of it.
#[derive(Default)]
pub(super) struct Packed<const W: usize> {
    /// Address and length of the row numbers, which outlive the [`super::Multiplier`].
    source: (usize, usize),
    len: usize,
    dim: usize,
    /// The rows in 16 bits, each of a multiple of [`WIDTH`] dimensions.
    whole: Vec<i16>,
    /// In panels of W rows: the first dimensions of all of them, then the next, and so on. What a panel lacks is 0.
    pairs: Vec<[Pair; W]>,
    quads: Vec<[Quad; W]>,
    /// Of each row, how far a sum in 8 bits may be off because of it, and 128 times the sum of its numbers in 8 bits.
    pub slacks: Vec<f64>,
    pub sums: Vec<i32>,
}

impl<const W: usize> Packed<W> {
    fn holds(&self, (_, rows): Rows) -> bool {
        self.source == (rows.as_ptr().addr(), rows.len())
    }

    fn hold(&mut self, scale: &Scale, (points, rows): Rows) {
        self.source = (rows.as_ptr().addr(), rows.len());
        (self.len, self.dim) = (rows.len(), points.dim());
        self.whole.clear();
        self.pairs.clear();
        self.quads.clear();
        for (at, &row) in rows.iter().enumerate() {
            if let Some(&later) = rows.get(at + AHEAD) {
                points.row(later as usize).prefetch();
            }
            points.row(row as usize).quantize(1.0 / scale.scale, &mut self.whole);
            self.whole.resize((at + 1) * self.width(), 0);
        }
    }

    fn width(&self) -> usize {
        self.dim.next_multiple_of(WIDTH)
    }

    fn whole(&self, row: usize) -> &[i16] {
        let width = self.width();
        &self.whole[row * width..(row + 1) * width]
    }

    fn make_pairs(&mut self) {
        if !self.pairs.is_empty() {
            return;
        }
        let (width, used) = (self.width(), self.dim.div_ceil(2));
        self.pairs.resize(self.len.div_ceil(W) * used, [[0; 2]; W]);
        for (at, row) in self.whole.chunks_exact(width).enumerate() {
            put(&mut self.pairs[at / W * used..][..used], at % W, row);
        }
    }

    /// Round to 8 bits, and add `shift` to each number.
    fn make_quads(&mut self, scale: &Scale, shift: i8) {
        if !self.quads.is_empty() {
            return;
        }
        let (width, used) = (self.width(), self.dim.div_ceil(4));
        self.quads.resize(self.len.div_ceil(W) * used, [[0; 4]; W]);
        self.slacks.clear();
        self.sums.clear();
        let mut coarse = vec![0; width];
        for (at, row) in self.whole.chunks_exact(width).enumerate() {
            let (sum, residual) = coarsen(row, scale.step, &mut coarse);
            // |q| is at most LENGTH, and |r_x| |r_y| at most half of |r_x|^2 + |r_y|^2.
            self.slacks.push(residual.sqrt() * LENGTH + residual / 2.0);
            self.sums.push(128 * sum);
            coarse.iter_mut().for_each(|number| *number = number.wrapping_add(shift));
            put(&mut self.quads[at / W * used..][..used], at % W, &coarse);
        }
    }
}

/// Put a row in its place of a panel.
fn put<T: Copy, const G: usize, const W: usize>(panel: &mut [[[T; G]; W]], place: usize, row: &[T]) {
    for (places, &group) in panel.iter_mut().zip(row.as_chunks().0) {
        places[place] = group;
    }
}

pub(super) fn portable(rows: &[[Pair; 4]], columns: &[[Pair; 8]], limits: Limits<4, 8>, product: &mut Product<4, 8>) {
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

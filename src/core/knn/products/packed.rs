//! A block of rows, packed in panels.

use super::super::points::Points;
use super::scale::{LENGTH, Scale};
use crate::core::kernels::coarsen;

/// Rows that are asked for ahead while a block is packed.
const AHEAD: usize = 4;

/// Rows are filled up with zeros to a multiple of this many dimensions.
const WIDTH: usize = 32;

/// Bytes that a row takes: in 16 bits as it is and in pairs, and in 8 bits.
pub(super) fn row_bytes(dim: usize) -> usize {
    5 * dim.next_multiple_of(WIDTH)
}

/// Two neighboring dimensions of a row.
pub(super) type Pair = [i16; 2];

/// Four neighboring dimensions of a row. Those of columns may be more, and not signed, see [`Coarse`](super::kernel::Coarse).
pub(super) type Quad = [i8; 4];

/// Points, and the numbers of those that a block holds.
pub(super) type Rows<'a> = (&'a Points, &'a [u32]);

/// A block of rows, with what was made of it.
#[derive(Default)]
pub(super) struct Packed<const W: usize> {
    /// Address and length of the row numbers, which outlive the [`Multiplier`](super::multiplier::Multiplier).
    source: (usize, usize),
    pub len: usize,
    pub dim: usize,
    /// The rows in 16 bits, each of a multiple of [`WIDTH`] dimensions.
    whole: Vec<i16>,
    /// Of one row, on their way to whole numbers.
    features: Vec<f64>,
    /// In panels of W rows: the first dimensions of all of them, then the next, and so on. What a panel lacks is 0.
    pub pairs: Vec<[Pair; W]>,
    pub quads: Vec<[Quad; W]>,
    /// Of each row, how far a sum in 8 bits may be off because of it, and the sum of its numbers in 8 bits.
    pub slacks: Vec<f64>,
    pub sums: Vec<i32>,
}

impl<const W: usize> Packed<W> {
    pub fn holds(&self, (_, rows): Rows) -> bool {
        self.source == (rows.as_ptr().addr(), rows.len())
    }

    pub fn hold(&mut self, scale: &Scale, (points, rows): Rows) {
        self.source = (rows.as_ptr().addr(), rows.len());
        (self.len, self.dim) = (rows.len(), points.dim());
        self.whole.clear();
        self.pairs.clear();
        self.quads.clear();
        for (at, &row) in rows.iter().enumerate() {
            if let Some(&later) = rows.get(at + AHEAD) {
                points.row(later as usize).prefetch();
            }
            scale.quantize(points.row(row as usize), &mut self.features, &mut self.whole);
            self.whole.resize((at + 1) * self.width(), 0);
        }
    }

    fn width(&self) -> usize {
        self.dim.next_multiple_of(WIDTH)
    }

    pub fn whole(&self, row: usize) -> &[i16] {
        let width = self.width();
        &self.whole[row * width..(row + 1) * width]
    }

    pub fn make_pairs(&mut self) {
        if !self.pairs.is_empty() {
            return;
        }
        let (width, used) = (self.width(), self.dim.div_ceil(2));
        self.pairs.resize(self.len.div_ceil(W) * used, [[0; 2]; W]);
        for (at, row) in self.whole.chunks_exact(width).enumerate() {
            put(&mut self.pairs[at / W * used..][..used], at % W, row);
        }
    }

    /// Round to 8 bits or fewer, and add `shift` to each number.
    pub fn make_quads(&mut self, scale: &Scale, shift: u8) {
        if !self.quads.is_empty() {
            return;
        }
        // An even number of quads.
        let (width, used) = (self.width(), 2 * self.dim.div_ceil(8));
        self.quads.resize(self.len.div_ceil(W) * used, [[0; 4]; W]);
        self.slacks.clear();
        self.sums.clear();
        let mut coarse = vec![0; width];
        for (at, row) in self.whole.chunks_exact(width).enumerate() {
            let (sum, residual) = coarsen(row, scale.first.step, scale.first.most, &mut coarse);
            // |q| is at most LENGTH, and |r_x| |r_y| at most half of |r_x|^2 + |r_y|^2.
            self.slacks.push(residual.sqrt() * LENGTH + residual / 2.0);
            self.sums.push(sum);
            coarse.iter_mut().for_each(|number| *number = number.wrapping_add(shift as i8));
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

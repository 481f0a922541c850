//! Inner products of two blocks of rows in whole numbers, precise enough to tell which pairs can be
//! neighbors, and several times as fast as single precision.
//!
//! With one scale for all rows, `x = scale * q + r` with `q` of 16-bit whole numbers and `r` what
//! rounding leaves. So `<x, y>` is `scale^2 <q_x, q_y>`, off by at most `|r_x| |y| + |x| |r_y| +
//! |r_x| |r_y|` (Cauchy-Schwarz), and the sum of whole numbers has no error of its own.

use super::{Metric, Points, Search};

/// No row of whole numbers is longer, so that every sum of products is within 2^30.
const LENGTH: f64 = 32_700.0;

/// A limit on a sum that is below every sum, whatever the offset.
pub(super) const ANY: i32 = -1_600_000_000;

/// A limit on a sum that is above every sum.
pub(super) const NONE: i32 = 1 << 30;

/// From a row's values to whole numbers, and from sums of their products to distances.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    metric: Metric,
    scale: f64,
    /// The greatest length of a row.
    longest: f64,
    /// `|r|` of a row, at most.
    error: f64,
}

impl Scale {
    /// The scale for both relations of a search.
    pub fn new(search: &Search) -> Self {
        let (base, longest) = (search.base, search.longest());
        // Rounding makes q longer by at most half a unit in each dimension.
        let rounding = (base.dim() as f64).sqrt() / 2.0;
        let scale = (longest / (LENGTH - rounding)).max(1e-30);
        // The factor of a row and its product with a value are rounded to single precision besides.
        let error = scale * rounding * (1.0 + 1e-6) + longest * 2e-7;
        Self { metric: base.metric(), scale, longest, error }
    }

    /// How far a distance can be from the exact one, for a row of this squared length.
    pub fn margin(&self, squared_length: f64) -> f32 {
        // What a few operations in single precision can be off.
        const ROUNDING: f64 = 8.0 * f32::EPSILON as f64 / 2.0;
        let length = squared_length.sqrt();
        let product = self.error * (length + self.longest + self.error);
        let margin = match self.metric {
            Metric::Cosine | Metric::Ip => product + ROUNDING * (1.0 + length * self.longest),
            Metric::L2sq => 2.0 * product + ROUNDING * (length + self.longest).powi(2),
        };
        (margin + f64::from(f32::MIN_POSITIVE)) as f32
    }

    /// The sum from which on a pair is within `distance` of a row, less the other's [`Self::offset`].
    pub fn limit(&self, distance: f32, squared_length: f64) -> i32 {
        if distance == f32::INFINITY {
            return ANY;
        }
        let distance = f64::from(distance);
        match self.metric {
            Metric::Cosine | Metric::Ip => self.sum(1.0 - distance),
            Metric::L2sq => self.sum((squared_length - distance) / 2.0),
        }
    }

    /// What a row's squared length adds to the limit of another.
    pub fn offset(&self, squared_length: f64) -> i32 {
        match self.metric {
            Metric::Cosine | Metric::Ip => 0,
            Metric::L2sq => self.sum(squared_length / 2.0),
        }
    }

    /// The distance of a pair, from the sum of its products and that of its squared lengths.
    pub fn distance(&self, sum: i32, squared_lengths: f64) -> f32 {
        let product = f64::from(sum) * self.scale * self.scale;
        match self.metric {
            Metric::Cosine | Metric::Ip => (1.0 - product) as f32,
            Metric::L2sq => (squared_lengths - 2.0 * product) as f32,
        }
    }

    /// The sum of an inner product, rounded down, at most [`NONE`].
    fn sum(&self, product: f64) -> i32 {
        (product / (self.scale * self.scale)).floor().clamp(f64::from(ANY), f64::from(NONE)) as i32
    }
}

/// Instructions that multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instructions {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Instructions {
    /// What this processor has, the fastest last.
    pub fn available() -> Vec<Self> {
        let mut available = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                available.push(Self::Avx2);
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
                available.push(Self::Avx512Vnni);
            }
        }
        available
    }

    /// The fastest that this processor has.
    pub fn fastest() -> Self {
        *Self::available().last().expect("the portable ones at least")
    }
}

/// Blocks of columns that are kept packed for the next tiles.
pub(super) const RUN: usize = 32;

/// Rows that are asked for ahead while a block is packed.
const AHEAD: usize = 4;

/// Two neighboring dimensions of a row.
type Pair = [i16; 2];

/// A pair of row i and column j is wanted where the sum is at least `rows[i] + column_offsets[j]`,
/// or at least `columns[j] + row_offsets[i]`.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    rows: Vec<i32>,
    column_offsets: Vec<i32>,
    columns: Vec<i32>,
    row_offsets: Vec<i32>,
}

impl Wanted {
    /// Set what the rows want, and their offsets.
    pub fn by_rows(&mut self, limits: impl Iterator<Item = i32>, offsets: impl Iterator<Item = i32>) {
        self.rows.clear();
        self.rows.extend(limits);
        self.row_offsets.clear();
        self.row_offsets.extend(offsets);
    }

    /// Set what the columns want, and their offsets.
    pub fn by_columns(&mut self, limits: impl Iterator<Item = i32>, offsets: impl Iterator<Item = i32>) {
        self.columns.clear();
        self.columns.extend(limits);
        self.column_offsets.clear();
        self.column_offsets.extend(offsets);
    }
}

/// Sums of R rows and C columns.
type Kernel<const R: usize, const C: usize> = unsafe fn(&[[Pair; R]], &[[Pair; C]], Limits<R, C>, &mut Product<R, C>);

/// What a [`Kernel`] gives.
struct Product<const R: usize, const C: usize> {
    sums: [[i32; C]; R],
    /// Bit j of row i: the pair of row i and column j is wanted.
    wanted: [u32; R],
}

/// [`Wanted`] of one product of panels.
#[derive(Clone, Copy)]
struct Limits<'a, const R: usize, const C: usize> {
    rows: &'a [i32; R],
    column_offsets: &'a [i32; C],
    columns: &'a [i32; C],
    row_offsets: &'a [i32; R],
}

impl<const R: usize, const C: usize> Limits<'_, R, C> {
    /// Whether the row wants the pair, and whether the column does.
    #[inline(always)]
    fn wanted(&self, row: usize, column: usize, sum: i32) -> (bool, bool) {
        let of_row = sum >= self.rows[row] + self.column_offsets[column];
        (of_row, sum >= self.columns[column] + self.row_offsets[row])
    }
}

/// Points, and the numbers of those that a block holds.
pub(super) type Rows<'a> = (&'a Points, &'a [u32]);

/// Multiplies blocks of rows, and keeps the memory that this takes.
pub(super) enum Multiplier {
    Portable(Tiles<4, 8>),
    #[cfg(target_arch = "x86_64")]
    Avx2(Tiles<6, 16>),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Tiles<12, 32>),
}

impl Multiplier {
    pub fn new(instructions: Instructions) -> Self {
        match instructions {
            Instructions::Portable => Self::Portable(Tiles::new(portable)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => Self::Avx2(Tiles::new(x86::avx2)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni => Self::Avx512Vnni(Tiles::new(x86::avx512_vnni)),
        }
    }

    /// Forget the packed blocks: the next rows may be others in the same place.
    pub fn forget(&mut self) {
        match self {
            Self::Portable(tiles) => tiles.forget(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(tiles) => tiles.forget(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(tiles) => tiles.forget(),
        }
    }

    /// Give `found` each wanted pair: the places of its row and column in their blocks, whether
    /// the row and whether the column wants it, and the sum.
    pub fn multiply(
        &mut self,
        scale: &Scale,
        rows: Rows,
        columns: Rows,
        wanted: &mut Wanted,
        found: impl FnMut(usize, usize, bool, bool, i32),
    ) {
        match self {
            Self::Portable(tiles) => tiles.multiply(scale, rows, columns, wanted, found),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(tiles) => tiles.multiply(scale, rows, columns, wanted, found),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(tiles) => tiles.multiply(scale, rows, columns, wanted, found),
        }
    }
}

/// Products of panels of R rows and C columns.
pub(super) struct Tiles<const R: usize, const C: usize> {
    kernel: Kernel<R, C>,
    rows: Packed<R>,
    columns: [Packed<C>; RUN],
    /// The place of the next block of columns.
    next: usize,
    whole: Vec<i16>,
}

impl<const R: usize, const C: usize> Tiles<R, C> {
    fn new(kernel: Kernel<R, C>) -> Self {
        Self {
            kernel,
            rows: Packed::default(),
            columns: std::array::from_fn(|_| Packed::default()),
            next: 0,
            whole: Vec::new(),
        }
    }

    fn forget(&mut self) {
        self.rows.source = (0, 0);
        self.columns.iter_mut().for_each(|packed| packed.source = (0, 0));
        self.next = 0;
    }

    fn multiply(
        &mut self,
        scale: &Scale,
        rows: Rows,
        columns: Rows,
        wanted: &mut Wanted,
        mut found: impl FnMut(usize, usize, bool, bool, i32),
    ) {
        if !self.rows.holds(rows) {
            self.rows.hold(scale, rows, &mut self.whole);
        }
        let held = self.columns.iter().position(|packed| packed.holds(columns));
        let held = held.unwrap_or_else(|| {
            let at = self.next;
            self.columns[at].hold(scale, columns, &mut self.whole);
            self.next = (at + 1) % RUN;
            at
        });
        wanted.rows.resize(rows.1.len().next_multiple_of(R), NONE);
        wanted.row_offsets.resize(rows.1.len().next_multiple_of(R), 0);
        wanted.columns.resize(columns.1.len().next_multiple_of(C), NONE);
        wanted.column_offsets.resize(columns.1.len().next_multiple_of(C), 0);

        let pairs = rows.0.dim().div_ceil(2);
        let mut product = Product { sums: [[0; C]; R], wanted: [0; R] };
        // A panel of columns stays in the first-level cache while the rows pass by.
        for (at, column_panel) in self.columns[held].panels.chunks_exact(pairs).enumerate() {
            let first_column = at * C;
            // Bits of the columns that are there.
            let columns_here = u32::MAX >> (32 - C.min(columns.1.len() - first_column));
            for (at, row_panel) in self.rows.panels.chunks_exact(pairs).enumerate() {
                let first_row = at * R;
                let limits = Limits {
                    rows: panel(&wanted.rows, first_row),
                    row_offsets: panel(&wanted.row_offsets, first_row),
                    columns: panel(&wanted.columns, first_column),
                    column_offsets: panel(&wanted.column_offsets, first_column),
                };
                // SAFETY: a `Multiplier` is made for instructions that the processor has.
                unsafe { (self.kernel)(row_panel, column_panel, limits, &mut product) };
                for row in 0..R.min(rows.1.len() - first_row) {
                    let mut bits = product.wanted[row] & columns_here;
                    while bits != 0 {
                        let column = bits.trailing_zeros() as usize;
                        bits &= bits - 1;
                        let sum = product.sums[row][column];
                        let (of_row, of_column) = limits.wanted(row, column, sum);
                        found(first_row + row, first_column + column, of_row, of_column, sum);
                    }
                }
            }
        }
    }
}

fn panel<const W: usize>(values: &[i32], first: usize) -> &[i32; W] {
    values[first..].first_chunk().expect("filled up to whole panels")
}

/// Rows in panels of W: the first pair of dimensions of all of them, then the second, and so on;
/// what a panel lacks is 0.
#[derive(Default)]
struct Packed<const W: usize> {
    /// Address and length of the row numbers, which outlive the [`Multiplier`].
    source: (usize, usize),
    panels: Vec<[Pair; W]>,
}

impl<const W: usize> Packed<W> {
    fn holds(&self, (_, rows): Rows) -> bool {
        self.source == (rows.as_ptr().addr(), rows.len())
    }

    fn hold(&mut self, scale: &Scale, (points, rows): Rows, whole: &mut Vec<i16>) {
        self.source = (rows.as_ptr().addr(), rows.len());
        let pairs = points.dim().div_ceil(2);
        self.panels.clear();
        self.panels.resize(rows.len().div_ceil(W) * pairs, [[0; 2]; W]);
        for (at, &row) in rows.iter().enumerate() {
            if let Some(&later) = rows.get(at + AHEAD) {
                points.row(later as usize).prefetch();
            }
            points.row(row as usize).quantize(1.0 / scale.scale, whole);
            whole.resize(2 * pairs, 0);
            let panel = &mut self.panels[at / W * pairs..][..pairs];
            for (place, &pair) in panel.iter_mut().zip(whole.as_chunks().0) {
                place[at % W] = pair;
            }
        }
    }
}

fn portable(rows: &[[Pair; 4]], columns: &[[Pair; 8]], limits: Limits<4, 8>, product: &mut Product<4, 8>) {
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::mem::{transmute, transmute_copy};

    use super::{Limits, Pair, Product};

    #[target_feature(enable = "avx2")]
    pub fn avx2(rows: &[[Pair; 6]], columns: &[[Pair; 16]], limits: Limits<6, 16>, product: &mut Product<6, 16>) {
        let mut sums = [[_mm256_setzero_si256(); 2]; 6];
        for (rows, columns) in rows.iter().zip(columns) {
            let columns = vectors_of_8(columns);
            for (sums, &pair) in sums.iter_mut().zip(rows) {
                // SAFETY: two 16-bit numbers are 32 bits.
                let row = _mm256_set1_epi32(unsafe { transmute::<Pair, i32>(pair) });
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(row, column));
                }
            }
        }
        let (columns, offsets) = (vectors_of_8(limits.columns), vectors_of_8(limits.column_offsets));
        for (row, sums) in sums.iter().enumerate() {
            let (limit, offset) = (_mm256_set1_epi32(limits.rows[row]), _mm256_set1_epi32(limits.row_offsets[row]));
            let wanted: [u32; 2] = std::array::from_fn(|at| {
                let of_row_not = _mm256_cmpgt_epi32(_mm256_add_epi32(limit, offsets[at]), sums[at]);
                let of_column_not = _mm256_cmpgt_epi32(_mm256_add_epi32(columns[at], offset), sums[at]);
                let neither = _mm256_and_si256(of_row_not, of_column_not);
                !_mm256_movemask_ps(_mm256_castsi256_ps(neither)) as u32 & 0xff
            });
            product.wanted[row] = wanted[0] | wanted[1] << 8;
        }
        // SAFETY: a vector is 8 numbers of 32 bits.
        product.sums = unsafe { transmute::<[[__m256i; 2]; 6], [[i32; 16]; 6]>(sums) };
    }

    /// 16 values of 32 bits as two vectors.
    #[target_feature(enable = "avx2")]
    fn vectors_of_8<T>(values: &[T; 16]) -> [__m256i; 2] {
        const { assert!(size_of::<T>() == 4) }
        // SAFETY: both are 64 bytes.
        unsafe { transmute_copy(values) }
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    pub fn avx512_vnni(
        rows: &[[Pair; 12]],
        columns: &[[Pair; 32]],
        limits: Limits<12, 32>,
        product: &mut Product<12, 32>,
    ) {
        let mut sums = [[_mm512_setzero_si512(); 2]; 12];
        for (rows, columns) in rows.iter().zip(columns) {
            let columns = vectors_of_16(columns);
            for (sums, &pair) in sums.iter_mut().zip(rows) {
                // SAFETY: two 16-bit numbers are 32 bits.
                let row = _mm512_set1_epi32(unsafe { transmute::<Pair, i32>(pair) });
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = _mm512_dpwssd_epi32(*sum, row, column);
                }
            }
        }
        let (columns, offsets) = (vectors_of_16(limits.columns), vectors_of_16(limits.column_offsets));
        for (row, sums) in sums.iter().enumerate() {
            let (limit, offset) = (_mm512_set1_epi32(limits.rows[row]), _mm512_set1_epi32(limits.row_offsets[row]));
            let wanted: [u16; 2] = std::array::from_fn(|at| {
                _mm512_cmpge_epi32_mask(sums[at], _mm512_add_epi32(limit, offsets[at]))
                    | _mm512_cmpge_epi32_mask(sums[at], _mm512_add_epi32(columns[at], offset))
            });
            product.wanted[row] = u32::from(wanted[0]) | u32::from(wanted[1]) << 16;
        }
        // SAFETY: a vector is 16 numbers of 32 bits.
        product.sums = unsafe { transmute::<[[__m512i; 2]; 12], [[i32; 32]; 12]>(sums) };
    }

    /// 32 values of 32 bits as two vectors.
    #[target_feature(enable = "avx512f")]
    fn vectors_of_16<T>(values: &[T; 32]) -> [__m512i; 2] {
        const { assert!(size_of::<T>() == 4) }
        // SAFETY: both are 128 bytes.
        unsafe { transmute_copy(values) }
    }
}

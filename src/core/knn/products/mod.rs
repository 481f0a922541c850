//! Inner products of two blocks of rows in whole numbers, precise enough to tell which pairs can be
//! neighbors, and several times as fast as single precision.
//!
//! With one scale for all rows, `x = scale * q + r` with `q` of 16-bit whole numbers and `r` what
//! rounding leaves. So `<x, y>` is `scale^2 <q_x, q_y>`, off by at most `|r_x| |y| + |x| |r_y| +
//! |r_x| |r_y|` (Cauchy-Schwarz), and the sum of whole numbers has no error of its own. The [`tiles`]
//! go by 8-bit whole numbers first, in the same way.

mod codes;
mod tiles;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::{Metric, Points, Search};
use crate::core::kernels::coarsen;
pub(super) use codes::{Codes, Hit, Panel};
pub(super) use tiles::RUN;
use tiles::{Packed, Tiles};

/// No row of whole numbers is longer, so that every sum of products is within 2^30.
const LENGTH: f64 = 32_700.0;

/// Rows by which the step to 8 bits is chosen.
const SAMPLE: usize = 200;

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
    /// From whole numbers of 16 bits to those of 8 bits.
    step: i16,
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
        Self { metric: base.metric(), scale, longest, error, step: step(base, scale) }
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

/// The step from 16 bits to 8 bits that leaves least, judged by some of the rows: numbers beyond 127
/// steps are cut, so that a few large ones need not make all others coarse.
fn step(points: &Points, scale: f64) -> i16 {
    let mut sample = Vec::new();
    let every = points.len().div_ceil(SAMPLE).max(1);
    (0..points.len()).step_by(every).for_each(|row| points.row(row).quantize(1.0 / scale, &mut sample));
    let mut coarse = vec![0; sample.len()];
    let mut left = |step: i16| coarsen(&sample, step, &mut coarse).1;
    // The whole range of 16 bits takes a step of 258.
    let steps = (2..=258).filter(|step: &i16| step.count_ones() <= 2);
    steps.min_by(|&a, &b| left(a).total_cmp(&left(b))).unwrap_or(2)
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

    /// Whether some row or column wants all pairs.
    fn any(&self) -> bool {
        self.rows.contains(&ANY) || self.columns.contains(&ANY)
    }

    /// Fill up to whole panels of R rows and C columns.
    fn fill_up<const R: usize, const C: usize>(&mut self) {
        for (limits, offsets, panel) in
            [(&mut self.rows, &mut self.row_offsets, R), (&mut self.columns, &mut self.column_offsets, C)]
        {
            let len = limits.len().next_multiple_of(panel);
            limits.resize(len, NONE);
            offsets.resize(len, 0);
        }
    }

    /// What may be wanted by sums in 8 bits, where those of `wanted` are sums in 16 bits. The
    /// numbers of columns are 128 more, which adds a row's sum to its sums.
    fn loosen<const R: usize, const C: usize>(
        &mut self,
        wanted: &Self,
        scale: &Scale,
        rows: &Packed<R>,
        columns: &Packed<C>,
    ) {
        let square = f64::from(scale.step).powi(2);
        // One less, for what this arithmetic itself may be off.
        let loose = |sum: i32, slack: f64| ((f64::from(sum) - slack) / square).floor() as i32 - 1;
        let of_row = |((&sum, &slack), own): ((&i32, &f64), &i32)| loose(sum, slack) + own;
        let of_column = |(&sum, &slack): (&i32, &f64)| loose(sum, slack);
        let with_rows = |sums| std::iter::zip(sums, &rows.slacks).zip(&rows.sums).map(of_row);
        let with_columns = |sums| std::iter::zip(sums, &columns.slacks).map(of_column);
        self.by_rows(with_rows(&wanted.rows), with_rows(&wanted.row_offsets));
        self.by_columns(with_columns(&wanted.columns), with_columns(&wanted.column_offsets));
        self.fill_up::<R, C>();
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
            Instructions::Portable => Self::Portable(Tiles::new(tiles::portable, None)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => Self::Avx2(Tiles::new(x86::avx2, None)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni => Self::Avx512Vnni(Tiles::new(x86::avx512_vnni, Some(x86::avx512_vnni_coarse))),
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

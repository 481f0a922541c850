//! Vectors of 512 bits: AVX-512 VNNI.

use std::arch::x86_64::*;
use std::mem::{transmute, transmute_copy};

use super::super::super::codes::{Hit, Lines, Panel};
use super::super::super::kernel::{Bounds, Product};
use super::super::super::packed::{Pair, Quad};
use crate::core::kernels::prefetch;

/// Columns that are asked for ahead of their products.
const AHEAD: usize = 12;

/// Of 12 rows and 32 columns.
type Sums = [[__m512i; 2]; 12];

#[target_feature(enable = "avx512f,avx512vnni")]
pub fn products(rows: &[[Pair; 12]], columns: &[[Pair; 32]], limits: Bounds<12, 32>, product: &mut Product<12, 32>) {
    let mut sums: Sums = [[_mm512_setzero_si512(); 2]; 12];
    for (rows, columns) in rows.iter().zip(columns) {
        let columns = vectors(columns);
        for row in 0..12 {
            let pair = broadcast(rows[row]);
            for half in 0..2 {
                sums[row][half] = _mm512_dpwssd_epi32(sums[row][half], pair, columns[half]);
            }
        }
    }
    product.wanted = wanted(&sums, limits);
    // SAFETY: a vector is 16 numbers of 32 bits.
    product.sums = unsafe { transmute::<Sums, [[i32; 32]; 12]>(sums) };
}

/// Sums in 8 bits; the numbers of columns have no sign.
#[target_feature(enable = "avx512f,avx512vnni")]
pub fn coarse(rows: &[[Quad; 12]], columns: &[[Quad; 32]], limits: Bounds<12, 32>) -> [u32; 12] {
    let mut sums: Sums = [[_mm512_setzero_si512(); 2]; 12];
    for (rows, columns) in rows.iter().zip(columns) {
        let columns = vectors(columns);
        for row in 0..12 {
            let quad = broadcast(rows[row]);
            for half in 0..2 {
                sums[row][half] = _mm512_dpbusd_epi32(sums[row][half], columns[half], quad);
            }
        }
    }
    wanted(&sums, limits)
}

/// Of each row the bits of the columns that are wanted.
#[inline]
#[target_feature(enable = "avx512f")]
fn wanted(sums: &Sums, limits: Bounds<12, 32>) -> [u32; 12] {
    let (columns, offsets) = (vectors(limits.columns), vectors(limits.column_offsets));
    let mut bits = [0; 12];
    for row in 0..12 {
        let (limit, offset) = (_mm512_set1_epi32(limits.rows[row]), _mm512_set1_epi32(limits.row_offsets[row]));
        for half in 0..2 {
            let of_row = _mm512_cmpge_epi32_mask(sums[row][half], _mm512_add_epi32(limit, offsets[half]));
            let of_column = _mm512_cmpge_epi32_mask(sums[row][half], _mm512_add_epi32(columns[half], offset));
            bits[row] |= u32::from(of_row | of_column) << (16 * half);
        }
    }
    bits
}

/// A value of 32 bits in every place.
#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast<T: Copy>(value: T) -> __m512i {
    const { assert!(size_of::<T>() == 4) }
    // SAFETY: both are 32 bits.
    _mm512_set1_epi32(unsafe { transmute_copy::<T, i32>(&value) })
}

/// 32 values of 32 bits as two vectors.
#[inline]
#[target_feature(enable = "avx512f")]
fn vectors<T>(values: &[T; 32]) -> [__m512i; 2] {
    const { assert!(size_of::<T>() == 4) }
    // SAFETY: both are 128 bytes.
    unsafe { transmute_copy(values) }
}

/// The hits of a panel and of points of `width` lines each, see [`Codes::hits`](super::codes::Codes::hits).
#[target_feature(enable = "avx512f,avx512vnni")]
pub fn hits(
    panel: &Panel,
    width: usize,
    lines: &Lines,
    offsets: &[i32],
    columns: &[u32],
    limits: &[i32],
    hits: &mut Vec<Hit>,
) {
    // A product takes one side without a sign: columns are 128 more, which adds 128 times a row's sum.
    let ones = _mm512_set1_epi8(1);
    let mut rows: [&Lines; 8] = [&[]; 8];
    let mut more = [0; 8];
    for row in 0..8 {
        rows[row] = &panel.lines[row * width..][..width];
        let mut sums = _mm512_setzero_si512();
        for line in rows[row] {
            sums = _mm512_dpbusd_epi32(sums, ones, vector(line));
        }
        more[row] = 128 * _mm512_reduce_add_epi32(sums);
    }
    let (more, row_limits) = (twice(more), twice(panel.limits));
    let row_offsets = twice(panel.offsets);
    let rows_here = 0x0101 * (0xff >> (8 - panel.rows)) as u16;
    let of_column = |column: u32| &lines[column as usize * width..][..width];
    for (at, pair) in columns.chunks(2).enumerate() {
        let ahead = columns[(2 * at + AHEAD).min(columns.len())..].iter().take(2);
        for &column in ahead {
            prefetch(of_column(column));
        }
        let (a, b) = (pair[0], pair[pair.len() - 1]);
        let mut sums = [[_mm512_setzero_si512(); 8]; 2];
        for (line, (a, b)) in of_column(a).iter().zip(of_column(b)).enumerate() {
            let flip = _mm512_set1_epi8(i8::MIN);
            let columns = [_mm512_xor_si512(vector(a), flip), _mm512_xor_si512(vector(b), flip)];
            for row in 0..8 {
                let row_line = vector(&rows[row][line]);
                for column in 0..2 {
                    sums[column][row] = _mm512_dpbusd_epi32(sums[column][row], columns[column], row_line);
                }
            }
        }
        let sums = _mm512_sub_epi32(totals(&sums), more);
        let [a_limit, b_limit] = [limits[2 * at], limits[2 * at + pair.len() - 1]];
        let column_offsets = halves(offsets[a as usize], offsets[b as usize]);
        let of_row = _mm512_cmpge_epi32_mask(_mm512_sub_epi32(sums, column_offsets), row_limits);
        let of_column = _mm512_cmpge_epi32_mask(_mm512_sub_epi32(sums, row_offsets), halves(a_limit, b_limit));
        let columns_here = if pair.len() == 2 { 0xffff } else { 0xff };
        let mut bits = (of_row | of_column) & rows_here & columns_here;
        if bits != 0 {
            // SAFETY: a vector is 16 numbers of 32 bits.
            let sums = unsafe { transmute::<__m512i, [i32; 16]>(sums) };
            while bits != 0 {
                let bit = bits.trailing_zeros();
                bits &= bits - 1;
                hits.push(Hit { row: bit % 8, column: 2 * at as u32 + bit / 8, sum: sums[bit as usize] });
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn vector(line: &[i8; 64]) -> __m512i {
    // SAFETY: a line is 64 bytes.
    unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
}

/// Eight numbers, and once more.
#[inline]
#[target_feature(enable = "avx512f")]
fn twice(numbers: [i32; 8]) -> __m512i {
    // SAFETY: 16 numbers of 32 bits are a vector.
    unsafe { transmute::<[[i32; 8]; 2], __m512i>([numbers; 2]) }
}

/// Eight times the one, eight times the other.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(a: i32, b: i32) -> __m512i {
    _mm512_mask_set1_epi32(_mm512_set1_epi32(a), 0xff00, b)
}

/// The sum of each of the 16 vectors.
#[inline]
#[target_feature(enable = "avx512f")]
fn totals(vectors: &[[__m512i; 8]; 2]) -> __m512i {
    let (a, b) = (quarters(&vectors[0], 0), quarters(&vectors[0], 4));
    let (c, d) = (quarters(&vectors[1], 0), quarters(&vectors[1], 4));
    let (ab, cd) = (both_halves(a, b), both_halves(c, d));
    let (low, high) = (_mm512_shuffle_i32x4::<0b10_00_10_00>(ab, cd), _mm512_shuffle_i32x4::<0b11_01_11_01>(ab, cd));
    _mm512_add_epi32(low, high)
}

/// In each quarter of a vector: what that quarter of four vectors comes to.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarters(of: &[__m512i; 8], first: usize) -> __m512i {
    let (a, b, c, d) = (of[first], of[first + 1], of[first + 2], of[first + 3]);
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd))
}

/// The sums of the quarters of the one, then of the other, each of two.
#[inline]
#[target_feature(enable = "avx512f")]
fn both_halves(a: __m512i, b: __m512i) -> __m512i {
    let (low, high) = (_mm512_shuffle_i32x4::<0b01_00_01_00>(a, b), _mm512_shuffle_i32x4::<0b11_10_11_10>(a, b));
    _mm512_add_epi32(low, high)
}

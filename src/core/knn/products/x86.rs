//! The kernels for processors of x86-64.

use std::arch::x86_64::*;
use std::mem::{transmute, transmute_copy};

use super::codes::{Hit, Lines, Panel};
use super::kernel::{Bounds, Product};
use super::packed::{Pair, Quad};
use crate::core::kernels::prefetch;

/// Columns that are asked for ahead of their products.
const AHEAD: usize = 12;

#[target_feature(enable = "avx2")]
pub fn avx2(rows: &[[Pair; 6]], columns: &[[Pair; 16]], limits: Bounds<6, 16>, product: &mut Product<6, 16>) {
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
pub fn avx512_vnni(rows: &[[Pair; 12]], columns: &[[Pair; 32]], limits: Bounds<12, 32>, product: &mut Product<12, 32>) {
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
    product.wanted = wanted(&sums, limits);
    // SAFETY: a vector is 16 numbers of 32 bits.
    product.sums = unsafe { transmute::<[[__m512i; 2]; 12], [[i32; 32]; 12]>(sums) };
}

/// Sums in 8 bits; the numbers of columns have no sign.
#[target_feature(enable = "avx512f,avx512vnni")]
pub fn avx512_vnni_coarse(rows: &[[Quad; 12]], columns: &[[Quad; 32]], limits: Bounds<12, 32>) -> [u32; 12] {
    let mut sums = [[_mm512_setzero_si512(); 2]; 12];
    for (rows, columns) in rows.iter().zip(columns) {
        let columns = vectors_of_16(columns);
        for (sums, &quad) in sums.iter_mut().zip(rows) {
            // SAFETY: four 8-bit numbers are 32 bits.
            let row = _mm512_set1_epi32(unsafe { transmute::<Quad, i32>(quad) });
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = _mm512_dpbusd_epi32(*sum, column, row);
            }
        }
    }
    wanted(&sums, limits)
}

/// Of each row the bits of the columns that are wanted.
#[target_feature(enable = "avx512f")]
fn wanted(sums: &[[__m512i; 2]; 12], limits: Bounds<12, 32>) -> [u32; 12] {
    let (columns, offsets) = (vectors_of_16(limits.columns), vectors_of_16(limits.column_offsets));
    let mut bits = [0; 12];
    for (row, bits) in bits.iter_mut().enumerate() {
        let (limit, offset) = (_mm512_set1_epi32(limits.rows[row]), _mm512_set1_epi32(limits.row_offsets[row]));
        let wanted: [u16; 2] = std::array::from_fn(|at| {
            _mm512_cmpge_epi32_mask(sums[row][at], _mm512_add_epi32(limit, offsets[at]))
                | _mm512_cmpge_epi32_mask(sums[row][at], _mm512_add_epi32(columns[at], offset))
        });
        *bits = u32::from(wanted[0]) | u32::from(wanted[1]) << 16;
    }
    bits
}

/// 32 values of 32 bits as two vectors.
#[target_feature(enable = "avx512f")]
fn vectors_of_16<T>(values: &[T; 32]) -> [__m512i; 2] {
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
    let rows: [&Lines; 8] = std::array::from_fn(|row| &panel.lines[row * width..][..width]);
    let sum = |lines: &Lines| {
        let sums =
            lines.iter().fold(_mm512_setzero_si512(), |sums, line| _mm512_dpbusd_epi32(sums, ones, vector(line)));
        128 * _mm512_reduce_add_epi32(sums)
    };
    let (more, row_limits) = (twice(rows.map(sum)), twice(panel.limits));
    let row_offsets = twice(panel.offsets);
    let rows_here = 0x0101 * (0xff >> (8 - panel.rows)) as u16;
    let of_column = |column: u32| &lines[column as usize * width..][..width];
    for (at, pair) in columns.chunks(2).enumerate() {
        let ahead = columns[(2 * at + AHEAD).min(columns.len())..].iter().take(2);
        ahead.for_each(|&column| prefetch(of_column(column)));
        let (a, b) = (pair[0], pair[pair.len() - 1]);
        let mut sums = [[_mm512_setzero_si512(); 8]; 2];
        for (line, (a, b)) in of_column(a).iter().zip(of_column(b)).enumerate() {
            let flip = _mm512_set1_epi8(i8::MIN);
            let columns = [_mm512_xor_si512(vector(a), flip), _mm512_xor_si512(vector(b), flip)];
            for (row, lines) in rows.iter().enumerate() {
                let row_line = vector(&lines[line]);
                for (sums, column) in sums.iter_mut().zip(columns) {
                    sums[row] = _mm512_dpbusd_epi32(sums[row], column, row_line);
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

#[target_feature(enable = "avx512f")]
fn vector(line: &[i8; 64]) -> __m512i {
    // SAFETY: a line is 64 bytes.
    unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
}

/// Eight numbers, and once more.
#[target_feature(enable = "avx512f")]
fn twice(numbers: [i32; 8]) -> __m512i {
    // SAFETY: 16 numbers of 32 bits are a vector.
    unsafe { transmute::<[[i32; 8]; 2], __m512i>([numbers; 2]) }
}

/// Eight times the one, eight times the other.
#[target_feature(enable = "avx512f")]
fn halves(a: i32, b: i32) -> __m512i {
    _mm512_mask_set1_epi32(_mm512_set1_epi32(a), 0xff00, b)
}

/// The sum of each of the 16 vectors.
#[target_feature(enable = "avx512f")]
fn totals(vectors: &[[__m512i; 8]; 2]) -> __m512i {
    let two = |a, b| _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let four = |a, b| _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    // In each quarter of a vector: what that quarter of four vectors comes to.
    let quarters = |of: &[__m512i]| four(two(of[0], of[1]), two(of[2], of[3]));
    let [[a, b], [c, d]] = [0, 1].map(|at| [quarters(&vectors[at][..4]), quarters(&vectors[at][4..])]);
    let halves = |a, b| {
        let (low, high) = (_mm512_shuffle_i32x4::<0b01_00_01_00>(a, b), _mm512_shuffle_i32x4::<0b11_10_11_10>(a, b));
        _mm512_add_epi32(low, high)
    };
    let (ab, cd) = (halves(a, b), halves(c, d));
    let (low, high) = (_mm512_shuffle_i32x4::<0b10_00_10_00>(ab, cd), _mm512_shuffle_i32x4::<0b11_01_11_01>(ab, cd));
    _mm512_add_epi32(low, high)
}

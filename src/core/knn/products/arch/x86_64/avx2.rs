//! Vectors of 256 bits: AVX2, and AVX-VNNI.

use std::arch::x86_64::*;
use std::mem::{transmute, transmute_copy};

use super::super::super::kernel::{Bounds, Product};
use super::super::super::packed::{Pair, Quad};

/// Of 6 rows and 16 columns.
type Sums = [[__m256i; 2]; 6];

/// The sums by a step, which takes a vector of sums, one of columns and a row's value in every place. Not a function,
/// since a closure's instructions are not those of whom it is given to.
macro_rules! sums {
    ($rows:ident, $columns:ident, |$sum:ident, $column:ident, $value:ident| $step:expr) => {{
        let mut sums: Sums = [[_mm256_setzero_si256(); 2]; 6];
        for (rows, columns) in $rows.iter().zip($columns) {
            let columns = vectors(columns);
            for row in 0..6 {
                let $value = broadcast(rows[row]);
                for half in 0..2 {
                    let ($sum, $column) = (sums[row][half], columns[half]);
                    sums[row][half] = $step;
                }
            }
        }
        sums
    }};
}

#[target_feature(enable = "avx2")]
pub fn products(rows: &[[Pair; 6]], columns: &[[Pair; 16]], limits: Bounds<6, 16>, product: &mut Product<6, 16>) {
    let sums = sums!(rows, columns, |sum, columns, pair| _mm256_add_epi32(sum, _mm256_madd_epi16(pair, columns)));
    give(sums, limits, product);
}

/// Sums in 7 bits; the numbers of columns have no sign. So four products are within 4 * 127 * 63, which 16 bits hold.
#[target_feature(enable = "avx2")]
pub fn coarse(rows: &[[Quad; 6]], columns: &[[Quad; 16]], limits: Bounds<6, 16>) -> [u32; 6] {
    let ones = _mm256_set1_epi16(1);
    let mut sums: Sums = [[_mm256_setzero_si256(); 2]; 6];
    for (rows, columns) in rows.as_chunks::<2>().0.iter().zip(columns.as_chunks::<2>().0) {
        let (first, second) = (vectors(&columns[0]), vectors(&columns[1]));
        for row in 0..6 {
            let quads = [broadcast(rows[0][row]), broadcast(rows[1][row])];
            for half in 0..2 {
                let products = _mm256_maddubs_epi16(first[half], quads[0]);
                let products = _mm256_add_epi16(products, _mm256_maddubs_epi16(second[half], quads[1]));
                sums[row][half] = _mm256_add_epi32(sums[row][half], _mm256_madd_epi16(products, ones));
            }
        }
    }
    wanted(&sums, limits)
}

/// Sums in 8 bits; the numbers of columns have no sign.
#[target_feature(enable = "avx2,avxvnni")]
pub fn vnni_coarse(rows: &[[Quad; 6]], columns: &[[Quad; 16]], limits: Bounds<6, 16>) -> [u32; 6] {
    let sums = sums!(rows, columns, |sum, columns, quad| _mm256_dpbusd_avx_epi32(sum, columns, quad));
    wanted(&sums, limits)
}

/// Sums in 16 bits, by one instruction.
#[target_feature(enable = "avx2,avxvnni")]
pub fn vnni_products(rows: &[[Pair; 6]], columns: &[[Pair; 16]], limits: Bounds<6, 16>, product: &mut Product<6, 16>) {
    let sums = sums!(rows, columns, |sum, columns, pair| _mm256_dpwssd_avx_epi32(sum, columns, pair));
    give(sums, limits, product);
}

#[inline]
#[target_feature(enable = "avx2")]
fn give(sums: Sums, limits: Bounds<6, 16>, product: &mut Product<6, 16>) {
    product.wanted = wanted(&sums, limits);
    // SAFETY: a vector is 8 numbers of 32 bits.
    product.sums = unsafe { transmute::<Sums, [[i32; 16]; 6]>(sums) };
}

/// Of each row the bits of the columns that are wanted.
#[inline]
#[target_feature(enable = "avx2")]
fn wanted(sums: &Sums, limits: Bounds<6, 16>) -> [u32; 6] {
    let (columns, offsets) = (vectors(limits.columns), vectors(limits.column_offsets));
    let mut bits = [0; 6];
    for row in 0..6 {
        let (limit, offset) = (_mm256_set1_epi32(limits.rows[row]), _mm256_set1_epi32(limits.row_offsets[row]));
        for half in 0..2 {
            let of_row_not = _mm256_cmpgt_epi32(_mm256_add_epi32(limit, offsets[half]), sums[row][half]);
            let of_column_not = _mm256_cmpgt_epi32(_mm256_add_epi32(columns[half], offset), sums[row][half]);
            let neither = _mm256_and_si256(of_row_not, of_column_not);
            let wanted = !_mm256_movemask_ps(_mm256_castsi256_ps(neither)) as u32 & 0xff;
            bits[row] |= wanted << (8 * half);
        }
    }
    bits
}

/// A value of 32 bits in every place.
#[inline]
#[target_feature(enable = "avx2")]
fn broadcast<T: Copy>(value: T) -> __m256i {
    const { assert!(size_of::<T>() == 4) }
    // SAFETY: both are 32 bits.
    _mm256_set1_epi32(unsafe { transmute_copy::<T, i32>(&value) })
}

/// 16 values of 32 bits as two vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn vectors<T>(values: &[T; 16]) -> [__m256i; 2] {
    const { assert!(size_of::<T>() == 4) }
    // SAFETY: both are 64 bytes.
    unsafe { transmute_copy(values) }
}

//! The kernels for processors of aarch64.

use std::arch::aarch64::*;
use std::arch::asm;
use std::mem::transmute_copy;

use super::super::kernel::Bounds;
use super::super::packed::Quad;

/// Of 6 rows and 16 columns.
type Sums = [[int32x4_t; 4]; 6];

/// Sums in 8 bits by `sdot`.
#[target_feature(enable = "neon,dotprod")]
pub fn dotprod_coarse(rows: &[[Quad; 6]], columns: &[[Quad; 16]], limits: Bounds<6, 16>) -> [u32; 6] {
    let mut sums: Sums = [[vdupq_n_s32(0); 4]; 6];
    for (rows, columns) in rows.iter().zip(columns) {
        let columns: [int8x16_t; 4] = vectors(columns);
        for row in 0..6 {
            let quad = broadcast(rows[row]);
            for part in 0..4 {
                sums[row][part] = sdot(sums[row][part], columns[part], quad);
            }
        }
    }
    wanted(&sums, limits)
}

/// To each of four sums, that of four products.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn sdot(mut sums: int32x4_t, x: int8x16_t, y: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction only computes; the feature is enabled.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sums, in(vreg) x, in(vreg) y,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// Sums in 8 bits. Two products are within 2 * 127 * 127, which 16 bits hold.
#[target_feature(enable = "neon")]
pub fn coarse(rows: &[[Quad; 6]], columns: &[[Quad; 16]], limits: Bounds<6, 16>) -> [u32; 6] {
    let mut sums: Sums = [[vdupq_n_s32(0); 4]; 6];
    for (rows, columns) in rows.as_chunks::<2>().0.iter().zip(columns.as_chunks::<2>().0) {
        let columns: [[int8x16_t; 4]; 2] = [vectors(&columns[0]), vectors(&columns[1])];
        for row in 0..6 {
            let quads = [broadcast(rows[0][row]), broadcast(rows[1][row])];
            for part in 0..4 {
                let (x, y) = (columns[0][part], columns[1][part]);
                let low = vmull_s8(vget_low_s8(x), vget_low_s8(quads[0]));
                let low = vpaddlq_s16(vmlal_s8(low, vget_low_s8(y), vget_low_s8(quads[1])));
                let high = vpaddlq_s16(vmlal_high_s8(vmull_high_s8(x, quads[0]), y, quads[1]));
                sums[row][part] = vaddq_s32(sums[row][part], vpaddq_s32(low, high));
            }
        }
    }
    wanted(&sums, limits)
}

/// Of each row the bits of the columns that are wanted.
#[inline]
#[target_feature(enable = "neon")]
fn wanted(sums: &Sums, limits: Bounds<6, 16>) -> [u32; 6] {
    const BITS: [u32; 4] = [1, 2, 4, 8];
    // SAFETY: all are vectors of 128 bits, or four of them.
    let (places, columns, offsets): (uint32x4_t, [int32x4_t; 4], [int32x4_t; 4]) =
        unsafe { (transmute_copy(&BITS), transmute_copy(limits.columns), transmute_copy(limits.column_offsets)) };
    let mut bits = [0; 6];
    for row in 0..6 {
        let (limit, offset) = (vdupq_n_s32(limits.rows[row]), vdupq_n_s32(limits.row_offsets[row]));
        for part in 0..4 {
            let of_row = vcgeq_s32(sums[row][part], vaddq_s32(limit, offsets[part]));
            let of_column = vcgeq_s32(sums[row][part], vaddq_s32(columns[part], offset));
            bits[row] |= vaddvq_u32(vandq_u32(vorrq_u32(of_row, of_column), places)) << (4 * part);
        }
    }
    bits
}

/// Four numbers in every place.
#[inline]
#[target_feature(enable = "neon")]
fn broadcast(quad: Quad) -> int8x16_t {
    vreinterpretq_s8_s32(vdupq_n_s32(i32::from_ne_bytes(quad.map(|number| number as u8))))
}

/// 16 times four numbers as four vectors.
#[inline]
#[target_feature(enable = "neon")]
fn vectors(quads: &[Quad; 16]) -> [int8x16_t; 4] {
    // SAFETY: both are 64 bytes.
    unsafe { transmute_copy(quads) }
}

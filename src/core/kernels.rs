//! The few loops that run over every value, compiled for each vector width and chosen at run time.
//!
//! Rust never fuses a product and a sum on its own, so every version gives the same bits. What an iterator is given to call
//! has the instructions of its kernel, which the iterator has not, and so is called for every value: loops are plain.

use half::f16;
use multiversion::multiversion;

/// Inner product in double precision, summed in eight lanes: the same on every machine, and
/// symmetric in its arguments.
#[multiversion(targets = "simd")]
pub fn dot_f32(x: &[f32], y: &[f32]) -> f64 {
    sum(x, y, |x, y| f64::from(x) * f64::from(y))
}

/// Inner product of values in double precision, as [`dot_f32`].
#[multiversion(targets = "simd")]
pub fn dot_f64(x: &[f64], y: &[f64]) -> f64 {
    sum(x, y, |x, y| x * y)
}

/// Inner product of half floats, as [`dot_f32`].
#[multiversion(targets = "simd")]
pub fn dot_f16(x: &[f16], y: &[f16]) -> f64 {
    sum(x, y, |x, y| f64::from(single(x)) * f64::from(single(y)))
}

/// Inner product of whole numbers, exact.
#[multiversion(targets = "simd")]
pub fn dot_i8(x: &[i8], y: &[i8]) -> i64 {
    // So many products of 8 bits are within 32 bits.
    const PART: usize = 1 << 16;
    let mut sum = 0;
    for (x, y) in x.chunks(PART).zip(y.chunks(PART)) {
        let mut part = 0;
        for (&x, &y) in x.iter().zip(y) {
            part += i32::from(x) * i32::from(y);
        }
        sum += i64::from(part);
    }
    sum
}

/// Squared Euclidean distance, summed as [`dot_f32`] sums.
#[multiversion(targets = "simd")]
pub fn squared_distance_f32(x: &[f32], y: &[f32]) -> f64 {
    sum(x, y, |x, y| square(f64::from(x) - f64::from(y)))
}

/// Squared Euclidean distance of half floats, each times its row's scale.
#[multiversion(targets = "simd")]
pub fn squared_distance_f16(x: &[f16], x_scale: f64, y: &[f16], y_scale: f64) -> f64 {
    sum(x, y, |x, y| square(x_scale * f64::from(single(x)) - y_scale * f64::from(single(y))))
}

/// Squared Euclidean distance of whole numbers, each times its row's scale.
#[multiversion(targets = "simd")]
pub fn squared_distance_i8(x: &[i8], x_scale: f64, y: &[i8], y_scale: f64) -> f64 {
    sum(x, y, |x, y| square(x_scale * f64::from(x) - y_scale * f64::from(y)))
}

/// The sum of the terms, in eight lanes.
#[inline(always)]
fn sum<T: Copy>(x: &[T], y: &[T], term: impl Fn(T, T) -> f64) -> f64 {
    let mut lanes = [0.0f64; 8];
    let (x, x_rest) = x.as_chunks::<8>();
    let (y, y_rest) = y.as_chunks::<8>();
    for (x, y) in x.iter().zip(y) {
        for lane in 0..8 {
            lanes[lane] += term(x[lane], y[lane]);
        }
    }
    let mut rest = 0.0;
    for (&x, &y) in x_rest.iter().zip(y_rest) {
        rest += term(x, y);
    }
    lanes.iter().sum::<f64>() + rest
}

#[inline(always)]
fn square(x: f64) -> f64 {
    x * x
}

/// A finite half float in single precision, without the branches of a conversion that takes all.
#[inline(always)]
pub fn single(x: f16) -> f32 {
    // Sign, exponent and fraction where single precision has them; its exponents count from 112 lower.
    const EXPONENT: f32 = f32::from_bits((127 + 112) << 23);
    let bits = (i32::from(x.to_bits() as i16) << 13) as u32;
    f32::from_bits(bits & 0x8fff_ffff) * EXPONENT
}

/// Append the whole numbers nearest to `values * factor`, none of which is beyond 16 bits.
#[multiversion(targets = "simd")]
pub fn quantize(values: &[f64], factor: f64, whole: &mut Vec<i16>) {
    let start = whole.len();
    whole.resize(start + values.len(), 0);
    for (whole, &x) in whole[start..].iter_mut().zip(values) {
        *whole = nearest((x * factor) as f32) as i16;
    }
}

/// The multiples of `step`, at least 2, nearest to the numbers, of `-most` to `most`; returns the sum of
/// these, and that of the squares of what is left, never too low.
#[multiversion(targets = "simd")]
pub fn coarsen(whole: &[i16], step: i16, most: i8, coarse: &mut [i8]) -> (i32, f64) {
    let (factor, least, most) = (1.0 / f32::from(step), -i32::from(most), i32::from(most));
    let (mut sum, mut left) = (0, 0);
    for (&number, coarse) in whole.iter().zip(coarse) {
        let multiple = nearest((f32::from(number) * factor).clamp(least as f32, most as f32)) as i16;
        let multiple = i32::from(multiple).clamp(least, most);
        let rest = i64::from(i32::from(number) - multiple * i32::from(step));
        *coarse = multiple as i8;
        sum += multiple;
        left += rest * rest;
    }
    (sum, left as f64)
}

/// Inner product of whole numbers, which is within 32 bits.
#[multiversion(targets = "simd")]
pub fn dot_i16(x: &[i16], y: &[i16]) -> i32 {
    let mut sum = 0;
    for (&x, &y) in x.iter().zip(y) {
        sum += i32::from(x) * i32::from(y);
    }
    sum
}

/// The whole number nearest to one of at most 22 bits, in its last 22.
#[inline(always)]
fn nearest(x: f32) -> u32 {
    // Added to it, a number has no place left for a fraction, and its last bits count the units.
    const UNITS: f32 = 12_582_912.0;
    (x + UNITS).to_bits()
}

/// Append a row as half floats, and return its scale: a power of two, which brings the greatest
/// value to between 2^14 and 2^15. So nothing overflows, and half floats stay what they are.
pub fn round_to_f16(row: &[f32], halves: &mut Vec<f16>) -> f32 {
    let power = f32::from_bits(greatest(row).max(f32::MIN_POSITIVE).to_bits() & 0x7f80_0000);
    let scale = power / 16_384.0;
    halves.extend(row.iter().map(|x| f16::from_f32(x / scale)));
    scale
}

/// Append a row as whole numbers of -127 to 127, and return its scale.
pub fn round_to_i8(row: &[f32], whole: &mut Vec<i8>) -> f32 {
    const LEAST: f32 = f32::from_bits(1);
    let greatest = greatest(row).max(LEAST);
    let mut scale = greatest / 127.0;
    if f64::from(scale) * 127.0 < f64::from(greatest) {
        scale = scale.next_up();
    }
    whole.extend(row.iter().map(|x| nearest(x / scale) as i8));
    scale
}

/// The greatest magnitude.
fn greatest(row: &[f32]) -> f32 {
    // The bits of positive floats order like whole numbers.
    f32::from_bits(row.iter().map(|x| x.abs().to_bits()).max().unwrap_or(0))
}

/// Ask for a slice that is read soon, so that it is in the cache by then: rows of neighbors lie
/// anywhere in memory, and waiting for each takes longer than its arithmetic.
#[inline(always)]
pub fn prefetch<T>(slice: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in slice.chunks(64 / size_of::<T>()) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing into the program; every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = slice;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_and_distance_cover_the_rest_of_a_row() {
        let x: Vec<f32> = (0..19).map(|i| i as f32).collect();
        let y: Vec<f32> = (0..19).map(|i| (2 * i) as f32).collect();
        assert_eq!(dot_f32(&x, &y), 2.0 * 2109.0);
        assert_eq!(squared_distance_f32(&x, &y), 2109.0);
        let halves = |x: &[f32]| x.iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>();
        assert_eq!(dot_f16(&halves(&x), &halves(&y)), 2.0 * 2109.0);
        assert_eq!(squared_distance_f16(&halves(&x), 4.0, &halves(&y), 1.0), 4.0 * 2109.0);
        let whole = |x: &[f32]| x.iter().map(|&x| x as i8).collect::<Vec<_>>();
        assert_eq!(dot_i8(&whole(&x), &whole(&y)), 2 * 2109);
        assert_eq!(squared_distance_i8(&whole(&x), 4.0, &whole(&y), 1.0), 4.0 * 2109.0);
    }

    #[test]
    fn products_of_8_bits_do_not_overflow() {
        assert_eq!(dot_i8(&vec![-127; 200_001], &vec![127; 200_001]), -127 * 127 * 200_001);
    }

    #[test]
    fn half_floats_become_the_same_in_single_precision() {
        for x in (0..=u16::MAX).map(f16::from_bits).filter(|x| x.is_finite()) {
            assert_eq!(single(x).to_bits(), x.to_f32().to_bits(), "{x}");
        }
    }

    #[test]
    fn quantizing_rounds_to_the_nearest() {
        let mut whole = vec![7];
        quantize(&[-32766.6, -0.4, 0.6, 32767.2], 1.0, &mut whole);
        assert_eq!(whole, [7, -32767, 0, 1, 32767]);
        quantize(&[-1.5, 0.25, 0.375], 2.0, &mut whole);
        assert_eq!(whole[5..], [-3, 0, 1]);
    }

    #[test]
    fn coarse_numbers_and_what_is_left_make_the_whole() {
        let whole: Vec<i16> = (-32_767..=32_767).step_by(7).collect();
        for (step, most) in [(2, 127), (3, 63), (100, 127), (258, 127), (520, 63)] {
            let mut coarse = vec![0; whole.len()];
            let (sum, left) = coarsen(&whole, step, most, &mut coarse);
            let rest = |(&whole, &coarse): (&i16, &i8)| i64::from(whole) - i64::from(coarse) * i64::from(step);
            assert_eq!(sum, coarse.iter().map(|&x| i32::from(x)).sum::<i32>());
            assert_eq!(left, whole.iter().zip(&coarse).map(|pair| rest(pair).pow(2)).sum::<i64>() as f64);
            let within = |&(whole, _): &(&i16, &i8)| u32::from(whole.unsigned_abs()) <= most as u32 * step as u32;
            assert!(whole.iter().zip(&coarse).filter(within).all(|pair| 2 * rest(pair).abs() <= i64::from(step)));
            assert!(coarse.iter().all(|&x| (-most..=most).contains(&x)));
        }
    }

    #[test]
    fn rounded_rows_are_within_half_a_step() {
        let row: Vec<f32> = (0..500).map(|i| ((i * i * 37) as f32).sin() * 2.0f32.powi(-(i % 20))).collect();
        // From the smallest subnormal number to the largest number.
        for exponent in [-149, -148, -142, -133, -127, -126, -110, -30, 0, 20, 127] {
            let row: Vec<f32> =
                row.iter().map(|x| x * 2.0f32.powi(exponent / 2) * 2.0f32.powi(exponent - exponent / 2)).collect();
            let greatest = f64::from(greatest(&row));
            let (mut halves, mut whole) = (Vec::new(), Vec::new());
            let scale = f64::from(round_to_f16(&row, &mut halves));
            for (&x, half) in row.iter().zip(halves) {
                assert!((f64::from(x) - half.to_f64() * scale).abs() <= greatest / 2048.0, "{x}");
            }
            let scale = f64::from(round_to_i8(&row, &mut whole));
            for (&x, whole) in row.iter().zip(whole) {
                assert!((f64::from(x) - f64::from(whole) * scale).abs() <= scale * 0.500_01, "{x}");
            }
        }
    }

    #[test]
    fn half_floats_are_kept() {
        let row = [0.1, -0.0003, 65504.0, 0.0, 3.0].map(|x| f16::from_f32(x).to_f32());
        let mut halves = Vec::new();
        let scale = round_to_f16(&row, &mut halves);
        assert_eq!(halves.iter().map(|half| half.to_f32() * scale).collect::<Vec<_>>(), row);
    }

    #[test]
    fn zeros_stay_zeros() {
        let (mut halves, mut whole) = (Vec::new(), Vec::new());
        round_to_f16(&[0.0, -0.0], &mut halves);
        round_to_i8(&[0.0, -0.0], &mut whole);
        assert!(halves.iter().all(|half| half.to_f32() == 0.0) && whole == [0, 0]);
    }
}

//! The few loops that run over every value, compiled for each vector width and chosen at run time.
//!
//! Rust never fuses a product and a sum on its own, so every version gives the same bits.

use multiversion::multiversion;

/// Inner product in double precision, summed in eight lanes: the same on every machine, and
/// symmetric in its arguments.
#[multiversion(targets = "simd")]
pub fn dot(x: &[f32], y: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let (x, x_rest) = x.as_chunks::<8>();
    let (y, y_rest) = y.as_chunks::<8>();
    for (x, y) in x.iter().zip(y) {
        for lane in 0..8 {
            lanes[lane] += f64::from(x[lane]) * f64::from(y[lane]);
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
    lanes.iter().sum::<f64>() + rest
}

/// Squared Euclidean distance, summed as [`dot`] sums.
#[multiversion(targets = "simd")]
pub fn squared_distance(x: &[f32], y: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let (x, x_rest) = x.as_chunks::<8>();
    let (y, y_rest) = y.as_chunks::<8>();
    for (x, y) in x.iter().zip(y) {
        for lane in 0..8 {
            let difference = f64::from(x[lane]) - f64::from(y[lane]);
            lanes[lane] += difference * difference;
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum();
    lanes.iter().sum::<f64>() + rest
}

/// The whole numbers nearest to `values * factor`, none of which is beyond 16 bits.
#[multiversion(targets = "simd")]
pub fn quantize(values: &[f32], factor: f32, whole: &mut Vec<i16>) {
    // Added to it, a number has no place left for a fraction, and its last bits count the units.
    const UNITS: f32 = 12_582_912.0;
    whole.clear();
    whole.extend(values.iter().map(|x| (x * factor + UNITS).to_bits() as i16));
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
        assert_eq!(dot(&x, &y), 2.0 * 2109.0);
        assert_eq!(squared_distance(&x, &y), 2109.0);
    }

    #[test]
    fn quantizing_rounds_to_the_nearest() {
        let mut whole = vec![7];
        quantize(&[-32766.6, -0.4, 0.6, 32767.2], 1.0, &mut whole);
        assert_eq!(whole, [-32767, 0, 1, 32767]);
    }
}

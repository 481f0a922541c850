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

/// Append to `found` each `j` with `values[j] <= limit`.
#[multiversion(targets = "simd")]
pub fn at_most(values: &[f32], limit: f32, found: &mut Vec<u32>) {
    let (chunks, rest) = values.as_chunks::<32>();
    for (at, chunk) in chunks.iter().enumerate() {
        if chunk.iter().fold(false, |any, &x| any | (x <= limit)) {
            found.extend((0..32).filter(|&j| chunk[j] <= limit).map(|j| (at * 32 + j) as u32));
        }
    }
    let start = values.len() - rest.len();
    found.extend((0..rest.len()).filter(|&j| rest[j] <= limit).map(|j| (start + j) as u32));
}

/// Append to `found` each `j` with `values[j] <= limits[j]`.
#[multiversion(targets = "simd")]
pub fn at_most_each(values: &[f32], limits: &[f32], found: &mut Vec<u32>) {
    let (chunks, rest) = values.as_chunks::<32>();
    let (bounds, last) = limits.as_chunks::<32>();
    for (at, (chunk, bound)) in chunks.iter().zip(bounds).enumerate() {
        if chunk.iter().zip(bound).fold(false, |any, (x, limit)| any | (x <= limit)) {
            found.extend((0..32).filter(|&j| chunk[j] <= bound[j]).map(|j| (at * 32 + j) as u32));
        }
    }
    let start = values.len() - rest.len();
    found.extend((0..rest.len()).filter(|&j| rest[j] <= last[j]).map(|j| (start + j) as u32));
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
    fn scans_find_every_value_at_most_the_limit_and_no_nan() {
        let mut values: Vec<f32> = (0..75).map(|i| ((i * 37) % 75) as f32).collect();
        values[3] = f32::NAN;
        let expected: Vec<u32> = (0..75).filter(|&j| values[j as usize] <= 9.0).collect();
        let mut found = Vec::new();
        at_most(&values, 9.0, &mut found);
        assert_eq!(found, expected);
        found.clear();
        at_most_each(&values, &[9.0; 75], &mut found);
        assert_eq!(found, expected);
    }
}

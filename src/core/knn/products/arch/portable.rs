//! The kernel for every processor.

use super::super::kernel::{Bounds, Product};
use super::super::packed::Pair;

pub fn products<const R: usize, const C: usize>(
    rows: &[[Pair; R]],
    columns: &[[Pair; C]],
    limits: Bounds<R, C>,
    product: &mut Product<R, C>,
) {
    let mut sums = [[0; C]; R];
    for (rows, columns) in rows.iter().zip(columns) {
        for row in 0..R {
            for column in 0..C {
                let (x, y) = (rows[row], columns[column]);
                sums[row][column] += i32::from(x[0]) * i32::from(y[0]) + i32::from(x[1]) * i32::from(y[1]);
            }
        }
    }
    product.sums = sums;
    product.wanted = limits.bits(&sums);
}

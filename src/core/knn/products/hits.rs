//! The pairs of a panel and of other points that one of the two wants.

#[cfg(target_arch = "x86_64")]
use super::super::instructions::Instructions;
#[cfg(target_arch = "x86_64")]
use super::arch::x86_64::avx512;
use super::codes::{Codes, Hit, Panel};
use crate::core::kernels::dot_i8;

impl Codes {
    /// Append the pairs of a panel's points and of others whose score reaches the limit of either.
    pub fn hits(&self, panel: &Panel, columns: &[u32], limits: &[i32], hits: &mut Vec<Hit>) {
        match self.instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni => {
                // SAFETY: the instructions are those that the processor has.
                unsafe { avx512::hits(panel, self.width, &self.lines, &self.offsets, columns, limits, hits) }
            }
            _ => {
                for (at, (&column, &limit)) in columns.iter().zip(limits).enumerate() {
                    let offset = self.offsets[column as usize];
                    for row in 0..panel.rows {
                        let lines = &panel.lines[row * self.width..][..self.width];
                        let sum = dot_i8(lines.as_flattened(), self.lines(column).as_flattened()) as i32;
                        if sum - offset >= panel.limits[row] || sum - panel.offsets[row] >= limit {
                            hits.push(Hit { row: row as u32, column: at as u32, sum });
                        }
                    }
                }
            }
        }
    }
}

//! Products by the instructions that are there.

use super::super::instructions::Instructions;
#[cfg(target_arch = "aarch64")]
use super::arch::aarch64;
use super::arch::portable;
#[cfg(target_arch = "x86_64")]
use super::arch::x86_64::{avx2, avx512};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use super::kernel::{Coarse, CoarseKernel};
use super::packed::{Rows, row_bytes};
use super::scale::Scale;
use super::tiles::{RUN, Tiles};
use super::wanted::Wanted;

/// Multiplies blocks of rows, and keeps the memory that this takes.
pub(in crate::core::knn) enum Multiplier {
    Portable(Tiles<4, 8>),
    /// Vectors of 128 and of 256 bits.
    Narrow(Tiles<6, 16>),
    #[cfg(target_arch = "x86_64")]
    Wide(Tiles<12, 32>),
}

impl Multiplier {
    /// Bytes that one keeps packed of columns in blocks, and of a block of rows.
    pub fn memory(columns: usize, block: usize, dim: usize) -> u64 {
        let rows = (columns + block).min((RUN + 1) * block);
        (rows * row_bytes(dim)) as u64
    }

    pub fn new(instructions: Instructions) -> Self {
        match instructions {
            Instructions::Portable => Self::Portable(Tiles::new(portable::products, None)),
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => Self::Narrow(Tiles::new(portable::products, coarse(aarch64::coarse, 0))),
            #[cfg(target_arch = "aarch64")]
            Instructions::Dotprod => Self::Narrow(Tiles::new(portable::products, coarse(aarch64::dotprod_coarse, 0))),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => Self::Narrow(Tiles::new(avx2::products, coarse(avx2::coarse, 64))),
            #[cfg(target_arch = "x86_64")]
            Instructions::AvxVnni => Self::Narrow(Tiles::new(avx2::vnni_products, coarse(avx2::vnni_coarse, 128))),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni => Self::Wide(Tiles::new(avx512::products, coarse(avx512::coarse, 128))),
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
            Self::Narrow(tiles) => tiles.multiply(scale, rows, columns, wanted, found),
            #[cfg(target_arch = "x86_64")]
            Self::Wide(tiles) => tiles.multiply(scale, rows, columns, wanted, found),
        }
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn coarse<const R: usize, const C: usize>(kernel: CoarseKernel<R, C>, shift: u8) -> Option<Coarse<R, C>> {
    Some(Coarse { kernel, shift })
}

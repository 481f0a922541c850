//! Products by the instructions that are there.

use super::super::instructions::Instructions;
use super::kernel;
use super::packed::Rows;
use super::scale::Scale;
use super::tiles::Tiles;
use super::wanted::Wanted;
#[cfg(target_arch = "x86_64")]
use super::x86;

/// Multiplies blocks of rows, and keeps the memory that this takes.
pub(in crate::core::knn) enum Multiplier {
    Portable(Tiles<4, 8>),
    #[cfg(target_arch = "x86_64")]
    Avx2(Tiles<6, 16>),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Tiles<12, 32>),
}

impl Multiplier {
    pub fn new(instructions: Instructions) -> Self {
        match instructions {
            Instructions::Portable => Self::Portable(Tiles::new(kernel::portable, None)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => Self::Avx2(Tiles::new(x86::avx2, None)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512Vnni => Self::Avx512Vnni(Tiles::new(x86::avx512_vnni, Some(x86::avx512_vnni_coarse))),
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
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(tiles) => tiles.multiply(scale, rows, columns, wanted, found),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(tiles) => tiles.multiply(scale, rows, columns, wanted, found),
        }
    }
}

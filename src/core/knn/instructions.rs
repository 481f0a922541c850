//! What this processor multiplies with.

use std::sync::OnceLock;

/// Names the [`Instructions`] to use, of those that the processor has: so that one machine can measure several.
const VARIABLE: &str = "DENSITY_PEAKS_INSTRUCTIONS";

/// Instructions that multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instructions {
    Portable,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    Dotprod,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Instructions {
    /// What this processor has, the fastest last.
    pub fn available() -> Vec<Self> {
        let all = [
            (Self::Portable, true),
            #[cfg(target_arch = "aarch64")]
            (Self::Neon, true),
            #[cfg(target_arch = "aarch64")]
            (Self::Dotprod, std::arch::is_aarch64_feature_detected!("dotprod")),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, is_x86_feature_detected!("avx2")),
            #[cfg(target_arch = "x86_64")]
            (Self::AvxVnni, is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni")),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512Vnni, is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")),
        ];
        all.into_iter().filter_map(|(instructions, has)| has.then_some(instructions)).collect()
    }

    /// Those that the environment names, or else the fastest that this processor has.
    pub fn fastest() -> Self {
        static FASTEST: OnceLock<Instructions> = OnceLock::new();
        *FASTEST.get_or_init(|| {
            let (available, asked) = (Self::available(), std::env::var(VARIABLE).unwrap_or_default());
            let named = available.iter().find(|instructions| instructions.name() == asked);
            *named.or(available.last()).expect("the portable ones at least")
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Self::Dotprod => "dotprod",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => "avx_vnni",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => "avx512_vnni",
        }
    }

    /// The greatest of the whole numbers that they multiply first: AVX2 adds four products in 16 bits.
    pub fn most(self) -> i8 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 63,
            _ => 127,
        }
    }
}

//! What this processor multiplies with.

/// Instructions that multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instructions {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Instructions {
    /// What this processor has, the fastest last.
    pub fn available() -> Vec<Self> {
        let all = [
            (Self::Portable, true),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx2, is_x86_feature_detected!("avx2")),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512Vnni, is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")),
        ];
        all.into_iter().filter_map(|(instructions, has)| has.then_some(instructions)).collect()
    }

    /// The fastest that this processor has.
    pub fn fastest() -> Self {
        *Self::available().last().expect("the portable ones at least")
    }
}

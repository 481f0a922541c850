//! The kernels: those for every processor, and those of an architecture, each tested beside the former.
//!
//! Loops in them are plain, and what they call is `#[inline]`: a call in the middle of a kernel spills every sum.

#[cfg(target_arch = "aarch64")]
pub(super) mod aarch64;
pub(super) mod portable;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86_64;

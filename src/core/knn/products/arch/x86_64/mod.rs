//! The kernels for processors of x86-64.

pub mod avx2;
pub mod avx512;

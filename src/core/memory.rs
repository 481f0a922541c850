//! Memory that the system may not give: with a limit on the process, or none left. Rust ends the process where an
//! allocation fails, so what large work needs is asked for before it begins.

use crate::core::error::{Error, Result};

/// An empty vector with room for this many values.
///
/// # Errors
/// If the system does not give it.
pub fn room<T>(len: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| {
        let bytes = len as u128 * size_of::<T>() as u128;
        Error::Memory(format!("the system does not give the {bytes} bytes that {len} values need"))
    })?;
    Ok(values)
}

/// As many times the same value.
///
/// # Errors
/// As [`room`].
pub fn filled<T: Clone>(value: T, len: usize) -> Result<Vec<T>> {
    let mut values = room(len)?;
    values.resize(len, value);
    Ok(values)
}

/// Whether the system gives this many bytes at once. They are given back.
pub fn is_given(bytes: u64) -> bool {
    let mut block = Vec::<u8>::new();
    let given = usize::try_from(bytes).is_ok_and(|bytes| block.try_reserve_exact(bytes).is_ok());
    // Or the compiler would leave out an allocation that nothing uses.
    std::hint::black_box(&block);
    given
}

/// Ask for what many small allocations will take together, of which each would end the process if it failed.
///
/// # Errors
/// If the system does not give it.
pub fn ask(bytes: u64) -> Result<()> {
    if is_given(bytes) {
        Ok(())
    } else {
        Err(Error::Memory(format!("the system does not give the {bytes} bytes that the work needs")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_no_system_has_is_an_error() {
        assert_eq!(filled(7u8, 3).unwrap(), [7; 3]);
        let error = room::<f64>(1 << 57).unwrap_err().to_string();
        assert_eq!(error, "the system does not give the 1152921504606846976 bytes that 144115188075855872 values need");
        assert!(filled(0.0f64, usize::MAX).is_err());
        assert!(is_given(0) && is_given(1 << 20));
        assert!(!is_given(1 << 62) && !is_given(u64::MAX));
        assert!(ask(1 << 20).is_ok() && ask(1 << 62).is_err());
    }
}

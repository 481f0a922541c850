//! The threads and the memory that a run may take.

use super::failure::Failure;
use super::refusal::{Result, input};
use crate::core::error::Error;

/// The settings under which a run works.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub threads: usize,
    /// In bytes.
    pub memory: u64,
}

impl Limits {
    /// Refuse to read on once the rows alone exceed the limit, or the system does not give the `growth` that
    /// more of them may take at once. `smaller` is a way to keep them in less, or empty.
    pub fn check_collected(&self, label: &str, bytes: u64, growth: u64, smaller: &str) -> Result<()> {
        if bytes <= self.memory {
            return check_given("the rows read so far", bytes + growth, growth)
                .map_err(|error| input(format!("{label}: {error}")));
        }
        Err(input(format!(
            "{label}: the rows read so far already take {}, more than memory_limit ({}); {smaller}read fewer rows, or raise memory_limit",
            bytes_text(bytes),
            bytes_text(self.memory)
        )))
    }

    /// Refuse work of a call that needs more than there is; `smaller` says what would fit, or is empty.
    pub fn check(&self, label: &str, what: impl FnOnce() -> String, need: u64, smaller: &str) -> Result<(), Failure> {
        let checked = if need <= self.memory {
            check_given(&what(), need, need)
        } else {
            Err(too_large(&what(), need, self.memory, smaller))
        };
        checked.map_err(|error| Failure::of(label, error))
    }
}

/// Refuse work that needs more than the system gives, of which it asks for `more` now.
pub fn check_given(what: &str, need: u64, more: u64) -> Result<(), Error> {
    if is_given(more) {
        return Ok(());
    }
    let (need, more) = (bytes_text(need), bytes_text(more));
    Err(Error::Memory(format!(
        "{what} need about {need}, but the system does not give the process {more}; raise the limit that it has, or \
         end what else takes memory"
    )))
}

/// That work needs more than the limit; `smaller` says what would fit, or is empty.
pub fn too_large(what: &str, need: u64, limit: u64, smaller: &str) -> Error {
    let (enough, need, limit) = (bytes_text(need + need / 10), bytes_text(need), bytes_text(limit));
    Error::Memory(format!(
        "{what} need about {need}, but memory_limit is {limit}; {smaller}SET memory_limit = '{enough}'"
    ))
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("bytes", 1),
];

/// Bytes as DuckDB prints them: `18.6 GiB`.
pub fn bytes_text(bytes: u64) -> String {
    let (unit, size) = UNITS[..4].iter().find(|unit| bytes >= unit.1).copied().unwrap_or(("bytes", 1));
    if size == 1 { format!("{bytes} bytes") } else { format!("{:.1} {unit}", bytes as f64 / size as f64) }
}

/// Bytes as DuckDB reads them.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (unit, size) = UNITS.iter().find(|unit| text.ends_with(unit.0))?;
    let number: f64 = text.trim_end_matches(unit).trim().parse().ok()?;
    Some((number * *size as f64) as u64)
}

/// Whether the system gives this many bytes at once. They are given back.
fn is_given(bytes: u64) -> bool {
    let mut block = Vec::<u8>::new();
    let given = usize::try_from(bytes).is_ok_and(|bytes| block.try_reserve_exact(bytes).is_ok());
    // Or the compiler would leave out an allocation that nothing uses.
    std::hint::black_box(&block);
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_as_duckdb_does() {
        assert_eq!(parse_bytes("1.5 GiB"), Some(3 << 29));
        assert_eq!(parse_bytes("0 bytes"), Some(0));
        assert_eq!(parse_bytes("much"), None);
        assert_eq!(bytes_text(3 << 29), "1.5 GiB");
        assert_eq!(bytes_text(12), "12 bytes");
    }

    #[test]
    fn what_no_system_has_is_not_given() {
        assert!(is_given(0) && is_given(1 << 20));
        assert!(!is_given(1 << 62) && !is_given(u64::MAX));
    }
}

//! DuckDB's `threads` and `memory_limit`, and what fits in them.

use duckdb_neo::Result;
use duckdb_neo::connection::Context;

use super::invalid;

/// The settings under which a statement runs.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub threads: usize,
    pub memory: u64,
}

impl Limits {
    pub fn of(context: &Context) -> Result<Self> {
        let config = context.config()?;
        let threads = config.get_value("threads")?.0.to_string().parse().unwrap_or(1);
        let memory = parse_bytes(&config.get_value("memory_limit")?.0.to_string()).unwrap_or(u64::MAX);
        Ok(Self { threads, memory })
    }

    /// Refuse to read on once the rows alone exceed the limit. `smaller` is a way to keep them in
    /// less, or empty.
    pub fn check_collected(&self, label: &str, bytes: u64, smaller: &str) -> Result<()> {
        if bytes <= self.memory {
            return Ok(());
        }
        Err(invalid(format!(
            "{label}: the rows read so far already take {}, more than memory_limit ({}); {smaller}read fewer rows, or raise memory_limit",
            bytes_text(bytes),
            bytes_text(self.memory)
        )))
    }
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

fn parse_bytes(text: &str) -> Option<u64> {
    let (unit, size) = UNITS.iter().find(|unit| text.ends_with(unit.0))?;
    let number: f64 = text.trim_end_matches(unit).trim().parse().ok()?;
    Some((number * *size as f64) as u64)
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
}

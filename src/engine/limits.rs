//! The threads and the memory that a run may take.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::failure::Failure;
use super::refusal::{self, input};
use crate::core::error::Error;
use crate::core::memory::is_given;

/// What the statements of a database hold together, in bytes.
#[derive(Debug, Default)]
pub struct Ledger {
    held: AtomicU64,
    /// The most that was held at once.
    most: AtomicU64,
}

impl Ledger {
    /// The most that was held at once since this was last asked.
    pub fn most(&self) -> u64 {
        self.most.swap(self.held.load(Relaxed), Relaxed)
    }

    /// Hold more, unless all would exceed the limit; then what is held.
    fn take(&self, more: u64, limit: u64) -> Result<(), u64> {
        let enough = |held: u64| held.checked_add(more).filter(|&all| all <= limit);
        let before = self.held.fetch_update(Relaxed, Relaxed, enough)?;
        self.most.fetch_max(before + more, Relaxed);
        Ok(())
    }
}

/// What one statement holds of a ledger: it is given back with the statement.
#[derive(Debug, Default)]
pub struct Account {
    ledger: Arc<Ledger>,
    held: Mutex<u64>,
}

impl Account {
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger, held: Mutex::new(0) }
    }

    fn held(&self) -> MutexGuard<'_, u64> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hold this much, or as much as before if that is more; if all would exceed the limit, what the others hold.
    fn raise(&self, need: u64, limit: u64) -> Result<(), u64> {
        let mut held = self.held();
        if need > *held {
            self.ledger.take(need - *held, limit).map_err(|all| all - *held)?;
            *held = need;
        }
        Ok(())
    }

    /// Hold no more than this.
    pub fn settle(&self, left: u64) {
        let mut held = self.held();
        self.ledger.held.fetch_sub(held.saturating_sub(left), Relaxed);
        *held = left.min(*held);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.settle(0);
    }
}

/// The settings under which a run works.
#[derive(Debug, Clone)]
pub struct Limits {
    pub threads: usize,
    /// In bytes, for all statements of the database together.
    pub memory: u64,
    /// Of the statement.
    pub account: Arc<Account>,
}

impl Limits {
    /// Refuse to read on once the rows alone exceed the limit, or the system does not give the `growth` that
    /// more of them may take at once. `smaller` is a way to keep them in less, or empty.
    pub fn check_collected(&self, label: &str, bytes: u64, growth: u64, smaller: &str) -> refusal::Result<()> {
        match self.account.raise(bytes, self.memory) {
            Ok(()) => check_given("the rows read so far", bytes + growth, growth)
                .map_err(|error| input(format!("{label}: {error}"))),
            Err(others) => Err(input(format!(
                "{label}: the rows read so far already take {}, more than memory_limit ({}{}); {smaller}read fewer rows, or raise memory_limit",
                bytes_text(bytes),
                bytes_text(self.memory),
                held_by_others(others)
            ))),
        }
    }

    /// Refuse work of a call that needs more than there is; `smaller` says what would fit, or is empty.
    pub fn check(&self, label: &str, what: impl FnOnce() -> String, need: u64, smaller: &str) -> Result<(), Failure> {
        self.reserve(what, need, |_| smaller.into()).map_err(|error| Failure::of(label, error))
    }

    /// Refuse work of a call that needs more than there is beside what the statement holds.
    pub fn check_more(&self, label: &str, what: impl FnOnce() -> String, more: u64) -> Result<(), Failure> {
        let need = *self.account.held() + more;
        self.check(label, what, need, "read fewer, or ")
    }

    /// Likewise; `smaller` is given the bytes that there are.
    pub fn reserve(
        &self,
        what: impl FnOnce() -> String,
        need: u64,
        smaller: impl FnOnce(u64) -> String,
    ) -> Result<(), Error> {
        match self.account.raise(need, self.memory) {
            Ok(()) => check_given(&what(), need, need),
            Err(others) => {
                let smaller = smaller(self.memory.saturating_sub(others));
                Err(too_large(&what(), need, self.memory, others, &smaller))
            }
        }
    }
}

/// That other statements hold a part of the limit.
fn held_by_others(others: u64) -> String {
    if others == 0 { String::new() } else { format!(", of which other calls hold {}", bytes_text(others)) }
}

/// Refuse work that needs more than the system gives, of which it asks for `more` now.
fn check_given(what: &str, need: u64, more: u64) -> Result<(), Error> {
    if is_given(more) {
        return Ok(());
    }
    let (need, more) = (bytes_text(need), bytes_text(more));
    Err(Error::Memory(format!(
        "{what} need about {need}, but the system does not give the process {more}; raise the limit that it has, or \
         end what else takes memory"
    )))
}

/// That work needs more than the limit, of which others hold a part; `smaller` says what would fit, or is empty.
fn too_large(what: &str, need: u64, limit: u64, others: u64, smaller: &str) -> Error {
    let (enough, need, limit) = (bytes_text(others + need + need / 10), bytes_text(need), bytes_text(limit));
    let others = held_by_others(others);
    Error::Memory(format!(
        "{what} need about {need}, but memory_limit is {limit}{others}; {smaller}SET memory_limit = '{enough}'"
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
    fn statements_share_a_limit_and_give_back_what_they_held() {
        let ledger = Arc::new(Ledger::default());
        let limits = || Limits { threads: 1, memory: 100, account: Arc::new(Account::new(ledger.clone())) };
        let (one, other) = (limits(), limits());
        let reserve =
            |limits: &Limits, need| limits.reserve(|| "rows".into(), need, |left| format!("{left} are left, "));
        reserve(&one, 60).unwrap();
        // What a statement holds is its greatest need.
        reserve(&one, 50).unwrap();
        assert_eq!(
            reserve(&other, 41).unwrap_err().to_string(),
            "rows need about 41 bytes, but memory_limit is 100 bytes, of which other calls hold 60 bytes; 40 are \
             left, SET memory_limit = '105 bytes'"
        );
        reserve(&other, 40).unwrap();
        one.account.settle(10);
        reserve(&other, 90).unwrap();
        assert!(reserve(&one, 11).is_err());
        drop(other);
        reserve(&one, 100).unwrap();
        assert_eq!((ledger.most(), ledger.most()), (100, 100));
        drop(one);
        ledger.most();
        assert_eq!(ledger.most(), 0);
    }
}

//! Tests of generated input, as `make fuzz` runs them: each case comes from a number, so that one that fails can be run
//! again with `FUZZ_CASE`. Without `FUZZ_SECONDS` a few cases run, as a part of the unit tests.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::core::random::mix;

/// Cases without `FUZZ_SECONDS`.
const CASES: u64 = 300;

/// Numbers that look random.
pub struct Random(u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below this one, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Whether one in so many is.
    pub fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }

    /// A value of those that go wrong: zeros, ends of ranges, and ordinary ones.
    pub fn float(&mut self) -> f64 {
        const ODD: [f64; 12] =
            [0.0, -0.0, 1.0, -1.0, 1e-300, 1e-40, 1e19, 1e300, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        if self.one_in(8) { *self.pick(&ODD) } else { (self.next() % 2001) as f64 / 1000.0 - 1.0 }
    }

    /// One of the corpus, with bytes changed, cut out, repeated, or taken from another.
    #[cfg(feature = "ort")]
    pub fn damaged(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.pick(corpus).clone();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            let length = 1 + self.below((bytes.len() - at).min(16));
            match self.below(6) {
                0 => bytes[at] = self.next() as u8,
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.truncate(at),
                3 => drop(bytes.drain(at..at + length)),
                4 => {
                    let part = bytes[at..at + length].to_vec();
                    bytes.splice(at..at, part);
                }
                _ => {
                    let other = self.pick(corpus);
                    let from = self.below(other.len());
                    let part = other[from..(from + 1 + self.below(64)).min(other.len())].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        bytes
    }
}

/// No case has this number.
const NONE: u64 = u64::MAX;

/// End the process where a case takes more than a minute.
fn watch(name: &str, running: Arc<AtomicU64>) {
    let (name, mut before) = (name.to_owned(), NONE);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(60));
            let case = running.load(Ordering::Relaxed);
            if case == NONE {
                return;
            }
            if case == before {
                eprintln!("{name}: FUZZ_CASE={case} does not end");
                std::process::exit(1);
            }
            before = case;
        }
    });
}

/// Run cases of a target, which panics where something is wrong.
pub fn fuzz(name: &str, target: impl Fn(&mut Random)) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let run = |case: u64| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&mut Random(mix(case))))) {
            eprintln!("{name}: FUZZ_CASE={case} fails");
            resume_unwind(panic);
        }
    };
    if let Some(case) = number("FUZZ_CASE") {
        return run(case);
    }
    let Some(seconds) = number("FUZZ_SECONDS") else { return (0..CASES).for_each(run) };
    let (start, mut case) = (Instant::now(), number("FUZZ_SEED").unwrap_or(0) << 32);
    let (first, running) = (case, Arc::new(AtomicU64::new(case)));
    watch(name, running.clone());
    while start.elapsed() < Duration::from_secs(seconds) {
        running.store(case, Ordering::Relaxed);
        run(case);
        case += 1;
    }
    running.store(NONE, Ordering::Relaxed);
    eprintln!("{name}: {} cases in {} seconds, none fails", case - first, start.elapsed().as_secs());
}

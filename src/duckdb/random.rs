//! Numbers for names that no other may have.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that nobody can foresee: a hash whose key the system has drawn.
pub fn random_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

//! A neighbor in a list, with its flag.

/// A point near another, with the score of the two, in one number that orders the best first. Its last
/// bit is the flag of the paper: 1 for a new neighbor, which has not been in a local join yet, 0 for
/// an old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbor(u64);

impl Neighbor {
    /// None; it comes after all others.
    pub const ABSENT: Self = Self(u64::MAX);

    /// A new neighbor.
    pub fn new(point: u32, score: i32) -> Self {
        Self(u64::from(!(score as u32 ^ 1 << 31)) << 32 | u64::from(point) << 1 | 1)
    }

    pub fn point(self) -> u32 {
        self.0 as u32 >> 1
    }

    pub fn score(self) -> i32 {
        (!(self.0 >> 32) as u32 ^ 1 << 31) as i32
    }

    /// The point, and as the last bit the flag.
    pub fn entry(self) -> u32 {
        self.0 as u32
    }

    pub fn is_new(self) -> bool {
        self.0 & 1 == 1
    }

    pub fn make_old(&mut self) {
        self.0 &= !1;
    }

    /// Whether both are the same point at the same score, whatever their flags.
    pub fn is_same(self, other: Self) -> bool {
        self.0 | 1 == other.0 | 1
    }
}

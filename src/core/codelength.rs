//! The terms of the map equation (Rosvall, Axelsson and Bergstrom, "The map equation", 2009): in how many
//! bits a step the path of a random walker is described by communities,
//!
//! ```text
//! L = plogp(q) - 2 sum_i plogp(q_i) + sum_i plogp(q_i + p_i) - sum_a plogp(p_a),  plogp(x) = x log2 x
//! ```
//!
//! where p_a is how often the walker is at point a, p_i in community i, q_i how often it leaves
//! that, and q the sum of the q_i. The last sum is the same for all communities.

/// A change must gain more bits than this, which is above what rounding can: sums of terms of at most some
/// tens of bits are off by 1e-14 or so each.
pub const LEAST_GAIN: f64 = 1e-10;

/// `x log2 x`, 0 for 0.
pub fn plogp(x: f64) -> f64 {
    if x > 0.0 { x * x.log2() } else { 0.0 }
}

/// What a community adds to L: `plogp(q_i + p_i) - 2 plogp(q_i)`.
pub fn of_community(visits: f64, exits: f64) -> f64 {
    plogp(exits + visits) - 2.0 * plogp(exits)
}

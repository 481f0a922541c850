//! Numbers that look random and are the same in every run.

/// A number that looks random, from one that does not: the last step of splitmix64 (Steele, Lea and
/// Flood 2014).
pub fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// The number `at` of a sequence from 0 to below 1, by splitmix64.
pub fn unit(at: u64) -> f64 {
    let bits = mix((at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_splitmix64() {
        // The first two that the published generator gives from the seed 0.
        let first = |at: u64| mix(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        assert_eq!([first(1), first(2)], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        assert!((0..1000).all(|at| (0.0..1.0).contains(&unit(at))));
        assert_eq!(unit(0), (0xe220_a839_7b1d_cdaf_u64 >> 11) as f64 / (1u64 << 53) as f64);
    }
}

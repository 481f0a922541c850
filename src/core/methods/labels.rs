//! The numbers of clusters.

/// Labels below a bound that is no more than twice their number, by first appearance.
pub fn numbered(mut labels: Vec<u32>) -> Vec<u32> {
    const UNKNOWN: u32 = u32::MAX;
    let mut numbers = vec![UNKNOWN; labels.iter().max().map_or(0, |&label| label as usize + 1)];
    let mut next = 0;
    for label in &mut labels {
        let number = &mut numbers[*label as usize];
        if *number == UNKNOWN {
            *number = next;
            next += 1;
        }
        *label = *number;
    }
    labels
}

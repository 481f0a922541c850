//! What is doubtful in a clustering: clusters that nearly join, and clusters that one weak link
//! holds together.

use std::cmp::Reverse;

use crate::core::dpc::Candidates;
use crate::core::error::{Error, PointProblem, Result};

/// A peak that joins another cluster at a tau above `delta`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Merge {
    /// The peak.
    pub peak: u32,
    /// Its candidate parent, in the other cluster.
    pub candidate: u32,
    /// Distance of the two.
    pub delta: f64,
}

/// The peaks among `points` that have a candidate parent, nearest first.
pub fn merges(candidates: &Candidates, is_peak: impl Fn(usize) -> bool) -> Vec<Merge> {
    let peaks = candidates.iter().enumerate().filter(|(i, _)| is_peak(*i));
    let mut merges: Vec<Merge> = peaks
        .filter_map(|(i, candidate)| candidate.map(|(candidate, delta)| Merge { peak: i as u32, candidate, delta }))
        .collect();
    merges.sort_by(|a, b| a.delta.total_cmp(&b.delta).then(a.peak.cmp(&b.peak)));
    merges
}

/// The weakest link within a cluster: without it, the cluster falls in two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// The lower end of the link.
    pub point: u32,
    /// Its parent, the upper end.
    pub parent: u32,
    /// Length of the link.
    pub delta: f64,
    /// Points that hang on the lower end, itself included.
    pub below: usize,
    /// Points of the cluster that do not.
    pub rest: usize,
}

/// For each tree the longest link with at least `min_size` points on either side, of equally long
/// ones the most even; longest first. A tree without one gives none. `parent` of a peak is itself;
/// `delta` is NaN where unknown.
///
/// # Errors
/// If parents form a circle.
pub fn splits(parent: &[u32], delta: &[f64], min_size: usize) -> Result<Vec<Split>> {
    let order = upward(parent)?;
    let mut below = vec![1usize; parent.len()];
    for &i in &order {
        let up = parent[i as usize];
        if up != i {
            below[up as usize] += below[i as usize];
        }
    }
    let mut peak: Vec<u32> = (0..parent.len() as u32).collect();
    let mut weakest: Vec<Option<Split>> = vec![None; parent.len()];
    for &i in order.iter().rev() {
        let i = i as usize;
        peak[i] = peak[parent[i] as usize];
        let of_tree = peak[i] as usize;
        let rest = below[of_tree] - below[i];
        if below[i].min(rest) < min_size.max(1) || delta[i].is_nan() {
            continue;
        }
        let split = Split { point: i as u32, parent: parent[i], delta: delta[i], below: below[i], rest };
        if weakest[of_tree].is_none_or(|other| weaker(&split, &other).is_lt()) {
            weakest[of_tree] = Some(split);
        }
    }
    let mut splits: Vec<Split> = weakest.into_iter().flatten().collect();
    splits.sort_by(weaker);
    Ok(splits)
}

fn weaker(a: &Split, b: &Split) -> std::cmp::Ordering {
    let key = |split: &Split| (Reverse(split.below.min(split.rest)), split.point);
    b.delta.total_cmp(&a.delta).then_with(|| key(a).cmp(&key(b)))
}

/// All points, each before its parent.
fn upward(parent: &[u32]) -> Result<Vec<u32>> {
    let mut children = vec![0u32; parent.len()];
    let links = || (0..parent.len() as u32).filter(|&i| parent[i as usize] != i);
    links().for_each(|i| children[parent[i as usize] as usize] += 1);
    let mut order: Vec<u32> = (0..parent.len() as u32).filter(|&i| children[i as usize] == 0).collect();
    let mut at = 0;
    while at < order.len() {
        let (i, up) = (order[at], parent[order[at] as usize]);
        at += 1;
        if up != i {
            children[up as usize] -= 1;
            if children[up as usize] == 0 {
                order.push(up);
            }
        }
    }
    match children.iter().position(|&children| children > 0) {
        Some(row) => Err(Error::point(row, PointProblem::Circle)),
        None => Ok(order),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_link_with_enough_on_both_sides_is_the_weakest() {
        //        0
        //   1        2          link 1-0: 0.5, link 2-0: 0.6
        //   3 4      5          links 3, 4: 0.1, 5: 0.9 (a single point)
        let parent = [0, 0, 0, 1, 1, 2];
        let delta = [f64::NAN, 0.5, 0.6, 0.1, 0.1, 0.9];
        let of = |min_size| splits(&parent, &delta, min_size).unwrap();
        assert_eq!(of(1), [Split { point: 5, parent: 2, delta: 0.9, below: 1, rest: 5 }]);
        assert_eq!(of(2), [Split { point: 2, parent: 0, delta: 0.6, below: 2, rest: 4 }]);
        assert_eq!(of(3), [Split { point: 1, parent: 0, delta: 0.5, below: 3, rest: 3 }]);
        assert_eq!(of(4), []);
    }

    #[test]
    fn the_weakest_cluster_comes_first() {
        let found = splits(&[0, 0, 2, 2, 4], &[0.0, 0.2, 0.0, 0.3, 0.0], 1).unwrap();
        assert_eq!(found.iter().map(|split| split.point).collect::<Vec<_>>(), [3, 1]);
    }

    #[test]
    fn a_circle_is_an_error() {
        assert_eq!(splits(&[1, 0, 2], &[0.1; 3], 1), Err(Error::point(0, PointProblem::Circle)));
    }

    #[test]
    fn only_peaks_with_a_candidate_merge() {
        let found = merges(&vec![None, Some((0, 0.9)), Some((1, 0.8)), Some((0, 0.1))], |i| i != 3);
        assert_eq!(found.iter().map(|merge| (merge.peak, merge.candidate)).collect::<Vec<_>>(), [(2, 1), (1, 0)]);
    }
}

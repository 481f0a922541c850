//! Pairs that may not share a cluster, on their way into densities and distances.
//!
//! Two points kept apart say something of the points around them too. A density peak knows one neighbor alone, and where
//! two identities look alike it joins across them before a pair is in the way; and a kernel that takes the two for one
//! leaves nothing by which to tell them. So which points go with which of the two is asked of average linkage under the
//! constraints, along what the rows of the graph share under a kernel that tells near from nearer: from single points up to
//! a mean, and among the points that join both of a pair without it, up to the last link, so that each goes with one of the
//! two. No step from one side to the other is left in the transition matrix, of which densities, distances and trees are made.

use hashbrown::HashSet;

use crate::core::cluster_tree::ClusterTree;
use crate::core::constraints::Constraints;
use crate::core::dpc::TAU;
use crate::core::error::Result;
use crate::core::knn::KnnGraph;
use crate::core::links::Links;
use crate::core::monitor::Monitor;
use crate::core::similarity::Kernel;
use crate::core::sparse::{Matrix, from_rows, row};
use crate::core::transition;

/// Clusters are not joined below this mean of what links their points, as points are not.
const LOWEST: f64 = 1.0 - TAU;
/// The scale of the kernel, as a part of the graph's mean distance; 0.15 to 0.3 give the same on labelled faces and songs.
const SCALE: f64 = 0.2;

/// The transition matrix of a k-NN graph without the steps between what the pairs of `cannot_link` keep apart; the rows
/// still sum to 1. `None` without such pairs.
///
/// # Errors
/// If the constraints contradict each other, a distance is negative (`ip` of vectors longer than 1), or the run is stopped.
pub fn of_graph(
    graph: &KnnGraph,
    transition: &Matrix,
    constraints: &Constraints,
    monitor: &Monitor,
) -> Result<Option<Matrix>> {
    let distances = (0..graph.len()).flat_map(|row| graph.row(row).1).map(|&distance| f64::from(distance));
    separated(transition, || transition::from_graph(graph, sharp(distances), monitor), constraints, monitor)
}

/// Likewise of edges with a distance each.
///
/// # Errors
/// If the constraints contradict each other, a distance is negative or not finite, or the run is stopped.
pub fn of_distances(
    distances: &Matrix,
    transition: &Matrix,
    constraints: &Constraints,
    monitor: &Monitor,
) -> Result<Option<Matrix>> {
    let kernel = || sharp(distances.data().iter().copied());
    separated(transition, || transition::from_distances(distances, kernel(), monitor), constraints, monitor)
}

/// Likewise of edges with a similarity each.
///
/// # Errors
/// If the constraints contradict each other, a similarity is negative or not finite, or the run is stopped.
pub fn of_similarities(
    similarities: &Matrix,
    transition: &Matrix,
    constraints: &Constraints,
    monitor: &Monitor,
) -> Result<Option<Matrix>> {
    separated(transition, || transition::from_similarities(similarities, monitor), constraints, monitor)
}

/// The kernel that tells near from nearer among these distances.
fn sharp(distances: impl Iterator<Item = f64>) -> Kernel {
    let (sum, count) = distances.fold((0.0, 0.0), |(sum, count), distance| (sum + distance, count + 1.0));
    // Where all points are the same, so are their similarities.
    Kernel::Exp { sigma: if sum > 0.0 { SCALE * sum / count } else { 1.0 } }
}

/// `sharp` gives the transition matrix by which to tell the sides.
fn separated(
    transition: &Matrix,
    sharp: impl FnOnce() -> Result<Matrix>,
    constraints: &Constraints,
    monitor: &Monitor,
) -> Result<Option<Matrix>> {
    if constraints.cannot_link.is_empty() {
        return Ok(None);
    }
    let side = sides(transition, sharp, constraints, monitor)?;
    let side = &|point: u32| side[point as usize];
    let both = |&(a, b): &(u32, u32)| [(side(a), side(b)), (side(b), side(a))];
    let apart: HashSet<(u32, u32)> = constraints.cannot_link.iter().flat_map(both).collect();
    let left = |i: usize| {
        let (columns, values) = row(transition, i);
        let (own, apart) = (side(i as u32), &apart);
        columns.iter().zip(values).map(move |(&j, &p)| (j, if apart.contains(&(own, side(j))) { 0.0 } else { p }))
    };
    let fill = |i: usize, entries: &mut Vec<(u32, f64)>| {
        let sum: f64 = left(i).map(|step| step.1).sum();
        entries.extend(left(i).map(|(j, p)| (j, p / sum)));
        Ok(())
    };
    from_rows(transition.rows(), |i| row(transition, i).0.len(), fill, monitor).map(Some)
}

/// For each point the number of its side.
fn sides(
    transition: &Matrix,
    sharp: impl FnOnce() -> Result<Matrix>,
    constraints: &Constraints,
    monitor: &Monitor,
) -> Result<Vec<u32>> {
    // What joins at all, where it holds a pair that must not.
    let joined = ClusterTree::new(&Links::new(transition, monitor)?, &Constraints::default(), monitor)?.coarsest();
    let of = |point: u32| joined[point as usize];
    let mixed: HashSet<u32> =
        constraints.cannot_link.iter().filter(|pair| of(pair.0) == of(pair.1)).map(|pair| of(pair.0)).collect();
    let part: Vec<Option<u32>> =
        joined.into_iter().map(|cluster| Some(cluster).filter(|of| mixed.contains(of))).collect();

    let links = Links::new(&sharp()?, monitor)?;
    let mut side = ClusterTree::within(&links, 1.0, LOWEST, constraints, monitor)?.coarsest();
    if !mixed.is_empty() {
        let inner = ClusterTree::within(&links.within(&part), 1.0, f64::MIN_POSITIVE, constraints, monitor)?.coarsest();
        let first = 1 + side.iter().max().copied().unwrap_or(0);
        let inner = inner.into_iter().zip(&part).map(|(inner, part)| part.map(|_| first + inner));
        side.iter_mut().zip(inner).for_each(|(side, inner)| *side = inner.unwrap_or(*side));
    }
    Ok(side)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sparse::from_edges;

    /// Two groups of three, near to each other and nearer within.
    fn groups() -> Matrix {
        let pairs = (0..6u32).flat_map(|i| (0..6u32).filter(move |&j| j != i).map(move |j| (i, j)));
        let (src, dst): (Vec<u32>, Vec<u32>) = pairs.unzip();
        let apart = |(&i, &j): (&u32, &u32)| if i / 3 == j / 3 { 0.1 } else { 0.2 };
        let distances: Vec<f64> = src.iter().zip(&dst).map(apart).collect();
        from_edges(6, &src, &dst, &distances, &Monitor::new()).unwrap()
    }

    #[test]
    fn one_pair_takes_away_all_steps_between_the_two_groups() {
        let (monitor, distances) = (Monitor::new(), groups());
        let constraints = Constraints { must_link: vec![], cannot_link: vec![(1, 5)] };
        let transition = transition::from_distances(&distances, Kernel::Exp { sigma: 1.0 }, &monitor).unwrap();
        let separated = of_distances(&distances, &transition, &constraints, &monitor).unwrap().unwrap();
        for (i, row) in separated.outer_iterator().enumerate() {
            assert!((row.data().iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(row.iter().all(|(j, &p)| (p > 0.0) == (i / 3 == j / 3)), "{row:?}");
        }
    }

    #[test]
    fn without_pairs_to_keep_apart_nothing_is_looked_for() {
        let (monitor, distances) = (Monitor::new(), groups());
        let constraints = Constraints { must_link: vec![(0, 1)], cannot_link: vec![] };
        let transition = transition::from_distances(&distances, Kernel::Exp { sigma: 1.0 }, &monitor).unwrap();
        assert_eq!(of_distances(&distances, &transition, &constraints, &monitor).unwrap(), None);
        assert_eq!(of_similarities(&distances, &transition, &constraints, &monitor).unwrap(), None);
    }

    #[test]
    fn points_that_are_all_the_same_have_sides_too() {
        let (monitor, mut distances) = (Monitor::new(), groups());
        distances.data_mut().fill(0.0);
        let constraints = Constraints { must_link: vec![], cannot_link: vec![(0, 1)] };
        let transition = transition::from_distances(&distances, Kernel::Exp { sigma: 1.0 }, &monitor).unwrap();
        let separated = of_distances(&distances, &transition, &constraints, &monitor).unwrap().unwrap();
        assert_eq!(separated.get(0, 1), Some(&0.0));
    }
}

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
/// The number of a point that is on no side.
const NO_SIDE: u32 = u32::MAX;

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
    let (among_all, among_joined) = sides(transition, sharp, constraints, monitor)?;
    let (apart, joined_apart) = (kept_apart(&among_all, constraints), kept_apart(&among_joined, constraints));
    let is_apart = |i: u32, j: u32| {
        let sides = |side: &[u32]| (side[i as usize], side[j as usize]);
        match sides(&among_joined) {
            (NO_SIDE, _) | (_, NO_SIDE) => apart.contains(&sides(&among_all)),
            sides => joined_apart.contains(&sides),
        }
    };
    let is_apart = &is_apart;
    let left = |i: usize| {
        let (columns, values) = row(transition, i);
        columns.iter().zip(values).map(move |(&j, &p)| (j, if is_apart(i as u32, j) { 0.0 } else { p }))
    };
    let fill = |i: usize, entries: &mut Vec<(u32, f64)>| {
        let sum: f64 = left(i).map(|step| step.1).sum();
        entries.extend(left(i).map(|(j, p)| (j, p / sum)));
        Ok(())
    };
    from_rows(transition.rows(), |i| row(transition, i).0.len(), fill, monitor).map(Some)
}

/// The sides that hold the ends of a pair, both ways.
fn kept_apart(side: &[u32], constraints: &Constraints) -> HashSet<(u32, u32)> {
    let of = |point: u32| side[point as usize];
    let pairs = constraints.cannot_link.iter().filter(|pair| of(pair.0) != of(pair.1));
    pairs.flat_map(|&(a, b)| [(of(a), of(b)), (of(b), of(a))]).collect()
}

/// For each point the number of its side: among all, up to a mean; and among those that join both ends of a pair, where
/// the others have [`NO_SIDE`].
fn sides(
    transition: &Matrix,
    sharp: impl FnOnce() -> Result<Matrix>,
    constraints: &Constraints,
    monitor: &Monitor,
) -> Result<(Vec<u32>, Vec<u32>)> {
    let joined = {
        let _part = monitor.narrow(0.0..0.4);
        let must_link = Constraints { must_link: constraints.must_link.clone(), cannot_link: vec![] };
        ClusterTree::new(&Links::new(transition, monitor)?, &must_link, monitor)?.coarsest()
    };
    let of = |point: u32| joined[point as usize];
    let mixed = constraints.cannot_link.iter().filter(|pair| of(pair.0) == of(pair.1));
    let mixed: HashSet<u32> = mixed.map(|pair| of(pair.0)).collect();

    let _part = monitor.narrow(0.4..1.0);
    let links = Links::new(&sharp()?, monitor)?;
    let among_all = ClusterTree::within(&links, 1.0, LOWEST, constraints, monitor)?.coarsest();
    if mixed.is_empty() {
        return Ok((among_all, vec![NO_SIDE; joined.len()]));
    }
    let links = links.within(|point| Some(of(point)).filter(|cluster| mixed.contains(cluster)));
    let mut among_joined = ClusterTree::within(&links, 1.0, f64::MIN_POSITIVE, constraints, monitor)?.coarsest();
    let others = among_joined.iter_mut().zip(&joined).filter(|(_, cluster)| !mixed.contains(*cluster));
    others.for_each(|(side, _)| *side = NO_SIDE);
    Ok((among_all, among_joined))
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
    fn a_pair_reaches_what_must_be_together_with_its_ends() {
        // 6 must be with 0, of the first group, and cannot be with 5: then neither can that group.
        let monitor = Monitor::new();
        let mut edges: Vec<(u32, u32, f64)> = groups().iter().map(|(&d, (i, j))| (i, j, d)).collect();
        edges.extend([(6, 7, 0.1), (7, 6, 0.1)]);
        let of = |at: fn(&(u32, u32, f64)) -> u32| edges.iter().map(at).collect::<Vec<_>>();
        let distances: Vec<f64> = edges.iter().map(|edge| edge.2).collect();
        let distances = from_edges(8, &of(|edge| edge.0), &of(|edge| edge.1), &distances, &monitor).unwrap();
        let transition = transition::from_distances(&distances, Kernel::Exp { sigma: 1.0 }, &monitor).unwrap();
        let constraints = Constraints { must_link: vec![(0, 6)], cannot_link: vec![(6, 5)] };
        let separated = of_distances(&distances, &transition, &constraints, &monitor).unwrap().unwrap();
        for (i, j) in (0..3).flat_map(|i| (3..6).map(move |j| (i, j))) {
            assert_eq!((separated.get(i, j), separated.get(j, i)), (Some(&0.0), Some(&0.0)), "{i} {j}");
        }
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

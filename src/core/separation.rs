//! Pairs that may not share a cluster, on their way into densities and distances.
//!
//! Two points kept apart say something of the points around them too. A density peak knows one neighbor alone, and where
//! two identities look alike it joins across them before a pair is in the way; and a kernel that takes the two for one
//! leaves nothing by which to tell them. So which points go with which of the two is asked of average linkage under the
//! constraints, along what the rows of the graph share under a kernel that tells near from nearer, and no step from one to
//! the other is left in the transition matrix, of which densities, distances and trees are made.

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

/// Clusters, and which of them are kept apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Sides {
    cluster: Vec<u32>,
    apart: HashSet<(u32, u32)>,
}

/// What the pairs keep apart in a k-NN graph, `None` without pairs of `cannot_link`.
///
/// # Errors
/// If the constraints contradict each other, a distance is negative (`ip` of vectors longer than 1), or the run is stopped.
pub fn of_graph(graph: &KnnGraph, constraints: &Constraints, monitor: &Monitor) -> Result<Option<Sides>> {
    let distances = (0..graph.len()).flat_map(|row| graph.row(row).1).map(|&distance| f64::from(distance));
    of_kernel(distances, |kernel| transition::from_graph(graph, kernel, monitor), constraints, monitor)
}

/// Likewise of edges with a distance each.
///
/// # Errors
/// If the constraints contradict each other, a distance is negative or not finite, or the run is stopped.
pub fn of_distances(distances: &Matrix, constraints: &Constraints, monitor: &Monitor) -> Result<Option<Sides>> {
    let by = |kernel| transition::from_distances(distances, kernel, monitor);
    of_kernel(distances.data().iter().copied(), by, constraints, monitor)
}

/// Likewise of edges with a similarity each.
///
/// # Errors
/// If the constraints contradict each other, a similarity is negative or not finite, or the run is stopped.
pub fn of_similarities(similarities: &Matrix, constraints: &Constraints, monitor: &Monitor) -> Result<Option<Sides>> {
    if constraints.cannot_link.is_empty() {
        return Ok(None);
    }
    Sides::new(&transition::from_similarities(similarities, monitor)?, constraints, monitor).map(Some)
}

fn of_kernel(
    distances: impl Iterator<Item = f64>,
    transition: impl Fn(Kernel) -> Result<Matrix>,
    constraints: &Constraints,
    monitor: &Monitor,
) -> Result<Option<Sides>> {
    if constraints.cannot_link.is_empty() {
        return Ok(None);
    }
    let (sum, count) = distances.fold((0.0, 0.0), |(sum, count), distance| (sum + distance, count + 1.0));
    // Where all points are the same, so are their similarities.
    let sigma = if sum > 0.0 { SCALE * sum / count } else { 1.0 };
    Sides::new(&transition(Kernel::Exp { sigma })?, constraints, monitor).map(Some)
}

impl Sides {
    fn new(transition: &Matrix, constraints: &Constraints, monitor: &Monitor) -> Result<Self> {
        let links = Links::new(transition, monitor)?;
        let cluster = ClusterTree::within(&links, 1.0, LOWEST, constraints, monitor)?.coarsest();
        let of = |point: u32| cluster[point as usize];
        let both = |&(a, b): &(u32, u32)| [(of(a), of(b)), (of(b), of(a))];
        let apart = constraints.cannot_link.iter().flat_map(both).collect();
        Ok(Self { cluster, apart })
    }

    /// A transition matrix in which the steps between what is kept apart have probability 0; the rows still sum to 1.
    ///
    /// # Errors
    /// If the run is stopped.
    pub fn separate(&self, transition: &Matrix, monitor: &Monitor) -> Result<Matrix> {
        let of = |point: u32| self.cluster[point as usize];
        let left = |i: usize| {
            let (columns, values) = row(transition, i);
            let steps = columns.iter().zip(values);
            steps.map(move |(&j, &p)| (j, if self.apart.contains(&(of(i as u32), of(j))) { 0.0 } else { p }))
        };
        let fill = |i: usize, entries: &mut Vec<(u32, f64)>| {
            let sum: f64 = left(i).map(|step| step.1).sum();
            entries.extend(left(i).map(|(j, p)| (j, p / sum)));
            Ok(())
        };
        from_rows(transition.rows(), |i| row(transition, i).0.len(), fill, monitor)
    }
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
        let sides = of_distances(&distances, &constraints, &monitor).unwrap().unwrap();
        let transition = transition::from_distances(&distances, Kernel::Exp { sigma: 1.0 }, &monitor).unwrap();
        let separated = sides.separate(&transition, &monitor).unwrap();
        for (i, row) in separated.outer_iterator().enumerate() {
            assert!((row.data().iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(row.iter().all(|(j, &p)| (p > 0.0) == (i / 3 == j / 3)), "{row:?}");
        }
    }

    #[test]
    fn without_pairs_to_keep_apart_nothing_is_looked_for() {
        let constraints = Constraints { must_link: vec![(0, 1)], cannot_link: vec![] };
        assert_eq!(of_distances(&groups(), &constraints, &Monitor::new()).unwrap(), None);
        assert_eq!(of_similarities(&groups(), &constraints, &Monitor::new()).unwrap(), None);
    }

    #[test]
    fn points_that_are_all_the_same_have_sides_too() {
        let mut distances = groups();
        distances.data_mut().fill(0.0);
        let constraints = Constraints { must_link: vec![], cannot_link: vec![(0, 1)] };
        let sides = of_distances(&distances, &constraints, &Monitor::new()).unwrap().unwrap();
        assert_ne!(sides.cluster[0], sides.cluster[1]);
    }
}

//! Pairs that may not share a cluster, on their way into densities and distances.
//!
//! Two points kept apart say something of the points around them too. A density peak knows one neighbor alone, and where
//! two identities look alike it joins across them before a pair is in the way. So which points go with which of the two
//! is asked of average linkage under the constraints, and the steps between two of its clusters that a pair keeps apart
//! are taken out of the transition matrix, from which densities and distances
//! come.

use hashbrown::HashSet;

use crate::core::cluster_tree::ClusterTree;
use crate::core::constraints::Constraints;
use crate::core::dpc::TAU;
use crate::core::error::Result;
use crate::core::links::Links;
use crate::core::monitor::Monitor;
use crate::core::sparse::Matrix;
use crate::core::transition;

/// Clusters are not joined below this mean of what links their points, as points are not.
const LOWEST: f64 = 1.0 - TAU;

/// The transition matrix without the steps between what `cannot_link` keeps apart; the rows still sum to 1. `None`
/// without such pairs.
///
/// # Errors
/// If it is no transition matrix, the constraints contradict each other, or the run is stopped.
pub fn separated(transition: &Matrix, constraints: &Constraints, monitor: &Monitor) -> Result<Option<Matrix>> {
    if constraints.cannot_link.is_empty() {
        return Ok(None);
    }
    let links = Links::new(transition, monitor)?;
    let cluster = ClusterTree::within(&links, 1.0, LOWEST, constraints, monitor)?.coarsest();
    let of = |point: u32| cluster[point as usize];
    let both = |&(a, b): &(u32, u32)| [(of(a), of(b)), (of(b), of(a))];
    let apart: HashSet<(u32, u32)> = constraints.cannot_link.iter().flat_map(both).collect();
    transition::without(transition, |i, j| apart.contains(&(of(i), of(j))), monitor).map(Some)
}

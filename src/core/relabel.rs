//! Cluster ids that last: a new clustering under the ids of an earlier one.

use crate::core::error::{Error, Result};

/// The id of each cluster 0, 1, 2, ...: an earlier one where the two overlap most, else a new one.
///
/// `cluster` is the cluster of each point, `previous` the id of its earlier cluster, if it had one.
/// Pairs of a new and an earlier cluster are taken in order of the points that they share, most
/// first; of equal ones that of the smaller id, then of the smaller cluster. A pair is left out
/// once either has found the other's like, so that an earlier id goes to one cluster at most. The
/// other clusters are numbered on, in their order, from `greatest`, the greatest of all earlier ids, or
/// from 0 if that is below 0 or there is none.
///
/// # Errors
/// If no 64-bit numbers are left above the greatest id.
///
/// ```
/// use density_peaks::relabel::relabel;
///
/// // Cluster 0 has most of what was 7, cluster 1 the rest of it and a new point.
/// let previous = [Some(7), Some(7), Some(7), None];
/// assert_eq!(relabel(&[0, 0, 1, 1], &previous, Some(7))?, [7, 8]);
/// # Ok::<(), density_peaks::Error>(())
/// ```
pub fn relabel(cluster: &[u32], previous: &[Option<i64>], greatest: Option<i64>) -> Result<Vec<i64>> {
    let clusters = cluster.iter().max().map_or(0, |&last| last as usize + 1);
    let mut shared: Vec<(u32, i64)> =
        cluster.iter().zip(previous).filter_map(|(&cluster, &id)| Some((cluster, id?))).collect();
    shared.sort_unstable();
    let mut pairs: Vec<(usize, i64, u32)> =
        shared.chunk_by(|a, b| a == b).map(|points| (points.len(), points[0].1, points[0].0)).collect();
    pairs.sort_unstable_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let mut ids = vec![None; clusters];
    let mut taken = std::collections::HashSet::new();
    for (_, id, cluster) in pairs {
        let place = &mut ids[cluster as usize];
        if place.is_none() && taken.insert(id) {
            *place = Some(id);
        }
    }
    let mut last = greatest.unwrap_or(-1).max(-1);
    ids.into_iter()
        .map(|id| {
            id.map_or_else(
                || {
                    last = last.checked_add(1).ok_or(Error::NoClusterIdLeft { greatest: last })?;
                    Ok(last)
                },
                Ok,
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_goes_to_the_largest_overlap_and_to_one_cluster_only() {
        // What was 5 is split: two points in cluster 0, three in cluster 1. What was 3 joined cluster 1.
        let cluster = [0, 0, 1, 1, 1, 1, 2];
        let previous = [5, 5, 5, 5, 5, 3, 9].map(Some);
        assert_eq!(relabel(&cluster, &previous, Some(9)).unwrap(), [10, 5, 9]);
    }

    #[test]
    fn of_equal_overlaps_the_smaller_id_then_the_smaller_cluster_wins() {
        assert_eq!(relabel(&[0, 0], &[Some(4), Some(2)], Some(4)).unwrap(), [2]);
        assert_eq!(relabel(&[0, 1], &[Some(4), Some(4)], Some(4)).unwrap(), [4, 5]);
    }

    #[test]
    fn new_ids_begin_above_the_greatest_and_not_below_zero() {
        assert_eq!(relabel(&[0, 1], &[None, None], Some(20)).unwrap(), [21, 22]);
        assert_eq!(relabel(&[0, 1], &[None, Some(-7)], Some(-7)).unwrap(), [0, -7]);
        assert_eq!(relabel(&[0], &[None], None).unwrap(), [0]);
        assert!(relabel(&[], &[], None).unwrap().is_empty());
        let most = i64::MAX;
        assert_eq!(relabel(&[0], &[Some(most)], Some(most)).unwrap(), [most]);
        assert!(relabel(&[0], &[None], Some(most)).unwrap_err().to_string().contains("no number is left"));
    }
}

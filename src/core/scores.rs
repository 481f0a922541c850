//! How well a clustering agrees with the true labels, from how often each label occurs in each
//! cluster. No pair of points is enumerated.
//!
//! The counts are whole numbers, and are summed by size before they become fractions: a score has
//! the same bits in any order of the points, however they were counted.

use std::collections::BTreeMap;
use std::hash::Hash;

use hashbrown::HashMap;

/// How many points have which label and are in which cluster; a `K` stands for either.
#[derive(Debug, Clone, PartialEq)]
pub struct Contingency<K: Hash + Eq> {
    cells: HashMap<(K, K), u64>,
    /// Points of each label that are alone in a cluster of their own.
    alone: HashMap<K, u64>,
}

/// Precision, recall, and F, their harmonic mean; each between 0 and 1, or `None` where it is 0/0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrecisionRecall {
    /// How much of what is together belongs together.
    pub precision: Option<f64>,
    /// How much of what belongs together is together.
    pub recall: Option<f64>,
    /// 2 · precision · recall / (precision + recall).
    pub f: Option<f64>,
}

impl<K: Hash + Eq> Default for Contingency<K> {
    fn default() -> Self {
        Self { cells: HashMap::new(), alone: HashMap::new() }
    }
}

impl<K: Copy + Hash + Ord> Contingency<K> {
    /// Count a point; without a cluster it is alone in one of its own.
    #[inline]
    pub fn add(&mut self, label: K, cluster: Option<K>) {
        match cluster {
            Some(cluster) => *self.cells.entry((label, cluster)).or_insert(0) += 1,
            None => *self.alone.entry(label).or_insert(0) += 1,
        }
    }

    /// Count the points of another too.
    pub fn merge(&mut self, other: &Self) {
        for (&cell, &points) in &other.cells {
            *self.cells.entry(cell).or_insert(0) += points;
        }
        for (&label, &points) in &other.alone {
            *self.alone.entry(label).or_insert(0) += points;
        }
    }

    /// Number of points.
    pub fn points(&self) -> u64 {
        self.cells.values().chain(self.alone.values()).sum()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.alone.is_empty()
    }

    /// Pairwise precision, recall and F: over the unordered pairs of two different points, those
    /// that share a cluster against those that share a label. `None` without points; a value is
    /// `None` where there is no such pair to divide by.
    pub fn pairwise(&self) -> Option<PrecisionRecall> {
        self.some_points()?;
        let (together, labels, clusters) = (self.cells().pairs(), self.labels().pairs(), self.clusters().pairs());
        let share = |part: u128, whole: u128| (whole > 0).then(|| part as f64 / whole as f64);
        Some(PrecisionRecall {
            precision: share(together, clusters),
            recall: share(together, labels),
            f: share(2 * together, clusters + labels),
        })
    }

    /// BCubed precision, recall and F (Bagga and Baldwin 1998; Amigó et al. 2009): means over the
    /// points, each its own companion too, of the share of its cluster that has its label, and of
    /// its label that is in its cluster. `None` without points.
    pub fn bcubed(&self) -> Option<PrecisionRecall> {
        let points = self.some_points()? as f64;
        let (precision, recall) = (self.clusters().shares() / points, self.labels().shares() / points);
        let f = 2.0 * precision * recall / (precision + recall);
        Some(PrecisionRecall { precision: Some(precision), recall: Some(recall), f: Some(f) })
    }

    /// Adjusted Rand index (Hubert and Arabie 1985): agreement over pairs, scaled so that chance
    /// gives 0 and full agreement 1. Between -0.5 and 1; 1 also where there are no pairs. `None`
    /// without points.
    pub fn adjusted_rand(&self) -> Option<f64> {
        let all = pairs(self.some_points()?);
        let (together, labels, clusters) = (self.cells().pairs(), self.labels().pairs(), self.clusters().pairs());
        let (missed, wrong) = (labels - together, clusters - together);
        if missed == 0 && wrong == 0 {
            return Some(1.0);
        }
        let apart = all - clusters - missed;
        // Whole numbers up to here, so that nothing is lost where two large ones nearly cancel.
        let [together, missed, wrong, apart] = [together, missed, wrong, apart].map(|pairs| pairs as f64);
        let scale = (together + missed) * (missed + apart) + (together + wrong) * (wrong + apart);
        Some(2.0 * (together * apart - missed * wrong) / scale)
    }

    /// Mutual information of label and cluster by the arithmetic mean of their entropies (Strehl
    /// and Ghosh 2002; the mean is scikit-learn's default). Between 0 and 1; 1 where all points
    /// share both. `None` without points.
    pub fn normalized_mutual_info(&self) -> Option<f64> {
        let points = self.some_points()? as f64;
        let (labels, clusters) = (self.labels(), self.clusters());
        match (labels.parts(), clusters.parts()) {
            (1, 1) => return Some(1.0),
            (1, _) | (_, 1) => return Some(0.0),
            _ => {}
        }
        let (of_labels, of_clusters) = (labels.entropy(points), clusters.entropy(points));
        let shared = of_labels + of_clusters - self.cells().entropy(points);
        // What rounding leaves of an exact 0.
        if shared <= 4.0 * f64::EPSILON * (of_labels + of_clusters) {
            return Some(0.0);
        }
        Some((shared / ((of_labels + of_clusters) / 2.0)).min(1.0))
    }

    fn some_points(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.points())
    }

    fn alone_points(&self) -> u64 {
        self.alone.values().sum()
    }

    fn labels(&self) -> Sizes {
        let mut sizes = Sizes::default();
        let mut alone = self.alone.clone();
        each_sum(self.cells.iter().map(|(&(label, _), &points)| (label, points)), |label, points, squares| {
            let alone = alone.remove(&label).unwrap_or(0);
            sizes.add(points + alone, 1, squares + u128::from(alone));
        });
        alone.into_values().for_each(|points| sizes.add(points, 1, points.into()));
        sizes
    }

    fn clusters(&self) -> Sizes {
        let mut sizes = Sizes::alone(self.alone_points());
        each_sum(self.cells.iter().map(|(&(_, cluster), &points)| (cluster, points)), |_, points, squares| {
            sizes.add(points, 1, squares);
        });
        sizes
    }

    fn cells(&self) -> Sizes {
        let mut sizes = Sizes::alone(self.alone_points());
        self.cells.values().for_each(|&points| sizes.add(points, 1, square(points)));
        sizes
    }
}

/// Call `each` with every key, the sum of its points over the cells, and that of their squares.
/// Sorted, because that takes a fraction of the memory of another table.
fn each_sum<K: Copy + Ord>(cells: impl Iterator<Item = (K, u64)>, mut each: impl FnMut(K, u64, u128)) {
    let mut cells: Vec<(K, u64)> = cells.collect();
    cells.sort_unstable_by_key(|cell| cell.0);
    for cells in cells.chunk_by(|a, b| a.0 == b.0) {
        let points = cells.iter().map(|cell| cell.1);
        each(cells[0].0, points.clone().sum(), points.map(square).sum());
    }
}

/// A division of the points into parts: labels, clusters, or cells.
#[derive(Default)]
struct Sizes(BTreeMap<u64, Parts>);

/// The parts of one size.
#[derive(Default)]
struct Parts {
    count: u64,
    /// Of the cells in them, the sum of the squares of their points.
    squares: u128,
}

impl Sizes {
    /// Parts of one point each.
    fn alone(points: u64) -> Self {
        let mut sizes = Self::default();
        if points > 0 {
            sizes.add(1, points, points.into());
        }
        sizes
    }

    fn add(&mut self, size: u64, count: u64, squares: u128) {
        let parts = self.0.entry(size).or_default();
        parts.count += count;
        parts.squares += squares;
    }

    fn parts(&self) -> u64 {
        self.0.values().map(|parts| parts.count).sum()
    }

    /// Unordered pairs of two different points in the same part.
    fn pairs(&self) -> u128 {
        self.0.iter().map(|(&size, parts)| u128::from(parts.count) * pairs(size)).sum()
    }

    /// The sum over points of the share of their part that is in their cell.
    fn shares(&self) -> f64 {
        self.0.iter().map(|(&size, parts)| parts.squares as f64 / size as f64).sum()
    }

    /// In nats.
    fn entropy(&self, points: f64) -> f64 {
        let terms = self.0.iter().map(|(&size, parts)| parts.count as f64 * size as f64 * (size as f64).ln());
        points.ln() - terms.sum::<f64>() / points
    }
}

fn square(points: u64) -> u128 {
    u128::from(points) * u128::from(points)
}

/// Unordered pairs of two different of `points`.
fn pairs(points: u64) -> u128 {
    (square(points) - u128::from(points)) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(points: &[(u64, Option<u64>)]) -> Contingency<u64> {
        let mut counts = Contingency::default();
        points.iter().for_each(|&(label, cluster)| counts.add(label, cluster));
        counts
    }

    fn of(labels: &[u64], clusters: &[u64]) -> Contingency<u64> {
        counted(&labels.iter().zip(clusters).map(|(&label, &cluster)| (label, Some(cluster))).collect::<Vec<_>>())
    }

    fn precision_recall(scores: Option<PrecisionRecall>) -> [Option<f64>; 3] {
        scores.map(|scores| [scores.precision, scores.recall, scores.f]).unwrap()
    }

    #[test]
    fn without_points_there_is_no_score() {
        let none = Contingency::<u64>::default();
        assert_eq!((none.pairwise(), none.bcubed()), (None, None));
        assert_eq!((none.adjusted_rand(), none.normalized_mutual_info()), (None, None));
    }

    #[test]
    fn one_point_agrees_with_itself_and_has_no_pairs() {
        for one in [counted(&[(7, Some(3))]), counted(&[(7, None)])] {
            assert_eq!(precision_recall(one.pairwise()), [None; 3]);
            assert_eq!(precision_recall(one.bcubed()), [Some(1.0); 3]);
            assert_eq!((one.adjusted_rand(), one.normalized_mutual_info()), (Some(1.0), Some(1.0)));
        }
    }

    #[test]
    fn a_clustering_by_other_numbers_is_perfect() {
        let same = of(&[1, 1, 2, 2, 2, 3, 9], &[5, 5, 1, 1, 1, 2, 3]);
        assert_eq!(precision_recall(same.pairwise()), [Some(1.0); 3]);
        assert_eq!(precision_recall(same.bcubed()), [Some(1.0); 3]);
        assert_eq!((same.adjusted_rand(), same.normalized_mutual_info()), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn all_in_one_cluster_is_complete_and_all_alone_is_pure() {
        let one = of(&[1, 1, 2, 2], &[0, 0, 0, 0]);
        assert_eq!(precision_recall(one.pairwise()), [Some(1.0 / 3.0), Some(1.0), Some(0.5)]);
        assert_eq!(precision_recall(one.bcubed()), [Some(0.5), Some(1.0), Some(2.0 / 3.0)]);
        assert_eq!((one.adjusted_rand(), one.normalized_mutual_info()), (Some(0.0), Some(0.0)));
        for alone in [of(&[1, 1, 2, 2], &[0, 1, 2, 3]), counted(&[(1, None), (1, None), (2, None), (2, None)])] {
            assert_eq!(precision_recall(alone.pairwise()), [None, Some(0.0), Some(0.0)]);
            assert_eq!(precision_recall(alone.bcubed()), [Some(1.0), Some(0.5), Some(2.0 / 3.0)]);
            assert_eq!(alone.adjusted_rand(), Some(0.0));
            assert!((alone.normalized_mutual_info().unwrap() - 2.0 / 3.0).abs() < 1e-15);
        }
    }

    /// The example of Bagga and Baldwin (1998): the same mistake weighs more in larger clusters.
    #[test]
    fn bcubed_is_that_of_its_paper() {
        let truth = [1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3];
        let small_joined = of(&truth, &[1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2]).bcubed().unwrap();
        assert!((small_joined.precision.unwrap() - (5.0 + 4.0 / 7.0 + 25.0 / 7.0) / 12.0).abs() < 1e-15);
        let large_joined = of(&truth, &[1, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1]).bcubed().unwrap();
        assert!((large_joined.precision.unwrap() - 7.0 / 12.0).abs() < 1e-15);
        assert_eq!((small_joined.recall, large_joined.recall), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn labels_independent_of_clusters_share_nothing() {
        let independent = of(&[0, 0, 1, 1, 2, 2], &[0, 1, 0, 1, 0, 1]);
        assert_eq!(independent.normalized_mutual_info(), Some(0.0));
        assert_eq!(independent.adjusted_rand(), Some(2.0 * (0.0 * 6.0 - 3.0 * 6.0) / (3.0 * 9.0 + 6.0 * 12.0)));
    }

    #[test]
    fn billions_of_points_do_not_overflow() {
        let mut counts = Contingency::default();
        counts.cells.extend([((0, 0), 1u64 << 40), ((0, 1), 1), ((1, 1), 1 << 40)]);
        assert!(counts.adjusted_rand().unwrap() > 0.999_999);
        assert!(precision_recall(counts.pairwise())[2].unwrap() > 0.999_999);
        assert!(precision_recall(counts.bcubed())[2].unwrap() > 0.999_999);
        assert!(counts.normalized_mutual_info().unwrap() > 0.999_999);
    }

    #[test]
    fn merged_counts_are_those_of_all_points() {
        let mut left = counted(&[(0, Some(0)), (1, Some(1)), (1, None)]);
        left.merge(&counted(&[(0, Some(0)), (1, Some(0)), (0, None)]));
        let all = [(0, Some(0)), (1, Some(1)), (1, None), (0, Some(0)), (1, Some(0)), (0, None)];
        assert_eq!(left, counted(&all));
        assert_eq!(left.points(), 6);
    }
}

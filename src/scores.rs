//! How well a clustering agrees with the true labels, from how often each label occurs in each
//! cluster. No pair of points is enumerated, and no score depends on the order of the points.
//!
//! A point alone in a cluster of its own is counted as such ([`Contingency::add`] with no
//! cluster), so that what a method leaves out costs it recall.

use std::collections::BTreeMap;
use std::hash::Hash;

use hashbrown::HashMap;

/// How many points have which label and are in which cluster; numbers of any kind stand for both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contingency {
    cells: HashMap<(u64, u64), u64>,
    /// Points of each label that are alone in a cluster of their own.
    alone: HashMap<u64, u64>,
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

/// The size of a label or of a cluster, and the sum of the squares of its cells.
#[derive(Debug, Clone, Copy, Default)]
struct Margin {
    size: u64,
    squares: u128,
}

/// Unordered pairs of two different points by whether they share a label, and a cluster.
struct Pairs {
    /// Both shared.
    together: u128,
    /// Those that share a label.
    labels: u128,
    /// Those that share a cluster.
    clusters: u128,
    all: u128,
}

impl Contingency {
    /// Count a point; without a cluster it is alone in one of its own.
    #[inline]
    pub fn add(&mut self, label: u64, cluster: Option<u64>) {
        match cluster {
            Some(cluster) => *self.cells.entry((label, cluster)).or_insert(0) += 1,
            None => *self.alone.entry(label).or_insert(0) += 1,
        }
    }

    /// Count the points of another, whose numbers `label` and `cluster` turn into those used here.
    pub fn merge(&mut self, other: &Self, label: impl Fn(u64) -> u64, cluster: impl Fn(u64) -> u64) {
        for (&(from, to), &points) in &other.cells {
            *self.cells.entry((label(from), cluster(to))).or_insert(0) += points;
        }
        for (&from, &points) in &other.alone {
            *self.alone.entry(label(from)).or_insert(0) += points;
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
        let pairs = self.pairs()?;
        let share = |part: u128, whole: u128| (whole > 0).then(|| part as f64 / whole as f64);
        Some(PrecisionRecall {
            precision: share(pairs.together, pairs.clusters),
            recall: share(pairs.together, pairs.labels),
            f: share(2 * pairs.together, pairs.clusters + pairs.labels),
        })
    }

    /// BCubed precision, recall and F (Bagga and Baldwin 1998; Amigó et al. 2009): means over the
    /// points, each its own companion too, of the share of its cluster that has its label, and of
    /// its label that is in its cluster. `None` without points.
    pub fn bcubed(&self) -> Option<PrecisionRecall> {
        let points = self.some_points()?;
        let precision = sum_of_shares(self.clusters().values(), self.alone_points()) / points;
        let recall = sum_of_shares(self.labels().values(), 0) / points;
        let f = 2.0 * precision * recall / (precision + recall);
        Some(PrecisionRecall { precision: Some(precision), recall: Some(recall), f: Some(f) })
    }

    /// Adjusted Rand index (Hubert and Arabie 1985): the share of pairs on which both agree,
    /// corrected so that chance gives 0 and full agreement 1. Between -0.5 and 1; 1 also where no
    /// pair can disagree. `None` without points.
    pub fn adjusted_rand(&self) -> Option<f64> {
        let Pairs { together, labels, clusters, all } = self.pairs()?;
        let (missed, wrong) = (labels - together, clusters - together);
        if missed == 0 && wrong == 0 {
            return Some(1.0);
        }
        let apart = all - clusters - missed;
        // Whole numbers up to here, so that nothing is lost where two large ones nearly cancel.
        let [together, missed, wrong, apart] = [together, missed, wrong, apart].map(|pairs| pairs as f64);
        let chance = (together + missed) * (missed + apart) + (together + wrong) * (wrong + apart);
        Some(2.0 * (together * apart - missed * wrong) / chance)
    }

    /// Mutual information of label and cluster, divided by the arithmetic mean of their entropies
    /// (Strehl and Ghosh 2002; scikit-learn's default). Between 0 and 1; 1 where neither divides
    /// the points. `None` without points.
    pub fn normalized_mutual_info(&self) -> Option<f64> {
        let points = self.some_points()?;
        let alone = self.alone_points();
        let (labels, clusters) = (self.labels(), self.clusters());
        match (labels.len() as u64, clusters.len() as u64 + alone) {
            (1, 1) => return Some(1.0),
            (1, _) | (_, 1) => return Some(0.0),
            _ => {}
        }
        let of_labels = entropy(labels.values().map(|label| label.size), 0, points);
        let of_clusters = entropy(clusters.values().map(|cluster| cluster.size), alone, points);
        let of_both = entropy(self.cells.values().copied(), alone, points);
        let shared = of_labels + of_clusters - of_both;
        // What the rounding of the three leaves of an exact 0.
        let noise = 4.0 * f64::EPSILON * (of_labels + of_clusters);
        let shared = if shared <= noise { 0.0 } else { shared };
        Some((shared / ((of_labels + of_clusters) / 2.0)).min(1.0))
    }

    fn some_points(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.points() as f64)
    }

    fn alone_points(&self) -> u64 {
        self.alone.values().sum()
    }

    /// Of each label; a point alone is a cell of 1.
    fn labels(&self) -> HashMap<u64, Margin> {
        let mut labels = margins(self.cells.iter().map(|(&(label, _), &points)| (label, points)));
        for (&label, &points) in &self.alone {
            let label = labels.entry(label).or_default();
            label.size += points;
            label.squares += u128::from(points);
        }
        labels
    }

    /// Of each cluster, but for those of one point alone.
    fn clusters(&self) -> HashMap<u64, Margin> {
        margins(self.cells.iter().map(|(&(_, cluster), &points)| (cluster, points)))
    }

    fn pairs(&self) -> Option<Pairs> {
        let all = pairs((!self.is_empty()).then(|| self.points())?);
        let in_margins = |margins: HashMap<u64, Margin>| margins.values().map(|margin| pairs(margin.size)).sum();
        let together = self.cells.values().map(|&points| pairs(points)).sum();
        Some(Pairs { together, labels: in_margins(self.labels()), clusters: in_margins(self.clusters()), all })
    }
}

/// Unordered pairs of two different of `points`.
fn pairs(points: u64) -> u128 {
    let points = u128::from(points);
    points * points.saturating_sub(1) / 2
}

fn margins<K: Hash + Eq>(cells: impl Iterator<Item = (K, u64)>) -> HashMap<K, Margin> {
    let mut margins: HashMap<K, Margin> = HashMap::new();
    for (key, points) in cells {
        let margin = margins.entry(key).or_default();
        margin.size += points;
        margin.squares += u128::from(points) * u128::from(points);
    }
    margins
}

/// The sum over labels or clusters of their cells' squares by their size; `alone` are ones more.
/// Whole numbers by size, and sizes in order: the same bits in any order of the points.
fn sum_of_shares<'a>(margins: impl Iterator<Item = &'a Margin>, alone: u64) -> f64 {
    let mut by_size = BTreeMap::from([(1, u128::from(alone))]);
    margins.for_each(|margin| *by_size.entry(margin.size).or_default() += margin.squares);
    by_size.into_iter().map(|(size, squares)| squares as f64 / size as f64).sum()
}

/// Entropy in nats of a division of `points` into parts of these sizes, and `alone` of one point.
fn entropy(sizes: impl Iterator<Item = u64>, alone: u64, points: f64) -> f64 {
    let mut parts = BTreeMap::from([(1, alone)]);
    sizes.for_each(|size| *parts.entry(size).or_default() += 1);
    let sum: f64 = parts.into_iter().map(|(size, parts)| parts as f64 * size as f64 * (size as f64).ln()).sum();
    points.ln() - sum / points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(points: &[(u64, Option<u64>)]) -> Contingency {
        let mut counts = Contingency::default();
        points.iter().for_each(|&(label, cluster)| counts.add(label, cluster));
        counts
    }

    fn of(labels: &[u64], clusters: &[u64]) -> Contingency {
        counted(&labels.iter().zip(clusters).map(|(&label, &cluster)| (label, Some(cluster))).collect::<Vec<_>>())
    }

    fn precision_recall(scores: Option<PrecisionRecall>) -> [Option<f64>; 3] {
        scores.map(|scores| [scores.precision, scores.recall, scores.f]).unwrap()
    }

    #[test]
    fn without_points_there_is_no_score() {
        let none = Contingency::default();
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
        assert_eq!(independent.adjusted_rand(), Some(2.0 * (0.0 * 6.0 - 3.0 * 6.0) / (3.0 * 9.0 + 6.0 * 12.0 + 72.0)));
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
    fn merged_counts_take_the_numbers_of_the_target() {
        let mut left = counted(&[(0, Some(0)), (1, Some(1)), (1, None)]);
        let right = counted(&[(0, Some(1)), (1, Some(0)), (0, None)]);
        left.merge(&right, |label| 1 - label, |cluster| cluster + 1);
        assert_eq!(left, counted(&[(0, Some(0)), (1, Some(1)), (1, None), (1, Some(2)), (0, Some(1)), (1, None)]));
        assert_eq!(left.points(), 6);
    }
}

//! How well scores tell pairs of one identity from others, and the calibration of one score.

use rayon::prelude::*;

/// How well scores rank pairs of one identity above others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranking {
    /// Area under the ROC curve: how often a pair of one identity scores above another pair, a tie
    /// counting half.
    pub auc: f64,
    /// Mean over the pairs of one identity of the precision among the pairs that score at least as high.
    pub average_precision: f64,
}

/// Measure scores against the truth; `None` without a pair of either kind.
pub fn ranking(scores: &[f32], same: &[bool]) -> Option<Ranking> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.par_sort_unstable_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
    let positives = same.iter().filter(|&&same| same).count() as f64;
    let negatives = same.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let (mut above, mut total, mut wins, mut precisions) = (0.0, 0.0, 0.0, 0.0);
    for tied in order.chunk_by(|&a, &b| scores[a as usize] == scores[b as usize]) {
        let hits = tied.iter().filter(|&&at| same[at as usize]).count() as f64;
        let misses = tied.len() as f64 - hits;
        wins += misses * (above + hits / 2.0);
        above += hits;
        total += tied.len() as f64;
        precisions += hits * above / total;
    }
    Some(Ranking { auc: wins / (positives * negatives), average_precision: precisions / positives })
}

/// A score as a probability: `1 / (1 + exp(-(slope * score + intercept)))`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Logit of one unit of the score.
    pub slope: f64,
    /// Logit of the score 0.
    pub intercept: f64,
}

/// Newton steps of a fit; it has settled after about ten.
const STEPS: usize = 50;

/// A step of less than this share of the slope is the last.
const SETTLED: f64 = 1e-9;

/// Squared slope and intercept count as so much of the mean loss, so that pairs which a threshold
/// separates have a fit as well.
const RIDGE: f64 = 1e-6;

impl Calibration {
    /// The logistic regression of the truth on a score.
    pub fn fit(scores: &[f32], same: &[bool]) -> Self {
        let n = scores.len().max(1) as f64;
        let mean = scores.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let (mut slope, mut intercept) = (0.0, 0.0);
        for _ in 0..STEPS {
            // Gradient and second derivatives of the mean loss; the score is centered for their sake.
            let (mut gradient, mut curvature) = ([RIDGE * slope, RIDGE * intercept], [RIDGE, 0.0, RIDGE]);
            for (&x, &same) in scores.iter().zip(same) {
                let x = f64::from(x) - mean;
                let p = sigmoid(slope * x + intercept);
                let (error, weight) = ((p - f64::from(u8::from(same))) / n, p * (1.0 - p) / n);
                gradient = [gradient[0] + error * x, gradient[1] + error];
                curvature = [curvature[0] + weight * x * x, curvature[1] + weight * x, curvature[2] + weight];
            }
            let determinant = curvature[0] * curvature[2] - curvature[1] * curvature[1];
            let step = [
                (curvature[2] * gradient[0] - curvature[1] * gradient[1]) / determinant,
                (curvature[0] * gradient[1] - curvature[1] * gradient[0]) / determinant,
            ];
            // A full step can overshoot where the probabilities are nearly all 0 or 1.
            let shrink = (1.0 + slope.abs()) / (1.0 + slope.abs()).max(step[0].abs());
            slope -= shrink * step[0];
            intercept -= shrink * step[1];
            if step[0].abs() < SETTLED * (1.0 + slope.abs()) {
                break;
            }
        }
        Self { slope, intercept: intercept - slope * mean }
    }

    /// The logit of a score.
    pub fn logit(&self, score: f32) -> f32 {
        self.slope as f32 * score + self.intercept as f32
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranking_counts_ties_half() {
        let found = ranking(&[0.9, 0.5, 0.5, 0.1], &[true, true, false, false]).unwrap();
        assert_eq!(found.auc, 3.5 / 4.0);
        // Precision 1 at the first, 2 of 3 at the tie.
        assert_eq!(found.average_precision, (1.0 + 2.0 / 3.0) / 2.0);
        assert_eq!(ranking(&[0.1, 0.2], &[true, true]), None);
    }

    #[test]
    fn ranking_is_that_of_all_pairs_compared() {
        let scores: Vec<f32> = (0..200u32).map(|at| (at * 37 % 53) as f32).collect();
        let same: Vec<bool> = (0..200u32).map(|at| at * 11 % 7 < 3).collect();
        let of = |kind: bool| scores.iter().zip(&same).filter(move |(_, same)| **same == kind).map(|(score, _)| *score);
        let wins = |above: f32, below: f32| if above > below { 1.0 } else { f64::from(u8::from(above == below)) / 2.0 };
        let all: f64 = of(true).flat_map(|above| of(false).map(move |below| wins(above, below))).sum();
        let least = |score: f32| scores.iter().zip(&same).filter(move |(other, _)| **other >= score);
        let precision =
            |score: f32| least(score).filter(|(_, same)| **same).count() as f64 / least(score).count() as f64;
        let found = ranking(&scores, &same).unwrap();
        let (positives, negatives) = (of(true).count() as f64, of(false).count() as f64);
        assert!((found.auc - all / (positives * negatives)).abs() < 1e-12);
        assert!((found.average_precision - of(true).map(precision).sum::<f64>() / positives).abs() < 1e-12);
    }

    #[test]
    fn calibration_finds_the_logistic_that_made_the_truth() {
        // Each score as often true as its probability says, in 1000 draws.
        let (mut scores, mut same) = (vec![], vec![]);
        for at in 0..=20 {
            let score = at as f32 / 20.0;
            let hits = (1000.0 * sigmoid(8.0 * f64::from(score) - 5.0)).round() as usize;
            scores.extend(std::iter::repeat_n(score, 1000));
            same.extend((0..1000).map(|draw| draw < hits));
        }
        let fit = Calibration::fit(&scores, &same);
        assert!((fit.slope - 8.0).abs() < 0.05 && (fit.intercept + 5.0).abs() < 0.05, "{fit:?}");
    }

    #[test]
    fn separated_pairs_have_a_finite_fit() {
        let fit = Calibration::fit(&[0.1, 0.2, 0.8, 0.9], &[false, false, true, true]);
        assert!(fit.slope.is_finite() && fit.slope > 10.0, "{fit:?}");
    }
}

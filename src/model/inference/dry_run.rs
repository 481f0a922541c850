//! A model tried on made-up points: are its results probabilities, and do they depend on an anchor
//! and its neighbors alone?

use super::batch::Batch;
use crate::core::error::{Error, Result};
use crate::model::contract::{ABSENT, NEIGHBORS, PROB};

/// Anchors of the batch, and neighbors of each: few, to be quick, but several, so that one can depend
/// on another.
const ANCHORS: usize = 3;
const WIDTH: usize = 5;

/// Absent neighbors that are added.
const PADDING: usize = 2;

/// How far two results may differ that should be equal: a model with weights of 8 bits rounds by what
/// else is in the batch.
const TOLERANCE: f32 = 0.02;

/// Check a model of embeddings of `dim` dimensions by what it gives for a batch.
///
/// # Errors
/// With what is wrong with its results.
pub fn check(dim: usize, mut run: impl FnMut(&Batch) -> Result<Vec<f32>>) -> Result<()> {
    let points = points(dim);
    let tokens = WIDTH + 1;
    let n = ANCHORS * tokens;
    let neighbors: Vec<i64> = (0..n as i64).collect();
    let together = run(&Batch { points: points.clone(), n, neighbors, tokens })?;
    if let Some(prob) = together.iter().find(|prob| !(0.0..=1.0).contains(*prob)) {
        return Err(Error::Model(format!(
            "in a dry run its result \"{PROB}\" has the value {prob}, but must have probabilities, between 0 and 1"
        )));
    }
    for (anchor, expected) in together.chunks(WIDTH).enumerate() {
        let own = points[anchor * tokens * dim..(anchor + 1) * tokens * dim].to_vec();
        let mut neighbors: Vec<i64> = (0..tokens as i64).collect();
        let alone = run(&Batch { points: own.clone(), n: tokens, neighbors: neighbors.clone(), tokens })?;
        same(
            expected,
            &alone,
            "with the other anchors of the batch, but must depend on an anchor and its neighbors alone",
        )?;
        neighbors.resize(tokens + PADDING, ABSENT);
        let padded = run(&Batch { points: own, n: tokens, neighbors, tokens: tokens + PADDING })?;
        same(
            expected,
            &padded[..WIDTH],
            &format!(
                "with the number of absent neighbors ({ABSENT} in \"{NEIGHBORS}\"), but must be the same without \
                 them; mask them out"
            ),
        )?;
    }
    Ok(())
}

fn same(expected: &[f32], found: &[f32], what: &str) -> Result<()> {
    let differs = expected.iter().zip(found).find(|(a, b)| (*a - *b).abs() > TOLERANCE || b.is_nan());
    match differs {
        None => Ok(()),
        Some((a, b)) => Err(Error::Model(format!("in a dry run a probability changes from {a:.4} to {b:.4} {what}"))),
    }
}

/// Features of each anchor and, nearer and farther from it, its neighbors; all of length 1.
fn points(dim: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut random = || {
        // Knuth's MMIX generator; its high bits, between -1 and 1.
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let mut points = Vec::with_capacity(ANCHORS * (WIDTH + 1) * dim);
    for _ in 0..ANCHORS {
        let anchor: Vec<f32> = (0..dim).map(|_| random()).collect();
        for place in 0..=WIDTH {
            let mut point: Vec<f32> = anchor.iter().map(|x| x + place as f32 * 0.4 * random()).collect();
            let length = point.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            point.iter_mut().for_each(|x| *x /= length);
            points.extend(point);
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIM: usize = 4;

    /// Runs a model given as the probability of a token, from its anchor, itself and the batch.
    fn check_of(prob: impl Fn(&[f32], Option<&[f32]>, &Batch) -> f32) -> Result<()> {
        check(DIM, |batch| {
            let of = |place: i64| &batch.points[place as usize * DIM..][..DIM];
            let rows = batch.neighbors.chunks(batch.tokens);
            Ok(rows
                .flat_map(|row| {
                    row[1..].iter().map(|&j| prob(of(row[0]), (j >= 0).then(|| of(j)), batch)).collect::<Vec<_>>()
                })
                .collect())
        })
    }

    fn cosine(x: &[f32], y: &[f32]) -> f32 {
        x.iter().zip(y).map(|(x, y)| x * y).sum::<f32>().clamp(0.0, 1.0)
    }

    #[test]
    fn the_cosine_passes_whatever_it_gives_for_absent_neighbors() {
        assert_eq!(check_of(|x, y, _| y.map_or(f32::NAN, |y| cosine(x, y))), Ok(()));
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for value in [1.5, -0.5, f32::NAN, f32::INFINITY] {
            let error = check_of(|_, _, _| value).unwrap_err().to_string();
            assert!(error.contains("between 0 and 1"), "{error}");
        }
    }

    #[test]
    fn what_depends_on_the_batch_is_refused() {
        let error = check_of(|x, y, batch| y.map_or(0.0, |y| cosine(x, y)) / batch.n as f32).unwrap_err();
        assert!(error.to_string().contains("other anchors"), "{error}");
    }

    #[test]
    fn what_depends_on_absent_neighbors_is_refused() {
        let error = check_of(|x, y, batch| y.map_or(0.0, |y| cosine(x, y)) / batch.tokens as f32).unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
    }
}

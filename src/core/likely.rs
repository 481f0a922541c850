//! Pairs of clusters that are likely one.

use hashbrown::HashMap;
use rayon::prelude::*;

use crate::core::agglomeration::Between;
use crate::core::cluster_tree::{POWER, height};
use crate::core::error::Result;
use crate::core::knn::Points;
use crate::core::links::Links;
use crate::core::monitor::Monitor;
use crate::core::sparse::ROWS;

/// Two clusters with something in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likely {
    /// The two clusters, the smaller number first.
    pub clusters: (u32, u32),
    /// How likely they are one, from 0 to 1: the height at which the
    /// [`cluster_tree`](crate::core::cluster_tree) would merge them, times the mean cosine of their points.
    pub score: f64,
    /// The two points, one in each, that have most in common.
    pub points: (u32, u32),
}

/// What links two clusters.
struct Linked {
    between: Between,
    strongest: f64,
    points: (u32, u32),
}

/// The pairs of `clusters` clusters that links lead between, likeliest first. `cluster` is that of each point, `None`
/// for a point that is in none; the points are under cosine.
///
/// # Errors
/// If the run is stopped.
pub fn likely(
    links: &Links,
    points: &Points,
    cluster: &[Option<u32>],
    clusters: usize,
    monitor: &Monitor,
) -> Result<Vec<Likely>> {
    let mut linked: HashMap<(u32, u32), Linked> = HashMap::new();
    for i in 0..links.len() {
        if i.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        for link in links.of(i) {
            let (Some(a), Some(b)) = (cluster[i], cluster[link.to as usize]) else { continue };
            if a == b {
                continue;
            }
            let ends = if a < b { (i as u32, link.to) } else { (link.to, i as u32) };
            let none = Linked { between: Between { sum: 0.0, edges: 0.0 }, strongest: 0.0, points: ends };
            let pair = linked.entry((a.min(b), a.max(b))).or_insert(none);
            pair.between.sum += link.strength;
            pair.between.edges += 1.0;
            if link.strength > pair.strongest {
                (pair.strongest, pair.points) = (link.strength, ends);
            }
        }
    }
    let dim = points.dim();
    let (mut sizes, mut open) = (vec![0.0; clusters], vec![0.0; clusters]);
    let mut sums = vec![0.0f32; clusters * dim];
    let mut features = Vec::new();
    for (i, own) in cluster.iter().enumerate() {
        let Some(own) = own.map(|own| own as usize) else { continue };
        sizes[own] += 1.0;
        open[own] += links.open[i];
        points.row(i).decode(1.0, &mut features);
        sums[own * dim..(own + 1) * dim].iter_mut().zip(&features).for_each(|(sum, x)| *sum += x);
    }
    let sum = |cluster: usize| &sums[cluster * dim..(cluster + 1) * dim];
    let score = |(clusters, linked): ((u32, u32), Linked)| {
        let (a, b) = (clusters.0 as usize, clusters.1 as usize);
        let pairs = sizes[a] * sizes[b];
        let product: f64 = sum(a).iter().zip(sum(b)).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
        let height = height(linked.between, pairs, open[a] * open[b] / pairs, POWER).min(1.0);
        Likely { clusters, score: height * (product / pairs).clamp(0.0, 1.0), points: linked.points }
    };
    let mut pairs: Vec<Likely> = linked.into_iter().collect::<Vec<_>>().into_par_iter().map(score).collect();
    pairs.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.clusters.cmp(&b.clusters)));
    Ok(pairs)
}

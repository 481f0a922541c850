//! The threshold tau from the distances alone, without labels: the one whose clusters describe a random walk
//! in the fewest bits, see `partition`.

use rayon::prelude::*;

use crate::core::dpc::{TAU, above, candidates};
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::partition::fewest_bits;
use crate::core::sparse::{Matrix, row};

/// The tau, from 0 to 1, whose clusters describe a random walk over the distances in the fewest bits;
/// halfway between the last distance below it and the next. Of the distances those of [`tpdi_upward`]
/// count, also where there are others.
///
/// [`tpdi_upward`]: crate::core::tpdi::tpdi_upward
///
/// # Errors
/// As [`candidates`].
pub fn auto_tau(density: &[f64], distances: &Matrix, monitor: &Monitor) -> Result<f64> {
    let n = density.len();
    let mut joins: Vec<(f64, u32, u32)> = (candidates(density, distances, monitor)?.into_par_iter().enumerate())
        .filter_map(|(i, candidate)| candidate.map(|(j, distance)| (distance, i as u32, j)))
        .filter(|join| join.0 < 1.0)
        .collect();
    joins.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let upward = |i: usize| {
        let (neighbors, distances) = row(distances, i);
        let edges = neighbors.iter().zip(distances).filter(move |edge| above(density, *edge.0 as usize, i));
        edges.map(|(&j, &distance)| (j, weight(distance)))
    };
    let at = |number: usize| joins.get(number).map_or(1.0, |join| join.0);
    Ok(match fewest_bits(n, &joins, 0, upward, monitor)? {
        // Nothing can be joined.
        None => TAU,
        Some(0) => at(0) / 2.0,
        Some(number) => f64::midpoint(at(number - 1), at(number)),
    })
}

/// How much two points have in common: the overlap of their rows of P, sharpened: the
/// higher the power, the less do the many weak overlaps between clusters count beside the few strong ones
/// within. 4 was chosen of 2, 3, 4 and 6 on labelled data, see "What was tried for tau" in docs/results.md.
fn weight(distance: f64) -> f64 {
    (1.0 - distance).max(0.0).powi(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::codelength::plogp;
    use crate::core::dpc::dpc;
    use crate::core::sparse::from_edges;

    /// Points on a ring with made-up distances to the next few, some equal, and made-up densities.
    fn ring(n: u32) -> (Vec<f64>, Matrix) {
        let pick = |a: u32, b: u32| f64::from((a * 7919 + b * 104_729 + a * b) % 97);
        let (mut src, mut dst, mut distance) = (vec![], vec![], vec![]);
        for i in 0..n {
            for step in 1..=4 {
                let j = (i + step) % n;
                let near = i / 5 == j / 5;
                for (a, b) in [(i, j), (j, i)] {
                    src.push(a);
                    dst.push(b);
                    distance.push((pick(i, j) / 97.0) * if near { 0.5 } else { 0.1 } + if near { 0.1 } else { 0.85 });
                }
            }
        }
        let density = (0..n).map(|i| pick(i, 3 * i + 1)).collect();
        (density, from_edges(n as usize, &src, &dst, &distance, &Monitor::new()).unwrap())
    }

    /// The map equation, term by term.
    fn bits(density: &[f64], distances: &Matrix, cluster: &[u32]) -> f64 {
        let n = density.len();
        let mut edges = vec![];
        for i in 0..n {
            let (neighbors, distances) = row(distances, i);
            let up = neighbors.iter().zip(distances).filter(|edge| above(density, *edge.0 as usize, i));
            edges.extend(up.map(|(&j, d)| (i, j as usize, (1.0 - d).powi(4))));
        }
        let sum = |i| 1.0 + edges.iter().filter(|e| e.0 == i || e.1 == i).map(|e| e.2).sum::<f64>();
        let flows: Vec<_> = edges.iter().map(|e| (e.0, e.1, e.2 / sum(e.0) + e.2 / sum(e.1))).collect();
        let total: f64 = 2.0 * flows.iter().map(|flow| flow.2).sum::<f64>();
        let (mut visits, mut exits) = (vec![0.0; n], vec![0.0; n]);
        for (a, b, flow) in flows {
            let (a, b) = (cluster[a] as usize, cluster[b] as usize);
            visits[a] += flow / total;
            visits[b] += flow / total;
            if a != b {
                exits[a] += flow / total;
                exits[b] += flow / total;
            }
        }
        let sum = |of: &dyn Fn(usize) -> f64| (0..n).map(of).sum::<f64>();
        plogp(exits.iter().sum()) - 2.0 * sum(&|c| plogp(exits[c])) + sum(&|c| plogp(exits[c] + visits[c]))
    }

    #[test]
    fn no_other_tau_takes_fewer_bits() {
        for n in [20, 45, 100] {
            let (density, distances) = ring(n);
            let monitor = Monitor::new();
            let tau = auto_tau(&density, &distances, &monitor).unwrap();
            let at = |tau| {
                let cluster = dpc(density.clone(), &distances, tau, &monitor).unwrap().cluster;
                bits(&density, &distances, &cluster)
            };
            let least = (0..=1000).map(|step| at(f64::from(step) / 1000.0)).fold(f64::INFINITY, f64::min);
            assert!((at(tau) - least).abs() < 1e-9, "n {n}, tau {tau}: {} bits, but {least}", at(tau));
            assert!((0.3..0.95).contains(&tau), "n {n}, tau {tau}");
        }
    }

    #[test]
    fn without_an_edge_it_is_the_default() {
        let monitor = Monitor::new();
        let none = from_edges(2, &[], &[], &[], &monitor).unwrap();
        assert_eq!(auto_tau(&[1.0, 1.0], &none, &monitor), Ok(TAU));
        let apart = from_edges(2, &[0, 1], &[1, 0], &[1.0, 1.0], &monitor).unwrap();
        assert_eq!(auto_tau(&[1.0, 1.0], &apart, &monitor), Ok(TAU));
    }
}

//! Constraints are kept, and nothing else changes.

use density_peaks::constraints::{Constraints, dpc_constrained};
use density_peaks::error::Error;
use density_peaks::sparse::{Matrix, from_edges};
use density_peaks::{Clustering, Monitor, dpc};
use proptest::prelude::*;

/// Densities, distances between some of the points, and pairs of points.
fn cases() -> impl Strategy<Value = (Vec<f64>, Matrix, Constraints)> {
    (2usize..40).prop_flat_map(|n| {
        let pairs = |most| prop::collection::vec((0..n as u32, 0..n as u32), 0..most);
        let edges = prop::collection::btree_map((0..n as u32, 0..n as u32), 0u8..16, 0..6 * n);
        (prop::collection::vec(0u8..20, n), edges, pairs(8), pairs(20)).prop_map(
            move |(density, edges, must, cannot)| {
                let (mut src, mut dst, mut distance) = (vec![], vec![], vec![]);
                for ((i, j), d) in edges {
                    if i != j {
                        src.push(i);
                        dst.push(j);
                        distance.push(f64::from(d) / 16.0);
                    }
                }
                let distances = from_edges(n, &src, &dst, &distance, &Monitor::new()).unwrap();
                let constraints = Constraints { must_link: must, cannot_link: cannot };
                (density.into_iter().map(f64::from).collect(), distances, constraints)
            },
        )
    })
}

/// Groups of points that must share a cluster, by passing the smallest number on until nothing moves.
fn groups(n: usize, must_link: &[(u32, u32)]) -> Vec<u32> {
    let mut group: Vec<u32> = (0..n as u32).collect();
    loop {
        let before = group.clone();
        for &(a, b) in must_link {
            let least = group[a as usize].min(group[b as usize]);
            (group[a as usize], group[b as usize]) = (least, least);
        }
        if before == group {
            return group;
        }
    }
}

/// The rule written plainly: clusters as lists of points, every pair looked at.
fn plainly(density: &[f64], distances: &Matrix, tau: f64, constraints: &Constraints) -> Vec<u32> {
    let n = density.len();
    let mut of = groups(n, &constraints.must_link);
    let above = |j: usize, i: usize| density[j] > density[i] || density[j] == density[i] && j < i;
    let mut falling: Vec<usize> = (0..n).collect();
    falling.sort_by(|&a, &b| if above(a, b) { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater });
    for &i in &falling {
        let mut candidates: Vec<(f64, usize)> =
            (0..n).filter(|&j| above(j, i)).filter_map(|j| Some((*distances.get(i, j)?, j))).collect();
        candidates.retain(|candidate| candidate.0 < tau);
        let rank = |j: usize| falling.iter().position(|&other| other == j);
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0).then(rank(a.1).cmp(&rank(b.1))));
        for (_, j) in candidates {
            let (one, other) = (of[i], of[j]);
            let between = |a: u32, b: u32| of[a as usize] == one && of[b as usize] == other && one != other;
            if !constraints.cannot_link.iter().any(|&(a, b)| between(a, b) || between(b, a)) {
                of.iter_mut().filter(|group| **group == one).for_each(|group| *group = other);
                break;
            }
        }
    }
    let mut seen = Vec::new();
    let number = |group: &u32| {
        let at = seen.iter().position(|other| other == group);
        at.unwrap_or_else(|| {
            seen.push(*group);
            seen.len() - 1
        }) as u32
    };
    of.iter().map(number).collect()
}

fn run(density: &[f64], distances: &Matrix, tau: f64, constraints: &Constraints) -> Result<Clustering, Error> {
    dpc_constrained(density.to_vec(), distances, tau, constraints, &Monitor::new())
}

proptest! {
    #[test]
    fn pairs_are_kept_and_clusters_are_those_of_the_rule(
        (density, distances, mut constraints) in cases(), tau in prop_oneof![Just(1.0), 0.0f64..1.0]
    ) {
        let group = groups(density.len(), &constraints.must_link);
        let broken = |&(a, b): &(u32, u32)| group[a as usize] == group[b as usize];
        if let Some(&(a, b)) = constraints.cannot_link.iter().find(|pair| broken(pair)) {
            let error = run(&density, &distances, tau, &constraints).unwrap_err();
            let Error::Contradiction { chain } = error else { panic!("{error}") };
            prop_assert_eq!((chain[0], chain[chain.len() - 1]), (a, b));
            for link in chain.windows(2) {
                let given = |&(a, b): &(u32, u32)| [a, b] == link || [b, a] == link;
                prop_assert!(constraints.must_link.iter().any(given), "{link:?}");
            }
            constraints.cannot_link.retain(|pair| !broken(pair));
        }
        prop_assert!(constraints.check(density.len()).is_ok());
        let found = run(&density, &distances, tau, &constraints).unwrap();
        let cluster = |point: u32| found.cluster[point as usize];
        for &(a, b) in &constraints.must_link {
            prop_assert_eq!(cluster(a), cluster(b));
        }
        for &(a, b) in &constraints.cannot_link {
            prop_assert_ne!(cluster(a), cluster(b));
        }
        prop_assert_eq!(&found.cluster, &plainly(&density, &distances, tau, &constraints));
        // One peak a cluster, and every other point below its parent, in the same cluster.
        let clusters = found.cluster.iter().max().unwrap() + 1;
        prop_assert_eq!((0..found.len()).filter(|&i| found.is_peak(i)).count() as u32, clusters);
        for i in 0..found.len() {
            let parent = found.parent[i] as usize;
            prop_assert_eq!(found.cluster[i], found.cluster[parent]);
            prop_assert!(parent == i || (density[parent], i) > (density[i], parent));
            if let Some(distance) = distances.get(i, parent) {
                // A peak below the peak that must-link gave it has its nearest neighbor's.
                prop_assert!(found.delta[i] == Some(*distance) || *distance >= tau);
            }
        }
    }

    #[test]
    fn without_constraints_it_is_dpc((density, distances, _) in cases(), tau in 0.0f64..1.0) {
        let plain = dpc::dpc(density.clone(), &distances, tau, &Monitor::new()).unwrap();
        prop_assert_eq!(run(&density, &distances, tau, &Constraints::default()).unwrap(), plain);
    }
}

//! Partitions in one run are the runs of each.

use density_peaks::constraints::Constraints;
use density_peaks::error::{Error, PointProblem};
use density_peaks::knn::{KnnOptions, Method};
use density_peaks::similarity::Kernel;
use density_peaks::{ClusterOptions, Embeddings, Monitor, cluster, partitions};
use proptest::prelude::*;

fn options(k: usize, kernel: Option<Kernel>, tau: Option<f64>) -> ClusterOptions {
    let knn = KnnOptions { k, method: Method::Exact, ..Default::default() };
    ClusterOptions { knn, kernel, tau, ..Default::default() }
}

/// The rows of each partition that has some.
fn members(of: &[usize]) -> Vec<Vec<u32>> {
    let mut members = vec![vec![]; 5];
    (0..).zip(of).for_each(|(row, &partition)| members[partition].push(row));
    members.retain(|rows| !rows.is_empty());
    members
}

proptest! {
    #[test]
    fn each_partition_has_the_clusters_of_a_run_of_its_own(
        rows in prop::collection::vec((prop::array::uniform3(-4i8..5), 0usize..5), 1..60),
        k in 1usize..10,
        kernel in prop_oneof![Just(None), Just(Some(Kernel::Linear)), (0.05f64..1.0).prop_map(|sigma| Kernel::exp(sigma).ok())],
        tau in prop_oneof![Just(None), (0.0f64..1.0).prop_map(Some)],
    ) {
        let (values, of): (Vec<_>, Vec<usize>) = rows.into_iter().unzip();
        let values: Vec<[f32; 3]> = values.iter().map(|row| [f32::from(row[0]) + 4.5, row[1].into(), row[2].into()]).collect();
        let options = options(k, kernel, tau);
        let points = Embeddings::new(values.concat(), 3).unwrap();
        let members = members(&of);
        let none = Constraints::default();
        let stages = partitions::stages(&points, &members, &options, &none, &Monitor::new()).unwrap();
        let whole = stages.cut.clustering(stages.density, &stages.distances, &none, &Monitor::new()).unwrap();
        for rows in &members {
            let own: Vec<f32> = rows.iter().flat_map(|&row| values[row as usize]).collect();
            let own = cluster(Embeddings::new(own, 3).unwrap(), &options, &Monitor::new()).unwrap();
            for (at, &row) in rows.iter().enumerate() {
                let row = row as usize;
                prop_assert_eq!(whole.density[row].to_bits(), own.density[at].to_bits());
                prop_assert_eq!(whole.delta[row].map(f64::to_bits), own.delta[at].map(f64::to_bits));
                prop_assert_eq!(whole.parent[row], rows[own.parent[at] as usize]);
            }
        }
    }
}

proptest! {
    #[test]
    fn constraints_hold_in_every_partition(
        of in prop::collection::vec(0usize..5, 2..60),
        pairs in prop::collection::vec((0usize..60, 0usize..60), 1..6),
        tau in prop_oneof![Just(None), (0.0f64..1.0).prop_map(Some)],
    ) {
        let n = of.len();
        // All alike.
        let points = Embeddings::new((0..n).flat_map(|i| [1.0, 1e-3 * i as f32]).collect(), 2).unwrap();
        let pairs = pairs.into_iter().map(|(a, b)| ((a % n) as u32, (b % n) as u32)).filter(|(a, b)| a != b);
        let constraints = Constraints { must_link: vec![], cannot_link: pairs.collect() };
        let (members, options) = (members(&of), options(5, None, tau));
        let stages = partitions::stages(&points, &members, &options, &constraints, &Monitor::new()).unwrap();
        let whole = stages.cut.clustering(stages.density, &stages.distances, &constraints, &Monitor::new()).unwrap();
        for &(a, b) in &constraints.cannot_link {
            prop_assert!(whole.cluster[a as usize] != whole.cluster[b as usize]);
        }
    }
}

#[test]
fn an_error_names_the_row_among_all() {
    let points = Embeddings::new(vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0], 2).unwrap();
    let (options, none) = (options(1, None, None), Constraints::default());
    let found = partitions::stages(&points, &[vec![0, 2], vec![1]], &options, &none, &Monitor::new());
    assert_eq!(found.unwrap_err(), Error::Point { row: 1, problem: PointProblem::ZeroVector });
}

#[test]
fn a_stopped_run_stops_its_parts() {
    let monitor = Monitor::new();
    let part = monitor.silent();
    monitor.stop();
    assert_eq!(part.check(), Err(Error::Interrupted));
    let points = Embeddings::new(vec![1.0, 0.0], 2).unwrap();
    let (options, none) = (options(1, None, None), Constraints::default());
    let found = partitions::stages(&points, &[vec![0]], &options, &none, &monitor);
    assert_eq!(found.unwrap_err(), Error::Interrupted);
}

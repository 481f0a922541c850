//! Invariants of the stages, on random inputs.

use density_peaks::knn::{KnnOptions, Method, Metric, Points, knn_graph};
use density_peaks::ndde::{NddeOptions, ndde};
use density_peaks::scores::{Contingency, PrecisionRecall};
use density_peaks::similarity::Kernel;
use density_peaks::sparse::{Matrix, from_edges};
use density_peaks::sweep::sweep;
use density_peaks::{ClusterOptions, Clustering, Embeddings, Monitor, cluster, dpc, tpdi, transition};
use proptest::prelude::*;

/// Up to 60 points of 1 to 5 dimensions, none of them zero, many of them equal.
fn points() -> impl Strategy<Value = Embeddings> {
    (1usize..6, 1usize..60).prop_flat_map(|(dim, n)| (Just(dim), prop::collection::vec(-3i8..4, dim * n))).prop_map(
        |(dim, values)| {
            let mut values: Vec<f32> = values.into_iter().map(f32::from).collect();
            values.chunks_mut(dim).for_each(|row| row[0] += 3.5);
            Embeddings::new(values, dim).unwrap()
        },
    )
}

fn transition_of(points: &Embeddings, k: usize, kernel: Kernel) -> Matrix {
    let options = KnnOptions { k, method: Method::Exact, ..Default::default() };
    let points = Points::new(points.clone(), Metric::Cosine, &Monitor::new()).unwrap();
    let graph = knn_graph(&points, &options, &Monitor::new()).unwrap();
    transition::from_graph(&graph, kernel, &Monitor::new()).unwrap()
}

fn kernels() -> impl Strategy<Value = Kernel> {
    prop_oneof![Just(Kernel::Linear), (0.01f64..2.0).prop_map(|sigma| Kernel::exp(sigma).unwrap())]
}

fn value(matrix: &Matrix, row: usize, column: usize) -> f64 {
    matrix.get(row, column).copied().unwrap_or(0.0)
}

/// Up to 40 points with a label and, but for a few, a cluster.
fn labelled() -> impl Strategy<Value = Vec<(u64, Option<u64>)>> {
    (1u64..12, 1u64..12).prop_flat_map(|(labels, clusters)| {
        prop::collection::vec((0..labels, prop::option::weighted(0.9, 0..clusters)), 1..40)
    })
}

fn count(points: &[(u64, Option<u64>)]) -> Contingency<u64> {
    let mut counts = Contingency::default();
    points.iter().for_each(|&(label, cluster)| counts.add(label, cluster));
    counts
}

fn scores(counts: &Contingency<u64>) -> [Option<f64>; 8] {
    let (pairwise, bcubed) = (counts.pairwise().unwrap(), counts.bcubed().unwrap());
    let [a, b] = [pairwise, bcubed].map(|scores| [scores.precision, scores.recall, scores.f]);
    [a[0], a[1], a[2], b[0], b[1], b[2], counts.adjusted_rand(), counts.normalized_mutual_info()]
}

/// The same from the definitions: pair by pair, point by point, cell by cell.
fn scores_by_definition(points: &[(u64, Option<u64>)]) -> [Option<f64>; 8] {
    let n = points.len();
    let label = |i: usize, j: usize| points[i].0 == points[j].0;
    let cluster = |i: usize, j: usize| i == j || points[i].1.is_some() && points[i].1 == points[j].1;
    let pairs = |both: &dyn Fn(usize, usize) -> bool| {
        (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).filter(|&(i, j)| both(i, j)).count() as f64
    };
    let (all, together) = (pairs(&|_, _| true), pairs(&|i, j| label(i, j) && cluster(i, j)));
    let (labels, clusters) = (pairs(&label), pairs(&cluster));
    let divide = |a: f64, b: f64| (b > 0.0).then(|| a / b);
    let chance = labels * clusters / all;
    let adjusted_rand = divide(together - chance, (labels + clusters) / 2.0 - chance).unwrap_or(1.0);
    let size = |i: usize, of: &dyn Fn(usize, usize) -> bool| (0..n).filter(|&j| of(i, j)).count() as f64;
    let mean = |of: &dyn Fn(usize) -> f64| (0..n).map(of).sum::<f64>() / n as f64;
    let both = |i: usize, j: usize| label(i, j) && cluster(i, j);
    let precision = mean(&|i| size(i, &both) / size(i, &cluster));
    let recall = mean(&|i| size(i, &both) / size(i, &label));
    // Each cell of m points occurs m times, with 1/N of ln(...) each.
    let shared = mean(&|i| (size(i, &both) * n as f64 / (size(i, &label) * size(i, &cluster))).ln());
    let entropy = |of: &dyn Fn(usize, usize) -> bool| mean(&|i| (n as f64 / size(i, of)).ln());
    let normalized = divide(shared, (entropy(&label) + entropy(&cluster)) / 2.0).unwrap_or(1.0);
    [
        divide(together, clusters),
        divide(together, labels),
        divide(2.0 * together, labels + clusters),
        Some(precision),
        Some(recall),
        Some(2.0 * precision * recall / (precision + recall)),
        Some(adjusted_rand),
        Some(normalized),
    ]
}

/// Pairwise and BCubed scores from their definitions, pair by pair.
fn scores_by_pairs(clustering: &Clustering, labels: &[Option<u32>]) -> [PrecisionRecall; 2] {
    let labelled: Vec<usize> = (0..labels.len()).filter(|&i| labels[i].is_some()).collect();
    let cluster = |i: usize, j: usize| clustering.cluster[i] == clustering.cluster[j];
    let label = |i: usize, j: usize| labels[i] == labels[j];
    let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    let (mut shared, mut clusters, mut truths, mut precision, mut recall) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for &i in &labelled {
        let count = |of: &dyn Fn(usize) -> bool| labelled.iter().filter(|&&j| of(j)).count() as f64;
        let both = count(&|j| cluster(i, j) && label(i, j));
        let (in_cluster, in_label) = (count(&|j| cluster(i, j)), count(&|j| label(i, j)));
        shared += both - 1.0;
        clusters += in_cluster - 1.0;
        truths += in_label - 1.0;
        precision += both / in_cluster;
        recall += both / in_label;
    }
    let n = labelled.len() as f64;
    let f = |precision: f64, recall: f64| ratio(2.0 * precision * recall, precision + recall);
    let bcubed = (ratio(precision, n), ratio(recall, n));
    [
        PrecisionRecall {
            precision: ratio(shared, clusters),
            recall: ratio(shared, truths),
            f: ratio(2.0 * shared, clusters + truths),
        },
        PrecisionRecall { precision: bcubed.0, recall: bcubed.1, f: bcubed.0.zip(bcubed.1).and_then(|(p, r)| f(p, r)) },
    ]
}

proptest! {
    #[test]
    fn a_sweep_is_a_clustering_for_each_tau(
        points in points(),
        k in 1usize..12,
        mut taus in prop::collection::vec(0.0f64..=1.0, 1..8),
        labels in prop::collection::vec(prop::option::of(0u32..6), 60),
        coarse in any::<bool>(),
    ) {
        let p = transition_of(&points, k, Kernel::Exp { sigma: 0.1 });
        let mut density = ndde(&p, &NddeOptions::default(), &Monitor::new()).unwrap();
        let mut d = tpdi::tpdi(&p, &Monitor::new()).unwrap();
        if coarse {
            // So that distances are equal, to each other and to a tau.
            density.iter_mut().for_each(|density| *density = density.round());
            d.data_mut().iter_mut().for_each(|distance| *distance = (*distance * 8.0).round() / 8.0);
            taus.iter_mut().for_each(|tau| *tau = (*tau * 8.0).round() / 8.0);
        }
        let labels = &labels[..points.len()];
        let candidates = dpc::candidates(&density, &d, &Monitor::new()).unwrap();
        let rows = sweep(&candidates, &taus, Some(labels), &Monitor::new()).unwrap();
        let plain = sweep(&candidates, &taus, None, &Monitor::new()).unwrap();
        prop_assert_eq!(rows.len(), taus.len());
        for ((row, plain), &tau) in rows.iter().zip(&plain).zip(&taus) {
            let clustering = dpc::dpc(density.clone(), &d, tau, &Monitor::new()).unwrap();
            let mut sizes = vec![0; points.len()];
            clustering.cluster.iter().for_each(|&cluster| sizes[cluster as usize] += 1);
            prop_assert_eq!(row.tau, tau);
            prop_assert_eq!(row.clusters, sizes.iter().filter(|&&size| size > 0).count());
            prop_assert_eq!(row.singletons, sizes.iter().filter(|&&size| size == 1).count());
            prop_assert_eq!(row.largest, sizes.iter().copied().max().unwrap_or(0));
            prop_assert_eq!((plain.clusters, plain.singletons, plain.largest), (row.clusters, row.singletons, row.largest));
            prop_assert!(plain.scores.is_none());
            let scores = row.scores.as_ref().unwrap();
            for (found, expected) in [scores.pairwise, scores.bcubed].into_iter().zip(scores_by_pairs(&clustering, labels)) {
                let [found, expected] = [found, expected].map(|score| [score.precision, score.recall, score.f]);
                for (found, expected) in found.into_iter().zip(expected) {
                    prop_assert_eq!(found.is_some(), expected.is_some());
                    prop_assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn scores_are_those_of_their_definitions(points in labelled()) {
        let (found, expected) = (scores(&count(&points)), scores_by_definition(&points));
        for (found, expected) in found.into_iter().zip(expected) {
            prop_assert_eq!(found.is_some(), expected.is_some());
            prop_assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-12);
            prop_assert!(found.is_none_or(|found| (-0.5..=1.0).contains(&found)));
        }
    }

    #[test]
    fn scores_do_not_depend_on_the_order_nor_on_how_counts_were_merged(
        points in labelled(), cut in any::<prop::sample::Index>()
    ) {
        let (left, right) = points.split_at(cut.index(points.len()));
        let mut merged = count(right);
        merged.merge(&count(left));
        let backwards: Vec<_> = points.iter().rev().copied().collect();
        let renamed: Vec<_> = points.iter().map(|&(l, c)| (!l, c.map(|c| c << 40))).collect();
        for other in [merged, count(&backwards), count(&renamed)] {
            prop_assert_eq!(scores(&other), scores(&count(&points)));
        }
    }

    #[test]
    fn rows_of_the_transition_matrix_sum_to_one_and_hold_the_point_itself(
        points in points(), k in 1usize..12, kernel in kernels()
    ) {
        let p = transition_of(&points, k, kernel);
        for (i, row) in p.outer_iterator().enumerate() {
            prop_assert_eq!(row.nnz(), k.min(points.len() - 1) + 1);
            prop_assert!(row.get(i).is_some_and(|&p| p > 0.0));
            prop_assert!((row.data().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn density_is_the_dense_product_and_sums_to_n(
        points in points(), k in 1usize..12, kernel in kernels(), max_iterations in 1usize..20
    ) {
        let p = transition_of(&points, k, kernel);
        let options = NddeOptions { epsilon: 0.01, max_iterations };
        let density = ndde(&p, &options, &Monitor::new()).unwrap();
        let n = points.len();
        let mut expected = vec![1.0; n];
        for _ in 0..max_iterations {
            let next: Vec<f64> = (0..n).map(|j| (0..n).map(|i| value(&p, i, j) * expected[i]).sum()).collect();
            let step = next.iter().zip(&expected).map(|(a, b): (&f64, &f64)| (a - b).powi(2)).sum::<f64>().sqrt();
            expected = next;
            if step <= 0.01 {
                break;
            }
        }
        for (a, b) in density.iter().zip(&expected) {
            prop_assert!((a - b).abs() < 1e-9);
        }
        prop_assert!((density.iter().sum::<f64>() - n as f64).abs() < 1e-9 * n as f64);
    }

    #[test]
    fn tpdi_is_the_dense_formula_symmetric_and_in_the_unit_interval(
        points in points(), k in 1usize..12, kernel in kernels()
    ) {
        let p = transition_of(&points, k, kernel);
        let d = tpdi::tpdi(&p, &Monitor::new()).unwrap();
        prop_assert_eq!(d.nnz(), p.nnz() - points.len());
        for (i, row) in d.outer_iterator().enumerate() {
            for (j, &distance) in row.iter() {
                let shared: f64 = (0..points.len()).map(|c| (value(&p, i, c) * value(&p, j, c)).sqrt()).sum();
                prop_assert!((distance - (1.0 - shared)).abs() < 1e-12);
                prop_assert!((0.0..=1.0).contains(&distance));
                if let Some(&back) = d.get(j, i) {
                    prop_assert_eq!(back.to_bits(), distance.to_bits());
                }
            }
        }
    }

    #[test]
    fn parents_form_a_forest_of_rising_density_and_trees_are_the_clusters(
        points in points(), k in 1usize..12, tau in 0.0f64..1.0
    ) {
        let p = transition_of(&points, k, Kernel::Exp { sigma: 0.1 });
        let density = ndde(&p, &NddeOptions::default(), &Monitor::new()).unwrap();
        let d = tpdi::tpdi(&p, &Monitor::new()).unwrap();
        let clustering = dpc::dpc(density.clone(), &d, tau, &Monitor::new()).unwrap();
        let mut next_cluster = 0;
        for i in 0..points.len() {
            let parent = clustering.parent[i] as usize;
            prop_assert_eq!(clustering.cluster[i], clustering.cluster[parent]);
            if parent != i {
                prop_assert!((density[parent], i) > (density[i], parent));
                prop_assert!(clustering.delta[i].unwrap() < tau);
                prop_assert_eq!(clustering.delta[i].unwrap(), value(&d, i, parent));
            } else {
                prop_assert!(clustering.delta[i].is_none_or(|delta| delta >= tau));
            }
            // Clusters are numbered as they first occur.
            prop_assert!(clustering.cluster[i] <= next_cluster);
            next_cluster = next_cluster.max(clustering.cluster[i] + 1);
        }
        // Half of the distances are enough for the same clustering.
        let upward = tpdi::tpdi_upward(&p, &density, &Monitor::new()).unwrap();
        prop_assert!(upward.iter().all(|(&distance, (i, j))| value(&d, i as usize, j as usize) == distance));
        prop_assert_eq!(&dpc::dpc(density.clone(), &upward, tau, &Monitor::new()).unwrap(), &clustering);
        let peaks = (0..points.len()).filter(|&i| clustering.is_peak(i)).count();
        prop_assert_eq!(peaks as u32, next_cluster);
    }

    #[test]
    fn the_order_of_edges_does_not_matter(points in points(), k in 1usize..8, seed in any::<u64>()) {
        let p = transition_of(&points, k, Kernel::Linear);
        let mut edges: Vec<(u32, u32, f64)> =
            p.iter().map(|(&value, (i, j))| (i, j, value)).collect();
        let mut state = seed | 1;
        for at in (1..edges.len()).rev() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            edges.swap(at, (state >> 33) as usize % (at + 1));
        }
        let src: Vec<u32> = edges.iter().map(|e| e.0).collect();
        let dst: Vec<u32> = edges.iter().map(|e| e.1).collect();
        let values: Vec<f64> = edges.iter().map(|e| e.2).collect();
        prop_assert_eq!(from_edges(points.len(), &src, &dst, &values, &Monitor::new()).unwrap(), p);
    }

    #[test]
    fn threads_do_not_matter(points in points(), k in 1usize..12) {
        let options = ClusterOptions { knn: KnnOptions { k, ..Default::default() }, ..Default::default() };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| cluster(points.clone(), &options, &Monitor::new()).unwrap())
        };
        prop_assert_eq!(with(1), with(3));
    }
}

/// Two thousand points and more, so that every parallel loop has several units.
#[test]
fn threads_do_not_matter_on_several_blocks() {
    let mut state = 1u64;
    let values = (0..2500 * 6)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        })
        .collect();
    let points = Embeddings::new(values, 6).unwrap();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| cluster(points.clone(), &ClusterOptions::default(), &Monitor::new()).unwrap())
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(8));
}

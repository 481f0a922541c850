//! Neighbors by every method beside all pairs.

mod approximate;
mod exactness;

use std::collections::HashMap;

use super::products::{Codes, Multiplier, Panel, Scale, Wanted};
use super::*;
use crate::core::embeddings::Precision;
use crate::core::embeddings::{EmbeddingRows, Embeddings};
use crate::core::error::PointProblem;
use crate::core::random::unit;
use crate::core::row::Row;

/// Values on a coarse grid, so that many distances are equal.
fn grid_values(n: usize, dim: usize) -> Vec<f32> {
    let mut state = 7u64;
    let next = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) % 5) as f32 - 1.5
    };
    (0..n * dim).map(next).collect()
}

fn grid(n: usize, dim: usize) -> Embeddings {
    Embeddings::new(grid_values(n, dim), dim).unwrap()
}

/// The rows in a precision.
fn rounded(values: &[f32], dim: usize, precision: Precision) -> Embeddings {
    let mut rows = EmbeddingRows::new(precision);
    values.chunks(dim).for_each(|row| rows.push(row).unwrap());
    rows.finish(&Monitor::new()).unwrap()
}

/// The rows that stand in lists: each that has fewer than `most` copies before it.
fn listed(points: &Points, most: usize) -> Vec<usize> {
    let (mut seen, mut features) = (HashMap::<Vec<u64>, usize>::new(), Vec::new());
    let mut copies = |row: usize| {
        points.row(row).centred(&vec![0.0; points.dim()], &mut features);
        let copies = seen.entry(features.iter().map(|x| x.to_bits()).collect()).or_default();
        *copies += 1;
        *copies
    };
    (0..points.len()).filter(|&row| copies(row) <= most).collect()
}

/// The least of all distances, sorted: the graph by definition.
fn brute_force(points: &Points, k: usize) -> Vec<Vec<(u32, f32)>> {
    brute_force_of(points, k, usize::MAX)
}

/// The same with so many rows of one vector in lists.
fn brute_force_of(points: &Points, k: usize, copies: usize) -> Vec<Vec<(u32, f32)>> {
    let listed = listed(points, copies);
    (0..points.len())
        .map(|i| {
            let others = listed.iter().copied().filter(|&j| j != i);
            let mut row: Vec<_> = others.map(|j| (j as u32, points.distance(i, points, j))).collect();
            let order = |a: &(u32, f32), b: &(u32, f32)| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0));
            // Only what is kept is sorted: tests run under emulators and sanitizers too.
            if k < row.len() {
                row.select_nth_unstable_by(k, order);
                row.truncate(k);
            }
            row.sort_by(order);
            row
        })
        .collect()
}

fn rows(graph: &KnnGraph) -> Vec<Vec<(u32, f32)>> {
    (0..graph.len())
        .map(|row| {
            let (neighbors, distances) = graph.row(row);
            neighbors.iter().copied().zip(distances.iter().copied()).collect()
        })
        .collect()
}

/// Neighbors that both graphs have.
fn shared(one: &[Vec<(u32, f32)>], other: &[Vec<(u32, f32)>]) -> usize {
    one.iter().zip(other).map(|(one, other)| one.iter().filter(|n| other.contains(n)).count()).sum()
}

fn options(k: usize, method: Method) -> KnnOptions {
    KnnOptions { k, method, ..Default::default() }
}

fn graph_of(points: Embeddings, metric: Metric, options: &KnnOptions) -> Result<KnnGraph> {
    knn_graph(&Points::new(points, metric, &Monitor::new())?, options, &Monitor::new())
}

/// Normally distributed values, each row with the same `offset` in every dimension.
fn normal(n: usize, dim: usize, offset: f64) -> Vec<f32> {
    let normal = |at: u64| {
        let (radius, angle) = ((-2.0 * (1.0 - unit(2 * at)).ln()).sqrt(), std::f64::consts::TAU * unit(2 * at + 1));
        (radius * angle.cos() + offset) as f32
    };
    (0..(n * dim) as u64).map(normal).collect()
}

#[test]
fn k_beyond_the_other_points_gives_all_of_them() {
    let graph = graph_of(grid(4, 2), Metric::L2sq, &options(9, Method::Exact)).unwrap();
    assert_eq!((graph.k(), graph.edges()), (3, 12));
    let graph = graph_of(grid(1, 2), Metric::L2sq, &options(9, Method::Exact)).unwrap();
    assert_eq!((graph.len(), graph.edges()), (1, 0));
}

/// Those of the methods that this build has.
fn built(methods: &[Method]) -> impl Iterator<Item = Method> {
    methods.iter().copied().filter(|&method| method != Method::Hnsw || cfg!(feature = "usearch"))
}

#[cfg(not(feature = "usearch"))]
#[test]
fn a_method_that_is_not_built_is_refused() {
    let error = graph_of(grid(2, 2), Metric::Cosine, &options(2, Method::Hnsw)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "method must be one of auto, exact, nn_descent in a build without the feature usearch, got hnsw"
    );
}

#[test]
fn queries_of_another_precision_are_refused() {
    let points =
        |precision| Points::new(rounded(&grid_values(9, 2), 2, precision), Metric::Ip, &Monitor::new()).unwrap();
    let (base, queries) = (points(Precision::F32), points(Precision::F16));
    let error = knn_queries(&base, &queries, &[], &KnnOptions::default(), &Monitor::new()).unwrap_err();
    assert_eq!(error.to_string(), "the queries and the base have different precisions");
}

#[test]
fn auto_is_exact_for_queries_and_where_descent_is_not_five_times_as_fast_and_good() {
    let resolved = |n, queries, dim, k| options(k, Method::Auto).resolved(n, queries, dim);
    assert_eq!(resolved(1_000_000, false, 256, 80), Method::Exact);
    assert_eq!(resolved(10_000_000, false, 256, 80), Method::NnDescent);
    assert_eq!(resolved(10_000_000, true, 256, 80), Method::Exact);
    assert_eq!(resolved(10_000_000, false, 1 << 17, 80), Method::Exact);
    assert_eq!(resolved(10_000_000, false, 256, 10), Method::NnDescent);
    assert_eq!(resolved(10_000_000, false, 256, 1000), Method::Exact);
    for (dim, k) in [(64, 80), (256, 100), (768, 200)] {
        let ratio = |n| {
            let [exact, descent] = estimates(n, dim, k);
            exact.seconds / descent.seconds
        };
        // More points only make descent more worthwhile.
        let first = (1..).map(|at| at * 50_000).find(|&n| resolved(n, false, dim, k) == Method::NnDescent).unwrap();
        assert!(ratio(first) > 5.0 && ratio(first - 50_000) <= 5.0 && ratio(2 * first) > ratio(first), "{dim} {k}");
    }
}

#[test]
fn in_few_dimensions_all_methods_take_and_find_the_same() {
    for (n, dim, k) in [(1000, 1, 5), (10_000_000, 4, 80)] {
        let [exact, descent] = estimates(n, dim, k);
        assert_eq!((exact.seconds, exact.recall, exact.mass), (descent.seconds, descent.recall, descent.mass));
        assert_eq!(options(k, Method::Auto).resolved(n, false, dim), Method::Exact);
    }
}

#[test]
fn vectors_too_long_for_single_precision_are_refused() {
    let points = Embeddings::new(vec![1.0, 0.0, 3e19, 0.0], 2).unwrap();
    let error = Points::new(points.clone(), Metric::L2sq, &Monitor::new()).unwrap_err();
    assert_eq!(error, Error::point(1, PointProblem::TooLong));
    assert!(Points::new(points, Metric::Cosine, &Monitor::new()).is_ok());
}

#[test]
fn vectors_too_short_for_their_squared_distances_are_refused() {
    for dim in [2, 8] {
        let points = |factor: f32| -> Embeddings {
            Embeddings::new(grid_values(50, dim).iter().map(|x| x * factor).collect(), dim).unwrap()
        };
        let normal = graph_of(points(1.0), Metric::L2sq, &options(5, Method::Exact)).unwrap();
        // A power of two scales every distance without rounding.
        let short = graph_of(points(2f32.powi(-38)), Metric::L2sq, &options(5, Method::Exact)).unwrap();
        assert_eq!(short.neighbors, normal.neighbors);
        let error = graph_of(points(1e-30), Metric::L2sq, &options(5, Method::Exact)).unwrap_err();
        assert!(matches!(error, Error::Point { problem: PointProblem::TooShort, .. }), "{error}");
        assert!(graph_of(points(1e-30), Metric::Ip, &options(5, Method::Exact)).is_ok());
        // Zeros are as they are, and short queries are far from a base that is not.
        assert!(graph_of(points(0.0), Metric::L2sq, &options(5, Method::Exact)).is_ok());
        let [base, queries] =
            [1.0, 1e-30].map(|factor| Points::new(points(factor), Metric::L2sq, &Monitor::new()).unwrap());
        assert!(knn_queries(&base, &queries, &[], &options(5, Method::Exact), &Monitor::new()).is_ok());
    }
}

#[test]
fn a_stopped_run_ends_with_interrupted() {
    let monitor = Monitor::new();
    monitor.stop();
    for (method, dim) in built(&[Method::Exact, Method::NnDescent, Method::Hnsw]).flat_map(|m| [(m, 4), (m, 8)]) {
        let points = Points::new(grid(2000, dim), Metric::Cosine, &Monitor::new()).unwrap();
        let error = knn_graph(&points, &options(5, method), &monitor).unwrap_err();
        assert_eq!(error, Error::Interrupted);
    }
}

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

/// All distances, sorted: the graph by definition.
fn brute_force(points: &Points, k: usize) -> Vec<Vec<(u32, f32)>> {
    (0..points.len())
        .map(|i| {
            let others = (0..points.len()).filter(|&j| j != i);
            let mut row: Vec<_> = others.map(|j| (j as u32, points.distance(i, points, j))).collect();
            row.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            row.truncate(k);
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

#[test]
fn the_exact_graph_is_the_brute_force_graph_ties_included() {
    // Several blocks, the last of them not full.
    for (n, dim) in [(2600, 3), (1200, 130), (700, 33), (5, 2)] {
        for metric in [Metric::Cosine, Metric::Ip, Metric::L2sq] {
            for precision in Precision::ALL {
                let points =
                    Points::new(rounded(&grid_values(n, dim), dim, precision), metric, &Monitor::new()).unwrap();
                let expected = brute_force(&points, 17);
                for instructions in Instructions::available() {
                    let search = Search { base: &points, queries: None, same: &[], instructions };
                    let mut graph = KnnGraph::empty(n, 17.min(n - 1));
                    exact::search(&search, &mut graph, &Monitor::new()).unwrap();
                    assert_eq!(rows(&graph), expected, "{n} x {dim} {metric:?} {precision:?} {instructions:?}");
                }
            }
        }
    }
}

#[test]
fn the_graph_of_few_dimensions_is_the_brute_force_graph_ties_and_copies_included() {
    for (n, dim) in [(1, 3), (2, 1), (17, 2), (900, 1), (1000, 2), (1000, 3), (1000, 4)] {
        let values =
            [grid_values(n, dim), normal(n, dim, 0.0), normal(n, dim, 1e3), [0.6, 0.8, 0.3, 0.1][..dim].repeat(n)];
        for metric in [Metric::Cosine, Metric::Ip, Metric::L2sq] {
            for (values, precision) in values.iter().flat_map(|values| Precision::ALL.map(|p| (values, p))) {
                let points = Points::new(rounded(values, dim, precision), metric, &Monitor::new()).unwrap();
                let expected = brute_force(&points, 17);
                let search = Search { base: &points, queries: None, same: &[], instructions: Instructions::fastest() };
                let mut graph = KnnGraph::empty(n, 17.min(n - 1));
                if graph.k() > 0 {
                    tree::search(&search, &mut graph, &Monitor::new()).unwrap();
                }
                assert_eq!(rows(&graph), expected, "{n} x {dim} {metric:?} {precision:?}");
                // Every method but the index goes by the tree, and so do queries.
                for method in [Method::Auto, Method::Exact, Method::NnDescent] {
                    assert!(graph == knn_graph(&points, &options(17, method), &Monitor::new()).unwrap());
                }
                let same: Vec<u32> = (0..n as u32).collect();
                let queries = knn_queries(&points, &points, &same, &options(17, Method::Exact), &Monitor::new());
                assert_eq!(rows(&queries.unwrap()), expected);
            }
        }
    }
}

/// Rows whose lengths differ by some orders of magnitude.
fn long_and_short(n: usize, dim: usize) -> Vec<f32> {
    let value = |(at, x): (usize, f32)| (x + 0.1) * 10f32.powi((at / dim) as i32 % 7 - 3);
    grid_values(n, dim).into_iter().enumerate().map(value).collect()
}

#[test]
fn rows_of_any_length_have_their_exact_graph() {
    for metric in [Metric::Cosine, Metric::Ip, Metric::L2sq] {
        for precision in Precision::ALL {
            let points =
                Points::new(rounded(&long_and_short(700, 40), 40, precision), metric, &Monitor::new()).unwrap();
            let graph = knn_graph(&points, &options(9, Method::Exact), &Monitor::new()).unwrap();
            assert_eq!(rows(&graph), brute_force(&points, 9), "{metric:?} {precision:?}");
        }
    }
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
fn what_all_rows_have_in_common_changes_no_exact_graph() {
    for offset in [1.0, 30.0, 1e4] {
        let values = normal(500, 40, offset);
        for metric in [Metric::Cosine, Metric::Ip, Metric::L2sq] {
            for precision in Precision::ALL {
                let points = Points::new(rounded(&values, 40, precision), metric, &Monitor::new()).unwrap();
                let graph = knn_graph(&points, &options(9, Method::Exact), &Monitor::new()).unwrap();
                assert_eq!(rows(&graph), brute_force(&points, 9), "{offset} {metric:?} {precision:?}");
            }
        }
    }
}

#[test]
fn points_as_far_apart_as_can_be_are_neighbors() {
    for metric in [Metric::Cosine, Metric::Ip, Metric::L2sq] {
        let mut values = vec![0.0; 2 * 40];
        (values[0], values[40]) = (1.0, -1.0);
        let points = Points::new(Embeddings::new(values, 40).unwrap(), metric, &Monitor::new()).unwrap();
        let graph = knn_graph(&points, &options(1, Method::Exact), &Monitor::new()).unwrap();
        assert_eq!(rows(&graph), brute_force(&points, 1), "{metric:?}");
    }
}

/// Pairs of rows whose sum of products does not rule out that one is among the 10 nearest of the other.
fn possible_pairs(points: &Points) -> usize {
    let search = Search { base: points, queries: None, same: &[], instructions: Instructions::fastest() };
    let scale = Scale::new(&search, &Monitor::new()).unwrap();
    let kth: Vec<f32> = brute_force(points, 10).iter().map(|row| row[9].1).collect();
    let all: Vec<u32> = (0..points.len() as u32).collect();
    let limits = || std::iter::zip(&kth, scale.base()).map(|(kth, &share)| scale.limit(kth + scale.margin(), share));
    let offsets = || scale.base().iter().map(|&share| scale.offset(share));
    let (mut wanted, mut found) = (Wanted::default(), 0);
    wanted.by_rows(limits(), offsets());
    wanted.by_columns(limits(), offsets());
    let mut multiplier = Multiplier::new(search.instructions);
    multiplier.multiply(&scale, (points, &all), (points, &all), &mut wanted, |_, _, _, _, _| found += 1);
    found
}

#[test]
fn what_all_rows_have_in_common_makes_no_more_pairs_possible() {
    for metric in [Metric::Cosine, Metric::L2sq] {
        for offset in [0.0, 30.0] {
            let points = Embeddings::new(normal(500, 64, offset), 64).unwrap();
            let pairs = possible_pairs(&Points::new(points, metric, &Monitor::new()).unwrap());
            // Each row with itself, and with its 10 nearest, in both directions.
            assert!(pairs < 500 + 2 * 5000 + 200, "{metric:?} {offset}: {pairs}");
        }
    }
}

#[test]
fn descent_finds_the_neighbors_of_rows_that_have_much_in_common() {
    let values = normal(4000, 128, 999f64.sqrt());
    for metric in [Metric::Cosine, Metric::Ip, Metric::L2sq] {
        let points = Points::new(Embeddings::new(values.clone(), 128).unwrap(), metric, &Monitor::new()).unwrap();
        let graph = |method| rows(&knn_graph(&points, &options(10, method), &Monitor::new()).unwrap());
        let (exact, descent) = (graph(Method::Exact), graph(Method::NnDescent));
        let found = shared(&descent, &exact);
        assert!(found > 39_000, "{metric:?}: {found} of 40000");
    }
}

#[test]
fn distances_are_those_of_the_rounded_features() {
    for metric in [Metric::Cosine, Metric::Ip, Metric::L2sq] {
        for precision in Precision::ALL {
            let embeddings = rounded(&long_and_short(50, 40), 40, precision);
            let features = |row: usize| -> Vec<f64> {
                match embeddings.row(row) {
                    Row::F32(values) => values.iter().map(|&x| f64::from(x)).collect(),
                    Row::F16(values, scale) => values.iter().map(|x| x.to_f64() * f64::from(scale)).collect(),
                    Row::I8(values, scale) => values.iter().map(|&x| f64::from(x) * f64::from(scale)).collect(),
                }
            };
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
            let points = Points::new(embeddings.clone(), metric, &Monitor::new()).unwrap();
            for i in 0..50 {
                for j in 0..50 {
                    let (x, y) = (features(i), features(j));
                    let lengths = (dot(&x, &x) * dot(&y, &y)).sqrt();
                    let (expected, size) = match metric {
                        Metric::Cosine => (1.0 - dot(&x, &y) / lengths, 1.0),
                        Metric::Ip => (1.0 - dot(&x, &y), 1.0 + lengths),
                        Metric::L2sq => (x.iter().zip(&y).map(|(x, y)| (x - y).powi(2)).sum(), 1e-3),
                    };
                    let (distance, back) = (points.distance(i, &points, j), points.distance(j, &points, i));
                    let difference = (f64::from(distance) - expected).abs();
                    assert!(difference <= 2e-7 * (size + expected.abs()), "{metric:?} {precision:?} {i} {j}");
                    assert_eq!(distance.to_bits(), back.to_bits());
                    assert!(i != j || metric == Metric::Ip || distance == 0.0);
                }
            }
        }
    }
}

#[test]
fn equal_vectors_are_neighbors_in_order_of_their_rows() {
    for precision in Precision::ALL {
        for dim in [2, 6] {
            let points = rounded(&[0.3, 0.4].repeat(1500 * dim / 2), dim, precision);
            let graph = graph_of(points, Metric::Cosine, &options(3, Method::Exact)).unwrap();
            assert_eq!(graph.row(0), (&[1, 2, 3][..], &[0.0; 3][..]));
            assert_eq!(graph.row(1499).0, [0, 1, 2]);
        }
    }
}

#[test]
fn the_neighbors_among_copies_are_those_of_all_pairs() {
    // 300 copies of each of 5 rows; 30, 3 and 2 of more, so that the nearest are copies of several.
    for (rows_of, copies, k) in [(5, 300, 80), (50, 30, 80), (400, 3, 20), (500, 2, 1)] {
        let distinct = normal(rows_of, 16, 0.0);
        let values = distinct.repeat(copies);
        for metric in [Metric::Cosine, Metric::L2sq] {
            let points = Points::new(Embeddings::new(values.clone(), 16).unwrap(), metric, &Monitor::new()).unwrap();
            let exact = brute_force(&points, k);
            for method in built(&[Method::Exact, Method::NnDescent, Method::Hnsw]) {
                let graph = rows(&knn_graph(&points, &options(k, method), &Monitor::new()).unwrap());
                let copies_of = |rows: &[Vec<(u32, f32)>]| -> Vec<Vec<(u32, f32)>> {
                    rows.iter().map(|row| row.iter().copied().filter(|n| n.1 == 0.0).collect()).collect()
                };
                assert!(copies_of(&graph) == copies_of(&exact), "{metric:?} {method:?}: {copies} copies");
                let found = shared(&graph, &exact);
                assert!(found * 100 > 95 * points.len() * k, "{metric:?} {method:?}: {copies} copies, {found}");
            }
        }
    }
}

#[test]
fn descent_finds_the_copy_of_a_row_among_many_that_8_bits_do_not_tell_apart() {
    let (mut distinct, noise) = (normal(4, 16, 0.0).repeat(200), normal(800, 16, 0.0));
    distinct.iter_mut().zip(noise).for_each(|(x, noise)| *x += 1e-4 * noise);
    let points = Embeddings::new(distinct.repeat(2), 16).unwrap();
    let graph = rows(&graph_of(points, Metric::L2sq, &options(5, Method::NnDescent)).unwrap());
    assert!(graph.iter().enumerate().all(|(row, neighbors)| neighbors[0] == ((row as u32 + 800) % 1600, 0.0)));
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
fn shards_of_queries_together_are_the_graph() {
    let values = grid_values(900, 8);
    for (method, precision) in built(&[Method::Exact, Method::Hnsw]).flat_map(|m| Precision::ALL.map(|p| (m, p))) {
        let options = options(10, method);
        let base = Points::new(rounded(&values, 8, precision), Metric::Cosine, &Monitor::new()).unwrap();
        let whole = knn_graph(&base, &options, &Monitor::new()).unwrap();
        let mut shards = Vec::new();
        for shard in [0..600, 600..900] {
            let queries = rounded(&values[shard.start * 8..shard.end * 8], 8, precision);
            let queries = Points::new(queries, Metric::Cosine, &Monitor::new()).unwrap();
            let same: Vec<u32> = shard.map(|row| row as u32).collect();
            let graph = knn_queries(&base, &queries, &same, &options, &Monitor::new()).unwrap();
            shards.extend(rows(&graph));
        }
        if method == Method::Exact {
            assert_eq!(shards, rows(&whole));
        }
        assert!(shards.iter().enumerate().all(|(i, row)| row.len() == 10 && row.iter().all(|n| n.0 as usize != i)));
    }
}

#[test]
fn queries_of_another_precision_are_refused() {
    let points =
        |precision| Points::new(rounded(&grid_values(9, 2), 2, precision), Metric::Ip, &Monitor::new()).unwrap();
    let (base, queries) = (points(Precision::F32), points(Precision::F16));
    let error = knn_queries(&base, &queries, &[], &KnnOptions::default(), &Monitor::new()).unwrap_err();
    assert_eq!(error.to_string(), "the queries and the base have different precisions");
}

#[cfg(feature = "usearch")]
#[test]
fn hnsw_finds_most_neighbors_at_every_precision() {
    for (metric, precision, factor) in [
        (Metric::Cosine, Precision::F32, 1.0),
        (Metric::Cosine, Precision::F16, 1.0),
        (Metric::Cosine, Precision::I8, 1.0),
        (Metric::Ip, Precision::F32, 1.0),
        // Values beyond what a half float holds.
        (Metric::Ip, Precision::F16, 1e6),
        (Metric::L2sq, Precision::F16, 1e6),
    ] {
        let values: Vec<f32> = grid_values(2000, 16).iter().map(|x| x * factor).collect();
        let points = Points::new(rounded(&values, 16, precision), metric, &Monitor::new()).unwrap();
        let graph = knn_graph(&points, &options(10, Method::Hnsw), &Monitor::new()).unwrap();
        // Many distances are equal, so compare the distance at the last place, not the ids.
        let exact = brute_force(&points, 10);
        let found: usize = (rows(&graph).iter().zip(&exact))
            .map(|(row, exact)| row.iter().filter(|n| n.1 <= exact[9].1).count())
            .sum();
        assert!(found > 2000 * 9, "{metric:?} {precision:?}: {found} of 20000");
    }
}

#[cfg(feature = "usearch")]
#[test]
fn an_index_of_8_bits_is_for_cosine_alone() {
    for metric in [Metric::Ip, Metric::L2sq] {
        let points = rounded(&grid_values(20, 2), 2, Precision::I8);
        let error = graph_of(points.clone(), metric, &options(2, Method::Hnsw)).unwrap_err();
        assert_eq!(error.to_string(), "the HNSW index takes features of 8 bits under cosine alone");
        assert!(graph_of(points, metric, &options(2, Method::Auto)).is_ok());
    }
}

#[cfg(feature = "usearch")]
#[test]
fn the_index_is_estimated_in_the_precision_of_the_features() {
    let needs = |method, precision| options(10, method).memory(precision, 1000, None, 256);
    assert_eq!(needs(Method::Exact, Precision::I8), needs(Method::Exact, Precision::F32));
    assert_eq!(needs(Method::Hnsw, Precision::F32) - needs(Method::Hnsw, Precision::F16), 1000 * 256 * 2);
    assert_eq!(needs(Method::Hnsw, Precision::F16) - needs(Method::Hnsw, Precision::I8), 1000 * 256);
}

#[test]
fn descent_finds_most_neighbors_by_every_metric_whatever_the_threads_and_instructions() {
    for (metric, precision) in
        [(Metric::Cosine, Precision::F32), (Metric::Ip, Precision::F16), (Metric::L2sq, Precision::I8)]
    {
        let points = Points::new(rounded(&grid_values(12_000, 12), 12, precision), metric, &Monitor::new()).unwrap();
        let graph_by = |instructions, threads| {
            let search = Search { base: &points, queries: None, same: &[], instructions };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut graph = KnnGraph::empty(12_000, 10);
            pool.install(|| descent::search(&search, &mut graph, &Monitor::new())).unwrap();
            graph
        };
        let graph = graph_by(Instructions::fastest(), 1);
        for instructions in Instructions::available() {
            assert!(graph == graph_by(instructions, 3), "{metric:?} {instructions:?}");
        }
        let exact = rows(&knn_graph(&points, &options(10, Method::Exact), &Monitor::new()).unwrap());
        let graph = rows(&graph);
        assert!(graph.iter().enumerate().all(|(i, row)| row.len() == 10 && row.iter().all(|n| n.0 as usize != i)));
        assert!(graph.iter().all(|row| row.is_sorted_by(|a, b| (a.1, a.0) < (b.1, b.0))));
        // Many distances are equal, so compare the distance at the last place, not the ids.
        let found: usize =
            (graph.iter().zip(&exact)).map(|(row, exact)| row.iter().filter(|n| n.1 <= exact[9].1).count()).sum();
        assert!(found > 12_000 * 9, "{metric:?}: {found} of 120000");
    }
}

#[test]
fn descent_is_exact_where_all_points_meet() {
    for (n, k) in [(2, 5), (5, 2), (300, 17)] {
        let points = Points::new(grid(n, 5), Metric::L2sq, &Monitor::new()).unwrap();
        let graph = knn_graph(&points, &options(k, Method::NnDescent), &Monitor::new()).unwrap();
        // Of equal distances it may keep any.
        let distances = |rows: Vec<Vec<(u32, f32)>>| -> Vec<f32> { rows.into_iter().flatten().map(|n| n.1).collect() };
        assert!(distances(rows(&graph)) == distances(brute_force(&points, k)), "{n} {k}");
    }
}

#[test]
fn scores_order_as_distances_do() {
    for metric in [Metric::Cosine, Metric::Ip, Metric::L2sq] {
        for precision in Precision::ALL {
            let (n, dim) = (100, 70);
            let points = Points::new(rounded(&grid_values(n, dim), dim, precision), metric, &Monitor::new()).unwrap();
            for instructions in Instructions::available() {
                let search = Search { base: &points, queries: None, same: &[], instructions };
                let codes =
                    Codes::new(&search, &Scale::new(&search, &Monitor::new()).unwrap(), &Monitor::new()).unwrap();
                let (rows, columns): (Vec<u32>, Vec<u32>) = ((40..45).collect(), (0..n as u32 - 1).collect());
                let (mut panel, mut hits) = (Panel::default(), vec![]);
                panel.hold(&codes, &rows, &[i32::MIN; 5]);
                codes.hits(&panel, &columns, &vec![i32::MAX; columns.len()], &mut hits);
                assert_eq!(hits.len(), rows.len() * columns.len());
                for (at, &row) in rows.iter().enumerate() {
                    let mut found: Vec<_> = (hits.iter().filter(|hit| hit.row as usize == at))
                        .map(|hit| (codes.score(hit.sum, columns[hit.column as usize]), columns[hit.column as usize]))
                        .collect();
                    found.sort_by_key(|&(score, _)| std::cmp::Reverse(score));
                    let distance = |&(_, column): &(i32, u32)| points.distance(row as usize, &points, column as usize);
                    let distances: Vec<f32> = found.iter().map(distance).collect();
                    // Off by what rounding to 8 bits leaves of rows of such a length.
                    let slack = 0.01 * points.longest().powi(2).max(1.0) as f32;
                    let mut most = f32::NEG_INFINITY;
                    for distance in distances {
                        assert!(distance >= most - slack, "{metric:?} {precision:?} {instructions:?}");
                        most = most.max(distance);
                    }
                }
                // Only pairs that one of the two wants.
                let limit = hits.iter().map(|hit| codes.score(hit.sum, columns[hit.column as usize])).max().unwrap();
                panel.hold(&codes, &rows, &[limit; 5]);
                let all = std::mem::take(&mut hits);
                codes.hits(&panel, &columns, &vec![i32::MAX; columns.len()], &mut hits);
                assert!(!hits.is_empty() && hits.len() < all.len());
                let mut limits = vec![i32::MAX; columns.len()];
                limits[7] = i32::MIN;
                panel.hold(&codes, &rows, &[i32::MAX; 5]);
                hits.clear();
                codes.hits(&panel, &columns, &limits, &mut hits);
                assert_eq!(
                    hits.iter().map(|hit| (hit.row, hit.column)).collect::<Vec<_>>(),
                    [0, 1, 2, 3, 4].map(|row| (row, 7))
                );
            }
        }
    }
}

#[test]
fn descent_takes_no_queries() {
    let points = Points::new(grid(20, 2), Metric::Cosine, &Monitor::new()).unwrap();
    let error = knn_queries(&points, &points, &[], &options(3, Method::NnDescent), &Monitor::new()).unwrap_err();
    assert_eq!(error.to_string(), "NN-descent finds the neighbors of all points together, not those of queries");
}

#[test]
fn auto_is_exact_for_queries_and_where_descent_is_not_five_times_as_fast_and_good() {
    let resolved = |n, queries, dim, k| options(k, Method::Auto).resolved(n, queries, dim);
    assert_eq!(resolved(1_000_000, false, 256, 80), Method::Exact);
    assert_eq!(resolved(10_000_000, false, 256, 80), Method::NnDescent);
    assert_eq!(resolved(10_000_000, true, 256, 80), Method::Exact);
    assert_eq!(resolved(10_000_000, false, 1 << 17, 80), Method::Exact);
    assert_eq!(resolved(10_000_000, false, 256, 10), Method::Exact);
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

use super::*;

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
                    exact::search(&search, &(0..n as u32).collect::<Vec<_>>(), &mut graph, &Monitor::new()).unwrap();
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
                    tree::search(&search, (0..n as u32).collect(), &mut graph, &Monitor::new()).unwrap();
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
fn of_equal_rows_as_many_stand_in_lists_as_are_asked_for() {
    // 40 and 3 copies of each vector, and one alone.
    for (dim, k) in [(3, 8), (20, 8), (20, 200)] {
        let values = [normal(12, dim, 0.0).repeat(40), normal(30, dim, 0.1).repeat(3), normal(50, dim, 0.2)].concat();
        for metric in [Metric::Cosine, Metric::Ip, Metric::L2sq] {
            let points = Points::new(Embeddings::new(values.clone(), dim).unwrap(), metric, &Monitor::new()).unwrap();
            for copies in [1, 3, 1000] {
                let expected = brute_force_of(&points, k, copies);
                for method in built(&[Method::Exact, Method::NnDescent, Method::Hnsw]) {
                    // An index has copies of which the inner product is not the greatest as neighbors too late.
                    if method == Method::Hnsw && metric == Metric::Ip {
                        continue;
                    }
                    let options = KnnOptions { copies: Some(copies), ..options(k, method) };
                    let graph = rows(&knn_graph(&points, &options, &Monitor::new()).unwrap());
                    let all: usize = expected.iter().map(Vec::len).sum();
                    let (found, context) = (shared(&graph, &expected), format!("{dim} {metric:?} {method:?} {copies}"));
                    assert!(
                        if method == Method::Exact { graph == expected } else { found * 100 > 95 * all },
                        "{context}"
                    );
                    if method != Method::NnDescent {
                        let same: Vec<u32> = (0..points.len() as u32).collect();
                        let queries = knn_queries(&points, &points, &same, &options, &Monitor::new()).unwrap();
                        assert!(shared(&rows(&queries), &expected) * 100 > 95 * all, "queries {context}");
                    }
                }
            }
        }
    }
}

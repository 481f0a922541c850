use super::*;

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
    let needs = |method, precision| options(10, method).memory(precision, 1000, None, 256, 1);
    assert_eq!(needs(Method::Exact, Precision::I8), needs(Method::Exact, Precision::F32));
    assert_eq!(needs(Method::Hnsw, Precision::F32) - needs(Method::Hnsw, Precision::F16), 1000 * 256 * 2);
    assert_eq!(needs(Method::Hnsw, Precision::F16) - needs(Method::Hnsw, Precision::I8), 1000 * 256);
}

#[test]
fn descent_finds_most_neighbors_by_every_metric_whatever_the_threads_and_instructions() {
    // More than one batch of joins, and more than one range of updates.
    let n = 12_000;
    for (metric, precision) in
        [(Metric::Cosine, Precision::F32), (Metric::Ip, Precision::F16), (Metric::L2sq, Precision::I8)]
    {
        let points = Points::new(rounded(&grid_values(n, 12), 12, precision), metric, &Monitor::new()).unwrap();
        let copies = Copies::new(&points, None, &Monitor::new()).unwrap();
        let graph_by = |instructions, threads| {
            let search = Search { base: &points, queries: None, same: &[], instructions };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut graph = KnnGraph::empty(n, 10);
            pool.install(|| descent::search(&search, &copies, &mut graph, &Monitor::new())).unwrap();
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
        assert!(found > n * 9, "{metric:?}: {found} of {}", 10 * n);
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
                let scale = Scale::new(&search, &Monitor::new()).unwrap();
                let all: Vec<u32> = (0..n as u32).collect();
                let codes = Codes::new(&search, &all, &scale, &Monitor::new()).unwrap();
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
fn descent_finds_as_many_neighbors_as_are_asked_for() {
    // Far more than a cell would have by the number of points alone, and than are joined.
    let (n, k) = (3000, 750);
    let points =
        Points::new(Embeddings::new(normal(n, 16, 0.0), 16).unwrap(), Metric::Cosine, &Monitor::new()).unwrap();
    let graph = |method| rows(&knn_graph(&points, &options(k, method), &Monitor::new()).unwrap());
    let (exact, descent) = (graph(Method::Exact), graph(Method::NnDescent));
    for (row, neighbors) in descent.iter().enumerate() {
        let distinct: std::collections::HashSet<u32> = neighbors.iter().map(|neighbor| neighbor.0).collect();
        assert_eq!(distinct.len(), k, "row {row}");
    }
    let found = shared(&descent, &exact);
    assert!(found * 100 > n * k * 98, "{found} of {}", n * k);
}

#[test]
fn descent_takes_no_queries() {
    let points = Points::new(grid(20, 2), Metric::Cosine, &Monitor::new()).unwrap();
    let error = knn_queries(&points, &points, &[], &options(3, Method::NnDescent), &Monitor::new()).unwrap_err();
    assert_eq!(error.to_string(), "NN-descent finds the neighbors of all points together, not those of queries");
}

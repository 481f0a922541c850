use super::*;
use crate::embeddings::Embeddings;
use crate::error::PointProblem;

/// Points on a coarse grid, so that many distances are equal.
fn grid(n: usize, dim: usize) -> Embeddings {
    let mut state = 7u64;
    let values = (0..n * dim)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 33) % 5) as f32 - 1.5
        })
        .collect();
    Embeddings::new(values, dim).unwrap()
}

/// All distances, sorted: the graph by definition.
fn brute_force(points: &Embeddings, metric: Metric, k: usize) -> Vec<Vec<(u32, f32)>> {
    let points = Points::new(points.clone(), metric).unwrap();
    (0..points.len())
        .map(|i| {
            let others = (0..points.len()).filter(|&j| j != i);
            let mut row: Vec<_> = others.map(|j| (j as u32, points.distance(i, &points, j))).collect();
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

fn options(k: usize, method: Method) -> KnnOptions {
    KnnOptions { k, method, ..Default::default() }
}

fn graph_of(points: Embeddings, metric: Metric, options: &KnnOptions) -> Result<KnnGraph> {
    knn_graph(&Points::new(points, metric)?, options, &Monitor::new())
}

#[test]
fn the_exact_graph_is_the_brute_force_graph_ties_included() {
    // Several blocks, the last of them not full.
    for (n, dim) in [(2600, 3), (700, 33), (5, 2)] {
        for metric in [Metric::Cosine, Metric::Ip, Metric::L2sq] {
            let expected = brute_force(&grid(n, dim), metric, 17);
            let points = Points::new(grid(n, dim), metric).unwrap();
            let search = Search { base: &points, queries: None, same: &[] };
            for instructions in Instructions::available() {
                let mut graph = KnnGraph::empty(n, 17.min(n - 1));
                exact::search(&search, instructions, &mut graph, &Monitor::new()).unwrap();
                assert_eq!(rows(&graph), expected, "{n} x {dim} {metric:?} {instructions:?}");
            }
        }
    }
}

#[test]
fn equal_vectors_are_neighbors_in_order_of_their_rows() {
    let points = Embeddings::new([0.3, 0.4].repeat(1500), 2).unwrap();
    let graph = graph_of(points, Metric::Cosine, &options(3, Method::Exact)).unwrap();
    assert_eq!(graph.row(0), (&[1, 2, 3][..], &[0.0; 3][..]));
    assert_eq!(graph.row(1499).0, [0, 1, 2]);
}

#[test]
fn k_beyond_the_other_points_gives_all_of_them() {
    let graph = graph_of(grid(4, 2), Metric::L2sq, &options(9, Method::Exact)).unwrap();
    assert_eq!((graph.k(), graph.edges()), (3, 12));
    let graph = graph_of(grid(1, 2), Metric::L2sq, &options(9, Method::Exact)).unwrap();
    assert_eq!((graph.len(), graph.edges()), (1, 0));
}

#[test]
fn shards_of_queries_together_are_the_graph() {
    for method in [Method::Exact, Method::Hnsw] {
        let points = grid(900, 8);
        let options = options(10, method);
        let base = Points::new(points.clone(), Metric::Cosine).unwrap();
        let whole = knn_graph(&base, &options, &Monitor::new()).unwrap();
        let mut shards = Vec::new();
        for shard in [0..600, 600..900] {
            let values = points.values()[shard.start * 8..shard.end * 8].to_vec();
            let queries = Points::new(Embeddings::new(values, 8).unwrap(), Metric::Cosine).unwrap();
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
fn hnsw_finds_most_neighbors_at_every_precision() {
    let points = grid(2000, 16);
    for (metric, precision) in [
        (Metric::Cosine, Precision::F32),
        (Metric::Cosine, Precision::F16),
        (Metric::Cosine, Precision::I8),
        (Metric::Ip, Precision::F32),
        (Metric::L2sq, Precision::F16),
    ] {
        let mut options = options(10, Method::Hnsw);
        options.hnsw.precision = precision;
        let graph = graph_of(points.clone(), metric, &options).unwrap();
        // Many distances are equal, so compare the distance at the last place, not the ids.
        let exact = brute_force(&points, metric, 10);
        let found: usize = (rows(&graph).iter().zip(&exact))
            .map(|(row, exact)| row.iter().filter(|n| n.1 <= exact[9].1).count())
            .sum();
        assert!(found > 2000 * 9, "{metric:?} {precision:?}: {found} of 20000");
    }
}

#[test]
fn vectors_too_long_for_single_precision_are_refused() {
    let points = Embeddings::new(vec![1.0, 0.0, 3e19, 0.0], 2).unwrap();
    let error = Points::new(points.clone(), Metric::L2sq).unwrap_err();
    assert_eq!(error, Error::point(1, PointProblem::TooLong));
    assert!(Points::new(points, Metric::Cosine).is_ok());
}

#[test]
fn a_stopped_run_ends_with_interrupted() {
    let monitor = Monitor::new();
    monitor.stop();
    for method in [Method::Exact, Method::Hnsw] {
        let points = Points::new(grid(2000, 4), Metric::Cosine).unwrap();
        let error = knn_graph(&points, &options(5, method), &monitor).unwrap_err();
        assert_eq!(error, Error::Interrupted);
    }
}

use super::*;
use crate::core::embeddings::Embeddings;
use crate::core::error::Error;
use crate::core::knn::{KnnOptions, Metric, Points, knn_graph};
use crate::core::sparse::{from_edges, row};

fn connected(n: usize, edges: &[(u32, u32, f64)], threshold: f64) -> Result<Vec<u32>> {
    let (src, dst): (Vec<u32>, Vec<u32>) = edges.iter().map(|edge| (edge.0, edge.1)).unzip();
    let values: Vec<f64> = edges.iter().map(|edge| edge.2).collect();
    let graph = from_edges(n, &src, &dst, &values, &Monitor::new())?;
    cluster_graph(&graph, &GraphMethod::ConnectedComponents { threshold }, &Monitor::new())
}

#[test]
fn an_edge_counts_in_both_directions_by_its_smaller_distance() {
    let edges = [(0, 0, 0.0), (2, 1, 0.3), (1, 2, 0.6), (3, 0, 0.5)];
    assert_eq!(connected(4, &edges, 0.3), Ok(vec![0, 1, 1, 2]));
    assert_eq!(connected(4, &edges, 0.5), Ok(vec![0, 1, 1, 0]));
}

#[test]
fn a_distance_that_is_none_is_an_error_in_either_direction() {
    for bad in [f64::NAN, -0.1, f64::INFINITY] {
        assert!(connected(2, &[(0, 1, bad)], 1.0).is_err());
        assert!(connected(2, &[(1, 0, f64::NAN), (0, 1, 0.5)], 1.0).is_err());
        assert!(connected(2, &[(0, 1, f64::NAN), (1, 0, 0.5)], 1.0).is_err());
    }
}

#[test]
fn a_graph_keeps_its_distances() {
    let values: Vec<f32> = (0..60).map(|at| ((at * 37 % 23) as f32).sin()).collect();
    let points = Points::new(Embeddings::new(values, 3).unwrap(), Metric::L2sq, &Monitor::new()).unwrap();
    let graph = knn_graph(&points, &KnnOptions { k: 4, ..Default::default() }, &Monitor::new()).unwrap();
    let matrix = from_knn_graph(&graph, &Monitor::new()).unwrap();
    for i in 0..20 {
        let mut edges: Vec<(u32, f64)> =
            graph.row(i).0.iter().zip(graph.row(i).1).map(|(&j, &distance)| (j, f64::from(distance))).collect();
        edges.sort_by_key(|edge| edge.0);
        assert!(row(&matrix, i).0.iter().copied().zip(row(&matrix, i).1.iter().copied()).eq(edges));
    }
}

#[test]
fn a_stopped_run_ends() {
    let graph = from_edges(2, &[0], &[1], &[0.5], &Monitor::new()).unwrap();
    let monitor = Monitor::new();
    monitor.stop();
    let points = Embeddings::new(vec![1.0, 0.0, 0.0, 1.0], 2).unwrap();
    let options = Kmeans { clusters: 1, metric: Metric::Cosine, max_iterations: 1 };
    assert_eq!(kmeans(points, &options, &monitor), Err(Error::Interrupted));
    let method = GraphMethod::MapEquation { threshold: 1.0, sigma: 0.1 };
    assert_eq!(cluster_graph(&graph, &method, &monitor), Err(Error::Interrupted));
}

#[test]
fn kmeans_has_no_inner_product() {
    let points = Embeddings::new(vec![1.0, 0.0], 2).unwrap();
    let options = Kmeans { clusters: 1, metric: Metric::Ip, max_iterations: 1 };
    assert!(matches!(kmeans(points, &options, &Monitor::new()), Err(Error::Input(_))));
}

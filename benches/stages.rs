//! Each stage by itself, on generated points: `cargo bench`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use density_peaks::embeddings::{EmbeddingRows, Precision};
use density_peaks::knn::{KnnOptions, Method, Metric, Points, knn_graph};
use density_peaks::ndde::{NddeOptions, ndde};
use density_peaks::similarity::Kernel;
use density_peaks::{Embeddings, Monitor, dpc, tpdi, transition};

const N: usize = 10_000;
const DIM: usize = 128;
const K: usize = 80;

/// Points around the centers of identities, of which few are large and most small.
fn values(n: usize, dim: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let mut values = Vec::with_capacity(n * dim);
    while values.len() < n * dim {
        let points = (4.0 / uniform().max(0.01)) as usize;
        let center: Vec<f32> = (0..dim).map(|_| uniform() - 0.5).collect();
        for _ in 0..points.min(n - values.len() / dim) {
            values.extend(center.iter().map(|x| x + 0.8 * (uniform() - 0.5)));
        }
    }
    values
}

fn embeddings(precision: Precision) -> Embeddings {
    let mut rows = EmbeddingRows::new(precision);
    values(N, DIM).chunks(DIM).for_each(|row| rows.push(row).expect("finite rows of one length"));
    rows.finish(&Monitor::new()).expect("nobody stops it")
}

fn points(metric: Metric, precision: Precision) -> Points {
    Points::new(embeddings(precision), metric, &Monitor::new()).expect("no row is zero")
}

fn of_embeddings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("embeddings");
    group.throughput(Throughput::Elements((N * DIM) as u64));
    let values = values(N, DIM);
    for precision in Precision::ALL {
        group.bench_function(format!("rounded to {}", precision.name()), |bencher| {
            bencher.iter(|| {
                let mut rows = EmbeddingRows::new(precision);
                values.chunks(DIM).for_each(|row| rows.push(row).expect("finite rows of one length"));
                black_box(rows.len())
            });
        });
    }
    let embeddings = embeddings(Precision::F32);
    group.bench_function("points under cosine", |bencher| {
        let new = |embeddings| Points::new(embeddings, Metric::Cosine, &Monitor::new());
        bencher.iter_batched(|| embeddings.clone(), new, BatchSize::LargeInput);
    });
}

fn of_the_graph(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("knn_graph");
    group.throughput(Throughput::Elements((N * N / 2) as u64));
    let mut graph = |name: &str, method, points: &Points| {
        let options = KnnOptions { k: K, method, ..Default::default() };
        group.bench_function(name, |bencher| bencher.iter(|| knn_graph(points, &options, &Monitor::new())));
    };
    for (name, metric) in [("cosine", Metric::Cosine), ("ip", Metric::Ip), ("l2sq", Metric::L2sq)] {
        graph(&format!("exact, {name}"), Method::Exact, &points(metric, Precision::F32));
    }
    for precision in [Precision::F16, Precision::I8] {
        graph(&format!("exact, {}", precision.name()), Method::Exact, &points(Metric::Cosine, precision));
    }
    graph("nn_descent", Method::NnDescent, &points(Metric::Cosine, Precision::F32));
}

fn after_the_graph(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("after the graph");
    let monitor = Monitor::new();
    let options = KnnOptions { k: K, ..Default::default() };
    let graph = knn_graph(&points(Metric::Cosine, Precision::F32), &options, &monitor).expect("a graph");
    group.throughput(Throughput::Elements(graph.edges() as u64));
    let kernel = Kernel::Exp { sigma: 0.1 };
    group.bench_function("transition", |bencher| bencher.iter(|| transition::from_graph(&graph, kernel, &monitor)));
    let p = transition::from_graph(&graph, kernel, &monitor).expect("a transition matrix");
    for steps in [1, 10] {
        let options = NddeOptions { epsilon: f64::MIN_POSITIVE, max_iterations: steps };
        group.bench_function(format!("ndde, {steps} steps"), |bencher| bencher.iter(|| ndde(&p, &options, &monitor)));
    }
    let density = ndde(&p, &NddeOptions::default(), &monitor).expect("densities");
    group.bench_function("tpdi", |bencher| bencher.iter(|| tpdi::tpdi(&p, &monitor)));
    group.bench_function("tpdi, upward", |bencher| bencher.iter(|| tpdi::tpdi_upward(&p, &density, &monitor)));
    let distances = tpdi::tpdi_upward(&p, &density, &monitor).expect("distances");
    group.bench_function("dpc", |bencher| {
        bencher.iter_batched(
            || density.clone(),
            |density| dpc::dpc(density, &distances, 0.7, &monitor),
            BatchSize::LargeInput,
        );
    });
}

criterion_group! {
    name = stages;
    config = Criterion::default().sample_size(10).without_plots();
    targets = of_embeddings, of_the_graph, after_the_graph
}
criterion_main!(stages);

//! Clusters a record batch of embeddings without DuckDB:
//!
//!     cargo run --release --example cluster_record_batch --no-default-features
//!
//! Three groups of directions in four dimensions; a Parquet or IPC reader would give the same batches.

use std::error::Error;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type, UInt32Type};
use arrow_array::{FixedSizeListArray, RecordBatch};
use density_peaks::embeddings::Precision;
use density_peaks::knn::KnnOptions;
use density_peaks::{ClusterOptions, Monitor, cluster, record_batch};

/// 30 embeddings, each near one of three directions.
fn faces() -> Result<RecordBatch, Box<dyn Error>> {
    let row = |i: usize| {
        let mut row = [0.0; 4];
        row[i % 3] = 1.0;
        row[3] = 0.03 * (i / 3) as f32;
        Some(row.map(Some))
    };
    let embeddings = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>((0..30).map(row), 4);
    Ok(RecordBatch::try_from_iter([("embedding", Arc::new(embeddings) as _)])?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let points = record_batch::embeddings(&faces()?, "embedding", Precision::F32)?;
    let options = ClusterOptions { knn: KnnOptions { k: 10, ..Default::default() }, ..Default::default() };
    let clusters = cluster(points, &options, &Monitor::new())?.to_record_batch();

    let column = |name| clusters.column_by_name(name).ok_or("a column is missing");
    let (ids, parents) =
        (column("id")?.as_primitive::<UInt32Type>(), column("parent_id")?.as_primitive::<UInt32Type>());
    let (cluster_ids, densities) =
        (column("cluster_id")?.as_primitive::<Int64Type>(), column("density")?.as_primitive::<Float64Type>());
    println!("id  cluster_id  parent_id  density");
    for row in 0..clusters.num_rows() {
        let (id, cluster, parent) = (ids.value(row), cluster_ids.value(row), parents.value(row));
        println!("{id:>2}  {cluster:>10}  {parent:>9}  {:.3}", densities.value(row));
    }
    Ok(())
}

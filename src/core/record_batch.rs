//! Arrow record batches in and out: a table of embeddings becomes [`Embeddings`], and what the stages
//! give becomes a table of row numbers with their values.
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow::array::{FixedSizeListArray, RecordBatch};
//! use arrow::datatypes::Float32Type;
//! use density_peaks::{ClusterOptions, Monitor, cluster, record_batch};
//!
//! let rows = [[1.0, 0.0], [0.99, 0.1], [0.0, 1.0], [0.1, 0.99]].map(|row| Some(row.map(Some)));
//! let embeddings = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 2);
//! let batch = RecordBatch::try_from_iter([("embedding", Arc::new(embeddings) as _)])?;
//! let points = record_batch::embeddings(&batch, "embedding", Default::default())?;
//! let clusters = cluster(points, &ClusterOptions::default(), &Monitor::new())?.to_record_batch();
//! assert_eq!((clusters.num_rows(), clusters.num_columns()), (4, 6));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, UInt32Array};

use crate::core::dpc::Clustering;
use crate::core::embeddings::{Embeddings, Precision};
use crate::core::error::{Error, Result};
use crate::core::sparse::{Matrix, places};

/// The embeddings in a column of a record batch, one row a point.
///
/// # Errors
/// If there is no such column, or as [`Embeddings::from_arrow`].
pub fn embeddings(batch: &RecordBatch, column: &str, precision: Precision) -> Result<Embeddings> {
    let found = batch.column_by_name(column).ok_or_else(|| Error::Input(format!("there is no column {column}")))?;
    Embeddings::from_arrow(found, precision)
}

/// The edges of a matrix: `src`, `dst` (row numbers) and their value in a column of this name.
pub fn edges(matrix: &Matrix, value: &str) -> RecordBatch {
    let row = |row: usize| std::iter::repeat_n(row as u32, places(matrix, row).len());
    let src: UInt32Array = (0..matrix.rows()).flat_map(row).collect();
    table([
        ("src", Arc::new(src)),
        ("dst", Arc::new(UInt32Array::from(matrix.indices().to_vec()))),
        (value, Arc::new(Float64Array::from(matrix.data().to_vec()))),
    ])
}

impl Clustering {
    /// Columns `id` (row number), `cluster_id`, `parent_id`, `delta` (NULL without a candidate), `density`
    /// and `is_peak`, one row a point.
    pub fn to_record_batch(&self) -> RecordBatch {
        let rows = 0..self.len();
        table([
            ("id", Arc::new(UInt32Array::from_iter_values(0..self.len() as u32))),
            ("cluster_id", Arc::new(Int64Array::from_iter_values(self.cluster.iter().map(|&c| i64::from(c))))),
            ("parent_id", Arc::new(UInt32Array::from(self.parent.clone()))),
            ("delta", Arc::new(Float64Array::from(self.delta.clone()))),
            ("density", Arc::new(Float64Array::from(self.density.clone()))),
            ("is_peak", Arc::new(BooleanArray::from_iter(rows.map(|row| Some(self.is_peak(row)))))),
        ])
    }
}

fn table<'a, const N: usize>(columns: [(&'a str, ArrayRef); N]) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("columns of one length, each of a name of its own")
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, FixedSizeListArray};
    use arrow::datatypes::{Float32Type, Float64Type, Int64Type, UInt32Type};

    use super::*;
    use crate::core::monitor::Monitor;
    use crate::core::pipeline::{ClusterOptions, cluster};
    use crate::core::sparse::{from_edges, from_record_batches};

    fn batch(rows: &[[f32; 2]]) -> RecordBatch {
        let rows = rows.iter().map(|row| Some(row.map(Some)));
        let embeddings = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 2);
        table([("face", Arc::new(embeddings))])
    }

    #[test]
    fn a_table_of_embeddings_becomes_a_table_of_clusters() {
        let points = batch(&[[1.0, 0.0], [0.0, 1.0], [0.99, 0.1], [0.1, 0.99], [0.98, 0.1]]);
        let points = embeddings(&points, "face", Precision::F32).unwrap();
        let clustering = cluster(points, &ClusterOptions::default(), &Monitor::new()).unwrap();
        let table = clustering.to_record_batch();
        let clusters = table.column_by_name("cluster_id").unwrap().as_primitive::<Int64Type>();
        assert_eq!(clusters.values(), &[0, 1, 0, 1, 0]);
        let peaks = table.column_by_name("is_peak").unwrap().as_boolean();
        let parents = table.column_by_name("parent_id").unwrap().as_primitive::<UInt32Type>();
        let delta = table.column_by_name("delta").unwrap().as_primitive::<Float64Type>();
        for row in 0..5 {
            assert_eq!(peaks.value(row), parents.value(row) == row as u32);
            assert_eq!(clustering.delta[row], (!arrow::array::Array::is_null(delta, row)).then(|| delta.value(row)));
        }
    }

    #[test]
    fn a_column_that_is_not_there_is_named() {
        let error = embeddings(&batch(&[[1.0, 0.0]]), "embedding", Precision::F32).unwrap_err();
        assert_eq!(error.to_string(), "there is no column embedding");
    }

    #[test]
    fn edges_come_back_as_they_went() {
        let matrix = from_edges(3, &[0, 0, 2], &[1, 2, 0], &[0.5, 0.25, 1.0], &Monitor::new()).unwrap();
        let table = edges(&matrix, "distance");
        assert_eq!(from_record_batches(3, &[table], "distance").unwrap(), matrix);
    }
}

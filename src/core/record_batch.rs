//! Arrow in and out, the one file that knows it: columns of record batches become [`Embeddings`] and
//! matrices, and what the stages give becomes record batches. Points are row numbers.
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow_array::types::Float32Type;
//! use arrow_array::{FixedSizeListArray, RecordBatch};
//! use density_peaks::{ClusterOptions, Monitor, cluster, record_batch};
//!
//! let rows = [[1.0, 0.0], [0.99, 0.1], [0.0, 1.0], [0.1, 0.99]].map(|row| Some(row.map(Some)));
//! let embeddings = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 2);
//! let batch = RecordBatch::try_from_iter([("embedding", Arc::new(embeddings) as _)])?;
//! let points = record_batch::embeddings(&batch, "embedding", Default::default())?;
//! let clusters = cluster(points, &ClusterOptions::default(), &Monitor::new())?.to_record_batch();
//! assert_eq!((clusters.num_rows(), clusters.num_columns()), (4, 7));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::iter::repeat_n;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch, UInt32Array,
};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};

use crate::core::dpc::Clustering;
use crate::core::embeddings::{EmbeddingRows, Embeddings, Precision};
use crate::core::error::{Error, PointProblem, Result};
use crate::core::knn::KnnGraph;
use crate::core::monitor::Monitor;
use crate::core::sparse::{Matrix, from_edges, places};

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| Error::Input(format!("there is no column {name}")))
}

/// The embeddings in a column of a record batch, one row a point.
///
/// # Errors
/// If there is no such column, or as [`Embeddings::from_arrow`].
pub fn embeddings(batch: &RecordBatch, name: &str, precision: Precision) -> Result<Embeddings> {
    Embeddings::from_arrow(column(batch, name)?, precision)
}

impl Embeddings {
    /// Copy from an Arrow array of lists, `FixedSizeList`, `List` or `LargeList` of `Float16`,
    /// `Float32` or `Float64`, and round to `precision`.
    ///
    /// # Errors
    /// On another type, a NULL, values that are not finite, and rows of different lengths.
    pub fn from_arrow(array: &dyn Array, precision: Precision) -> Result<Self> {
        let mut rows = EmbeddingRows::new(precision);
        let mut features = Vec::new();
        for row in 0..array.len() {
            let values: Option<ArrayRef> = match array.data_type() {
                _ if array.is_null(row) => None,
                DataType::FixedSizeList(..) => Some(array.as_fixed_size_list().value(row)),
                DataType::List(_) => Some(array.as_list::<i32>().value(row)),
                DataType::LargeList(_) => Some(array.as_list::<i64>().value(row)),
                other => return Err(Error::Input(format!("embeddings are lists of floats, not {other}"))),
            };
            let values =
                values.filter(|v| v.null_count() == 0).ok_or(Error::point(row, PointProblem::NullEmbedding))?;
            features.clear();
            match values.data_type() {
                DataType::Float16 => {
                    features.extend(values.as_primitive::<Float16Type>().values().iter().map(|x| x.to_f32()));
                }
                DataType::Float32 => features.extend_from_slice(values.as_primitive::<Float32Type>().values()),
                DataType::Float64 => {
                    features.extend(values.as_primitive::<Float64Type>().values().iter().map(|&x| x as f32));
                }
                other => return Err(Error::Input(format!("embeddings are lists of floats, not of {other}"))),
            }
            rows.push(&features).map_err(|problem| Error::point(row, problem))?;
        }
        rows.finish(&Monitor::new())
    }
}

/// Build a matrix of `n` points from the columns `src`, `dst` (row numbers) and `value` of
/// record batches.
///
/// # Errors
/// If a column is missing, has a NULL or another type, or an edge occurs twice.
pub fn matrix(n: usize, batches: &[RecordBatch], value: &str) -> Result<Matrix> {
    let (mut srcs, mut dsts, mut values) = (vec![], vec![], vec![]);
    for batch in batches {
        let of_type = |name: &str, to: &DataType| {
            let column = cast(column(batch, name)?, to).map_err(|e| Error::Input(format!("column {name}: {e}")))?;
            if column.null_count() > 0 { Err(Error::Input(format!("column {name} has NULLs"))) } else { Ok(column) }
        };
        srcs.extend_from_slice(of_type("src", &DataType::UInt32)?.as_primitive::<UInt32Type>().values());
        dsts.extend_from_slice(of_type("dst", &DataType::UInt32)?.as_primitive::<UInt32Type>().values());
        values.extend_from_slice(of_type(value, &DataType::Float64)?.as_primitive::<Float64Type>().values());
    }
    if let Some(&out) = srcs.iter().chain(&dsts).find(|&&row| row as usize >= n) {
        return Err(Error::Input(format!("row number {out} is beyond the {n} points")));
    }
    from_edges(n, &srcs, &dsts, &values, &Monitor::new())
}

/// The edges of a matrix: columns `src`, `dst` (row numbers) and their value in one of this name.
pub fn edges(matrix: &Matrix, value: &str) -> RecordBatch {
    let row = |row: usize| repeat_n(row as u32, places(matrix, row).len());
    let src: UInt32Array = (0..matrix.rows()).flat_map(row).collect();
    table([
        ("src", Arc::new(src)),
        ("dst", Arc::new(UInt32Array::from(matrix.indices().to_vec()))),
        (value, Arc::new(Float64Array::from(matrix.data().to_vec()))),
    ])
}

/// The densities of points: columns `id` (row number) and `density`.
pub fn densities(density: &[f64]) -> RecordBatch {
    table([("id", row_numbers(density.len())), ("density", Arc::new(Float64Array::from(density.to_vec())))])
}

impl KnnGraph {
    /// Columns `src`, `dst` (row numbers), `rank` (1..k) and `distance`.
    pub fn to_record_batch(&self) -> RecordBatch {
        let (mut src, mut dst, mut rank, mut distance) = (vec![], vec![], vec![], vec![]);
        for row in 0..self.len() {
            let (neighbors, distances) = self.row(row);
            src.extend(repeat_n(row as u32, neighbors.len()));
            dst.extend_from_slice(neighbors);
            rank.extend(1..=neighbors.len() as i32);
            distance.extend_from_slice(distances);
        }
        table([
            ("src", Arc::new(UInt32Array::from(src))),
            ("dst", Arc::new(UInt32Array::from(dst))),
            ("rank", Arc::new(Int32Array::from(rank))),
            ("distance", Arc::new(Float32Array::from(distance))),
        ])
    }
}

impl Clustering {
    /// Columns `id` (row number), `cluster_id`, `parent_id`, `delta` (NULL without a candidate), `density`,
    /// `is_peak` and `strength` (NULL by a threshold), one row a point.
    pub fn to_record_batch(&self) -> RecordBatch {
        let cluster = self.cluster.iter().map(|&cluster| i64::from(cluster));
        let strength = self.strength.clone().unwrap_or_else(|| vec![None; self.len()]);
        let is_peak = (0..self.len()).map(|row| Some(self.is_peak(row)));
        table([
            ("id", row_numbers(self.len())),
            ("cluster_id", Arc::new(Int64Array::from_iter_values(cluster))),
            ("parent_id", Arc::new(UInt32Array::from(self.parent.clone()))),
            ("delta", Arc::new(Float64Array::from(self.delta.clone()))),
            ("density", Arc::new(Float64Array::from(self.density.clone()))),
            ("is_peak", Arc::new(BooleanArray::from_iter(is_peak))),
            ("strength", Arc::new(Float64Array::from(strength))),
        ])
    }
}

/// The columns that may have NULLs.
const NULLABLE: [&str; 2] = ["delta", "strength"];

fn row_numbers(n: usize) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values(0..n as u32))
}

/// Columns of one length, each of a name of its own. The schema does not depend on the rows.
fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
    let fields =
        columns.each_ref().map(|(name, array)| Field::new(*name, array.data_type().clone(), NULLABLE.contains(name)));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields.to_vec())), arrays).expect("columns of one length")
}

#[cfg(test)]
mod tests {
    use arrow_array::types::{Int32Type, Int64Type};
    use arrow_array::{FixedSizeListArray, ListArray};

    use super::*;
    use crate::core::knn::{KnnOptions, Points, knn_graph};
    use crate::core::pipeline::{ClusterOptions, cluster};
    use crate::core::row::Row;
    use crate::fuzzing::{Random, fuzz};

    fn batch(rows: &[[f32; 2]]) -> RecordBatch {
        let rows = rows.iter().map(|row| Some(row.map(Some)));
        let embeddings = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 2);
        table([("face", Arc::new(embeddings))])
    }

    fn lists(rows: &[&[f64]]) -> ListArray {
        let rows = rows.iter().map(|row| Some(row.iter().copied().map(Some).collect::<Vec<_>>()));
        ListArray::from_iter_primitive::<Float64Type, _, _>(rows)
    }

    #[test]
    fn a_table_of_embeddings_becomes_a_table_of_clusters() {
        let points = batch(&[[1.0, 0.0], [0.0, 1.0], [0.99, 0.1], [0.1, 0.99], [0.98, 0.1]]);
        let points = embeddings(&points, "face", Precision::F32).unwrap();
        let clustering = cluster(points, &ClusterOptions::default(), &Monitor::new()).unwrap();
        let table = clustering.to_record_batch();
        let clusters = column(&table, "cluster_id").unwrap().as_primitive::<Int64Type>();
        assert_eq!(clusters.values(), &[0, 1, 0, 1, 0]);
        let peaks = column(&table, "is_peak").unwrap().as_boolean();
        let parents = column(&table, "parent_id").unwrap().as_primitive::<UInt32Type>();
        let delta = column(&table, "delta").unwrap().as_primitive::<Float64Type>();
        for row in 0..5 {
            assert_eq!(peaks.value(row), parents.value(row) == row as u32);
            assert_eq!(clustering.delta[row], delta.is_valid(row).then(|| delta.value(row)));
        }
    }

    #[test]
    fn the_schema_of_clusters_does_not_depend_on_the_rows() {
        let clusters = |rows: &[[f32; 2]]| {
            let points = embeddings(&batch(rows), "face", Precision::F32).unwrap();
            cluster(points, &ClusterOptions::default(), &Monitor::new()).unwrap().to_record_batch()
        };
        let (none, some) = (clusters(&[]), clusters(&[[1.0, 0.0], [0.99, 0.1]]));
        assert_eq!((none.num_rows(), some.num_rows()), (0, 2));
        assert_eq!(none.schema(), some.schema());
        assert!(column(&some, "delta").unwrap().null_count() > 0);
    }

    #[test]
    fn a_column_that_is_not_there_is_named() {
        let error = embeddings(&batch(&[[1.0, 0.0]]), "embedding", Precision::F32).unwrap_err();
        assert_eq!(error.to_string(), "there is no column embedding");
        let error = matrix(1, &[batch(&[[1.0, 0.0]])], "distance").unwrap_err();
        assert_eq!(error.to_string(), "there is no column src");
    }

    #[test]
    fn lists_of_doubles_become_single_precision_rows() {
        let embeddings = Embeddings::from_arrow(&lists(&[&[1.0, 2.0], &[3.0, 4.0]]), Precision::F32).unwrap();
        assert_eq!((embeddings.len(), embeddings.dim()), (2, 2));
        assert_eq!(embeddings.row(1), Row::F32(&[3.0, 4.0]));
    }

    #[test]
    fn ragged_rows_name_both_dimensions() {
        let error = Embeddings::from_arrow(&lists(&[&[1.0, 2.0], &[3.0]]), Precision::F16).unwrap_err();
        assert_eq!(error.to_string(), "the embedding of point 1 has 1 dimensions, others have 2");
    }

    #[test]
    fn edges_come_back_as_they_went() {
        let edges_of = from_edges(3, &[0, 0, 2], &[1, 2, 0], &[0.5, 0.25, 1.0], &Monitor::new()).unwrap();
        assert_eq!(matrix(3, &[edges(&edges_of, "distance")], "distance").unwrap(), edges_of);
    }

    #[test]
    fn columns_of_other_number_types_are_taken() {
        let batch = table([
            ("src", Arc::new(Int64Array::from(vec![0, 1]))),
            ("dst", Arc::new(Int64Array::from(vec![1, 0]))),
            ("distance", Arc::new(Float32Array::from(vec![0.5, 0.25]))),
        ]);
        let edges = matrix(2, std::slice::from_ref(&batch), "distance").unwrap();
        assert_eq!(edges.get(1, 0), Some(&0.25));
        assert!(matrix(1, &[batch], "distance").is_err());
    }

    #[test]
    fn a_graph_has_a_row_for_each_edge_nearest_first() {
        let points = embeddings(&batch(&[[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]]), "face", Precision::F32).unwrap();
        let points = Points::new(points, Default::default(), &Monitor::new()).unwrap();
        let graph = knn_graph(&points, &KnnOptions { k: 2, ..Default::default() }, &Monitor::new()).unwrap();
        let table = graph.to_record_batch();
        let of = |name| column(&table, name).unwrap();
        assert_eq!(of("src").as_primitive::<UInt32Type>().values(), &[0, 0, 1, 1, 2, 2]);
        assert_eq!(of("dst").as_primitive::<UInt32Type>().values(), &[2, 1, 2, 0, 0, 1]);
        assert_eq!(of("rank").as_primitive::<Int32Type>().values(), &[1, 2, 1, 2, 1, 2]);
        assert_eq!(of("distance").as_primitive::<Float32Type>().values()[..2], *graph.row(0).1);
        assert_eq!(matrix(3, std::slice::from_ref(&table), "distance").unwrap().nnz(), 6);
    }

    #[test]
    fn densities_go_by_row_number() {
        let table = densities(&[1.5, 0.5]);
        assert_eq!(column(&table, "id").unwrap().as_primitive::<UInt32Type>().values(), &[0, 1]);
        assert_eq!(column(&table, "density").unwrap().as_primitive::<Float64Type>().values(), &[1.5, 0.5]);
    }

    /// Lists of numbers of any kind, some of them NULL, sliced, of any lengths.
    fn generated(random: &mut Random) -> ArrayRef {
        use arrow_array::builder::{FixedSizeListBuilder, Float64Builder, ListBuilder};
        let (rows, dim) = (random.below(12), 1 + random.below(5));
        let (odd, ragged, nulls) = (random.one_in(3), random.one_in(4), random.one_in(4));
        let value = |random: &mut Random| if odd { random.float() } else { 0.5 - random.below(9) as f64 / 8.0 };
        let lists: ArrayRef = if random.one_in(2) {
            let mut builder = FixedSizeListBuilder::new(Float64Builder::new(), dim as i32);
            for _ in 0..rows {
                (0..dim).for_each(|_| {
                    builder.values().append_option((!(nulls && random.one_in(20))).then(|| value(random)))
                });
                builder.append(!(nulls && random.one_in(9)));
            }
            Arc::new(builder.finish())
        } else {
            let mut builder = ListBuilder::new(Float64Builder::new());
            for _ in 0..rows {
                let length = if ragged { random.below(dim + 1) } else { dim };
                (0..length).for_each(|_| {
                    builder.values().append_option((!(nulls && random.one_in(20))).then(|| value(random)))
                });
                builder.append(!(nulls && random.one_in(9)));
            }
            Arc::new(builder.finish())
        };
        let field = |of: DataType| Arc::new(Field::new_list_field(of, true));
        let number = random.pick(&[DataType::Float16, DataType::Float32, DataType::Float64, DataType::Int32]).clone();
        let types = [
            DataType::FixedSizeList(field(number.clone()), dim as i32),
            DataType::List(field(number.clone())),
            DataType::LargeList(field(number)),
        ];
        let lists = cast(&lists, random.pick(&types)).unwrap_or(lists);
        let start = random.below(lists.len() + 1);
        lists.slice(start, random.below(lists.len() - start + 1))
    }

    #[test]
    fn fuzz_arrow_arrays() {
        fuzz("Arrow arrays", |random| {
            let array = generated(random);
            let precision = *random.pick(&Precision::ALL);
            let Ok(points) = Embeddings::from_arrow(&array, precision) else { return };
            assert_eq!(points.len(), array.len());
            let lengths: Vec<f64> = (0..points.len()).map(|row| points.row(row).dot(points.row(row))).collect();
            assert!(lengths.iter().all(|length| length.is_finite() && *length >= 0.0));
            let metric = *random.pick(&crate::core::knn::Metric::ALL);
            let monitor = Monitor::new();
            let Ok(points) = Points::new(points, metric, &monitor) else { return };
            let options = KnnOptions { k: 1 + random.below(5), ..Default::default() };
            if let Ok(graph) = knn_graph(&points, &options, &monitor) {
                for row in 0..graph.len() {
                    let (neighbors, distances) = graph.row(row);
                    assert_eq!(neighbors.len(), options.k.min(points.len() - 1));
                    assert!(distances.windows(2).all(|pair| pair[0] <= pair[1]), "{distances:?}");
                    assert!(distances.iter().all(|distance| distance.is_finite()), "{distances:?}");
                }
            }
        });
    }

    #[test]
    fn fuzz_edges() {
        use crate::core::constraints::{Constraints, dpc_constrained};
        use crate::core::{
            calibration, cluster_tree, hierarchy, ndde, separation, sparse, threshold, tpdi, transition,
        };
        fuzz("edges", |random| {
            let n = random.below(14);
            let count = if n == 0 { 0 } else { random.below(4 * n) };
            let odd = random.one_in(4);
            let mut ends = |_| random.below(n) as u32;
            let (src, dst): (Vec<u32>, Vec<u32>) =
                ((0..count).map(&mut ends).collect(), (0..count).map(ends).collect());
            let value = |random: &mut Random| if odd { random.float() } else { random.below(17) as f64 / 16.0 };
            let values: Vec<f64> = (0..count).map(|_| value(random)).collect();
            let monitor = Monitor::new();
            let Ok(edges) = sparse::from_edges(n, &src, &dst, &values, &monitor) else { return };
            let both = sparse::both_ways(&edges, &monitor).unwrap();
            assert!(both.nnz() >= edges.nnz() && both.nnz() <= 2 * edges.nnz());
            let found = match random.below(3) {
                0 => transition::from_similarities(&edges, &monitor),
                1 => calibration::of_distances(&edges, &monitor).map(|found| found.1),
                _ => transition::from_distances(&edges, crate::core::similarity::Kernel::Exp { sigma: 0.1 }, &monitor),
            };
            let Ok(p) = found else { return };
            for row in p.outer_iterator() {
                assert!((row.data().iter().sum::<f64>() - 1.0).abs() < 1e-6, "{row:?}");
            }
            let density = ndde::ndde(&p, &Default::default(), &monitor).unwrap();
            assert!(density.iter().all(|density| density.is_finite() && *density >= 0.0), "{density:?}");
            let distances = tpdi::tpdi(&p, &monitor).unwrap();
            assert!(distances.data().iter().all(|distance| (0.0..=1.0).contains(distance)));
            let mut pairs = |most: usize| -> Vec<(u32, u32)> {
                let count = if n == 0 { 0 } else { random.below(most) };
                (0..count).map(|_| (random.below(n) as u32, random.below(n) as u32)).collect()
            };
            let constraints = Constraints { must_link: pairs(4), cannot_link: pairs(6) };
            let tau = threshold::auto_tau(&density, &distances, &monitor).unwrap();
            let found = dpc_constrained(density.clone(), &distances, tau, &constraints, &monitor);
            assert_eq!(found.is_err(), constraints.check(n).is_err());
            let tree = cluster_tree::Clusters::new(&p, &constraints, &monitor);
            assert_eq!(tree.is_err(), constraints.check(n).is_err());
            hierarchy::Hierarchy::new(&p, &Constraints::default(), &monitor).unwrap();
            let (Ok(found), Ok(tree)) = (found, tree) else { return };
            for clusters in [&found.cluster, &tree.cluster] {
                let same = |&(a, b): &(u32, u32)| clusters[a as usize] == clusters[b as usize];
                assert!(constraints.must_link.iter().all(same) && !constraints.cannot_link.iter().any(same));
            }
            if let Ok(Some(separated)) = separation::of_distances(&edges, &p, &constraints, &monitor) {
                let left = |&(a, b): &(u32, u32)| separated.get(a as usize, b as usize).is_none_or(|&p| p == 0.0);
                assert!(constraints.cannot_link.iter().all(left));
                ndde::ndde(&separated, &Default::default(), &monitor).unwrap();
            }
        });
    }
}

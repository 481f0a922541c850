//! Sparse N x N matrices in compressed rows, columns in order: what the stages after the graph
//! hand to each other.
//!
//! The matrices are those of `sprs`. They are built and transposed by hand, because its triplets (`TriMat`)
//! sum the values of an edge that occurs twice, which is an error here, and because its conversions run on
//! one thread and cannot be stopped. A test holds the transpose against that of `sprs`.

use std::ops::Range;

use rayon::prelude::*;

use crate::core::error::{EdgeProblem, Error, Result};
use crate::core::memory::{filled, room};
use crate::core::monitor::Monitor;

/// A sparse matrix with one value an edge: row `src`, column `dst`.
pub type Matrix = sprs::CsMatI<f64, u32, usize>;

/// Rows that one unit of work covers.
pub(crate) const ROWS: usize = 1024;

/// Build a matrix of `n` points from edges in any order.
///
/// # Errors
/// If an edge occurs twice, or the run is stopped.
pub fn from_edges(n: usize, src: &[u32], dst: &[u32], values: &[f64], monitor: &Monitor) -> Result<Matrix> {
    let starts = starts_of(n, src);
    let mut next = starts.clone();
    let mut edges = filled((0u32, 0.0f64), src.len())?;
    for ((&src, &dst), &value) in src.iter().zip(dst).zip(values) {
        let place = &mut next[src as usize];
        if place.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        edges[*place] = (dst, value);
        *place += 1;
    }
    units(&starts, &mut edges, ROWS).into_par_iter().try_for_each(|(rows, edges)| {
        monitor.check()?;
        let first = starts[rows.start];
        for row in rows {
            let edges = &mut edges[starts[row] - first..starts[row + 1] - first];
            edges.sort_unstable_by_key(|edge| edge.0);
            if let Some(twice) = edges.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(Error::edge(row, twice[0].0, EdgeProblem::Duplicate));
            }
        }
        Ok(())
    })?;
    let (columns, values) = edges.into_par_iter().unzip();
    Ok(matrix(n, starts, columns, values))
}

/// Build a matrix of `n` points from its rows, of which `length` says how many entries each has, and `fill` gives
/// them, in any order, to a list that is empty.
///
/// # Errors
/// As `fill`, or if the run is stopped.
pub(crate) fn from_rows(
    n: usize,
    length: impl Fn(usize) -> usize + Sync,
    fill: impl Fn(usize, &mut Vec<(u32, f64)>) -> Result<()> + Sync,
    monitor: &Monitor,
) -> Result<Matrix> {
    let starts = starts(n, length);
    let (mut columns, mut values) = (filled(0, starts[n])?, filled(0.0, starts[n])?);
    (units(&starts, &mut columns, ROWS).into_par_iter()).zip(units(&starts, &mut values, ROWS)).try_for_each_init(
        Vec::new,
        |entries, ((rows, columns), (_, values))| {
            monitor.check()?;
            let mut places = columns.iter_mut().zip(values);
            for i in rows {
                entries.clear();
                fill(i, entries)?;
                entries.sort_unstable_by_key(|entry| entry.0);
                entries.iter().zip(&mut places).for_each(|(&entry, (column, value))| (*column, *value) = entry);
            }
            Ok(())
        },
    )?;
    Ok(matrix(n, starts, columns, values))
}

/// Rows laid end to end: where each starts, and the columns and values of all.
pub(crate) type Laid = (Vec<usize>, Vec<u32>, Vec<f64>);

/// Lay rows end to end, in the order in which they give their entries.
///
/// # Errors
/// If there is no memory.
pub(crate) fn laid<E: Iterator<Item = (u32, f64)>>(n: usize, row: impl Fn(usize) -> E + Sync) -> Result<Laid> {
    let starts = starts(n, |i| row(i).count());
    let (mut columns, mut values) = (filled(0, starts[n])?, filled(0.0, starts[n])?);
    (units(&starts, &mut columns, ROWS).into_par_iter()).zip(units(&starts, &mut values, ROWS)).for_each(
        |((rows, columns), (_, values))| {
            let places = columns.iter_mut().zip(values);
            places.zip(rows.flat_map(&row)).for_each(|((column, value), entry)| (*column, *value) = entry);
        },
    );
    Ok((starts, columns, values))
}

/// Wrap rows that are known to be in order.
pub(crate) fn matrix(n: usize, starts: Vec<usize>, columns: Vec<u32>, values: Vec<f64>) -> Matrix {
    Matrix::try_new((n, n), starts, columns, values)
        .map_err(|(.., error)| error)
        .expect("rows are complete and their columns in order")
}

/// Where each of `n` rows starts in data laid end to end, and where the last one ends.
pub(crate) fn starts(n: usize, length: impl Fn(usize) -> usize + Sync) -> Vec<usize> {
    let mut starts = vec![0; n + 1];
    starts[1..].par_iter_mut().with_min_len(ROWS).enumerate().for_each(|(row, start)| *start = length(row));
    (0..n).for_each(|row| starts[row + 1] += starts[row]);
    starts
}

/// The same, where a row is as long as it is named often.
pub(crate) fn starts_of(n: usize, names: &[u32]) -> Vec<usize> {
    let mut lengths = vec![0; n];
    names.iter().for_each(|&row| lengths[row as usize] += 1);
    starts(n, |row| lengths[row])
}

/// Cut per-edge data into units of `size` whole rows, to be written in parallel.
pub(crate) fn units<'a, T>(starts: &[usize], mut data: &'a mut [T], size: usize) -> Vec<(Range<usize>, &'a mut [T])> {
    let n = starts.len() - 1;
    (0..n.div_ceil(size))
        .map(|unit| {
            let rows = unit * size..((unit + 1) * size).min(n);
            let (part, rest) = std::mem::take(&mut data).split_at_mut(starts[rows.end] - starts[rows.start]);
            data = rest;
            (rows, part)
        })
        .collect()
}

/// Where one row's columns and values are.
pub(crate) fn places(matrix: &Matrix, row: usize) -> Range<usize> {
    let starts = matrix.indptr();
    let starts = starts.raw_storage();
    starts[row]..starts[row + 1]
}

/// One row's columns and values.
pub(crate) fn row(matrix: &Matrix, row: usize) -> (&[u32], &[f64]) {
    let places = places(matrix, row);
    (&matrix.indices()[places.clone()], &matrix.data()[places])
}

/// The largest of some values, at least 0.
pub(crate) fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// An order of the rows in which those follow each other that the larger values of a row lead to: work in this order finds
/// in the cache what it reads of neighbors.
pub(crate) fn near_order(matrix: &Matrix, monitor: &Monitor) -> Result<Vec<u32>> {
    /// Of the largest value of a row.
    const LARGE: f64 = 0.05;
    let n = matrix.rows();
    let (mut order, mut seen, mut waiting) = (room(n)?, filled(false, n)?, Vec::new());
    for start in 0..n as u32 {
        waiting.push(start);
        while let Some(i) = waiting.pop() {
            if std::mem::replace(&mut seen[i as usize], true) {
                continue;
            }
            if order.len().is_multiple_of(ROWS) {
                monitor.check()?;
            }
            order.push(i);
            let (columns, values) = row(matrix, i as usize);
            let large = LARGE * largest(values);
            let next = columns.iter().zip(values).filter(|&(&j, &value)| value >= large && !seen[j as usize]);
            waiting.extend(next.map(|(&j, _)| j));
        }
    }
    Ok(order)
}

/// The transpose: where each column's entries start, and their rows and values, in order. The
/// columns are dealt out in blocks, so that each thread's writes stay close together.
pub(crate) fn transpose(source: &Matrix, monitor: &Monitor) -> Result<Laid> {
    let n = source.rows();
    let starts = starts_of(n, source.indices());
    let (mut rows, mut values) = (filled(0u32, source.nnz())?, filled(0.0f64, source.nnz())?);
    let block = n.div_ceil(2 * rayon::current_num_threads()).max(1);
    (units(&starts, &mut rows, block).into_par_iter()).zip(units(&starts, &mut values, block)).try_for_each(
        |((block, rows), (_, values))| {
            let first = starts[block.start];
            let mut next: Vec<usize> = starts[block.clone()].iter().map(|start| start - first).collect();
            for from in 0..n {
                monitor.check()?;
                let (columns, row_values) = row(source, from);
                let begin = columns.partition_point(|&column| (column as usize) < block.start);
                let end = columns.partition_point(|&column| (column as usize) < block.end);
                for (&column, &value) in columns[begin..end].iter().zip(&row_values[begin..end]) {
                    let place = &mut next[column as usize - block.start];
                    (rows[*place], values[*place]) = (from as u32, value);
                    *place += 1;
                }
            }
            Ok(())
        },
    )?;
    Ok((starts, rows, values))
}

/// Whether no two points have an edge in both directions.
///
/// # Errors
/// If the run is stopped.
pub fn is_one_way(matrix: &Matrix, monitor: &Monitor) -> Result<bool> {
    let has_reverse = |i: usize, j: u32| j as usize > i && row(matrix, j as usize).0.binary_search(&(i as u32)).is_ok();
    let rows = (0..matrix.rows()).into_par_iter();
    let found = rows.any(|i| monitor.check().is_err() || row(matrix, i).0.iter().any(|&j| has_reverse(i, j)));
    monitor.check()?;
    Ok(!found)
}

/// The edges, and the reverse, of the same value, of each whose reverse is none of them.
///
/// # Errors
/// If the run is stopped.
pub fn both_ways(edges: &Matrix, monitor: &Monitor) -> Result<Matrix> {
    let n = edges.rows();
    let (ends, columns, values) = transpose(edges, monitor)?;
    let reverse = matrix(n, ends, columns, values);
    let added = |i: usize| {
        let (own, (columns, values)) = (row(edges, i).0, row(&reverse, i));
        columns.iter().copied().zip(values.iter().copied()).filter(|entry| own.binary_search(&entry.0).is_err())
    };
    let fill = |i: usize, entries: &mut Vec<(u32, f64)>| {
        let (own, values) = row(edges, i);
        entries.extend(own.iter().copied().zip(values.iter().copied()).chain(added(i)));
        Ok(())
    };
    from_rows(n, |i| row(edges, i).0.len() + added(i).count(), fill, monitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_in_any_order_make_the_same_matrix() {
        let a = from_edges(3, &[2, 0, 0], &[1, 2, 1], &[0.3, 0.2, 0.1], &Monitor::new()).unwrap();
        let b = from_edges(3, &[0, 2, 0], &[1, 1, 2], &[0.1, 0.3, 0.2], &Monitor::new()).unwrap();
        assert_eq!(a, b);
        assert_eq!(row(&a, 0), (&[1, 2][..], &[0.1, 0.2][..]));
        assert_eq!(row(&a, 1), (&[][..], &[][..]));
    }

    #[test]
    fn the_transpose_is_that_of_sprs() {
        let edges = (0..100u32).flat_map(|i| (0..i % 7).map(move |j| (i, (i * 31 + j) % 100)));
        let (src, dst): (Vec<u32>, Vec<u32>) = edges.unzip();
        let values: Vec<f64> = (0..src.len()).map(|at| at as f64).collect();
        let matrix = from_edges(100, &src, &dst, &values, &Monitor::new()).unwrap();
        let (starts, rows, values) = transpose(&matrix, &Monitor::new()).unwrap();
        assert_eq!(super::matrix(100, starts, rows, values), matrix.transpose_view().to_csr());
        let empty = from_edges(0, &[], &[], &[], &Monitor::new()).unwrap();
        assert_eq!(transpose(&empty, &Monitor::new()).unwrap().0, [0]);
    }

    #[test]
    fn an_edge_without_its_reverse_gets_it_and_another_keeps_its_value() {
        let edges =
            from_edges(4, &[0, 1, 1, 2, 3], &[1, 0, 2, 2, 1], &[0.1, 0.2, 0.3, 0.4, 0.5], &Monitor::new()).unwrap();
        let both = both_ways(&edges, &Monitor::new()).unwrap();
        let rows = [
            (vec![1], vec![0.1]),
            (vec![0, 2, 3], vec![0.2, 0.3, 0.5]),
            (vec![1, 2], vec![0.3, 0.4]),
            (vec![1], vec![0.5]),
        ];
        for (at, (columns, values)) in rows.iter().enumerate() {
            assert_eq!(row(&both, at), (&columns[..], &values[..]));
        }
        assert_eq!(both_ways(&both, &Monitor::new()).unwrap(), both);
    }

    #[test]
    fn edges_are_one_way_if_no_pair_has_both_directions() {
        let one_way = |src: &[u32], dst: &[u32]| {
            is_one_way(&from_edges(3, src, dst, &vec![0.5; src.len()], &Monitor::new()).unwrap(), &Monitor::new())
                .unwrap()
        };
        assert!(one_way(&[], &[]) && one_way(&[0, 1, 2], &[0, 2, 0]));
        assert!(!one_way(&[0, 1, 2, 2], &[0, 2, 0, 1]));
    }

    #[test]
    fn an_edge_that_occurs_twice_is_named() {
        let error = from_edges(3, &[1, 0, 1], &[2, 2, 2], &[0.0; 3], &Monitor::new()).unwrap_err();
        assert_eq!(error, Error::edge(1, 2, EdgeProblem::Duplicate));
    }
}

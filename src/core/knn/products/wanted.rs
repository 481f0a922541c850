//! Which pairs are worth a look.

use super::scale::{ANY, NONE};

/// A pair of row i and column j is wanted where the sum is at least `rows[i] + column_offsets[j]`,
/// or at least `columns[j] + row_offsets[i]`.
#[derive(Debug, Default)]
pub(in crate::core::knn) struct Wanted {
    pub(super) rows: Vec<i32>,
    pub(super) column_offsets: Vec<i32>,
    pub(super) columns: Vec<i32>,
    pub(super) row_offsets: Vec<i32>,
}

impl Wanted {
    /// Set what the rows want, and their offsets.
    pub fn by_rows(&mut self, limits: impl Iterator<Item = i32>, offsets: impl Iterator<Item = i32>) {
        self.rows.clear();
        self.rows.extend(limits);
        self.row_offsets.clear();
        self.row_offsets.extend(offsets);
    }

    /// Set what the columns want, and their offsets.
    pub fn by_columns(&mut self, limits: impl Iterator<Item = i32>, offsets: impl Iterator<Item = i32>) {
        self.columns.clear();
        self.columns.extend(limits);
        self.column_offsets.clear();
        self.column_offsets.extend(offsets);
    }

    /// Whether some row or column wants all pairs.
    pub(super) fn any(&self) -> bool {
        self.rows.contains(&ANY) || self.columns.contains(&ANY)
    }

    /// Fill up to whole panels of R rows and C columns.
    pub(super) fn fill_up<const R: usize, const C: usize>(&mut self) {
        for (limits, offsets, panel) in
            [(&mut self.rows, &mut self.row_offsets, R), (&mut self.columns, &mut self.column_offsets, C)]
        {
            let len = limits.len().next_multiple_of(panel);
            limits.resize(len, NONE);
            offsets.resize(len, 0);
        }
    }
}

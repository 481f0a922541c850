//! The k-NN graph as it is kept.

/// The mark of a place of a row that no neighbor fills, always at its end.
pub const ABSENT: u32 = u32::MAX;

/// The neighbors of each point, as dense rows of equal width.
#[derive(Debug, Clone, PartialEq)]
pub struct KnnGraph {
    pub(super) rows: usize,
    pub(super) k: usize,
    pub(super) neighbors: Vec<u32>,
    pub(super) distances: Vec<f32>,
}

impl KnnGraph {
    /// Bytes of the neighbors and distances.
    pub(super) fn memory(rows: usize, k: usize) -> u64 {
        (rows * k * (size_of::<u32>() + size_of::<f32>())) as u64
    }

    pub(super) fn empty(rows: usize, k: usize) -> Self {
        Self { rows, k, neighbors: vec![ABSENT; rows * k], distances: vec![f32::INFINITY; rows * k] }
    }

    /// Number of points that have a row.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no point has a row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Places in a row.
    pub fn k(&self) -> usize {
        self.k
    }

    /// One row's neighbors and their distances, nearest first.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let places = row * self.k..(row + 1) * self.k;
        let neighbors = &self.neighbors[places.clone()];
        let found = neighbors.iter().position(|&n| n == ABSENT).unwrap_or(self.k);
        (&neighbors[..found], &self.distances[places][..found])
    }

    /// Number of edges.
    pub fn edges(&self) -> usize {
        (0..self.rows).map(|row| self.row(row).0.len()).sum()
    }

    /// Rename the destinations, and the rows: `src[i]` is the new number of row `i`, and `dst[j]`
    /// that of neighbor `j`; `rows` is the number of points afterwards.
    pub fn renumber(&self, rows: usize, src: &[u32], dst: &[u32]) -> Self {
        let mut graph = Self::empty(rows, self.k);
        for (row, &new) in src.iter().enumerate() {
            let (neighbors, distances) = self.row(row);
            let places = new as usize * self.k..;
            for (place, &neighbor) in graph.neighbors[places.clone()].iter_mut().zip(neighbors) {
                *place = dst[neighbor as usize];
            }
            graph.distances[places][..distances.len()].copy_from_slice(distances);
        }
        graph
    }
}

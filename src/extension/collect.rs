//! What a sink keeps of a relation, until the source takes it.

use duckdb_neo::Result;

use super::columns::Bound;
use super::defect;
use super::ids::{IdColumn, Interner};
use super::sql::Columns;
use crate::core::embeddings::EmbeddingRows;

/// The rows of one relation.
#[derive(Debug)]
pub enum Collected {
    Points {
        ids: IdColumn,
        rows: EmbeddingRows,
        /// Numbers of the interned partitions, `None` for NULL.
        partitions: Option<(Interner, Vec<Option<u32>>)>,
    },
    Densities {
        ids: IdColumn,
        values: Vec<f64>,
    },
    /// Numbers of the interned labels, `None` for NULL.
    Labels {
        ids: IdColumn,
        labels: Interner,
        numbers: Vec<Option<u32>>,
    },
    /// A delta of NULL is NaN.
    Clusters {
        ids: IdColumn,
        parents: IdColumn,
        clusters: Vec<i64>,
        deltas: Vec<f64>,
    },
    /// A delta of NULL is infinite; without densities there are neither.
    Members {
        ids: IdColumn,
        clusters: Vec<i64>,
        deltas: Vec<f64>,
        densities: Vec<f64>,
    },
    /// Ends are numbers of the interned ids.
    Edges {
        ids: Interner,
        src: Vec<u32>,
        dst: Vec<u32>,
        values: Vec<f64>,
    },
}

impl Collected {
    pub fn new(columns: &Columns, bound: &Bound) -> Self {
        let id_type = &bound.id;
        match columns {
            Columns::Points { precision, .. } => Self::Points {
                ids: IdColumn::new(id_type),
                rows: EmbeddingRows::new(*precision),
                partitions: bound.label.as_ref().map(|partition| (Interner::new(partition), vec![])),
            },
            Columns::Densities => Self::Densities { ids: IdColumn::new(id_type), values: Vec::new() },
            Columns::Labels { .. } => Self::Labels {
                ids: IdColumn::new(id_type),
                labels: Interner::new(bound.label.as_ref().unwrap_or(id_type)),
                numbers: vec![],
            },
            Columns::Clusters { .. } => Self::Clusters {
                ids: IdColumn::new(id_type),
                parents: IdColumn::new(id_type),
                clusters: vec![],
                deltas: vec![],
            },
            Columns::Members { .. } => {
                Self::Members { ids: IdColumn::new(id_type), clusters: vec![], deltas: vec![], densities: vec![] }
            }
            Columns::Edges(_) | Columns::Probabilities | Columns::Distances | Columns::Pairs => {
                Self::Edges { ids: Interner::new(id_type), src: vec![], dst: vec![], values: vec![] }
            }
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Points { rows, .. } => rows.len(),
            Self::Labels { numbers, .. } => numbers.len(),
            Self::Clusters { clusters, .. } | Self::Members { clusters, .. } => clusters.len(),
            Self::Densities { values, .. } | Self::Edges { values, .. } => values.len(),
        }
    }

    pub fn append(&mut self, other: Self) -> Result<()> {
        match (self, other) {
            (
                Self::Points { ids, rows, partitions },
                Self::Points { ids: more_ids, rows: more, partitions: more_partitions },
            ) => {
                ids.append(more_ids);
                rows.append(more).map_err(|_| defect("rows of different lengths got past the check"))?;
                if let (Some((values, numbers)), Some((more_values, more))) = (partitions, more_partitions) {
                    let new = values.absorb(more_values)?;
                    numbers.extend(more.into_iter().map(|number| number.map(|number| new[number as usize])));
                }
            }
            (Self::Densities { ids, values }, Self::Densities { ids: more_ids, values: mut more }) => {
                ids.append(more_ids);
                values.append(&mut more);
            }
            (
                Self::Labels { ids, labels, numbers },
                Self::Labels { ids: more_ids, labels: more_labels, numbers: more },
            ) => {
                ids.append(more_ids);
                let new = labels.absorb(more_labels)?;
                numbers.extend(more.into_iter().map(|number| number.map(|number| new[number as usize])));
            }
            (
                Self::Clusters { ids, parents, clusters, deltas },
                Self::Clusters {
                    ids: more_ids,
                    parents: more_parents,
                    clusters: mut more_clusters,
                    deltas: mut more_deltas,
                },
            ) => {
                ids.append(more_ids);
                parents.append(more_parents);
                clusters.append(&mut more_clusters);
                deltas.append(&mut more_deltas);
            }
            (
                Self::Members { ids, clusters, deltas, densities },
                Self::Members {
                    ids: more_ids,
                    clusters: mut more_clusters,
                    deltas: mut more_deltas,
                    densities: mut more_densities,
                },
            ) => {
                ids.append(more_ids);
                clusters.append(&mut more_clusters);
                deltas.append(&mut more_deltas);
                densities.append(&mut more_densities);
            }
            (
                Self::Edges { ids, src, dst, values },
                Self::Edges { ids: more_ids, src: more_src, dst: more_dst, values: mut more },
            ) => {
                let numbers = ids.absorb(more_ids)?;
                src.extend(more_src.into_iter().map(|end| numbers[end as usize]));
                dst.extend(more_dst.into_iter().map(|end| numbers[end as usize]));
                values.append(&mut more);
            }
            _ => return Err(defect("two sinks of one relation disagree")),
        }
        Ok(())
    }
}

//! Clusters as any method gives them: an id and a cluster of any type a row.

use std::sync::Arc;

use crate::engine::prelude::*;
use crate::engine::values::no_embedding;

pub const ANY_CLUSTERS: Parameter<RelationName> = Parameter {
    name: "clusters",
    default: DefaultValue::Required,
    takes: OF_POINTS,
    description: "name of a relation with the cluster of each id, made by any method or by hand",
};
pub const CLUSTERS_ID: Parameter<ColumnName> = Parameter {
    name: "id",
    default: DefaultValue::Text("id"),
    takes: ColumnName,
    description: "column of the ids in clusters",
};
pub const CLUSTER: Parameter<ColumnName> = Parameter {
    name: "cluster",
    default: DefaultValue::Text("cluster_id"),
    takes: ColumnName,
    description: "column of the clusters, of any type; rows with NULL are in none",
};

/// The clusters of points, which are in order of their ids.
pub struct ClusterLabels {
    ids: Arc<Ids>,
    /// Number of each point's cluster in the order of the labels, `None` for a point that is in none.
    of: Vec<Option<u32>>,
    pub labels: Arc<Ids>,
    is_peak: Vec<bool>,
    label: String,
}

impl ClusterLabels {
    /// The relation of a call, with the columns that it names.
    pub fn of(call: &mut Call<'_>, clusters: &Parameter<RelationName>) -> Checked<Input<Self>> {
        let (id, cluster) = (call.column(&CLUSTERS_ID)?, call.column(&CLUSTER)?);
        let hint = "name the column of clusters with cluster := '...'";
        let fields = vec![Field::Label { columns: vec![cluster], hint }, Field::OptionalFlag { column: "is_peak" }];
        call.relation(clusters, Reads::by_id(&id, "", fields))
    }

    /// The cluster of each of other points, and the points that are peaks.
    ///
    /// # Errors
    /// If a point of a cluster is not among them.
    pub fn in_order_of(&self, points: &Ids) -> Result<(Vec<Option<u32>>, Vec<u32>)> {
        let (mut cluster, mut peaks) = (vec![None; points.len()], vec![]);
        for (row, number) in self.ids.numbers_in(points).into_iter().enumerate() {
            if self.of[row].is_none() {
                continue;
            }
            let Some(number) = number else {
                return Err(failed(&self.label, &self.ids)(Cause::Point(row as u32, no_embedding)));
            };
            cluster[number as usize] = self.of[row];
            if self.is_peak[row] {
                peaks.push(number);
            }
        }
        Ok((cluster, peaks))
    }
}

/// The points of each cluster.
pub fn members(cluster: &[Option<u32>], clusters: usize) -> Vec<Vec<u32>> {
    let mut members = vec![vec![]; clusters];
    for (point, own) in (0u32..).zip(cluster) {
        if let Some(own) = own {
            members[*own as usize].push(point);
        }
    }
    members
}

impl FromRows for ClusterLabels {
    fn from_rows(rows: Collected, label: &str, _: &Run<'_>) -> Result<Self> {
        let mut rows = Sorted::new(rows, label)?;
        let (labels, numbers) = rows.labels();
        let (labels, places) = labels.sorted();
        let of = numbers.into_iter().map(|number| number.map(|number| places[number as usize])).collect();
        let is_peak = rows.numbers().into_iter().map(|flag| flag != 0.0).collect();
        Ok(Self { ids: rows.ids, of, labels: Arc::new(labels), is_peak, label: label.into() })
    }
}

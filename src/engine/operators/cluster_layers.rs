//! `cluster_layers(transition, ...)`: nested clusterings, coarse to fine.

use super::dpc_cluster::{RESULT_ID, result_id};
use super::ndde::{self, TRANSITION};
use crate::core::constraints::Constraints;
use crate::core::hierarchy::Hierarchy;
use crate::core::methods::numbered;
use crate::engine::prelude::*;
use crate::engine::values::{Edges, tree_bytes};

pub static FUNCTION: Function = Function {
    name: "cluster_layers",
    description: "Nested clusterings, coarse to fine: of all clusterings on the way of cluster_tree those that describe a random walk in the fewest bits over the widest range of Markov times, the last that of linkage_cluster.",
    returns: "Returns layer (1, 2, ..., coarse to fine), id, cluster_id (0, 1, 2, ... in order of the smallest ids of the layer's clusters) and parent_cluster_id (the cluster of the layer before that holds it, NULL in the first).",
    parameters: &[&TRANSITION, &LAYERS, &RESULT_ID],
    examples: &[
        "FROM cluster_layers(transition_matrix(knn_graph('texts'), sigma := 'auto'))",
        "PIVOT cluster_layers('p') ON layer USING any_value(cluster_id) GROUP BY id",
    ],
    nested_example: None,
    build: |call| {
        let transition = ndde::transition(call)?;
        let (most, id) = (call.get(&LAYERS)?, result_id(call)?);
        if ["layer", "parent_cluster_id"].iter().any(|other| other.eq_ignore_ascii_case(&id)) {
            return Err(call.error(format!("id := '{id}' is also another column of the result; rename it in a view")));
        }
        Ok(call.add(Layers { transition, most, id }).node)
    },
};

const LAYERS: Parameter<Count> = Parameter {
    name: "layers",
    default: DefaultValue::Integer(8),
    takes: Count(1),
    description: "at most so many; each has less than half of the clusters of the next",
};

#[derive(Debug, PartialEq)]
struct Layers {
    transition: Input<Edges>,
    most: usize,
    id: String,
}

struct LayerRow {
    layer: usize,
    point: u32,
    cluster: u32,
    parent: Option<u32>,
}

impl Operator for Layers {
    type Output = List<LayerRow>;

    fn inputs(&self) -> Vec<usize> {
        vec![self.transition.node]
    }

    fn edge_bytes(&self) -> u64 {
        tree_bytes()
    }

    fn columns(&self) -> Vec<Column<List<LayerRow>>> {
        vec![
            bigint("layer", |list: &Self::Output, rows| list.each(rows, |row| row.layer as i64)),
            id(&self.id, Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.point)),
            bigint("cluster_id", |list: &Self::Output, rows| list.each(rows, |row| row.cluster.into())),
            bigint("parent_cluster_id", |list: &Self::Output, rows| list.some(rows, |row| row.parent.map(i64::from))),
        ]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<LayerRow>> {
        let edges = Edges::of(run, self.transition)?;
        let tree = Hierarchy::new(&edges.matrix, &Constraints::default(), run.monitor).map_err(edges.failed())?;
        let layers = tree.layers(self.most, run.monitor).map_err(edges.failed())?;
        let layers: Vec<Vec<u32>> = layers.into_iter().map(|merges| numbered(tree.after(merges))).collect();
        let rows = layers.iter().enumerate().flat_map(|(at, clusters)| {
            let parents = at.checked_sub(1).map(|before| &layers[before]);
            (0u32..).zip(clusters).map(move |(point, &cluster)| {
                let parent = parents.map(|parents| parents[point as usize]);
                LayerRow { layer: at + 1, point, cluster, parent }
            })
        });
        Ok(List { rows: rows.collect(), ids: vec![edges.ids] })
    }
}

//! `cluster_tree(transition)`: every merge on the way from single points to one cluster.

use super::ndde::{self, TRANSITION};
use crate::core::constraints::Constraints;
use crate::core::hierarchy::Hierarchy;
use crate::engine::prelude::*;
use crate::engine::values::{Edges, tree_bytes};

pub static FUNCTION: Function = Function {
    name: "cluster_tree",
    description: "Every merge of two clusters between single points and one cluster, in the order in which they are made: first those of linkage_cluster, then merges of its clusters by the bare graph, in which all edges count alike.",
    returns: "Returns clusters (how many are left after the merge), stage ('links' or 'graph'), height (of links from 1 down, of the graph their edges by their pairs to the power 0.7; it falls within a stage), id and other_id (the smallest ids of the two clusters), size and other_size.",
    parameters: &[&TRANSITION],
    examples: &[
        "FROM cluster_tree(transition_matrix(knn_graph('texts'), sigma := 'auto'))",
        "FROM cluster_tree('p') WHERE clusters < 100",
    ],
    nested_example: None,
    build: |call| {
        let transition = ndde::transition(call)?;
        Ok(call.add(TreeMerges { transition }).node)
    },
};

#[derive(Debug, PartialEq)]
struct TreeMerges {
    transition: Input<Edges>,
}

struct TreeRow {
    clusters: usize,
    of_links: bool,
    height: f64,
    points: (u32, u32),
    sizes: (u32, u32),
}

impl Operator for TreeMerges {
    type Output = List<TreeRow>;

    fn inputs(&self) -> Vec<usize> {
        vec![self.transition.node]
    }

    fn edge_bytes(&self) -> u64 {
        tree_bytes()
    }

    fn columns(&self) -> Vec<Column<List<TreeRow>>> {
        vec![
            bigint("clusters", |list: &Self::Output, rows| list.each(rows, |row| row.clusters as i64)),
            text("stage", |list: &Self::Output, rows| {
                list.each(rows, |row| if row.of_links { "links" } else { "graph" })
            }),
            double("height", |list: &Self::Output, rows| list.each(rows, |row| row.height)),
            id("id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.points.0)),
            id("other_id", Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.points.1)),
            bigint("size", |list: &Self::Output, rows| list.each(rows, |row| row.sizes.0.into())),
            bigint("other_size", |list: &Self::Output, rows| list.each(rows, |row| row.sizes.1.into())),
        ]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<TreeRow>> {
        let edges = Edges::of(run, self.transition)?;
        let tree = Hierarchy::new(&edges.matrix, &Constraints::default(), run.monitor).map_err(edges.failed())?;
        // A cluster is named by its smallest point.
        let mut sizes = vec![1; tree.len()];
        let rows = tree.merges().iter().enumerate().map(|(at, merge)| {
            let (a, b) = (merge.points.0 as usize, merge.points.1 as usize);
            let before = (sizes[a], sizes[b]);
            sizes[a] += sizes[b];
            let (clusters, of_links) = (tree.len() - at - 1, at < tree.cut());
            TreeRow { clusters, of_links, height: merge.height, points: merge.points, sizes: before }
        });
        Ok(List { rows: rows.collect(), ids: vec![edges.ids] })
    }
}

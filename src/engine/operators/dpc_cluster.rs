//! `dpc_cluster(density, distance, ...)`, stage 5, with the relations that may be given beside densities
//! and distances.

use std::sync::Arc;

use super::pairs::{CANNOT_LINK, GivenPairs, MUST_LINK, UNKNOWN_IDS, UnknownIds, known_before};
use super::partitions::{Partitioned, PartitionedPeaks};
use crate::core::cluster_tree::Clusters;
use crate::core::constraints::Constraints;
use crate::core::dpc::{self, Clustering};
use crate::core::hierarchy::Hierarchy;
use crate::core::pipeline::Cut;
use crate::core::relabel::relabel;
use crate::engine::peaks::{DENSITY, DISTANCE, PeakInputs};
use crate::engine::prelude::*;
use crate::engine::values::{Edges, MADE_BY_DPC, tree_bytes};

pub static FUNCTION: Function = Function {
    name: "dpc_cluster",
    description: "Density peak clustering: each point joins its nearest neighbor of higher density, if that is nearer than tau; the others are peaks, and each tree is a cluster.",
    returns: RETURNS,
    parameters: &[&DENSITY, &DISTANCE, &TAU, &PREVIOUS, &MUST_LINK, &CANNOT_LINK, &UNKNOWN_IDS, &RESULT_ID],
    examples: &[
        "FROM dpc_cluster('r', 'd', tau := 0.7)",
        "FROM dpc_cluster(ndde('p'), tpdi('p'), tau := 'auto')",
        "FROM dpc_cluster('r', 'd', previous := 'clusters', cannot_link := 'same_photo')",
    ],
    nested_example: None,
    build: |call| {
        let peaks = PeakInputs::of(call)?;
        let id = result_id(call)?;
        let given = GivenRelations::of(call, &id)?;
        let cut = call.get(&TAU)?.map_or(CutBy::AutoTau, CutBy::Tau);
        build(call, PeaksInput::Stages(peaks, cut), given, id, vec![])
    },
};

/// What names the ids of a result whose inputs have edges.
pub const RESULT_ID: Parameter<ColumnName> = Parameter {
    name: "id",
    default: DefaultValue::Text("id"),
    takes: ColumnName,
    description: "column of the ids in the result, and in previous",
};

/// The name of the ids of a call's result, which no other column has.
pub fn result_id(call: &Call<'_>) -> Checked<String> {
    let id = call.column(&RESULT_ID)?;
    check_name(call, RESULT_ID.name, &id, &[])?;
    Ok(id)
}

macro_rules! columns {
    ($after_density:literal) => {
        concat!(
            "Returns id, cluster_id (0, 1, 2, ... in order of the smallest ids, or as previous has it), parent_id (a \
             peak's own id), delta (distance to the candidate parent, NULL without one), density",
            $after_density
        )
    };
}
const RETURNS: &str = columns!(" and is_peak.");
/// With a column more where there is no threshold.
pub const RETURNS_STRENGTH: &str = columns!(
    ", is_peak and, without a threshold, strength: how sure the row is of its cluster, from 0 to 1 (of rows with 0.9, \
     about nine in ten are right), NULL for a row that belongs to nothing, and for all where the graph cannot tell."
);

pub const TAU: Parameter<OrAuto> = Parameter {
    name: "tau",
    default: DefaultValue::Number(dpc::TAU),
    takes: OrAuto(Number {
        is: "a number from 0 to 1",
        range: "a number from 0 to 1 or 'auto'",
        valid: |tau| (0.0..=1.0).contains(&tau),
    }),
    description: "a point joins its parent if their distance is below this, from 0 to 1; or 'auto': as the distances call for",
};
pub const PREVIOUS: Parameter<OrNull<RelationName>> = Parameter {
    name: "previous",
    default: DefaultValue::Null,
    takes: OrNull(OF_POINTS),
    description: "name of a relation with the cluster_id of each id in an earlier clustering: clusters keep the id of the one that they overlap most, new ones get ids beyond the greatest. NULL: ids from 0",
};
/// The columns of the result beside the id.
const OTHER_COLUMNS: [&str; 6] = ["cluster_id", "parent_id", "delta", "density", "is_peak", "strength"];

/// Refuse a name of a user's column that another column of the result has.
pub fn check_name(call: &Call<'_>, parameter: &str, name: &str, others: &[&str]) -> Checked<()> {
    if OTHER_COLUMNS.iter().chain(others).any(|other| other.eq_ignore_ascii_case(name)) {
        let what = "is also another column of the result; rename it in a view";
        return Err(call.error(format!("{parameter} := '{name}' {what}")));
    }
    Ok(())
}

/// What gives densities and distances, and what makes clusters of them.
#[derive(Debug, PartialEq)]
pub enum PeaksInput {
    Stages(PeakInputs, CutBy),
    /// Each partition as its own run makes them, by a threshold or without.
    Partitions(Input<PartitionedPeaks>, Option<f64>),
}

/// What makes clusters of densities and distances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CutBy {
    /// A point joins its parent below this distance.
    Tau(f64),
    /// The same, with the distance that the clusters of fewest bits have.
    AutoTau,
    /// Clusters of the tree along a transition matrix; as many as are wanted.
    Tree(Input<Edges>, Option<usize>),
}

/// The relations that are given beside densities and distances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GivenRelations {
    previous: Option<Input<Previous>>,
    pub pairs: GivenPairs,
}

impl GivenRelations {
    /// Those of a call; `id` is the column of the ids in `previous`.
    pub fn of(call: &mut Call<'_>, id: &str) -> Checked<Self> {
        let previous = call.get(&PREVIOUS)?;
        let cluster = Field::Integer { column: "cluster_id", null: Null::Skip };
        let previous =
            previous.map(|name| call.read(PREVIOUS.name, name, Reads::by_id(id, MADE_BY_DPC, vec![cluster])));
        Ok(Self { previous, pairs: GivenPairs::of(call)? })
    }

    fn nodes(&self) -> impl Iterator<Item = usize> {
        self.previous.into_iter().map(|input| input.node).chain(self.pairs.nodes())
    }
}

/// The clustering of a call by these; `id` and `partition` name columns, of which there may be none of partitions.
pub fn build(
    call: &mut Call<'_>,
    peaks: PeaksInput,
    given: GivenRelations,
    id: String,
    partition: Vec<String>,
) -> Checked<usize> {
    Ok(call.add(DensityPeaks { peaks, given, id, partition }).node)
}

#[derive(Debug, PartialEq)]
struct DensityPeaks {
    peaks: PeaksInput,
    given: GivenRelations,
    id: String,
    partition: Vec<String>,
}

/// A clustering with the ids of its points.
pub struct PointClusters {
    clustering: Clustering,
    /// The ids of the clusters where they are not 0, 1, 2, ...
    cluster_ids: Option<Vec<i64>>,
    ids: Arc<Ids>,
    /// The partition of each point, `None` for NULL, and the values that they number.
    partitions: Option<(Arc<Ids>, Vec<Option<u32>>)>,
}

impl Rows for PointClusters {
    fn count(&self) -> usize {
        self.clustering.len()
    }

    fn ids(&self) -> Vec<Arc<Ids>> {
        let partitions = self.partitions.as_ref().map(|partitions| partitions.0.clone());
        std::iter::once(self.ids.clone()).chain(partitions).collect()
    }
}

impl DensityPeaks {
    fn without_threshold(&self) -> bool {
        matches!(&self.peaks, PeaksInput::Stages(_, CutBy::Tree(..)) | PeaksInput::Partitions(_, None))
    }
}

impl Operator for DensityPeaks {
    type Output = PointClusters;

    fn inputs(&self) -> Vec<usize> {
        let (peaks, tree) = match &self.peaks {
            PeaksInput::Stages(peaks, CutBy::Tree(transition, _)) => (peaks.nodes().into(), Some(transition.node)),
            PeaksInput::Stages(peaks, CutBy::Tau(_) | CutBy::AutoTau) => (peaks.nodes().into(), None),
            PeaksInput::Partitions(partitions, _) => (vec![partitions.node], None),
        };
        peaks.into_iter().chain(tree).chain(self.given.nodes()).collect()
    }

    fn edge_bytes(&self) -> u64 {
        if matches!(&self.peaks, PeaksInput::Stages(_, CutBy::Tree(..))) { tree_bytes() } else { 36 }
    }

    fn seconds(&self, extent: Extent) -> f64 {
        let tree = matches!(&self.peaks, PeaksInput::Stages(_, CutBy::Tree(..)));
        extent.edges as f64 * if tree { 6e-7 } else { 2e-8 }
    }

    fn columns(&self) -> Vec<Column<PointClusters>> {
        let whose = if self.partition.len() == 1 { Whose::Label } else { Whose::LabelColumn };
        let partition = self.partition.iter().map(|name| {
            id(name, whose, |clusters: &PointClusters, rows| {
                let partitions = clusters.partitions.as_ref().map_or(&[][..], |partitions| &partitions.1);
                Values::Some(partitions[rows].to_vec())
            })
        });
        let first = id(&self.id, Whose::First, |_: &PointClusters, rows| each(rows, |row| row as u32));
        let columns = vec![
            bigint("cluster_id", |clusters: &PointClusters, rows| {
                each(rows, |row| {
                    let cluster = clusters.clustering.cluster[row];
                    clusters.cluster_ids.as_ref().map_or(i64::from(cluster), |ids| ids[cluster as usize])
                })
            }),
            id("parent_id", Whose::First, |clusters: &PointClusters, rows| all(&clusters.clustering.parent[rows])),
            double("delta", |clusters: &PointClusters, rows| Values::Some(clusters.clustering.delta[rows].to_vec())),
            double("density", |clusters: &PointClusters, rows| all(&clusters.clustering.density[rows])),
            boolean("is_peak", |clusters: &PointClusters, rows| each(rows, |row| clusters.clustering.is_peak(row))),
        ];
        let strength = self.without_threshold().then(|| {
            double("strength", |clusters: &PointClusters, rows| {
                let strength = clusters.clustering.strength.as_deref().unwrap_or_default();
                some(rows, |row| strength.get(row).copied().flatten())
            })
        });
        std::iter::once(first).chain(partition).chain(columns).chain(strength).collect()
    }

    fn run(&self, run: &mut Run<'_>) -> Result<PointClusters> {
        // What is given is read and checked before the long work, because it may be wrong.
        let unknown_ids = self.given.pairs.unknown_ids;
        let previous = self.given.previous.map(|previous| run.read(previous)).transpose()?;
        if let Some(previous) = &previous
            && unknown_ids == UnknownIds::Error
            && let Some(known) = known_before(&previous.ids, run)
        {
            unknown_ids.check(&previous.ids, &previous.label, known.into_iter())?;
        }
        let pairs = self.given.pairs.read(run)?;
        let monitor = run.monitor;
        let constraints = |points: &Ids| -> Result<Constraints> {
            if let Some(previous) = previous.as_ref().filter(|_| unknown_ids == UnknownIds::Error) {
                let known = previous.ids.numbers_in(points);
                unknown_ids.check(&previous.ids, &previous.label, known.iter().map(Option::is_some))?;
            }
            pairs.constraints(points)
        };
        let (peaks, cut, constraints, partitions) = match &self.peaks {
            PeaksInput::Stages(peaks, cut) => {
                let peaks = peaks.read(run)?;
                let constraints = constraints(peaks.ids())?;
                let cut = match *cut {
                    CutBy::Tau(tau) => Cut::Tau(tau),
                    CutBy::AutoTau => Cut::Tau(peaks.auto_tau(monitor)?),
                    CutBy::Tree(transition, wanted) => {
                        let transition = Edges::of(run, transition)?;
                        let cluster = match wanted {
                            None => Clusters::new(&transition.matrix, &constraints, monitor),
                            Some(wanted) => Hierarchy::new(&transition.matrix, &constraints, monitor)
                                .and_then(|tree| tree.clusters(wanted)),
                        };
                        Cut::Clusters(cluster.map_err(transition.failed())?)
                    }
                };
                (peaks, cut, constraints, None)
            }
            PeaksInput::Partitions(partitions, _) => {
                let Partitioned { peaks, cut, of } = PartitionedPeaks::take(run, *partitions)?;
                let constraints = constraints(peaks.ids())?;
                (peaks, cut, constraints, Some(of))
            }
        };
        let (ids, failed) = (peaks.ids().clone(), peaks.failed());
        let clustering = cut.clustering(peaks.density, &peaks.distances.matrix, &constraints, monitor);
        let clustering = clustering.map_err(failed)?;
        let cluster_ids = previous.map(|previous| previous.relabel(&clustering, &ids)).transpose()?;
        Ok(PointClusters { clustering, cluster_ids, ids, partitions })
    }
}

/// An earlier clustering.
#[derive(Debug)]
struct Previous {
    ids: Arc<Ids>,
    clusters: Vec<i64>,
    label: String,
}

impl Previous {
    fn relabel(&self, clustering: &Clustering, points: &Ids) -> Result<Vec<i64>> {
        let earlier = points.numbers_in(&self.ids);
        let earlier: Vec<Option<i64>> = earlier.iter().map(|at| Some(self.clusters[(*at)? as usize])).collect();
        let greatest = self.clusters.iter().max().copied();
        relabel(&clustering.cluster, &earlier, greatest).map_err(failed(&self.label, &self.ids))
    }
}

impl FromRows for Previous {
    fn from_rows(rows: Collected, label: &str, _: &Run<'_>) -> Result<Self> {
        let mut rows = Sorted::new(rows, label)?;
        Ok(Self { clusters: rows.integers(), ids: rows.ids, label: label.into() })
    }
}

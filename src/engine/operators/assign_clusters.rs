//! `assign_clusters(source, base, clusters, ...)`: new rows for a clustering that stands.

use std::fmt::Display;
use std::sync::Arc;

use super::cluster_embeddings::{SIGMA, TAU};
use super::dpc_cluster::check_name;
use super::knn_graph::{EMBEDDING, ID, K, METRIC, PRECISION};
use super::pairs::{self, CANNOT_LINK, GivenPairs, UnknownIds};
use super::suggest_splits::{CLUSTERS, numbered};
use super::transition_matrix::{KERNEL, KernelChoice};
use crate::core::assign::{AssignOptions, Assignment, BaseClusters, assign_apart, sample_size};
use crate::core::embeddings::Precision;
use crate::core::error::{Error, PointProblem};
use crate::core::knn::{KnnOptions, Method, Metric, Points};
use crate::engine::prelude::*;
use crate::engine::values::{MADE_BY_DPC, PointRows};

pub static FUNCTION: Function = Function {
    name: "assign_clusters",
    description: "The cluster that each new row joins, by the same distances as in cluster_embeddings and without clustering the old rows again; each new row on its own, but for pairs that do not share a cluster.",
    returns: "Returns the columns of cluster_embeddings for the new rows: id, cluster_id (NULL for a row that joins none), parent_id (the row of base that it joined, else its own id), delta (distance to that row, else to its nearest neighbor of higher density, NULL without one), density, is_peak (whether it joined none) and, without a threshold, strength (how sure it is of its cluster).",
    parameters: &[
        &SOURCE,
        &BASE,
        &CLUSTERS,
        &K,
        &TAU,
        &METRIC,
        &ID,
        &EMBEDDING,
        &KERNEL,
        &SIGMA,
        &PRECISION,
        &CANNOT_LINK,
        &UNKNOWN_IDS,
    ],
    examples: &[
        "FROM assign_clusters('new_faces', base := 'faces', clusters := 'clusters')",
        "INSERT INTO clusters FROM assign_clusters('new_faces', base := 'faces', clusters := 'clusters') WHERE cluster_id IS NOT NULL",
    ],
    nested_example: None,
    build: |call| {
        let (kernel, tau) = (KernelChoice::of(call)?.kernel, call.get(&TAU)?);
        for relation in [&SOURCE, &BASE, &CLUSTERS] {
            call.get(relation)?;
        }
        let (id, embedding) = (call.column(&ID)?, call.column(&EMBEDDING)?);
        check_name(call, ID.name, &id, &[])?;
        let options = AssignOptions { k: call.get(&K)?, kernel, tau };
        let (metric, precision) = (call.get(&METRIC)?, call.get(&PRECISION)?);
        let reads = Reads::points(&id, &embedding, precision, None);
        let source = call.relation(&SOURCE, reads.clone())?;
        let base = call.relation(&BASE, reads)?;
        let clusters = call.relation(&CLUSTERS, Members::reads(&id))?;
        let pairs = GivenPairs::apart(call)?;
        Ok(call.add(AssignClusters { source, base, clusters, pairs, id, metric, precision, options }).node)
    },
};

const SOURCE: Parameter<RelationName> = Parameter {
    name: "source",
    default: DefaultValue::Required,
    takes: OF_POINTS,
    description: "name of a relation with the new rows, one row a point; their ids are not in base",
};
const UNKNOWN_IDS: Parameter<Choice<UnknownIds>> =
    Parameter { description: "what ids of no point mean in cannot_link", ..pairs::UNKNOWN_IDS };
const BASE: Parameter<RelationName> = Parameter {
    name: "base",
    default: DefaultValue::Required,
    takes: OF_POINTS,
    description: "name of the relation that was clustered, with the same columns",
};

#[derive(Debug, PartialEq)]
struct AssignClusters {
    source: Input<PointRows>,
    base: Input<PointRows>,
    clusters: Input<Members>,
    pairs: GivenPairs,
    id: String,
    metric: Metric,
    precision: Precision,
    options: AssignOptions,
}

/// A new row with the cluster that it joins.
struct AssignedRow {
    point: u32,
    cluster: Option<i64>,
    assignment: Assignment,
}

impl Operator for AssignClusters {
    type Output = List<AssignedRow>;

    fn inputs(&self) -> Vec<usize> {
        [self.source.node, self.base.node, self.clusters.node].into_iter().chain(self.pairs.nodes()).collect()
    }

    fn columns(&self) -> Vec<Column<List<AssignedRow>>> {
        let mut columns = vec![
            id(&self.id, Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.point)),
            bigint("cluster_id", |list: &Self::Output, rows| list.some(rows, |row| row.cluster)),
            id("parent_id", Whose::First, |list: &Self::Output, rows| {
                list.each(rows, |row| row.assignment.parent.unwrap_or(row.point))
            }),
            double("delta", |list: &Self::Output, rows| list.some(rows, |row| row.assignment.delta)),
            double("density", |list: &Self::Output, rows| list.each(rows, |row| row.assignment.density)),
            boolean("is_peak", |list: &Self::Output, rows| list.each(rows, |row| row.assignment.parent.is_none())),
        ];
        if self.options.tau.is_none() {
            columns
                .push(double("strength", |list: &Self::Output, rows| list.some(rows, |row| row.assignment.strength)));
        }
        columns
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<AssignedRow>> {
        let (source_label, base_label) = (run.label(self.source), run.label(self.base));
        let members = run.read(self.clusters)?;
        let pairs = self.pairs.read(run)?;
        let base = run.take(self.base)?;
        let new = run.take(self.source)?;
        if let Some(row) = new.ids.numbers_in(&base.ids).iter().position(Option::is_some) {
            let known = |id: &dyn Display| format!("id {id} is in base already; new rows need ids of their own");
            return Err(failed(&source_label, &new.ids)(Cause::Point(row as u32, known)));
        }
        let of_base = base.ids.numbers_in(&members.ids).into_iter().enumerate();
        let of_base = of_base.map(|(row, at)| at.ok_or(Cause::Point(row as u32, no_cluster)));
        let of_base = of_base.collect::<Result<Vec<u32>, Cause>>().map_err(failed(&base_label, &base.ids))?;
        let (found, dim) = (new.embeddings.dim(), base.embeddings.dim());
        if found != dim && !new.embeddings.is_empty() && !base.embeddings.is_empty() {
            let error = format!("the embeddings have {found} dimensions, those of base have {dim}");
            return Err(Failure::of(&source_label, Error::Input(error)));
        }
        self.check_memory(base.embeddings.len(), new.embeddings.len(), dim, run)?;
        let points = |rows: PointRows, label: &str| {
            Points::new(rows.embeddings, self.metric, run.monitor).map_err(failed(label, &rows.ids))
        };
        let (new_ids, base_ids) = (new.ids.clone(), base.ids.clone());
        let new_points = points(new, &source_label)?;
        let base_points = points(base, &base_label)?;
        let values = |values: &[f64]| of_base.iter().map(|&at| values[at as usize]).collect::<Vec<f64>>();
        let (density, delta) = (values(&members.density), values(&members.delta));
        let cluster: Vec<i64> = of_base.iter().map(|&at| members.cluster[at as usize]).collect();
        let (cluster, _) = numbered(&cluster);
        let clusters = BaseClusters { cluster: &cluster, density: &density, delta: &delta };
        let cannot_link = pairs.cannot_link_in_chain(&base_ids, &new_ids)?;
        let ids = Arc::new(Ids::chain(&base_ids, &new_ids));
        let (options, monitor) = (&self.options, run.monitor);
        let assignments = assign_apart(&base_points, &new_points, clusters, options, &cannot_link, monitor);
        let assignments = assignments.map_err(failed(&source_label, &ids))?;
        let rows = (base_ids.len() as u32..).zip(assignments).map(|(point, assignment)| {
            let cluster = assignment.parent.map(|parent| members.cluster[of_base[parent as usize] as usize]);
            AssignedRow { point, cluster, assignment }
        });
        Ok(List { rows: rows.collect(), ids: vec![ids] })
    }
}

impl AssignClusters {
    /// Refuse work that does not fit.
    fn check_memory(&self, base: usize, new: usize, dim: usize, run: &Run<'_>) -> Result<()> {
        let k = self.options.k;
        let options = KnnOptions { k, method: Method::Exact, ..Default::default() };
        let sample = sample_size(base, &self.options);
        let met = base.min((new + sample).saturating_mul(k));
        let rows = (base + new + sample + met) as u64 * (self.precision.row_bytes(dim) as u64 + 8);
        // One after another.
        let search = |queries, threads| options.memory(self.precision, base, Some(queries), dim, threads);
        let searches = search(new, run.limits.threads) + search(sample, 0) + search(met, 0);
        let need = rows + searches + (base * (8 * run.limits.threads + 24)) as u64;
        let what = || format!("{new} new rows and {base} of base, of {dim} dimensions, with k := {k}");
        run.limits.check(&run.label(self.source), what, need, "assign fewer rows at a time, or ")
    }
}

fn no_cluster(id: &dyn Display) -> String {
    format!("id {id} of base has no row in clusters; leave it out of base, or assign it as a new row first")
}

/// A clustering, its points in order of their ids.
struct Members {
    ids: Arc<Ids>,
    cluster: Vec<i64>,
    delta: Vec<f64>,
    density: Vec<f64>,
}

impl Members {
    /// What is read of a clustering; a delta of NULL is infinite.
    fn reads(id: &str) -> Reads {
        const LEAVE_OUT: &str = "leave the row out";
        let fields = vec![
            Field::Integer { column: "cluster_id", null: Null::Refuse(LEAVE_OUT) },
            Field::Number { column: "delta", null: Null::Is(f64::INFINITY) },
            Field::Number { column: "density", null: Null::Refuse(LEAVE_OUT) },
        ];
        Reads::by_id(id, MADE_BY_DPC, fields)
    }
}

impl FromRows for Members {
    fn from_rows(rows: Collected, label: &str, _: &Run<'_>) -> Result<Self> {
        let mut rows = Sorted::new(rows, label)?;
        let (cluster, delta, density) = (rows.integers(), rows.numbers(), rows.numbers());
        if let Some(row) = density.iter().position(|d| !(*d >= 0.0 && d.is_finite())) {
            let problem = PointProblem::Density(density[row]);
            return Err(failed(label, &rows.ids)(Error::point(row, problem)));
        }
        Ok(Self { ids: rows.ids, cluster, delta, density })
    }
}

//! `invalid_rows(source, ...)`: every row that cannot be clustered, with the reason.

use std::sync::Arc;

use hashbrown::HashMap;

use super::kmeans_cluster::check_name;
use super::knn_graph::{EMBEDDING, ID, METRIC, SOURCE};
use crate::core::embeddings::Look;
use crate::core::error::PointProblem;
use crate::core::knn::{Metric, check_length, check_longest};
use crate::engine::prelude::*;
use crate::engine::relation::{CollectedColumn, CollectedKeys};

pub static FUNCTION: Function = Function {
    name: "invalid_rows",
    description: "Every row that knn_graph, cluster_embeddings and the others that read embeddings refuse, with the reason: all at once, where an error names one.",
    returns: "Returns id and reason; no row if all are valid.",
    parameters: &[&SOURCE, &METRIC, &ID, &EMBEDDING],
    examples: &[
        "FROM invalid_rows('faces')",
        "CREATE VIEW valid_faces AS FROM faces ANTI JOIN invalid_rows('faces') USING (id)",
    ],
    nested_example: None,
    build: |call| {
        let (id, embedding) = (call.column(&ID)?, call.column(&EMBEDDING)?);
        check_name(call, &id, "reason")?;
        let metric = call.get(&METRIC)?;
        let source = call.relation(&SOURCE, Reads::by_id(&id, "", vec![Field::Look { column: embedding }]))?;
        Ok(call.add(InvalidRows { source, id, metric }).node)
    },
};

#[derive(Debug, PartialEq)]
struct InvalidRows {
    source: Input<Looks>,
    id: String,
    metric: Metric,
}

struct InvalidRow {
    row: u32,
    reason: String,
}

impl Operator for InvalidRows {
    type Output = List<InvalidRow>;

    fn inputs(&self) -> Vec<usize> {
        vec![self.source.node]
    }

    fn columns(&self) -> Vec<Column<List<InvalidRow>>> {
        vec![
            id(&self.id, Whose::First, |list: &Self::Output, rows| list.each(rows, |row| row.row)),
            text("reason", |list: &Self::Output, rows| {
                Values::All(list.rows[rows].iter().map(|row| &*row.reason).collect())
            }),
        ]
    }

    fn run(&self, run: &mut Run<'_>) -> Result<List<InvalidRow>> {
        let looks = run.read(self.source)?;
        let found = looks.problems(self.metric);
        let rows = found.into_iter().map(|(row, problem)| {
            let what = if problem == PointProblem::DuplicateId { "this id" } else { "this row" };
            InvalidRow { row, reason: problem.of(what) }
        });
        Ok(List { rows: rows.collect(), ids: vec![looks.ids.clone()] })
    }
}

/// What is to know of each row, in order of the ids, of which some may be the same.
struct Looks {
    ids: Arc<Ids>,
    looks: Vec<Look>,
}

impl FromRows for Looks {
    fn from_rows(rows: Collected, _: &str, _: &Run<'_>) -> Result<Self> {
        let (CollectedKeys::Ids(ids), Some(CollectedColumn::Looks(looks))) =
            (rows.keys, rows.columns.into_iter().next())
        else {
            unreachable!("the relation has a row a point and a look at each")
        };
        let (ids, order) = ids.sorted();
        let looks = order.iter().map(|&at| looks[at as usize].clone()).collect();
        Ok(Self { ids: Arc::new(ids), looks })
    }
}

impl Looks {
    /// The rows that are refused, each with the first thing that is wrong with it.
    fn problems(&self, metric: Metric) -> Vec<(u32, PointProblem)> {
        let expected = self.dim();
        let n = self.looks.len();
        let same = |row: usize, other: usize| self.ids.key(row as u32) == self.ids.key(other as u32);
        let twice = |row: usize| row > 0 && same(row - 1, row) || row + 1 < n && same(row, row + 1);
        let of_row = |row: usize| match &self.looks[row] {
            _ if twice(row) => Some(PointProblem::DuplicateId),
            Look::Invalid(problem) => Some(problem.clone()),
            Look::Valid { dim, .. } if *dim != expected => {
                Some(PointProblem::Dimensions { found: *dim as usize, expected: expected as usize })
            }
            Look::Valid { squared_length, .. } => check_length(metric, *squared_length).err(),
        };
        let mut found: Vec<(u32, PointProblem)> = (0..n).filter_map(|row| Some((row as u32, of_row(row)?))).collect();
        if found.is_empty() {
            let squared =
                |look: &Look| if let Look::Valid { squared_length, .. } = look { *squared_length } else { 0.0 };
            let longest = self.looks.iter().map(squared).fold(0.0, f64::max);
            if let Err(problem) = check_longest(metric, longest.sqrt()) {
                let row = self.looks.iter().position(|look| squared(look) == longest).unwrap_or(0);
                found.push((row as u32, problem));
            }
        }
        found
    }

    /// The dimensions that most rows have; of equally many the greatest.
    fn dim(&self) -> u32 {
        let mut rows = HashMap::new();
        for look in &self.looks {
            if let Look::Valid { dim, .. } = look {
                *rows.entry(*dim).or_insert(0) += 1;
            }
        }
        rows.into_iter().max_by_key(|&(dim, rows)| (rows, dim)).map_or(0, |(dim, _)| dim)
    }
}

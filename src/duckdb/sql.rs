//! A plan as SQL: the text that a function's table macro hands to DuckDB's `query()`.
//!
//! ```sql
//! WITH density_peaks_stage AS MATERIALIZED (
//!   SELECT density_peaks_id(7, 0, s.id) AS id, s.density
//!   FROM density_peaks_result(7, '<program>') s,
//!        (SELECT i0.n AS n FROM (SELECT density_peaks_sink(7, 0, ...) AS n FROM ...) i0) i
//!   WHERE i.n >= 0 AND s.id IS NOT NULL)
//! FROM density_peaks_stage
//! ```
//!
//! The sinks make one row, so they are the build side and run first; the source claims to be huge,
//! to stay on the probe side. The materialized CTE is the fence: without it the optimizer may
//! join two sources of one statement before a sink has run. Rows without a first column are ticks.

use duckdb_neo::Result;

use super::errors::{defect, refused};
use super::ids::NATIVE_TYPES;
use crate::engine::plan::{Plan, Program};
use crate::engine::relation::{Field, Relation, RowKey};
use crate::engine::table::{Type, Whose};

pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An id, and its sort key where its type has none of our own.
fn id_arguments(name: &str) -> [String; 2] {
    let native: Vec<String> = NATIVE_TYPES.iter().map(|name| literal(name)).collect();
    let key = format!(
        "CASE WHEN typeof({name}) IN ({}) THEN NULL ELSE create_sort_key({name}, 'ASC NULLS LAST') END",
        native.join(", ")
    );
    [name.into(), key]
}

/// An embedding, and as DOUBLE[] where its values are neither FLOAT nor DOUBLE.
fn embedding_arguments(name: &str) -> [String; 2] {
    let as_it_is = format!("typeof({name}) LIKE 'FLOAT[%' OR typeof({name}) LIKE 'DOUBLE[%'");
    [name.into(), format!("CASE WHEN {as_it_is} THEN NULL ELSE {name}::DOUBLE[] END")]
}

/// The columns of a relation that its sink is given, each as it is called there.
struct Selected {
    columns: Vec<String>,
    arguments: Vec<String>,
}

impl Selected {
    fn new(relation: &Relation) -> Self {
        let mut selected = Self { columns: vec![], arguments: vec![] };
        match &relation.reads.key {
            RowKey::Id { column, .. } => selected.add(column, "id", id_arguments),
            RowKey::Ends => ["src", "dst"].into_iter().for_each(|end| selected.add(end, end, id_arguments)),
        }
        for (at, field) in relation.reads.fields.iter().enumerate() {
            let name = &*format!("field{at}");
            match field {
                Field::Number { column, .. } => selected.add(column, name, |name| [format!("{name}::DOUBLE")]),
                Field::Integer { column, .. } => selected.add(column, name, |name| [format!("{name}::BIGINT")]),
                Field::OtherId { column } => selected.add(column, name, id_arguments),
                Field::Label { columns, .. } => match &columns[..] {
                    [column] => selected.add(column, name, id_arguments),
                    columns => {
                        let column = |column: &String| format!("{}: {}", literal(column), identifier(column));
                        let columns = columns.iter().map(column).collect::<Vec<_>>().join(", ");
                        selected.columns.push(format!("{{{columns}}} AS {name}"));
                        selected.arguments.extend(id_arguments(name));
                    }
                },
                Field::Embedding { column, .. } | Field::Look { column } => {
                    selected.add(column, name, embedding_arguments)
                }
                Field::OptionalFlag { column } => {
                    selected.add(column, name, |name| [format!("coalesce(TRY_CAST({name} AS DOUBLE), 0)")]);
                }
                // The one that is not used may be of any type; the other was checked to be a number.
                Field::Strength { .. } => selected
                    .arguments
                    .extend(["distance", "similarity"].map(|name| format!("TRY_CAST({name} AS DOUBLE)"))),
            }
        }
        selected
    }

    fn add<const N: usize>(&mut self, column: &str, name: &str, arguments: impl Fn(&str) -> [String; N]) {
        self.columns.push(format!("{} AS {name}", identifier(column)));
        self.arguments.extend(arguments(name));
    }
}

fn sink(token: u64, at: usize, relation: &Relation) -> String {
    // Selected first, so that it is bound first: a missing column is then our error, not DuckDB's.
    // The token in its name makes it one that the relation does not have.
    let checked =
        format!("density_peaks_columns({token}, {at}, struct_pack(*COLUMNS(*))) AS density_peaks_checked_{token}");
    let from = format!("FROM query_table({})", literal(&relation.name));
    let Selected { columns, arguments } = Selected::new(relation);
    let has_strength = relation.reads.fields.iter().any(|field| matches!(field, Field::Strength { .. }));
    let optional = relation.reads.fields.iter().find_map(|field| match field {
        Field::OptionalFlag { column } => Some(identifier(column)),
        _ => None,
    });
    let rows = if has_strength {
        // Either of the two columns may be missing; the second branch stands in for it.
        format!(
            "SELECT {checked}, * {from} \
             UNION ALL BY NAME SELECT NULL::DOUBLE AS distance, NULL::DOUBLE AS similarity WHERE false"
        )
    } else if let Some(optional) = optional {
        // Likewise for the column that may be missing.
        let rows =
            format!("SELECT {checked}, * {from} UNION ALL BY NAME SELECT NULL::BOOLEAN AS {optional} WHERE false");
        format!("SELECT {} FROM ({rows})", columns.join(", "))
    } else {
        format!("SELECT {checked}, {} {from}", columns.join(", "))
    };
    format!("SELECT density_peaks_sink({token}, {at}, {}) AS n FROM ({rows})", arguments.join(", "))
}

/// The SQL of a plan, with a token that no statement had before.
pub fn sql(token: u64, program: &Program, plan: &Plan) -> Result<String> {
    let columns = plan.columns().map_err(refused)?;
    let selected = columns.iter().enumerate().map(|(at, (column, of_type))| {
        let name = identifier(column);
        match of_type {
            Type::Id(Whose::LabelColumn) => {
                let column = literal(column);
                format!("struct_extract(density_peaks_id({token}, {at}, s.{name}), {column}) AS {name}")
            }
            Type::Id(_) => format!("density_peaks_id({token}, {at}, s.{name}) AS {name}"),
            _ => format!("s.{name}"),
        }
    });
    let selected = selected.collect::<Vec<_>>().join(", ");
    let first = identifier(&columns.first().ok_or_else(|| defect("a result without columns"))?.0);
    let source = format!("density_peaks_result({token}, {}) s", literal(&program.to_json()));
    let relations = plan.relations();
    if relations.is_empty() {
        return Ok(format!("SELECT {selected} FROM {source} WHERE s.{first} IS NOT NULL"));
    }
    let sinks = relations.iter().enumerate().map(|(at, relation)| format!("({}) i{at}", sink(token, at, relation.1)));
    let sinks = sinks.collect::<Vec<_>>().join(", ");
    let counts = (0..relations.len()).map(|at| format!("i{at}.n")).collect::<Vec<_>>().join(" + ");
    Ok(format!(
        "WITH density_peaks_stage AS MATERIALIZED (SELECT {selected} FROM {source}, \
         (SELECT {counts} AS n FROM {sinks}) i WHERE i.n >= 0 AND s.{first} IS NOT NULL) FROM density_peaks_stage"
    ))
}

//! `explain_pair(clusters, a, b, ...)`: the way from one point to another along their parents. A
//! macro in SQL: it looks at one or two clusters only, so no stage need read them all.

use duckdb_neo::Result;
use duckdb_neo::bind_arguments::BindArguments;
use duckdb_neo::connection::Context;
use duckdb_neo::enums::{FunctionProperty, FunctionPropertyStability};
use duckdb_neo::extension::Extension;
use duckdb_neo::macro_function::{MacroBody, MacroFunctionBuilder};
use duckdb_neo::scalar::ScalarFunctionBuilder;
use duckdb_neo::signature::{FunctionParameter, SignatureBuilder};
use duckdb_neo::types::{Any, DuckDBType};
use duckdb_neo::value::Value;

use super::arguments::given;
use super::bound;
use super::errors::{by_hand, invalid};
use super::functions::{Documented, internal};
use super::scalar::{CheckAtBind, TextOf};
use super::sql::{identifier, literal};
use crate::engine::argument;
use crate::engine::operators::{CLUSTERS, CLUSTERS_ID, StoredClusters};
use crate::engine::parameter::{DefaultValue, Parameter, Takes, Wrong};
use crate::engine::plan::Given;
use crate::engine::relation::{Field, Null, Relation};

/// An id, of any type.
struct Id;

impl Takes for Id {
    type Given = ();

    fn read(&self, _: &argument::Argument) -> std::result::Result<(), Wrong> {
        Ok(())
    }
}

const A: Parameter<Id> =
    Parameter { name: "a", default: DefaultValue::Required, takes: Id, description: "id of a point" };
const B: Parameter<Id> =
    Parameter { name: "b", default: DefaultValue::Required, takes: Id, description: "id of another point" };

const NAME: &str = "explain_pair";

const DOCS: Documented<'_> = Documented {
    description: "Why two points are in one cluster, or are not: the way from a up the parents to the first point that both lead to, and down to b; or up to the peak of each.",
    form: "Returns step (0, 1, 2, ...), link ('start', 'up', 'down', or 'cut' where a peak joins nothing and the other chain begins), id, distance (to the point of the row before, NULL at the start and the cut), delta (to its candidate parent), density and cluster_id.",
    parameters: &[&CLUSTERS, &A, &B, &CLUSTERS_ID],
    examples: &[
        "FROM explain_pair('clusters', 17, 42)",
        "FROM explain_pair('clusters', 'x.jpg', 'y.jpg', id := 'file')",
    ],
};

/// A macro replaces every bare name that is a parameter's, so columns are qualified. `climb` goes up
/// from both points; `meeting` is the lowest point that is on both ways. The problems come
/// first, and their join with the path is an outer one, so that they are found before an empty path.
const BODY: &str = "
WITH RECURSIVE members AS MATERIALIZED (
    WITH given AS (FROM query(density_peaks_clusters('explain_pair', clusters, id)))
    SELECT g.* FROM given g
    WHERE g.cluster_id IN (SELECT e.cluster_id FROM given e WHERE e.point = a OR e.point = b)
), climb AS (
    SELECT 0 AS side, m.point, m.parent, 0 AS height FROM members m WHERE m.point = a
    UNION ALL SELECT 1, m.point, m.parent, 0 FROM members m WHERE m.point = b
    UNION ALL
    SELECT c.side, m.point, m.parent, c.height + 1 FROM climb c JOIN members m ON m.point = c.parent
    WHERE c.parent <> c.point AND c.height < (SELECT count(*) FROM members)
), checked AS (
    SELECT CASE
        WHEN NOT EXISTS (FROM members m WHERE m.point = a)
            THEN error('explain_pair: a := ' || coalesce(CAST(a AS VARCHAR), 'NULL') || ' is no id of clusters')
        WHEN NOT EXISTS (FROM members m WHERE m.point = b)
            THEN error('explain_pair: b := ' || coalesce(CAST(b AS VARCHAR), 'NULL') || ' is no id of clusters')
        WHEN (SELECT count(*) <> count(DISTINCT m.point) FROM members m)
            THEN error('explain_pair: ids occur more than once in clusters; ids must be unique')
        WHEN NOT (SELECT bool_or(c.side = 0 AND c.parent = c.point) AND bool_or(c.side = 1 AND c.parent = c.point) FROM climb c)
            THEN error('explain_pair: the parents do not lead to a peak; give whole clusters, made by dpc_cluster(...)')
        ELSE true END AS fine
), meeting AS (
    SELECT x.height AS up, y.height AS down FROM climb x JOIN climb y ON x.point = y.point
    WHERE x.side = 0 AND y.side = 1 ORDER BY x.height LIMIT 1
), way AS (
    SELECT c.side, if(c.side = 0, c.height, -c.height) AS place, c.height = max(c.height) OVER (PARTITION BY c.side) AS is_top,
        m.point, m.delta, m.density, m.cluster_id
    FROM climb c JOIN members m ON m.point = c.point LEFT JOIN meeting ON true
    WHERE c.height <= coalesce(if(c.side = 0, meeting.up, meeting.down - 1), c.height)
), path AS (
    SELECT row_number() OVER (ORDER BY w.side, w.place) - 1 AS step,
        CASE WHEN w.side = 0 THEN if(w.place = 0, 'start', 'up')
            WHEN w.is_top AND NOT EXISTS (FROM meeting) THEN 'cut' ELSE 'down' END AS link,
        w.point, lag(w.delta) OVER (ORDER BY w.side, w.place) AS delta_before, w.delta, w.density, w.cluster_id
    FROM way w
)
SELECT p.step, p.link, p.point AS id,
    CASE p.link WHEN 'up' THEN p.delta_before WHEN 'down' THEN p.delta END AS distance, p.delta, p.density, p.cluster_id
FROM checked LEFT JOIN path p ON true WHERE checked.fine ORDER BY p.step";

/// `density_peaks_clusters(function, clusters, id)`: the SQL that reads a stored clustering.
fn clusters(context: &Context, values: Vec<Value>) -> Result<String> {
    let [function, clusters, id] = <[Value; 3]>::try_from(values).map_err(|_| by_hand())?;
    let function = function.get::<String>()?.unwrap_or_default();
    let clusters = text(&function, "clusters", "the name of a relation with one row a point", &clusters, context)?;
    let id = text(&function, "id", "the name of a column", &id, context)?;
    Ok(clusters_sql(&function, &clusters, &id))
}

fn text(function: &str, argument: &str, what: &str, value: &Value, context: &Context) -> Result<String> {
    match given(value, context)? {
        Given::Program(stage) => {
            Err(invalid(format!("{function}: {argument} must be {what}, not {}(...)", stage.function())))
        }
        Given::Value(argument::Argument { value: argument::Value::Text(text), .. }) if !text.is_empty() => Ok(text),
        Given::Value(_) => Err(invalid(format!("{function}: {argument} must be {what}, got {value}"))),
    }
}

fn clusters_sql(function: &str, clusters: &str, id: &str) -> String {
    let [function, relation, name] = [function, clusters, id].map(literal);
    // Selected first, so that it is bound first: a missing column is then our error, not DuckDB's.
    format!(
        "SELECT density_peaks_check_clusters({function}, {relation}, {name}, struct_pack(*COLUMNS(*))) AS checked, \
         {} AS point, parent_id AS parent, cluster_id, delta::DOUBLE AS delta, density::DOUBLE AS density \
         FROM query_table({relation})",
        identifier(id)
    )
}

/// `density_peaks_check_clusters(function, clusters, id, row)`: true, once it is bound.
fn check_clusters(context: &Context, arguments: &BindArguments<'_>) -> Result<()> {
    let text = |at: usize| {
        let value = arguments.value(at)?.map(|value| value.get::<String>()).transpose()?.flatten();
        value.ok_or_else(by_hand)
    };
    text(0)?;
    let mut reads = StoredClusters::reads(&text(2)?);
    reads.fields.push(Field::Number { column: "density", null: Null::Is(f64::NAN) });
    let relation = Relation { function: NAME, argument: CLUSTERS.name, name: text(1)?, reads };
    bound::check(&relation, context, arguments, 3).map(|_| ())
}

pub fn register(extension: &Extension) -> Result<()> {
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<String>("function"))
        .param(FunctionParameter::new::<Any>("clusters"))
        .param(FunctionParameter::new::<Any>("id"))
        .return_type(String::logical_type(extension)?)
        .documentation(internal("The SQL that reads a stored clustering."));
    ScalarFunctionBuilder::new("density_peaks_clusters", signature, TextOf(clusters))
        .set_property(FunctionProperty::HasSpecialNullHandling(true))
        .set_property(FunctionProperty::Stability(FunctionPropertyStability::ConsistentWithinQuery))
        .register(extension)?;
    let signature = SignatureBuilder::new()
        .param(FunctionParameter::new::<String>("function"))
        .param(FunctionParameter::new::<String>("clusters"))
        .param(FunctionParameter::new::<String>("id"))
        .param(FunctionParameter::new::<Any>("row"))
        .return_type(bool::logical_type(extension)?)
        .documentation(internal("Check the columns of a stored clustering."));
    ScalarFunctionBuilder::new("density_peaks_check_clusters", signature, CheckAtBind(check_clusters))
        .set_property(FunctionProperty::HasSpecialNullHandling(true))
        .with_bind()
        .register(extension)?;
    MacroFunctionBuilder::new(NAME, DOCS.signature(extension)?, MacroBody::Table(BODY.into())).register(extension)
}

"""A stage is a relation like any other: each query over it equals the same query over a table of its rows."""

import duckdb
import pytest
from conftest import connect, create_points

POINTS = 800

# {c} is the relation, {id} its first column and {value} its second. `meta`, `tiny` and `none` have every such column.
SHAPES = {
    "aggregate": "SELECT count(*), sum({id}), sum({value}) FROM {c}",
    "all columns": "FROM {c}",
    "columns in other order": "SELECT {value}, {id} FROM {c}",
    "self-join": "SELECT count(*) FROM {c} a JOIN {c} b USING ({id})",
    "self-join of three": "SELECT count(*) FROM {c} a JOIN {c} b USING ({id}) JOIN {c} d USING ({id})",
    "self-join on two columns": """
        SELECT count(*), sum(b.{value}) FROM {c} a JOIN {c} b ON a.{id} = b.{id} AND a.{value} = b.{value}
        WHERE a.{id} < 100""",
    "self-join on another column": "SELECT count(*) FROM {c} a JOIN {c} b ON a.{id} = b.{value}",
    "probe side": "SELECT count(*) FROM {c} JOIN meta USING ({id}) WHERE g = 3",
    "build side": "SELECT count(*) FROM meta JOIN {c} USING ({id}) WHERE g = 3",
    "between two joins": """
        SELECT g, count(*), sum(c.{value}) FROM meta m JOIN {c} c ON m.{id} = c.{id} JOIN gold go ON go.{id} = c.{id}
        GROUP BY g""",
    "join with one row": "SELECT count(*) FROM tiny JOIN {c} USING ({id}) JOIN meta USING ({id})",
    "comma join": "SELECT count(*) FROM meta, tiny, {c} c WHERE c.{id} = meta.{id} AND meta.{id} = tiny.{id}",
    "join with no rows": "SELECT count(*) FROM none JOIN {c} USING ({id})",
    "cross product": "SELECT count(*), sum(c.{id}) FROM {c} c, tiny",
    "inequality join": "SELECT count(*) FROM {c} c, tiny WHERE c.{id} < tiny.{id}",
    "range join": "SELECT count(*) FROM {c} c JOIN tiny t ON c.{id} BETWEEN t.{id} - 3 AND t.{id} + 3",
    "natural join": "SELECT count(*) FROM {c} NATURAL JOIN gold",
    "IN": "SELECT count(*) FROM meta WHERE {id} IN (SELECT {id} FROM {c} WHERE {value} = 1)",
    "NOT IN": "SELECT count(*) FROM meta WHERE {id} NOT IN (SELECT {value} FROM {c})",
    "EXISTS": "SELECT count(*) FROM meta WHERE EXISTS (SELECT 1 FROM {c} c WHERE c.{id} = meta.{id} AND c.{value} > 9)",
    "NOT EXISTS": "SELECT count(*) FROM meta WHERE NOT EXISTS (SELECT 1 FROM {c} c WHERE c.{value} = meta.{id})",
    "left join": "SELECT count(*) FROM meta LEFT JOIN {c} c USING ({id}) WHERE c.{value} IS NOT NULL",
    "right join": "SELECT count(*) FROM {c} c RIGHT JOIN tiny USING ({id})",
    "full join": "SELECT count(*) FROM {c} c FULL JOIN tiny USING ({id})",
    "semi join": "SELECT sum(a.{value}) FROM {c} a SEMI JOIN tiny USING ({id})",
    "anti join": "SELECT sum(a.{value}) FROM {c} a ANTI JOIN tiny USING ({id})",
    "semi join with it": "SELECT count(*) FROM meta SEMI JOIN {c} USING ({id})",
    "positional join": "SELECT count(*) FROM {c} POSITIONAL JOIN {c} b",
    "asof join": "SELECT count(*) FROM {c} a ASOF JOIN gold b ON a.{id} >= b.{id}",
    "asof join with it": "SELECT count(*) FROM meta a ASOF JOIN {c} b ON a.{id} >= b.{id}",
    "lateral": """
        SELECT count(*) FROM meta m JOIN LATERAL (SELECT * FROM {c} c WHERE c.{id} = m.{id}) ON true
        WHERE m.{id} < 5""",
    "lateral over it": "SELECT count(*), sum(n) FROM {c} c, LATERAL (SELECT c.{value} + 1 AS n)",
    "correlated scalar": """
        SELECT {id}, (SELECT max({value}) FROM {c} c WHERE c.{id} = meta.{id}) FROM meta WHERE {id} < 9""",
    "correlated over it": "SELECT sum((SELECT count(*) FROM meta WHERE meta.{id} = c.{value})) FROM {c} c",
    "uncorrelated scalar": "SELECT (SELECT count(*) FROM {c}) + (SELECT max({value}) FROM {c})",
    "CTE used twice": "WITH x AS (FROM {c}) SELECT count(*) FROM x a JOIN x b USING ({id}) JOIN meta USING ({id})",
    "CTE inlined": "WITH x AS NOT MATERIALIZED (FROM {c}) SELECT count(*) FROM x a, x b WHERE a.{id} = b.{id} + 1",
    "CTE materialized": "WITH x AS MATERIALIZED (FROM {c}) SELECT count(*) FROM x a, x b WHERE a.{id} = b.{id} + 1",
    "CTE unused": "WITH x AS (FROM {c}) SELECT count(*) FROM tiny",
    "recursive CTE": """
        WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t, (FROM {c} WHERE {id} = 3) WHERE n < 3)
        SELECT count(*), max(n) FROM t""",
    "recursive CTE from it": """
        WITH RECURSIVE t AS (SELECT {id} AS n FROM {c} WHERE {id} < 3 UNION SELECT n + 1 FROM t WHERE n < 9)
        SELECT count(*), sum(n) FROM t""",
    "recursive CTE joins it": """
        WITH RECURSIVE t AS (SELECT 5::BIGINT AS n UNION SELECT c.{value} FROM t JOIN {c} c ON c.{id} = t.n)
        SELECT count(*), sum(n) FROM t""",
    "UNION ALL": "SELECT count(*), sum({id}) FROM (FROM {c} UNION ALL FROM {c})",
    "UNION": "SELECT count(*), sum({id}) FROM (FROM {c} UNION FROM {c})",
    "UNION BY NAME": "SELECT count(*) FROM (FROM {c} UNION ALL BY NAME FROM meta)",
    "INTERSECT": "SELECT count(*) FROM (FROM {c} INTERSECT FROM {c})",
    "EXCEPT": "SELECT count(*) FROM (FROM {c} EXCEPT FROM gold)",
    "table EXCEPT it": "SELECT count(*) FROM (FROM gold EXCEPT ALL FROM {c})",
    "GROUP BY": "SELECT {value}, count(*) FROM {c} GROUP BY ALL ORDER BY ALL LIMIT 5",
    "HAVING": "SELECT {value} FROM {c} GROUP BY {value} HAVING count(*) > (SELECT avg({value}) FROM {c}) / 100",
    "DISTINCT ON": "SELECT DISTINCT ON ({value}) {value}, {id} FROM {c} ORDER BY {value}, {id}",
    "grouping sets": "SELECT {value} % 3 AS v, {id} % 2 AS i, count(*) FROM {c} GROUP BY CUBE (v, i)",
    "window": "SELECT sum(n) FROM (SELECT row_number() OVER (PARTITION BY {value} ORDER BY {id}) AS n FROM {c})",
    "QUALIFY": "SELECT {value} FROM {c} QUALIFY row_number() OVER (PARTITION BY {value} ORDER BY {id}) = 2",
    "LIMIT": "SELECT count(*) FROM (FROM {c} LIMIT 10)",
    "LIMIT 0": "FROM {c} LIMIT 0",
    "LIMIT and OFFSET": "SELECT count(*) FROM (FROM {c} LIMIT 10 OFFSET 795)",
    "ORDER BY and LIMIT": "SELECT {id}, {value} FROM {c} ORDER BY {id} DESC, {value} LIMIT 2",
    "WHERE false": "SELECT count(*) FROM {c} WHERE false",
    "WHERE on the id": "FROM {c} WHERE {id} IN (3, 5, 7, 799)",
    "WHERE on an expression": "SELECT count(*) FROM {c} WHERE {id} % 7 = 2 OR {value} < 9",
    "sample": "SELECT count(*) FROM {c} USING SAMPLE 100 ROWS",
    "CASE": "SELECT CASE WHEN EXISTS (FROM {c} WHERE {value} < 0) THEN 1 ELSE (SELECT min({id}) FROM {c}) END",
    "macro's result in a list": "SELECT len(list({id})), list_sum(list({value})) FROM {c}",
    "pivot": """
        SELECT * FROM (
            PIVOT (SELECT {id} % 3 AS a, {value} % 2 AS b FROM {c}) ON b IN (0, 1) USING count(*) GROUP BY a)""",
    "VALUES": "SELECT * FROM (VALUES (1, (SELECT count(*) FROM {c})), (2, (SELECT max({id}) FROM {c})))",
}
NESTED = "transition_matrix(knn_graph('faces', k := 5))"
SOURCES = {
    "cluster_embeddings": ("cluster_embeddings('faces', k := 5)", "id", "cluster_id"),
    "knn_graph": ("knn_graph('faces', k := 4)", "src", "dst"),
    "cluster_summary": ("cluster_summary('clusters', 'faces')", "cluster_id", "size"),
    "explain_pair": ("explain_pair('clusters', 2, 700)", "step", "cluster_id"),
    "nested dpc_cluster": (f"dpc_cluster(ndde({NESTED}), tpdi({NESTED}))", "id", "cluster_id"),
}
SETTINGS = {
    "one thread": "SET threads = 1",
    "one thread, unordered": "SET threads = 1; SET preserve_insertion_order = false",
    "two threads": "SET threads = 2",
    "two threads, unordered": "SET threads = 2; SET preserve_insertion_order = false",
    "no optimizer": "SET threads = 2; PRAGMA disable_optimizer",
    "no join order": "SET threads = 2; SET disabled_optimizers = 'join_order,build_side_probe_side'",
    "no pushdown": "SET threads = 2; SET disabled_optimizers = 'filter_pushdown,filter_pullup,limit_pushdown'",
    "no columns removed": "SET threads = 2; SET disabled_optimizers = 'unused_columns,statistics_propagation'",
    "no common parts": "SET threads = 2; SET disabled_optimizers = 'common_subplan,common_subexpressions,cte_inlining'",
}

# All stages under each setting that a user may have, and one under those that only forbid a plan.
COMBINATIONS = {
    name: SOURCES if "thread" in name else ["nested dpc_cluster", "explain_pair"] for name in SETTINGS
}


@pytest.fixture(scope="module")
def databases():
    opened = {}
    for name, settings in SETTINGS.items():
        con = opened[name] = connect()
        con.execute(settings)
        create_points(con, points=POINTS)
        con.execute(f"""
            CREATE TABLE meta AS SELECT i AS id, i AS src, i % 10 AS g, i % 7 AS cluster_id, i % 7 AS dst, i AS step, i % 7 AS size
            FROM range({POINTS}) t(i);
            CREATE TABLE clusters AS FROM cluster_embeddings('faces', k := 5);
            CREATE TABLE tiny AS FROM meta WHERE id = 5;
            CREATE TABLE none AS FROM meta WHERE false;
        """)
    yield opened
    for con in opened.values():
        con.close()


@pytest.fixture(scope="module")
def gold(databases):
    """Each stage's rows as a plain table of the same columns."""
    return {
        name: databases["one thread"].sql(f"FROM {call}").to_arrow_table() for name, (call, _, _) in SOURCES.items()
    }


def answer(con, query):
    return sorted(map(str, con.execute(query).fetchall()))


@pytest.mark.parametrize("shape", SHAPES)
def test_query_over_a_stage_equals_the_query_over_a_table_of_its_rows(databases, gold, shape):
    wrong = []
    for source, (call, id_column, value) in SOURCES.items():
        rows = gold[source]
        for settings, con in databases.items():
            if source not in COMBINATIONS[settings]:
                continue
            con.register("gold", rows)
            expected = answer(con, SHAPES[shape].format(c="gold", id=id_column, value=value))
            try:
                found = answer(con, SHAPES[shape].format(c=call, id=id_column, value=value))
            except duckdb.Error as error:
                found = [str(error)]
            if found != expected:
                wrong.append((source, settings, found[:3], expected[:3]))
    assert not wrong


CORRELATED = {
    "ids of the outer row": (
        """SELECT o.id, (WITH f AS (SELECT id + 1000 * o.id AS id, embedding FROM faces)
                         SELECT min(id) FROM cluster_embeddings('f', k := 5)) FROM outer_rows o""",
        [(0, 0), (1, 1000), (2, 2000)],
    ),
    "in a materialized CTE": (
        """SELECT o.id, (WITH f AS MATERIALIZED (SELECT id + 1000 * o.id AS id, embedding FROM faces)
                         SELECT min(id) FROM cluster_embeddings('f', k := 5)) FROM outer_rows o""",
        [(0, 0), (1, 1000), (2, 2000)],
    ),
    "rows of the outer row": (
        """SELECT o.id, (WITH f AS (SELECT id, embedding FROM faces WHERE id % 3 = o.id)
                         SELECT min(id) FROM cluster_embeddings('f', k := 5)) FROM outer_rows o""",
        [(0, 0), (1, 1), (2, 2)],
    ),
    "lateral": (
        """SELECT o.id, x.n FROM outer_rows o, LATERAL (
               WITH f AS (SELECT id + 1000 * o.id AS id, embedding FROM faces)
               SELECT max(id) AS n FROM cluster_embeddings('f', k := 5)) x""",
        [(0, 299), (1, 1299), (2, 2299)],
    ),
}


@pytest.mark.parametrize("query", CORRELATED)
@pytest.mark.parametrize("threads", [1, 2])
def test_relation_that_depends_on_an_outer_row_is_run_for_each_or_refused(faces, query, threads):
    faces.execute(f"SET threads = {threads}; CREATE TABLE outer_rows AS SELECT range AS id FROM range(3)")
    text, expected = CORRELATED[query]
    try:
        found = faces.execute(text).fetchall()
    except duckdb.Error as error:
        assert "defect" not in str(error)
    else:
        assert sorted(found) == expected


def test_recursive_query_may_cluster_its_own_working_table(faces):
    """Peaks of peaks, until they stay the same number: coarser and coarser clusters."""
    levels = faces.execute("""
        WITH RECURSIVE t AS (
            SELECT id, embedding, 0 AS level FROM faces UNION ALL
            SELECT id, embedding, level + 1 FROM t JOIN cluster_embeddings('t', k := 5) USING (id)
            WHERE is_peak AND level < 2)
        SELECT level, count(*) FROM t GROUP BY level ORDER BY level
    """).fetchall()
    peaks = "SELECT f.* FROM {} f JOIN cluster_embeddings('{}', k := 5) c USING (id) WHERE is_peak"
    expected, relation = [(0, 300)], "faces"
    for level in (1, 2):
        faces.execute("CREATE OR REPLACE TABLE t AS " + peaks.format(relation, relation))
        expected.append((level, *faces.execute("SELECT count(*) FROM t").fetchone()))
        relation = "t"
    assert levels == expected


def test_edges_of_several_batches_are_all_there_and_in_order(con):
    create_points(con, points=3000, dim=4)
    con.execute("SET threads = 2; CREATE TABLE g AS FROM knn_graph('faces', k := 100)")
    assert con.execute("SELECT count(*), count(DISTINCT (src, dst)), max(rank) FROM g").fetchone() == (
        300_000,
        300_000,
        100,
    )
    assert (
        con.execute(
            "SELECT count(*) FROM g a JOIN knn_graph('faces', k := 100) b USING (src, dst, rank, distance)"
        ).fetchone()[0]
        == 300_000
    )
    places = con.execute("SELECT (src * 100 + rank - 1) AS place FROM g").fetchnumpy()["place"]
    assert (places == range(300_000)).all()


COUNT = "SELECT count(*) FROM cluster_embeddings('faces', k := 5)"


def test_prepared_statement_sees_the_rows_of_each_execution(faces):
    faces.execute(f"PREPARE clusters AS {COUNT}")
    faces.execute("PREPARE near AS SELECT count(*) FROM knn_graph('faces', k := 2) WHERE rank <= $1")
    assert faces.execute("EXECUTE clusters").fetchone() == (300,)
    assert faces.execute("EXECUTE near(1)").fetchone() == (300,)
    faces.execute("DELETE FROM faces WHERE id >= 100")
    assert faces.execute("EXECUTE clusters").fetchone() == (100,)
    assert faces.execute("EXECUTE near(2)").fetchone() == (200,)
    faces.execute("INSERT INTO faces SELECT id + 1000, embedding FROM faces")
    assert faces.execute("EXECUTE clusters").fetchone() == (200,)
    faces.execute("DELETE FROM faces")
    assert faces.execute("EXECUTE clusters").fetchone() == (0,)


def test_prepared_statement_sees_a_column_of_another_type(faces):
    faces.execute("PREPARE ids AS SELECT any_value(typeof(id)), count(*) FROM cluster_embeddings('faces', k := 5)")
    assert faces.execute("EXECUTE ids").fetchone() == ("BIGINT", 300)
    faces.execute("CREATE OR REPLACE TABLE faces AS SELECT 'p' || id AS id, embedding FROM faces")
    assert faces.execute("EXECUTE ids").fetchone() == ("VARCHAR", 300)


def test_parameters_of_a_prepared_statement_may_be_arguments(faces):
    query = "SELECT count(*) FROM knn_graph('faces', k := $k)"
    assert faces.execute(query, {"k": 2}).fetchone() == (600,)
    assert faces.execute(query, {"k": 3}).fetchone() == (900,)
    assert faces.execute("SELECT count(*) FROM knn_graph(?, k := 4)", ["faces"]).fetchone() == (1200,)


def test_parameters_of_a_prepared_statement_may_choose_the_rows_of_a_cte(faces):
    faces.execute("PREPARE few AS WITH f AS (FROM faces WHERE id < $1) SELECT count(*) FROM cluster_embeddings('f')")
    assert [faces.execute(f"EXECUTE few({n})").fetchone() for n in (10, 250, 20)] == [(10,), (250,), (20,)]


def test_prepared_statement_works_again_after_an_error(faces):
    faces.execute(f"PREPARE clusters AS {COUNT}")
    faces.execute("INSERT INTO faces SELECT id, embedding FROM faces WHERE id = 7")
    with pytest.raises(duckdb.InvalidInputException, match="id 7 occurs more than once"):
        faces.execute("EXECUTE clusters").fetchall()
    faces.execute("DELETE FROM faces WHERE id = 7")
    assert faces.execute("EXECUTE clusters").fetchone() == (299,)
    assert faces.execute("EXECUTE clusters").fetchone() == (299,)


def test_prepared_statement_works_again_after_its_result_was_left_unread(faces):
    faces.execute("PREPARE edges AS FROM knn_graph('faces', k := 200)")
    for _ in range(3):
        assert faces.execute("EXECUTE edges").fetchone()[:1] == (0,)
    assert len(faces.execute("EXECUTE edges").fetchall()) == 60_000


def test_relation_object_sees_the_rows_of_each_execution(faces):
    relation = faces.sql("SELECT id, cluster_id FROM cluster_embeddings('faces', k := 5)")
    assert relation.count("*").fetchall() == [(300,)]
    assert relation.join(relation.set_alias("other"), "id").count("*").fetchall() == [(300,)]
    faces.execute("DELETE FROM faces WHERE id >= 100")
    assert relation.filter("id >= 50").count("*").fetchall() == [(50,)]


def test_views_and_macros_over_a_stage_follow_the_data(faces):
    faces.execute("""
        CREATE VIEW clusters AS FROM cluster_embeddings('faces', k := 5);
        CREATE VIEW sizes AS SELECT cluster_id, count(*) AS n FROM clusters GROUP BY cluster_id;
        CREATE MACRO sizes_of(relation, k) AS TABLE
            SELECT cluster_id, count(*) AS n FROM cluster_embeddings(relation, k := k) GROUP BY cluster_id
    """)
    for left in (300, 120):
        faces.execute("DELETE FROM faces WHERE id >= $1", [left])
        assert faces.execute("SELECT sum(n) FROM sizes").fetchone() == (left,)
        assert faces.execute("SELECT sum(n) FROM sizes_of('faces', 5)").fetchone() == (left,)
        assert faces.execute("SELECT count(*) FROM clusters a JOIN clusters b USING (id)").fetchone() == (left,)
        assert not faces.execute("FROM sizes EXCEPT FROM sizes_of('faces', 5)").fetchall()


def test_tables_and_files_written_from_a_stage_hold_its_rows(faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faces.execute("""
        CREATE TABLE written AS FROM knn_graph('faces', k := 5);
        CREATE TABLE inserted(src BIGINT, dst BIGINT, rank INTEGER, distance FLOAT);
        INSERT INTO inserted FROM knn_graph('faces', k := 5);
        COPY (FROM knn_graph('faces', k := 5)) TO 'g.parquet';
        COPY (FROM knn_graph('faces', k := 5)) TO 'g.csv'
    """)
    rows = faces.execute("FROM knn_graph('faces', k := 5)").fetchall()
    assert len(rows) == 1500
    for copy in ("written", "inserted", "'g.parquet'", "'g.csv'"):
        assert faces.execute(f"SELECT src, dst, rank, distance::FLOAT FROM {copy}").fetchall() == rows, copy


def test_stage_updates_deletes_and_merges_into_the_table_it_reads(faces):
    faces.execute("""
        ALTER TABLE faces ADD COLUMN cluster BIGINT;
        UPDATE faces SET cluster = c.cluster_id FROM cluster_embeddings('faces', k := 5) c WHERE c.id = faces.id
    """)
    joined = "faces f JOIN cluster_embeddings('faces', k := 5) c USING (id)"
    assert faces.execute(f"SELECT count(*) FROM {joined} WHERE f.cluster = c.cluster_id").fetchone() == (300,)
    peaks = faces.execute("SELECT count(*) FROM cluster_embeddings('faces', k := 5) WHERE is_peak").fetchone()[0]
    faces.execute("DELETE FROM faces USING cluster_embeddings('faces', k := 5) c WHERE c.id = faces.id AND NOT is_peak")
    assert faces.execute("SELECT count(*), count(DISTINCT cluster) FROM faces").fetchone() == (peaks, peaks)
    faces.execute("""
        MERGE INTO faces USING cluster_embeddings('faces', k := 5) c USING (id)
        WHEN MATCHED THEN UPDATE SET cluster = -c.cluster_id
    """)
    assert faces.execute("SELECT count(*) FILTER (cluster > 0) FROM faces").fetchone() == (0,)


def test_explain_runs_nothing_and_explain_analyze_runs_all(faces):
    faces.execute(
        "CREATE SEQUENCE reads; CREATE VIEW counted AS SELECT id + 0 * nextval('reads') AS id, embedding FROM faces"
    )
    query = "SELECT cluster_id, count(*) FROM cluster_embeddings('counted', k := 5) GROUP BY ALL"
    assert "density_peaks_sink" in faces.execute(f"EXPLAIN {query}").fetchone()[1]
    faces.execute("SELECT nextval('reads')")
    assert faces.execute("SELECT currval('reads')").fetchone() == (1,)
    assert "density_peaks_sink" in faces.execute(f"EXPLAIN ANALYZE {query}").fetchone()[1]
    assert faces.execute("SELECT currval('reads')").fetchone() == (301,)
    assert faces.execute("SELECT density_peaks_slots()").fetchone() == (0,)


def test_each_relation_is_read_once_even_by_several_stages(faces):
    faces.execute(
        "CREATE SEQUENCE reads; CREATE VIEW counted AS SELECT id + 0 * nextval('reads') AS id, embedding FROM faces"
    )
    nested = "transition_matrix(knn_graph('counted', k := 5))"
    assert len(faces.execute(f"FROM dpc_cluster(ndde({nested}), tpdi({nested}))").fetchall()) == 300
    assert faces.execute("SELECT currval('reads')").fetchone() == (300,)


def test_uncommitted_rows_are_seen_by_their_own_transaction_only(faces):
    other = faces.cursor()
    faces.execute("BEGIN; DELETE FROM faces WHERE id >= 100; CREATE TABLE mine AS FROM faces WHERE id < 10")
    assert faces.execute(COUNT).fetchone() == (100,)
    assert faces.execute("SELECT count(*) FROM cluster_embeddings('mine')").fetchone() == (10,)
    assert other.execute(COUNT).fetchone() == (300,)
    with pytest.raises(duckdb.CatalogException, match="mine"):
        other.execute("FROM cluster_embeddings('mine')")
    faces.execute("CREATE TABLE clusters AS FROM cluster_embeddings('faces'); ROLLBACK")
    assert faces.execute(COUNT).fetchone() == (300,)
    with pytest.raises(duckdb.CatalogException, match="clusters"):
        faces.execute("FROM clusters")


def test_failed_stage_leaves_the_transaction_as_duckdb_does(faces):
    faces.execute("BEGIN; CREATE TABLE kept AS SELECT 1 AS i")
    with pytest.raises(duckdb.BinderException, match="embedding"):
        faces.execute("FROM cluster_embeddings('kept', id := 'i')")
    faces.execute("ROLLBACK")
    assert faces.execute(COUNT).fetchone() == (300,)


def test_stages_of_one_statement_may_read_each_others_tables(faces):
    found = faces.execute("""
        WITH g AS (FROM knn_graph('faces', k := 5)), p AS (FROM transition_matrix('g')),
             r AS (FROM ndde('p')), d AS (FROM tpdi('p'))
        FROM dpc_cluster('r', 'd')
    """)
    one_call = "FROM cluster_embeddings('faces', k := 5, sigma := 0.1, tau := 0.7)"
    assert found.fetchall() == faces.execute(one_call).fetchall()

"""Ids of any type come back unchanged, in DuckDB's order of the type, from every stage."""

import random

import duckdb
import pytest
from conftest import arrow_points, blobs, connect

POINTS = 40

INFINITIES = ["'-infinity'", "'infinity'"]


def seconds(end):
    return [f"'2024-01-01 00:00:{second}{end}'" for second in range(10, 30)]


# Name -> the type, and distinct ids as SQL, first those at the type's ends. Fewer than POINTS is fine.
IDS = {
    "BOOLEAN": ("BOOLEAN", ["false", "true"]),
    "TINYINT": ("TINYINT", ["-128", "127", *map(str, range(-19, 19))]),
    "SMALLINT": ("SMALLINT", ["-32768", "32767", *map(str, range(-19, 19))]),
    "INTEGER": ("INTEGER", ["-2147483648", "2147483647", *map(str, range(-19, 19))]),
    "BIGINT": ("BIGINT", ["-9223372036854775808", "9223372036854775807", *map(str, range(-19, 19))]),
    "HUGEINT": (
        "HUGEINT",
        [
            "-170141183460469231731687303715884105728", "170141183460469231731687303715884105727",
            "-9223372036854775809", "18446744073709551615", "18446744073709551616", "-18446744073709551616",
            *map(str, range(-16, 16)),
        ],
    ),
    "UTINYINT": ("UTINYINT", ["0", "255", "127", "128", *map(str, range(1, 30))]),
    "USMALLINT": ("USMALLINT", ["0", "65535", "32767", "32768", *map(str, range(1, 30))]),
    "UINTEGER": ("UINTEGER", ["0", "4294967295", "2147483648", *map(str, range(1, 30))]),
    "UBIGINT": ("UBIGINT", ["0", "18446744073709551615", "9223372036854775808", *map(str, range(1, 30))]),
    "UHUGEINT": (
        "UHUGEINT",
        [
            "0", "340282366920938463463374607431768211455", "170141183460469231731687303715884105728",
            "18446744073709551615", "18446744073709551616", *map(str, range(1, 30)),
        ],
    ),
    "FLOAT": ("FLOAT", ["'-inf'", "'inf'", "'nan'", "0.0", "'1e-45'", "'-3.4e38'", *[f"{i}.5" for i in range(-9, 9)]]),
    "DOUBLE": (
        "DOUBLE",
        ["'-inf'", "'inf'", "'nan'", "0.0", "'5e-324'", "'-1.7e308'", *[f"{i}.1" for i in range(-9, 9)]],
    ),
    "DECIMAL(4, 1)": ("DECIMAL(4, 1)", ["-999.9", "999.9", "0.0", *[f"{i}.5" for i in range(-9, 9)]]),
    "DECIMAL(9, 4)": ("DECIMAL(9, 4)", ["-99999.9999", "99999.9999", *[f"{i}.5" for i in range(-9, 9)]]),
    "DECIMAL(18, 3)": ("DECIMAL(18, 3)", ["-999999999999999.999", "0.001", *[f"{i}.5" for i in range(-9, 9)]]),
    "DECIMAL(38, 2)": ("DECIMAL(38, 2)", [f"-{'9' * 36}.99", f"{'9' * 36}.99", *[f"{i}.5" for i in range(-9, 9)]]),
    "UUID": (
        "UUID",
        [
            "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "'80000000-0000-0000-0000-000000000000'", "'7fffffff-ffff-ffff-ffff-ffffffffffff'",
            *[f"'{i:08x}-0000-4000-8000-{99 - i:012x}'" for i in range(0, 30)],
        ],
    ),
    "VARCHAR": (
        "VARCHAR",
        [
            "''", "' '", "'a'", "'A'", "'Ä'", "'ä'", "'\u00e9'", "'e\u0301'", "'日本'", "'😀'", "'\uffff'", "'a''b'",
            "'a\"b'", "'a' || chr(0)", "'a' || chr(0) || 'b'", "chr(0)", "chr(10)", "repeat('x', 5000)",
            "repeat('x', 5000) || 'y'",
            "'exactly12byt'", "'exactly13byte'", "'10'", "'9'", "'null'", "'density_peaks'",
        ],
    ),
    "BLOB": (
        "BLOB",
        ["''", r"'\x00'", r"'\x00\x00'", r"'\xFF'", r"'\x80abc'", "'abc'", "'abcd'", "'abcdefghijklmnopqrst'"],
    ),
    "BIT": ("BIT", ["'0'", "'1'", "'00'", "'01'", "'10'", "'0000000000000000000001'", "'1' || repeat('0', 99)"]),
    "DATE": (
        "DATE",
        ["'-infinity'", "'infinity'", "'0044-03-15 (BC)'", "'9999-12-31'", *[f"'2024-02-{d}'" for d in range(10, 30)]],
    ),
    "TIME": (
        "TIME",
        ["'00:00:00'", "'23:59:59.999999'", "'24:00:00'", *[f"'12:{i}:00.000001'" for i in range(10, 30)]],
    ),
    "TIME_NS": ("TIME_NS", ["'00:00:00'", "'23:59:59.999999999'", *[f"'12:{i}:00.000000001'" for i in range(10, 30)]]),
    "TIMETZ": (
        "TIMETZ",
        [
            "'00:00:00+15:59'", "'23:59:59.999999-15:59'", "'12:00:00+00'", "'13:00:00+01'", "'11:00:00-01'",
            "'12:00:00+05:30'",
        ],
    ),
    "TIMESTAMP": ("TIMESTAMP", [*INFINITIES, "'1969-12-31 23:59:59.999999'", *seconds("")]),
    "TIMESTAMP_S": ("TIMESTAMP_S", [*INFINITIES, "'1969-12-31 23:59:59'", *seconds("")]),
    "TIMESTAMP_MS": ("TIMESTAMP_MS", [*INFINITIES, "'1969-12-31 23:59:59.999'", *seconds(".5")]),
    "TIMESTAMP_NS": ("TIMESTAMP_NS", [*INFINITIES, "'1969-12-31 23:59:59.999999999'", *seconds(".000000001")]),
    "TIMESTAMPTZ": ("TIMESTAMPTZ", [*INFINITIES, "'1969-12-31 23:59:59.999999+00'", *seconds("+00")]),
    "INTERVAL": (
        "INTERVAL",
        [
            "'0 days'", "'1 month'", "'31 days'", "'1 day'", "'25 hours'", "'-1 day'", "'-1 month'",
            "'1 microsecond'", "'1000 years'",
        ],
    ),
    "ENUM": ("ENUM('z', 'y', 'x', 'a', 'b', 'c')", ["'a'", "'z'", "'b'", "'y'", "'c'", "'x'"]),
    "STRUCT": (
        "STRUCT(a INTEGER, b VARCHAR)",
        ["{'a': 1, 'b': 'x'}", "{'a': 1, 'b': NULL}", "{'a': NULL, 'b': NULL}", "{'a': -1, 'b': ''}"],
    ),
    "STRUCT of one byte": ("STRUCT(a TINYINT)", ["{'a': 1}", "{'a': -1}", "{'a': NULL}", "{'a': 127}"]),
    "LIST": ("INTEGER[]", ["[]", "[1]", "[1, 2]", "[NULL]", "[-1, 5]", "[1, NULL]", "[NULL, 1]", "range(100)"]),
    "LIST of VARCHAR": ("VARCHAR[]", ["[]", "['']", "['a', 'b']", "['ab']", "[NULL]", "['a']", "[repeat('q', 300)]"]),
    "ARRAY": ("INTEGER[2]", ["[1, 2]", "[2, 1]", "[-1, 5]", "[0, NULL]", "[NULL, 0]"]),
    "ARRAY of bytes": ("TINYINT[2]", ["[1, 2]", "[2, 1]", "[-1, 5]", "[0, NULL]"]),
    "MAP": (
        "MAP(VARCHAR, INTEGER)",
        ["MAP {}", "MAP {'a': 1}", "MAP {'a': 2}", "MAP {'b': 0}", "MAP {'a': 1, 'b': 0}"],
    ),
    "UNION": ("UNION(number INTEGER, word VARCHAR)", ["1", "-1", "'a'", "''", "200"]),
    "nested": (
        "STRUCT(a STRUCT(b INTEGER[], c DATE)[])",
        ["{'a': []}", "{'a': [{'b': [1], 'c': '2024-01-01'::DATE}]}", "{'a': [{'b': [], 'c': NULL}]}", "{'a': [NULL]}"],
    ),
    "BIGNUM": ("BIGNUM", ["'0'", "'-1'", "'1'", f"'{'9' * 80}'", f"'-{'9' * 80}'", "'256'", "'-256'", "'65536'"]),
    "alias": ("my_id", ["7", "-7", "0", "100", "3"]),
    "JSON": ("JSON", ["'1'", "'10'", "'9'", "'\"a\"'", "'{\"a\": 1}'", "'[]'", "'null'"]),
    "GEOMETRY": ("GEOMETRY", ["'POINT(1 2)'", "'POINT(0 0)'", "'LINESTRING(0 0, 1 1)'"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def db():
    with connect() as con:
        con.execute("CREATE TYPE my_id AS BIGINT")
        yield con


def create_keyed(con, sql_type, ids) -> None:
    """Tables `faces` with these ids in an arbitrary order of rows, `numbered` with the same points and ids from 0 in
    DuckDB's order of the type, and `keys`, which tells the number of an id."""
    try:
        con.execute(f"SELECT NULL::{sql_type}").fetchall()
    except duckdb.Error as error:
        pytest.skip(f"this DuckDB has no type {sql_type}: {str(error).splitlines()[0]}")
    ids = ids[:POINTS]
    random.Random(5).shuffle(ids)
    points = arrow_points(blobs(points=POINTS, groups=6, dim=4))
    con.register("points", points)
    values = ", ".join(f"({place}, ({value})::{sql_type})" for place, value in enumerate(ids))
    con.execute(f"""
        CREATE OR REPLACE TABLE keys AS SELECT place, key, row_number() OVER (ORDER BY key) - 1 AS number
        FROM (VALUES {values}) t(place, key);
        CREATE OR REPLACE TABLE faces AS
            SELECT key AS id, embedding FROM keys JOIN points ON number = points.id ORDER BY place;
        CREATE OR REPLACE TABLE numbered AS SELECT number AS id, embedding FROM keys JOIN points ON number = points.id
    """)
    con.unregister("points")
    assert con.execute("SELECT count(DISTINCT id) FROM faces").fetchall() == [(len(ids),)]


STAGES = {
    "knn_graph": ("knn_graph('{}', k := 3)", ["src", "dst"]),
    "transition_matrix": ("transition_matrix(knn_graph('{}', k := 3))", ["src", "dst"]),
    "ndde": ("ndde(transition_matrix(knn_graph('{}', k := 3)))", ["id"]),
    "tpdi": ("tpdi(transition_matrix(knn_graph('{}', k := 3)))", ["src", "dst"]),
    "dpc_cluster": (
        """dpc_cluster(ndde(transition_matrix(knn_graph('{}', k := 3))),
                       tpdi(transition_matrix(knn_graph('{}', k := 3))))""",
        ["id", "parent_id"],
    ),
    "cluster_embeddings": ("cluster_embeddings('{}', k := 3)", ["id", "parent_id"]),
}
CHAIN = """
    CREATE OR REPLACE TABLE g AS FROM knn_graph('{}', k := 3);
    CREATE OR REPLACE TABLE p AS FROM transition_matrix('g');
    CREATE OR REPLACE TABLE r AS FROM ndde('p');
    CREATE OR REPLACE TABLE d AS FROM tpdi('p');
    CREATE OR REPLACE TABLE c AS FROM dpc_cluster('r', 'd')
"""


def as_numbers(con, relation, columns):
    """The relation's rows in their own order, each id replaced by its place in DuckDB's order of the type."""
    replaced = ", ".join(f"(SELECT number FROM keys WHERE key = {column}) AS {column}" for column in columns)
    return con.execute(f"SELECT * REPLACE ({replaced}) FROM {relation}").fetchall()


@pytest.mark.parametrize("name", IDS)
def test_every_stage_gives_the_ids_back_in_their_type_and_order(db, name):
    sql_type, ids = IDS[name]
    create_keyed(db, sql_type, list(ids))
    ((wanted,),) = db.execute("SELECT any_value(typeof(id)) FROM faces").fetchall()
    for stage, (call, columns) in STAGES.items():
        db.execute(f"CREATE OR REPLACE TABLE result AS FROM {call.format('faces', 'faces')}")
        types = db.execute("SELECT column_name, column_type FROM (DESCRIBE result)").fetchall()
        assert {wanted} == {found for column, found in types if column in columns}, stage
        numbered = db.execute(f"FROM {call.format('numbered', 'numbered')}").fetchall()
        assert as_numbers(db, "result", columns) == numbered, stage
        assert numbered == sorted(numbered, key=lambda row: row[0]), stage


@pytest.mark.parametrize("name", IDS)
def test_table_by_table_equals_one_call_for_ids_of_any_type(db, name):
    sql_type, ids = IDS[name]
    create_keyed(db, sql_type, list(ids))
    db.execute(CHAIN.format("faces"))
    one_call = db.execute("CREATE OR REPLACE TABLE whole AS FROM cluster_embeddings('faces', k := 3, sigma := 0.1, tau := 0.7)")
    one_call = as_numbers(db, "whole", ["id", "parent_id"])
    assert as_numbers(db, "c", ["id", "parent_id"]) == one_call
    db.execute("CREATE OR REPLACE TABLE over_p AS FROM dpc_cluster(ndde('p'), tpdi('p'))")
    assert as_numbers(db, "over_p", ["id", "parent_id"]) == one_call
    for table, columns in {"g": ["src", "dst"], "p": ["src", "dst"], "d": ["src", "dst"], "r": ["id"]}.items():
        found = db.execute(f"SELECT DISTINCT typeof({columns[0]}) FROM {table}").fetchall()
        assert found == db.execute("SELECT DISTINCT typeof(id) FROM faces").fetchall(), table
        assert None not in [row[0] for row in as_numbers(db, table, columns)], table


@pytest.mark.parametrize("name", [name for name in IDS if name != "BOOLEAN"])
def test_results_join_with_the_table_they_come_from(db, name):
    sql_type, ids = IDS[name]
    create_keyed(db, sql_type, list(ids))
    (count,) = db.execute("SELECT count(*) FROM faces").fetchall()
    assert db.execute("SELECT count(*) FROM faces JOIN cluster_embeddings('faces', k := 3) USING (id)").fetchall() == [
        count
    ]


@pytest.mark.parametrize("name", IDS)
def test_duplicate_and_null_ids_of_any_type_are_refused(db, name):
    sql_type, ids = IDS[name]
    create_keyed(db, sql_type, list(ids))
    db.execute("CREATE OR REPLACE TABLE twice AS FROM faces UNION ALL (FROM faces LIMIT 1)")
    with pytest.raises(duckdb.InvalidInputException, match="occurs more than once"):
        db.execute("FROM cluster_embeddings('twice')")
    db.execute(
        f"CREATE OR REPLACE TABLE no_id AS FROM faces UNION ALL (SELECT NULL::{sql_type}, embedding FROM faces LIMIT 2)"
    )
    with pytest.raises(duckdb.InvalidInputException, match="2 rows have a NULL id"):
        db.execute("FROM cluster_embeddings('no_id')")


@pytest.mark.parametrize(
    "equal",
    [
        "0.0::FLOAT, -0.0::FLOAT",
        "0.0::DOUBLE, -0.0::DOUBLE",
        "'nan'::DOUBLE, -'nan'::DOUBLE",
        "INTERVAL '1 month', INTERVAL '30 days'",
        "'1.0'::DECIMAL(9, 1), '1.00'::DECIMAL(9, 2)",
    ],
)
def test_ids_that_duckdb_groups_as_one_are_duplicates(db, equal):
    db.execute(f"CREATE OR REPLACE TABLE same AS SELECT unnest([{equal}]) AS id, [1, 2]::FLOAT[2] AS embedding")
    assert db.execute("SELECT count(*) FROM (SELECT id FROM same GROUP BY id)").fetchall() == [(1,)]
    with pytest.raises(duckdb.InvalidInputException, match="occurs more than once"):
        db.execute("FROM cluster_embeddings('same')").fetchall()


@pytest.mark.parametrize("nested", ["[INTERVAL '1 day']", "{'at': [TIMETZ '12:00:00+01']}", "['1'::BIT]"])
def test_nested_ids_whose_order_is_not_that_of_their_sort_key_are_refused(db, nested):
    db.execute(f"CREATE OR REPLACE TABLE nested AS SELECT {nested} AS id, [1, 2]::FLOAT[2] AS embedding")
    with pytest.raises(duckdb.BinderException, match="cannot be ordered.*cast them to VARCHAR"):
        db.execute("FROM cluster_embeddings('nested')")


def test_text_ids_order_by_their_bytes_whatever_the_collation(db):
    db.execute(
        "CREATE OR REPLACE TABLE words AS SELECT unnest(['b', 'A', 'a', 'B']) AS id, [1.0, 2.0]::FLOAT[2] AS embedding"
    )
    plain = db.execute("SELECT id FROM cluster_embeddings('words')").fetchall()
    assert plain == [("A",), ("B",), ("a",), ("b",)]
    db.execute(
        "CREATE OR REPLACE TABLE nocase(id VARCHAR COLLATE NOCASE, embedding DOUBLE[]); INSERT INTO nocase FROM words"
    )
    assert sorted(db.execute("SELECT id FROM cluster_embeddings('nocase')").fetchall()) == plain


def test_many_ids_of_a_slow_type_are_not_mixed_up(db):
    """More rows than a vector has, from several threads, of types whose values are kept as they are."""
    db.execute("SET threads = 2")
    for key in (
        "{'a': i, 'b': i::VARCHAR}",
        "[i, i + 1]",
        "(i / 4)::DOUBLE",
        "to_hours(i::INTEGER)",
        "i::DECIMAL(12, 3)",
    ):
        db.execute(f"""
            CREATE OR REPLACE TABLE many AS SELECT {key} AS id, [cos(i), sin(i)] AS embedding, i FROM range(20000) t(i);
            CREATE OR REPLACE TABLE plain AS SELECT i AS id, embedding FROM many;
            CREATE OR REPLACE TABLE edges AS SELECT a.id AS src, b.id AS dst, 0.25 + (a.i % 7) / 10 AS similarity
                FROM many a JOIN many b ON b.i = (a.i * 7 + 1) % 20000 AND a.i <> b.i;
            CREATE OR REPLACE TABLE plain_edges AS
                SELECT i AS src, (i * 7 + 1) % 20000 AS dst, 0.25 + (i % 7) / 10 AS similarity
                FROM many WHERE src <> dst
        """)
        wrong = db.execute("""
            SELECT count(*) FROM ndde(transition_matrix('edges')) a JOIN many ON many.id = a.id
            JOIN ndde(transition_matrix('plain_edges')) b ON many.i = b.id WHERE a.density = b.density
        """)
        assert wrong.fetchall() == [(db.execute("SELECT count(DISTINCT src) FROM edges").fetchone()[0],)]


def test_ids_of_two_types_in_one_statement_are_an_error_that_names_both(db):
    create_keyed(db, "BIGINT", ["1", "2", "3"])
    db.execute(CHAIN.format("faces") + "; CREATE OR REPLACE TABLE r2 AS SELECT id::VARCHAR AS id, density FROM r")
    with pytest.raises(duckdb.BinderException, match="VARCHAR.*BIGINT|BIGINT.*VARCHAR"):
        db.execute("FROM dpc_cluster('r2', 'd')")


def test_ids_survive_a_restart_and_a_file(tmp_path, db):
    path = str(tmp_path / "ids.parquet")
    create_keyed(db, "UUID", list(IDS["UUID"][1]))
    db.execute(f"COPY (FROM cluster_embeddings('faces', k := 3)) TO '{path}'")
    with connect() as other:
        assert (
            other.execute(f"SELECT id FROM '{path}'").fetchall()
            == db.execute("SELECT id FROM faces ORDER BY id").fetchall()
        )

"""The sqllogictest runner itself: texts that must pass, and texts that must fail with a message that says why."""

import re
import textwrap

import pytest
import sqllogictest
from sqllogictest import Skipped, SqlLogicError, run_file


@pytest.fixture
def run(tmp_path):
    def run(text):
        path = tmp_path / "inline.test"
        path.write_text(textwrap.dedent(text).strip("\n") + "\n", encoding="utf-8")
        (tmp_path / "dir").mkdir(exist_ok=True)
        run_file(path, tmp_path / "dir")

    return run


def query(header, sql, *expected):
    return "\n".join([f"query {header}", sql, "----", *expected])


PASSES = {
    "header and comments": """
        # name: test/sql/inline.test
        # description: nothing
        # group: [density_peaks]

        # a comment
        statement ok
        CREATE TABLE t AS
        SELECT 42 AS i

        query I
        SELECT i FROM t
        ----
        42
        """,
    "one value a line": query("II", "SELECT 1, 'a' UNION ALL SELECT 2, 'b' ORDER BY 1", "1", "a", "2", "b"),
    "one row a line": query("II", "SELECT 1, 'a' UNION ALL SELECT 2, 'b' ORDER BY 1", "1\ta", "2\tb"),
    "no rows": query("II", "SELECT 1, 2 WHERE false"),
    "a query without a result section has no rows": "query I\nSELECT 1 WHERE false",
    "null, empty and booleans": query("IIII", "SELECT NULL, '', true, false", "NULL\t(empty)\ttrue\tfalse"),
    "booleans as digits": query("II", "SELECT true, false", "1\t0"),
    "floats within a percent": query("RR", "SELECT 100.0::DOUBLE, 0.1::FLOAT", "100.9\t0.1"),
    "nan and infinity": query("RR", "SELECT 'nan'::DOUBLE, '-inf'::FLOAT", "NaN\t-infinity"),
    "an integer written as a decimal": query("I", "SELECT 7", "7.0"),
    "decimals": query("I", "SELECT 1.50::DECIMAL(9,2)", "1.5"),
    "rowsort": query("II rowsort", "SELECT * FROM (VALUES (2, 'b'), (10, 'a'), (2, 'a'))", "10\ta", "2\ta", "2\tb"),
    "valuesort": query("II valuesort", "SELECT 3, 1 UNION ALL SELECT 2, 0", "0", "1", "2", "3"),
    "regex": query("II", "SELECT 'density', 'x'", "<REGEX>:d.*y\t<!REGEX>:y"),
    "regex spans lines": query("I", "SELECT 'a' || chr(10) || 'b'", "<REGEX>:a.b"),
    "hash": query("I", "SELECT * FROM range(3)", "3 values hashing to 996dc30fa92a088d53929ed16588ec72"),
    "label": """
        query I rowsort same
        SELECT * FROM range(3)
        ----

        query I rowsort same
        SELECT 2 - range FROM range(3)
        ----
        """,
    "expected errors": """
        statement error
        SELECT nothing FROM range(1)
        ----
        Binder Error: Referenced column "nothing" not found

        statement error
        SELECT error('first' || chr(10) || 'second')
        ----
        <REGEX>:.*first.*second.*

        statement error
        SELECT error('anything')
        ----

        statement maybe
        SELECT 1
        ----
        never
        """,
    "a comparison by cast or pattern, and a query after it": """
        query RII
        SELECT 1.001::DOUBLE, 'a', 7
        ----
        1.0\t<REGEX>:.\t7.0

        query R
        SELECT 1.001::DOUBLE
        ----
        1.0
        """,
    "an error after the first rows, and a statement after it": """
        statement error
        SELECT CASE WHEN range = 900000 THEN error('late') END FROM range(1000000)
        ----
        late

        query I
        SELECT 1
        ----
        1
        """,
    "what is no relation": """
        statement ok
        CREATE TABLE t (i INTEGER)

        query I
        INSERT INTO t VALUES (1), (2)
        ----
        2

        query IIIIII
        PRAGMA table_info('t')
        ----
        0\ti\tINTEGER\tfalse\tNULL\tfalse

        query I
        SHOW TABLES
        ----
        t

        query II
        EXPLAIN SELECT i FROM t
        ----
        physical_plan\t<REGEX>:.*Seq Scan.*

        query I
        SET threads = 1
        ----
        """,
    "loops": """
        loop i 0 3

        foreach name,type a,INTEGER b,VARCHAR

        statement ok
        CREATE TABLE t_${i}_${name} AS SELECT ${i}::${type} AS ${name}

        query I
        SELECT ${name} FROM t_${i}_${name}
        ----
        ${i}

        endloop

        endloop

        query I
        SELECT count(*) FROM duckdb_tables()
        ----
        6
        """,
    "a file that is loaded, restarted and read only": """
        load __TEST_DIR__/file.db

        statement ok
        CREATE TABLE t AS SELECT 1

        restart

        query I
        FROM t
        ----
        1

        load __TEST_DIR__/file.db readonly

        statement error
        INSERT INTO t VALUES (2)
        ----
        read-only mode

        load __TEST_DIR__/file.db

        statement error
        FROM t
        ----
        Table with name t does not exist
        """,
    "connections have transactions of their own": """
        statement ok one
        BEGIN

        statement ok one
        CREATE TABLE t AS SELECT 1

        statement error two
        FROM t
        ----
        does not exist

        query I one
        FROM t
        ----
        1

        statement ok
        CREATE TEMP TABLE mine (i INTEGER)

        reconnect

        statement error
        FROM mine
        ----
        does not exist
        """,
    "mode skip": """
        mode skip

        query I
        SELECT 1
        ----
        2

        mode unskip
        """,
    "halt": """
        halt

        this is never read
        """,
    "test directory": """
        statement ok
        COPY (SELECT 1 AS i) TO '__TEST_DIR__/t.csv'

        query II
        SELECT i, '__TEST_DIR__' FROM '{TEST_DIR}/t.csv'
        ----
        1\t__TEST_DIR__
        """,
    "known requirements": "require parquet\n\nrequire json\n\nrequire core_functions\n\nrequire notwindows",
}

FAILS = {
    "a wrong value": (query("II", "SELECT 1, 'a'", "1\tb"), r":1: row 1, column 2 \('a'\): expected b, got a"),
    "a wrong number": (query("I", "SELECT 7", "8"), "expected 8, got 7"),
    "a float off by two percent": (query("R", "SELECT 100::DOUBLE", "102.1"), "expected 102.1, got 100.0"),
    "text is not compared as a number": (query("I", "SELECT '1.0'", "1"), "expected 1, got 1.0"),
    "a wrong boolean": (query("I", "SELECT true", "false"), "expected false, got 1"),
    "null for a value": (query("I", "SELECT NULL::INTEGER", "0"), "expected 0, got NULL"),
    "a value for null": (query("I", "SELECT 0", "NULL"), "expected NULL, got 0"),
    "an empty text for null": (query("I", "SELECT ''", "NULL"), r"expected NULL, got \(empty\)"),
    "too few rows": (query("I", "SELECT 1", "1", "2"), "expected 2 rows, got 1"),
    "too many rows": (query("II", "SELECT 1, 2 UNION ALL SELECT 1, 2", "1\t2"), "expected 1 rows, got 2"),
    "rows where none are expected": (query("I", "SELECT 1"), "expected 0 rows, got 1"),
    "no result section": ("query I\nSELECT 1", "expected 0 rows, got 1"),
    "too few columns": (query("I", "SELECT 1, 2", "1\t2"), "expected 1 columns, got 2"),
    "values that fill no row": (query("II", "SELECT 1, 2", "1", "2", "3"), "do not fill rows of 2 columns"),
    "a row with a missing tab": (query("II", "SELECT 1, 2", "1 2"), "row 1 .* 2 columns separated by tabs"),
    "rows in another order": (query("I", "SELECT * FROM range(2) ORDER BY 1", "1", "0"), "row 1"),
    "expected rows are not sorted": (query("I rowsort", "SELECT * FROM range(2)", "1", "0"), "row 1"),
    "a regex that matches only a part": (query("I", "SELECT 'abc'", "<REGEX>:b"), "got abc"),
    "a regex that should not match": (query("I", "SELECT 'abc'", "<!REGEX>:.*b.*"), "got abc"),
    "a regex that is none": (query("I", "SELECT 'abc'", "<REGEX>:("), "is not valid"),
    "a wrong hash": (query("I", "SELECT 1", "1 values hashing to " + "0" * 32), "wrong hash"),
    "a wrong count of hashed values": (
        query("I", "SELECT * FROM range(3)", "4 values hashing to 996dc30fa92a088d53929ed16588ec72"),
        "wrong hash",
    ),
    "two results under one label": (
        query("I nosort same", "SELECT 1") + "\n\n" + query("I nosort same", "SELECT 2"),
        ":5: not the result of the first query with label same",
    ),
    "rows under a label": (query("I nosort same", "SELECT 1", "1"), "cannot list rows"),
    "a query that fails": (query("I", "SELECT nothing", "1"), "the query failed(.|\n)*Binder Error"),
    "two statements in a query": (query("I", "SELECT 1; SELECT 2", "2"), "a query is one statement"),
    "a statement that fails": ("statement ok\nSELECT error('no')", "the statement failed(.|\n)*SELECT error(.|\n)*no"),
    "a late error": (
        "statement ok\nSELECT CASE WHEN range = 900000 THEN error('late') END FROM range(1000000)",
        "the statement failed(.|\n)*late",
    ),
    "a statement that should fail": ("statement error\nSELECT 1\n----\nno", "passed where it should fail"),
    "another error": (
        "statement error\nSELECT error('no')\n----\nyes",
        "another error message(.|\n)*expected:\n    yes\nactual:\n    Invalid Input Error: no",
    ),
    "another error than maybe": ("statement maybe\nSELECT error('no')\n----\nyes", "another error message"),
    "a regex without the newline at the end of an error": (
        "statement error\nSELECT error('no')\n----\n<REGEX>:.*no",
        "another error message",
    ),
    "an error that the regex does not match": (
        "statement error\nSELECT error('no')\n----\n<REGEX>:no",
        "another error message",
    ),
    "an internal error": ("statement error\nSELECT error('INTERNAL')\n----\nINTERNAL", "an internal error"),
    "an error without a message": ("statement error\nSELECT error('no')", "need ---- and the expected message"),
    "a message for statement ok": ("statement ok\nSELECT 1\n----\nno", "statement ok has none"),
    "a statement without SQL": ("statement ok\n\nSELECT 1", "statement without SQL"),
    "an unknown directive": ("statement ok\nSELECT 1\n\nstatment ok\nSELECT 1", ":4: unknown directive 'statment'"),
    "a comment inside a statement": ("statement ok\nSELECT 1\n# no\n+ 1", ":4: unknown directive"),
    "an unsupported directive": ("concurrentloop i 0 2", ":1: concurrentloop is not supported"),
    "a missing argument": ("loop i 0", "loop takes 3 to 3 arguments"),
    "a word after statement": ("statement fine\nSELECT 1", ":1: statement is followed by ok, error or maybe"),
    "a letter after query": ("query X\nSELECT 1", ":1: query is followed by one letter"),
    "directives without an empty line between": ("require json\nrequire parquet", "followed by an empty line"),
    "an open loop": ("loop i 0 2\n\nstatement ok\nSELECT 1", ":1: loop without endloop"),
    "an endloop alone": ("endloop", "endloop without a loop"),
    "a loop over nothing": ("loop i 2 2\n\nstatement ok\nSELECT 1\n\nendloop", "a loop over nothing"),
    "a failure inside a loop": (
        "loop i 0 3\n\nquery I\nSELECT ${i}\n----\n0\n\nendloop",
        r":3: \[i=1\] row 1, column 1(.|\n)*SELECT 1\n",
    ),
    "a restart in memory": ("restart", "cannot restart"),
    "a load that would delete a file elsewhere": ("load elsewhere.db", "must be under __TEST_DIR__"),
    "a load of what is no database": ("load __TEST_DIR__ readonly", "the database does not open"),
    "a Python variable as a table": ("statement ok\nFROM sql", "Table with name sql does not exist"),
}


@pytest.mark.parametrize("text", PASSES.values(), ids=PASSES.keys())
def test_passes(run, text):
    run(text)


@pytest.mark.parametrize(("text", "message"), FAILS.values(), ids=FAILS.keys())
def test_fails(run, text, message):
    with pytest.raises(SqlLogicError, match=message) as failure:
        run(text)
    assert "inline.test:" in str(failure.value)


def test_a_failure_shows_the_sql_the_expected_and_the_actual_rows(run):
    with pytest.raises(SqlLogicError) as failure:
        run(query("II", "SELECT 1, 'a'\nUNION ALL SELECT 2, 'b' ORDER BY 1", "1\ta", "2\tc"))
    report = "sql:\n    SELECT 1, 'a'\n    UNION ALL SELECT 2, 'b' ORDER BY 1\nexpected:\n    1\ta\n    2\tc\nactual:\n"
    assert report + "    1\ta\n    2\tb" in str(failure.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("[1, NULL, 3]", "[1, NULL, 3]"),
        ("[0.5, 2]::FLOAT[2]", "[0.5, 2.0]"),
        ("{'id': 1, 'name': 'x'}", "{'id': 1, 'name': x}"),
        ("map {'a': 1}", "{a=1}"),
        ("(1, 'a')", "(1, a)"),
        ("[{'t': (1, 2)}]", "[{'t': (1, 2)}]"),
        ("union_value(u := 1)", "1"),
        ("'a'::ENUM ('a', 'b')", "a"),
        ("1.0::DOUBLE", "1.0"),
        ("1e20::DOUBLE", "1e+20"),
        ("0.1::FLOAT", "0.1"),
        ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
        ("'\\x00\\xFFa'::BLOB", "\\x00\\xFFa"),
        ("'a' || chr(0)", "a\\0"),
        ("'2026-01-02 03:04:05.6'::TIMESTAMP", "2026-01-02 03:04:05.6"),
        ("'infinity'::TIMESTAMP", "infinity"),
        ("'1 month 2 days'::INTERVAL", "1 month 2 days"),
        ("DATE '2026-01-02'", "2026-01-02"),
        ("'00000000-0000-0000-0000-000000000001'::UUID", "00000000-0000-0000-0000-000000000001"),
        ("'101'::BIT", "101"),
        ("'{\"a\": 1}'::JSON", '{"a": 1}'),
    ],
)
def test_a_value_prints_as_duckdb_casts_it_to_text(run, value, text):
    # In the message of a failure, because a match may be approximate.
    with pytest.raises(SqlLogicError, match=re.escape(f"expected nothing, got {text}\nsql:")):
        run(query("I", f"SELECT {value}", "nothing"))


def test_a_time_with_zone_prints_in_the_zone_of_the_connection(run):
    text = "statement ok\nSET TimeZone = 'Asia/Tokyo'\n\n"
    noon = query("I", "SELECT '2026-01-01 03:00:00+00'::TIMESTAMPTZ", "2026-01-01 12:00:00+09")
    run(text + noon + "\n\n" + noon)


def test_columns_of_one_name_stay_apart(run):
    run(query("II", "SELECT 1 AS a, 2 AS a", "1\t2"))


def test_many_rows_keep_their_order(run):
    run(query("I", "SELECT * FROM range(5000) ORDER BY 1", *map(str, range(5000))))


@pytest.mark.parametrize("text", ["require no_such_extension", "require-env NO_SUCH_VARIABLE"])
def test_a_file_is_skipped_for_what_is_not_here(run, text):
    with pytest.raises(Skipped, match=text):
        run(text + "\n\nstatement ok\nSELECT error('not reached')")


def test_require_env_gives_its_value_to_the_sql(run, monkeypatch):
    monkeypatch.setenv("GALLERY", "faces")
    run("require-env GALLERY faces\n\n" + query("II", "SELECT '${GALLERY}', '{GALLERY}'", "faces\tfaces"))
    with pytest.raises(Skipped, match="require-env GALLERY photos"):
        run("require-env GALLERY photos")


def test_statements_leave_no_open_result(run):
    long = "statement ok\nSELECT * FROM range(1000000)\n\n"
    run(long + long + query("I rowsort", "SELECT i FROM range(3) t(i)", "0", "1", "2"))


def test_a_missing_extension_fails_the_file(run, monkeypatch, tmp_path):
    monkeypatch.setattr(sqllogictest, "EXTENSION_PATH", tmp_path / "none")
    with pytest.raises(SqlLogicError, match="no extension at .*none: build it"):
        run("require density_peaks")


def test_a_file_that_is_no_extension_fails_the_file(run, monkeypatch, tmp_path):
    path = tmp_path / "it's text.duckdb_extension"
    path.write_text("not an extension " * 100)
    monkeypatch.setattr(sqllogictest, "EXTENSION_PATH", path)
    with pytest.raises(SqlLogicError, match=":1: the extension does not load"):
        run("require density_peaks")


@pytest.mark.skipif(not sqllogictest.EXTENSION_PATH.exists(), reason="the extension is not built")
def test_the_extension_is_loaded_again_after_load_and_restart(run):
    # An installed one is listed beside it.
    loaded = "SELECT count(*) FROM duckdb_extensions() WHERE extension_name = 'density_peaks' AND loaded"
    loaded = query("I", loaded, "1")
    load = "load __TEST_DIR__/file.db"
    run("\n\n".join(["require density_peaks", loaded, load, loaded, "restart", loaded]))

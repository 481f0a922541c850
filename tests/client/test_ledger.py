"""memory_limit is for all calls of a database together, and holds for ids, labels and every function."""

import threading
import time

import duckdb
import pytest
from conftest import connect

MIB = 2**20


@pytest.fixture
def con():
    con = connect()
    con.execute("SET enable_progress_bar = false")
    yield con
    con.close()


# Rows, and what a call over them takes at least, in MiB.
MUCH = {
    "densities": (
        "CREATE TABLE t AS SELECT i AS id, 1.0 AS density FROM range(2_000_000) t(i); "
        "CREATE TABLE d AS SELECT 0::BIGINT AS src, 1::BIGINT AS dst, 0.1 AS distance",
        "decision_graph('t', 'd')",
        150,
    ),
    "STRUCT ids": (
        "CREATE TABLE t AS SELECT {'a': i, 'b': i % 7} AS id, [i, 1]::FLOAT[2] AS embedding FROM range(200_000) t(i)",
        "kmeans_cluster('t', 2, max_iterations := 1)",
        60,
    ),
    "long ids": (
        "CREATE TABLE t AS SELECT repeat('x', 10_000) || i AS id, [i, 1]::FLOAT[2] AS embedding FROM range(8_000) t(i)",
        "knn_graph('t', k := 1)",
        150,
    ),
    "stored clusters": (
        "CREATE TABLE t AS SELECT i AS id, i // 5 AS cluster_id, i // 5 * 5 AS parent_id, 0.1 AS delta FROM range(1_500_000) t(i)",
        "suggest_splits('t')",
        100,
    ),
    "long labels": (
        "CREATE TABLE t AS SELECT i AS id, repeat('x', 10_000) || i AS part, [i, 1]::FLOAT[2] AS embedding FROM range(8_000) t(i)",
        "cluster_embeddings('t', k := 1, partition_by := 'part')",
        80,
    ),
}


@pytest.mark.parametrize("rows, call, least", MUCH.values(), ids=MUCH)
def test_whatever_takes_memory_is_counted_and_refused(con, rows, call, least):
    con.execute(rows)
    con.execute("SELECT density_peaks_memory()")
    con.execute(f"SELECT count(*) FROM {call}").fetchall()
    (most,) = con.execute("SELECT density_peaks_memory()").fetchone()
    assert least * MIB < most < 3 * least * MIB
    con.execute(f"SET memory_limit = '{most * 2 // 3 // MIB}MiB'")
    with pytest.raises(duckdb.Error, match="memory_limit|Out of Memory|could not allocate|failed to (pin|offload)"):
        con.execute(f"SELECT count(*) FROM {call}").fetchall()
    con.execute(f"SET memory_limit = '{3 * most // MIB}MiB'")
    con.execute(f"SELECT count(*) FROM {call}").fetchall()


def test_calls_on_all_connections_share_the_limit_and_give_it_back(con):
    con.execute(
        "CREATE TABLE faces AS SELECT i AS id, [hash(i * 100 + j) % 1000 FOR j IN range(64)]::FLOAT[64] AS embedding "
        "FROM range(20_000) t(i)"
    )
    con.execute("SET memory_limit = '40MiB'")
    graph = "SELECT count(*) FROM knn_graph('faces', k := 40)"
    assert con.execute(graph).fetchall() == [(800_000,)]
    errors, results = [], []

    def run():
        try:
            results.append(con.cursor().execute(graph).fetchall())
        except duckdb.Error as error:
            errors.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    # Each needs more than half of the limit, so that two at once do not fit.
    assert results and errors
    assert all("of which other calls hold" in error or "Out of Memory" in error for error in errors), errors
    assert set(map(str, results)) == {"[(800000,)]"}
    con.execute("SELECT density_peaks_memory()")
    assert con.execute("SELECT density_peaks_memory()").fetchall() == [(0,)]
    assert con.execute(graph).fetchall() == [(800_000,)]


def test_what_fails_holds_nothing(con):
    con.execute("CREATE TABLE faces AS SELECT i AS id, [i, if(i = 9_999, 'nan'::FLOAT, 1)]::FLOAT[2] AS embedding FROM range(10_000) t(i)")
    for call in ["knn_graph('faces')", "cluster_embeddings('faces')"]:
        with pytest.raises(duckdb.Error, match="NaN"):
            con.execute(f"FROM {call}").fetchall()
    con.execute("SELECT density_peaks_memory()")
    assert con.execute("SELECT density_peaks_memory()").fetchall() == [(0,)]


def test_databases_have_limits_of_their_own(con):
    other = connect()
    other.execute("CREATE TABLE faces AS SELECT i AS id, [i, 1]::FLOAT[2] AS embedding FROM range(1_000) t(i)")
    other.execute("FROM knn_graph('faces')").fetchall()
    assert con.execute("SELECT density_peaks_memory()").fetchall() == [(0,)]
    assert other.execute("SELECT density_peaks_memory()").fetchone()[0] > 100_000
    other.close()

"""Memory that the system does not give: an error that says so, and a process that goes on."""

import re
import subprocess
import sys

import pytest
from conftest import CONFIG, EXTENSION

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and a limit on the address space")

ROWS = 20_000

PROGRAM = """
import resource, sys
import duckdb
call, setup, *limits = sys.argv[1:]
con = duckdb.connect(config={config!r} | {{"threads": 2, "memory_limit": "4GB"}})
con.execute("SET enable_progress_bar = false")
con.execute("LOAD '{extension}'")
con.execute("CREATE TABLE faces AS SELECT i AS id, [1 + i % 7, i % 11, i % 13, i // 100]::FLOAT[4] AS embedding "
            "FROM range({rows}) t(i)")
con.execute("CREATE VIEW edges AS SELECT i AS src, (i + j) % {rows} AS dst, 0.1 AS distance "
            "FROM range({rows}) t(i), range(-100, 101) u(j)")
con.execute("CREATE TABLE pair AS SELECT 1 AS src, 2 AS dst, 0.1 AS distance")
con.execute(setup)
for limit in map(int, limits):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (limit << 20), resource.RLIM_INFINITY))
    try:
        print("rows", con.execute(call).fetchall()[0][0], flush=True)
    except (duckdb.Error, MemoryError) as error:
        print(type(error).__name__, error, flush=True)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("then", con.execute("SELECT count(*) FROM transition_matrix('pair')").fetchall()[0][0])
"""


def under_limits(call: str, *limits: int, setup=()) -> list[str]:
    """What a call prints in a process that gets as many MiB more, one limit after the other; and then without one."""
    program = PROGRAM.format(config=CONFIG, extension=EXTENSION, rows=ROWS)
    command = [sys.executable, "-c", program, call, ";".join(setup), *map(str, limits)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"it ended with {done.returncode}: {done.stderr[-2000:]}"
    *lines, last = done.stdout.splitlines()
    assert last == "then 4" and len(lines) == len(limits)
    return lines


# Each needs some 200 MiB or more.
CALLS = {
    "a graph": "FROM knn_graph('faces', k := 1000)",
    "clusters": "FROM cluster_embeddings('faces', k := 1000)",
    "stored edges": "FROM transition_matrix('edges')",
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_work_that_the_system_has_no_memory_for_is_refused(call):
    for line in under_limits(f"SELECT count(*) {call}", 150, 120, 90, 60):
        assert re.search("does not give the process|does not give the .* bytes|Out of Memory", line), line


# Every function, over tables of its own or of those above.
SETUP = {
    "t": "CREATE TABLE t AS SELECT src, dst, 0.01::DOUBLE AS distance FROM edges WHERE src <> dst AND dst >= 0 AND dst % 4 = 0",
    "p": "CREATE TABLE p AS FROM transition_matrix('t')",
    "r": "CREATE TABLE r AS SELECT id, 1.0 AS density FROM faces",
    "d": "CREATE TABLE d AS SELECT src, dst, distance FROM t",
    "c": "CREATE TABLE c AS FROM dpc_cluster('r', 'd')",
    "new": "CREATE TABLE new AS SELECT id + 100_000 AS id, embedding FROM faces",
    "pairs": "CREATE TABLE pairs AS SELECT id AS src, id + 1 AS dst FROM faces WHERE id % 100 = 0",
    "many": "CREATE TABLE many AS SELECT repeat('x', 1_000) || i AS id, [i, 1]::FLOAT[2] AS embedding, i AS label "
    "FROM range(100_000) t(i)",
}
ALL = {
    "knn_graph": ("", "FROM knn_graph('faces', k := 500)"),
    "knn_graph, long ids": ("many", "FROM knn_graph('many', k := 1)"),
    "knn_graph, hnsw": ("", "FROM knn_graph('faces', k := 100, method := 'hnsw', connectivity := 200)"),
    "transition_matrix": ("t", "FROM transition_matrix('t', sigma := 'auto')"),
    "transition_matrix, cannot_link": ("t pairs", "FROM transition_matrix('t', cannot_link := 'pairs')"),
    "auto_parameters": ("t", "FROM auto_parameters('t')"),
    "ndde": ("t p", "FROM ndde('p')"),
    "tpdi": ("t p", "FROM tpdi('p')"),
    "dpc_cluster": ("t r d", "FROM dpc_cluster('r', 'd')"),
    "linkage_cluster": ("t p", "FROM linkage_cluster('p')"),
    "cluster_embeddings": ("", "FROM cluster_embeddings('faces', k := 200)"),
    "cluster_tree": ("t p", "FROM cluster_tree('p')"),
    "cluster_layers": ("t p", "FROM cluster_layers('p')"),
    "tau_sweep": ("t r d", "FROM tau_sweep('r', 'd')"),
    "decision_graph": ("t r d", "FROM decision_graph('r', 'd')"),
    "cluster_summary": ("t r d c", "FROM cluster_summary('c', 'faces')"),
    "suggest_merges": ("t r d c", "FROM suggest_merges('c', 'r', 'd')"),
    "suggest_splits": ("t r d c", "FROM suggest_splits('c')"),
    "assign_clusters": ("t r d c new", "FROM assign_clusters('new', 'faces', 'c', k := 100)"),
    "cluster_with": ("t", "FROM cluster_with('t', 'average_linkage', threshold := 0.3)"),
    "kmeans_cluster": ("many", "FROM kmeans_cluster('many', 10, max_iterations := 2)"),
    "invalid_rows": ("many", "FROM invalid_rows('many')"),
    "pairwise_f": ("many", "SELECT pairwise_f(id, label) FROM many"),
    "explain_pair": ("t r d c", "FROM explain_pair('c', 1, 2)"),
}


@pytest.mark.parametrize("tables, call", ALL.values(), ids=ALL)
def test_no_function_ends_the_process_where_memory_is_short(tables, call):
    setup = [SETUP[name] for name in tables.split()]
    for line in under_limits(f"SELECT count(*) FROM ({call})", 200, 100, 80, 60, setup=setup):
        assert re.search("^rows|does not give the process|does not give the .* bytes|Out of [Mm]emory|Could not", line), line

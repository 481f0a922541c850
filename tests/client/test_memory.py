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
call, *limits = sys.argv[1:]
con = duckdb.connect(config={config!r} | {{"threads": 2, "memory_limit": "4GB"}})
con.execute("SET enable_progress_bar = false")
con.execute("LOAD '{extension}'")
con.execute("CREATE TABLE faces AS SELECT i AS id, [1 + i % 7, i % 11, i % 13, i // 100]::FLOAT[4] AS embedding "
            "FROM range({rows}) t(i)")
con.execute("CREATE VIEW edges AS SELECT i AS src, (i + j) % {rows} AS dst, 0.1 AS distance "
            "FROM range({rows}) t(i), range(-100, 101) u(j)")
con.execute("CREATE TABLE pair AS SELECT 1 AS src, 2 AS dst, 0.1 AS distance")
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


def under_limits(call: str, *limits: int) -> list[str]:
    """What a call prints in a process that gets as many MiB more, one limit after the other; and then without one."""
    program = PROGRAM.format(config=CONFIG, extension=EXTENSION, rows=ROWS)
    command = [sys.executable, "-c", program, call, *map(str, limits)]
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

"""Connections, threads, interrupts and files: a run starts and ends with its statement and leaves nothing behind."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pytest
from conftest import EXTENSION, arrow_points, connect, create_points

SLOTS = "SELECT density_peaks_slots()"
# Far longer than a test waits: 100,000 x 256 by every method, and a star, whose densities swing for ever.
LONG = {
    "exact graph": "FROM knn_graph('big', k := 80)",
    "graph to a table": "CREATE TABLE g AS FROM knn_graph('big', k := 80)",
    "descent graph": "FROM knn_graph('big', k := 80, method := 'nn_descent')",
    "hnsw graph": "FROM knn_graph('big', k := 80, method := 'hnsw', expansion_add := 1000)",
    "one call": "FROM cluster_embeddings('big', k := 80)",
    "nested": "FROM ndde(transition_matrix(knn_graph('big', k := 80)))",
    "self-join": "FROM knn_graph('big', k := 80) a JOIN knn_graph('big', k := 79) b USING (src, dst)",
    "k-means": "FROM kmeans_cluster('big', 1000)",
    "diffusion": "FROM ndde('star', max_iterations := 1000000000)",
}


@pytest.fixture(scope="module")
def big():
    with connect() as con:
        random = np.random.default_rng(7)
        con.register("points", arrow_points(random.standard_normal((100_000, 256), dtype=np.float32)))
        con.execute("CREATE TABLE big AS FROM points")
        con.unregister("points")
        con.execute("""
            CREATE TABLE star AS
            SELECT 0 AS src, i AS dst, 1 / 50000 AS probability FROM range(1, 50001) t(i)
            UNION ALL SELECT i, 0, 1 FROM range(1, 50001) t(i)
        """)
        create_points(con)
        yield con


def in_background(con, query):
    """Run a query in a thread; the list gets what came of it."""
    outcome = []

    def run():
        try:
            outcome.append(con.execute(query).fetchall())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def assert_idle():
    """No thread of this process works on."""
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.15)
    assert time.process_time() - before < 0.06


@pytest.mark.parametrize("query", LONG)
@pytest.mark.parametrize("threads", [1, 2])
def test_interrupt_ends_a_run_within_a_second(big, query, threads):
    big.execute(f"SET threads = {threads}")
    thread, outcome = in_background(big, LONG[query])
    time.sleep(0.3)
    assert thread.is_alive(), "the query is not long enough to be interrupted"
    started = time.monotonic()
    big.interrupt()
    thread.join(timeout=30)
    assert time.monotonic() - started < 1
    assert isinstance(outcome[0], duckdb.InterruptException)
    assert_idle()
    assert big.execute(SLOTS).fetchall() == [(0,)]
    assert big.execute("SELECT count(*) FROM cluster_embeddings('faces')").fetchall() == [(300,)]


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.06, 0.1, 0.2])
def test_interrupt_at_any_moment_leaves_the_connection_usable(big, delay):
    big.execute("SET threads = 2")
    thread, outcome = in_background(big, LONG["one call"])
    time.sleep(delay)
    while thread.is_alive():  # an interrupt before the statement has begun is lost
        big.interrupt()
        thread.join(timeout=0.2)
    assert isinstance(outcome[0], duckdb.InterruptException)
    assert big.execute(SLOTS).fetchall() == [(0,)]
    assert big.execute("SELECT count(*) FROM cluster_embeddings('faces')").fetchall() == [(300,)]


def test_interrupt_of_one_connection_leaves_the_others_running(big):
    big.execute("SET threads = 2")
    stopped, running = big.cursor(), big.cursor()
    thread, outcome = in_background(stopped, LONG["exact graph"])
    other, found = in_background(
        running, "SELECT count(*) FROM (FROM big LIMIT 6000) b, knn_graph('faces', k := 80) g WHERE b.id = g.src"
    )
    time.sleep(0.3)
    stopped.interrupt()
    thread.join()
    other.join()
    assert isinstance(outcome[0], duckdb.InterruptException)
    assert found == [[(300 * 80,)]]


CHILD_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
CHILD = """
import sys, time
import numpy as np
from conftest import arrow_points, connect
con = connect()
con.execute(f"SET enable_progress_bar = false; SET threads = {sys.argv[1]}")
random = np.random.default_rng(7)
con.register("points", arrow_points(random.standard_normal((100_000, 256), dtype=np.float32)))
con.execute("CREATE TABLE big AS FROM points")
print("running", flush=True)
try:
    con.execute("FROM knn_graph('big', k := 80)").fetchall()
    print("not interrupted", flush=True)
except (KeyboardInterrupt, RuntimeError) as error:
    print("interrupted", flush=True)
before = time.process_time()
time.sleep(0.5)
idle = time.process_time() - before < 0.1
print("idle" if idle else "busy", flush=True)
con.execute("CREATE TABLE few AS FROM big LIMIT 100")
print(con.execute("SELECT count(*), density_peaks_slots() - 1 FROM cluster_embeddings('few')").fetchall(), flush=True)
print(con.execute("SELECT density_peaks_slots()").fetchall(), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX signal")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_a_run_within_a_second(threads):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(threads)], stdout=subprocess.PIPE, text=True, env=CHILD_ENVIRONMENT
    )
    try:
        assert child.stdout.readline() == "running\n"
        time.sleep(0.5)
        started = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "interrupted\n"
        assert time.monotonic() - started < 1
        rest, _ = child.communicate(timeout=30)
        assert rest.splitlines() == ["idle", "[(100, 0)]", "[(0,)]"]
        assert child.returncode == 0
    finally:
        child.kill()


ENDS = {
    "success": "FROM cluster_embeddings('faces')",
    "LIMIT": "FROM knn_graph('faces', k := 250) LIMIT 5",
    "LIMIT 0": "FROM knn_graph('faces') LIMIT 0",
    "never scanned": "SELECT count(*) FROM knn_graph('faces') WHERE false",
    "short circuit": "SELECT count(*) FROM (SELECT 1 WHERE false) t(src) JOIN knn_graph('faces') USING (src)",
    "EXPLAIN": "EXPLAIN FROM cluster_embeddings('faces')",
    "DESCRIBE": "DESCRIBE FROM cluster_embeddings('faces')",
    "self-join": "SELECT count(*) FROM knn_graph('faces') a JOIN knn_graph('faces') b USING (src, dst)",
    "view": "CREATE OR REPLACE VIEW v AS FROM cluster_embeddings('faces')",
    "missing column": "FROM cluster_embeddings('faces', id := 'nope')",
    "missing table": "FROM cluster_embeddings('nope')",
    "bad argument": "FROM cluster_embeddings('faces', k := 0)",
    "error in the sink": "WITH f AS (SELECT NULL::BIGINT AS id, embedding FROM faces) FROM cluster_embeddings('f')",
    "error in a stage": "WITH f AS (SELECT 1 AS id, embedding FROM faces) FROM cluster_embeddings('f')",
    "error in the relation": "WITH f AS (SELECT error('no') AS id, embedding FROM faces) FROM cluster_embeddings('f')",
    "error downstream": "SELECT error('no') FROM cluster_embeddings('faces')",
    "error at a late row": "SELECT CASE WHEN src = 299 THEN error('no') END FROM knn_graph('faces', k := 250)",
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_is_held_after(faces, end, threads):
    faces.execute(f"SET threads = {threads}")
    try:
        faces.execute(ENDS[end]).fetchall()
        failed = False
    except duckdb.Error as error:
        failed = True
        assert "defect" not in str(error)
    assert failed == (end.startswith(("error", "missing", "bad")))
    assert faces.execute(SLOTS).fetchall() == [(0,)]
    assert faces.execute("SELECT count(*) FROM cluster_embeddings('faces')").fetchall() == [(300,)]


def test_result_that_is_not_read_to_its_end_is_freed_with_its_cursor(faces):
    cursor = faces.cursor()
    cursor.execute("FROM knn_graph('faces', k := 250)")
    assert cursor.fetchone()[0] == 0
    cursor.close()
    gc.collect()
    assert faces.execute(SLOTS).fetchall() == [(0,)]
    assert_idle()


def test_prepared_statement_holds_no_rows_between_executions(faces):
    faces.execute("PREPARE edges AS FROM knn_graph('faces', k := 250)")
    for _ in range(3):
        faces.execute("EXECUTE edges").fetchall()
    faces.execute("DEALLOCATE edges")
    assert faces.execute(SLOTS).fetchall() == [(0,)]


GROWTH = """
import os
from conftest import connect, create_points
def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
con = connect()
con.execute("SET threads = 2")
create_points(con, "many", points=4000, dim=64)
sizes = []
for _ in range(25):
    con.execute("SELECT count(*) FROM knn_graph('many', k := 200)").fetchall()
    sizes.append(resident_mib())
print(max(sizes[-5:]) - max(sizes[:8]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_does_not_grow_from_run_to_run():
    grown = subprocess.run(
        [sys.executable, "-c", GROWTH], env=CHILD_ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert float(grown.stdout) < 50  # of 17 runs; one has 6 MiB of graph and 1 MiB of embeddings


def test_read_only_database_is_clustered(tmp_path):
    path = str(tmp_path / "faces.db")
    with connect(path) as con:
        create_points(con)
        expected = con.execute("FROM cluster_embeddings('faces')").fetchall()
    with connect(path, access_mode="READ_ONLY") as con:
        assert con.execute("FROM cluster_embeddings('faces')").fetchall() == expected
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            con.execute("CREATE TABLE clusters AS FROM cluster_embeddings('faces')").fetchall()


def test_database_file_opens_again_in_the_same_process(tmp_path):
    def use_again():
        for times in range(3):
            with connect(path) as con:
                if times == 0:
                    create_points(con)
                con.execute("CREATE OR REPLACE TABLE clusters AS FROM cluster_embeddings('faces')")
                con.execute("PREPARE left_over AS FROM knn_graph('faces')")
                with pytest.raises(duckdb.Error):
                    con.execute("FROM cluster_embeddings('faces', id := 'nope')")
                sizes.append(con.execute("SELECT count(*) FROM clusters").fetchall())
        # Not left locked either: another process can open it.
        subprocess.run(
            [sys.executable, "-c", f"import duckdb; duckdb.connect({path!r}).execute('FROM clusters')"], check=True
        )

    path, sizes = str(tmp_path / "faces.db"), []
    thread = threading.Thread(target=use_again, daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert not thread.is_alive(), "the file does not open again"
    assert sizes == [[(300,)]] * 3


def test_results_persist_where_the_extension_is_not_loaded(tmp_path):
    path = str(tmp_path / "faces.db")
    with connect(path) as con:
        create_points(con)
        con.execute("CREATE VIEW v AS FROM cluster_embeddings('faces'); CREATE TABLE clusters AS FROM v")
    with duckdb.connect(path) as plain:
        assert plain.execute("SELECT count(*) FROM clusters").fetchall() == [(300,)]
        with pytest.raises(duckdb.CatalogException, match="cluster_embeddings"):
            plain.execute("FROM v")
    with connect(path) as con:
        assert con.execute("SELECT count(*) FROM v").fetchall() == [(300,)]


def test_loading_twice_and_in_two_databases_is_harmless(faces):
    faces.execute(f"LOAD '{EXTENSION}'")
    with connect() as other:
        create_points(other)
        assert (
            other.execute("FROM cluster_embeddings('faces')").fetchall()
            == faces.execute("FROM cluster_embeddings('faces')").fetchall()
        )


def test_cursors_in_many_threads_get_their_own_results(faces):
    create_points(faces, "others", points=500, seed=9)
    queries = [f"FROM cluster_embeddings('{name}', k := {k})" for name in ("faces", "others") for k in (3, 10, 40)]
    queries += [f"FROM ndde(transition_matrix(knn_graph('{name}', k := 20)))" for name in ("faces", "others")]
    expected = [faces.execute(query).fetchall() for query in queries]

    def run(at):
        with faces.cursor() as cursor:
            return cursor.execute(queries[at % len(queries)]).fetchall() == expected[at % len(queries)]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(80)))
    assert faces.execute(SLOTS).fetchall() == [(0,)]


def test_databases_in_many_threads_get_their_own_results():
    def run(seed):
        with connect(threads=2) as con:
            create_points(con, seed=seed)
            return con.execute("FROM cluster_embeddings('faces', k := 5)").fetchall()

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, range(8)))
    assert together == [run(seed) for seed in range(8)]


def test_threads_may_write_while_others_cluster(faces):
    """Each run sees one snapshot: ids 0..n-1 without a gap."""
    stop, failures = threading.Event(), []

    def write():
        with faces.cursor() as cursor:
            for i in range(300, 1000):
                if stop.is_set():
                    return
                cursor.execute("INSERT INTO faces SELECT $1, embedding FROM faces WHERE id = $1 - 300", [i])

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(20):
        count, last = faces.execute("SELECT count(*), max(id) FROM cluster_embeddings('faces', k := 5)").fetchone()
        if count != last + 1:
            failures.append((count, last))
    stop.set()
    writer.join()
    assert not failures


def test_settings_of_a_locked_down_database_do_not_stop_it(faces):
    expected = faces.execute("FROM cluster_embeddings('faces')").fetchall()
    faces.execute("SET enable_external_access = false; SET lock_configuration = true")
    assert faces.execute("FROM cluster_embeddings('faces')").fetchall() == expected


def test_threads_setting_bounds_the_work(big):
    big.execute("SET threads = 1")
    thread, _ = in_background(big, LONG["exact graph"])
    time.sleep(0.2)
    wall, busy = time.monotonic(), time.process_time()
    time.sleep(0.5)
    used = (time.process_time() - busy) / (time.monotonic() - wall)
    big.interrupt()
    thread.join()
    assert 0.05 < used < 1.3  # it ran, and on one core


@pytest.mark.parametrize("query", ["exact graph", "descent graph", "hnsw graph", "one call"])
def test_progress_moves_and_never_goes_back(big, query):
    big.execute(
        "SET threads = 2; SET enable_progress_bar = true; SET enable_progress_bar_print = false;"
        "SET progress_bar_time = 0"
    )
    thread, _ = in_background(big, LONG[query])
    seen = []
    while thread.is_alive() and len(set(seen)) < 5 and len(seen) < 300:
        seen.append(big.query_progress())
        time.sleep(0.01)
    big.interrupt()
    thread.join()
    big.execute("RESET enable_progress_bar")
    seen = [progress for progress in seen if progress >= 0]  # -1: nothing runs
    assert seen == sorted(seen)
    assert max(seen) <= 100 and len(set(seen)) > 2


def test_file_says_that_it_is_for_this_version_of_duckdb_alone():
    footer = EXTENSION.read_bytes()[-512:-256]
    fields = [footer[start : start + 32].rstrip(b"\0").decode() for start in range(0, 256, 32)][::-1]
    magic, platform, version, own_version, abi = fields[:5]
    assert (magic, version, abi) == ("4", f"v{duckdb.__version__}", "C_STRUCT_UNSTABLE")
    with connect() as con:
        assert con.execute("PRAGMA platform").fetchall() == [(platform,)]
        assert con.execute("SELECT 'v' || density_peaks_version()").fetchall() == [(own_version,)]
        # An installed one is listed beside it.
        loaded = "SELECT extension_version FROM duckdb_extensions() WHERE extension_name = 'density_peaks' AND loaded"
        assert con.execute(loaded).fetchall() == [(own_version,)]


def test_file_changed_to_another_duckdb_version_is_refused_with_both_versions(tmp_path):
    other = tmp_path / "density_peaks.duckdb_extension"
    data = EXTENSION.read_bytes()
    other.write_bytes(data[:-512] + data[-512:].replace(f"v{duckdb.__version__}\0".encode(), b"v1.4.0\0"))
    with duckdb.connect(config={"allow_unsigned_extensions": True}) as con:
        with pytest.raises(duckdb.Error, match=f"v1.4.0(.|\n)*v{duckdb.__version__}"):
            con.execute(f"LOAD '{other}'")

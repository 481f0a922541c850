"""What a long run needs: refusals before the work, resuming, faults, cancelling, groups, and the arithmetic."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import psutil
import pyarrow as pa
import pytest

pytest.importorskip("pyspark", reason="needs PySpark 4.3: make test-spark installs it")

import density_peaks_spark as dps  # noqa: E402
from conftest import EXTENSION, PACKAGE, arrow, assert_equal, blobs, call  # noqa: E402
from density_peaks_spark import check, kernels, plane, worker  # noqa: E402
from faults import failing, failing_factory  # noqa: E402

NUMBERS = {"k": 10, "sigma": 0.1, "tau": 0.7, "max_iterations": 3}


def bad(at: int, embedding) -> pa.Table:
    """Points of which one has another embedding."""
    rows = [list(map(float, row)) for row in blobs(20, dim=2)]
    rows[at] = embedding
    return pa.table({"id": [f"face {i}" for i in range(20)], "embedding": pa.array(rows, pa.list_(pa.float32()))})


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (bad(7, None), "the embedding of id face 7 is NULL or contains NULL; leave the row out"),
        (bad(7, [1.0, None]), "the embedding of id face 7 is NULL or contains NULL; leave the row out"),
        (bad(7, []), "the embedding of id face 7 is empty; leave the row out"),
        (bad(7, [1.0, float("nan")]), "the embedding of id face 7 contains NaN or infinity; leave the row out"),
        (
            bad(7, [0.0, 0.0]),
            "id face 7 is a zero vector, which has no cosine distance; leave the row out or use metric='l2sq'",
        ),
        (bad(7, [1.0]), "the embedding of id face 7 has 1 dimensions, others have 2; leave the row out"),
        (
            bad(7, [1.0, 2.0]).set_column(0, "id", pa.array([*range(19), 3])),
            "id 3 occurs more than once; ids must be unique",
        ),
        (bad(7, [1.0, 2.0]).set_column(0, "id", pa.array([*range(19), None])), "1 row has a NULL id; leave it out"),
    ],
)
def test_a_row_that_cannot_be_clustered_is_named_before_the_work(spark, tmp_path, monkeypatch, points, message):
    monkeypatch.setattr(kernels, "line_graph", None)
    with pytest.raises(ValueError, match=f"^cluster_embeddings: .*{message}$".replace("(", r"\(")):
        dps.cluster_embeddings(spark.createDataFrame(points), workdir=tmp_path, **NUMBERS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"k": 0}, "k must be a whole number of at least 1, got 0"),
        ({"tau": 1.5}, "tau must be a number from 0 to 1 or 'auto', got 1.5"),
        ({"precision": "f8"}, "precision must be one of 'f32', 'f16', 'i8', got 'f8'"),
        ({"clusters": 3, "tau": 0.5}, "clusters and tau both say where to cut"),
        ({"id": "face"}, 'has no column "face", only "id", "embedding"; name it with id='),
        ({"embedding": "id"}, 'id and embedding are two columns, and both are "id"'),
        ({"id": "embedding", "embedding": "id"}, 'column "id" is bigint, but must be an array of numbers'),
        ({"must_link": "pairs"}, "must_link is not taken on Spark; use cluster_embeddings"),
        ({"method": "hnsw"}, "the graph on Spark is exact"),
        ({"m": 4}, "m must be a prime below 200, got 4"),
        ({"clusters": 31}, "clusters must be at most 30, the number of points, got 31"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_an_argument_out_of_range_is_refused_in_the_words_of_the_extension(spark, tmp_path, given, message):
    rows = spark.createDataFrame(arrow(blobs(30)))
    with pytest.raises(ValueError, match=f"^cluster_embeddings.*{message}"):
        dps.cluster_embeddings(rows, workdir=tmp_path, **given)


def test_edges_and_steps_that_are_none_are_named(spark, tmp_path):
    def rows(*values, value="distance"):
        return spark.createDataFrame([*values], f"src string, dst string, {value} double")

    with pytest.raises(ValueError, match="the distance of edge a -> b is -0.5"):
        dps.transition_matrix(rows(("a", "b", -0.5)), workdir=tmp_path)
    with pytest.raises(ValueError, match="edge a -> b occurs more than once"):
        dps.transition_matrix(rows(("a", "b", 0.5), ("a", "b", 0.6), ("b", "a", 0.1)), workdir=tmp_path)
    with pytest.raises(ValueError, match="the probabilities of src b sum to 0.5, not to 1"):
        dps.ndde(rows(("a", "a", 1.0), ("b", "a", 0.5), value="probability"), workdir=tmp_path)
    with pytest.raises(ValueError, match='has no column "probability"'):
        dps.tpdi(rows(("a", "b", 0.5)), workdir=tmp_path)


def test_inner_products_of_long_embeddings_are_refused_with_the_edge(spark, tmp_path):
    points = spark.createDataFrame(arrow(np.array([[2, 2], [3, 3], [1, 2]], np.float32), pa.array(["a", "b", "c"])))
    with pytest.raises(ValueError, match="edge a -> b is -11; it must be at least 0, so under metric 'ip'"):
        dps.cluster_embeddings(points, workdir=tmp_path, metric="ip", sigma=0.1, tau=0.7)
    assert dps.knn_graph(points, workdir=tmp_path, metric="ip").count() == 6


def test_what_the_driver_could_not_hold_is_refused(spark, con):
    con.execute("SET memory_limit = '1GB'")
    with pytest.raises(ValueError, match="give numbers for sigma and tau"):
        check.on_driver(con, 5_000_000, 30, "cluster_embeddings")
    check.on_driver(con, 100_000, 30, "cluster_embeddings")
    with pytest.raises(ValueError, match="spark.driver.maxResultSize is 1024 MiB; raise it"):
        check.collected(spark, 200_000_000, "cluster_embeddings")
    check.collected(spark, 100_000_000, "cluster_embeddings")


def test_a_task_has_its_share_of_the_overhead(spark):
    # Two executors of one core, 1 GiB and the least overhead.
    assert check.task_memory(spark) == 384 << 20
    assert check.slots(spark) == 2
    assert [plane.size(text) for text in ("1g", "512m", "12.5 GiB", "2000")] == [1 << 30, 512 << 20, 25 << 29, 2000]


def test_finished_stages_are_not_made_again(spark, con, tmp_path, monkeypatch):
    points = arrow(blobs())
    con.register("points", points)
    rows = spark.createDataFrame(points)
    first = dps.cluster_embeddings(rows, workdir=tmp_path, **NUMBERS).toArrow()
    monkeypatch.setattr(kernels, "line_graph", None)
    monkeypatch.setattr(kernels, "diffuse", None)
    monkeypatch.setattr(kernels, "check_points", lambda metric: None)
    again = dps.cluster_embeddings(rows, workdir=tmp_path, **NUMBERS).toArrow()
    other = dps.cluster_embeddings(rows, workdir=tmp_path, **{**NUMBERS, "tau": 0.3}).toArrow()
    assert first.sort_by("id") == again.sort_by("id")
    assert_equal(con, other, call("cluster_embeddings", "points", method="exact", **{**NUMBERS, "tau": 0.3}))
    with pytest.raises(TypeError):
        dps.cluster_embeddings(rows, workdir=tmp_path, **{**NUMBERS, "k": 9})


def test_a_run_goes_on_after_its_driver_was_killed(spark, con, tmp_path):
    points = arrow(blobs())
    con.register("points", points)
    path = str(tmp_path / "points.parquet")
    con.execute(f"COPY points TO '{path}'")
    code = f"""
        import os, signal, sys
        sys.path[:0] = [{str(PACKAGE)!r}, {str(PACKAGE / "tests")!r}]
        import conftest, density_peaks_spark
        from density_peaks_spark import kernels
        # Amid the diffusion.
        kernels.length = lambda change: os.kill(os.getpid(), signal.SIGKILL)
        spark = conftest.session(master="local[2]")
        density_peaks_spark.cluster_embeddings(spark.read.parquet({path!r}), workdir={str(tmp_path)!r}, **{NUMBERS!r})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (graph,) = tmp_path.glob("graph-*/parameters/_SUCCESS")
    before = graph.stat().st_mtime_ns
    assert not list(tmp_path.glob("density-*/parameters"))
    many = dps.cluster_embeddings(spark.read.parquet(path), workdir=tmp_path, **NUMBERS).toArrow()
    assert_equal(con, many, call("cluster_embeddings", "points", method="exact", **NUMBERS))
    assert graph.stat().st_mtime_ns == before


OTHER_SESSION = """
    import sys
    from pathlib import Path
    sys.path[:0] = [{package!r}, {tests!r}]
    import conftest, density_peaks_spark, faults
    from density_peaks_spark import kernels
    straggler = Path({folder!r}) / "straggler"
    if {straggles!r}:
        kernels.line_graph = faults.failing_factory(kernels.line_graph, straggler, "straggler")
    spark = conftest.session(**{conf!r})
    points = spark.read.parquet({folder!r} + "/points.parquet")
    found = density_peaks_spark.cluster_embeddings(points, workdir={folder!r} + "/run", m=2, **{numbers!r})
    found.write.parquet({folder!r} + "/clusters")
"""


def in_another_session(con, tmp_path, straggles=False, **conf):
    """That a run in a session with these settings gives what one machine does."""
    points = arrow(blobs())
    con.register("points", points)
    con.execute(f"COPY points TO '{tmp_path}/points.parquet'")
    names = {"package": str(PACKAGE), "tests": str(PACKAGE / "tests"), "folder": str(tmp_path), "numbers": NUMBERS}
    code = textwrap.dedent(OTHER_SESSION).format(**names, straggles=straggles, conf=conf)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    many = con.sql(f"FROM '{tmp_path}/clusters/*.parquet'").to_arrow_table()
    assert_equal(con, many, call("cluster_embeddings", "points", method="exact", **NUMBERS))


@pytest.mark.parametrize("executors", [1, 3])
def test_any_number_of_executors_gives_the_same(spark, con, tmp_path, executors):
    in_another_session(con, tmp_path, master=f"local-cluster[{executors},1,1024]")


@pytest.fixture
def two_hosts(spark, tmp_path):
    """A cluster of two workers with a host each: Spark has no second attempt of a task on the host of the first."""
    import pyspark

    command = [f"{pyspark.__path__[0]}/bin/spark-class"]
    worker = ["org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", "1g", "--webui-port", "0"]
    port = free_port()
    master = f"spark://127.0.0.1:{port}"
    calls = [["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]]
    for host in ("127.0.0.1", "127.0.0.2"):
        calls.append([*worker, "--host", host, "--work-dir", str(tmp_path / host), master])
    processes = []
    try:
        for call in calls:
            with open(tmp_path / "log", "a") as log:
                processes.append(subprocess.Popen(command + call, stdout=log, stderr=log))
        yield master
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_straggler_is_overtaken_with_the_same_result(con, tmp_path, two_hosts):
    speculation = {"spark.speculation": "true", "spark.speculation.quantile": "0.5", "spark.executor.memory": "1g"}
    # It ends after an hour, unless another attempt is first.
    in_another_session(con, tmp_path, straggles=True, master=two_hosts, **speculation)
    assert (tmp_path / "straggler").read_text().startswith("density_peaks cluster_embeddings: graph")


# Each runs in a stage of its own.
FACTORIES = [
    "check_points", "vectors", "line_graph", "merge_lines", "copied", "transition", "diffuse", "wanted", "distances",
    "clusters",
]  # fmt: skip


@pytest.mark.parametrize("fault", ["worker", "executor"])
def test_what_is_killed_in_each_stage_is_done_again_with_the_same_result(spark, con, tmp_path, monkeypatch, fault):
    points = arrow(np.concatenate([blobs(), np.repeat(blobs(1), 5, axis=0)]))
    con.register("points", points)
    for name in FACTORIES:
        monkeypatch.setattr(kernels, name, failing_factory(getattr(kernels, name), tmp_path / name, fault))
    for name in ("transposed", "gather"):
        monkeypatch.setattr(kernels, name, failing(getattr(kernels, name), tmp_path / name, fault))
    many = dps.cluster_embeddings(spark.createDataFrame(points), workdir=tmp_path / "run", m=2, **NUMBERS).toArrow()
    monkeypatch.undo()
    assert_equal(con, many, call("cluster_embeddings", "points", method="exact", **NUMBERS))
    met = {name: (tmp_path / name).read_text() for name in [*FACTORIES, "transposed", "gather"]}
    # What the Spark UI says of a job.
    assert met["line_graph"].startswith("density_peaks cluster_embeddings: graph")
    assert met["diffuse"].startswith("density_peaks cluster_embeddings: ndde, step 1")
    if fault == "executor":
        assert len({text.split()[-1] for text in met.values()}) == len(met)


def busy() -> list[psutil.Process]:
    """Python workers that compute, among the processes that this one started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "pyspark.daemon" in process.cmdline() and process.cpu_percent(0.5) > 10:
                found.append(process)
        except psutil.Error:
            pass
    return found


def endless(batches):
    """Many minutes in the extension."""
    con = worker.connection(4 << 30)
    con.execute("SET memory_limit = '4GB'")
    embedding = "[random() FOR d IN range(64)]::FLOAT[64] AS embedding"
    con.execute(f"CREATE OR REPLACE TABLE many AS SELECT i AS id, {embedding} FROM range(600000) t(i)")
    found = con.execute("SELECT count(*) FROM knn_graph('many', k := 5, method := 'exact')").fetchall()
    yield pa.RecordBatch.from_arrays([pa.array([found[0][0]])], names=["n"])


def test_a_cancelled_job_ends_its_worker_inside_the_extension(spark):
    failed = []

    def run():
        spark.sparkContext.setJobGroup("long", "density_peaks", interruptOnCancel=True)
        try:
            spark.range(1).coalesce(1).mapInArrow(endless, "n long").collect()
        except Exception as error:
            failed.append(str(error))

    # Of the tests before.
    until(lambda: not busy())
    thread = threading.Thread(target=run)
    thread.start()
    # Twice, some seconds apart: what makes the rows is over by then.
    until(busy)
    time.sleep(8)
    assert busy() and not failed
    spark.sparkContext.cancelJobGroup("long")
    thread.join(60)
    assert failed and "cancelled" in failed[0].lower()
    until(lambda: not busy())


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} seconds"
        time.sleep(0.2)


@pytest.mark.parametrize(
    "given", [{"k": 8}, {"k": 8, "sigma": 0.1, "tau": 0.6, "max_iterations": 5}], ids=["auto", "numbers"]
)
def test_partitions_are_clustered_on_their_own_in_sql(spark, con, given):
    country = pa.array([["no", "se", "dk"][at % 3] for at in range(150)])
    points = arrow(blobs(150)).append_column("country", country).rename_columns(["face", "features", "country"])
    con.register("points", points)
    spark.createDataFrame(points).createOrReplaceTempView("faces")
    dps.register(spark)
    named = {"id": "face", "embedding": "features", **given}
    arguments = ", ".join(f"{name} => {value!r}" for name, value in named.items())
    many = spark.sql(f"SELECT * FROM cluster_embeddings(TABLE(faces) PARTITION BY country, {arguments})").toArrow()
    named = {**named, "method": "exact"}
    parts = []
    for name in ("no", "se", "dk"):
        con.execute(f"CREATE TABLE {name} AS FROM points WHERE country = '{name}'")
        parts.append(
            f"SELECT face, '{name}' AS country, * EXCLUDE (face) FROM ({call('cluster_embeddings', name, **named)})"
        )
    assert_equal(con, many, " UNION ALL ".join(parts))
    with pytest.raises(Exception, match="k must be a whole number of at least 1, got 0"):
        spark.sql("SELECT * FROM cluster_embeddings(TABLE(faces), id => 'face', embedding => 'features', k => 0)")
    with pytest.raises(Exception, match='the table has no column "id", only "face", "features", "country"'):
        spark.sql("SELECT * FROM cluster_embeddings(TABLE(faces) PARTITION BY country)")


def test_the_plan_says_what_a_run_takes():
    plan = dps.plan(52_000_000, 256, 80, executors=20, cores=16)
    assert (plan.lines.m, plan.lines.lines) == (17, 306)
    assert 900e9 < plan.shuffles["points to lines"] < 1100e9
    text = str(plan)
    assert "m 17: 306 tasks of 3,058,827 points" in text and "1.06 times the pairs" in text and "hours" in text
    # Memory makes the lines shorter.
    assert dps.plan(52_000_000, 256, 80, 20, 16, memory="2g").lines.m > 17
    with pytest.raises(ValueError, match="at least 1"):
        dps.plan(0, 256, 80, 20, 16)


def test_the_extension_is_found_or_what_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("DENSITY_PEAKS_EXTENSION")
    monkeypatch.setattr(worker, "_sent", lambda: None)
    with pytest.raises(ImportError, match="install the package density_peaks, or send density_peaks.duckdb_extension"):
        worker.connect()
    monkeypatch.setattr(worker, "_sent", lambda: str(tmp_path / "other.duckdb_extension"))
    with pytest.raises(ImportError, match="must be named density_peaks.duckdb_extension"):
        worker.connect()


def loaded(batches):
    """What a worker finds without the environment's file."""
    path = os.environ.pop("DENSITY_PEAKS_EXTENSION")
    try:
        with worker.connect() as con:
            version = con.execute("SELECT density_peaks_version()").fetchall()[0][0]
    finally:
        os.environ["DENSITY_PEAKS_EXTENSION"] = path
    yield pa.RecordBatch.from_arrays([pa.array([worker._sent()]), pa.array([version])], names=["path", "version"])


def test_workers_find_the_file_that_was_sent(spark, con):
    spark.sparkContext.addFile(str(EXTENSION))
    found = spark.range(2, numPartitions=2).mapInArrow(loaded, "path string, version string").collect()
    versions = {row["version"] for row in found}
    assert versions == {con.execute("SELECT density_peaks_version()").fetchall()[0][0]}
    assert all(row["path"] and row["path"] != str(EXTENSION) for row in found)


def test_a_session_without_a_folder_is_refused(spark):
    with pytest.raises(ValueError, match="needs a workdir"):
        dps.cluster_embeddings(spark.createDataFrame(arrow(blobs(5))), workdir="")

"""A small cluster on this machine, two executors of one core, and what one machine gives to compare with."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

PACKAGE = Path(__file__).resolve().parent.parent
ROOT = PACKAGE.parent
EXTENSION = Path(os.environ.get("DENSITY_PEAKS_EXTENSION", ROOT / "build/density_peaks.duckdb_extension")).absolute()
SHARED_DATA = ROOT.parent / "shared" / "data"
# Executors are processes of this environment.
os.environ["DENSITY_PEAKS_EXTENSION"] = str(EXTENSION)
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(PACKAGE), str(PACKAGE / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
)
os.environ["PYSPARK_PYTHON"] = sys.executable
os.environ["SPARK_LOCAL_IP"] = os.environ["SPARK_LOCAL_HOSTNAME"] = "127.0.0.1"
sys.path.insert(0, str(PACKAGE))
# After this folder, since it has a conftest too.
sys.path.append(str(ROOT / "tests"))
from points import blobs  # noqa: E402, F401


def missing() -> str | None:
    """What the tests with Spark need and is not here."""
    try:
        import pyspark  # noqa: F401
    except ModuleNotFoundError:
        return "needs PySpark 4.3: make test-spark installs it"
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else "java"
    if not shutil.which(java):
        return "needs Java 17 or later, and there is no java here"
    version = re.search(r'version "(\d+)', subprocess.run([java, "-version"], capture_output=True, text=True).stderr)
    if not version or int(version[1]) < 17:
        return f"needs Java 17 or later, and java is {version[1] if version else 'of no known version'}"
    return None


def pytest_configure():
    if not EXTENSION.exists():
        sys.exit(f"{EXTENSION} is missing: run `make release`")


def session(master=os.environ.get("SPARK_MASTER", "local-cluster[2,1,1024]"), **conf):
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(master).appName("density_peaks")
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "3",
        **conf,
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("OFF")
    return made


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    reason = missing()
    if reason:
        pytest.skip(reason)
    # Executors write their logs below the folder that Spark is started in.
    os.environ["SPARK_WORKER_DIR"] = str(tmp_path_factory.mktemp("executors"))
    made = session(**{"spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse"))})
    yield made
    made.stop()


@pytest.fixture
def con():
    from density_peaks_spark import worker

    with worker.connect(threads=2) as connection:
        yield connection


def arrow(embeddings: np.ndarray, ids: pa.Array | None = None) -> pa.Table:
    """A table of id and embedding, ids from 0 if none are given."""
    ids = pa.array(range(len(embeddings)), pa.int64()) if ids is None else ids
    return pa.table({"id": ids, "embedding": pa.array(list(embeddings), pa.list_(pa.float32()))})


def call(function: str, *relations: str, **given) -> str:
    """A call in SQL."""
    from density_peaks_spark.worker import literal

    named = [f"{name} := {literal(value)}" for name, value in given.items()]
    return f"FROM {function}({', '.join([*map(literal, relations), *named])})"


def assert_equal(con, many: pa.Table, sql: str) -> None:
    """That rows of Spark are those of a statement of the extension, to the last bit."""
    one = con.sql(sql).to_arrow_table()
    assert many.column_names == one.column_names
    con.register("many", many)
    con.register("one", one)
    (counts,) = con.sql("""
        SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM many),
               (SELECT count(*) FROM (FROM one EXCEPT ALL FROM many)),
               (SELECT count(*) FROM (FROM many EXCEPT ALL FROM one))
    """).fetchall()
    con.unregister("many")
    con.unregister("one")
    assert counts == (one.num_rows, one.num_rows, 0, 0)

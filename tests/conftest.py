"""What the client tests share: connections with the extension, and seeded data."""

import os
import re
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from points import blobs  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
EXTENSION = Path(
    os.environ.get("DENSITY_PEAKS_EXTENSION", ROOT / "build" / "density_peaks.duckdb_extension")
).absolute()
SHARED_DATA = ROOT.parent / "shared" / "data"

CONFIG = {
    "allow_unsigned_extensions": True,
    # Nothing comes over the network.
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
}


def connect(database=":memory:", **config) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(database, config={**CONFIG, **config})
    con.execute(f"LOAD '{EXTENSION}'")
    return con


def arrow_points(embeddings: np.ndarray, ids=None) -> pa.Table:
    """An Arrow table of id and embedding, ids from 0 if none are given."""
    values = pa.array(np.ascontiguousarray(embeddings).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(values, embeddings.shape[1])
    return pa.table({"id": pa.array(range(len(embeddings)), pa.int64()) if ids is None else ids, "embedding": column})


def create_points(con, name="faces", **shape) -> None:
    """A table of `blobs` with ids from 0."""
    points = arrow_points(blobs(**shape))
    con.register("arrow_points", points)
    con.execute(f"CREATE TABLE {name} AS SELECT id, embedding FROM arrow_points ORDER BY id")
    con.unregister("arrow_points")


def shared_file(name: str) -> str:
    """A file of ../shared/data as text for SQL; the test is skipped without it."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"needs ../shared/data/{name}, which is not here")
    return str(path)


# What requirements-optional.txt brings, as it is imported.
OPTIONAL = ("IPython", "PIL", "jinja2", "nbformat", "onnx", "onnxruntime", "pandas", "polars", "scipy", "sklearn", "vl_convert")


def skipped(found, place: tuple):
    """The report of a file or test as one that is skipped, and says so, where what it imports is not installed."""
    missing = re.search(r"ModuleNotFoundError: No module named '(\w+)'", str(found.longrepr)) if found.failed else None
    if missing and missing[1] in OPTIONAL:
        reason = f"needs {missing[1]}, which `make optional` installs"
        found.outcome, found.longrepr = "skipped", (*place, f"Skipped: {reason}")
    return found


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return skipped((yield), (str(collector.path), None))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    return skipped((yield), item.location[:2])


def pytest_configure():
    if not EXTENSION.exists():
        sys.exit(f"{EXTENSION} is missing: run `make release`")


@pytest.fixture
def con():
    with connect() as connection:
        yield connection


@pytest.fixture
def faces(con):
    """A connection with a table `faces` of 300 points."""
    create_points(con)
    return con


@pytest.fixture
def graph():
    """A connection with a table `faces` of 200 points of 16 dimensions, and their graph `g` with 6 neighbors."""
    with connect(threads=2) as connection:
        create_points(connection, points=200, dim=16, groups=20)
        connection.execute("CREATE TABLE g AS FROM knn_graph('faces', k := 6)")
        yield connection


@pytest.fixture
def save(tmp_path):
    """Write a model, or bytes; gives its path."""

    def save(model, name="model.onnx") -> str:
        path = tmp_path / name
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return str(path)

    return save

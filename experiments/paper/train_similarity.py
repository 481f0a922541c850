"""The extension's own training, `train_similarity` with nothing set but k, and the probabilities of its model."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from common import THRESHOLDS, Found, Half, linked
from run_sql import connect

NAME = "train_similarity"
SETTINGS = THRESHOLDS
EDGES = """
    SELECT p.probability / own.probability AS similarity
    FROM g JOIN p USING (src, dst) JOIN (FROM p WHERE src = dst) own USING (src) ORDER BY src, rank"""


def store(con, half: Half) -> None:
    """The tables points, whose ids are the rows, and g, their graph."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(half.points.numpy().ravel()), half.points.shape[1])
    columns = {"id": np.arange(len(half.label)), "label": half.label, "embedding": column}
    given = pa.table(columns)  # noqa: F841, read by the statement
    con.execute("CREATE OR REPLACE TABLE points AS FROM given")
    con.execute(f"CREATE OR REPLACE TABLE g AS FROM knn_graph('points', k := {half.neighbors.shape[1]})")


def fit(half: Half, seed: int):
    con = connect(threads=1)
    folder = tempfile.TemporaryDirectory()
    model = Path(folder.name) / "similarity.onnx"
    store(con, half)
    con.execute(f"CREATE TABLE log AS FROM train_similarity('points', '{model}', k := {half.neighbors.shape[1]}, seed := {seed})")

    def found(half: Half, folder: tempfile.TemporaryDirectory = folder) -> Found:
        store(con, half)
        con.execute(f"CREATE OR REPLACE TABLE p AS FROM transition_matrix('g', model := '{model}', source := 'points')")
        edges = con.execute(EDGES).fetchnumpy()["similarity"]
        return {"edges": edges.reshape(half.neighbors.shape).clip(0, 1)}

    return found


def clusters(half: Half, found: Found, threshold: float) -> np.ndarray:
    return linked(half, found["edges"], threshold)

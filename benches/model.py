"""Anchors per second of a learned model: model.py [N] [D] [K] [RUNS] [THREADS]

For each of three models, from a trivial one to the paper's network: the bare loop of Python's onnxruntime, in which
nothing but `session.run` on ready batches of 32 anchors is timed, and transition_matrix over a stored graph, from
reading the rows to the last row of the result, in turn; and the ratio of the medians.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import onnxruntime
from generated import embeddings, store
from measure import measured

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "client")]
from onnx_models import calibrated_model, transformer_model  # noqa: E402
from run_sql import connect  # noqa: E402

BATCH = 32

MODELS: dict[str, tuple[Callable, int]] = {
    # What to make, and by what to divide the number of anchors, so that a run takes seconds.
    "calibrated cosine": (calibrated_model, 1),
    "transformer, feed-forward 256": (lambda dim: transformer_model(dim, hidden=256, layers=(64, 32)), 4),
    "transformer, as in the paper": (transformer_model, 8),
}


def batches(con: duckdb.DuckDBPyConnection, graph: str, points: np.ndarray, k: int) -> list[dict[str, np.ndarray]]:
    """The inputs of each run: anchors in order, their neighbors nearest first, the distinct points of the batch."""
    rows = con.sql(f"SELECT src, dst FROM {graph} ORDER BY src, rank").fetchnumpy()
    tokens = np.column_stack([rows["src"][::k], rows["dst"].reshape(-1, k)])
    inputs = []
    for start in range(0, len(tokens), BATCH):
        distinct, places = np.unique(tokens[start : start + BATCH], return_inverse=True)
        shape = (-1, k + 1)
        inputs.append({"points": points[distinct], "neighbors": places.reshape(shape).astype(np.int64)})
    return inputs


def main(n: int = 16_000, dim: int = 256, k: int = 80, runs: int = 5, threads: int = 2) -> None:
    con = connect(threads=str(threads))
    points, _ = embeddings(n, dim)
    store(con, "faces", np.arange(n), points)
    con.execute(f"CREATE TABLE g AS FROM knn_graph('faces', k := {k})")
    print(f"N {n}, D {dim}, k {k}, {threads} threads, {runs} runs each in turn, onnxruntime {onnxruntime.__version__}")
    for name, (make, part) in MODELS.items():
        anchors = n // part
        con.execute(f"CREATE OR REPLACE TABLE part AS FROM g WHERE src < {anchors}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(make(dim).SerializeToString())
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            inputs = batches(con, "part", points, k)
            call = f"CREATE OR REPLACE TABLE p AS FROM transition_matrix('part', source := 'faces', model := '{path}')"
            loops, calls, peak = [], [], 0.0
            session.run(None, inputs[0])
            for _ in range(runs):
                start = time.perf_counter()
                for batch in inputs:
                    session.run(None, batch)
                loops.append(time.perf_counter() - start)
                _, seconds, held = measured(lambda: con.execute(call))
                calls.append(seconds)
                peak = max(peak, held)
        loop, sql = median(loops), median(calls)
        print(
            f"{name:30} {anchors:6} anchors: loop {anchors / loop:6.0f}/s, transition_matrix {anchors / sql:6.0f}/s, "
            f"ratio {loop / sql:.2f}, peak +{peak:.0f} MiB"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

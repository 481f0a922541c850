"""What the stages after the k-NN graph cost, and the memory of a run: pipeline.py [N] [D] [K] [RUNS]

Runs the graph alone, its edges stored or only counted, and the whole pipeline, nested, in turn in
one process on the same generated embeddings with heavy-tailed identities; prints the ratios of
medians, and the peak memory above what DuckDB held before.
"""

import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from run_sql import connect  # noqa: E402


def embeddings(n: int, dim: int, seed: int = 1) -> np.ndarray:
    """Unit vectors around the centers of identities, most of which are small and a few large."""
    random = np.random.default_rng(seed)
    sizes = 1 + np.minimum(random.pareto(1.1, n) * 4, 500).astype(np.int64)
    identity = np.repeat(np.arange(n), sizes)[:n]
    random.shuffle(identity)
    centers = random.standard_normal((identity.max() + 1, dim), dtype=np.float32)
    points = centers[identity]
    points += random.standard_normal((n, dim), dtype=np.float32) * 0.8
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def memory(field: str) -> float:
    """MiB of this process, from Linux: VmRSS now, VmHWM at most since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def main(n: int = 100_000, dim: int = 128, k: int = 80, runs: int = 5) -> None:
    con = connect(threads="2")
    points = embeddings(n, dim)
    column = pa.FixedSizeListArray.from_arrays(pa.array(points.reshape(-1)), dim)
    arrow = pa.table({"id": pa.array(range(n)), "embedding": column})
    con.register("arrow", arrow)
    con.execute("CREATE TABLE faces AS FROM arrow")
    con.unregister("arrow")
    del points, column, arrow
    graph = f"knn_graph('faces', k := {k})"
    transition = f"transition_matrix({graph})"
    queries = {
        "graph, counted": f"SELECT count(*) FROM {graph}",
        "graph, stored": f"CREATE OR REPLACE TABLE g AS FROM {graph}",
        "nested, stored": f"CREATE OR REPLACE TABLE c AS FROM dpc_cluster(ndde({transition}), tpdi({transition}))",
    }
    seconds = {name: [] for name in queries}
    peak = dict.fromkeys(queries, 0.0)
    for _ in range(runs):
        for name, query in queries.items():
            Path("/proc/self/clear_refs").write_text("5")
            before, start = memory("VmRSS"), time.perf_counter()
            con.execute(query).fetchall()
            seconds[name].append(time.perf_counter() - start)
            peak[name] = max(peak[name], memory("VmHWM") - before)
    print(f"N {n}, D {dim}, k {k}, 2 threads, {runs} runs each in turn")
    for name, times in seconds.items():
        print(f"{name:14} median {median(times):6.2f} s, {min(times):.2f} to {max(times):.2f}, peak +{peak[name]:.0f} MiB")
    nested = median(seconds["nested, stored"])
    for name in ("graph, stored", "graph, counted"):
        print(f"nested / {name}: {nested / median(seconds[name]):.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

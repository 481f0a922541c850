"""What the stages after the k-NN graph cost, and the memory of a run: pipeline.py [N] [D] [K] [RUNS]

Runs the graph alone, its edges stored or only counted, cluster_embeddings with nothing set but k, and the whole
pipeline by the paper's numbers, nested, in turn in one process on the same generated embeddings with heavy-tailed identities; prints the ratios of
medians, and the peak memory above what DuckDB held before.
"""

import sys
from pathlib import Path
from statistics import median

import numpy as np
from generated import embeddings, store
from measure import measured

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from run_sql import connect  # noqa: E402


def main(n: int = 100_000, dim: int = 128, k: int = 80, runs: int = 5) -> None:
    con = connect(threads="2")
    store(con, "faces", np.arange(n), embeddings(n, dim)[0])
    graph = f"knn_graph('faces', k := {k})"
    transition = f"transition_matrix({graph})"
    queries = {
        "graph, counted": f"SELECT count(*) FROM {graph}",
        "graph, stored": f"CREATE OR REPLACE TABLE g AS FROM {graph}",
        "nothing set": f"CREATE OR REPLACE TABLE c AS FROM cluster_embeddings('faces', k := {k})",
        "nested, stored": f"CREATE OR REPLACE TABLE c AS FROM dpc_cluster(ndde({transition}), tpdi({transition}))",
    }
    seconds = {name: [] for name in queries}
    peak = dict.fromkeys(queries, 0.0)
    for _ in range(runs):
        for name, query in queries.items():
            _, taken, held = measured(lambda: con.execute(query).fetchall())
            seconds[name].append(taken)
            peak[name] = max(peak[name], held)
    print(f"N {n}, D {dim}, k {k}, 2 threads, {runs} runs each in turn")
    for name, times in seconds.items():
        print(f"{name:14} median {median(times):6.2f} s, {min(times):.2f} to {max(times):.2f}, peak +{peak[name]:.0f} MiB")
    for whole in ("nothing set", "nested, stored"):
        for graph in ("graph, stored", "graph, counted"):
            print(f"{whole} / {graph}: {median(seconds[whole]) / median(seconds[graph]):.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""How time and memory grow with the number of points: growth.py D K PRECISION METHOD N...

Runs cluster_embeddings once for each N, on generated embeddings with heavy-tailed identities, each in a process of its
own; prints a Markdown table with the seconds and the peak memory above what DuckDB held.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from generated import embeddings, store
from measure import measured

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from run_sql import connect  # noqa: E402

THREADS = 2


def one(n: int, dim: int, k: int, precision: str, method: str) -> None:
    """A row of the table."""
    con = connect(threads=str(THREADS))
    store(con, "faces", np.arange(n), embeddings(n, dim)[0])
    query = (
        f"CREATE TABLE c AS FROM cluster_embeddings('faces', k := {k}, precision := '{precision}', "
        f"method := '{method}', sigma := 0.1, tau := 0.7)"
    )
    _, seconds, peak = measured(lambda: con.execute(query))
    print(f"| {n:,} | {seconds:.1f} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    dim, k, precision, method, *sizes = sys.argv[1:]
    if len(sizes) == 1:
        one(int(sizes[0]), int(dim), int(k), precision, method)
    else:
        print(f"D = {dim}, k = {k}, {precision}, {method}, threads: {THREADS}\n")
        print("| N | seconds | peak MiB |\n|--:|--:|--:|", flush=True)
        for n in sizes:
            subprocess.run([sys.executable, __file__, dim, k, precision, method, n], check=True)

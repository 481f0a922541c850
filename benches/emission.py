"""What it takes to hand a graph's edges to a table, beside DuckDB's copy of that table: emission.py N D K ROUNDS.

The graph's own threads are named; emission is the time from the last of their work to the end of the statement.
"""

import statistics
import sys
import threading
import time
from pathlib import Path

import numpy as np
from generated import embeddings, store

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from run_sql import connect  # noqa: E402

THREADS = 2


def working() -> bool:
    """Whether a thread of the graph's pool is there, by Linux."""
    for task in Path("/proc/self/task").iterdir():
        try:
            if (task / "comm").read_text().startswith("density_peaks"):
                return True
        except FileNotFoundError:
            pass
    return False


def emission(con, statement: str) -> float:
    """Seconds of a statement after its graph is done."""
    ended = []
    thread = threading.Thread(target=lambda: (con.execute(statement), ended.append(time.perf_counter())))
    thread.start()
    last = None
    while thread.is_alive():
        if working():
            last = time.perf_counter()
        elif last is not None:
            break
        time.sleep(0.001)
    thread.join()
    return ended[0] - last


if __name__ == "__main__":
    n, dim, k, rounds = map(int, sys.argv[1:])
    con = connect(threads=str(THREADS))
    store(con, "faces", np.arange(n), embeddings(n, dim)[0])
    emitted, copied = [], []
    for _ in range(rounds):
        emitted.append(emission(con, f"CREATE OR REPLACE TABLE g AS FROM knn_graph('faces', k := {k}, method := 'exact')"))
        start = time.perf_counter()
        con.execute("CREATE OR REPLACE TABLE copy AS FROM g")
        copied.append(time.perf_counter() - start)
    emit, copy = statistics.median(emitted), statistics.median(copied)
    print(f"{n:,} points, D = {dim}, k = {k}, {n * k:,} edges, {THREADS} threads, medians of {rounds}")
    print(f"emission {emit:.3f} s ({min(emitted):.3f} to {max(emitted):.3f}), copy of the table {copy:.3f} s "
          f"({min(copied):.3f} to {max(copied):.3f}), {emit / copy:.2f} times")

"""Mixed statements over 50,000 rows on eight threads, for SOAK_SECONDS: soak.py [SECONDS] [ROWS]

Some are interrupted, some fail, some leave their results half read. Every minute it prints what the process holds; at the end
it fails if resident memory, file descriptors or threads still grow after the first third, or a statement still holds memory.
"""

import gc
import os
import random
import sys
import threading
import time
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from conftest import connect  # noqa: E402

THREADS = 8
STATEMENTS = [
    "SELECT count(*) FROM knn_graph('faces', k := 10)",
    "SELECT count(*) FROM knn_graph('faces', k := 5, method := 'hnsw', connectivity := 4, expansion_add := 8)",
    "SELECT count(*) FROM knn_graph('faces', k := 5, queries := 'new', precision := 'i8')",
    "SELECT count(*) FROM transition_matrix('g')",
    "SELECT count(*) FROM linkage_cluster('p')",
    "SELECT count(*) FROM dpc_cluster(ndde('p'), tpdi('p'))",
    "SELECT count(*) FROM dpc_cluster(ndde('p'), tpdi('p'), cannot_link := 'pairs', previous := 'clusters')",
    "SELECT count(*) FROM cluster_embeddings('faces', k := 5, partition_by := 'part')",
    "SELECT count(*) FROM cluster_embeddings('texts', k := 5, sigma := 0.1, tau := 0.7)",
    "FROM suggest_splits('clusters')",
    "FROM invalid_rows('faces')",
    "SELECT count(*) FROM assign_clusters('new', 'faces', 'clusters', k := 5)",
    "SELECT count(*) FROM kmeans_cluster('faces', 20, max_iterations := 3)",
    "CREATE OR REPLACE TEMP TABLE own AS FROM knn_graph('faces', k := 3)",
    "FROM tpdi('p')",
    "FROM knn_graph('bad')",
    "FROM transition_matrix('g', sigma := -1)",
]


def held() -> dict[str, int]:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return {"MiB": resident // 1024, "files": len(os.listdir("/proc/self/fd")), "threads": len(os.listdir("/proc/self/task"))}


def main(seconds: float, rows: int) -> int:
    con = connect(threads=2, memory_limit="6GB")
    con.execute("SET enable_progress_bar = false")
    con.execute(
        f"""
        CREATE TABLE faces AS SELECT i AS id, i % 5 AS part, [hash(i // 9 * 100 + j) % 100 + hash(i * 100 + j) % 30
            FOR j IN range(12)]::FLOAT[12] AS embedding FROM range({rows}) t(i);
        CREATE TABLE texts AS SELECT 'row ' || id AS id, embedding FROM faces;
        CREATE TABLE new AS SELECT id + {rows} AS id, embedding FROM faces LIMIT 1000;
        CREATE TABLE bad AS SELECT id, if(id = {rows - 1}, NULL, embedding) AS embedding FROM faces;
        CREATE TABLE pairs AS SELECT id AS src, id + 1 AS dst FROM faces WHERE id % 500 = 0;
        CREATE TABLE g AS SELECT src, dst, distance FROM knn_graph('faces', k := 8);
        CREATE TABLE p AS FROM transition_matrix('g');
        CREATE TABLE clusters AS FROM cluster_embeddings('faces', k := 8)"""
    )
    end, counts, lock = time.monotonic() + seconds, {}, threading.Lock()

    def run(number: int) -> None:
        rng = random.Random(number)
        own = con.cursor()
        while time.monotonic() < end:
            if rng.random() < 0.05:
                own.close()
                own = con.cursor()
            interrupt = threading.Timer(rng.random(), own.interrupt) if rng.random() < 0.2 else None
            if interrupt:
                interrupt.start()
            try:
                own.execute(rng.choice(STATEMENTS))
                own.fetchone() if rng.random() < 0.2 else own.fetchall()
                outcome = "rows"
            except duckdb.InterruptException:
                outcome = "interrupted"
            except duckdb.InvalidInputException:
                outcome = "refused"
            if interrupt:
                interrupt.cancel()
                interrupt.join()
            with lock:
                counts[outcome] = counts.get(outcome, 0) + 1
        own.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    samples, start = [], time.monotonic()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(timeout=max(1.0, seconds / 60))
        samples.append(held())
        print(f"{time.monotonic() - start:6.0f} s  {samples[-1]}  {counts}", flush=True)
    for thread in threads:
        thread.join()
    con.execute("SELECT density_peaks_memory()")
    left = con.execute("SELECT density_peaks_slots(), density_peaks_memory()").fetchone()
    print(f"{sum(counts.values())} statements {counts}, slots and bytes that are held at the end: {left}, {held()}")
    third = len(samples) // 3
    growing = [
        name
        for name, room in (("MiB", 200), ("files", 2), ("threads", 4 * THREADS))
        if max(sample[name] for sample in samples[2 * third :]) > max(sample[name] for sample in samples[third : 2 * third]) + room
    ]
    if growing or left != (0, 0):
        print(f"growing: {growing}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*(list(map(int, sys.argv[1:3])) + [3600, 50_000][len(sys.argv) - 1 :])))

"""What each function says that it needs, beside what it takes: memory.py [N] [NAME...]

Each call runs in a process of its own over N generated points, on one thread and on two. The estimate is the most that the
extension held of memory_limit during the call, the peak that of the process above what it held before, what DuckDB
takes for the result included. Prints a Markdown table.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
from measure import measured

EXTENSION = os.environ.get("DENSITY_PEAKS_EXTENSION") or Path(__file__).parents[1] / "build/density_peaks.duckdb_extension"
D, K = 128, 40

TABLES = f"""
CREATE MACRO noise(i, j) AS (hash(i * 1009 + j) % 2001)::DOUBLE / 1000 - 1;
CREATE TABLE points AS SELECT i AS id, i % 10 AS part, i // 20 AS label,
    [noise(i // 20, j) + noise(i, 1000 + j) / 2 FOR j IN range({D})]::FLOAT[{D}] AS embedding FROM range($n) t(i);
CREATE TABLE texts AS SELECT repeat('x', 1000) || id AS id, embedding[:2]::FLOAT[2] AS embedding FROM points;
CREATE TABLE structs AS SELECT {{'a': id, 'b': 'text'}} AS id, embedding[:2]::FLOAT[2] AS embedding FROM points;
CREATE TABLE labelled AS FROM points LIMIT $n // 20;
CREATE TABLE new AS SELECT id + $n AS id, embedding FROM points LIMIT $n // 10;
CREATE TABLE pairs AS SELECT id AS src, id + 200 AS dst FROM points WHERE id + 200 < $n AND id % 100 = 0;
CREATE TABLE g AS SELECT i AS src, (i // 20) * 20 + (i + j) % 20 AS dst, (0.1 + hash(i, j) % 1000 / 5000)::FLOAT AS distance
FROM range($n) t(i), range(1, 20) u(j) UNION ALL
SELECT i, (i + 20 * j) % $n, (0.5 + hash(i, j) % 1000 / 5000)::FLOAT FROM range($n) t(i), range(1, {K} - 18) u(j);
CREATE TABLE r AS SELECT id, (1 + hash(id) % 1000 / 1000)::DOUBLE AS density FROM points;
CREATE TABLE p AS FROM transition_matrix('g');
CREATE TABLE d AS FROM tpdi('p');
CREATE TABLE clusters AS FROM dpc_cluster('r', 'd');
"""

CALLS = {
    "knn_graph": f"FROM knn_graph('points', k := {K})",
    "knn_graph, f16": f"FROM knn_graph('points', k := {K}, precision := 'f16')",
    "knn_graph, queries": f"FROM knn_graph('points', k := {K}, queries := 'new')",
    "knn_graph, nn_descent": f"FROM knn_graph('points', k := {K}, method := 'nn_descent')",
    "knn_graph, hnsw": f"FROM knn_graph('points', k := {K}, method := 'hnsw')",
    "transition_matrix": "FROM transition_matrix('g')",
    "transition_matrix, sigma 'auto'": "FROM transition_matrix('g', sigma := 'auto')",
    "transition_matrix, cannot_link": "FROM transition_matrix('g', cannot_link := 'pairs')",
    "auto_parameters": "FROM auto_parameters('g')",
    "ndde": "FROM ndde('p')",
    "tpdi": "FROM tpdi('p')",
    "dpc_cluster": "FROM dpc_cluster('r', 'd')",
    "linkage_cluster": "FROM linkage_cluster('p')",
    "cluster_embeddings": f"FROM cluster_embeddings('points', k := {K})",
    "cluster_embeddings, numbers": f"FROM cluster_embeddings('points', k := {K}, sigma := 0.1, tau := 0.7)",
    "cluster_embeddings, cannot_link": f"FROM cluster_embeddings('points', k := {K}, cannot_link := 'pairs')",
    "cluster_embeddings, partition_by": f"FROM cluster_embeddings('points', k := {K}, partition_by := 'part')",
    "cluster_tree": "FROM cluster_tree('p')",
    "cluster_layers": "FROM cluster_layers('p')",
    "tau_sweep": "FROM tau_sweep('r', 'd')",
    "decision_graph": "FROM decision_graph('r', 'd')",
    "cluster_summary": "FROM cluster_summary('clusters', 'points')",
    "suggest_merges": "FROM suggest_merges('clusters', 'r', 'd')",
    "suggest_splits": "FROM suggest_splits('clusters')",
    "assign_clusters": "FROM assign_clusters('new', 'points', 'clusters', k := 40)",
    "cluster_with, components": "FROM cluster_with('g', 'connected_components', threshold := 0.3)",
    "cluster_with, average_linkage": "FROM cluster_with('g', 'average_linkage', threshold := 0.3)",
    "cluster_with, dbscan": "FROM cluster_with('g', 'dbscan', epsilon := 0.3)",
    "cluster_with, rank_order": "FROM cluster_with('g', 'rank_order', threshold := 0.3)",
    "cluster_with, density_peaks": "FROM cluster_with('g', 'density_peaks', threshold := 0.4, cutoff := 0.3)",
    "cluster_with, map_equation": "FROM cluster_with('g', 'map_equation', threshold := 0.8)",
    "kmeans_cluster": "FROM kmeans_cluster('points', clusters := 100, max_iterations := 3)",
    "invalid_rows": "FROM invalid_rows('points')",
    "explain_pair": "FROM explain_pair('clusters', 0, 1)",
    "train_similarity": f"FROM train_similarity('points', '$model', k := {K}, epochs := 1, overwrite := true)",
    "train_similarity, transformer": "FROM train_similarity('labelled', '$model', k := 30, encoder := 'transformer', epochs := 1, "
    "overwrite := true)",
    "knn_graph, ids of 1 KB": "FROM knn_graph('texts', k := 5, metric := 'l2sq')",
    "knn_graph, STRUCT ids": "FROM knn_graph('structs', k := 5, metric := 'l2sq')",
    "kmeans_cluster, STRUCT ids": "FROM kmeans_cluster('structs', clusters := 2, metric := 'l2sq', max_iterations := 3)",
}

def measure(path: str, call: str, threads: int) -> None:
    con = duckdb.connect(path, read_only=True, config={"allow_unsigned_extensions": "true", "threads": threads})
    con.execute(f"SET enable_progress_bar = false; LOAD '{EXTENSION}'")
    # What DuckDB reads stays in its buffers, so it is read before.
    for (table,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall():
        columns = ", ".join(f"max(hash({name}))" for (name,) in con.execute(
            f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{table}'").fetchall())
        if f"'{table}'" in call:
            con.execute(f"SELECT {columns} FROM {table}").fetchall()
    con.execute("SELECT density_peaks_memory()").fetchall()
    (rows,), _, peak = measured(lambda: con.execute(f"SELECT count(*) FROM ({call})").fetchone())
    held = con.execute("SELECT density_peaks_memory()").fetchone()[0] / 2**20
    print(rows, held, peak)


def main(n: int, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/points.db"
        con = duckdb.connect(path, config={"allow_unsigned_extensions": "true"})
        con.execute(f"SET enable_progress_bar = false; LOAD '{EXTENSION}'")
        con.execute(TABLES.replace("$n", str(n)))
        con.close()
        print("| function | threads | rows | estimate, MiB | peak, MiB | ratio |\n|---|--:|--:|--:|--:|--:|")
        for name in names or CALLS:
            for threads in (1, 2):
                call = CALLS[name].replace("$model", f"{folder}/{threads}.onnx")
                command = [sys.executable, __file__, "--measure", path, call, str(threads)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    print(f"| {name} | {threads} | {done.stderr.splitlines()[-1]}")
                    continue
                rows, held, peak = map(float, done.stdout.split())
                print(f"| {name} | {threads} | {rows:,.0f} | {held:.0f} | {peak:.0f} | {held / peak:.2f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main(int((sys.argv[1:] or [100_000])[0]), sys.argv[2:])

"""Calls of every function with generated arguments: sql_calls.py [SECONDS] [SEED]

The functions and their parameters are those of duckdb_functions(). Each call gives rows or an error that a user can mend;
what counts as a finding is a process that ends, an error that speaks of a defect or of DuckDB's internals, a call that
takes longer than a minute, a NaN or an infinity in a result, or memory that is still held. A worker process runs the calls
of a seed and writes each down before it runs, so that a finding can be run again: sql_calls.py --calls SEED FIRST COUNT.
"""

import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from conftest import connect  # noqa: E402

# Calls of a worker before a fresh one takes over.
BATCH = 400
HANGS = 60.0

TABLES = """
CREATE TABLE faces AS SELECT i AS id, i % 12 AS label, [cos(i % 7), sin(i), i % 3]::FLOAT[3] AS embedding, i % 3 AS part
FROM range(1, 60) t(i);
CREATE TABLE odd AS SELECT unnest([1, 2, 2, NULL, 5]) AS id, unnest([[1, 'nan'::FLOAT], [0, 0], NULL, [], [1e30, 1]]) AS embedding;
CREATE TABLE texts AS SELECT 'ä' || id AS id, label::VARCHAR AS label, embedding::DOUBLE[] AS embedding, NULL AS part FROM faces;
CREATE TABLE structs AS SELECT {'a': id, 'b': [id]} AS id, label, embedding::TINYINT[3] AS embedding, part FROM faces;
CREATE TABLE wide AS SELECT id::HUGEINT AS id, [id * j % 11 FOR j IN range(1, 300)]::FLOAT[299] AS embedding FROM faces;
CREATE TABLE none AS FROM faces WHERE false;
CREATE TABLE one AS FROM faces LIMIT 1;
CREATE TABLE new AS SELECT id + 1000 AS id, label, embedding, part FROM faces LIMIT 9;
CREATE TABLE g AS SELECT src, dst, distance FROM knn_graph('faces', k := 6);
CREATE TABLE s AS SELECT src, dst, 1 - distance AS similarity FROM g;
CREATE TABLE bad_edges AS SELECT src, dst, CASE src % 4 WHEN 0 THEN 'nan'::FLOAT WHEN 1 THEN -1 ELSE distance END AS distance FROM g;
CREATE TABLE p AS FROM transition_matrix('g');
CREATE TABLE r AS FROM ndde('p');
CREATE TABLE d AS FROM tpdi('p');
CREATE TABLE clusters AS FROM dpc_cluster('r', 'd');
CREATE TABLE pairs AS SELECT 1 AS src, 9 AS dst UNION ALL SELECT 3, 4;
CREATE TABLE circle AS SELECT id, 0 AS cluster_id, 61 - id AS parent_id, 0.5 AS delta, 1.0 AS density, false AS is_peak FROM faces;
CREATE VIEW deep AS SELECT * FROM (FROM faces ORDER BY hash(id));
"""
RELATIONS = re.findall(r"(?:TABLE|VIEW) (\w+)", TABLES) + ["nothing", "", "range(3)", 'a"b', "data/none.parquet"]
NUMBERS = ["0", "1", "2", "3", "7", "80", "-1", "2147483647", "9223372036854775807", "-9223372036854775808", "1e308", "1e-320"]
NUMBERS += ["0.5", "0.7", "1.0", "'nan'::DOUBLE", "'inf'::DOUBLE", "0.1::DECIMAL(18, 17)", "170141183460469231731687303715884105727"]
OTHERS = ["NULL", "''", "'auto'", "true", "false", "[]", "[0.1, 0.9]", "['label', 'part']", "[NULL]", "{'a': 1}", "'x'::BLOB", "DATE '2020-01-01'"]
OTHERS += ["repeat('x', 100000)", "INTERVAL 1 DAY", "MAP {1: 2}", "current_setting('threads')"]
WORDS = {
    "metric": ["cosine", "ip", "l2sq", "Cosine"], "kernel": ["auto", "exp", "linear"], "precision": ["f32", "f16", "i8"],
    "method": ["auto", "exact", "nn_descent", "hnsw", "connected_components", "single_linkage", "average_linkage", "dbscan",
               "rank_order", "density_peaks", "map_equation"],
    "id": ["id", "label", "embedding", "nope", "ID"], "embedding": ["embedding", "id", "nope"], "label": ["label", "id"],
    "partition_by": ["part", "label", "id", "nope"], "encoder": ["none", "transformer", "mean"], "model": ["/nope/nope.onnx", ""],
    "undirected": ["auto"], "unknown_ids": ["skip", "error"],
}  # fmt: skip
FINE = {
    "source": ["faces", "texts", "structs", "wide"], "graph": ["g", "s"], "transition": ["p"], "density": ["r"], "distance": ["d"],
    "clusters": ["clusters"], "base": ["faces"], "queries": ["new"], "must_link": ["pairs"], "cannot_link": ["pairs"],
    "previous": ["clusters"], "labels": ["faces"], "sources": ["faces"],
}  # fmt: skip
REQUIRED = {
    "dpc_cluster": ["density", "distance"], "tau_sweep": ["density", "distance"], "decision_graph": ["density", "distance"],
    "suggest_merges": ["clusters", "density", "distance"], "cluster_summary": ["clusters", "source"],
    "explain_pair": ["clusters", "a", "b"], "assign_clusters": ["source", "base", "clusters"],
    "cluster_with": ["graph", "method", "threshold"], "kmeans_cluster": ["source", "clusters"], "knn_methods": ["n", "dim"],
    "train_similarity": ["source", "model", "epochs", "overwrite"],
}  # fmt: skip
# Values that a call is likely to take, of a parameter or of that of a function.
GOOD = {
    "k": ["1", "3", "7", "80"], "sigma": ["0.1", "'auto'", "1"], "tau": ["0.5", "'auto'", "0", "1"], "epsilon": ["0.05", "0.3"],
    "max_iterations": ["1", "50"], "min_size": ["1", "2"], "layers": ["1", "3"], "taus": ["[0.1, 0.9]"], "epochs": ["1"],
    "threshold": ["0.3", "0.9"], "patience": ["1"], "seed": ["1", "2"], "a": ["1", "7"], "b": ["2", "50"], "n": ["1000"],
    "dim": ["64"], "min_points": ["1", "3"], "cutoff": ["0.2"], "connectivity": ["4"], "overwrite": ["true", "false"],
    ("kmeans_cluster", "clusters"): ["1", "5", "59"], ("linkage_cluster", "clusters"): ["1", "5", "59"],
    ("cluster_embeddings", "clusters"): ["1", "5", "59"], ("cluster_with", "clusters"): ["1", "5"],
    ("assign_clusters", "source"): ["'new'"], ("train_similarity", "model"): ["getvariable('model')"],
    ("knn_graph", "method"): ["'auto'", "'exact'", "'hnsw'", "'nn_descent'"],
    ("cluster_embeddings", "method"): ["'auto'", "'exact'", "'hnsw'"],
    ("cluster_with", "method"): ["'connected_components'", "'single_linkage'", "'average_linkage'", "'rank_order'", "'map_equation'"],
}  # fmt: skip
NESTED = {"graph": ["knn_graph"], "transition": ["transition_matrix"], "density": ["ndde"], "distance": ["tpdi"]}


class Calls:
    """The functions, and generated calls of them."""

    def __init__(self, con: duckdb.DuckDBPyConnection):
        rows = con.execute(
            "SELECT DISTINCT function_name, function_type, parameters FROM duckdb_functions() "
            "WHERE list_contains(categories, 'density_peaks') OR function_name LIKE 'density_peaks%' ORDER BY ALL"
        ).fetchall()
        self.tables = {name: parameters for name, kind, parameters in rows if kind == "table_macro"}
        # Only SQL that a table function becomes calls the others.
        self.others = [(name, len(parameters)) for name, kind, parameters in rows if kind != "table_macro" and kind != "macro"]

    def argument(self, rng: random.Random, name: str, parameter: str, depth: int) -> str:
        if parameter in GOOD and rng.random() < 0.8 or (name, parameter) in GOOD and rng.random() < 0.9:
            return rng.choice(GOOD.get((name, parameter)) or GOOD[parameter])
        if depth < 2 and parameter in NESTED and rng.random() < 0.3:
            return self.table(rng, rng.choice(NESTED[parameter]), depth + 1)
        if parameter in FINE and rng.random() < 0.75:
            return f"'{rng.choice(FINE[parameter])}'"
        if parameter in WORDS and rng.random() < 0.8:
            return f"'{rng.choice(WORDS[parameter])}'"
        kind = rng.random()
        if kind < 0.55:
            return rng.choice(NUMBERS)
        if kind < 0.8:
            relation = rng.choice(RELATIONS).replace("'", "''")
            return f"'{relation}'"
        return rng.choice(OTHERS)

    def table(self, rng: random.Random, name: str, depth: int = 0) -> str:
        parameters = self.tables[name]
        required = REQUIRED.get(name, parameters[:1])
        given = [p for p in parameters if (p in required and rng.random() < 0.98) or rng.random() < 0.12]
        arguments = ", ".join(f"{parameter} := {self.argument(rng, name, parameter, depth)}" for parameter in given)
        return f"{name}({arguments})"

    def call(self, rng: random.Random) -> str:
        if rng.random() < 0.1:
            name, count = rng.choice(self.others)
            arguments = [rng.choice([*NUMBERS, *OTHERS, "label", "embedding", "id"]) for _ in range(count + rng.choice([0, 0, 0, -1, 1]))]
            return f"SELECT {name}({', '.join(arguments)}) FROM faces"
        call = self.table(rng, rng.choice(sorted(self.tables)))
        shape = rng.choice(["FROM {}", "FROM {}", "SELECT count(*) FROM {}", "FROM {} LIMIT 1", "FROM {0} a JOIN {0} b ON true LIMIT 3",
                            "WITH c AS MATERIALIZED (FROM {}) FROM c, c d LIMIT 5", "FROM faces, {} LIMIT 2"])  # fmt: skip
        return shape.format(call)


def is_odd(value) -> bool:
    return isinstance(value, float) and (value != value or value in (float("inf"), float("-inf")))


def finding(con: duckdb.DuckDBPyConnection, sql: str) -> str | None:
    """What is wrong with what the call gives."""
    timer = threading.Timer(HANGS, con.interrupt)
    timer.start()
    try:
        rows = con.execute(sql).fetchmany(10_000)
        own = "LIMIT" not in sql and "FROM faces" not in sql
        if own and any(is_odd(value) for row in rows for value in row):
            return "a number that is none"
    except duckdb.InterruptException:
        return "it takes longer than a minute"
    except (duckdb.InternalException, duckdb.FatalException, SystemError) as error:
        return f"{type(error).__name__}: {error}"
    except duckdb.Error as error:
        return f"{error}" if "defect" in str(error) or "panic" in str(error) else None
    except (OverflowError, ValueError, UnicodeDecodeError):
        return None
    finally:
        timer.cancel()
    return None


def work(seed: int, first: int, count: int) -> None:
    """Run calls; each is written down before it runs."""
    con = connect(threads=2, memory_limit="2GB")
    con.execute("SET enable_progress_bar = false")
    con.execute(TABLES)
    # Models are written wherever a call says, so relative paths begin in a folder of their own.
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    con.execute(f"SET VARIABLE model = '{folder}/similarity.onnx'")
    calls = Calls(con)
    for at in range(first, first + count):
        sql = calls.call(random.Random(seed * 1_000_003 + at))
        print(f"{at}\t{sql[:2000]}", flush=True)
        found = finding(con, sql)
        if found:
            print(f"!{at}\t{found}", flush=True)
    held = con.execute("SELECT density_peaks_slots()").fetchone()
    print("end" if held == (0,) else f"!{first}\t{held} slots are held", flush=True)
    os._exit(0)


def main(seconds: float, seed: int) -> int:
    start, first, findings, calls = time.monotonic(), 0, 0, 0
    while time.monotonic() - start < seconds:
        command = [sys.executable, __file__, "--calls", str(seed), str(first), str(BATCH)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        lines = done.stdout.splitlines()
        calls += sum(line[:1].isdigit() for line in lines)
        for line in lines:
            if line.startswith("!"):
                findings += 1
                print(line[:600], next((other[:600] for other in lines if other.startswith(line[1:].split("\t")[0] + "\t")), ""))
        if not lines or lines[-1] != "end" and not lines[-1].startswith("!"):
            findings += 1
            print(f"the process ended with {done.returncode} in: {lines[-1:]} {done.stderr[-800:]}")
        first += BATCH
    print(f"{calls} calls in {time.monotonic() - start:.0f} seconds, {findings} findings (seed {seed})")
    return findings


if __name__ == "__main__":
    if sys.argv[1:2] == ["--calls"]:
        work(*map(int, sys.argv[2:5]))
    else:
        seconds, seed = (*map(int, sys.argv[1:3]), 60, 1)[: len(sys.argv) - 1] + (60, 1)[len(sys.argv) - 1 :]
        sys.exit(min(1, main(seconds, seed)))

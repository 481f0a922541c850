"""Processor time and memory of the scores as aggregates: aggregates.py [ROWS] [THREADS]

Rows whose labels and clusters come in random order, some 17 to a label; the same as text; each row a pair of its own;
and small groups of five rows.
"""

import sys
import time
from pathlib import Path

from measure import measured

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from run_sql import connect  # noqa: E402


def main(rows: int = 10_000_000, threads: int = 2) -> None:
    con = connect(threads=str(threads))
    labels = rows * 6 // 100
    con.execute(f"""
        CREATE TABLE numbers AS
        SELECT hash(i) % {labels} AS label, hash(i - i % 10 // 9) % {labels} AS cluster FROM range({rows}) t(i);
        CREATE TABLE texts AS
        SELECT 'person number ' || label AS label, 'cluster number ' || cluster AS cluster FROM numbers;
        CREATE TABLE alone AS SELECT i AS label, hash(i) AS cluster FROM range({rows}) t(i);
        CREATE TABLE groups AS SELECT i // 5 AS g, i % 3 AS label, i % 2 AS cluster FROM range({rows // 20}) t(i);
    """)
    queries = {
        f"{score}, {table}": f"SELECT {score}(label, cluster) FROM {table}"
        for table, scores in {
            "numbers": ("pairwise_f", "bcubed_f", "adjusted_rand", "normalized_mutual_info"),
            "texts": ("bcubed_f",),
            "alone": ("bcubed_f",),
        }.items()
        for score in scores
    }
    of_groups = "SELECT bcubed_f(label, cluster) AS score FROM groups GROUP BY g"
    queries["bcubed_f, groups of 5"] = f"SELECT count(score) FROM ({of_groups})"
    print(f"{rows:,} rows, {labels:,} labels, {threads} threads; {rows // 100:,} groups")
    for name, query in queries.items():
        start = time.process_time()
        _, wall, held = measured(lambda query=query: con.execute(query).fetchall())
        print(f"{name:32} {time.process_time() - start:6.2f} s of processor time, {wall:6.2f} s, peak +{held:.0f} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

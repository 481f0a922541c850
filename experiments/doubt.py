"""How many true errors come first among what is suggested to look at, as docs/results.md has it: doubt.py [--write]

Clusters with nothing set, on each labelled set. A merge is an error found if most rows of both clusters have the
same label; a cluster is one if it has rows of two labels.
"""

import sys

import duckdb
from results import UNLABELLED, put, table
from run_sql import connect

FIRST = 100
HEADER = [
    *("", "clusters", "of two labels", "pairs of one label"),
    *("weakest link", "cohesion", "**doubt**", "delta", "**score**"),
]
# Ranking -> the clusters, or pairs of clusters, in its order.
CLUSTERS = {
    "weakest link": "SELECT cluster_id AS a FROM suggest_splits('clusters') ORDER BY delta DESC, a",
    "cohesion": "SELECT cluster_id AS a FROM summary WHERE size > 1 ORDER BY cohesion, a",
    "doubt": "SELECT cluster_id AS a FROM summary WHERE size > 1 ORDER BY doubt DESC, a",
}
PAIRS = {
    "delta": """SELECT cluster_id AS a, other_cluster_id AS b
                FROM suggest_merges('clusters', ndde('p'), tpdi('p')) ORDER BY delta, a, b""",
    "score": "SELECT cluster_id AS a, other_cluster_id AS b FROM suggest_merges('clusters', 'faces') ORDER BY score DESC, a, b",
}


def found(con: duckdb.DuckDBPyConnection, sql: str, is_error: str) -> str:
    """The errors among the first by that order."""
    errors, looked_at = con.execute(f"""
        SELECT count(*) FILTER ({is_error}), count(*) FROM (FROM ({sql}) LIMIT {FIRST}) s
        JOIN truth x ON x.cluster_id = a {"JOIN truth y ON y.cluster_id = b" if sql in PAIRS.values() else ""}""").fetchone()
    return str(errors) if looked_at == FIRST else f"{errors} of {looked_at}"


def row(name: str) -> tuple:
    path, rows = UNLABELLED[name]
    con = connect()
    con.execute(f"""
        CREATE TABLE faces AS FROM '{path}' WHERE {rows};
        CREATE TABLE clusters AS FROM cluster_embeddings('faces');
        CREATE TABLE p AS FROM transition_matrix(knn_graph('faces', copies := 3), sigma := 'auto');
        CREATE TABLE summary AS FROM cluster_summary('clusters', 'faces');
        CREATE TABLE truth AS
        SELECT cluster_id, mode(label ORDER BY label) AS label, count(DISTINCT label) > 1 AS impure
        FROM clusters JOIN faces USING (id) GROUP BY cluster_id""")
    counts = con.execute("""
        SELECT count(*), count(*) FILTER (impure),
               (SELECT sum(n * (n - 1) / 2)::BIGINT FROM (SELECT count(*) AS n FROM truth GROUP BY label))
        FROM truth""").fetchone()
    splits = [found(con, sql, "x.impure") for sql in CLUSTERS.values()]
    return (name, *counts, *splits, *(found(con, sql, "x.label = y.label") for sql in PAIRS.values()))


def main(write: bool) -> None:
    missing = [path.name for path, _ in UNLABELLED.values() if not path.exists()]
    if missing:
        print(f"no {', '.join(missing)}, left as it is")
        return
    put("doubt", table(HEADER, [row(name) for name in UNLABELLED]), write)


if __name__ == "__main__":
    main("--write" in sys.argv[1:])

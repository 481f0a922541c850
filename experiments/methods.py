"""Other methods beside dpc_cluster, as docs/results.md has them: methods.py [--write]

For each file of ../shared/data the parameters of each method are those of the greatest BCubed F on the train half, from
the grids below; scores and times are of the test half. Without the files the page stays as it is.
"""

import itertools
import re
import sys
import time
from pathlib import Path

import duckdb
from results import PAGE, SHARED, swept, table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from run_sql import connect  # noqa: E402

SETS = {
    "LFW": SHARED / "lfw_mobilefacenet.parquet",
    "LFW at 24 pixels": SHARED / "lfw_lowres24_mobilefacenet.parquet",
    "MusicBrainz": SHARED / "musicbrainz20k_minilm.parquet",
}
# The tables on the page, up to the text that follows them.
SECTION = re.compile(r"^\| method \| LFW: .*?\n(?=\n[^|]|\Z)", re.DOTALL | re.MULTILINE)
THREADS = 2
TIMES = 3
NEIGHBORS = [5, 10, 20, 80]
# To average linkage what is no edge is far, so that it needs more of them.
MANY_NEIGHBORS = 320
DISTANCES = [at / 20 for at in range(3, 14)]
# Method -> parameter -> values.
GRIDS = {
    "connected_components": {"threshold": DISTANCES},
    "average_linkage": {"threshold": DISTANCES},
    "dbscan": {"epsilon": DISTANCES, "min_points": [2, 3]},
    "rank_order": {"threshold": [0, 0.1, 0.2, 0.3, 0.5, 0.7, 1]},
    "density_peaks": {"threshold": DISTANCES, "cutoff": [0.2, 0.4]},
    "map_equation": {"threshold": DISTANCES, "sigma": [0.05, 0.1, 0.2]},
}
SIGMAS, TAUS = [0.06, 0.08, 0.1, 0.15], [at / 100 for at in range(50, 96, 5)]
NAMES = {
    "kmeans": "k-means, given the true number of clusters",
    "connected_components": "connected components, which is single linkage",
    "average_linkage": "average linkage",
    "dbscan": "DBSCAN",
    "rank_order": "approximate rank-order",
    "density_peaks": "density peaks, as published",
    "map_equation": "map equation",
    "ours": "`cluster_embeddings`",
}
SCORES = """pairwise_f(label, cluster_id).f, bcubed_f(label, cluster_id).f, normalized_mutual_info(label, cluster_id)
            FROM faces JOIN clusters USING (id)"""


def half(name: str, split: str) -> duckdb.DuckDBPyConnection:
    con = connect(threads=THREADS)
    con.execute(f"CREATE TABLE faces AS SELECT id, label, embedding FROM '{SETS[name]}' WHERE split = '{split}'")
    return con


def arguments(values: dict) -> str:
    return ", ".join(f"{name} := {value}" for name, value in values.items())


def best(runs: list[tuple[float, str]]) -> str:
    """The call of the greatest score, of equals the first."""
    return max(runs, key=lambda run: run[0])[1]


def choose(name: str) -> dict[str, str]:
    """Each method's call, by the train half."""
    con = half(name, "train")
    runs: dict[str, list] = {method: [] for method in [*GRIDS, "ours"]}
    for k in [*NEIGHBORS, MANY_NEIGHBORS]:
        con.execute(f"CREATE OR REPLACE TABLE g AS FROM knn_graph('faces', k := {k})")
        for method, grid in GRIDS.items():
            if k == MANY_NEIGHBORS and method != "average_linkage":
                continue
            for values in itertools.product(*grid.values()):
                given = f"method := '{method}', {arguments(dict(zip(grid, values, strict=True)))}"
                con.execute(f"CREATE OR REPLACE TABLE clusters AS FROM cluster_with('g', {given})")
                ((_, score, _),) = con.execute(f"SELECT {SCORES}").fetchall()
                runs[method].append((score, f"cluster_with(knn_graph('faces', k := {k}), {given})"))
        for score, sigma, tau in swept(con, SIGMAS if k < MANY_NEIGHBORS else [], TAUS):
            runs["ours"].append((score, f"cluster_embeddings('faces', k := {k}, sigma := {sigma}, tau := {tau})"))
    return {method: best(found) for method, found in runs.items()}


def measure(con: duckdb.DuckDBPyConnection, call: str) -> tuple:
    """Clusters, scores and the least of a few times of a call."""
    seconds = []
    for _ in range(TIMES):
        start = time.perf_counter()
        con.execute(f"CREATE OR REPLACE TABLE clusters AS FROM {call}")
        seconds.append(time.perf_counter() - start)
    (row,) = con.execute(f"SELECT count(DISTINCT cluster_id), {SCORES}").fetchall()
    return *row, min(seconds)


def sections() -> str:
    """One table of scores and one of the calls."""
    scores, calls, header = {method: [] for method in NAMES}, [], ["method"]
    for name in SETS:
        con = half(name, "test")
        ((points, identities),) = con.execute("SELECT count(*), count(DISTINCT label) FROM faces").fetchall()
        chosen = {"kmeans": f"kmeans_cluster('faces', clusters := {identities})", **choose(name)}
        for method in NAMES:
            clusters, *found, seconds = measure(con, chosen[method])
            scores[method] += [*found, f"{seconds:.2f}"]
            calls.append((name, NAMES[method], f"{clusters:,}", f"`{chosen[method]}`"))
        header += [f"{name}: pairwise F", "BCubed F", "NMI", "s"]
        print(f"{name}: {points:,} rows, {identities:,} identities", flush=True)
    found = table(header, [(NAMES[method], *values) for method, values in scores.items()])
    return f"{found}\n\n{table(['set', 'method', 'clusters', 'call'], calls)}\n"


def main(write: bool) -> None:
    missing = [path.name for path in SETS.values() if not path.exists()]
    if missing:
        print(f"no {', '.join(missing)}: the page is left as it is")
        return
    text = sections()
    if not write:
        print(text)
        return
    page, found = SECTION.subn(lambda _: text, PAGE.read_text())
    assert found == 1, f"{PAGE.name} has no tables of other methods"
    PAGE.write_text(page)


if __name__ == "__main__":
    main("--write" in sys.argv[1:])

"""The table that docs/results.md opens with: comparison.py [--write]

Each set of ../shared/data by cluster_embeddings with nothing set, by the paper's own pipeline and numbers, by the best
setting by the labels of four methods, and by HDBSCAN, EVoC and Infomap with their defaults, of the packages in
experiments/requirements.txt. Without the files or the packages the page stays as it is. A row that a method leaves out
as noise counts as a cluster of its own. Seconds are of one run each, with the reading of the embeddings.
"""

import importlib.util
import itertools
import sys
import time

import numpy as np
from methods import SCORES, connect
from results import GRID_K, GRID_SIGMA, GRID_TAU, SHARED, put, swept, table

THREADS = 2
SETS = {
    "LFW, test half": ("lfw_mobilefacenet", "split = 'test'"),
    "LFW at 24 pixels, test half": ("lfw_lowres24_mobilefacenet", "split = 'test'"),
    "MusicBrainz, test half": ("musicbrainz20k_minilm", "split = 'test'"),
    "songs": ("songs", "true"),
    "Cora": ("cora_minilm", "true"),
    "CLINC150, test half": ("clinc150_minilm", "split = 'test'"),
}
DISTANCES = [at / 20 for at in range(2, 16)]
# Method of cluster_with -> parameter -> values.
TUNED = {
    "map_equation": {"threshold": [*DISTANCES, 1], "sigma": [0.05, 0.1, 0.2, 1]},
    "average_linkage": {"threshold": DISTANCES},
    "connected_components": {"threshold": DISTANCES},
}
SIGMAS = (*GRID_SIGMA, 0.15)


def hdbscan(points: np.ndarray) -> np.ndarray:
    from hdbscan import HDBSCAN

    return HDBSCAN().fit_predict(points)


def evoc(points: np.ndarray) -> np.ndarray:
    from evoc import EVoC

    return EVoC().fit_predict(points)


def infomap(con, points: np.ndarray) -> np.ndarray:
    """On the graph of 20 neighbors, each link weighed by its cosine."""
    from infomap import Infomap

    edges = con.execute("SELECT src, dst, 1 - distance FROM knn_graph('numbered', k := 20)").fetchnumpy()
    network = Infomap("--two-level --silent --directed")
    for src, dst, weight in zip(*edges.values(), strict=True):
        network.add_link(int(src), int(dst), float(max(weight, 0)))
    network.run()
    found = {node.node_id: node.module_id for node in network.nodes}
    return np.array([found.get(at, -1) for at in range(len(points))])


def of_labels(con) -> dict[str, str]:
    """The call of the greatest BCubed F of each method."""
    best: dict[str, tuple[float, str]] = {}

    def consider(name: str, call: str, score: float) -> None:
        if score > best.get(name, (0, ""))[0]:
            best[name] = (score, call)

    for k in GRID_K:
        con.execute(f"CREATE OR REPLACE TABLE g AS FROM knn_graph('faces', k := {k})")
        for method, grid in TUNED.items():
            for values in itertools.product(*grid.values()):
                arguments = ", ".join(f"{name} := {value}" for name, value in zip(grid, values, strict=True))
                con.execute(f"CREATE OR REPLACE TABLE clusters AS FROM cluster_with('g', '{method}', {arguments})")
                ((_, score, _),) = con.execute(f"SELECT {SCORES}").fetchall()
                consider(method, f"cluster_with(knn_graph('faces', k := {k}), '{method}', {arguments})", score)
        for score, sigma, tau in swept(con, SIGMAS, GRID_TAU):
            call = f"cluster_embeddings('faces', k := {k}, sigma := {sigma}, tau := {tau})"
            consider("dpc_cluster", call, score)
    return {method: call for method, (_, call) in best.items()}


def sections() -> str:
    rows = []
    for name, (file, where) in SETS.items():
        con = connect(threads=THREADS)
        path = SHARED / f"{file}.parquet"
        con.execute(f"CREATE TABLE faces AS SELECT id, label, embedding FROM '{path}' WHERE {where} ORDER BY id")
        con.execute("CREATE VIEW numbered AS SELECT row_number() OVER (ORDER BY id) - 1 AS id, embedding FROM faces")
        calls = {
            "**nothing set**": "cluster_embeddings('faces')",
            "the paper's pipeline and numbers": "cluster_embeddings('faces', k := 80, sigma := 0.1, tau := 0.7)",
        }
        names = {"map_equation": "map equation", "average_linkage": "average linkage"}
        names |= {"connected_components": "components", "dpc_cluster": "the paper's pipeline"}
        calls |= {f"{names[method]}, best by the labels": call for method, call in of_labels(con).items()}

        def score(method: str, seconds: float, con=con, name=name) -> None:
            query = f"SELECT count(DISTINCT cluster_id), {SCORES}"
            ((clusters, pairwise, bcubed, _),) = con.execute(query).fetchall()
            rows.append((name, method, pairwise, bcubed, f"{clusters:,}", f"{seconds:.1f}"))
            print(rows[-1], flush=True)

        for method, call in calls.items():
            start = time.perf_counter()
            con.execute(f"CREATE OR REPLACE TABLE clusters AS SELECT id, cluster_id FROM {call}")
            score(method, time.perf_counter() - start)
        packages = {"HDBSCAN": hdbscan, "EVoC": evoc, "Infomap, 20 neighbors": lambda points, con=con: infomap(con, points)}
        for method, function in packages.items():
            start = time.perf_counter()
            (embeddings,) = con.execute("SELECT embedding FROM faces ORDER BY id").fetchnumpy().values()
            points = np.stack(embeddings).astype(np.float32)
            points /= np.linalg.norm(points, axis=1, keepdims=True)
            labels = np.array(function(points))
            noise = np.flatnonzero(labels < 0)
            labels[noise] = labels.max() + 1 + np.arange(len(noise))
            seconds = time.perf_counter() - start
            (ids,) = con.execute("SELECT id FROM faces ORDER BY id").fetchnumpy().values()
            found = {"id": ids, "cluster_id": labels.astype(np.int64)}  # noqa: F841, read by the statement
            con.execute("CREATE OR REPLACE TABLE clusters AS FROM found")
            score(method, seconds)
    return table(["set", "method", "pairwise F", "BCubed F", "clusters", "s"], rows)


def main(write: bool) -> None:
    files = [SHARED / f"{file}.parquet" for file, _ in SETS.values()]
    missing = [path.name for path in files if not path.exists()]
    missing += [package for package in ("hdbscan", "evoc", "infomap") if not importlib.util.find_spec(package)]
    if missing:
        print(f"no {', '.join(missing)}: the page is left as it is")
        return
    put("comparison", sections(), write)


if __name__ == "__main__":
    main("--write" in sys.argv[1:])

"""What peers.py compares, each run in a process of its own: contenders.py NAME DIRECTORY K THREADS

Reads the arrays in the directory, does the work once, and leaves the result there as NAME.npy: the neighbors of each
point, -1 where one is absent, or its cluster, -1 for noise. NAME.json tells the seconds and the peak memory of the
work alone, without reading, imports and compilation, or the error.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import log2, sqrt
from pathlib import Path

import numpy as np
from generated import store
from measure import measured
from scores import SIGMA

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from run_sql import connect  # noqa: E402

WARM = 2000  # points on which a library that compiles while it runs is run first


@dataclass
class Task:
    directory: Path
    k: int
    threads: int

    def load(self, name: str) -> np.ndarray:
        return np.load(self.directory / f"{name}.npy")

    def save(self, name: str, array: np.ndarray) -> None:
        np.save(self.directory / f"{name}.npy", array)


@dataclass
class Contender:
    """`prepare` takes a Task and returns the work, and what makes the array from the work's result."""

    label: str
    prepare: Callable
    limit: int | None = None  # the most points it is run on


def database(task: Task):
    """The points in a table of an in-memory database, and their number."""
    con = connect(threads=str(task.threads))
    points = task.load("points")
    store(con, "faces", np.arange(len(points)), points)
    return con, len(points)


def our_graph(method: str, sample: str | None = None) -> Callable:
    """Neighbors of all points, or only of those in the array `sample`."""

    def prepare(task):
        con, n = database(task)
        rows, queries = np.arange(n), ""
        if sample is not None:
            rows, queries = task.load(sample), ", queries := 'sample'"
            store(con, "sample", rows, task.load("points")[rows])
        graph = f"knn_graph('faces', k := {task.k}, method := '{method}'{queries})"

        def result(_):
            edges = con.sql("SELECT src, rank - 1 AS at, dst::INTEGER AS dst, distance FROM g").fetchnumpy()
            place = np.searchsorted(rows, edges["src"]), edges["at"]
            found = np.full((len(rows), task.k), -1, np.int32)
            found[place] = edges["dst"]
            if method == "exact":
                distances = np.empty(found.shape, np.float32)
                distances[place] = edges["distance"]
                task.save("distances", distances)
            return found

        return lambda: con.execute(f"CREATE TABLE g AS FROM {graph}"), result

    return prepare


def without_self(found: np.ndarray) -> np.ndarray:
    """Drop each point from its own neighbors, or the last of them where it is not among them."""
    drop = found == np.arange(len(found))[:, None]
    drop[:, -1] |= ~drop.any(axis=1)
    return found[~drop].reshape(len(found), -1).astype(np.int32)


def faiss_flat(task):
    import faiss

    points = task.load("points")

    def work():
        index = faiss.IndexFlatIP(points.shape[1])
        index.add(points)
        return index.search(points, task.k + 1)[1]

    return work, without_self


def faiss_ivf(task):
    import faiss

    points = task.load("points")
    n, dim = points.shape
    cells = 2 ** round(log2(4 * sqrt(n)))

    def work():
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, cells, faiss.METRIC_INNER_PRODUCT)
        index.train(points)
        index.add(points)
        index.nprobe = 64
        return index.search(points, task.k + 1)[1]

    return work, without_self


def hnswlib(task):
    from hnswlib import Index

    points = task.load("points")

    def work():
        index = Index("ip", points.shape[1])
        index.init_index(len(points), M=16, ef_construction=128)
        index.set_ef(max(128, task.k + 1))
        index.add_items(points, num_threads=task.threads)
        return index.knn_query(points, task.k + 1, num_threads=task.threads)[0]

    return work, lambda found: without_self(found.astype(np.int64))


def usearch(precision: str) -> Callable:
    def prepare(task):
        from usearch.index import Index

        points = task.load("points")
        n, dim = points.shape

        def work():
            index = Index(
                ndim=dim, metric="cos", dtype=precision, connectivity=16, expansion_add=128, expansion_search=128
            )
            index.add(np.arange(n), points, threads=task.threads)
            return index.search(points, task.k + 1, threads=task.threads)

        def result(matches):
            found = matches.keys.astype(np.int64)
            found[np.arange(task.k + 1) >= matches.counts[:, None]] = -1
            return without_self(found)

        return work, result

    return prepare


def pynndescent(task):
    from pynndescent import NNDescent

    points = task.load("points")

    def work(points=points):
        return NNDescent(points, metric="cosine", n_neighbors=task.k + 1, n_jobs=task.threads).neighbor_graph[0]

    work(points[:WARM])
    return work, without_self


def our_clusters(method: str) -> Callable:
    def prepare(task):
        con, _ = database(task)
        clusters = f"cluster_embeddings('faces', k := {task.k}, method := '{method}', sigma := 0.1, tau := 0.7)"

        def result(_):
            return con.sql("SELECT cluster_id FROM c ORDER BY id").fetchnumpy()["cluster_id"]

        return lambda: con.execute(f"CREATE TABLE c AS FROM {clusters}"), result

    return prepare


def fast_hdbscan(task):
    from fast_hdbscan import HDBSCAN

    points = task.load("points")

    def work(points=points):
        return HDBSCAN(min_cluster_size=2).fit_predict(points)

    work(points[:WARM])
    return work, np.asarray


def hdbscan(task):
    from sklearn.cluster import HDBSCAN

    points = task.load("points")
    return lambda: HDBSCAN(min_cluster_size=2, n_jobs=task.threads, copy=False).fit_predict(points), np.asarray


def dbscan(task):
    from sklearn.cluster import DBSCAN

    # On unit vectors a Euclidean distance of 1 is a cosine distance of 0.5.
    points = task.load("points")
    return lambda: DBSCAN(eps=1.0, min_samples=2, n_jobs=task.threads).fit_predict(points), np.asarray


def infomap(task):
    from infomap import Infomap

    if not (task.directory / "exact.npy").exists():
        raise ValueError("needs the graph of exact in the same run")
    found = task.load("exact")
    weight = np.exp(-task.load("distances") / SIGMA)
    source = np.repeat(np.arange(len(found)), task.k)
    links = np.column_stack([source, found.ravel(), weight.ravel()])

    def work():
        network = Infomap(silent=True, two_level=True)
        network.add_links(links)
        return network.run()

    def result(partition):
        labels = np.full(len(found), -1)
        module = partition.modules()
        labels[np.fromiter(module.keys(), np.int64)] = np.fromiter(module.values(), np.int64)
        return labels

    return work, result


GRAPHS = {
    "exact": Contender("density_peaks, exact", our_graph("exact")),
    "nn_descent": Contender("density_peaks, nn_descent", our_graph("nn_descent")),
    "faiss-flat": Contender("faiss IndexFlatIP", faiss_flat),
    "faiss-ivf": Contender("faiss IndexIVFFlat, 4√N cells, nprobe 64", faiss_ivf),
    "hnswlib": Contender("hnswlib, M 16, ef 128", hnswlib),
    "usearch-f32": Contender("usearch f32, connectivity 16, expansion 128", usearch("f32")),
    "usearch-f16": Contender("usearch f16, connectivity 16, expansion 128", usearch("f16")),
    "usearch-i8": Contender("usearch i8, connectivity 16, expansion 128", usearch("i8")),
    "pynndescent": Contender("pynndescent", pynndescent),
}
CLUSTERINGS = {
    "clusters": Contender("density_peaks, cluster_embeddings", our_clusters("exact")),
    "clusters-nn_descent": Contender("density_peaks, cluster_embeddings by nn_descent", our_clusters("nn_descent")),
    "fast_hdbscan": Contender("fast_hdbscan, min_cluster_size 2", fast_hdbscan),
    "hdbscan": Contender("scikit-learn HDBSCAN, min_cluster_size 2", hdbscan, limit=20_000),
    "dbscan": Contender("scikit-learn DBSCAN, eps 1, min_samples 2", dbscan, limit=200_000),
    "infomap": Contender("Infomap, two-level, without the graph", infomap, limit=200_000),
}
# The exact neighbors of a sample, to compare with where the whole exact graph takes too long.
SAMPLE = {"sample": Contender("", our_graph("exact", sample="rows"))}
CONTENDERS = GRAPHS | CLUSTERINGS | SAMPLE


def run(name: str, task: Task) -> dict:
    try:
        work, result = CONTENDERS[name].prepare(task)
        value, seconds, peak = measured(work)
        task.save(name, result(value))
    except Exception as error:  # whatever a library raises goes into the table
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {"seconds": seconds, "peak": peak}


if __name__ == "__main__":
    contender, directory, k, threads = sys.argv[1:]
    outcome = run(contender, Task(Path(directory), int(k), int(threads)))
    (Path(directory) / f"{contender}.json").write_text(json.dumps(outcome))

"""How much of the exact k-NN graph another one holds, and how well a clustering finds the identities."""

import numpy as np

SIGMA = 0.1  # the scale of the weight exp(-distance / sigma), as in cluster_embeddings
BLOCK = 2048  # rows that are compared at a time


def graph_scores(points, identity, rows, exact, distances, found) -> dict[str, float]:
    """Compare `found` [n, k], -1 where a neighbor is absent, with the `exact` neighbors [r, k] of `rows` [r]."""
    hits = same_hits = same_all = whole = mass = 0
    for start in range(0, len(rows), BLOCK):
        row = rows[start : start + BLOCK]
        wanted, got = exact[start : start + BLOCK], found[row]
        # A key tells both the row and the neighbor, so that one set operation serves the whole block.
        key = np.arange(len(row))[:, None] * (len(points) + 1) + 1
        hit = np.isin(key + wanted, key + got)
        same = identity[wanted] == identity[row][:, None]
        weight = np.exp(-distances[start : start + BLOCK] / SIGMA)
        held = (weight * hit).sum(axis=1)
        at, other = np.nonzero((got >= 0) & ~np.isin(key + got, key + wanted))
        cosine = np.einsum("ij,ij->i", points[row[at]], points[got[at, other]])
        held += np.bincount(at, np.exp(np.minimum(cosine - 1, 0) / SIGMA), len(row))
        hits += hit.sum()
        same_hits += (hit & same).sum()
        same_all += same.sum()
        whole += hit.all(axis=1).sum()
        mass += (held / weight.sum(axis=1)).sum()
    return {
        "recall": hits / exact.size,
        "same identity": same_hits / same_all,
        "mass": mass / len(rows),
        "whole rows": whole / len(rows),
    }


def clustering_scores(labels: np.ndarray, identity: np.ndarray) -> dict[str, float]:
    """Clusters, pairwise F and BCubed F; a point with a negative label is a cluster of its own."""
    n = len(labels)
    labels = np.where(labels < 0, labels.max() + 1 + np.arange(n), labels)
    _, cluster = np.unique(labels, return_inverse=True)
    _, person = np.unique(identity, return_inverse=True)
    cells, both = np.unique(cluster * n + person, return_counts=True)
    of_cluster, of_person = np.bincount(cluster), np.bincount(person)

    def pairs(counts):
        return (counts * (counts - 1) / 2).sum()

    precision = (both**2 / of_cluster[cells // n]).sum() / n
    recall = (both**2 / of_person[cells % n]).sum() / n
    return {
        "clusters": len(of_cluster),
        "pairwise F": 2 * pairs(both) / (pairs(of_cluster) + pairs(of_person)),
        "BCubed F": 2 * precision * recall / (precision + recall),
    }

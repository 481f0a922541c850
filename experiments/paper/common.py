"""What the methods of experiments/table1.py share: halves, networks, training, cuts and scores.

A method is a module with `fit(half, seed)`, which gives a function from a half to what it found there, `SETTINGS`,
among which its own last step is chosen, and `clusters(half, found, setting)`, that last step. What is found is a dict
of arrays with a row a point: `edges` has the probability of each edge of the k-NN graph, where the method gives one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

Found = dict[str, np.ndarray]
THRESHOLDS = [0.01, 0.03, *(at / 20 for at in range(1, 20)), 0.97, 0.98, 0.99, 0.995, 0.999]


@dataclass
class Half:
    """Points numbered from 0, and their k-NN graph, nearest first."""

    points: Tensor  # n x d, of length 1
    label: np.ndarray  # n
    neighbors: Tensor  # n x k
    similarity: Tensor  # n x k, cosines
    # The same rows by another model, for a committee.
    other: Tensor | None = None

    @property
    def same(self) -> Tensor:
        """n x k: whether an edge's ends share a label."""
        label = torch.from_numpy(self.label)
        return (label[self.neighbors] == label[:, None]).float()

    def directed(self) -> tuple[np.ndarray, np.ndarray]:
        """The ends of all edges."""
        n, k = self.neighbors.shape
        return np.repeat(np.arange(n), k), self.neighbors.numpy().ravel()


def half(con, rows: str, k: int, others: str | None = None) -> Half:
    """Of a query of id, label, embedding; `others` is a query of id and another embedding."""
    con.execute(f"CREATE OR REPLACE TABLE labelled AS FROM ({rows})")
    con.execute("""
        CREATE OR REPLACE TABLE numbered AS
        SELECT row_number() OVER (ORDER BY id) - 1 AS id, id AS named, label, embedding FROM labelled ORDER BY id""")
    found = con.execute("SELECT label, embedding FROM numbered ORDER BY id").fetchnumpy()
    edges = con.execute(f"SELECT dst, distance FROM knn_graph('numbered', k := {k}) ORDER BY src, rank").fetchnumpy()
    shape = (len(found["label"]), -1)
    made = Half(
        unit(found["embedding"]),
        np.unique(found["label"], return_inverse=True)[1],
        torch.from_numpy(edges["dst"].astype(np.int64).reshape(shape)),
        1 - torch.from_numpy(edges["distance"].astype(np.float32).reshape(shape)),
    )
    if others is not None:
        query = f"SELECT o.embedding FROM numbered n JOIN ({others}) o ON o.id = n.named ORDER BY n.id"
        made.other = unit(con.execute(query).fetchnumpy()["embedding"])
    return made


def unit(lists: np.ndarray) -> Tensor:
    return nn.functional.normalize(torch.from_numpy(np.stack(lists).astype(np.float32)))


def mean_of_neighbors(values: Tensor, neighbors: Tensor, weights: Tensor | None = None) -> Tensor:
    """The row-normalized adjacency, without the point itself, times the values."""
    weights = torch.ones(neighbors.shape) if weights is None else weights
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
    return embedding_bag(neighbors, values, per_sample_weights=weights, mode="sum")


def perceptron(*sizes: int, dropout: float = 0.2) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


class NeighborhoodGCN(nn.Module):
    """Graph convolutions over small graphs, one a point: b x m x d and b x m x m to a logit a node."""

    def __init__(self, size: int, hidden: int = 64, layers: int = 4, outputs: int = 1):
        super().__init__()
        sizes = [size, *[hidden] * layers]
        self.layers = nn.ModuleList(nn.Linear(2 * at, to) for at, to in zip(sizes[:-1], sizes[1:], strict=True))
        self.last = perceptron(hidden, hidden, outputs)

    def hidden(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        weights = adjacency / adjacency.sum(2, keepdim=True).clamp(min=1)
        for layer in self.layers:
            nodes = torch.relu(layer(torch.cat([nodes, weights @ nodes], 2)))
        return nodes

    def forward(self, nodes: Tensor, adjacency: Tensor) -> Tensor:
        return self.last(self.hidden(nodes, adjacency)).squeeze(2)


def adjacency(neighbors: Tensor, nodes: Tensor) -> Tensor:
    """b x m x m: which of the nodes of a row are neighbors of which, in either direction."""
    found = (neighbors[nodes][:, :, :, None] == nodes[:, None, None, :]).any(2)
    return (found | found.transpose(1, 2)).float()


def train(network: nn.Module, loss: Callable[[Tensor], Tensor], rows: int, epochs: int, batch: int, rate: float = 2e-3):
    """Adam over shuffled batches of row numbers; the rate rises in the first third and falls to 0."""
    optimizer = torch.optim.Adam(network.parameters(), rate, weight_decay=1e-5)
    batch = max(1, min(batch, rows // 25))
    steps = epochs * -(-rows // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps + 1)
    network.train()
    for _ in range(epochs):
        for chosen in torch.randperm(rows).split(batch):
            optimizer.zero_grad()
            loss(chosen).backward()
            optimizer.step()
            schedule.step()
    network.eval()


def batched(function: Callable[[Tensor], Tensor], rows: int, batch: int = 512) -> np.ndarray:
    """What a function gives for all rows, without gradients."""
    with torch.no_grad():
        return torch.cat([function(at) for at in torch.arange(rows).split(batch)]).numpy()


def components(n: int, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    graph = csr_array((np.ones(len(src), dtype=bool), (src, dst)), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def common_neighbors(graph: csr_array, src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """In how many columns both rows of a pair have a 1."""
    return graph[src].multiply(graph[dst]).sum(1)


def linked(half: Half, edges: np.ndarray, threshold: float) -> np.ndarray:
    """Components of the edges above the threshold."""
    src, dst = half.directed()
    kept = edges.ravel() > threshold
    return components(len(edges), src[kept], dst[kept])


def both_ways(half: Half, edges: np.ndarray) -> np.ndarray:
    """An edge's probability, the mean of both directions where both are edges."""
    n = len(edges)
    src, dst = half.directed()
    there, back = src * n + dst, dst * n + src
    order = np.argsort(there)
    at = np.minimum(np.searchsorted(there, back, sorter=order), len(there) - 1)
    values = edges.ravel()
    other = np.where(there[order[at]] == back, values[order[at]], values)
    return ((values + other) / 2).reshape(edges.shape)


def propagated(half: Half, edges: np.ndarray, threshold: float, largest: int) -> np.ndarray:
    """Pseudo-label propagation: components, and those above the size cut again at ever higher thresholds."""
    src, dst = half.directed()
    values = edges.ravel()
    kept = values > threshold
    while True:
        found = components(len(edges), src[kept], dst[kept])
        large = kept & (np.bincount(found) > largest)[found[src]]
        if not large.any():
            return found
        threshold = 1 - 0.8 * (1 - threshold)
        kept &= ~large | ((values > threshold) & (threshold < 1 - 1e-6))


def joined_to_denser(half: Half, edges: np.ndarray, density: np.ndarray, threshold: float) -> np.ndarray:
    """Each point joins the neighbor of higher density that it is most surely one with, if above the threshold."""
    neighbors = half.neighbors.numpy()
    candidates = np.where(density[neighbors] > density[:, None], edges, -1)
    best = candidates.argmax(1)
    at = np.arange(len(edges))
    kept = candidates[at, best] > threshold
    return components(len(edges), at[kept], neighbors[at, best][kept])


def scores(label: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """Pairwise and BCubed F, as pairwise_f and bcubed_f of the extension."""
    _, at, both = np.unique(label * (cluster.max() + 1) + cluster, return_index=True, return_counts=True)
    of_label, of_cluster = np.bincount(label)[label[at]], np.bincount(cluster)[cluster[at]]
    same, labelled, clustered = ((n * (n - 1.0)).sum() for n in (both, np.bincount(label), np.bincount(cluster)))
    pairwise = 2 * same / (labelled + clustered) if labelled + clustered else 0.0
    precision, recall = (both**2 / of_cluster).sum() / len(label), (both**2 / of_label).sum() / len(label)
    return float(pairwise), float(2 * precision * recall / (precision + recall))


def best(tried: Iterable[tuple[tuple[float, float], object]]) -> object:
    """What has the greatest sum of pairwise and BCubed F, of equals the first."""
    return max(tried, key=lambda one: sum(one[0]))[1]

"""STAR-FC: Shen et al., Structure-Aware Face Clustering on a Large-Scale Graph with 10^7 Nodes (CVPR 2021).

Re-made: training on subgraphs that keep the structure (some identities, those nearest to them, of these a random part
of the identities and of the rows, with a k-NN graph of their own); one graph convolution gives a point's features, a
perceptron the probability of an edge from both ends. Then edges below a threshold are pruned, and edges whose ends
share few neighbors of what is left: the node intimacy is the larger part of either's neighbors that is common.

Left open here: how many (15 identities with 8 near ones each, nine tenths of these identities and of the rows).
"""

import numpy as np
import torch
from common import THRESHOLDS, Found, Half, batched, common_neighbors, components, mean_of_neighbors, perceptron, train
from scipy.sparse import csr_array
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

NAME = "STAR-FC"
SETTINGS = [(threshold, intimacy) for threshold in THRESHOLDS[::2] for intimacy in (0, 0.4)]
SEEDS, NEAR, KEPT, STEPS = 15, 8, 0.9, 150


class Network(nn.Module):
    def __init__(self, size: int, hidden: int = 128):
        super().__init__()
        self.convolution = nn.Sequential(nn.Linear(2 * size, hidden), nn.PReLU())
        self.edge = perceptron(2 * hidden, 128, 1)

    def nodes(self, points: torch.Tensor, neighbors: torch.Tensor) -> torch.Tensor:
        return self.convolution(torch.cat([points, mean_of_neighbors(points, neighbors)], 1))

    def logits(self, nodes: torch.Tensor, neighbors: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        ends = nodes[at][:, None].expand(-1, neighbors.shape[1], -1), nodes[neighbors[at]]
        return self.edge(torch.cat(ends, 2)).squeeze(2)


def subgraph(half: Half, label: torch.Tensor, nearest: torch.Tensor) -> torch.Tensor:
    """Row numbers of a subgraph that keeps the structure."""
    chosen = torch.zeros(len(nearest), dtype=torch.bool)
    chosen[nearest[torch.randperm(len(nearest))[:SEEDS]].ravel()] = True
    chosen &= torch.rand(len(nearest)) < KEPT
    return (chosen[label] & (torch.rand(len(label)) < KEPT)).nonzero().squeeze(1)


def fit(half: Half, seed: int):
    torch.manual_seed(seed)
    network, label = Network(half.points.shape[1]), torch.from_numpy(half.label)
    centers = normalize(torch.zeros(int(label.max()) + 1, half.points.shape[1]).index_add_(0, label, half.points))
    nearest = (centers @ centers.T).topk(min(NEAR, len(centers))).indices

    def loss(_: torch.Tensor) -> torch.Tensor:
        rows = subgraph(half, label, nearest)
        points, k = half.points[rows], min(half.neighbors.shape[1], len(rows) - 1)
        neighbors = (points @ points.T).fill_diagonal_(-2).topk(k).indices
        logits = network.logits(network.nodes(points, neighbors), neighbors, torch.arange(len(rows)))
        return binary_cross_entropy_with_logits(logits, (label[rows][neighbors] == label[rows][:, None]).float())

    train(network, loss, STEPS, 2, 1)

    def found(half: Half) -> Found:
        with torch.no_grad():
            nodes = network.nodes(half.points, half.neighbors)
        return {"edges": batched(lambda at: network.logits(nodes, half.neighbors, at).sigmoid(), len(nodes))}

    return found


def clusters(half: Half, found: Found, setting: tuple[float, float]) -> np.ndarray:
    threshold, least = setting
    n, (src, dst) = len(half.points), half.directed()
    kept = found["edges"].ravel() > threshold
    src, dst = src[kept], dst[kept]
    if least:
        graph = csr_array((np.ones(2 * len(src)), (np.r_[src, dst], np.r_[dst, src])), shape=(n, n))
        graph.data[:] = 1
        degree, common = graph.sum(1), common_neighbors(graph, src, dst)
        # The two ends are neighbors of each other, which counts as common.
        close = (common + 1) / np.minimum(degree[src], degree[dst]) > least
        src, dst = src[close], dst[close]
    return components(n, src, dst)

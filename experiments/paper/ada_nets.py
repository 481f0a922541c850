"""Ada-NETS: Wang et al., Face Clustering via Adaptive Neighbour Discovery in the Structure Space (ICLR 2022).

Re-made: neighbors are ordered in the structure space, by the mean of the cosine and of what two points' mutual
neighbors have in common (Jaccard); a two-way LSTM over a point's neighbors in that order regresses how many to keep,
the number of the best F score of the neighbors kept; one graph convolution over what is kept gives features, trained
by hinge losses on the cosines of edges; clusters are what edges above a threshold connect.

Left open here: the weight of Jaccard (1/2), beta of the F score (1/2), the margins (0.9 and 0.1), the LSTM's width
(64).
"""

import numpy as np
import torch
from common import THRESHOLDS, Found, Half, batched, common_neighbors, linked, mean_of_neighbors, perceptron, train
from scipy.sparse import csr_array
from torch import nn
from torch.nn.functional import normalize, smooth_l1_loss

NAME = "Ada-NETS"
SETTINGS = THRESHOLDS
ETA, BETA, NEAR, FAR = 0.5, 0.5, 0.9, 0.1


def structure_order(half: Half) -> torch.Tensor:
    """n x k: the places of a point's neighbors, nearest in the structure space first."""
    n, (src, dst) = len(half.points), half.directed()
    graph = csr_array((np.ones(len(src)), (src, dst)), shape=(n, n))
    mutual = (graph * graph.T + csr_array((np.ones(n), (np.arange(n), np.arange(n))), shape=(n, n))).tocsr()
    size, common = mutual.sum(1), common_neighbors(mutual, src, dst)
    jaccard = torch.from_numpy((common / (size[src] + size[dst] - common)).astype(np.float32)).view_as(half.similarity)
    return (ETA * jaccard + (1 - ETA) * half.similarity).argsort(dim=1, descending=True, stable=True)


def best_number(same: torch.Tensor, label: np.ndarray) -> torch.Tensor:
    """How many of the neighbors in order have the best F score; at least 1."""
    found = same.cumsum(1)
    precision = found / torch.arange(1, same.shape[1] + 1)
    recall = found / torch.from_numpy(np.bincount(label)[label] - 1).clamp(min=1)[:, None]
    return ((1 + BETA**2) * precision * recall / (BETA**2 * precision + recall).clamp(min=1e-6)).argmax(1) + 1


class Filter(nn.Module):
    def __init__(self, size: int, hidden: int = 64):
        super().__init__()
        self.lstm = nn.LSTM(size + 1, hidden, batch_first=True, bidirectional=True)
        self.last = perceptron(2 * hidden, hidden, 1)

    def forward(self, half: Half, order: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """The part of the neighbors to keep."""
        neighbors = half.neighbors[at].gather(1, order[at])
        cosine = half.similarity[at].gather(1, order[at])[:, :, None]
        _, (state, _) = self.lstm(torch.cat([half.points[neighbors], cosine], 2))
        return self.last(torch.cat([state[0], state[1]], 1)).squeeze(1).sigmoid()


def fit(half: Half, seed: int):
    torch.manual_seed(seed)
    d, k = half.points.shape[1], half.neighbors.shape[1]
    filter, convolution = Filter(d), nn.Sequential(nn.Linear(2 * d, 256), nn.PReLU(), nn.Linear(256, 128))

    def features(half: Half, order: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        rank = order.argsort(1)
        weights = (rank < (part * k).round().clamp(min=1)[:, None]).float()
        return torch.cat([half.points, mean_of_neighbors(half.points, half.neighbors, weights)], 1)

    def cosines(x: torch.Tensor, half: Half, at: torch.Tensor) -> torch.Tensor:
        own, others = normalize(convolution(x[at])), normalize(convolution(x[half.neighbors[at]]), dim=2)
        return (others @ own[:, :, None]).squeeze(2)

    order, same = structure_order(half), half.same
    target = best_number(same.gather(1, order), half.label) / k
    train(filter, lambda at: smooth_l1_loss(filter(half, order, at), target[at], beta=0.1), len(same), 4, 128)
    x = features(half, order, torch.from_numpy(batched(lambda at: filter(half, order, at), len(same))))

    def loss(at: torch.Tensor) -> torch.Tensor:
        cosine, one = cosines(x, half, at), same[at]
        near, far = one * torch.relu(NEAR - cosine), (1 - one) * torch.relu(cosine - FAR)
        return near.sum() / one.sum().clamp(min=1) + far.sum() / (1 - one).sum().clamp(min=1)

    train(convolution, loss, len(same), 4, 128)

    def found(half: Half) -> Found:
        order, n = structure_order(half), len(half.points)
        part = torch.from_numpy(batched(lambda at: filter(half, order, at), n))
        x = features(half, order, part)
        return {"edges": batched(lambda at: cosines(x, half, at).clamp(min=0), n), "part": part.numpy()}

    return found


def clusters(half: Half, found: Found, threshold: float) -> np.ndarray:
    return linked(half, found["edges"], threshold)

"""Pair-Cls: Liu et al., Learn to Cluster Faces via Pairwise Classification (ICCV 2021).

Re-made: a perceptron says of a pair whether it is one identity, from both points, each beside the mean of its nearest
neighbors as context; a rank-weighted density, the sum of a point's similarities weighted by their ranks, picks the
pairs: each point is judged with its nearest neighbor of higher density alone, and joins it if that is likely enough.

Left open: the widths, and how ranks become weights (here evenly falling). The paper cuts at 0.5; here the threshold is
chosen.
"""

import numpy as np
import torch
from common import THRESHOLDS, Found, Half, batched, components, mean_of_neighbors, perceptron, train
from torch.nn.functional import binary_cross_entropy_with_logits

NAME = "Pair-Cls"
SETTINGS = THRESHOLDS


def features(half: Half) -> torch.Tensor:
    return torch.cat([half.points, mean_of_neighbors(half.points, half.neighbors, half.similarity.clamp(min=0))], 1)


def fit(half: Half, seed: int):
    torch.manual_seed(seed)
    network = perceptron(4 * half.points.shape[1], 128, 128, 1)

    def logits(x: torch.Tensor, neighbors: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        ends = x[rows][:, None].expand(-1, neighbors.shape[1], -1), x[neighbors[rows]]
        return network(torch.cat(ends, 2)).squeeze(2)

    x, same = features(half), half.same
    train(
        network, lambda at: binary_cross_entropy_with_logits(logits(x, half.neighbors, at), same[at]), len(x), 12, 128
    )

    def found(half: Half) -> Found:
        x, k = features(half), half.neighbors.shape[1]
        weights = torch.arange(k, 0, -1) / k
        edges = batched(lambda at: logits(x, half.neighbors, at).sigmoid(), len(x))
        return {"edges": edges, "density": (half.similarity * weights).sum(1).numpy()}

    return found


def clusters(half: Half, found: Found, threshold: float) -> np.ndarray:
    neighbors, density = half.neighbors.numpy(), found["density"]
    above = density[neighbors] > density[:, None]
    nearest, at = above.argmax(1), np.arange(len(density))
    kept = above.any(1) & (found["edges"][at, nearest] > threshold)
    return components(len(density), at[kept], neighbors[at, nearest][kept])

"""GCN(V+E): Yang et al., Learning to Cluster Faces via Confidence and Connectivity Estimation (CVPR 2020).

Re-made: GCN-V regresses a point's confidence, the mean of its similarities, those to other identities counted
negative; GCN-E says of each neighbor, from the graph among the neighbors and their differences to the point, whether
it is one with it. Each point joins the neighbor of higher confidence that is most surely one with it, if above a
threshold.

Left open: the widths (here 128 and 64). The paper runs GCN-E over the neighbors of higher confidence, and only at the
most confident tenth of the points; here over all neighbors and points, so that each edge has a probability.
"""

import numpy as np
import torch
from common import (
    THRESHOLDS,
    Found,
    Half,
    NeighborhoodGCN,
    adjacency,
    batched,
    joined_to_denser,
    mean_of_neighbors,
    perceptron,
    train,
)
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

NAME = "GCN(V+E)"
SETTINGS = THRESHOLDS


def aggregated(half: Half) -> torch.Tensor:
    return torch.cat([half.points, mean_of_neighbors(half.points, half.neighbors, half.similarity.clamp(min=0))], 1)


def differences(half: Half, at: torch.Tensor) -> torch.Tensor:
    """A neighbor less the point, and the cosine."""
    nodes = half.points[half.neighbors[at]] - half.points[at][:, None]
    return torch.cat([nodes, half.similarity[at][:, :, None]], 2)


def fit(half: Half, seed: int):
    torch.manual_seed(seed)
    d, same = half.points.shape[1], half.same
    vertices, edges = perceptron(2 * d, 128, 128, 1), NeighborhoodGCN(d + 1)
    x, confidence = aggregated(half), ((2 * same - 1) * half.similarity).mean(1)
    train(vertices, lambda at: mse_loss(vertices(x[at]).squeeze(1), confidence[at]), len(x), 15, 256)

    def logits(half: Half, at: torch.Tensor) -> torch.Tensor:
        return edges(differences(half, at), adjacency(half.neighbors, half.neighbors[at]))

    train(edges, lambda at: binary_cross_entropy_with_logits(logits(half, at), same[at]), len(x), 10, 128)

    def found(half: Half) -> Found:
        x, n = aggregated(half), len(half.points)
        return {
            "edges": batched(lambda at: logits(half, at).sigmoid(), n),
            "confidence": batched(lambda at: vertices(x[at]).squeeze(1), n),
        }

    return found


def clusters(half: Half, found: Found, threshold: float) -> np.ndarray:
    return joined_to_denser(half, found["edges"], found["confidence"], threshold)

"""L-GCN: Wang et al., Linkage Based Face Clustering via Graph Convolution Network (CVPR 2019).

Re-made: around each point, the pivot, a graph of its neighbors and of their nearest ones, as differences to the pivot;
a graph convolution network says of each neighbor whether it is linked with the pivot. An edge counts as the mean of
both directions, and pseudo-labels are propagated: components, those that are too large cut again at a higher
threshold.

Left open here: the neighbors of neighbors (the nearest 2; the paper has up to 10), the width (64). The largest size is
twice that of the rows learned from.
"""

import numpy as np
import torch
from common import THRESHOLDS, Found, Half, NeighborhoodGCN, adjacency, batched, both_ways, propagated, train
from torch.nn.functional import binary_cross_entropy_with_logits

NAME = "L-GCN"
SETTINGS = THRESHOLDS
SECOND = 2


def fit(half: Half, seed: int):
    torch.manual_seed(seed)
    k, same, largest = half.neighbors.shape[1], half.same, 2 * int(np.bincount(half.label).max())
    network = NeighborhoodGCN(half.points.shape[1] + 1)

    def logits(half: Half, at: torch.Tensor) -> torch.Tensor:
        near = half.neighbors[at]
        nodes = torch.cat([near, half.neighbors[near, :SECOND].flatten(1)], 1)
        points = half.points[nodes]
        cosine = points @ half.points[at][:, :, None]
        features = torch.cat([points - half.points[at][:, None], cosine], 2)
        return network(features, adjacency(half.neighbors[:, :SECOND], nodes))[:, :k]

    train(network, lambda at: binary_cross_entropy_with_logits(logits(half, at), same[at]), len(same), 3, 128)

    def found(half: Half) -> Found:
        edges = batched(lambda at: logits(half, at).sigmoid(), len(half.points), 128)
        return {"edges": edges, "largest": np.full(len(edges), largest)}

    return found


def clusters(half: Half, found: Found, threshold: float) -> np.ndarray:
    return propagated(half, both_ways(half, found["edges"]), threshold, int(found["largest"][0]))

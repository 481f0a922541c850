"""Clusformer: Nguyen et al., A Transformer Based Clustering Approach to Unsupervised Large-Scale Face and Visual
Landmark Recognition (CVPR 2021).

Re-made: a point and its neighbors, nearest first, are a sequence; a Transformer encoder says of each neighbor whether
it belongs to the point or is noise. Without the noise, what neighborhoods share connects: an edge counts as the mean
of both directions, and clusters are what edges above a threshold connect.

Left open here: the encoder's size (2 layers of width 128, 4 heads).
"""

import numpy as np
import torch
from common import THRESHOLDS, Found, Half, batched, both_ways, linked, perceptron, train
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

NAME = "Clusformer"
SETTINGS = THRESHOLDS


class Network(nn.Module):
    def __init__(self, size: int, k: int, width: int = 128):
        super().__init__()
        self.first, self.place = nn.Linear(size + 1, width), nn.Parameter(torch.zeros(k + 1, width))
        layer = nn.TransformerEncoderLayer(width, 4, 256, 0.1, batch_first=True, norm_first=True)
        self.encoder, self.last = (
            nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
            perceptron(2 * width, 64, 1),
        )

    def forward(self, half: Half, at: torch.Tensor) -> torch.Tensor:
        rows = torch.cat([at[:, None], half.neighbors[at]], 1)
        cosine = torch.cat([torch.ones(len(at), 1), half.similarity[at]], 1)[:, :, None]
        tokens = self.encoder(self.first(torch.cat([half.points[rows], cosine], 2)) + self.place)
        ends = tokens[:, :1].expand(-1, rows.shape[1] - 1, -1), tokens[:, 1:]
        return self.last(torch.cat(ends, 2)).squeeze(2)


def fit(half: Half, seed: int):
    torch.manual_seed(seed)
    network, same = Network(half.points.shape[1], half.neighbors.shape[1]), half.same
    train(network, lambda at: binary_cross_entropy_with_logits(network(half, at), same[at]), len(same), 3, 128, 1e-3)

    def found(half: Half) -> Found:
        return {"edges": batched(lambda at: network(half, at).sigmoid(), len(half.points))}

    return found


def clusters(half: Half, found: Found, threshold: float) -> np.ndarray:
    return linked(half, both_ways(half, found["edges"]), threshold)

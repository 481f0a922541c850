"""CDP: Zhan et al., Consensus-Driven Propagation in Massive Unlabeled Data for Face Recognition (ECCV 2018).

Re-made: over the k-NN graph of the base model a perceptron, the mediator, says of a pair whether it is one identity,
from how the committee sees it: both models' cosines, whether the other model has the pair among its neighbors too, and
the mean and spread of both ends' similarities in either model. Then pseudo-labels are propagated: components, those
that are too large cut again at a higher threshold.

The committee here is two: the faces at full size and at 24 pixels; the paper has up to nine. The largest size is twice
that of the rows learned from, which the paper leaves to the user.
"""

import numpy as np
import torch
from common import THRESHOLDS, Found, Half, batched, perceptron, propagated, train
from torch.nn.functional import binary_cross_entropy_with_logits

NAME = "CDP"
SETTINGS = THRESHOLDS


def features(half: Half) -> torch.Tensor:
    """n x k x 11."""
    similarities = half.other @ half.other.T
    k = half.neighbors.shape[1]
    top = similarities.fill_diagonal_(-2).topk(k)
    cosine = similarities.gather(1, half.neighbors)
    seen = [(half.similarity, half.similarity[:, -1:]), (cosine, top.values[:, -1:])]
    parts = [(cosine >= top.values[:, -1:]).float()]
    for (cosines, last), values in zip(seen, (half.similarity, top.values), strict=True):
        spread = torch.stack([values.mean(1), values.std(1)], 1)
        parts += [cosines, cosines - last, *spread[:, None].expand(-1, k, -1).unbind(2)]
        parts += [spread[half.neighbors][:, :, 0]]
    return torch.stack(parts, 2)


def fit(half: Half, seed: int):
    torch.manual_seed(seed)
    x, same, largest = features(half), half.same, 2 * int(np.bincount(half.label).max())
    network = perceptron(x.shape[2], 64, 64, 1)
    train(network, lambda at: binary_cross_entropy_with_logits(network(x[at]).squeeze(2), same[at]), len(x), 8, 128)

    def found(half: Half) -> Found:
        x = features(half)
        edges = batched(lambda at: network(x[at]).squeeze(2).sigmoid(), len(x))
        return {"edges": edges, "largest": np.full(len(x), largest)}

    return found


def clusters(half: Half, found: Found, threshold: float) -> np.ndarray:
    return propagated(half, found["edges"], threshold, int(found["largest"][0]))

"""LTC: Yang et al., Learning to Cluster Faces on an Affinity Graph (CVPR 2019).

Re-made: proposals are the components of the graph above several cosines, those that are too large cut again at higher
ones; a graph convolution network over a proposal's points, the largest of each feature over them, says how much of
the proposal is of one identity (IoP) and how much it shares with that identity (IoU). The last step takes proposals
by falling IoU, each without the points that are taken already, down to a threshold.

Left out: proposals of proposals, and the second network, which takes single points out of a proposal. Left open here:
the cosines (nine quantiles of the graph's own), the largest proposal (a twentieth of the rows), the points of a
proposal that the network sees (32, spread over it). The paper has no probability of an edge: here it is the greatest
IoP of the proposals that hold both ends.
"""

import numpy as np
import torch
from common import THRESHOLDS, Found, Half, NeighborhoodGCN, adjacency, batched, propagated, train
from torch.nn.functional import mse_loss

NAME = "LTC"
SETTINGS = THRESHOLDS[::2]
QUANTILES = [at / 10 for at in range(1, 10)]
SEEN = 32
# Proposals that are looked at in training, with repetition.
LOOKS = 40_000


class Detection(NeighborhoodGCN):
    def forward(self, nodes: torch.Tensor, adjacency: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        hidden = self.hidden(nodes, adjacency).masked_fill(~real[:, :, None], 0)
        return self.last(hidden.amax(1)).sigmoid()


def proposed(half: Half) -> tuple[np.ndarray, list[np.ndarray]]:
    """Of each point its proposal at each cosine, n x cosines; and the points of each proposal."""
    similarity, points = half.similarity.numpy(), []
    of = np.empty((len(similarity), len(QUANTILES)), dtype=np.int64)
    for level, cosine in enumerate(np.quantile(similarity, QUANTILES)):
        found = propagated(half, similarity, cosine, max(len(of) // 20, 2))
        of[:, level] = len(points) + found
        points += np.split(np.argsort(found, kind="stable"), np.cumsum(np.bincount(found))[:-1])
    return of, points


def quality(label: np.ndarray, points: np.ndarray) -> tuple[float, float]:
    """IoU with the identity that most of the points have, and IoP."""
    same, size = np.unique(label[points], return_counts=True)
    most = same[size.argmax()]
    whole = (label == most).sum()
    return size.max() / (len(points) + whole - size.max()), size.max() / len(points)


def fit(half: Half, seed: int):
    torch.manual_seed(seed)
    network = Detection(half.points.shape[1] + 1, outputs=2)

    def judged(half: Half, points: list[np.ndarray]) -> torch.Tensor:
        seen = [some[np.linspace(0, len(some) - 1, min(SEEN, len(some))).astype(int)] for some in points]
        nodes = torch.from_numpy(np.stack([np.resize(some, SEEN) for some in seen]))
        real = torch.arange(SEEN) < torch.tensor([[len(some)] for some in seen])
        values = half.points[nodes]
        center = (values * real[:, :, None]).sum(1, keepdim=True) / real.sum(1)[:, None, None]
        features = torch.cat([values - center, values @ center.transpose(1, 2)], 2)
        linked = adjacency(half.neighbors, nodes) * real[:, None] * real[:, :, None]
        return network(features, linked, real)

    several = [some for some in proposed(half)[1] if len(some) > 1]
    wanted = torch.tensor([quality(half.label, some) for some in several], dtype=torch.float32)

    def loss(at: torch.Tensor) -> torch.Tensor:
        return mse_loss(judged(half, [several[one] for one in at]), wanted[at])

    train(network, loss, len(several), -(-LOOKS // len(several)), 32)

    def found(half: Half) -> Found:
        of, points = proposed(half)
        which = np.flatnonzero([len(some) > 1 for some in points])
        judgement = np.zeros((len(points), 2), dtype=np.float32)
        judgement[which] = batched(lambda at: judged(half, [points[which[one]] for one in at]), len(which), 128)
        together = of[:, None] == of[half.neighbors.numpy()]
        edges = (together * judgement[of, 1][:, None]).max(2)
        return {"edges": edges, "proposal": of, "iou": judgement[of, 0]}

    return found


def clusters(half: Half, found: Found, threshold: float) -> np.ndarray:
    of, iou = found["proposal"].ravel(), found["iou"].ravel()
    # The points of one may have been judged by two models.
    of_proposal = np.bincount(of, iou) / np.maximum(np.bincount(of), 1)
    at = np.repeat(np.arange(len(found["proposal"])), found["proposal"].shape[1])
    order = np.lexsort((of, -of_proposal[of]))
    order = order[of_proposal[of[order]] > threshold]
    # Each point goes to the best of its proposals.
    cluster = np.arange(len(found["proposal"])) + of.max() + 1
    taken, first = np.unique(at[order], return_index=True)
    cluster[taken] = of[order][first]
    return np.unique(cluster, return_inverse=True)[1]

"""Generated points, for the tests of this folder and of spark/."""

import numpy as np


def blobs(points=300, dim=8, groups=30, noise=0.25, seed=1) -> np.ndarray:
    """Embeddings in groups, so that clusterings are neither one cluster nor all alone."""
    random = np.random.default_rng(seed)
    centers = random.normal(size=(groups, dim))
    scatter = noise * random.normal(size=(points, dim))
    return (centers[random.integers(groups, size=points)] + scatter).astype(np.float32)

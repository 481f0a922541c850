"""The plain cosine, for comparison: what edges above a threshold connect."""

import numpy as np
from common import Found, Half, linked

NAME = "cosine"
SETTINGS = [at / 40 for at in range(8, 36)]


def fit(half: Half, seed: int):
    return lambda half: {"edges": half.similarity.clamp(min=0).numpy()}


def clusters(half: Half, found: Found, threshold: float) -> np.ndarray:
    return linked(half, found["edges"], threshold)

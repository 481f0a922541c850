"""Points with known identities, as faces have them: most identities are small, a few are large."""

import duckdb
import numpy as np
import pyarrow as pa


def embeddings(n: int, dim: int, seed: int = 1, noise: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors [n, dim] around the centers of identities, and the identity of each.

    Two points of one identity have a cosine near 1 / (1 + noise²), two others near 0.
    """
    random = np.random.default_rng(seed)
    sizes = 1 + np.minimum(random.pareto(1.1, n) * 4, 500).astype(np.int64)
    identity = np.repeat(np.arange(n), sizes)[:n]
    random.shuffle(identity)
    centers = random.standard_normal((identity.max() + 1, dim), dtype=np.float32)
    points = centers[identity]
    points += random.standard_normal((n, dim), dtype=np.float32) * noise
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points, identity


def store(con: duckdb.DuckDBPyConnection, table: str, ids: np.ndarray, points: np.ndarray) -> None:
    """Create a table with the columns that knn_graph reads."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(points.reshape(-1)), points.shape[1])
    con.register("arrow", pa.table({"id": pa.array(ids), "embedding": column}))
    con.execute(f"CREATE TABLE {table} AS FROM arrow")
    con.unregister("arrow")

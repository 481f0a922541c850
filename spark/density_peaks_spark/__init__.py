"""The density_peaks pipeline on Apache Spark, with the extension in its Python workers: the same clusters, bit for bit.

from density_peaks_spark import cluster_embeddings

clusters = cluster_embeddings(spark.table("lake.faces"), id="face_id", embedding="features", workdir="s3://lake/run1")
"""

from importlib import import_module

from .plan import plan

# Imported when they are asked for, so that the kernels and the plan do without Spark.
_STAGES = ["cluster_embeddings", "dpc_cluster", "knn_graph", "linkage_cluster", "ndde", "tpdi", "transition_matrix"]
_PLACES = {**dict.fromkeys(_STAGES, "stages"), "register": "groups"}

__all__ = ["plan", *_PLACES]


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)

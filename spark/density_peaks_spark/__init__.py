"""The density_peaks pipeline on Apache Spark, with the extension in its Python workers: the same clusters, bit for bit.

from density_peaks_spark import cluster_embeddings

clusters = cluster_embeddings(spark.table("lake.faces"), id="face_id", embedding="features", workdir="s3://lake/run1")
"""

from .groups import register
from .plan import plan
from .stages import (
    cluster_embeddings,
    dpc_cluster,
    knn_graph,
    linkage_cluster,
    ndde,
    tpdi,
    transition_matrix,
)

__all__ = [
    "cluster_embeddings",
    "dpc_cluster",
    "knn_graph",
    "linkage_cluster",
    "ndde",
    "plan",
    "register",
    "tpdi",
    "transition_matrix",
]

"""Pictures of clusters, from the specifications of sql/recipes/pictures.sql, and the places of a map."""

import io
import json

import duckdb
import numpy as np
import pyarrow as pa
import vl_convert
from PIL import Image
from run_sql import ROOT
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

RECIPES = ROOT / "sql" / "recipes"
# Text and lines of the colour of the page around, dark or light.
INK = {
    "background": "transparent",
    "style": {"guide-label": {"fill": "currentColor"}, "guide-title": {"fill": "currentColor"}},
    "title": {"color": "currentColor", "subtitleColor": "currentColor"},
    "axis": {"domainColor": "currentColor", "tickColor": "currentColor", "gridColor": "#888888"},
    "text": {"color": "currentColor"},
}


def literal(text: str) -> str:
    """Text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def picture(con: duckdb.DuckDBPyConnection, sql: str) -> dict:
    """The Vega-Lite specification that a query over sql/recipes/pictures.sql gives."""
    [(specification,)] = con.execute(sql).fetchall()
    return json.loads(specification)


def png(specification: dict) -> bytes:
    """On white, in 256 colours: a quarter of the size that it has in all."""
    image = Image.open(io.BytesIO(vl_convert.vegalite_to_png(specification, scale=2)))
    small = io.BytesIO()
    image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def svg(specification: dict) -> str:
    """Without a background, in the colour of the text around."""
    return vl_convert.vegalite_to_svg(specification, config=INK)


def places(con: duckdb.DuckDBPyConnection, clusters: str, source: str, points: int = 800) -> pa.Table:
    """Places of points in a plane by t-SNE of their cosine distances: x, y, cluster_id and the cluster's size.

    For `picture_map`. Reads id and cluster_id of `clusters`, id and embedding of `source`. The largest clusters
    are shown, at most `points` points and 16 of each cluster; which they are follows from the ids alone.
    """
    shown = con.execute(f"""
        WITH chosen AS (
            SELECT id, cluster_id, count(*) OVER members AS size,
                   row_number() OVER (PARTITION BY cluster_id ORDER BY hash(id), id) AS nth
            FROM query_table({literal(clusters)}) WHERE cluster_id IS NOT NULL
            WINDOW members AS (PARTITION BY cluster_id)
        )
        SELECT cluster_id, size, embedding::FLOAT[] AS embedding
        FROM chosen JOIN query_table({literal(source)}) USING (id) WHERE nth <= 16
        ORDER BY size DESC, cluster_id, nth LIMIT {points}""").fetchnumpy()
    vectors = shown["embedding"]
    if len(vectors) < 4:
        raise ValueError(f"a map needs 4 points, {source} has {len(vectors)} that are in {clusters}")
    perplexity = min(12, (len(vectors) - 1) / 3)
    method = TSNE(metric="cosine", init="random", random_state=0, max_iter=500, perplexity=perplexity)
    # So few points gain nothing from threads, and lose much where others use the machine.
    with threadpool_limits(1):
        at = method.fit_transform(np.stack(vectors))
    return pa.table({"x": at[:, 0], "y": at[:, 1], "cluster_id": pa.array(shown["cluster_id"]), "size": shown["size"]})

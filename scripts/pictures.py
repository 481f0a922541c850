"""Pictures of clusters, and those of the pages: pictures.py writes docs/pictures/*.png.

The songs are in this repository; the pictures of faces, which show counts and scores only, stay as they are where
../shared/data is missing.
"""

import io
import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import vl_convert
from PIL import Image
from run_sql import ROOT, connect
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


def clustered(path: Path, rows: str, graph: str, transition: str, tau: float) -> duckdb.DuckDBPyConnection:
    """A connection with faces, p, clusters, sweep and hard_clusters of the rows of a file, and the pictures' macros."""
    con = connect()
    con.execute(f"""
        CREATE TABLE faces AS FROM '{path}' WHERE {rows};
        CREATE TABLE p AS FROM transition_matrix(knn_graph('faces', {graph}), {transition});
        CREATE TABLE clusters AS FROM dpc_cluster(ndde('p'), tpdi('p'), tau := {tau});
        CREATE TABLE sweep AS
        FROM tau_sweep(ndde('p'), tpdi('p'), taus := [x / 100 FOR x IN range(30, 100, 2)], labels := 'faces')""")
    for recipe in "hard_clusters.sql", "pictures.sql":
        con.execute((RECIPES / recipe).read_text())
    return con


def songs() -> dict[str, dict]:
    """Every picture, of the songs, by its file's name."""
    con = clustered(ROOT / "data" / "songs.parquet", "true", "k := 10", "sigma := 0.08", 0.65)
    con.execute("CREATE VIEW titles AS SELECT c.*, title FROM clusters c JOIN faces USING (id)")
    con.register("places", places(con, "clusters", "faces"))
    calls = {
        "decision_graph": "picture_decision_graph('clusters', tau := 0.65)",
        "sizes": "picture_sizes('clusters')",
        "tau_scores": "picture_tau_scores('sweep')",
        "tau_clusters": "picture_tau_clusters('sweep')",
        "hard_clusters": "picture_hard_clusters('hard_clusters')",
        "map": "picture_map('places')",
        "tree": "picture_tree('titles', 563, name := 'title')",
    }
    return {name: picture(con, f"FROM {call}") for name, call in calls.items()}


def faces() -> dict[str, dict]:
    """Scores of faces against tau, and of hard clusters, as docs/results.md shows them."""
    of = {}
    for name, file, title in (
        ("lfw", "lfw_mobilefacenet", "LFW, test half"),
        ("lfw24", "lfw_lowres24_mobilefacenet", "LFW at 24 x 24 pixels, test half"),
    ):
        path = ROOT.parent / "shared" / "data" / f"{file}.parquet"
        if not path.exists():
            print(f"{title}: no {path.name}, left as it is")
            continue
        con = clustered(path, "split = 'test'", "k := 80", "sigma := 0.1", 0.7)
        for kind, call in ("tau_scores", "tau_scores('sweep')"), ("hard_clusters", "hard_clusters('hard_clusters')"):
            specification = picture(con, f"FROM picture_{call}")
            specification["title"]["text"] = f"{title}: {specification['title']['text'].lower()}"
            of[f"{name}_{kind}"] = specification
    return of


if __name__ == "__main__":
    folder = ROOT / "docs" / "pictures"
    folder.mkdir(exist_ok=True)
    for file, specification in (songs() | faces()).items():
        (folder / f"{file}.png").write_bytes(png(specification))

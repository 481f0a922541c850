"""A Parquet file about a clustering for embedding-atlas, a viewer for large sets in the browser.

    python scripts/atlas.py DATABASE --clusters clusters --source songs -o atlas.parquet
    embedding-atlas atlas.parquet --x x --y y --neighbors neighbors

One row a point: the source's columns but the embedding, its cluster, its clusters in layers (layer_1 the coarsest), its
place in a plane and its neighbors. The database is only read.
"""

import argparse
import sys
from pathlib import Path

import duckdb
import numpy as np
from pictures import literal
from run_sql import connect
from scipy.sparse import csr_array
from sklearn.decomposition import TruncatedSVD
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

NEIGHBORS = 30


def places(con: duckdb.DuckDBPyConnection) -> np.ndarray:
    """Places in a plane: t-SNE on the k-NN graph, begun from the two main directions of the embeddings."""
    graph = con.execute("SELECT dst, distance FROM atlas.graph ORDER BY src, rank").fetchnumpy()
    vectors = np.stack(con.execute("SELECT embedding::FLOAT[] AS v FROM atlas.points ORDER BY id").fetchnumpy()["v"])
    rows, k = len(vectors), len(graph["dst"]) // len(vectors)
    # Each row begins with the point itself, and goes on by distance.
    neighbors = np.column_stack((np.arange(rows), graph["dst"].reshape(rows, k)))
    lengths = np.column_stack((np.zeros(rows), graph["distance"].reshape(rows, k)))
    ends = np.arange(rows + 1) * (k + 1)
    distances = csr_array((lengths.ravel(), neighbors.ravel(), ends), shape=(rows, rows))
    begun = TruncatedSVD(2, random_state=0).fit_transform(vectors)
    begun *= 1e-4 / begun[:, 0].std()
    method = TSNE(metric="precomputed", init=begun, perplexity=(k - 1) / 3, random_state=0, max_iter=500)
    # Threads that wait for each other lose much where others use the machine.
    with threadpool_limits(1):
        return method.fit_transform(distances)


def write(given: argparse.Namespace) -> None:
    with connect() as con:
        con.execute("ATTACH ':memory:' AS atlas")
        if given.database != ":memory:":
            con.execute(f"ATTACH {literal(given.database)} AS source_database (READ_ONLY)")
            con.execute("USE source_database")
        identifier, embedding = ('"' + column.replace('"', '""') + '"' for column in (given.id, given.embedding))
        # Numbers from 0 in the order of the file, by which it names neighbors.
        con.execute(f"""
            CREATE TABLE atlas.points AS
            SELECT row_number() OVER (ORDER BY {identifier}) - 1 AS id, {identifier} AS name, {embedding} AS embedding
            FROM query_table({literal(given.source)});
            CREATE TABLE atlas.graph AS FROM knn_graph('atlas.points', k := {NEIGHBORS});
            CREATE TABLE atlas.layers AS
            PIVOT (SELECT 'layer_' || layer AS layer, id, cluster_id
                   FROM cluster_layers(transition_matrix('atlas.graph', sigma := 'auto')))
            ON layer USING any_value(cluster_id) GROUP BY id;
            CREATE TABLE atlas.neighbors AS
            SELECT src AS id, {{'ids': list(dst ORDER BY rank), 'distances': list(distance ORDER BY rank)}} AS neighbors
            FROM atlas.graph GROUP BY src""")
        at = places(con)
        con.register("places", {"id": np.arange(len(at)), "x": at[:, 0], "y": at[:, 1]})
        con.execute(f"""
            COPY (SELECT source.* EXCLUDE ({embedding}), clusters.cluster_id, layers.* EXCLUDE (id), x, y, neighbors.neighbors
                  FROM atlas.points points
                  JOIN query_table({literal(given.source)}) source ON source.{identifier} = points.name
                  LEFT JOIN query_table({literal(given.clusters)}) clusters ON clusters.{identifier} = points.name
                  JOIN places ON places.id = points.id JOIN atlas.layers layers ON layers.id = points.id
                  JOIN atlas.neighbors neighbors ON neighbors.id = points.id
                  ORDER BY points.id) TO {literal(given.output)}""")


def main(words: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    add("database", metavar="DATABASE", help="a DuckDB file, or :memory: where the relations are files")
    add("--clusters", required=True, metavar="RELATION", help="id and cluster_id of points")
    add(
        "--source", required=True, metavar="RELATION", help="one row a point: id, embedding and what else is to be seen"
    )
    add("--id", default="id", metavar="COLUMN", help="ids in clusters and source (default: id)")
    add("--embedding", default="embedding", metavar="COLUMN", help="embeddings in source (default: embedding)")
    add("-o", "--output", default="atlas.parquet", metavar="FILE", help="the file (default: atlas.parquet)")
    given = options.parse_args(words)
    if given.database != ":memory:" and not Path(given.database).exists():
        sys.exit(f"atlas.py: {given.database}: there is no such database")
    try:
        write(given)
    except (duckdb.Error, ValueError) as error:
        sys.exit(f"atlas.py: {error}")


if __name__ == "__main__":
    main()

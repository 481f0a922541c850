"""scripts/atlas.py: what is in the file for embedding-atlas, which names neighbors by rows, from 0."""

import atlas
import numpy as np
import pytest
from conftest import connect, create_points


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlas")
    with connect(str(folder / "faces.db")) as con:
        create_points(con, points=400, dim=16, groups=8, noise=0.1)
        con.execute("""
            CREATE TABLE photos AS SELECT 'f' || lpad(id::VARCHAR, 3, '0') AS file, id % 7 AS album, embedding
            FROM faces ORDER BY hash(id);
            CREATE TABLE clusters AS FROM cluster_embeddings('photos', id := 'file');
            CREATE TABLE g AS FROM knn_graph('photos', id := 'file')""")
    words = [str(folder / "faces.db"), "--clusters", "clusters", "--source", "photos", "--id", "file"]
    atlas.main([*words, "-o", str(folder / "atlas.parquet")])
    with connect(str(folder / "faces.db")) as con:
        con.execute(f"""
            CREATE TABLE atlas AS SELECT * RENAME (file_row_number AS row)
            FROM read_parquet('{folder}/atlas.parquet', file_row_number := true)""")
        yield con


def test_neighbors_are_those_of_the_graph_by_their_rows(rows):
    differing = rows.execute("""
        SELECT count(*) FILTER (g.dst <> b.file OR g.distance <> named.distance), count(*)
        FROM (SELECT file, unnest(neighbors.ids) AS row, unnest(neighbors.distances) AS distance,
                     generate_subscripts(neighbors.ids, 1) AS rank FROM atlas) named
        JOIN atlas b USING (row) JOIN g ON g.src = named.file AND g.rank = named.rank""").fetchone()
    assert differing == (0, 400 * 30)


def test_a_point_has_its_columns_its_cluster_and_layers_that_nest(rows):
    columns = [name for name, *_ in rows.execute("DESCRIBE atlas").fetchall()]
    layers = [name for name in columns if name.startswith("layer_")]
    assert columns == ["file", "album", "cluster_id", *layers, "x", "y", "neighbors", "row"] and layers
    assert rows.execute("""
        SELECT count(*), count(*) FILTER (a.cluster_id = c.cluster_id AND a.album = p.album)
        FROM atlas a JOIN clusters c USING (file) JOIN photos p USING (file)""").fetchone() == (400, 400)
    for coarse, fine in zip(layers, layers[1:], strict=False):
        assert rows.execute(
            f"SELECT max(n) FROM (SELECT count(DISTINCT {coarse}) AS n FROM atlas GROUP BY {fine})"
        ).fetchone() == (1,)


def test_what_is_one_cluster_is_one_spot_of_the_map(rows):
    found = rows.execute("SELECT x, y, cluster_id FROM atlas").fetchnumpy()
    at, cluster = np.column_stack((found["x"], found["y"])), found["cluster_id"]
    distances = np.linalg.norm(at[:, None] - at[None], axis=2) + np.eye(len(at)) * 1e9
    assert (cluster[distances.argmin(axis=1)] == cluster).mean() > 0.95


def test_errors_name_the_thing(tmp_path):
    with pytest.raises(SystemExit, match="atlas.py: none.db: there is no such database"):
        atlas.main(["none.db", "--clusters", "c", "--source", "s"])
    with pytest.raises(SystemExit, match="atlas.py: .*Table with name nothing does not exist"):
        atlas.main([":memory:", "--clusters", "c", "--source", "nothing", "-o", str(tmp_path / "a.parquet")])
    assert not list(tmp_path.iterdir())

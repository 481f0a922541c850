"""The stages on Spark give what the extension gives on one machine, to the last bit."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("pyspark", reason="needs PySpark 4.3: make test-spark installs it")

import density_peaks_spark as dps  # noqa: E402
from conftest import ROOT, SHARED_DATA, arrow, assert_equal, blobs, call  # noqa: E402

SONGS = str(ROOT / "data" / "songs.parquet")
NUMBERS = {"k": 10, "sigma": 0.1, "tau": 0.7, "max_iterations": 4}


def ids(kind: str, count: int) -> pa.Array:
    """Ids in an order of their own."""
    mixed = [at * 7 % count for at in range(count)]
    if kind == "VARCHAR":
        return pa.array([f"{'ä' if at % 3 else 'Z'}{at}" for at in mixed])
    if kind == "DATE":
        return pa.array([date.fromordinal(730_000 + at) for at in mixed])
    return pa.array([(at - 100) * 10**15 for at in mixed], pa.int64())


def both(spark, con, tmp_path, points: pa.Table, m=None, partitions=2, **given):
    """A clustering by Spark is that of one machine."""
    con.register("points", points)
    rows = spark.createDataFrame(points).repartition(partitions)
    many = dps.cluster_embeddings(rows, workdir=tmp_path, m=m, **given).toArrow()
    assert_equal(con, many, call("cluster_embeddings", "points", method="exact", **given))


def test_songs_are_clustered_as_on_one_machine(spark, con, tmp_path):
    given = {"k": 10, "sigma": 0.08, "tau": 0.65, "max_iterations": 6}
    songs = spark.read.parquet(SONGS).select("id", "embedding")
    many = dps.cluster_embeddings(songs, workdir=tmp_path, **given).toArrow()
    assert_equal(con, many, call("cluster_embeddings", SONGS, method="exact", **given))


def test_songs_are_clustered_as_on_one_machine_with_nothing_set(spark, con, tmp_path):
    songs = spark.read.parquet(SONGS).select("id", "embedding")
    many = dps.cluster_embeddings(songs, workdir=tmp_path).toArrow()
    assert_equal(con, many, call("cluster_embeddings", SONGS, method="exact"))


@pytest.mark.parametrize(
    ("kind", "m", "partitions", "metric", "precision"),
    [("VARCHAR", 2, 1, "cosine", "f32"), ("DATE", 3, 7, "l2sq", "f16"), ("BIGINT", 5, 3, "cosine", "i8")],
)
def test_ids_of_any_type_and_rows_in_any_order_give_the_same(
    spark, con, tmp_path, kind, m, partitions, metric, precision
):
    points = arrow(blobs(200), ids(kind, 200))
    sigma = 0.1 if metric == "cosine" else 2.0
    both(spark, con, tmp_path, points, m, partitions, **{**NUMBERS, "sigma": sigma}, metric=metric, precision=precision)


PAPER = {"k": 80, "sigma": 0.1, "tau": 0.7, "max_iterations": 4}


@pytest.mark.parametrize(
    ("count", "given"),
    [(5, {}), (20, {"precision": "f16"}), (5, {**PAPER, "precision": "i8"}), (20, PAPER)],
    ids=str,
)
def test_of_many_copies_three_stand_for_all(spark, con, tmp_path, count, given):
    pictures = blobs(40, groups=8)
    embeddings = np.concatenate([np.repeat(pictures, count, axis=0), blobs(60, seed=2)])
    embeddings = embeddings[np.random.default_rng(1).permutation(len(embeddings))]
    both(spark, con, tmp_path, arrow(embeddings), 3, **given)


@pytest.mark.parametrize("copies", [None, 1, 9])
def test_copies_are_as_many_as_are_asked_for(spark, con, tmp_path, copies):
    points = arrow(np.repeat(blobs(12) / 20, 9, axis=0))
    both(spark, con, tmp_path, points, 2, 3, **NUMBERS, copies=copies, metric="ip")
    many = dps.knn_graph(spark.createDataFrame(points), k=5, copies=copies, workdir=tmp_path, m=2).toArrow()
    assert_equal(con, many, call("knn_graph", "points", k=5, copies=copies))


def test_inner_products_of_short_embeddings(spark, con, tmp_path):
    both(spark, con, tmp_path, arrow(blobs(100) / 20), 3, **NUMBERS, metric="ip")


@pytest.mark.parametrize(("count", "m"), [(0, None), (1, None), (2, 2), (7, 5)])
@pytest.mark.parametrize("given", [NUMBERS, {"k": 10}], ids=["numbers", "auto"])
def test_few_points(spark, con, tmp_path, count, m, given):
    points = arrow(blobs(max(count, 1))).slice(0, count)
    both(spark, con, tmp_path, points, m, **given)


def test_columns_keep_their_names_and_other_numbers_are_taken(spark, con, tmp_path):
    points = arrow(blobs(60)).rename_columns(["face`s id", "features"])
    points = points.set_column(1, "features", points["features"].cast(pa.list_(pa.float64())))
    both(spark, con, tmp_path, points, 2, **NUMBERS, id="face`s id", embedding="features")


@pytest.mark.parametrize("given", [{"k": 10, "sigma": 0.1}, {"k": 10, "tau": 0.6}, {"k": 10, "clusters": 20}], ids=str)
def test_what_the_driver_does_without_a_number(spark, con, tmp_path, given):
    both(spark, con, tmp_path, arrow(blobs()), 2, **given)


def test_kernel_linear_needs_no_sigma(spark, con, tmp_path):
    both(spark, con, tmp_path, arrow(blobs()), 2, k=10, kernel="linear", tau=0.7, max_iterations=4)


def test_stages_on_dataframes_are_those_on_tables(spark, con, tmp_path):
    points = arrow(blobs(120), ids("VARCHAR", 120))
    con.register("points", points)
    rows, folder = spark.createDataFrame(points), {"workdir": tmp_path}
    con.execute("CREATE TABLE g AS " + call("knn_graph", "points", k=6, method="exact"))
    con.execute("CREATE TABLE p AS " + call("transition_matrix", "g"))
    con.execute("CREATE TABLE r AS " + call("ndde", "p", max_iterations=3))
    con.execute("CREATE TABLE d AS " + call("tpdi", "p"))
    g = dps.knn_graph(rows, k=6, **folder)
    assert_equal(con, g.toArrow(), "FROM g")
    p = dps.transition_matrix(g, **folder)
    assert_equal(con, p.toArrow(), "FROM p")
    r = dps.ndde(p, max_iterations=3, **folder)
    assert_equal(con, r.toArrow(), "FROM r")
    d = dps.tpdi(p, **folder)
    assert_equal(con, d.toArrow(), "FROM d")
    assert_equal(con, dps.dpc_cluster(r, d, tau=0.6, **folder).toArrow(), call("dpc_cluster", "r", "d", tau=0.6))
    auto = dps.transition_matrix(g, sigma="auto", **folder)
    assert_equal(con, auto.toArrow(), call("transition_matrix", "g", sigma="auto"))
    con.execute("CREATE TABLE a AS " + call("transition_matrix", "g", sigma="auto"))
    assert_equal(con, dps.linkage_cluster(auto, **folder).toArrow(), call("linkage_cluster", "a"))


def test_edges_that_name_each_pair_once_count_both_ways(spark, con, tmp_path):
    pairs = pa.table({"src": ["a", "c", "d"], "dst": ["b", "b", "e"], "similarity": [0.98, 0.7, 0.2]})
    con.register("pairs", pairs)
    rows = spark.createDataFrame(pairs)
    for undirected in ("auto", False, True):
        many = dps.transition_matrix(rows, undirected=undirected, workdir=tmp_path).toArrow()
        assert_equal(con, many, call("transition_matrix", "pairs", undirected=undirected))


@pytest.mark.parametrize("name", ["lfw_lowres24_mobilefacenet", "cora_minilm"])
def test_labelled_data_is_clustered_as_on_one_machine(spark, con, tmp_path, name):
    path = SHARED_DATA / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"needs ../shared/data/{path.name}, which is not here")
    points = con.sql(f"SELECT id, embedding::FLOAT[] AS embedding FROM '{path}'").to_arrow_table()
    both(spark, con, tmp_path, points, 3, k=20, sigma=0.1, tau=0.7, max_iterations=5)

"""One set of rows gives one result to the last bit: in any order of rows, on any threads, by any way of nesting."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from conftest import arrow_points, blobs, connect

POINTS = 3000
ORDERS = {"ascending": "id", "descending": "id DESC", "shuffled": "hash(id)", "shuffled again": "hash(id, 1)"}
THREADS = [1, 2, 8]
GRAPH = "knn_graph('{}', k := 50)"
P = f"transition_matrix({GRAPH})"
STAGES = {
    "knn_graph": GRAPH,
    "knn_graph, ip": "knn_graph('{}', k := 50, metric := 'ip')",
    "knn_graph, l2sq": "knn_graph('{}', k := 50, metric := 'l2sq')",
    "transition_matrix": P,
    "transition_matrix, linear": f"transition_matrix({GRAPH}, kernel := 'linear')",
    "ndde": f"ndde({P})",
    "ndde, many steps": f"ndde({P}, epsilon := 1e-9, max_iterations := 200)",
    "tpdi": f"tpdi({P})",
    "dpc_cluster": f"dpc_cluster(ndde({P}), tpdi({P}), tau := 0.8)",
    "cluster_embeddings": "cluster_embeddings('{}', k := 50)",
    "auto_parameters": f"auto_parameters({GRAPH})",
    "transition_matrix, auto": f"transition_matrix({GRAPH}, sigma := 'auto')",
    "cluster_embeddings, auto": "cluster_embeddings('{}', k := 50, sigma := 'auto', tau := 'auto')",
    "average_linkage": "cluster_with(knn_graph('{}', k := 10), 'average_linkage', threshold := 0.4)",
    "dbscan": "cluster_with(knn_graph('{}', k := 10), 'dbscan', epsilon := 0.2)",
    "map_equation": "cluster_with(knn_graph('{}', k := 10), 'map_equation', threshold := 0.4)",
    "kmeans_cluster": "kmeans_cluster('{}', 100)",
}


def with_ties() -> np.ndarray:
    """Points of which many are equal, and many as far from one another."""
    embeddings = blobs(points=POINTS, dim=24, groups=150, noise=0.4, seed=3)
    embeddings[500:900] = embeddings[100:500]
    embeddings[900:1000] = embeddings[42]
    embeddings[1000:1200] = np.eye(24)[np.arange(200) % 24]
    return np.ascontiguousarray(embeddings)


@pytest.fixture(scope="module")
def db():
    with connect() as con:
        con.register("points", arrow_points(with_ties()))
        con.execute("CREATE TABLE faces AS SELECT id, embedding FROM points ORDER BY id")
        con.unregister("points")
        for number, order in enumerate(ORDERS.values()):
            con.execute(f"CREATE TABLE faces{number} AS FROM faces ORDER BY {order}")
        con.execute("CREATE VIEW doubles AS SELECT id, embedding::DOUBLE[] AS embedding FROM faces2")
        con.execute("CREATE VIEW odd_and_even AS FROM faces3 WHERE id % 2 = 1 UNION ALL FROM faces2 WHERE id % 2 = 0")
        yield con


def bits(con, relation, threads=2) -> list[bytes]:
    """The bytes of each column, rows as they come."""
    con.execute(f"SET threads = {threads}")
    columns = con.sql(f"FROM {relation}").to_arrow_table().combine_chunks().columns
    return [repr(c.to_pylist()).encode() if pa.types.is_string(c.type) else plain(c).tobytes() for c in columns]


def plain(column) -> np.ndarray:
    return (pc.fill_null(column, -1.0) if column.null_count else column).to_numpy()


@pytest.mark.parametrize("stage", STAGES)
def test_order_of_rows_and_threads_change_no_bit(db, stage):
    expected = bits(db, STAGES[stage].replace("{}", "faces0"), threads=1)
    for threads in THREADS:
        for number, order in enumerate(ORDERS):
            assert bits(db, STAGES[stage].replace("{}", f"faces{number}"), threads) == expected, (threads, order)


@pytest.mark.parametrize("relation", ["doubles", "odd_and_even"])
def test_kind_of_relation_changes_no_bit(db, relation):
    for stage in ("knn_graph", "cluster_embeddings"):
        expected = bits(db, STAGES[stage].replace("{}", "faces"))
        assert bits(db, STAGES[stage].replace("{}", relation)) == expected


@pytest.mark.parametrize("stage", STAGES)
def test_rows_come_in_order_of_the_ids(db, stage):
    rows = db.execute(f"FROM {STAGES[stage].replace('{}', 'faces3')}").fetchall()
    if stage.startswith("knn_graph"):
        assert rows == sorted(rows, key=lambda row: (row[0], row[2]))
        assert all((a[3], a[1]) < (b[3], b[1]) for a, b in pairwise(rows) if a[0] == b[0])  # nearest first, then by id
    else:
        width = 2 if stage.startswith(("transition_matrix", "tpdi")) else 1
        ends = [row[:width] for row in rows]
        assert ends == sorted(set(ends))


def test_repeated_runs_change_no_bit(db):
    call = STAGES["cluster_embeddings"].replace("{}", "faces2")
    expected = bits(db, call)
    assert all(bits(db, call, threads) == expected for threads in [2, 3, 8] * 4)


NESTINGS = {
    "over stored densities and distances": "dpc_cluster('r', 'd')",
    "over a stored matrix": "dpc_cluster(ndde('p'), tpdi('p'))",
    "over stored densities": "dpc_cluster('r', tpdi('p'))",
    "over stored distances": "dpc_cluster(ndde('p'), 'd')",
    "over a stored graph": """dpc_cluster(ndde(transition_matrix('g', {kernel})),
                                          tpdi(transition_matrix('g', {kernel})))""",
    "half over a graph": "dpc_cluster(ndde(transition_matrix('g', {kernel})), tpdi('p'))",
    "all the way": """dpc_cluster(ndde(transition_matrix(knn_graph('faces2', {graph}), {kernel})),
                                  tpdi(transition_matrix(knn_graph('faces2', {graph}), {kernel})))""",
    "half all the way": "dpc_cluster('r', tpdi(transition_matrix(knn_graph('faces2', {graph}), {kernel})))",
    "in one call": "cluster_embeddings('faces2', {graph}, {kernel}, tau := 0.7)",
}
OPTIONS = {
    "cosine, exp": ("k := 50, copies := 3", "kernel := 'exp', sigma := 0.1"),
    "cosine, linear": ("k := 20, copies := 3", "kernel := 'linear'"),
    "cosine, as the graph calls for": ("k := 50, copies := 3", "sigma := 'auto'"),
    "l2sq, exp": ("k := 20, copies := 3, metric := 'l2sq'", "sigma := 0.03"),
    "ip, exp": ("k := 20, copies := 3, metric := 'ip'", "sigma := 0.3"),
}


@pytest.mark.parametrize("ids", ["BIGINT", "VARCHAR"])
@pytest.mark.parametrize("options", OPTIONS)
def test_every_way_of_nesting_gives_the_same_bits(db, options, ids):
    graph, kernel = OPTIONS[options]
    with db.cursor() as con:
        con.execute(f"""
            SET threads = 2;
            CREATE TEMP TABLE faces2 AS SELECT id::{ids} AS id, [x / 10 FOR x IN embedding]::FLOAT[24] AS embedding
            FROM memory.faces2;
            CREATE TEMP TABLE g AS FROM knn_graph('faces2', {graph}) ORDER BY hash(src, dst);
            CREATE TEMP TABLE p AS FROM transition_matrix('g', {kernel}) ORDER BY hash(src, dst);
            CREATE TEMP TABLE r AS FROM ndde('p') ORDER BY hash(id);
            CREATE TEMP TABLE d AS FROM tpdi('p') ORDER BY hash(src, dst)
        """)
        found = {way: bits(con, call.format(graph=graph, kernel=kernel)) for way, call in NESTINGS.items()}
        assert [way for way, columns in found.items() if columns != found["in one call"]] == []
        assert con.execute(
            "SELECT count(*) > 9 AND count(*) < 2999 FROM dpc_cluster('r', 'd') WHERE is_peak"
        ).fetchall() == [(True,)]
        stages = {
            "g": f"knn_graph('faces2', {graph})",
            "p": f"transition_matrix(knn_graph('faces2', {graph}), {kernel})",
            "r": f"ndde(transition_matrix(knn_graph('faces2', {graph}), {kernel}))",
            "d": f"tpdi(transition_matrix('g', {kernel}))",
        }
        for table, nested in stages.items():
            order = {"g": "src, rank", "r": "id"}.get(table, "src, dst")
            assert bits(con, f"(FROM {table} ORDER BY {order})") == bits(con, nested), table


def test_stages_with_other_arguments_are_not_shared(db):
    """Two graphs of one relation in one statement, of which one would do for a careless cache."""
    db.execute("""
        CREATE OR REPLACE TABLE p10 AS FROM transition_matrix(knn_graph('faces', k := 10));
        CREATE OR REPLACE TABLE p50 AS FROM transition_matrix(knn_graph('faces', k := 50));
        CREATE OR REPLACE TABLE sharp AS FROM transition_matrix(knn_graph('faces', k := 10), sigma := 0.01);
        CREATE OR REPLACE TABLE plain AS
            FROM transition_matrix(knn_graph('faces', k := 10, metric := 'l2sq'), sigma := 3.0)
    """)
    calls = {
        "p10": "transition_matrix(knn_graph('faces', k := 10))",
        "p50": "transition_matrix(knn_graph('faces', k := 50))",
        "sharp": "transition_matrix(knn_graph('faces', k := 10), sigma := 0.01)",
        "plain": "transition_matrix(knn_graph('faces', k := 10, metric := 'l2sq'), sigma := 3.0)",
    }
    for density, density_call in calls.items():
        for distance, distance_call in calls.items():
            stored = bits(db, f"dpc_cluster(ndde('{density}'), tpdi('{distance}'))")
            assert bits(db, f"dpc_cluster(ndde({density_call}), tpdi({distance_call}))") == stored, (density, distance)

"""sql/recipes/pictures.sql: what is in the pictures, against the tables that they are made from."""

import json
from collections import Counter

import numpy as np
import pictures
import pytest
from conftest import ROOT, create_points
from test_recipes import RECIPES

TAU = 0.6


@pytest.fixture
def drawing(con):
    """Clusters of 300 points with their sweep, and the macros."""
    create_points(con)
    con.execute(f"""
        CREATE TABLE p AS FROM transition_matrix(knn_graph('faces', k := 10), sigma := 0.1);
        CREATE TABLE clusters AS FROM dpc_cluster(ndde('p'), tpdi('p'), tau := {TAU});
        CREATE TABLE labels AS SELECT id, (id * 7919) % 30 AS label FROM faces;
        CREATE TABLE sweep AS
        FROM tau_sweep(ndde('p'), tpdi('p'), taus := [0.2, 0.4, 0.55, 0.6, 0.9], labels := 'labels')""")
    con.execute((RECIPES / "pictures.sql").read_text())
    return con


def rows(con, call):
    """The data of a picture, once it is known to draw, from fields that it has."""
    specification = pictures.picture(con, f"FROM {call}")
    assert pictures.svg(specification).count("<path") > 2
    data = specification["data"]["values"]
    fields = {part.split('"')[0] for part in json.dumps(specification).split('"field": "')[1:]}
    assert fields <= set(data[0]) | {"tau"}
    return data, specification["title"]["subtitle"]


def test_decision_graph_has_every_point_once_and_the_peaks_of_that_tau(drawing):
    data, subtitle = rows(drawing, f"picture_decision_graph('clusters', tau := {TAU})")
    points = drawing.execute("SELECT density, coalesce(delta, 1), is_peak FROM clusters").fetchall()
    counted = Counter()
    for row in data:
        counted[row["peak"]] += row["points"]
    peaks = sum(is_peak for *_, is_peak in points)
    assert counted == {True: peaks, False: 300 - peaks}
    assert subtitle == f"300 points, {peaks} of them peaks, above tau {TAU}"
    # Every point is where it should be, to a 25th of a decade and a hundredth.
    for density, delta, is_peak in points:
        assert any(
            row["peak"] == is_peak
            and abs(np.log10(row["density"] / density)) < 0.024
            and abs(row["delta"] - delta) < 0.00501
            for row in data
        )


def test_decision_graph_is_the_same_of_clusters_and_of_the_function_without_tau(drawing):
    drawing.execute("CREATE TABLE graph AS FROM decision_graph(ndde('p'), tpdi('p'))")
    of_function, subtitle = rows(drawing, "picture_decision_graph('graph')")
    points = {(row["density"], row["delta"]): row["points"] for row in of_function}
    of_clusters = Counter()
    for row in rows(drawing, f"picture_decision_graph('clusters', tau := {TAU})")[0]:
        of_clusters[row["density"], row["delta"]] += row["points"]
    assert points == of_clusters
    assert subtitle == "300 points"


def test_sizes_are_counted_in_doubling_bins(con):
    """Clusters of text, of 1 to 9 points, and rows of no cluster."""
    con.execute("""
        CREATE TABLE found AS SELECT 'c' || n AS cluster_id FROM range(1, 10) t(n), range(n)
        UNION ALL SELECT NULL FROM range(5)""")
    con.execute((RECIPES / "pictures.sql").read_text())
    data, subtitle = rows(con, "picture_sizes('found')")
    assert {row["size"]: row["number"] for row in data} == {"1": 1, "2": 1, "3–4": 2, "5–8": 4, "9–16": 1}
    assert subtitle == "45 points in 9 clusters, the largest of 9"


def test_tau_pictures_have_the_figures_of_the_sweep(drawing):
    sweep = drawing.execute("FROM sweep").fetchall()
    data, subtitle = rows(drawing, "picture_tau_scores('sweep')")
    found = {(row["tau"], row["score"]): row["value"] for row in data}
    for tau, _, _, _, _, _, pairwise_f, precision, recall, bcubed_f in sweep:
        wanted = [("pairwise F", pairwise_f), ("BCubed precision", precision), ("BCubed recall", recall)]
        for score, value in [*wanted, ("BCubed F", bcubed_f)]:
            assert found[tau, score] == pytest.approx(value, abs=5.1e-5)
    best = max(sweep, key=lambda row: row[-1])
    assert [(row["tau"], row["score"]) for row in data if row["best"]] == [(best[0], "BCubed F")]
    assert subtitle == f"best BCubed F {best[-1]:.3f} at tau {best[0]}"
    data, _ = rows(drawing, "picture_tau_clusters('sweep')")
    found = {(row["tau"], row["kind"]): row["number"] for row in data}
    for tau, clusters, alone, *_ in sweep:
        assert (found[tau, "clusters"], found[tau, "of one point"]) == (clusters, alone)


def test_hard_clusters_are_those_of_the_recipe(con):
    con.execute(f"CREATE TABLE faces AS FROM '{ROOT / 'data' / 'songs.parquet'}' WHERE id % 4 = 0")
    con.execute("CREATE TABLE clusters AS FROM cluster_embeddings('faces', k := 10, sigma := 0.08, tau := 0.65)")
    con.execute((RECIPES / "hard_clusters.sql").read_text())
    con.execute((RECIPES / "pictures.sql").read_text())
    data, _ = rows(con, "picture_hard_clusters('hard_clusters')")
    assert len(data) == 30
    found = {(row["subset"], row["score"]): row["value"] for row in data}
    for subset, recall, f, bcubed in con.execute(
        "SELECT subset, pairwise_recall, pairwise_f, bcubed_f FROM hard_clusters"
    ).fetchall():
        for score, value in (("pairwise recall", recall), ("pairwise F", f), ("BCubed F", bcubed)):
            assert found[subset, score] == pytest.approx(value, abs=5.1e-5)


def expected_tree(points):
    """Name, row, parent's row and distance from the peak of each point: depth first, nearest children first."""
    (peak,) = (point for point, (parent, _) in points.items() if parent == point)
    drawn, pending = {}, [(peak, 0.0)]
    while pending:
        point, x = pending.pop()
        parent = points[point][0]
        drawn[point] = (len(drawn), None if point == peak else drawn[parent][0], x)
        children = [child for child, (above, _) in points.items() if above == point and child != peak]
        children.sort(key=lambda child: (points[child][1], child), reverse=True)
        pending += [(child, x + points[child][1]) for child in children]
    return drawn


def test_tree_is_the_walk_down_from_the_peak(drawing):
    """Ids of text, in the largest cluster; a column of names."""
    drawing.execute("""
        CREATE TABLE texts AS
        SELECT 'f' || id AS id, 'f' || parent_id AS parent_id, * EXCLUDE (id, parent_id), upper('f' || id) AS title
        FROM clusters""")
    (cluster,) = drawing.execute("SELECT mode(cluster_id) FROM clusters").fetchone()
    of_cluster = drawing.execute("SELECT id, parent_id, delta FROM texts WHERE cluster_id = $1", [cluster]).fetchall()
    wanted = expected_tree({point: (parent, delta) for point, parent, delta in of_cluster})
    data, subtitle = rows(drawing, f"picture_tree('texts', {cluster}, name := 'title', largest := 1000)")
    assert len(data) == len(wanted) > 15
    for row in data:
        at, parent_row, x = wanted[row["text"].lower()]
        assert (row["row"], row["parent_row"]) == (at, parent_row)
        assert row["x"] == pytest.approx(x, abs=5.1e-5)
    assert subtitle.startswith(f"{len(wanted)} of {len(wanted)} points;")


def test_tree_of_a_large_cluster_shows_parents_of_all_that_it_shows(drawing):
    (cluster,) = drawing.execute("SELECT mode(cluster_id) FROM clusters").fetchone()
    data, _ = rows(drawing, f"picture_tree('clusters', {cluster}, largest := 7)")
    assert sorted(row["row"] for row in data) == list(range(7))
    assert [row["row"] for row in data if row["parent_row"] is None] == [0]
    by_row = {row["row"]: row for row in data}
    for row in data[1:]:
        assert by_row[row["parent_row"]]["x"] == row["parent_x"] <= row["x"]


def test_map_keeps_shapes_apart_and_names_clusters_in_order_of_size(con):
    con.execute("""
        CREATE TABLE places AS
        SELECT i * 2.0 AS x, -3.0 * n AS y, n AS cluster_id, n + 1 AS size FROM range(12) t(n), range(n + 1) r(i)""")
    con.execute((RECIPES / "pictures.sql").read_text())
    data, subtitle = rows(con, "picture_map('places')")
    assert len(data) == 78 and subtitle.startswith("78 points of 12 clusters;")
    looks = {(row["color"], row["shape"]): row["cluster"] for row in data}
    assert len(looks) == 12
    assert [row["cluster"] for row in sorted(data, key=lambda row: row["rank"])][0] == "11"
    assert [row["alone"] for row in data if row["cluster"] == "0"] == [True]
    # One scale for both directions: the 33 in y are the whole height, the 22 in x two thirds of it.
    assert max(row["y"] for row in data) == 1000 and max(row["x"] for row in data) == 667


def test_places_put_points_of_a_cluster_together(con):
    create_points(con, points=200, groups=10, noise=0.05)
    con.execute("CREATE TABLE clusters AS FROM cluster_embeddings('faces', k := 10)")
    places = pictures.places(con, "clusters", "faces", points=100)
    at, cluster = np.column_stack([places["x"], places["y"]]), np.array(places["cluster_id"])
    assert len(at) == 100 and max(Counter(cluster.tolist()).values()) <= 16
    distances = np.linalg.norm(at[:, None] - at[None], axis=2) + np.diag(np.full(100, np.inf))
    assert (cluster[distances.argmin(axis=1)] == cluster).mean() > 0.95


def test_of_no_rows_each_is_a_picture_without_marks(drawing):
    drawing.execute("""
        CREATE TABLE hard_clusters (subset VARCHAR, pairwise_recall DOUBLE, pairwise_f DOUBLE, bcubed_f DOUBLE);
        CREATE TABLE places (x DOUBLE, y DOUBLE, cluster_id BIGINT, size BIGINT);
        DELETE FROM clusters; DELETE FROM sweep""")
    for call in (
        "picture_decision_graph('clusters', tau := 0.7)", "picture_sizes('clusters')", "picture_tau_scores('sweep')",
        "picture_tau_clusters('sweep')", "picture_hard_clusters('hard_clusters')", "picture_map('places')",
        "picture_tree('clusters', 0)",
    ):  # fmt: skip
        specification = pictures.picture(drawing, f"FROM {call}")
        assert specification["data"]["values"] == []
        assert pictures.svg(specification).startswith("<svg")

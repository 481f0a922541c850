"""cluster_with and kmeans_cluster against scikit-learn, SciPy and the published formulas."""

import numpy as np
import pytest
from conftest import blobs, connect, create_points
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_rand_score

POINTS, K = 600, 12
SHAPE = {"points": POINTS, "dim": 8, "groups": 60, "noise": 0.45, "seed": 11}
THRESHOLDS = [0.02, 0.06, 0.12, 0.2]


@pytest.fixture(scope="module")
def db():
    with connect() as con:
        create_points(con, **SHAPE)
        con.execute(f"CREATE TABLE g AS FROM knn_graph('faces', k := {K})")
        yield con


@pytest.fixture(scope="module")
def lists(db) -> list[list[int]]:
    """The neighbors of each point, nearest first."""
    rows = db.execute("SELECT list(dst ORDER BY rank) FROM g GROUP BY src ORDER BY src").fetchall()
    return [neighbors for (neighbors,) in rows]


@pytest.fixture(scope="module")
def distances(db) -> np.ndarray:
    """Of every pair, infinite for one without an edge."""
    edges = db.execute("SELECT src, dst, distance::DOUBLE AS distance FROM g").fetchnumpy()
    matrix = np.full((POINTS, POINTS), np.inf)
    np.fill_diagonal(matrix, 0)
    matrix[edges["src"], edges["dst"]] = edges["distance"]
    return np.minimum(matrix, matrix.T)


def clusters(con, method, graph="g", **arguments) -> np.ndarray:
    """The cluster of each point, checked to be numbered by the smallest ids."""
    given = "".join(f", {name} := {value!r}" for name, value in arguments.items())
    rows = con.execute(f"SELECT id, cluster_id FROM cluster_with('{graph}', method := '{method}'{given})").fetchnumpy()
    return in_order(rows)


def in_order(rows) -> np.ndarray:
    assert (np.array(rows["id"]) == np.arange(POINTS)).all()
    found = np.array(rows["cluster_id"])
    _, first = np.unique(found, return_index=True)
    assert (np.diff(first) > 0).all() and found[first].tolist() == list(range(len(first)))
    return found


def same(one, other) -> bool:
    return adjusted_rand_score(one, other) == 1.0


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_connected_components_are_those_of_scipy(db, distances, threshold):
    count, labels = connected_components(csr_array((distances <= threshold).astype(int)), directed=False)
    assert 1 < count < POINTS
    assert same(clusters(db, "connected_components", threshold=threshold), labels)
    # Which is single linkage cut there.
    assert same(clusters(db, "single_linkage", threshold=threshold), labels)


@pytest.mark.parametrize("linkage", ["single", "average"])
@pytest.mark.parametrize("stop", [{"threshold": t} for t in [*THRESHOLDS, 0.7]] + [{"clusters": n} for n in (60, 200)])
def test_linkage_is_that_of_the_dense_matrix(db, distances, linkage, stop):
    """Two points without an edge are 1 apart; nothing of this graph is farther."""
    assert distances[np.isfinite(distances)].max() < 1
    dense = np.where(np.isfinite(distances), distances, 1)
    sklearn_stop = {"n_clusters": stop.get("clusters"), "distance_threshold": stop.get("threshold")}
    expected = AgglomerativeClustering(metric="precomputed", linkage=linkage, **sklearn_stop).fit(dense)
    found = clusters(db, f"{linkage}_linkage", **stop)
    assert same(found, expected.labels_) and len(set(found)) == expected.n_clusters_


def test_average_linkage_of_distances_beyond_1(db, distances):
    """Two points without an edge are then as far apart as the two farthest with one."""
    db.execute("CREATE OR REPLACE TABLE far AS SELECT src, dst, 20 * distance AS distance FROM g")
    far = 20 * distances.astype(np.float32).astype(np.float64)
    largest = float(far[np.isfinite(far)].max())
    assert largest > 1
    dense = np.where(np.isfinite(far), far, largest)
    for threshold in (1.0, 0.6 * largest):
        expected = AgglomerativeClustering(
            n_clusters=None, distance_threshold=threshold, metric="precomputed", linkage="average"
        ).fit_predict(dense)
        assert 1 < len(set(expected)) < POINTS
        assert same(clusters(db, "average_linkage", "far", threshold=threshold), expected)


@pytest.mark.parametrize("epsilon", THRESHOLDS)
@pytest.mark.parametrize("min_points", [1, 2, 4, 8])
def test_dbscan_has_the_core_points_of_scikit_learn(db, distances, epsilon, min_points):
    model = DBSCAN(eps=epsilon, min_samples=min_points, metric="precomputed")
    model.fit(np.where(np.isfinite(distances), distances, 9))
    core, found = model.core_sample_indices_, clusters(db, "dbscan", epsilon=epsilon, min_points=min_points)
    assert same(found[core], model.labels_[core])
    is_core = np.isin(np.arange(POINTS), core)
    for point in np.flatnonzero(~is_core):
        near = np.where(is_core, distances[point], np.inf)
        if near.min() <= epsilon:
            assert model.labels_[point] >= 0 and found[point] == found[near.argmin()]
        else:
            assert model.labels_[point] == -1 and (found == found[point]).sum() == 1


def test_dbscan_takes_five_points_as_scikit_learn_does(db):
    assert (clusters(db, "dbscan", epsilon=0.1) == clusters(db, "dbscan", epsilon=0.1, min_points=5)).all()
    assert not same(clusters(db, "dbscan", epsilon=0.1), clusters(db, "dbscan", epsilon=0.1, min_points=4))


def rank_order_distance(lists, a, b) -> float:
    def missing(a, b):
        up_to = lists[a].index(b) + 1 if b in lists[a] else K
        return len(set(lists[a][:up_to]) - set(lists[b]) - {b})

    ranks = [lists[one].index(other) + 1 for one, other in ((a, b), (b, a)) if other in lists[one]]
    return (missing(a, b) + missing(b, a)) / min(ranks)


@pytest.mark.parametrize("threshold", [0, 0.2, 0.5])
def test_rank_order_joins_by_the_published_distance(db, lists, threshold):
    joined = np.zeros((POINTS, POINTS), dtype=int)
    for a, neighbors in enumerate(lists):
        for b in neighbors:
            joined[a, b] = rank_order_distance(lists, a, b) <= threshold
    count, labels = connected_components(csr_array(joined), directed=False)
    assert 1 < count < POINTS
    assert same(clusters(db, "rank_order", threshold=threshold), labels)


@pytest.mark.parametrize("kernel", ["gaussian", "count"])
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_density_peaks_are_those_of_densities_in_sql(db, kernel, threshold):
    weight = {"gaussian": "exp(-pow(distance / 0.1, 2))", "count": "(distance <= 0.1)::INTEGER"}[kernel]
    db.execute(f"""
        CREATE OR REPLACE TABLE both_ways AS
        SELECT src, dst, min(distance)::DOUBLE AS distance
        FROM (SELECT src, dst, distance FROM g UNION ALL SELECT dst, src, distance FROM g) GROUP BY ALL;
        CREATE OR REPLACE TABLE density AS SELECT src AS id, sum({weight})::DOUBLE AS density FROM both_ways GROUP BY src;
    """)
    expected = db.execute(f"FROM dpc_cluster('density', 'both_ways', tau := {threshold})").fetchnumpy()["cluster_id"]
    found = clusters(db, "density_peaks", threshold=threshold, cutoff=0.1, kernel=kernel)
    assert (found == expected).all()
    if kernel == "gaussian":
        assert (found == clusters(db, "density_peaks", threshold=threshold, cutoff=0.1)).all()


def code_length(links, labels) -> float:
    """L of the map equation, in bits a step, from the links (from, to, flow)."""
    def plogp(x):
        return np.sum(x[x > 0] * np.log2(x[x > 0]))

    start, end, flow = links
    crossing = labels[start] != labels[end]
    inside = np.bincount(labels[start], flow)
    exits = np.bincount(labels[start[crossing]], flow[crossing], minlength=len(inside))
    return plogp(exits.sum(keepdims=True)) - 2 * plogp(exits) + plogp(exits + inside) - plogp(np.bincount(start, flow))


@pytest.mark.parametrize("threshold, sigma", [(0.15, 0.1), (0.3, 0.05)])
def test_no_move_shortens_the_map_equation(db, distances, threshold, sigma):
    flows = np.where((distances <= threshold) & ~np.eye(POINTS, dtype=bool), np.exp(-distances / sigma), 0)
    flows /= flows.sum()
    found = clusters(db, "map_equation", threshold=threshold, sigma=sigma)
    assert 20 < len(set(found)) < POINTS
    start, end = np.nonzero(flows)
    links = start, end, flows[start, end]
    length = code_length(links, found)
    _, components = connected_components(csr_array(flows), directed=False)
    for other in (components, np.arange(POINTS), clusters(db, "average_linkage", threshold=0.3)):
        assert length < code_length(links, other) - 0.01
    for point in range(POINTS):
        for community in {*found[end[start == point]], found.max() + 1}:
            moved = found.copy()
            moved[point] = community
            assert code_length(links, moved) > length - 1e-9
    for a, b in {tuple(sorted(pair)) for pair in zip(found[start], found[end], strict=True)}:
        assert code_length(links, np.where(found == a, b, found)) > length - 1e-9


def test_map_equation_takes_sigma_of_a_tenth(db):
    default = clusters(db, "map_equation", threshold=0.4)
    assert (default == clusters(db, "map_equation", threshold=0.4, sigma=0.1)).all()
    assert not same(default, clusters(db, "map_equation", threshold=0.4, sigma=0.01))


@pytest.mark.parametrize("metric", ["cosine", "l2sq"])
@pytest.mark.parametrize("number", [20, 150])
def test_kmeans_is_a_fixed_point_of_scikit_learn_and_as_good(db, metric, number):
    vectors = blobs(**SHAPE).astype(np.float64)
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = db.execute(f"FROM kmeans_cluster('faces', {number}, metric := '{metric}')").fetchnumpy()
    found = in_order(rows)
    assert len(set(found)) == number
    centers = np.stack([vectors[found == cluster].mean(axis=0) for cluster in range(number)])
    again = KMeans(number, init=centers, n_init=1, max_iter=1).fit(vectors)
    assert (again.labels_ == found).all()
    inertia = ((vectors - centers[found]) ** 2).sum()
    others = [KMeans(number, init="random", n_init=1, random_state=seed).fit(vectors).inertia_ for seed in range(3)]
    assert inertia <= np.median(others) * (1 + 1e-6)


def test_kmeans_stops_after_max_iterations(db):
    one, settled = (
        in_order(db.execute(f"FROM kmeans_cluster('faces', 50, max_iterations := {steps})").fetchnumpy())
        for steps in (1, 100)
    )
    assert not same(one, settled)


def test_kmeans_of_fewer_distinct_points_than_clusters(con):
    con.execute("CREATE TABLE t AS SELECT i AS id, [i % 3 + 1, 1]::FLOAT[2] AS embedding FROM range(12) t(i)")
    rows = con.execute("SELECT cluster_id FROM kmeans_cluster('t', clusters := 12, metric := 'l2sq')").fetchall()
    assert [cluster for (cluster,) in rows] == [0, 1, 2] * 4

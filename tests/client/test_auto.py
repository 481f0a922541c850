"""sigma := 'auto' and tau := 'auto' beside the same in numpy, on the songs of this repository."""

import numpy as np
import pytest
from conftest import ROOT, connect
from scipy.sparse import csr_matrix

LEVEL, COARSE_LEVEL, COARSE_TAU, STRANGERS = 0.015, 0.05, 0.95, 10.0


@pytest.fixture(scope="module")
def songs():
    with connect(threads=2) as con:
        con.execute(f"CREATE TABLE songs AS FROM '{ROOT}/data/songs.parquet'")
        con.execute("CREATE TABLE g AS FROM knn_graph('songs', k := 80)")
        yield con


def edges_of(con):
    """Rows, columns and distances of the graph, and the number of points."""
    graph = con.execute("""
        WITH numbers AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS number FROM songs)
        SELECT s.number AS src, d.number AS dst, distance FROM g
        JOIN numbers s ON s.id = src JOIN numbers d ON d.id = dst ORDER BY ALL""").fetchnumpy()
    n = con.execute("SELECT count(*) FROM songs").fetchone()[0]
    return graph["src"].astype(int), graph["dst"].astype(int), graph["distance"].astype(float), n


def transition(src, dst, similarity, n):
    own = np.arange(n)
    p = csr_matrix((np.r_[similarity, np.ones(n)], (np.r_[src, own], np.r_[dst, own])), shape=(n, n))
    return csr_matrix(p.multiply(1 / p.sum(axis=1)))


def peaks(p, src, dst):
    """Densities, the edges that go up with their distances, and each point's parent and delta."""
    n = p.shape[0]
    density = np.ones(n)
    for _ in range(100):
        new = p.T @ density
        moved, density = np.linalg.norm(new - density), new
        if moved <= 0.05:
            break
    # What is equal but for rounding is equal.
    density = density.round(10)
    up = (density[dst] > density[src]) | ((density[dst] == density[src]) & (dst < src))
    src, dst, root = src[up], dst[up], p.sqrt()
    distance = (1 - np.asarray(root[src].multiply(root[dst]).sum(axis=1)).ravel()).round(10)
    parent, delta = np.arange(n), np.full(n, np.inf)
    for at in np.lexsort((dst, -density[dst], distance, src))[::-1]:
        parent[src[at]], delta[src[at]] = dst[at], distance[at]
    return src, dst, distance, parent, delta


def clusters(parent, delta, tau):
    root = np.where(delta < tau, parent, np.arange(len(parent)))
    while (root[root] != root).any():
        root = root[root]
    return root


def tail(src, dst, distance, n, cluster):
    """Where a tenth of the strangers, and all, are expected, by the Nelson-Aalen estimator."""
    last = np.zeros(n)
    np.maximum.at(last, src, distance)
    between = np.sort(distance[cluster[src] != cluster[dst]])
    hazard = np.cumsum(1 / (n - np.searchsorted(np.sort(last), between)))
    near, far = (between[np.searchsorted(hazard, strangers)] for strangers in (STRANGERS / 10, STRANGERS))
    return far, (far - near) / np.log(10)


def kernel(src, dst, distance, n):
    location, similarity = None, np.ones(len(distance))
    while True:
        cluster = clusters(*peaks(transition(src, dst, similarity, n), src, dst)[3:], COARSE_TAU)
        far, scale = tail(src, dst, distance, n, cluster)
        before, location = location, far + scale * np.log(COARSE_LEVEL / STRANGERS)
        if before is not None and abs(location - before) < 0.02 * scale:
            return far + scale * np.log(LEVEL / STRANGERS), scale
        similarity = np.exp(-np.exp((distance - location) / scale))


def bits(src, dst, flow, cluster):
    """The map equation for clusters of a walk that takes each edge so often, both ways alike."""
    own, other, apart = cluster[src], cluster[dst], cluster[src] != cluster[dst]
    visits = np.bincount(np.r_[own, other], np.r_[flow, flow])
    exits = np.bincount(np.r_[own[apart], other[apart]], np.r_[flow[apart], flow[apart]], minlength=len(visits))
    plogp = lambda x: np.sum(np.where(x > 0, x * np.log2(np.where(x > 0, x, 1)), 0))  # noqa: E731
    return plogp(np.sum(exits)) - 2 * plogp(exits) + plogp(exits + visits)


def test_the_kernel_and_tau_are_those_of_numpy(songs):
    name, location, scale, sigma, tau = songs.execute("FROM auto_parameters('g')").fetchone()
    src, dst, distance, n = edges_of(songs)
    assert (name, sigma) == ("gumbel", None)
    assert (location, scale) == pytest.approx(kernel(src, dst, distance, n), rel=1e-6)

    p = transition(src, dst, np.exp(-np.exp((distance - location) / scale)), n)
    above, below, apart, parent, delta = peaks(p, src, dst)
    weight = (1 - apart) ** 4
    sums = 1 + np.bincount(above, weight, n) + np.bincount(below, weight, n)
    flow = weight / sums[above] + weight / sums[below]
    flow /= 2 * flow.sum()
    at = lambda tau: bits(above, below, flow, clusters(parent, delta, tau))  # noqa: E731
    least = min(at(other) for other in np.linspace(0, 1, 201))
    assert at(tau) <= least + 1e-6
    assert at(0.9) > at(tau) + 1e-3 and at(0.2) > at(tau) + 1e-3


def test_the_kernel_is_the_one_that_p_is_made_with(songs):
    _, location, scale, _, _ = songs.execute("FROM auto_parameters('g')").fetchone()
    rows, difference = songs.execute(f"""
        WITH weights AS (
            SELECT src, dst, exp(-exp((distance::DOUBLE - {location!r}) / {scale!r})) AS weight FROM g
            UNION ALL SELECT id, id, 1 FROM songs
        ), expected AS (SELECT src, dst, weight / sum(weight) OVER (PARTITION BY src) AS probability FROM weights)
        SELECT count(*), max(abs(e.probability - p.probability))
        FROM expected e JOIN transition_matrix('g', sigma := 'auto') p USING (src, dst)""").fetchone()
    assert rows == 3891 * 81
    assert difference < 1e-12


@pytest.mark.parametrize("sigma", ["'auto'", "0.1"])
def test_tau_is_the_same_by_any_nesting(songs, sigma):
    songs.execute(f"""
        CREATE OR REPLACE TABLE p AS FROM transition_matrix('g', sigma := {sigma});
        CREATE OR REPLACE TABLE r AS FROM ndde('p');
        CREATE OR REPLACE TABLE d AS FROM tpdi('p')""")
    expected = songs.execute("FROM dpc_cluster('r', 'd', tau := 'auto')").fetchall()
    assert songs.execute("FROM dpc_cluster(ndde('p'), tpdi('p'), tau := 'auto')").fetchall() == expected
    call = f"FROM cluster_embeddings('songs', sigma := {sigma}, tau := 'auto')"
    assert songs.execute(call).fetchall() == expected
    if sigma == "'auto'":
        tau = songs.execute("SELECT tau FROM auto_parameters(knn_graph('songs'))").fetchone()[0]
        assert songs.execute(f"FROM dpc_cluster('r', 'd', tau := {tau!r})").fetchall() == expected


def test_a_graph_without_strangers_keeps_the_defaults(con):
    con.execute("CREATE TABLE chain AS SELECT i AS src, i + 1 AS dst, 0.1 AS distance FROM range(10) t(i)")
    kernel, location, scale, sigma, tau = con.execute("FROM auto_parameters('chain')").fetchone()
    assert (kernel, location, scale, sigma) == ("exp", None, None, 0.1)
    assert 0 < tau < 1
    con.execute("CREATE TABLE none AS FROM chain LIMIT 0")
    assert con.execute("FROM auto_parameters('none')").fetchall() == [("exp", None, None, 0.1, 0.7)]

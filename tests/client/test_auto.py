"""sigma := 'auto' and the clusters without a threshold beside the same in numpy, on the songs of this repository."""

import duckdb
import numpy as np
import pytest
from conftest import ROOT, arrow_points, connect

STRANGERS, NEAR, MATCHES, FIRST_LEVEL, LOWEST, POWER, FLOOR = 10.0, 0.25, 0.85, 0.05, 0.1, 0.7, 0.05
LEVEL_NEIGHBORS, K = 40, 40


def store_songs(con, k):
    con.execute(f"CREATE TABLE songs AS FROM '{ROOT}/data/songs.parquet'")
    con.execute(f"CREATE TABLE g AS FROM knn_graph('songs', k := {k})")


@pytest.fixture(scope="module")
def songs():
    with connect(threads=2) as con:
        store_songs(con, K)
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
    from scipy.sparse import csr_matrix

    own = np.arange(n)
    p = csr_matrix((np.r_[similarity, np.ones(n)], (np.r_[src, own], np.r_[dst, own])), shape=(n, n))
    return csr_matrix(p.multiply(1 / p.sum(axis=1)))


def hazard(distance, ends, n):
    distance = np.sort(distance)
    return distance, np.cumsum(1 / (n - np.searchsorted(np.sort(ends), distance)))


def tail(src, dst, distance, n, cluster):
    """Where a part of the strangers, and all, are expected, by the Nelson-Aalen estimator."""
    ends = np.zeros(n)
    np.maximum.at(ends, src, distance)
    between, strangers = hazard(distance[cluster[src] != cluster[dst]], ends, n)
    near, far = (between[np.searchsorted(strangers, count)] for count in (STRANGERS * NEAR, STRANGERS))
    return far, (far - near) / -np.log(NEAR)


def level(src, distance, n, far, scale):
    from sklearn.isotonic import IsotonicRegression

    order = np.lexsort((distance, src))
    rank = np.empty(len(src), dtype=int)
    rank[order] = np.arange(len(src)) - np.searchsorted(src[order], src[order])
    near = rank < LEVEL_NEIGHBORS
    ends = np.zeros(n)
    np.maximum.at(ends, src[near], distance[near])
    at, neighbors = hazard(distance[distance <= ends[src]], ends, n)
    expected = lambda d: STRANGERS * (np.exp((d - far) / scale) - np.exp(-far / scale))  # noqa: E731
    last = np.arange(len(at) // 200 - 1, len(at), len(at) // 200)
    d, h = np.r_[0, at[last]], np.diff(np.r_[0, neighbors[last]])
    parts = IsotonicRegression().fit_transform(np.arange(len(h)), np.diff(expected(d)) / h, sample_weight=h)
    # The part is that of the middle of each run of equal values.
    firsts = np.flatnonzero(np.r_[True, np.diff(parts) > 1e-12])
    middle = (d[firsts] + d[np.r_[firsts[1:], len(parts)]]) / 2
    return np.clip(expected(np.interp(1 - MATCHES, parts[firsts], middle)), 0.003, 1)


def links(p, src, dst):
    """Each undirected edge once: ends, strength and overlap; and what each row leaves open."""
    from scipy.sparse import csr_matrix

    unit = np.asarray(p.max(axis=1).todense()).ravel()
    edge = np.unique(np.sort(np.c_[src, dst], axis=1), axis=0)
    a, b = edge[edge[:, 0] != edge[:, 1]].T
    root = p.sqrt()
    overlap = np.asarray(root[a].multiply(root[b]).sum(axis=1)).ravel()
    w = csr_matrix(p.multiply(1 / unit[:, None]))
    strength = np.maximum(overlap, np.maximum(np.asarray(w[a, b]).ravel(), np.asarray(w[b, a]).ravel()))
    open_ = np.array([np.delete(w.data[w.indptr[i] : w.indptr[i + 1]], np.searchsorted(w.indices[w.indptr[i] : w.indptr[i + 1]], i)).min() for i in range(p.shape[0])])
    kept = strength >= FLOOR
    return a[kept], b[kept], strength[kept], overlap[kept], open_


def tree(a, b, strength, open_, n):
    """Merges of two points of the clusters with the height, by looking at all pairs of clusters each time that
    one of them changes."""
    between = [{} for _ in range(n)]
    for i, j, s in zip(a.tolist(), b.tolist(), strength.tolist()):
        between[i][j] = between[j][i] = (s, 1)
    members, sums = [1.0] * n, open_.tolist()
    value = lambda x, y: between[x][y][0] / (  # noqa: E731
        between[x][y][1] + (members[x] * members[y] - between[x][y][1]) * (1 - sums[x] / members[x] * sums[y] / members[y])
    ) ** POWER
    best = {x: max((value(x, y), -min(x, y), -max(x, y)) for y in between[x]) for x in range(n) if between[x]}
    first, merges, height = list(range(n)), [], 1.0
    while best:
        top = max(best.values())
        if top[0] < LOWEST:
            break
        x, y, new = -top[1], -top[2], len(members)
        height = min(height, top[0])
        merges.append((first[x], first[y], height))
        union = dict(between[x])
        for other, (s, m) in between[y].items():
            union[other] = (union.get(other, (0, 0))[0] + s, union.get(other, (0, 0))[1] + m)
        union.pop(x, None), union.pop(y, None)
        members.append(members[x] + members[y])
        sums.append(sums[x] + sums[y])
        first.append(min(first[x], first[y]))
        between.append(union)
        for other, pair in union.items():
            between[other].pop(x, None), between[other].pop(y, None)
            between[other][new] = pair
        between[x] = between[y] = {}
        best.pop(x), best.pop(y)
        for changed in [new, *union]:
            options = [(value(changed, z), -min(changed, z), -max(changed, z)) for z in between[changed]]
            if options:
                best[changed] = max(options)
            else:
                best.pop(changed, None)
    return merges


def clusters(merges, n):
    root = np.arange(n)

    def find(i):
        while root[i] != i:
            i = root[i]
        return i

    for a, b, _ in merges:
        a, b = find(a), find(b)
        root[max(a, b)] = min(a, b)
    return np.array([find(i) for i in range(n)])


def bits(a, b, flow, cluster):
    """The map equation for clusters of a walk that takes each edge so often, both ways alike."""
    own, other, apart = cluster[a], cluster[b], cluster[a] != cluster[b]
    visits = np.bincount(np.r_[own, other], np.r_[flow, flow])
    exits = np.bincount(np.r_[own[apart], other[apart]], np.r_[flow[apart], flow[apart]], minlength=len(visits))
    plogp = lambda x: np.sum(np.where(x > 0, x * np.log2(np.where(x > 0, x, 1)), 0))  # noqa: E731
    return plogp(np.sum(exits)) - 2 * plogp(exits) + plogp(exits + visits)


def strengths_of(a, b, strength, open_, cluster):
    """How sure each row is of its cluster; NaN alone."""
    own = cluster[a] == cluster[b]
    ends, others, values = np.r_[a[own], b[own]], np.r_[b[own], a[own]], np.r_[strength[own], strength[own]]
    n = len(cluster)
    edges, total, open_sum = (np.bincount(ends, w, n) for w in (np.ones(len(ends)), values, open_[others]))
    strongest = np.zeros(n)
    np.maximum.at(strongest, ends, values)
    pairs = np.bincount(cluster, minlength=cluster.max() + 1)[cluster] - 1
    with np.errstate(invalid="ignore"):
        counted = edges + (pairs - edges) * (1 - open_ * open_sum / edges)
        return np.where(pairs > 0, np.minimum((strongest + total / counted) / 2, 1), np.nan)


@pytest.fixture(scope="module")
def reference(songs):
    return reference_of(songs)


def reference_of(songs):
    """Location and scale of the kernel, and the clusters, in numpy; the communities are those of cluster_with."""
    src, dst, distance, n = edges_of(songs)
    songs.execute("""
        CREATE TABLE near AS SELECT * REPLACE (0.0 AS distance) FROM g
        QUALIFY row_number() OVER (PARTITION BY src ORDER BY distance, dst) <= 20""")
    cluster = songs.execute("""
        SELECT cluster_id FROM cluster_with('near', method := 'map_equation', threshold := 1, sigma := 1) ORDER BY id
        """).fetchnumpy()["cluster_id"]
    far, scale = tail(src, dst, distance, n, cluster)
    at = FIRST_LEVEL
    similarity = lambda: np.exp(-STRANGERS / at * (np.exp((distance - far) / scale) - np.exp(-far / scale)))  # noqa: E731
    for _ in range(2):
        a, b, strength, _, open_ = links(transition(src, dst, similarity(), n), src, dst)
        far, scale = tail(src, dst, distance, n, clusters(tree(a, b, strength, open_, n), n))
        at = level(src, distance, n, far, scale)
    a, b, strength, overlap, open_ = links(transition(src, dst, similarity(), n), src, dst)
    merges = tree(a, b, strength, open_, n)
    weight = overlap**6
    sums = 1 + np.bincount(a, weight, n) + np.bincount(b, weight, n)
    flow = weight / sums[a] + weight / sums[b]
    flow /= 2 * flow.sum()
    heights = sorted({height for *_, height in merges})
    by_height = lambda h: clusters([merge for merge in merges if merge[2] >= h], n)  # noqa: E731
    some = heights[:: max(1, len(heights) // 40)]
    strengths = lambda cluster: strengths_of(a, b, strength, open_, cluster)  # noqa: E731
    kernel = far + scale * np.log(at / STRANGERS), scale
    return kernel, lambda cluster: bits(a, b, flow, cluster), [by_height(h) for h in some], strengths


def test_the_kernel_is_that_of_numpy(songs, reference):
    name, location, scale, *_ = songs.execute("FROM auto_parameters('g')").fetchone()
    assert name == "gompertz"
    assert (location, scale) == pytest.approx(reference[0], rel=1e-6)


def test_the_kernel_of_long_rows_is_that_of_numpy():
    with connect(threads=2) as con:
        store_songs(con, LEVEL_NEIGHBORS + 20)
        name, location, scale, *_ = con.execute("FROM auto_parameters('g')").fetchone()
        assert name == "gompertz"
        assert (location, scale) == pytest.approx(reference_of(con)[0], rel=1e-6)


def test_no_other_height_of_the_tree_takes_fewer_bits(songs, reference):
    _, bits, others, _ = reference
    cluster = songs.execute("""
        SELECT cluster_id FROM linkage_cluster(transition_matrix('g', sigma := 'auto')) ORDER BY id
        """).fetchnumpy()["cluster_id"]
    least = bits(cluster)
    assert min(bits(other) for other in others) >= least - 1e-9
    # Some height gives nearly the same clusters, and the ends of the tree do not.
    same = lambda one, other: len(np.unique(np.c_[one, other], axis=0)) - max(len(np.unique(one)), len(np.unique(other)))  # noqa: E731
    assert min(same(cluster, other) for other in others) <= 40
    assert same(cluster, others[0]) > 100 or bits(others[0]) > least + 1e-3


def test_the_strength_is_that_of_numpy(songs, reference):
    found = songs.execute("""
        SELECT cluster_id, strength FROM linkage_cluster(transition_matrix('g', sigma := 'auto')) ORDER BY id
        """).fetchnumpy()
    strength = np.ma.filled(found["strength"], np.nan)
    assert 500 < np.isnan(strength).sum() < 2000
    np.testing.assert_allclose(strength, reference[3](found["cluster_id"]), atol=1e-6)


def test_the_tree_is_its_merges_and_clusters_are_cut_from_it(songs):
    songs.execute("CREATE OR REPLACE TABLE p AS FROM transition_matrix('g', sigma := 'auto')")
    merges = songs.execute("SELECT clusters, stage, height, id, other_id, size, other_size FROM cluster_tree('p')").fetchall()
    ids = [i for (i,) in songs.execute("SELECT id FROM songs ORDER BY id").fetchall()]
    assert [row[0] for row in merges] == [len(ids) - 1 - at for at in range(len(merges))]
    for stage in ("links", "graph"):
        heights = [row[2] for row in merges if row[1] == stage]
        assert len(heights) > 100 and heights == sorted(heights, reverse=True)
    whole = {i: i for i in ids}
    members = {i: [i] for i in ids}
    wanted = {3000, 1000, 1}
    for clusters, _, _, a, b, size, other_size in merges:
        assert (len(members[a]), len(members[b])) == (size, other_size) and a < b
        members[a] += members.pop(b)
        if clusters in wanted:
            whole = {i: first for first, own in members.items() for i in own}
            found = dict(songs.execute(f"SELECT id, cluster_id FROM linkage_cluster('p', clusters := {clusters})").fetchall())
            assert len(set(found.values())) == clusters == len(set(zip(whole.values(), (found[i] for i in whole))))
    assert len(members) == 1
    with pytest.raises(duckdb.InvalidInputException, match="clusters must be at most 3891, the number of points, got 3892"):
        songs.execute("FROM linkage_cluster('p', clusters := 3892)")
    (links,) = songs.execute("SELECT min(clusters) FROM cluster_tree('p') WHERE stage = 'links'").fetchone()
    assert songs.execute("SELECT count(DISTINCT cluster_id) FROM linkage_cluster('p')").fetchone() == (links,)


def test_layers_are_nested_cuts_of_the_tree(songs):
    songs.execute("""
        CREATE OR REPLACE TABLE p AS FROM transition_matrix('g', sigma := 'auto');
        CREATE OR REPLACE TABLE layers AS FROM cluster_layers('p')""")
    sizes = songs.execute("SELECT layer, count(DISTINCT cluster_id), count(*) FROM layers GROUP BY ALL ORDER BY ALL").fetchall()
    assert [layer for layer, *_ in sizes] == list(range(1, len(sizes) + 1)) and len(sizes) >= 3
    assert all(rows == 3891 for *_, rows in sizes)
    assert all(2 * few[1] < many[1] for few, many in zip(sizes, sizes[1:]))
    for layer, clusters, _ in sizes:
        songs.execute(f"CREATE OR REPLACE TABLE cut AS FROM linkage_cluster('p', clusters := {clusters})")
        same = "SELECT count(*) FROM layers JOIN cut USING (id) WHERE layer = ? AND layers.cluster_id <> cut.cluster_id"
        assert songs.execute(same, [layer]).fetchone() == (0,)
    wrong = """
        SELECT count(*) FROM layers f LEFT JOIN layers c ON c.id = f.id AND c.layer = f.layer - 1
        WHERE f.parent_cluster_id IS DISTINCT FROM c.cluster_id"""
    assert songs.execute(wrong).fetchone() == (0,)
    few = songs.execute("SELECT count(DISTINCT layer), count(DISTINCT cluster_id) FROM cluster_layers('p', layers := 1)")
    assert few.fetchone() == (1, sizes[-1][1])


def test_the_kernel_is_the_one_that_p_is_made_with(songs):
    _, location, scale, *_ = songs.execute("FROM auto_parameters('g')").fetchone()
    rows, difference = songs.execute(f"""
        WITH weights AS (
            SELECT src, dst, exp(exp(-{location!r} / {scale!r}) - exp((distance::DOUBLE - {location!r}) / {scale!r})) AS weight
            FROM g UNION ALL SELECT id, id, 1 FROM songs
        ), expected AS (SELECT src, dst, weight / sum(weight) OVER (PARTITION BY src) AS probability FROM weights)
        SELECT count(*), max(abs(e.probability - p.probability))
        FROM expected e JOIN transition_matrix('g', sigma := 'auto') p USING (src, dst)""").fetchone()
    assert rows == 3891 * (K + 1)
    assert difference < 1e-12


def test_clusters_and_tau_are_the_same_by_any_nesting(songs):
    songs.execute("""
        CREATE OR REPLACE TABLE p AS FROM transition_matrix('g', sigma := 'auto');
        CREATE OR REPLACE TABLE r AS FROM ndde('p');
        CREATE OR REPLACE TABLE d AS FROM tpdi('p')""")
    expected = songs.execute("FROM linkage_cluster('p')").fetchall()
    call = f"FROM cluster_embeddings('songs', k := {K}, sigma := 'auto', tau := 'auto')"
    assert songs.execute(call).fetchall() == expected
    nested = f"FROM linkage_cluster(transition_matrix(knn_graph('songs', k := {K}), sigma := 'auto'))"
    assert songs.execute(nested).fetchall() == expected

    by_tau = songs.execute("FROM dpc_cluster('r', 'd', tau := 'auto')").fetchall()
    assert songs.execute("FROM dpc_cluster(ndde('p'), tpdi('p'), tau := 'auto')").fetchall() == by_tau
    tau = songs.execute("SELECT tau FROM auto_parameters('g')").fetchone()[0]
    assert songs.execute(f"FROM dpc_cluster('r', 'd', tau := {tau!r})").fetchall() == by_tau


def test_parents_are_the_nearest_denser_points_of_the_cluster(songs):
    songs.execute("""
        CREATE OR REPLACE TABLE p AS FROM transition_matrix('g', sigma := 'auto');
        CREATE OR REPLACE TABLE c AS FROM linkage_cluster('p')""")
    wrong = songs.execute("""
        WITH up AS (
            SELECT src, dst, distance, s.cluster_id = d.cluster_id AS own, d.density
            FROM tpdi('p') JOIN c s ON s.id = src JOIN c d ON d.id = dst
            WHERE d.density > s.density OR d.density = s.density AND dst < src
        ), nearest AS (
            FROM up WHERE own QUALIFY row_number() OVER (PARTITION BY src ORDER BY distance, density DESC, dst) = 1
        ), peak AS (SELECT cluster_id, arg_max(id, (density, -id)) AS peak FROM c GROUP BY ALL)
        SELECT count(*) FROM c LEFT JOIN nearest ON src = id JOIN peak USING (cluster_id)
        WHERE parent_id <> coalesce(dst, peak) OR is_peak <> (id = peak)
           OR delta IS DISTINCT FROM coalesce(distance, (SELECT min(u.distance) FROM up u WHERE u.src = id))""").fetchone()
    assert wrong == (0,)


def people(con, sizes, dimension=64, noise=0.7, shots=1):
    """Unit vectors around as many random ones as there are sizes, by a noise for all or one for each; a burst of `shots`
    of each, nearly the same, or the same of a negative number."""
    random = np.random.default_rng(7)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    around = lambda points, noise: points + noise * random.normal(size=points.shape) / np.sqrt(dimension)  # noqa: E731
    label = np.repeat(np.arange(len(sizes)), sizes)
    center = unit(random.normal(size=(len(sizes), dimension)))
    points = around(center[label], np.broadcast_to(noise, len(sizes))[label, None])
    label, points = (np.repeat(values, abs(shots), axis=0) for values in (label, points))
    points = unit(around(points, 0.05 if shots > 1 else 0))
    table = arrow_points(points.astype(np.float32)).append_column("label", [label])
    con.register("people_table", table)
    con.execute("CREATE OR REPLACE TABLE people AS SELECT id, label, embedding::FLOAT[] AS embedding FROM people_table")


@pytest.mark.parametrize(
    ("sizes", "k", "least", "dimension"),
    [
        ([300] * 3, 20, 1.0, 64),
        ([1000] * 5, 80, 1.0, 64),
        ([1000], 40, 1.0, 64),
        ([50] * 2, 30, 1.0, 8),
        ([60] * 5, 30, 0.97, 8),
        ([100] * 10, 30, 0.97, 8),
        ([1] * 2000, 40, 0.99, 64),
        ([2] * 1000, 40, 0.99, 64),
        ([1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144] * 8, 20, 0.99, 64),
    ],
    ids=[
        "more points than k",
        "many more points than k",
        "one identity",
        "two of few dimensions",
        "five of few dimensions",
        "ten of few dimensions",
        "all single",
        "pairs",
        "of all sizes",
    ],
)
def test_identities_of_any_size_are_found(con, sizes, k, least, dimension):
    people(con, sizes, dimension, noise=0.7 if dimension == 64 else 0.3)
    score, sure, advice = con.execute(f"""
        SELECT bcubed_f(label, cluster_id).f, count(strength),
            (SELECT advice FROM auto_parameters(knn_graph('people', k := {k})))
        FROM people JOIN cluster_embeddings('people', k := {k}) USING (id)""").fetchone()
    assert score >= least
    # Where rows are full of their own identity nothing tells how sure they are, and that is said.
    if min(sizes) > k:
        assert sure == 0 and "take a larger k" in advice
    else:
        assert sure == pytest.approx(sum(size for size in sizes if size > 1), abs=0.02 * sum(sizes)) and advice is None


@pytest.mark.parametrize(
    ("sizes", "noise", "shots"),
    [([10] * 300, [0.25, 0.8] * 150, 1), ([5] * 200, 0.7, -4), ([3] * 200, 0.7, 5)],
    ids=["two scales", "copies", "bursts"],
)
def test_near_and_far_rows_of_one_identity_are_together(con, sizes, noise, shots):
    people(con, sizes, noise=noise, shots=shots)
    assert con.execute("""
        SELECT bcubed_f(label, cluster_id).f FROM people JOIN cluster_embeddings('people') USING (id)""").fetchone()[0] > 0.99


@pytest.mark.parametrize("k", [20, 30, 35, 40, 59])
@pytest.mark.parametrize("count", [15, 20, 30, 40])
def test_people_who_look_alike_are_not_all_single(con, count, k):
    """Ten pairs of people, hardly farther from each other than from themselves: two, or one where nothing tells them apart."""
    random = np.random.default_rng(7)
    pair, person = np.arange(20 * count) // (2 * count), np.arange(20 * count) // count
    pairs, people_of, noise = (random.uniform(-1, 1, (number, 64)) for number in (10, 20, len(pair)))
    points = arrow_points((pairs[pair] + 0.32 * people_of[person] + 0.38 * noise).astype(np.float32))
    con.register("alike", points.append_column("person", [person]).append_column("pair", [pair]))
    clusters, precision, recall = con.execute(f"""
        SELECT count(DISTINCT cluster_id), pairwise_f(pair, cluster_id).precision, pairwise_f(person, cluster_id).recall
        FROM alike JOIN cluster_embeddings('alike', k := {k}) USING (id)""").fetchone()
    assert 10 <= clusters <= 40 and precision > 0.99 and recall > 0.9


@pytest.mark.parametrize("copies", [5, 20, 100])
@pytest.mark.parametrize("numbers", ["", ", k := 80, sigma := 0.1, tau := 0.7"], ids=["auto", "the paper's"])
@pytest.mark.parametrize(("many", "alone"), [(3, 0), (3, 200), (40, 300)])
def test_copies_fill_no_lists(con, many, alone, numbers, copies):
    # Each shot of some people is stored many times, beside others of whom there is one.
    people(con, [3] * many + [1] * alone, noise=0.2)
    con.execute(f"""
        CREATE OR REPLACE TABLE uploads AS
        SELECT row_number() OVER () AS id, label, embedding FROM people, range(CASE WHEN label < {many} THEN {copies} ELSE 1 END)
        ORDER BY hash(id)""")
    found = con.execute(f"""
        SELECT count(DISTINCT cluster_id), count(DISTINCT label), bcubed_f(label, cluster_id).f
        FROM uploads JOIN cluster_embeddings('uploads'{numbers}) USING (id)""").fetchone()
    assert found == (many + alone, many + alone, 1.0)


def test_an_edge_from_a_point_to_itself_says_nothing(songs):
    songs.execute("""
        CREATE OR REPLACE TABLE with_loops AS
        SELECT src, dst, distance FROM g UNION ALL SELECT DISTINCT src, src, 0 FROM g""")
    of = "SELECT kernel, location, scale FROM auto_parameters('{}')"
    assert songs.execute(of.format("with_loops")).fetchone() == songs.execute(of.format("g")).fetchone()


def test_a_distance_is_named_by_its_ids_beside_loops_and_copies(con):
    con.execute("""
        CREATE TABLE odd AS SELECT * FROM (VALUES ('a', 'b', 0.0), ('a', 'c', 0.5), ('b', 'b', 0.0), ('b', 'c', 0.5),
            ('c', 'b', 0.5), ('c', 'd', 0.5), ('d', 'c', -0.5)) t(src, dst, distance)""")
    with pytest.raises(duckdb.Error, match="d -> c"):
        con.execute("FROM transition_matrix('odd', sigma := 'auto')")


def test_of_one_copy_the_clusters_are_those_of_distinct_rows(songs):
    songs.execute("""
        CREATE OR REPLACE TABLE distinct_songs AS SELECT min(id) AS id, embedding FROM songs GROUP BY embedding;
        CREATE OR REPLACE TABLE often AS
        SELECT id * 100 + copy AS id, embedding
        FROM distinct_songs, range(CASE WHEN id % 5 = 0 THEN 1 + id % 60 ELSE 1 END) t(copy)""")
    pairs = songs.execute("""
        SELECT count(DISTINCT (a.cluster_id, b.cluster_id)), count(DISTINCT a.cluster_id), count(DISTINCT b.cluster_id)
        FROM cluster_embeddings('often', copies := 1) a JOIN cluster_embeddings('distinct_songs') b ON a.id // 100 = b.id""")
    together, often, distinct = pairs.fetchone()
    assert together == often == distinct


def test_a_handful_of_rows_falls_into_its_groups(con):
    con.execute("""
        CREATE TABLE few AS SELECT unnest(range(5)) AS id,
            unnest([[1, 0], [0.99, 0.1], [0, 1], [0.1, 0.99], [-1, -1]])::FLOAT[2] AS embedding""")
    assert con.execute("SELECT cluster_id FROM cluster_embeddings('few') ORDER BY id").fetchall() == [(0,), (0,), (1,), (1,), (2,)]
    four = con.execute("WITH four AS (FROM few WHERE id < 4) SELECT cluster_id FROM cluster_embeddings('four') ORDER BY id")
    assert four.fetchall() == [(0,), (0,), (1,), (1,)]


def test_constraints_are_kept(songs):
    songs.execute("""
        CREATE OR REPLACE TABLE p AS FROM transition_matrix('g', sigma := 'auto');
        CREATE OR REPLACE TABLE c AS FROM linkage_cluster('p');
        CREATE OR REPLACE TABLE apart AS
        SELECT min(id) AS src, max(id) AS dst FROM c GROUP BY cluster_id HAVING count(*) > 1 ORDER BY src LIMIT 20;
        CREATE OR REPLACE TABLE together AS
        SELECT a.id AS src, b.id AS dst FROM c a JOIN c b ON b.cluster_id = a.cluster_id + 500
        WHERE a.is_peak AND b.is_peak AND a.cluster_id BETWEEN 1000 AND 1019;
        CREATE OR REPLACE TABLE new AS FROM linkage_cluster('p', must_link := 'together', cannot_link := 'apart')""")
    same = "SELECT count(*), count(*) FILTER (a.cluster_id = b.cluster_id) FROM {} JOIN new a ON a.id = src JOIN new b ON b.id = dst"
    assert songs.execute(same.format("apart")).fetchone() == (20, 0)
    assert songs.execute(same.format("together")).fetchone() == (20, 20)
    # The others are as they were, but for those near.
    moved = songs.execute("""
        SELECT count(*) FROM c JOIN new USING (id) WHERE c.parent_id <> new.parent_id""").fetchone()[0]
    assert 20 <= moved < 100


def test_without_strangers_neighbors_of_one_community_are_alike(con):
    con.execute("CREATE TABLE chain AS SELECT i AS src, i + 1 AS dst, 0.1 AS distance FROM range(10) t(i)")
    kernel, location, scale, tau, advice = con.execute("FROM auto_parameters('chain')").fetchone()
    assert (kernel, location, scale) == ("communities", None, None) and "take a larger k" in advice
    assert 0 < tau < 1
    con.execute("CREATE TABLE p AS FROM transition_matrix('chain', sigma := 'auto', undirected := false)")
    assert con.execute("SELECT DISTINCT probability FROM p ORDER BY 1").fetchall() in ([(0.5,), (1.0,)], [(0.0,), (0.5,), (1.0,)])
    con.execute("CREATE TABLE none AS FROM chain LIMIT 0")
    assert con.execute("FROM auto_parameters('none')").fetchall() == [("communities", None, None, 0.7, advice)]
    assert con.execute("FROM linkage_cluster(transition_matrix('none', sigma := 'auto'))").fetchall() == []

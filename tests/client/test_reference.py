"""Each stage against the same stage in plain SQL (sql/reference), and known scores on real data."""

import re

import numpy as np
import pytest
from conftest import ROOT, arrow_points, blobs, connect, create_points, shared_file

REFERENCE = ROOT / "sql" / "reference"
DEFAULTS = {
    "k": 80, "metric": "cosine", "kernel": "exp", "sigma": 0.1, "epsilon": 0.05, "max_iterations": 100, "tau": 0.7,
}  # fmt: skip


def run_reference(con, *files, **parameters):
    """The reference's tables of `faces`: g, p, r, d and clusters."""
    con.execute((REFERENCE / "parameters.sql").read_text())
    for name, value in parameters.items():
        con.execute(f"UPDATE parameters SET {name} = $1", [value])
    for file in files or ("graph", "transition", "ndde", "tpdi", "dpc"):
        con.execute((REFERENCE / f"{file}.sql").read_text())


def songs(con):
    con.execute(f"CREATE TABLE faces AS SELECT id, embedding FROM '{ROOT / 'data' / 'songs.parquet'}'")


def plain(con):
    create_points(con, points=250, dim=12)


def short(con):
    """No product of two of them is above 1, so that no distance is below 0."""
    plain(con)
    con.execute("UPDATE faces SET embedding = [x / 9 FOR x IN embedding]")


def short_ties(con):
    ties(con)
    con.execute("UPDATE faces SET embedding = [x / 8 FOR x IN embedding]")


def few(con):
    create_points(con, points=60, dim=12)


def text_ids(con):
    create_points(con, "numbered", points=250, dim=12)
    con.execute("CREATE TABLE faces AS SELECT hash(id)::VARCHAR AS id, embedding FROM numbered")


def ties(con):
    """Points on a small grid, twice each and some often: most distances and densities occur many times."""
    random = np.random.default_rng(11)
    grid = random.integers(1, 4, size=(60, 3)).astype(np.float32)
    con.register("points", arrow_points(np.concatenate([grid, grid, np.repeat(grid[:3], 10, axis=0)])))
    con.execute("CREATE TABLE faces AS SELECT * FROM points")
    con.unregister("points")


CASES = {
    "songs": (songs, {"k": 10, "sigma": 0.08, "tau": 0.65}),
    "cosine": (plain, {"k": 10}),
    "cosine, linear kernel": (plain, {"k": 10, "kernel": "linear"}),
    "ip": (short, {"k": 7, "metric": "ip"}),
    "l2sq": (plain, {"k": 10, "metric": "l2sq", "sigma": 1.5}),
    "one step of diffusion": (plain, {"k": 10, "max_iterations": 1}),
    "diffusion to the end": (plain, {"k": 10, "epsilon": 1e-9, "max_iterations": 300}),
    "tau 0": (plain, {"k": 10, "tau": 0.0}),
    "tau 1": (plain, {"k": 10, "tau": 1.0}),
    "k above the number of points": (few, {"k": 80}),
    "text ids": (text_ids, {"k": 10}),
    "ties, l2sq": (ties, {"k": 8, "metric": "l2sq", "sigma": 2.0}),
    "ties, ip": (short_ties, {"k": 8, "metric": "ip"}),
    "ties, linear kernel": (ties, {"k": 8, "metric": "l2sq", "kernel": "linear"}),
}  # fmt: skip
CALLS = {
    "g": "knn_graph('faces', k := {k}, metric := '{metric}')",
    "p": "transition_matrix({g}, kernel := '{kernel}', sigma := {sigma})",
    "r": "ndde({p}, epsilon := {epsilon}, max_iterations := {max_iterations})",
    "d": "tpdi({p})",
    "clusters": "dpc_cluster({r}, {d}, tau := {tau})",
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """A database with the reference's tables, and the calls that should give the same."""
    create, parameters = CASES[request.param]
    with connect() as con:
        create(con)
        run_reference(con, **parameters)
        calls = {}
        for table, call in CALLS.items():
            calls[table] = call.format(**{**DEFAULTS, **parameters, **calls})
            con.execute(f"CREATE TABLE found_{table} AS FROM {calls[table]}")
        yield con


def differences(con, table, keys, compared):
    """Rows of either side without a partner on the other, or with another value."""
    return con.execute(f"""
        SELECT * FROM {table} a FULL JOIN found_{table} b USING ({keys}) WHERE NOT coalesce({compared}, false) LIMIT 5
    """).fetchall()


def close(column):
    return f"(abs(a.{column} - b.{column}) <= 1e-6 OR a.{column} IS NULL AND b.{column} IS NULL)"


def test_graph_is_the_references(case):
    assert differences(case, "g", "src, dst", f"a.rank = b.rank AND {close('distance')}") == []


def test_transition_matrix_is_the_references(case):
    assert differences(case, "p", "src, dst", close("probability")) == []


def test_density_is_the_references(case):
    assert differences(case, "r", "id", close("density")) == []


def test_distance_is_the_references(case):
    assert differences(case, "d", "src, dst", close("distance")) == []


def test_clusters_are_the_references(case):
    equal = "a.cluster_id = b.cluster_id AND a.parent_id = b.parent_id AND a.is_peak = b.is_peak"
    assert differences(case, "clusters", "id", f"{equal} AND {close('delta')} AND {close('density')}") == []


@pytest.mark.parametrize("stage", ["transition", "ndde", "tpdi", "dpc"])
def test_stages_take_the_references_tables(case, stage):
    """Fed with the reference's own tables, so that no difference of an earlier stage is carried on."""
    parameters = dict(
        zip(DEFAULTS, case.execute(f"SELECT {', '.join(DEFAULTS)} FROM parameters").fetchone(), strict=True)
    )
    tables = {"g": "'g'", "p": "'p'", "r": "'r'", "d": "'d'"}
    table = {"transition": "p", "ndde": "r", "tpdi": "d", "dpc": "clusters"}[stage]
    case.execute(f"CREATE OR REPLACE TABLE found_{table} AS FROM {CALLS[table].format(**parameters, **tables)}")
    keys = "src, dst" if table in "pd" else "id"
    value = {"p": "probability", "r": "density", "d": "distance", "clusters": "delta"}[table]
    # Closer than above: the same input, so only the order of a sum differs.
    compared = close(value).replace("1e-6", "1e-12")
    if table == "clusters":
        compared += " AND a.cluster_id = b.cluster_id AND a.parent_id = b.parent_id AND a.density = b.density"
    assert differences(case, table, keys, compared) == []


def test_nearest_by_join_gives_the_same_graph(con):
    plain(con)
    text = re.sub(r"NEAREST 80\b", "NEAREST 7", (REFERENCE / "graph_nearest_by.sql").read_text())
    con.execute(text)
    con.execute("CREATE TABLE found_g AS FROM knn_graph('faces', k := 7)")
    assert differences(con, "g", "src, dst", f"a.rank = b.rank AND {close('distance')}") == []


def test_densities_sum_to_the_number_of_points(con):
    songs(con)
    (row,) = con.execute(
        "SELECT sum(density), count(*) FROM ndde(transition_matrix(knn_graph('faces', k := 10)))"
    ).fetchall()
    assert row[0] == pytest.approx(row[1], rel=1e-12)


def test_inner_product_of_unit_vectors_clusters_as_cosine_does(con):
    """Where two are equal, 1 - <x, y> is a rounding error away from 0, on either side."""
    embeddings = blobs()
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings[100:200] = embeddings[:100]
    con.register("unit", arrow_points(embeddings))
    clusters = "SELECT id, cluster_id FROM cluster_embeddings('unit', k := 10, metric := '{}')"
    assert con.execute(clusters.format("ip")).fetchall() == con.execute(clusters.format("cosine")).fetchall()


# File, split (None: all rows), k, tau -> pairwise F, BCubed F, clusters. Kernel exp, sigma 0.1, epsilon 0.05.
FIGURES = {
    ("lfw_mobilefacenet", "test", 20, 0.7): (0.9648, 0.9732, 3097),
    ("lfw_mobilefacenet", "test", 20, 0.8): (0.9958, 0.9865, 2943),
    ("lfw_mobilefacenet", "test", 80, 0.7): (0.9938, 0.9753, 3070),
    ("lfw_mobilefacenet", "test", 80, 0.8): (0.9868, 0.9771, 2886),
    ("lfw_mobilefacenet", None, 20, 0.7): (0.9445, 0.9706, 6182),
    ("lfw_mobilefacenet", None, 20, 0.8): (0.9743, 0.9828, 5842),
    ("lfw_mobilefacenet", None, 80, 0.7): (0.9923, 0.9744, 6150),
    ("lfw_mobilefacenet", None, 80, 0.8): (0.9760, 0.9730, 5735),
    ("lfw_lowres24_mobilefacenet", "test", 20, 0.7): (0.8737, 0.8294, 4343),
    ("lfw_lowres24_mobilefacenet", "test", 20, 0.8): (0.9442, 0.8723, 3516),
    ("lfw_lowres24_mobilefacenet", "test", 80, 0.7): (0.9563, 0.8473, 4210),
    ("lfw_lowres24_mobilefacenet", "test", 80, 0.8): (0.8567, 0.8382, 3265),
    ("musicbrainz20k_minilm", "test", 20, 0.7): (0.2417, 0.8880, 4133),
    ("musicbrainz20k_minilm", "test", 20, 0.8): (0.0379, 0.6349, 2326),
    ("musicbrainz20k_minilm", "test", 80, 0.7): (0.0300, 0.7884, 3426),
    ("musicbrainz20k_minilm", "test", 80, 0.8): (0.0032, 0.4101, 1403),
}


@pytest.mark.parametrize("file, split, k, tau", FIGURES)
def test_scores_on_real_data_are_the_known_ones(con, file, split, k, tau):
    path = shared_file(f"{file}.parquet")
    con.execute(f"CREATE TABLE faces AS FROM '{path}'" + (f" WHERE split = '{split}'" if split else ""))
    con.execute(f"""
        CREATE TABLE labels AS SELECT id, label FROM faces;
        CREATE TABLE clusters AS FROM cluster_embeddings('faces', k := {k}, tau := {tau}, sigma := 0.1)
    """)
    con.execute((REFERENCE / "scores.sql").read_text())
    (scores,) = con.execute("SELECT pairwise_f, bcubed_f, clusters FROM scores").fetchall()
    assert scores == pytest.approx(FIGURES[file, split, k, tau], abs=5e-4)


SWEPT = {(file, split, k) for file, split, k, _ in FIGURES}


@pytest.mark.parametrize("file, split, k", sorted(SWEPT, key=str))
def test_a_sweep_gives_the_known_scores_of_every_tau(con, file, split, k):
    path = shared_file(f"{file}.parquet")
    con.execute(f"CREATE TABLE faces AS FROM '{path}'" + (f" WHERE split = '{split}'" if split else ""))
    rows = con.execute(f"""
        WITH p AS MATERIALIZED (FROM transition_matrix(knn_graph('faces', k := {k})))
        SELECT tau, pairwise_f, bcubed_f, clusters FROM tau_sweep(ndde('p'), tpdi('p'), taus := [0.7, 0.8], labels := 'faces')
    """).fetchall()
    for tau, *figures in rows:
        assert figures == pytest.approx(FIGURES[file, split, k, tau], abs=5e-4)
    assert len(rows) == 2

"""The benchmarks in SQL run, and measure what they say they do."""

import pytest
from conftest import ROOT
from run_sql import connect, run

SCRIPTS = ROOT / "benches" / "sql"
STEPS = {
    "graph_methods": ["exact", "nn_descent", "exact, f16"],
    "over_tables": ["knn_graph", "transition_matrix", "ndde", "tpdi", "dpc_cluster", "cluster_embeddings"],
    "stored_edges": ["graph, its edges counted", "graph, its edges stored", "copy of the table"],
}


@pytest.fixture
def con():
    """A few points as in benches/sql/points.sql."""
    con = connect()
    points = (SCRIPTS / "points.sql").read_text()
    assert "SET VARIABLE n = 20_000;" in points
    run(con, points.replace("SET VARIABLE n = 20_000;", "SET VARIABLE n = 600;"))
    return con


def test_every_benchmark_is_tested():
    scripts = {path.stem for path in SCRIPTS.glob("*.sql")}
    assert scripts == {"points", *STEPS}


def test_points_have_few_large_identities_and_many_small_ones(con):
    sizes = con.sql("SELECT count(*) FROM faces GROUP BY identity ORDER BY 1 DESC").fetchall()
    assert sum(size for (size,) in sizes) == 600
    assert sizes[0][0] > 60 and sizes[len(sizes) // 2][0] <= 4


@pytest.mark.parametrize("name", STEPS)
def test_every_step_has_a_time(con, name):
    run(con, (SCRIPTS / f"{name}.sql").read_text())
    steps = con.sql("FROM steps").fetchall()
    assert [step for step, _ in steps] == STEPS[name] and all(seconds >= 0 for _, seconds in steps)


def test_the_pipeline_and_one_call_give_the_same_clusters(con):
    run(con, (SCRIPTS / "over_tables.sql").read_text())
    same = con.sql("SELECT count(*) FROM c JOIN one_call o USING (id) WHERE c.cluster_id = o.cluster_id").fetchall()
    assert same == [(600,)]

"""What the table functions are made of, called by hand: an error that says so, and no rows of others."""

import re

import duckdb
import pytest

KNN_GRAPH = "'knn_graph', 'faces', 3, 'cosine', 'auto', 'id', 'embedding', NULL, 16, 128, 64, 'f32', NULL"
BY_HAND = "this function is internal to density_peaks|a plan of density_peaks must be one that its functions give"
CALLS = [
    "SELECT density_peaks_id(0, 0, 0)",
    "SELECT density_peaks_id(NULL, 0, 0)",
    "SELECT density_peaks_id(range::UBIGINT, 0, 0) FROM range(3)",
    "SELECT density_peaks_sink(0, 0, 1, NULL, [1.0])",
    "SELECT density_peaks_columns(0, 0, {'id': 1})",
    "SELECT density_peaks_plan('nothing', 1)",
    "SELECT density_peaks_sql('nothing', 1)",
    "SELECT density_peaks_sql('ndde', 1)",
    "SELECT density_peaks_check_clusters('explain_pair', 'c' || range, 'id', {'id': 1}) FROM range(2)",
    "FROM density_peaks_result(0, 'no plan')",
    "FROM density_peaks_result(NULL, 'no plan')",
    """FROM density_peaks_result(0, '{"calls": []}')""",
    """FROM density_peaks_result(0, '{"calls": [{"function": "nothing", "arguments": []}]}')""",
    """FROM density_peaks_result(0, '{"calls": [{"function": "ndde", "arguments": [{"call": 7}, 0.05, 100]}]}')""",
    "FROM density_peaks_result(0, {plan})",
    # The source of a statement of one's own, and what does not go with it.
    "SELECT density_peaks_id(0, 0, 0) FROM density_peaks_result(0, {plan})",
    "SELECT density_peaks_columns(0, 7, {'id': 1}) FROM density_peaks_result(0, {plan})",
    "SELECT (SELECT density_peaks_sink(0, 0, 1) FROM range(1)) FROM density_peaks_result(0, {plan})",
    "SELECT (SELECT density_peaks_sink(0, 0, 1, NULL, [1.0]) FROM range(1)) FROM density_peaks_result(0, {plan})",
]


def sql(con, call) -> str:
    """The SQL that a call becomes."""
    return con.execute(f"SELECT density_peaks_sql({call})").fetchall()[0][0]


@pytest.fixture
def plan(faces):
    return re.search(r"density_peaks_result\(\d+, ('.*?')\) s", sql(faces, KNN_GRAPH))[1]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_by_hand_says_that_it_is_one(faces, plan, call):
    with pytest.raises(duckdb.Error) as found:
        faces.sql(call.replace("{plan}", plan)).fetchall()
    assert re.search(BY_HAND, str(found.value)) and "defect" not in str(found.value)


def test_numbers_of_points_that_are_not_there_are_refused(faces):
    assert len(faces.sql(sql(faces, KNN_GRAPH)).fetchall()) == 900
    for number in ("s.src + 300", "4294967295"):
        forged = sql(faces, KNN_GRAPH).replace('0, s."src")', f"0, {number})")
        with pytest.raises(duckdb.Error, match="this function is internal to density_peaks"):
            faces.sql(forged).fetchall()


def test_the_numbers_of_statements_cannot_be_foreseen(con):
    calls = [sql(con, "'ndde', 'p', 0.05, 100") for _ in range(20)]
    tokens = {int(re.search(r"density_peaks_result\((\d+)", call)[1]) for call in calls}
    assert len(tokens) == 20 and min(tokens) > 2**32

"""Transition matrices by a learned model equal those by Python's onnxruntime on the same file."""

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import arrow_points, blobs, connect
from onnx_models import FLOAT, Graph, calibrated_model, cosine_model, metadata, transformer_model
from onnxruntime.quantization import QuantType, quantize_dynamic

DIM, K = 16, 6
ORDERED = "SELECT * FROM {} ORDER BY ALL"


@pytest.fixture
def con(graph):
    return graph


def small_transformer(**shape) -> onnx.ModelProto:
    return transformer_model(DIM, heads=4, hidden=32, layers=(16, 8), **shape)


def embeddings(con, table="faces") -> dict[int, np.ndarray]:
    return {key: np.asarray(row, np.float32) for key, row in con.sql(f"SELECT id, embedding FROM {table}").fetchall()}


def expected(path: str, features: dict, edges: dict[int, list[int]], unit=True) -> dict[tuple[int, int], float]:
    """P by Python's onnxruntime, one anchor at a time: the transition of each edge and self-loop."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    result = {}
    for anchor in features:
        neighbors = [neighbor for neighbor in edges.get(anchor, []) if neighbor != anchor]
        similarity = np.zeros(0)
        if neighbors:
            points = np.stack([features[key] for key in [anchor, *neighbors]])
            if unit:
                points = points / np.linalg.norm(points, axis=1, keepdims=True)
            tokens = np.arange(len(points), dtype=np.int64)[None]
            similarity = session.run(["prob"], {"points": points, "neighbors": tokens})[0][0].astype(np.float64)
        result[anchor, anchor] = 1 / (1 + similarity.sum())
        for neighbor, value in zip(neighbors, similarity):
            result[anchor, neighbor] = value / (1 + similarity.sum())
    return result


def edges_of(con, graph="g", order="rank") -> dict[int, list[int]]:
    edges: dict[int, list[int]] = {}
    for src, dst in con.sql(f"SELECT src, dst FROM {graph} ORDER BY src, {order}, dst").fetchall():
        edges.setdefault(src, []).append(dst)
    return edges


def transitions(con, call: str) -> dict[tuple[int, int], float]:
    rows = con.sql(f"SELECT src, dst, probability FROM {call}").fetchall()
    assert len({row[:2] for row in rows}) == len(rows)
    return {(src, dst): probability for src, dst, probability in rows}


def assert_equal(found: dict, wanted: dict, within=1e-5):
    assert found.keys() == wanted.keys()
    assert max(abs(found[edge] - wanted[edge]) for edge in wanted) < within


def test_the_cosine_as_a_model_is_kernel_linear(con, save):
    path = save(cosine_model(DIM))
    linear = transitions(con, "transition_matrix('g', kernel := 'linear')")
    assert_equal(transitions(con, f"transition_matrix('g', source := 'faces', model := '{path}')"), linear, 1e-6)
    for kernel in ("auto", "linear"):
        nested = f"transition_matrix(knn_graph('faces', k := {K}), model := '{path}', kernel := '{kernel}')"
        assert_equal(transitions(con, nested), linear, 1e-6)


@pytest.mark.parametrize("make", [calibrated_model, lambda dim: small_transformer()], ids=["calibrated", "transformer"])
def test_probabilities_are_those_of_python(con, save, make):
    path = save(make(DIM))
    wanted = expected(path, embeddings(con), edges_of(con))
    assert len({round(value, 3) for value in wanted.values()}) > 20
    assert_equal(transitions(con, f"transition_matrix('g', source := 'faces', model := '{path}')"), wanted)


def test_rows_may_have_any_number_of_neighbors(con, save):
    # A hub of every point, points of few neighbors or none, edges to a point itself.
    con.execute("""CREATE TABLE ragged AS
        FROM g WHERE src % 3 = 0 AND rank <= src % 7 UNION ALL SELECT 1, id, id, 1 FROM faces WHERE id <> 1
        UNION ALL SELECT id, id, 0, 0 FROM faces""")
    path = save(small_transformer())
    wanted = expected(path, embeddings(con), edges_of(con, "ragged", "distance"))
    assert_equal(transitions(con, f"transition_matrix('ragged', source := 'faces', model := '{path}')"), wanted)


@pytest.mark.parametrize("column", ["distance", "1 - distance AS similarity"])
def test_neighbors_come_nearest_first(con, save, column):
    # 1 / (1 + place) whatever the features.
    graph = Graph()
    tokens, there = graph.tokens()
    _, places = graph.anchor_and_neighbors(graph.add("CumSum", graph.add("Cast", there, to=FLOAT), np.int64(1)))
    zero = graph.add("Mul", graph.cosine(tokens), 0.0)
    graph.add("Reciprocal", graph.add("Add", places, zero), output="prob")
    path = save(graph.model(DIM))
    con.execute(f"CREATE TABLE edges AS SELECT src, dst, {column} FROM g ORDER BY hash(src + 7 * dst)")
    found = transitions(con, f"transition_matrix('edges', source := 'faces', model := '{path}')")
    ranks = con.sql("SELECT src, dst, rank FROM g").fetchall()
    assert len(ranks) == 200 * K
    assert all(found[src, dst] / found[src, src] == pytest.approx(1 / (1 + rank)) for src, dst, rank in ranks)


def test_stages_one_by_one_nested_and_in_one_call_are_the_same(con, save):
    path = save(small_transformer())
    con.execute(f"""
        CREATE TABLE p AS FROM transition_matrix('g', source := 'faces', model := '{path}');
        CREATE TABLE r AS FROM ndde('p');
        CREATE TABLE d AS FROM tpdi('p')""")
    by_stages = con.sql(ORDERED.format("dpc_cluster('r', 'd', tau := 0.5)")).fetchall()
    nested = f"transition_matrix(knn_graph('faces', k := {K}), model := '{path}')"
    assert con.sql(ORDERED.format(f"dpc_cluster(ndde({nested}), tpdi({nested}), tau := 0.5)")).fetchall() == by_stages
    stored = f"transition_matrix('g', source := 'faces', model := '{path}')"
    assert con.sql(ORDERED.format(f"dpc_cluster(ndde({stored}), tpdi({stored}), tau := 0.5)")).fetchall() == by_stages
    one = f"cluster_embeddings('faces', k := {K}, model := '{path}', kernel := 'linear', tau := 0.5)"
    assert con.sql(ORDERED.format(one)).fetchall() == by_stages
    # With nothing set the probabilities go through the calibration, as distances of which they are Gaussian.
    con.execute("""
        CREATE TABLE own AS SELECT src, probability FROM p WHERE src = dst;
        CREATE TABLE e AS
        SELECT src, dst, sqrt(-ln(least(greatest(p.probability / own.probability, 1e-9), 1))) AS distance
        FROM p JOIN own USING (src) WHERE src <> dst""")
    rows = "SELECT id, cluster_id, parent_id, round(strength, 6) FROM {} ORDER BY id"
    untuned = con.sql(rows.format(f"cluster_embeddings('faces', k := {K}, model := '{path}')")).fetchall()
    assert con.sql(rows.format("linkage_cluster(transition_matrix('e', sigma := 'auto'))")).fetchall() == untuned
    assert len({cluster for _, cluster, *_ in by_stages}) > 1


def test_two_models_in_one_statement(con, save):
    first, second = save(cosine_model(DIM)), save(calibrated_model(DIM), "other.onnx")
    nested = "ndde(transition_matrix('g', source := 'faces', model := '{}'))"
    apart = [con.sql(ORDERED.format(nested.format(path))).fetchall() for path in (first, second)]
    query = "SELECT a.id, a.density, b.density FROM {} a JOIN {} b USING (id) ORDER BY ALL"
    together = con.sql(query.format(nested.format(first), nested.format(second))).fetchall()
    assert together == [(key, a, b) for (key, a), (_, b) in zip(*apart)]
    both = f"dpc_cluster({nested.format(first)}, tpdi(transition_matrix('g', source := 'faces', model := '{second}')))"
    assert len(con.sql(f"FROM {both}").fetchall()) == 200


def test_the_source_of_a_nested_graph_may_be_another(con, save):
    con.execute("CREATE TABLE coarse AS SELECT id, list_transform(embedding, lambda x: round(x)) AS features FROM faces")
    path = save(calibrated_model(DIM))
    arguments = f"source := 'coarse', embedding := 'features', model := '{path}'"
    features = embeddings(con, "(SELECT id, features AS embedding FROM coarse)")
    wanted = expected(path, features, edges_of(con))
    assert_equal(transitions(con, f"transition_matrix(knn_graph('faces', k := {K}), {arguments})"), wanted)
    assert_equal(transitions(con, f"transition_matrix('g', {arguments})"), wanted)


def test_queries_and_their_neighbors_both_have_embeddings(con, save):
    con.execute("CREATE TABLE new AS SELECT id + 1000 AS id, embedding FROM faces WHERE id < 30")
    con.execute("INSERT INTO new FROM faces WHERE id >= 190")
    path = save(small_transformer())
    graph = f"knn_graph('faces', queries := 'new', k := {K})"
    con.execute(f"CREATE TABLE q AS FROM {graph}")
    con.execute("CREATE TABLE everyone AS FROM faces UNION FROM new")
    nested = transitions(con, f"transition_matrix({graph}, model := '{path}')")
    stored = f"transition_matrix('q', source := 'everyone', model := '{path}', undirected := false)"
    assert nested == transitions(con, stored)
    edges = edges_of(con, "q")
    points = edges.keys() | {dst for row in edges.values() for dst in row}
    features = {key: row for key, row in embeddings(con, "everyone").items() if key in points}
    assert_equal(nested, expected(path, features, edges))


@pytest.mark.parametrize("metric", ["ip", "l2sq"])
def test_under_other_metrics_the_embeddings_are_given_as_they_are(con, save, metric):
    # Not longer than 1, as 'ip' wants them.
    con.execute("CREATE OR REPLACE TABLE faces AS SELECT id, list_transform(embedding, lambda x: x / 20) AS embedding FROM faces")
    path = save(calibrated_model(DIM, 30.0, -1.0, keys=metadata(DIM, metric=metric)))
    con.execute(f"CREATE OR REPLACE TABLE g AS FROM knn_graph('faces', k := {K}, metric := '{metric}')")
    wanted = expected(path, embeddings(con), edges_of(con), unit=False)
    assert_equal(transitions(con, f"transition_matrix('g', source := 'faces', model := '{path}')"), wanted)
    nested = f"transition_matrix(knn_graph('faces', k := {K}, metric := '{metric}'), model := '{path}')"
    assert_equal(transitions(con, nested), wanted)


@pytest.mark.parametrize("precision, within", [("f16", 1e-3), ("i8", 2e-2)])
def test_embeddings_kept_in_less_precision_give_nearly_the_same(con, save, precision, within):
    path = save(calibrated_model(DIM))
    nested = "transition_matrix(knn_graph('faces', k := 199, precision := '{}'), model := '{}')"
    wanted = transitions(con, nested.format("f32", path))
    assert_equal(transitions(con, nested.format(precision, path)), wanted, within)


def test_a_model_with_weights_of_8_bits_is_taken(con, save, tmp_path):
    # It rounds by what else is in the batch.
    path, rounded = save(small_transformer()), str(tmp_path / "rounded.onnx")
    quantize_dynamic(path, rounded, per_channel=True, weight_type=QuantType.QInt8)
    wanted = transitions(con, f"transition_matrix('g', source := 'faces', model := '{path}')")
    found = transitions(con, f"transition_matrix('g', source := 'faces', model := '{rounded}')")
    assert found != wanted
    assert_equal(found, wanted, 0.01)


def test_results_are_the_same_in_any_row_order_on_any_number_of_threads(save):
    path = save(small_transformer())
    points, results = blobs(points=700, dim=DIM), []
    for threads in (1, 2, 5):
        with connect(threads=threads) as con:
            con.register("arrow", arrow_points(points))
            con.execute(f"CREATE TABLE faces AS FROM arrow ORDER BY hash(id + {threads})")
            call = f"transition_matrix(knn_graph('faces', k := {K}), model := '{path}')"
            results.append(con.sql(ORDERED.format(call)).fetchall())
    assert results[0] == results[1] == results[2] and len(results[0]) == 700 * (K + 1)


def test_no_rows_and_one_row(con, save):
    path = save(small_transformer())
    for rows in (0, 1):
        con.execute(f"CREATE OR REPLACE TABLE few AS FROM faces LIMIT {rows}")
        nested = f"transition_matrix(knn_graph('few'), model := '{path}')"
        assert [row[2] for row in con.sql(f"FROM {nested}").fetchall()] == [1.0] * rows
        assert len(con.sql(f"FROM cluster_embeddings('few', model := '{path}')").fetchall()) == rows


def test_a_prepared_statement_runs_again_and_keeps_its_model(con, save):
    path = save(cosine_model(DIM))
    con.execute(f"PREPARE t AS SELECT sum(probability * (1 + dst)) FROM transition_matrix('g', source := 'faces', model := '{path}')")
    first = con.sql("EXECUTE t").fetchall()
    assert con.sql("EXECUTE t").fetchall() == first
    con.execute("DEALLOCATE t")
    assert con.sql("SELECT density_peaks_slots()").fetchall() == [(0,)]

"""A file that breaks the contract of transition_matrix.md is refused, with what is wrong and before the work."""

import contextlib
import re
import threading
import time
from pathlib import Path

import duckdb
import numpy as np
import onnx
import pytest
from conftest import connect, create_points
from onnx import TensorProto, helper, numpy_helper
from onnx_models import FLOAT, INT64, Graph, calibrated_model, cosine_model, metadata, transformer_model

DIM, K = 16, 6


@pytest.fixture
def con(graph):
    return graph


def with_keys(**changed) -> dict[str, str]:
    keys = metadata(DIM) | {f"density_peaks.{key}": value for key, value in changed.items()}
    return {key: value for key, value in keys.items() if value is not None}


def model_of(body, **changes) -> onnx.ModelProto:
    """The cosine, put through `body(graph, cosine, tokens, there)`, which gives the name of what to return."""
    graph = Graph()
    tokens, there = graph.tokens()
    graph.add("Identity", body(graph, graph.cosine(tokens), tokens, there), output="prob")
    return graph.model(DIM, **changes)


def other_input() -> onnx.ModelProto:
    model = cosine_model(DIM)
    model.graph.input.append(helper.make_tensor_value_info("weight", FLOAT, [1]))
    return model


def renamed(old: str, new: str) -> onnx.ModelProto:
    model = cosine_model(DIM)
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for info in [*model.graph.input, *model.graph.output]:
        info.name = new if info.name == old else info.name
    return model


def of_other_type() -> onnx.ModelProto:
    graph = Graph()
    tokens = graph.add("Gather", "points", graph.add("Max", graph.add("Cast", "neighbors", to=INT64), np.int64(0)))
    graph.add("Clip", graph.cosine(tokens), 0.0, 1.0, output="prob")
    return graph.model(DIM, neighbors=("neighbors", TensorProto.INT32, ["batch", "tokens"]))


def of_doubles() -> onnx.ModelProto:
    graph = Graph()
    tokens, _ = graph.tokens()
    clipped = graph.add("Clip", graph.cosine(tokens), 0.0, 1.0)
    graph.add("Cast", clipped, to=TensorProto.DOUBLE, output="prob")
    return graph.model(DIM, output=("prob", TensorProto.DOUBLE, ["batch", "others"]))


def of_three_axes() -> onnx.ModelProto:
    graph = Graph()
    tokens, _ = graph.tokens()
    graph.add("Unsqueeze", graph.add("Clip", graph.cosine(tokens), 0.0, 1.0), [2], output="prob")
    return graph.model(DIM, output=("prob", FLOAT, ["batch", "others", 1]))


def external() -> onnx.ModelProto:
    model = cosine_model(DIM)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return model


def external_in_an_attribute() -> onnx.ModelProto:
    model = cosine_model(DIM)
    tensor = TensorProto(data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL, name="w")
    tensor.external_data.add(key="location", value="weights.bin")
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))
    return model


def with_function() -> onnx.ModelProto:
    model = cosine_model(DIM)
    square = helper.make_node("Mul", ["x", "x"], ["y"])
    model.functions.append(helper.make_function("own", "Square", ["x"], ["y"], [square], model.opset_import))
    return model


def huge() -> onnx.ModelProto:
    model = cosine_model(DIM)
    model.graph.initializer.append(TensorProto(data_type=FLOAT, dims=[1 << 20, 1 << 20], name="huge"))
    return model


def of_all_anchors(graph, cosine, tokens, there):
    """Attention over the batch, as in the authors' released code."""
    return graph.add("Softmax", cosine, axis=0)


def of_absent_ones(graph, cosine, tokens, there):
    """A mean over all tokens, absent ones among them."""
    mean = graph.add("ReduceMean", tokens, axes=[1, 2], keepdims=0)
    mean = graph.add("Unsqueeze", mean, [1])
    return graph.add("Sigmoid", graph.add("Add", graph.add("Mul", cosine, 9.0), graph.add("Mul", mean, 50.0)))


def without_last(graph, cosine, tokens, there):
    return graph.add("Clip", graph.add("Slice", cosine, [0], [-1], [1]), 0.0, 1.0)


def out_of_range(graph, cosine, tokens, there):
    far = graph.add("Gather", "points", graph.add("Add", "neighbors", np.int64(1000)))
    return graph.add("Mul", cosine, graph.cosine(far))


def nan(graph, cosine, tokens, there):
    return graph.add("Log", graph.add("Sub", graph.add("Abs", cosine), 2.0))


def division_by_zero(graph, cosine, tokens, there):
    """Whole numbers by 0, which is a trap of the processor where nobody checks."""
    zero = graph.add("Sub", "neighbors", "neighbors")
    quotient = graph.add("Slice", graph.add("Cast", graph.add("Div", "neighbors", zero), to=FLOAT), [0], [2**62], [1])
    return graph.add("Clip", graph.add("Add", cosine, graph.add("ReduceMin", quotient, keepdims=0)), 0.0, 1.0)


def remainder_by_zero(graph, cosine, tokens, there):
    zero = graph.add("Sub", "neighbors", "neighbors")
    rest = graph.add("Cast", graph.add("Mod", "neighbors", zero), to=FLOAT)
    return graph.add("Clip", graph.add("Add", cosine, graph.add("ReduceMin", rest, keepdims=0)), 0.0, 1.0)


def far_below(graph, cosine, tokens, there):
    far = graph.add("Gather", "points", graph.add("Sub", "neighbors", np.int64(1 << 40)))
    return graph.add("Mul", cosine, graph.cosine(far))


def long_chain() -> onnx.ModelProto:
    graph = Graph()
    tokens, _ = graph.tokens()
    end = graph.cosine(tokens)
    for _ in range(20_000):
        end = graph.add("Identity", end)
    graph.add("Clip", end, 0.0, 1.0, output="prob")
    return graph.model(DIM)


def polyglot() -> bytes:
    """An ONNX file that ONNX Runtime would take for one of its own format."""
    domain = b"abORTM"
    return bytes([0x22, len(domain)]) + domain + cosine_model(DIM).SerializeToString()


CALL = "transition_matrix('g', source := 'faces', model := '{}')"

BAD = {
    "empty file": (b"", "the file is no ONNX model, or only a part of one"),
    "text": (b"SELECT 42;\n" * 40, "the file is no ONNX model, or only a part of one"),
    "truncated": (cosine_model(DIM).SerializeToString()[:-9], "the file is no ONNX model, or only a part of one"),
    "unknown operator": (
        lambda: model_of(lambda graph, cosine, *_: graph.add("Cosine", cosine)),
        "ONNX Runtime cannot open it: .*Cosine",
    ),
    "external weights": (external, r"weights are outside the file \(ONNX external data\); save the model with its"),
    "external constant": (external_in_an_attribute, r"weights are outside the file \(ONNX external data\)"),
    "functions": (with_function, r"it has functions of its own; inline them \(onnx.inliner.inline_local_functions in"),
    "huge tensor": (huge, "a tensor of 1099511627776 values is declared, which a file of [0-9]+ bytes cannot hold"),
    "no metadata": (lambda: cosine_model(DIM, keys={}), 'it has no metadata "density_peaks.contract"'),
    "contract 2": (
        lambda: cosine_model(DIM, keys=with_keys(contract="2")),
        "its metadata \"density_peaks.contract\" is '2', but this density_peaks takes '1'",
    ),
    "no dim": (lambda: cosine_model(DIM, keys=with_keys(dim=None)), 'it has no metadata "density_peaks.dim"'),
    "dim that is none": (
        lambda: cosine_model(DIM, keys=with_keys(dim="many")),
        "its metadata \"density_peaks.dim\" is 'many', but must be a whole number of at least 1",
    ),
    "dim below 0": (
        lambda: cosine_model(DIM, keys=with_keys(dim="-16")),
        "\"density_peaks.dim\" is '-16', but must be a whole number of at least 1",
    ),
    "huge dim": (
        lambda: cosine_model(DIM, keys=with_keys(dim=str(2**63))),
        "density_peaks.dim",
    ),
    "dim beyond all numbers": (
        lambda: cosine_model(DIM, keys=with_keys(dim="9" * 40)),
        "\"density_peaks.dim\" is '9+', but must be a whole number of at least 1",
    ),
    "huge dim on no fixed axis": (
        lambda: cosine_model(None, points=("points", FLOAT, ["n", "dim"]), keys=with_keys(dim=str(2**40))),
        "density_peaks.dim",
    ),
    "many nodes": (long_chain, "it has more than 20000 nodes, which take too long to open"),
    "format of ONNX Runtime": (polyglot, "the file is no ONNX model, or only a part of one"),
    "no k": (lambda: cosine_model(DIM, keys=with_keys(k=None)), 'it has no metadata "density_peaks.k"'),
    "k of 0": (lambda: cosine_model(DIM, keys=with_keys(k="0")), "\"density_peaks.k\" is '0', but must be a whole"),
    "no metric": (lambda: cosine_model(DIM, keys=with_keys(metric=None)), 'it has no metadata "density_peaks.metric"'),
    "unknown metric": (
        lambda: cosine_model(DIM, keys=with_keys(metric="manhattan")),
        "\"density_peaks.metric\" is 'manhattan', but must be one of 'cosine', 'ip', 'l2sq'",
    ),
    "input of another name": (
        lambda: renamed("points", "features"),
        'its inputs are "features", "neighbors", but must be "points", "neighbors"',
    ),
    "another input": (
        other_input,
        'its inputs are "points", "neighbors", "weight", but must be "points", "neighbors"',
    ),
    "output of another name": (lambda: renamed("prob", "output"), 'its outputs are "output", but must be "prob"'),
    "input of another type": (of_other_type, '"neighbors" has values of type i32, but must have i64'),
    "output of another type": (of_doubles, '"prob" has values of type f64, but must have f32'),
    "another rank": (of_three_axes, r'"prob" has 3 axes, but must have 2: \[batch, tokens - 1\]'),
    "fixed batch": (
        lambda: cosine_model(DIM, neighbors=("neighbors", INT64, [32, "tokens"]), output=("prob", FLOAT, [32, "others"])),
        'axis batch of "neighbors" has the fixed size 32; export the model with a dynamic axis there',
    ),
    "fixed tokens": (
        lambda: cosine_model(DIM, neighbors=("neighbors", INT64, ["batch", 81]), output=("prob", FLOAT, ["batch", 80])),
        'axis tokens of "neighbors" has the fixed size 81; export the model with a dynamic axis there',
    ),
    "fixed points": (
        lambda: cosine_model(None, points=("points", FLOAT, [2592, DIM]), keys=metadata(DIM)),
        'axis n of "points" has the fixed size 2592; export the model with a dynamic axis there',
    ),
    "fixed result": (
        lambda: cosine_model(DIM, output=("prob", FLOAT, ["batch", 80])),
        'axis tokens - 1 of "prob" has the fixed size 80; export the model with a dynamic axis there',
    ),
    "dim and axis differ": (
        lambda: cosine_model(DIM, keys=metadata(12)),
        f'"points" has {DIM} dimensions, but its metadata "density_peaks.dim" is 12',
    ),
    "above 1": (
        lambda: model_of(lambda graph, cosine, *_: graph.add("Exp", cosine)),
        r'in a dry run its result "prob" has the value [12]\.[0-9]+, but must have probabilities, between 0 and 1',
    ),
    "below 0": (
        lambda: model_of(lambda graph, cosine, *_: graph.add("Neg", cosine)),
        r'in a dry run its result "prob" has the value -0\.[0-9]+, but must have probabilities',
    ),
    "NaN": (lambda: model_of(nan), 'in a dry run its result "prob" has the value NaN, but must have probabilities'),
    "other shape": (
        lambda: model_of(without_last),
        r'its result "prob" has the shape \[3, 4\], but must have \[3, 5\]',
    ),
    "of the batch": (
        lambda: model_of(of_all_anchors),
        r"in a dry run a probability changes from 0\.[0-9]+ to 1\.0000 with the other anchors of the batch",
    ),
    "of absent neighbors": (
        lambda: model_of(of_absent_ones),
        r"in a dry run a probability changes from 0\.[0-9]+ to 0\.[0-9]+ with the number of absent neighbors",
    ),
    "failing": (
        lambda: model_of(out_of_range),
        "ONNX Runtime fails on it: .*out of data bounds",
    ),
    "division by 0": (lambda: model_of(division_by_zero), "ONNX Runtime fails on it: .*[Ii]nteger division by zero"),
    "remainder by 0": (lambda: model_of(remainder_by_zero), "ONNX Runtime fails on it: .*[Ii]nteger modulo by zero"),
    "far below 0": (
        lambda: model_of(far_below),
        "ONNX Runtime fails on it: .*out of data bounds",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_model_is_refused_with_what_is_wrong(con, save, name):
    model, message = BAD[name]
    path = save(model() if callable(model) else model)
    start = f"transition_matrix: the model '{path}' cannot be used: "
    with pytest.raises(duckdb.InvalidInputException) as error:
        con.sql(f"FROM {CALL.format(path)}").fetchall()
    assert str(error.value).startswith(f"Invalid Input Error: {start}")
    assert re.search(message, str(error.value)), error.value
    with pytest.raises(duckdb.InvalidInputException, match=f"cluster_embeddings: the model '{path}' cannot be used"):
        con.sql(f"FROM cluster_embeddings('faces', model := '{path}')").fetchall()
    assert con.sql("SELECT density_peaks_slots()").fetchall() == [(0,)]


def test_a_result_that_is_no_probability_names_its_edge(con, save):
    # Fine for points of length 1, as in the dry run, and for embeddings a little longer not.
    keys = metadata(DIM, metric="l2sq")
    path = save(model_of(lambda graph, cosine, *_: graph.add("Abs", cosine), keys=keys))
    edge = r"transition_matrix\('g'\): the probability by the model of edge [0-9]+ -> [0-9]+ is [0-9.]+; it must be between 0 and 1"
    with pytest.raises(duckdb.InvalidInputException, match=edge):
        con.sql(f"FROM {CALL.format(path)}").fetchall()


@pytest.mark.parametrize("column", ["FLOAT[4]", "FLOAT[]", "DOUBLE[]"])
def test_embeddings_of_other_dimensions_are_named(con, save, column):
    path = save(cosine_model(DIM))
    con.execute(f"CREATE TABLE short AS SELECT id, embedding[:4]::{column} AS face FROM faces")
    error = f"the model '{path}' takes {DIM}-dimensional embeddings, but column \"face\" of source \"short\" has 4"
    calls = {
        "transition_matrix": f"transition_matrix('g', source := 'short', embedding := 'face', model := '{path}')",
        "cluster_embeddings": f"cluster_embeddings('short', embedding := 'face', model := '{path}')",
    }
    for name, call in calls.items():
        with pytest.raises(duckdb.Error, match=f"{name}: {error}"):
            con.sql(f"FROM {call}").fetchall()


def test_a_model_for_another_metric_is_refused(con, save):
    path = save(cosine_model(DIM, keys=metadata(DIM, metric="ip")))
    error = f"the model '{path}' is for graphs under metric 'ip', not 'cosine'; set metric := 'ip'"
    with pytest.raises(duckdb.BinderException, match=f"transition_matrix: {error}"):
        con.sql(f"FROM transition_matrix(knn_graph('faces'), model := '{path}')").fetchall()
    with pytest.raises(duckdb.BinderException, match=f"cluster_embeddings: {error}"):
        con.sql(f"FROM cluster_embeddings('faces', model := '{path}')").fetchall()


def test_a_point_without_an_embedding_is_named(con, save):
    path = save(cosine_model(DIM))
    con.execute("CREATE TABLE most AS FROM faces WHERE id <> 17")
    error = r"transition_matrix\('g'\): id 17 has no row in source; every point needs an embedding"
    with pytest.raises(duckdb.InvalidInputException, match=error):
        con.sql(f"FROM transition_matrix('g', source := 'most', model := '{path}')").fetchall()


def test_ids_of_two_types_are_named(con, save):
    path = save(cosine_model(DIM))
    con.execute("CREATE TABLE texts AS SELECT id::VARCHAR AS id, embedding FROM faces")
    with pytest.raises(duckdb.BinderException, match='"src" of graph "g" is BIGINT, but column "id" of source "texts"'):
        con.sql(f"FROM transition_matrix('g', source := 'texts', model := '{path}')").fetchall()


def expanding(size: int):
    """A model whose runs need a tensor of this many values."""

    def body(graph, cosine, tokens, there):
        many = graph.add("ReduceMax", graph.add("Expand", 1.0, [size]), keepdims=0)
        return graph.add("Clip", graph.add("Mul", cosine, many), 0.0, 1.0)

    return model_of(body)


def test_a_model_stays_within_the_memory_limit(con, save):
    path = save(expanding(1 << 27))
    con.execute("SET memory_limit = '200MB'")
    with pytest.raises(duckdb.InvalidInputException, match="the model needs more memory than memory_limit leaves it"):
        con.sql(f"FROM {CALL.format(path)}").fetchall()
    con.execute("SET memory_limit = '100KB'")
    with pytest.raises(duckdb.Error, match="memory_limit"):
        con.sql(f"FROM {CALL.format(save(transformer_model(DIM)))}").fetchall()
    con.execute("SET memory_limit = '1GB'")
    assert len(con.sql(f"FROM {CALL.format(save(expanding(1 << 20)))}").fetchall()) == 200 * (K + 1)


def endless(graph, cosine, tokens, there):
    """A loop of 2^62 steps."""
    of = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)  # noqa: E731
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [of("i", INT64, []), of("go", TensorProto.BOOL, []), of("x", FLOAT, None)],
        [of("go_on", TensorProto.BOOL, []), of("y", FLOAT, None)],
    )
    graph.constants.append(numpy_helper.from_array(np.array(True), "true"))
    return graph.add("Loop", np.int64(1 << 62), "true", cosine, body=body)


def wait_for_threads() -> None:
    """Until no thread works for density_peaks any more."""

    def at_work() -> bool:
        for path in Path("/proc/self/task").glob("*/comm"):
            # A thread may have ended since the folder was read.
            with contextlib.suppress(OSError):
                if path.read_text().startswith("density_peaks"):
                    return True
        return False

    deadline = time.monotonic() + 20
    while at_work() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not at_work()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_a_model_that_never_ends_is_interrupted(con, save):
    path = save(model_of(endless))
    threading.Timer(0.3, con.interrupt).start()
    with pytest.raises(duckdb.InterruptException):
        con.sql(f"FROM {CALL.format(path)}").fetchall()
    wait_for_threads()
    assert con.sql("SELECT count(*) FROM knn_graph('faces', k := 1)").fetchall() == [(200,)]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_a_run_shows_progress_and_is_interrupted(save):
    path = save(transformer_model(64))
    with connect(threads=2) as con:
        create_points(con, points=20_000, dim=64)
        con.execute(
            "SET enable_progress_bar = true; SET enable_progress_bar_print = false; SET progress_bar_time = 0"
        )
        outcome = []

        def run():
            try:
                outcome.append(con.execute(f"FROM cluster_embeddings('faces', k := 40, model := '{path}')").fetchall())
            except duckdb.InterruptException:
                outcome.append("interrupted")

        thread = threading.Thread(target=run)
        thread.start()
        seen = []
        # The graph takes 10 % of the bar.
        while thread.is_alive() and not any(progress > 11 for progress in seen):
            seen.append(con.query_progress())
            time.sleep(0.01)
        con.interrupt()
        thread.join()
        assert outcome == ["interrupted"]
        seen = [progress for progress in seen if progress >= 0]
        assert seen == sorted(seen)
        wait_for_threads()


def test_any_damage_to_a_file_is_an_error_or_a_result(con, save):
    random = np.random.default_rng(3)
    good = calibrated_model(DIM).SerializeToString()
    outcomes = set()
    for attempt in range(150):
        damaged = bytearray(good)
        if attempt % 3 == 0:
            damaged = damaged[: random.integers(len(good))]
        elif attempt % 3 == 1:
            for place in random.integers(len(good), size=random.integers(1, 6)):
                damaged[place] = random.integers(256)
        else:
            damaged = random.integers(256, size=random.integers(2000), dtype=np.uint8)
        try:
            outcomes.add(len(con.sql(f"FROM {CALL.format(save(bytes(damaged)))}").fetchall()))
        except duckdb.Error as error:
            assert "cannot be used" in str(error) and "defect" not in str(error), error
            outcomes.add("refused")
    assert outcomes <= {200 * (K + 1), "refused"} and "refused" in outcomes

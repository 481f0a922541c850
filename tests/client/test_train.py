"""train_similarity: the file that it writes, as ONNX Runtime runs it, and what it leaves behind."""

import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pytest
from conftest import arrow_points, connect

DIM = 12
KINDS = [(encoder, context) for encoder in ("transformer", "none") for context in (True, False)]


def labelled(con, identities=40, size=5, name="faces", seed=3):
    """Identities with noise that is large in a third of the directions."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), size)
    noise = random.normal(size=(len(labels), DIM)) * np.where(np.arange(DIM) < DIM // 3, 2.0, 0.4)
    embeddings = (random.normal(size=(identities, DIM))[labels] + noise).astype(np.float32)
    points = arrow_points(embeddings).append_column("identity", pa.array([f"person {label}" for label in labels]))
    con.register("arrow_points", points)
    con.execute(f"CREATE OR REPLACE TABLE {name} AS FROM arrow_points ORDER BY hash(id)")
    con.unregister("arrow_points")


def train(con, path, source="faces", **options):
    options = {"label": "identity", "k": 8, "epochs": 2, **options}
    given = "".join(f", {name} := {value!r}" for name, value in options.items())
    return con.execute(f"FROM train_similarity('{source}', '{path}'{given})").fetchall()


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def self_test(model):
    """The points, neighbors and probabilities of the test that a file has in its metadata."""
    i, d = np.arange(8)[:, None], np.arange(1, DIM + 1)[None]
    points = (np.sin(1.3 * d) + 0.5 * np.sin(0.7 * d * (i + 2))).astype(np.float32)
    neighbors = np.full((8, 8), -1, dtype=np.int64)
    for anchor in range(8):
        neighbors[anchor, : 8 - anchor] = np.arange(anchor, 8)
    metadata = model.get_modelmeta().custom_metadata_map
    expected = np.array([float(x) for x in metadata["density_peaks.check"].split(",")])
    return points, neighbors, expected


@pytest.mark.parametrize("encoder,context", KINDS)
def test_a_file_gives_the_probabilities_of_the_trainer(con, tmp_path, encoder, context):
    labelled(con)
    path = str(tmp_path / "sim.onnx")
    train(con, path, encoder=encoder, context=context, learning_rate=0.003)
    onnx.checker.check_model(path, full_check=True)
    model = session(path)
    points, neighbors, expected = self_test(model)
    (found,) = model.run(["prob"], {"points": points, "neighbors": neighbors})
    present = neighbors[:, 1:] >= 0
    assert found.shape == (8, 7) and len(expected) == present.sum() == 28
    assert np.abs(found[present] - expected).max() < 1e-5
    assert expected.max() - expected.min() > 0.1
    assert (found[~present] == 0).all()


@pytest.mark.parametrize("encoder,context", KINDS)
def test_absent_neighbors_and_other_anchors_have_no_effect(con, tmp_path, encoder, context):
    labelled(con)
    path = str(tmp_path / "sim.onnx")
    train(con, path, encoder=encoder, context=context, learning_rate=0.003)
    model = session(path)
    points, neighbors, _ = self_test(model)
    # A gap in the middle, and lengths that are not 1.
    neighbors[0, 3] = -1
    (together,) = model.run(None, {"points": points * 3, "neighbors": neighbors})
    for anchor in range(7):
        row = neighbors[anchor][neighbors[anchor] >= 0]
        (alone,) = model.run(None, {"points": points[row], "neighbors": np.arange(len(row))[None]})
        assert np.abs(alone[0] - together[anchor][neighbors[anchor, 1:] >= 0]).max() < 1e-5


def test_a_file_names_its_inputs_and_its_contract(con, tmp_path):
    labelled(con)
    path = str(tmp_path / "sim.onnx")
    train(con, path)
    model = session(path)
    inputs = {given.name: (given.type, given.shape) for given in model.get_inputs()}
    assert inputs == {
        "points": ("tensor(float)", ["n", DIM]),
        "neighbors": ("tensor(int64)", ["batch", "tokens"]),
    }
    (prob,) = model.get_outputs()
    assert (prob.name, prob.type, prob.shape) == ("prob", "tensor(float)", ["batch", "pairs"])
    metadata = model.get_modelmeta().custom_metadata_map
    keys = [metadata[f"density_peaks.{key}"] for key in ("contract", "dim", "k", "metric", "encoder", "context")]
    assert keys == ["1", str(DIM), "8", "cosine", "none", "true"]


def test_the_calibrated_cosine_is_the_logistic_regression_of_the_cosine(con, tmp_path):
    from sklearn.linear_model import LogisticRegression

    labelled(con)
    # Nearly all of the labels are trained on, so the regression on all of them is near.
    path = str(tmp_path / "sim.onnx")
    rows = train(con, path, encoder="none", context=False, held_out=0.05)
    assert [row[0] for row in rows] == [0] and rows[0][2] == pytest.approx(rows[0][4])
    pairs = con.execute("""
        SELECT 1 - distance AS cosine, a.identity = b.identity AS same
        FROM knn_graph('faces', k := 8) JOIN faces a ON a.id = src JOIN faces b ON b.id = dst""").fetchnumpy()
    fit = LogisticRegression(C=1e6).fit(pairs["cosine"][:, None], pairs["same"])
    points, neighbors, expected = self_test(session(path))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    cosines = np.concatenate([points[row[1:]] @ points[row[0]] for row in (r[r >= 0] for r in neighbors)])
    assert np.abs(fit.predict_proba(cosines[:, None])[:, 1] - expected).max() < 0.1


def test_threads_and_the_order_of_rows_change_nothing(tmp_path):
    results = []
    for threads, order in ((1, "id"), (3, "hash(id)")):
        with connect(threads=threads) as con:
            labelled(con, identities=30)
            con.execute(f"CREATE TABLE ordered AS FROM faces ORDER BY {order}")
            path = tmp_path / f"{threads}.onnx"
            results.append((train(con, path, source="ordered", seed=5), path.read_bytes()))
    assert results[0] == results[1]


def test_learning_helps_where_the_cosine_is_misled(con, tmp_path):
    labelled(con, identities=120)
    rows = train(con, tmp_path / "sim.onnx", encoder="none", epochs=15, learning_rate=0.003)
    (kept,) = [row for row in rows if row[6]]
    assert kept[3] == max(row[3] for row in rows)
    assert kept[2] > kept[4] + 0.02 and kept[3] > kept[5] + 0.02
    assert all(row[7] is None for row in rows)


def test_a_run_that_is_stopped_leaves_no_file(con, tmp_path):
    labelled(con, identities=400)
    thread = threading.Timer(0.5, con.interrupt)
    thread.start()
    begin = time.monotonic()
    with pytest.raises(duckdb.InterruptException):
        train(con, tmp_path / "sim.onnx", epochs=10_000, patience=10_000)
    thread.join()
    assert time.monotonic() - begin < 30
    assert list(tmp_path.iterdir()) == []
    assert con.execute("SELECT density_peaks_slots()").fetchone() == (0,)


def test_a_file_is_replaced_as_a_whole_and_only_when_told(con, tmp_path):
    labelled(con)
    path = tmp_path / "sim.onnx"
    path.write_bytes(b"before")
    with pytest.raises(duckdb.InvalidInputException, match="exists; name another file, or replace it with overwrite"):
        train(con, path, encoder="none")
    assert path.read_bytes() == b"before"
    train(con, path, encoder="none", overwrite=True)
    assert session(str(path)).get_outputs()[0].name == "prob"
    assert [file.name for file in tmp_path.iterdir()] == ["sim.onnx"]


def test_a_path_that_cannot_be_written_is_refused_before_the_work(con, tmp_path):
    labelled(con, identities=400)
    begin = time.monotonic()
    for path in (tmp_path / "nowhere" / "sim.onnx", tmp_path):
        with pytest.raises(duckdb.Error, match="train_similarity: model"):
            train(con, path, epochs=10_000)
    assert time.monotonic() - begin < 30


def test_external_access_holds(tmp_path):
    with connect() as con:
        labelled(con)
        con.execute("SET enable_external_access = false")
        with pytest.raises(duckdb.PermissionException):
            train(con, tmp_path / "sim.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_regular_file_is_never_replaced(con, tmp_path):
    labelled(con, identities=12)
    fifo, dangling, link, file = (tmp_path / name for name in ("fifo", "dangling", "link", "file"))
    os.mkfifo(fifo)
    dangling.symlink_to(tmp_path / "nothing")
    file.write_bytes(b"before")
    link.symlink_to(file)
    for path, what in ((fifo, "no regular file"), (dangling, "a symbolic link"), (link, "a symbolic link")):
        for overwrite in (False, True):
            with pytest.raises(duckdb.InvalidInputException, match=f"train_similarity: model '{path}' is {what}"):
                train(con, path, overwrite=overwrite)
    assert stat.S_ISFIFO(fifo.lstat().st_mode) and dangling.is_symlink() and link.is_symlink()
    assert file.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 4


def test_no_other_file_of_the_folder_is_touched(con, tmp_path):
    labelled(con, identities=12)
    own, emptied = tmp_path / "one.onnx.part", tmp_path / "emptied"
    own.write_bytes(b"of the user")
    emptied.write_bytes(b"of the user")
    (tmp_path / "two.onnx.part").symlink_to(emptied)
    for name in ("one.onnx", "two.onnx"):
        train(con, tmp_path / name)
    assert own.read_bytes() == emptied.read_bytes() == b"of the user"
    names = ["emptied", "one.onnx", "one.onnx.part", "two.onnx", "two.onnx.part"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names


def test_a_file_that_is_replaced_keeps_its_mode(con, tmp_path):
    labelled(con, identities=12)
    path = tmp_path / "sim.onnx"
    for mode in (0o400, 0o664):
        path.write_bytes(b"before")
        path.chmod(mode)
        train(con, path, overwrite=True)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert session(str(path)).get_outputs()[0].name == "prob"
        path.chmod(0o600)


def test_of_those_who_train_to_one_path_at_a_time_one_has_it(con, tmp_path):
    labelled(con, identities=12)
    path = tmp_path / "sim.onnx"
    begin = threading.Barrier(3)

    def attempt(seed):
        with con.cursor() as cursor:
            begin.wait()
            try:
                train(cursor, path, seed=seed)
            except duckdb.InvalidInputException as error:
                return str(error)
        return "written"

    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(attempt, range(3)))
    assert outcomes.count("written") == 1
    assert sum("exists; name another file" in outcome for outcome in outcomes) == 2
    assert session(str(path)).get_outputs()[0].name == "prob"
    assert [file.name for file in tmp_path.iterdir()] == ["sim.onnx"]


def test_a_path_that_is_allowed_is_enough(tmp_path):
    path = tmp_path / "sim.onnx"
    with connect() as con:
        labelled(con, identities=12)
        con.execute(f"SET allowed_paths = ['{path}']")
        con.execute("SET enable_external_access = false")
        train(con, path)
        train(con, path, overwrite=True)
        with pytest.raises(duckdb.PermissionException, match="train_similarity: model '.*other.onnx' cannot be written"):
            train(con, tmp_path / "other.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["sim.onnx"]


def test_attention_over_many_neighbors_is_in_the_estimate(tmp_path):
    with connect(threads=2, memory_limit="1GB") as con:
        labelled(con, identities=200)
        with pytest.raises(duckdb.InvalidInputException, match=r"with k := 900 need about 3\.\d GiB, but memory_limit"):
            train(con, tmp_path / "sim.onnx", encoder="transformer", k=900, epochs=1)
    assert list(tmp_path.iterdir()) == []

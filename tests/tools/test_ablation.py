"""experiments/ablation.py: what its functions give, and that its page shows it."""

import re

import ablation
import numpy as np
import onnxruntime
import pytest
from conftest import ROOT
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

K = 5
MODEL = "`'none'`"


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """The songs as a file with two halves, loaded."""
    path = tmp_path_factory.mktemp("songs") / "songs.parquet"
    with ablation.connect() as con:
        con.execute(f"""
            COPY (SELECT *, if(label % 2 = 0, 'train', 'test') AS split FROM '{ROOT / "data" / "songs.parquet"}')
            TO '{path}'""")
    with ablation.load(path, K) as con:
        yield con


def test_both_is_cluster_embeddings(halves):
    found = ablation.sweep(halves, "cosine_test", "test", {"sigma 0.1": "exp(-distance / 0.1)"})
    for tau in (0.5, 0.7):
        expected = halves.execute(f"""
            SELECT pairwise_f(label, cluster_id).f, bcubed_f(label, cluster_id).f
            FROM cluster_embeddings('test', k := {K}, sigma := 0.1, tau := {tau}) JOIN test USING (id)""").fetchone()
        assert found["+ both"]["sigma 0.1", tau] == pytest.approx(expected, abs=1e-12)
        assert found["+ NDDe"]["sigma 0.1", tau][1] != pytest.approx(expected[1], abs=1e-3)


def test_the_baseline_is_density_peaks_over_sums_and_differences(halves):
    edges = halves.execute("SELECT src, dst, distance FROM cosine_test ORDER BY src, dst").fetchnumpy()
    ids, rows = np.unique([edges["src"], edges["dst"]], return_inverse=True)
    src, dst = rows.reshape(2, -1)
    weight = np.maximum(0, 1 - edges["distance"].astype(float))
    density = np.bincount(src, weight, minlength=len(ids))
    higher = (density[dst] > density[src]) & (1 - weight < 0.4)
    found = [np.flatnonzero(higher & (src == point)) for point in range(len(ids))]
    parents = [at[np.argmax(weight[at])] for at in found if len(at)]
    joined = csr_array((np.ones(len(parents)), (src[parents], dst[parents])), shape=(len(ids), len(ids)))
    halves.register("expected", {"id": ids, "cluster_id": connected_components(joined)[1]})
    expected = halves.execute("""
        SELECT pairwise_f(label, cluster_id).f, bcubed_f(label, cluster_id).f
        FROM expected JOIN test USING (id)""").fetchone()
    found = ablation.sweep(halves, "cosine_test", "test", {"linear": ablation.COSINE["linear"]})
    assert found["density, 1 - similarity"]["linear", 0.4] == pytest.approx(expected, abs=1e-12)


def test_each_anchor_is_scored_by_the_model_that_has_not_seen_its_label(halves, tmp_path, monkeypatch):
    monkeypatch.setitem(ablation.MODELS, MODEL, ("none", True, 1, 1))
    # The file of each half, kept beside the one that is overwritten.
    trained, files = ablation.trained, []

    def keep(con, model, seed, source, path, k):
        trained(con, model, seed, source, path, k)
        labels = {label for (label,) in con.execute(f"SELECT DISTINCT label FROM {source}").fetchall()}
        files.append((labels, (tmp_path / "similarity.onnx").read_bytes()))

    monkeypatch.setattr(ablation, "trained", keep)
    ablation.cross_fitted(halves, MODEL, 0, str(tmp_path / "similarity.onnx"), K)
    assert halves.execute("SELECT src, dst FROM scored_train EXCEPT SELECT src, dst FROM g_train").fetchall() == []
    assert halves.execute("SELECT count(*) - (SELECT count(*) FROM g_train) FROM scored_train").fetchone() == (0,)
    (first, _), (second, _) = files
    assert not first & second and min(len(first), len(second)) > 300
    embeddings = dict(halves.execute("SELECT id, embedding FROM train").fetchall())
    sample = halves.execute("""
        SELECT s.src, any_value(label), list(dst ORDER BY distance, dst), list(score ORDER BY distance, dst)
        FROM scored_train s JOIN train ON id = src GROUP BY s.src ORDER BY s.src LIMIT 20""").fetchall()
    for src, label, neighbors, scores in sample:
        (model,) = [file for labels, file in files if label not in labels]
        points = np.array([embeddings[point] for point in (src, *neighbors)], dtype=np.float32)
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        (expected,) = session.run(["prob"], {"points": points, "neighbors": np.arange(K + 1)[None]})
        assert np.abs(expected[0] - scores).max() < 1e-5


def test_the_best_setting_has_the_greatest_sum():
    assert ablation.best({"a": (0.5, 0.9), "b": (0.8, 0.7), "c": (None, 1.0)}) == "b"


def test_the_page_has_the_scores_of_today():
    name = "LFW at 24 pixels"
    if not ablation.SETS[name].exists():
        pytest.skip(f"needs ../shared/data/{ablation.SETS[name].name}, which is not here")
    (section,) = re.findall(rf"<!-- similarity {name} -->(.*?)<!-- end -->", ablation.PAGE.read_text(), re.DOTALL)
    lines = [line for line in section.splitlines() if line.startswith("| cosine |")]
    pairwise, bcubed, chosen = [line.strip("| ").split(" | ") for line in lines]
    setting, tau = re.fullmatch(r"(.*), tau (.*)", chosen[-1]).groups()
    with ablation.load(ablation.SETS[name]) as con:
        found = ablation.sweep(con, "cosine_test", "test", {setting: ablation.COSINE[setting]})
        ranking = [f"{value:.4f}" for value in ablation.ranking(con, "cosine_test")]
    scores = [f"{value:.4f}" for value in found["+ both"][setting, float(tau)]]
    assert scores == [pairwise[-1], bcubed[-1]], "run: python experiments/ablation.py --write"
    assert ranking == chosen[2:4]

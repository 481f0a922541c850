"""The notebook, the report and the page of results show what the extension does today."""

import re
import sys
from types import SimpleNamespace

import doubt
import fill
import methods
import nbformat
import onnx
import pytest
import report
import results
from conftest import ROOT
from PIL import Image
from run_sql import connect, run
from test_docs import python_of_embeddings


@pytest.mark.parametrize("page", fill.notebooks(), ids=lambda page: page.name)
def test_notebook_shows_what_its_cells_give(page):
    fresh = fill.executed(page)
    assert fill.texts(fresh) == fill.texts(nbformat.read(page, as_version=4)), "run: python scripts/docs/fill.py"
    # Every picture is one, and nothing is said on standard error.
    outputs = [output for cell in fresh.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if output.output_type == "display_data"]
    assert len(pictures) >= 7 and all("image/png" in output.data for output in pictures)
    assert all(output.name == "stdout" for output in outputs if output.output_type == "stream")


@pytest.mark.parametrize("name", results.SECTIONS)
def test_results_page_has_the_scores_of_today(name):
    for path in results.files(name):
        if not path.exists():
            pytest.skip(f"needs ../shared/data/{path.name}, which is not here")
    assert f"## {name}\n\n{results.SECTIONS[name](name)}" in results.PAGE.read_text(), "run: python experiments/results.py --write"


def test_the_report_of_the_songs_is_made_as_make_does_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").mkdir()
    (tmp_path / "data").symlink_to(ROOT / "data")
    run(connect(), (ROOT / "sql" / "report.sql").read_text())
    (command,) = re.findall(r"scripts/report.py ((?:.*\\\n)*.*)\n", (ROOT / "Makefile").read_text())
    report.main(command.replace("\\\n", "").split())
    page = (tmp_path / "build" / "report.html").read_text()
    assert "<dt>clusters</dt><dd>2,079</dd>" in page and "<dt>BCubed F</dt><dd>0.976</dd>" in page
    assert page.count("<svg") == 6 + 12


def test_results_page_has_the_scores_of_the_other_methods_of_today(monkeypatch):
    name, columns = "LFW at 24 pixels", slice(5, 8)
    if not methods.SETS[name].exists():
        pytest.skip(f"needs ../shared/data/{methods.SETS[name].name}, which is not here")
    monkeypatch.setattr(methods, "TIMES", 1)
    rows = [line.strip("| ").split(" | ") for line in results.PAGE.read_text().splitlines() if line.startswith("|")]
    scores = {row[0]: row[columns] for row in rows if len(row) == 13}
    chosen = {row[1]: row[2:] for row in rows if row[0] == name and len(row) == 4}
    assert scores.keys() - {"method", "---"} == chosen.keys() == set(methods.NAMES.values())
    con = methods.half(name, "test")
    for method, (clusters, call) in chosen.items():
        if "kmeans" in call:  # takes longer than all others
            continue
        found = methods.measure(con, call.strip("`"))
        expected = [clusters, *scores[method]]
        assert [results.cell(value) for value in found[:-1]] == expected, f"{method}: python experiments/methods.py --write"


@pytest.mark.parametrize("name", ["Songs of this repository", "LFW at 24 x 24 pixels, test half"])
def test_results_page_has_the_errors_that_are_found_first_today(name):
    path, _ = results.UNLABELLED[name]
    if not path.exists():
        pytest.skip(f"needs ../shared/data/{path.name}, which is not here")
    assert results.table([""], [doubt.row(name)]).splitlines()[-1] in results.PAGE.read_text(), "python experiments/doubt.py --write"


def test_faces_of_the_page_of_embeddings_are_clustered(monkeypatch, tmp_path):
    """With a model of ArcFace's form that only takes means of pixels."""
    given = onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["N", 3, 112, 112])
    found = onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["N", 12])
    nodes = [
        onnx.helper.make_node("AveragePool", ["pixels"], ["pooled"], kernel_shape=[56, 56], strides=[56, 56]),
        onnx.helper.make_node("Flatten", ["pooled"], ["embedding"]),
    ]
    graph = onnx.helper.make_graph(nodes, "means", [given], [found])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "arcface.onnx")
    (tmp_path / "faces").mkdir()
    for i in range(12):
        color = [(200, 40 + i, 30), (30, 180, 90 + i), (60, 70 + i, 220)][i % 3]
        Image.new("RGB", (90, 120), color).save(tmp_path / "faces" / f"{i:02}.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "density_peaks", SimpleNamespace(connect=connect))
    (block,) = python_of_embeddings("onnxruntime")
    names = {}
    exec(block, names)
    clusters = names["con"].sql("SELECT list(file ORDER BY file) FROM clusters GROUP BY cluster_id").fetchall()
    assert sorted(files for (files,) in clusters) == [[f"faces/{i:02}.jpg" for i in range(j, 12, 3)] for j in range(3)]
    assert names["con"].sql("SELECT typeof(embedding) FROM photos LIMIT 1").fetchall() == [("FLOAT[12]",)]
    names["con"].close()

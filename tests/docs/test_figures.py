"""The notebook, the report and the page of results show what the extension does today."""

import re

import doubt
import fill
import methods
import nbformat
import pytest
import report
import results
from conftest import ROOT
from run_sql import connect, run


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
    (command,) = re.findall(r"scripts/report.py (.*?)\n\n", (ROOT / "Makefile").read_text(), re.DOTALL)
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
    chosen = {row[1]: row[2:] for row in rows if row[0] == name}
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

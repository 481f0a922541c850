"""The pages show what the extension does today."""

import re
import sys
from types import SimpleNamespace

import demo
import duckdb
import fill
import pytest
from conftest import EXTENSION, ROOT
from run_sql import connect


def python_of_embeddings(word):
    """The blocks of docs/embeddings.md with that word."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "embeddings.md").read_text(), re.DOTALL)
    return [block for block in blocks if word in block]


@pytest.mark.parametrize("page", fill.pages(), ids=lambda page: page.name)
def test_results_on_the_page_are_those_of_its_sql(page, monkeypatch):
    if page.name == "training.md":
        pytest.importorskip("onnxruntime", reason="needs onnxruntime to run the model that it trains: make optional")
    monkeypatch.chdir(ROOT)
    assert fill.filled(page.read_text()) == page.read_text(), f"run: python scripts/docs/fill.py {page.relative_to(ROOT)}"


def test_python_of_the_readme_clusters_a_database(monkeypatch, tmp_path, capsys):
    """With the extension that is tested in place of the installed package, which has tests of its own."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / EXTENSION.name).symlink_to(EXTENSION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "density_peaks", SimpleNamespace(connect=connect))
    with connect("photos.db") as con:
        con.execute("""
            CREATE TABLE photos AS
            SELECT i || '.jpg' AS file, [i % 3, i % 2, i / 100 + 1]::FLOAT[3] AS embedding FROM range(30) t(i)""")
    for block in blocks:
        names = {}
        exec(block, names)
        names["con"].close()
    assert "cluster_id" in capsys.readouterr().out


def test_numpy_of_the_page_of_embeddings_becomes_an_array(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(python_of_embeddings("import numpy")[0], names)
    con, vectors = names["con"], names["vectors"]
    con.executemany("INSERT INTO points VALUES (?, ?)", [[1000, vectors[0]]])
    stored = con.sql("SELECT id, embedding, typeof(embedding) FROM points WHERE id IN (7, 1000) ORDER BY id").fetchall()
    con.close()
    assert stored == [(7, tuple(vectors[7].tolist()), "FLOAT[64]"), (1000, tuple(vectors[0].tolist()), "FLOAT[64]")]


def test_calls_that_do_not_fit_get_what_the_page_says():
    page = (ROOT / "docs" / "install.md").read_text()
    rows = re.findall(r"^\| `([^`]*cluster_embeddings.*?)` \| `(.*?)` \|", page, re.MULTILINE)
    assert len(rows) == 5
    with connect() as con:
        con.execute("CREATE TABLE photos AS SELECT i AS file, [i, 1]::FLOAT[2] AS embedding FROM range(1, 9) t(i)")
        for call, said in rows:
            with pytest.raises(duckdb.Error) as refused:
                con.execute(call if call.startswith("SELECT") else f"FROM {call}")
            assert said in str(refused.value), call


def test_every_function_has_a_page_that_names_its_parameters():
    functions = connect().sql("""
        SELECT function_name, max(parameters) FROM duckdb_functions()
        WHERE list_contains(categories, 'density_peaks') GROUP BY ALL""").fetchall()
    assert len(functions) == 27
    for name, parameters in functions:
        page = (ROOT / "docs" / "functions" / f"{name}.md").read_text()
        for parameter in parameters:
            assert re.search(rf"^\| `{parameter}` \|", page, re.MULTILINE), f"{name}.md does not explain {parameter}"


def test_the_demo_gives_the_figures_of_the_readme(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    demo.demo(connect())
    printed = capsys.readouterr().out
    assert re.search(r"│ +2084 │ +0\.954 │ +0\.979 │", printed)

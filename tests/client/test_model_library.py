"""Where a model's file and the library that runs it come from."""

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import onnxruntime
import pytest
from conftest import CONFIG, EXTENSION
from onnx_models import calibrated_model, cosine_model

DIM, K = 16, 6
CALL = "transition_matrix('g', source := 'faces', model := '{}')"


@pytest.fixture
def con(graph):
    return graph


def test_a_file_is_read_by_duckdb_and_its_settings_hold(con, save, tmp_path):
    path = save(cosine_model(DIM))
    missing = str(tmp_path / "none.onnx")
    with pytest.raises(duckdb.IOException, match="transition_matrix: the model '.*none.onnx' cannot be read: Cannot open"):
        con.sql(f"FROM {CALL.format(missing)}")
    con.execute(f"SET allowed_paths = ['{path}']")
    con.execute("SET enable_external_access = false")
    assert len(con.sql(f"FROM {CALL.format(path)}").fetchall()) == 200 * (K + 1)
    other = save(cosine_model(DIM), "other.onnx")
    with pytest.raises(duckdb.PermissionException, match="transition_matrix: the model '.*other.onnx' cannot be read"):
        con.sql(f"FROM {CALL.format(other)}")


SET_LIBRARY = "SET density_peaks_onnxruntime = 'libonnxruntime.so'"
FORBIDS = [
    ("SET enable_external_access = false", "enable_external_access = false"),
    ("SET allow_unsigned_extensions = false", "allow_unsigned_extensions = false"),
    ("SET disabled_filesystems = 'LocalFileSystem'", "File system LocalFileSystem has been disabled by configuration"),
]


@pytest.mark.parametrize("setting,reason", FORBIDS)
def test_a_library_takes_what_an_unsigned_extension_takes(con, setting, reason):
    con.execute(setting)
    error = re.escape(f"density_peaks_onnxruntime cannot be used ({reason}): it names a library, which is code")
    with pytest.raises(duckdb.PermissionException, match=error):
        con.execute(SET_LIBRARY)
    con.execute("RESET density_peaks_onnxruntime")


@pytest.mark.parametrize("setting,reason", FORBIDS[:2])
def test_a_library_set_before_is_not_loaded_either(con, save, setting, reason):
    path = save(cosine_model(DIM))
    con.execute(SET_LIBRARY)
    con.execute(f"SET allowed_paths = ['{path}']")
    con.execute(setting)
    with pytest.raises(duckdb.PermissionException, match=re.escape(reason)):
        con.sql(f"FROM {CALL.format(path)}")
    # What whoever runs the process has installed serves on.
    con.execute("RESET density_peaks_onnxruntime")
    assert len(con.sql(f"FROM {CALL.format(path)}").fetchall()) == 200 * (K + 1)


def in_new_process(code: str, python=(sys.executable,), **environment) -> str:
    """What a program prints that has `con`, faces, a graph and a model's path; and the clusters without a model."""
    program = f"""
import sys; sys.path[:0] = {environment.pop("path", [])!r}
import duckdb
con = duckdb.connect(config={CONFIG!r} | {{"threads": 2}})
con.execute("LOAD '{EXTENSION}'")
con.execute("CREATE TABLE faces AS SELECT range AS id, [sin(range), cos(range), 1, 2]::FLOAT[4] AS embedding FROM range(20)")
def run():
    try:
        return con.sql("SELECT count(*) FROM cluster_embeddings('faces', k := 3, model := '{environment.pop("model")}')").fetchall()[0]
    except duckdb.Error as error:
        return error
{code}
print(con.sql("SELECT count(*) FROM cluster_embeddings('faces', k := 3)").fetchall()[0])
"""
    clean = {name: value for name, value in os.environ.items() if name not in ("ORT_DYLIB_PATH", "PYTHONPATH")}
    done = subprocess.run([*python, "-c", program], capture_output=True, text=True, env=clean | environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def model(save):
    return save(calibrated_model(4))


def library() -> Path:
    return next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.*"))


def test_the_library_is_that_of_the_python_package(model):
    assert in_new_process("print(run(), run())", model=model) == "(20,) (20,)\n(20,)\n"
    assert in_new_process("import onnxruntime; print(run())", model=model) == "(20,)\n(20,)\n"


def test_without_a_library_the_error_says_how_to_get_one(model, tmp_path):
    # A Python that has DuckDB and nothing else.
    site = Path(duckdb.__file__).parent.parent
    for path in [*site.glob("_duckdb*"), *site.glob("duckdb*")]:
        (tmp_path / path.name).symlink_to(path)
    bare = {"python": (sys.executable, "-S"), "path": [str(tmp_path)], "model": model}
    printed = in_new_process("print(run())", **bare)
    assert printed == (
        "Invalid Input Error: cluster_embeddings: a model needs ONNX Runtime, which is not here; install it in the Python "
        "that runs DuckDB (pip install onnxruntime), or name the library with the environment variable "
        "ORT_DYLIB_PATH or SET density_peaks_onnxruntime = '...'\n(20,)\n"
    )
    named = f"print(run()); con.execute(\"SET density_peaks_onnxruntime = '{library()}'\"); print(run())"
    assert in_new_process(named, **bare).endswith("(20,)\n(20,)\n")
    assert in_new_process("print(run())", ORT_DYLIB_PATH=str(library()), **bare) == "(20,)\n(20,)\n"


def test_a_library_that_is_none_is_named(model, tmp_path):
    text = tmp_path / "libonnxruntime.so"
    text.write_text("no library")
    other = next(Path(np.__file__).parent.parent.glob("numpy/_core/_multiarray_umath*"))
    for path, reason in [
        (tmp_path / "none.so", "no such file"),
        (text, "invalid ELF|file too short|not a mach-o"),
        (other, "another library"),
    ]:
        printed = in_new_process(
            f"con.execute(\"SET density_peaks_onnxruntime = '{path}'\"); print(run())\n"
            "con.execute('RESET density_peaks_onnxruntime'); print(run())",
            model=model,
        )
        first, *rest = printed.splitlines()
        start = f"Invalid Input Error: cluster_embeddings: ONNX Runtime cannot be loaded from {path} ("
        assert first.startswith(start) and re.search(reason, first, re.IGNORECASE), first
        assert first.endswith("; version 1.17 or later is needed") and rest == ["(20,)", "(20,)"]


def test_a_process_keeps_its_library(model, tmp_path):
    printed = in_new_process(
        f"print(run()); con.execute(\"SET density_peaks_onnxruntime = '{tmp_path}/other.so'\"); print(run())", model=model
    )
    error = f"ONNX Runtime was loaded from {library()} before; to use {tmp_path}/other.so, start a new process"
    assert printed.splitlines() == ["(20,)", f"Invalid Input Error: cluster_embeddings: {error}", "(20,)"]


def test_a_model_that_is_no_regular_file_is_refused(con, tmp_path):
    fifo = tmp_path / "model.onnx"
    os.mkfifo(fifo)
    with pytest.raises(duckdb.InvalidInputException, match=f"the model '{fifo}' cannot be read: it is no regular file"):
        con.sql(f"FROM {CALL.format(fifo)}")

"""The versions of DuckDB that the extension knows: it loads into them, and refuses others by a sentence."""

import subprocess
import sys

import api_table
import duckdb
import package
import pytest
from conftest import EXTENSION

KNOWN = package.known_versions()
# A load that goes wrong may end the process, so it is done in one of its own.
LOAD = """
import sys, duckdb
con = duckdb.connect(config={"allow_unsigned_extensions": True, "allow_extensions_metadata_mismatch": True})
try:
    con.execute(f"LOAD '{sys.argv[1]}'")
except duckdb.Error as error:
    print(error)
print("and then", con.execute("SELECT 42").fetchone()[0])
"""


def load(folder, version: str) -> str:
    """What DuckDB says to this extension with the footer of a version, whatever its own is, and after that."""
    library = EXTENSION.read_bytes()[: -len(package.footer("", "", ""))]
    extension = folder / package.NAME
    extension.write_bytes(library + package.footer(version, package.own_platform(), package.own_version()))
    done = subprocess.run([sys.executable, "-c", LOAD, extension], capture_output=True, text=True)
    assert done.returncode == 0, done
    return done.stdout


def test_the_version_that_runs_is_a_known_one_and_loads(tmp_path):
    assert duckdb.__version__ in KNOWN
    assert load(tmp_path, duckdb.__version__) == "and then 42\n"


@pytest.mark.parametrize("version", [version for version in KNOWN if version != duckdb.__version__])
def test_file_of_another_known_version_is_refused_though_a_mismatch_is_allowed(tmp_path, version):
    said = load(tmp_path, version)
    assert "this file is for another version of DuckDB" in said and said.endswith("and then 42\n")
    assert all(known in said for known in KNOWN)


def test_file_of_an_unknown_version_is_refused_with_the_known_ones(tmp_path):
    said = load(tmp_path, "2.99.0")
    assert "'2.99.0', whose C API it does not know" in said and said.endswith("and then 42\n")
    assert all(known in said for known in KNOWN)


def test_known_versions_say_where_the_functions_are_in_the_table_of_this_duckdb():
    import _duckdb

    version, table = api_table.table_of(_duckdb.__file__)
    lines = (package.ROOT / "src" / "duckdb" / "known_versions.txt").read_text().splitlines()
    assert f"{version} {api_table.preceding(table, api_table.table_of_crate())}" in lines


def test_a_table_with_other_functions_between_is_not_taken():
    crate = ["b", "c", "d"]
    assert api_table.preceding(["a", "b", "c", "d", "e"], crate) == 1
    assert api_table.preceding(["a", "b", "x", "c", "d"], crate) is None
    assert api_table.preceding(["b", "c"], crate) is None
    assert api_table.preceding(["a"], crate) is None

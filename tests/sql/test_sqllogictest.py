"""Runs every sqllogictest file of tests/sql, one pytest test each."""

import pytest
from sqllogictest import ROOT, Skipped, SqlLogicError, run_file

FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "sql").glob("**/*.test"))


@pytest.mark.parametrize("path", FILES)
def test_sql(path, tmp_path, monkeypatch):
    # DuckDB's runner starts in the root of the repository, so the files' relative paths do too.
    monkeypatch.chdir(ROOT)
    failure = None
    try:
        run_file(path, tmp_path)
    except Skipped as reason:
        pytest.skip(str(reason))
    except SqlLogicError as error:
        failure = str(error)
    # Outside the handler, or pytest prints the failure twice.
    if failure:
        pytest.fail(failure, pytrace=False)

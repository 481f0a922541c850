"""scripts/package.py: a file for each known version of DuckDB, none for others."""

import subprocess
import sys

import package
from conftest import ROOT

KNOWN = package.known_versions()


def run(tmp_path, *options):
    library = tmp_path / "library.so"
    library.write_bytes(b"machine code")
    command = [sys.executable, ROOT / "scripts" / "package.py", library, tmp_path / "build", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    return done, {str(path.relative_to(tmp_path / "build")) for path in tmp_path.glob("build/**/*.*_*")}


def test_each_known_version_gets_a_file(tmp_path):
    platform = package.own_platform()
    done, files = run(tmp_path)
    assert done.returncode == 0
    assert files == {package.NAME, *(f"v{version}/{platform}/{package.NAME}" for version in KNOWN)}
    for version in KNOWN:
        content = (tmp_path / "build" / f"v{version}" / platform / package.NAME).read_bytes()
        assert content == b"machine code" + package.footer(version, platform, package.own_version())
    newest = tmp_path / "build" / f"v{KNOWN[-1]}" / platform / package.NAME
    assert (tmp_path / "build" / package.NAME).read_bytes() == newest.read_bytes()


def test_a_file_of_another_platform_is_not_the_one_for_this_machine(tmp_path):
    other = next(platform for platform in package.PLATFORMS if platform != package.own_platform())
    done, files = run(tmp_path, "--duckdb", KNOWN[0], "--platform", other)
    assert done.returncode == 0 and files == {f"v{KNOWN[0]}/{other}/{package.NAME}"}


def test_an_unknown_version_is_refused_with_the_known_ones_and_nothing_is_written(tmp_path):
    done, files = run(tmp_path, "--duckdb", KNOWN[0], "2.99.0")
    assert done.returncode == 2 and not files
    assert f"DuckDB 2.99.0 is not known, only {', '.join(KNOWN)}" in done.stderr


def test_the_other_tests_run_on_the_newest_known_version():
    assert f"duckdb=={KNOWN[-1]}\n" in (ROOT / "requirements.txt").read_text()


def test_the_description_for_community_extensions_names_this_version():
    assert f"\n  version: {package.own_version()}\n" in (ROOT / "description.yml").read_text()

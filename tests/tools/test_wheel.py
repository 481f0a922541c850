"""The Python package, as `pip install` of the wheel puts it there: it loads without any setting."""

import base64
import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile

import duckdb
import package
import pytest
import wheel
from conftest import EXTENSION, ROOT

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl, which is not here")
POINTS = "SELECT range AS id, [range % 7, range % 5, 1]::FLOAT[3] AS embedding FROM range(100)"
CLUSTER = "SELECT count(*) FROM cluster_embeddings('points', k := 5, sigma := 0.1, tau := 0.7)"


def script(name, *arguments):
    command = [sys.executable, ROOT / "scripts" / f"{name}.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel with the extension for this DuckDB alone."""
    folder = tmp_path_factory.mktemp("wheel")
    build = folder / "build" / f"v{duckdb.__version__}" / package.own_platform()
    build.mkdir(parents=True)
    shutil.copy(EXTENSION, build / package.NAME)
    assert script("repository", folder / "build", folder / "repository", "--throw-away-key").returncode == 0
    assert script("wheel", folder / "repository", folder / "dist").returncode == 0
    (found,) = (folder / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def site(built):
    """A folder with the wheel installed."""
    target = built.parent / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", target, built]
    subprocess.run([*pip, "--disable-pip-version-check"], check=True)
    return target


def python(site, home, code):
    """What code prints that runs with the package, and with a home directory of its own."""
    home.mkdir(exist_ok=True)
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": path}
    code = f"import duckdb, density_peaks\nPOINTS, CLUSTER = {POINTS!r}, {CLUSTER!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=home, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_default_connection_clusters_a_dataframe_without_any_setting(site, tmp_path):
    pytest.importorskip("pandas", reason="needs pandas for a DataFrame: make optional")
    printed = python(site, tmp_path / "home", """
density_peaks.load()
points = duckdb.sql(POINTS).df()
print(duckdb.sql(CLUSTER).fetchall())
print(density_peaks.versions(), density_peaks.__version__)
density_peaks.load()
""")
    assert printed == ["[(100,)]", f"['{duckdb.__version__}'] {package.own_version()}"]
    written = {path.name for path in (tmp_path / "home").rglob("*") if path.is_file()}
    assert {package.NAME, f"{package.NAME}.info"} < written
    assert len(written) == 3 and sum(name.endswith(".repo.json") for name in written) == 1


def test_a_connection_keeps_its_settings_and_says_where_the_files_go(site, tmp_path):
    printed = python(site, tmp_path / "home", f"""
con = duckdb.connect(config={{"extension_directory": {str(tmp_path / 'elsewhere')!r}}})
settings = "SELECT name, value FROM duckdb_settings() ORDER BY ALL"
before = con.execute(settings).fetchall()
assert density_peaks.load(con) is con
loaded = {{name for name, _ in con.execute(settings).fetchall()}} - {{name for name, _ in before}}
print([row for row in con.execute(settings).fetchall() if row[0] not in loaded] == before)
points = con.sql(POINTS)
print(con.execute(CLUSTER).fetchall())
""")
    assert printed == ["True", "[(100,)]"]
    assert list((tmp_path / "elsewhere").rglob(package.NAME)) and not list((tmp_path / "home").rglob(package.NAME))


def test_without_a_home_to_write_to_the_folder_is_given_when_the_database_is_opened(site, tmp_path):
    folder = str(tmp_path / "folder")
    first, second, third = python(site, tmp_path / "home", f"""
import os
os.environ["HOME"] = "/proc/no-home"
try:
    density_peaks.load()
except duckdb.IOException as error:
    print(error)
late = duckdb.connect()
late.execute("SET home_directory = {folder!r}")
try:
    density_peaks.load(late)
except duckdb.BinderException as error:
    print(error)
con = density_peaks.connect(config={{"home_directory": {folder!r}}})
points = con.sql(POINTS)
print(con.execute(CLUSTER).fetchall())
""")
    page = (ROOT / "docs" / "install.md").read_text()
    for printed, said in (first, "Failed to create directory"), (second, "DuckDB looks where it said when the database"):
        assert said in printed and said in page
    assert third == "[(100,)]"


def test_connect_takes_what_duckdb_takes(site, tmp_path):
    printed = python(site, tmp_path / "home", """
with density_peaks.connect("points.db", config={"threads": 1}) as con:
    con.execute(f"CREATE TABLE points AS {POINTS}")
with density_peaks.connect(database="points.db", read_only=True) as con:
    print(con.execute(CLUSTER).fetchall())
""")
    assert printed == ["[(100,)]"]


def test_a_package_that_was_moved_still_installs(site, tmp_path):
    home, moved = tmp_path / "home", tmp_path / "moved"
    shutil.copytree(site, moved)
    python(moved, home, "density_peaks.load()")
    moved.rename(tmp_path / "again")
    shutil.rmtree(home / ".duckdb" / "extensions")
    assert python(tmp_path / "again", home, "density_peaks.load()\nprint(42)") == ["42"]


def test_an_unknown_duckdb_is_refused_with_the_known_ones(site, tmp_path):
    (printed,) = python(site, tmp_path / "home", """
duckdb.__version__ = "2.99.0"
try:
    density_peaks.connect()
except ImportError as error:
    print(error)
""")
    assert "2.99.0" in printed and f"pip install duckdb=={duckdb.__version__}" in printed
    assert not list((tmp_path / "home").iterdir())


def test_record_lists_each_file_with_its_hash(built):
    with zipfile.ZipFile(built) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    (record,) = (name for name in files if name.endswith("/RECORD"))
    rows = list(csv.reader(io.StringIO(files[record].decode())))
    assert {name for name, _, _ in rows} == set(files)
    for name, hashed, size in rows:
        if name != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).rstrip(b"=").decode()
            assert (hashed, int(size)) == (f"sha256={digest}", len(files[name]))


def test_wheel_is_for_the_newest_glibc_that_the_library_asks_for():
    library = b"\0GLIBC_2.3.4\0GLIBC_2.28\0GLIBC_2.9\0GLIBC_PRIVATE\0"
    assert wheel.tag(library, "linux_amd64") == "manylinux_2_28_x86_64"
    assert wheel.tag(b"\0GLIBC_2.2.5\0", "linux_arm64") == "manylinux_2_17_aarch64"
    assert wheel.tag(library, "osx_arm64") == "macosx_11_0_arm64"


def test_a_repository_without_a_signature_makes_no_wheel(tmp_path):
    done = script("wheel", tmp_path, tmp_path / "dist")
    assert done.returncode and "not signed" in done.stderr and not (tmp_path / "dist").exists()

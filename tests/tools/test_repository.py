"""scripts/repository.py: DuckDB installs from the folder, and from a server of it, what the key has signed."""

import functools
import gzip
import http.server
import re
import shutil
import subprocess
import sys
import threading

import duckdb
import package
import pytest
import repository
from conftest import EXTENSION, ROOT

PATH = f"v{duckdb.__version__}/{package.own_platform()}"
ALLOW = "SET allow_extension_repositories = 'allowed'"
REPOSITORY = "CREATE EXTENSION REPOSITORY dp WITH PREFIX '{signed}'"
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl, which is not here")


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A folder as `make release` leaves it, with the extension for this DuckDB alone."""
    folder = tmp_path_factory.mktemp("build")
    (folder / PATH).mkdir(parents=True)
    shutil.copy(EXTENSION, folder / PATH / package.NAME)
    return folder


def made(build, folder, *options):
    command = [sys.executable, ROOT / "scripts" / "repository.py", build, folder, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    return folder if done.returncode == 0 else done.stderr


@pytest.fixture(scope="module")
def unsigned(build, tmp_path_factory):
    return made(build, tmp_path_factory.mktemp("unsigned"))


@pytest.fixture(scope="module")
def signed(build, tmp_path_factory):
    return made(build, tmp_path_factory.mktemp("signed"), "--throw-away-key")


def connect(home, **config):
    return duckdb.connect(config={"home_directory": str(home), "autoinstall_known_extensions": False, **config})


def version(con):
    return con.execute("SELECT density_peaks_version()").fetchone()[0]


def test_installs_from_the_folder(unsigned, tmp_path):
    with connect(tmp_path, allow_unsigned_extensions=True) as con:
        con.execute(f"INSTALL density_peaks FROM '{unsigned}'")
        con.execute("LOAD density_peaks")
        assert version(con) == package.own_version()
    assert not (unsigned / ".well-known").exists()


def test_installs_from_the_folder_that_a_setting_names_and_looks_there_for_updates(unsigned, tmp_path):
    with connect(tmp_path, allow_unsigned_extensions=True, custom_extension_repository=str(unsigned)) as con:
        con.execute("INSTALL density_peaks")
        con.execute("LOAD density_peaks")
        assert version(con) == package.own_version()
        updated = con.execute("UPDATE EXTENSIONS (density_peaks)").fetchall()
        assert [row[0] for row in updated] == ["density_peaks"] and "NO_UPDATE_AVAILABLE" in updated[0]


def test_installs_from_a_server_of_the_folder(unsigned, tmp_path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=unsigned)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with connect(tmp_path, allow_unsigned_extensions=True) as con:
            con.execute(f"INSTALL density_peaks FROM 'http://127.0.0.1:{server.server_port}'")
            con.execute("LOAD density_peaks")
            assert version(con) == package.own_version()
        server.shutdown()


def create_and_install(con, folder):
    con.execute(ALLOW)
    con.execute(REPOSITORY.format(signed=folder))
    con.execute("INSTALL density_peaks FROM dp")


@needs_openssl
def test_signed_repository_needs_no_unsigned_extensions(signed, tmp_path):
    with connect(tmp_path) as con:
        create_and_install(con, signed)
        con.execute("LOAD density_peaks FROM dp")
        assert version(con) == package.own_version()


@needs_openssl
def test_a_file_that_was_changed_after_it_was_signed_is_not_installed(signed, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(signed, folder)
    file = folder / PATH / f"{package.NAME}.gz"
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[len(content) // 2] ^= 1
    file.write_bytes(gzip.compress(content))
    with connect(tmp_path / "home") as con, pytest.raises(duckdb.IOException, match="valid signature"):
        create_and_install(con, folder)


@needs_openssl
def test_a_given_key_signs_and_one_of_another_size_is_refused(build, tmp_path):
    for bits in (2048, 3072):
        size = f"rsa_keygen_bits:{bits}"
        repository.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", size, "-out", tmp_path / f"{bits}")
    with connect(tmp_path) as con:
        create_and_install(con, made(build, tmp_path / "r", "--signing-key", tmp_path / "2048"))
    assert "no RSA key of 2048 bits" in made(build, tmp_path / "s", "--signing-key", tmp_path / "3072")
    assert "No such file" in made(build, tmp_path / "t", "--signing-key", tmp_path / "none")


# What DuckDB says where something is not set or does not fit, by what leads to it; and where 2.0.0 says it otherwise.
SAID = [
    (False, ["LOAD '{file}'"], "its signature is either missing or invalid and unsigned extensions are disabled"),
    (False, ["INSTALL density_peaks FROM '{unsigned}'"], "an extension file that doesn't have a valid signature"),
    (False, ["SET allow_unsigned_extensions = true"], "Cannot change allow_unsigned_extensions setting while"),
    (
        False,
        [REPOSITORY],
        "Cannot create extension repository 'dp': allow_extension_repositories is 'hosts'",
        "Adding extension repositories is not enabled",
    ),
    (
        False,
        [ALLOW, REPOSITORY, "INSTALL density_peaks FROM dp", "LOAD density_peaks"],
        "extension 'density_peaks' exists in one or more user-provided repositories",
        "density_peaks.duckdb_extension\" not found",
    ),
    (True, ["LOAD '{other_version}'"], "The file was built specifically for DuckDB version"),
    (True, ["LOAD '{other_platform}'"], "The file was built for the platform"),
    (True, ["LOAD '{renamed}'"], "did not contain function"),
]


@needs_openssl
@pytest.mark.parametrize("unsigned_allowed, statements, said", [(row[0], row[1], row[2:]) for row in SAID])
def test_the_page_quotes_what_duckdb_says(unsigned_allowed, statements, said, unsigned, signed, tmp_path):
    said = said[-1] if duckdb.__version__ == "2.0.0" else said[0]
    library = EXTENSION.read_bytes()[: -len(package.footer("", "", ""))]
    own = package.own_platform()
    footers = {
        "other_version": package.footer("2.99.0", own, package.own_version()),
        "other_platform": package.footer(duckdb.__version__, f"{own}_other", package.own_version()),
        "renamed": package.footer(duckdb.__version__, own, package.own_version()),
    }
    paths = {"file": EXTENSION, "unsigned": unsigned, "signed": signed}
    for name, footer in footers.items():
        paths[name] = tmp_path / name / ("dp.duckdb_extension" if name == "renamed" else package.NAME)
        package.write(paths[name], library + footer)
    home = tmp_path / "home"
    home.mkdir()
    with connect(home, allow_unsigned_extensions=unsigned_allowed) as con:
        *before, last = [statement.format(**paths) for statement in statements]
        for statement in before:
            con.execute(statement)
        with pytest.raises(duckdb.Error, match=re.escape(said)):
            con.execute(last)
    assert said in (ROOT / "docs" / "install.md").read_text()


def test_a_folder_without_extensions_says_what_makes_them(tmp_path):
    assert "make release" in made(tmp_path, tmp_path / "repository")


def test_the_same_extension_gives_the_same_file(build, unsigned, tmp_path):
    again = made(build, tmp_path / "again")
    assert (again / PATH / f"{package.NAME}.gz").read_bytes() == (unsigned / PATH / f"{package.NAME}.gz").read_bytes()

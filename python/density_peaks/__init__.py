"""Density peak clustering of stored embeddings, in DuckDB.

    import duckdb, density_peaks

    density_peaks.load()
    duckdb.sql("FROM cluster_embeddings('faces')")
"""

import hashlib
from importlib.metadata import version
from pathlib import Path

import duckdb

__version__ = version("density_peaks")
__all__ = ["connect", "load", "versions"]

# A folder that DuckDB installs from, signed: v2.0.1/linux_amd64/density_peaks.duckdb_extension.gz for each version.
_REPOSITORY = Path(__file__).with_name("repository")
# Where DuckDB keeps what it installs, if a connection says another place than its home directory.
_PLACES = ("home_directory", "extension_directory", "extension_directories", "extension_repository_directory")


def versions() -> list[str]:
    """The versions of DuckDB that this package has the extension for, the newest last."""
    found = (folder.name.removeprefix("v") for folder in _REPOSITORY.glob("v*"))
    return sorted(found, key=lambda text: [int(part) for part in text.split(".")])


def load(con: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyConnection:
    """Load the extension into the database of a connection, by default that of `duckdb.sql`. Gives the connection.

    The first time, DuckDB installs the file of this package among its extensions, and notes the key that signed it.
    """
    repository = _repository_name()
    con = duckdb.default_connection() if con is None else con
    _install(repository, con)
    try:
        con.execute(f"LOAD density_peaks FROM {repository}")
    except duckdb.BinderException as error:
        # The database keeps the place of its repositories from its start.
        raise duckdb.BinderException(
            "density_peaks is installed where the connection's home_directory says, and DuckDB looks where it said when "
            'the database was opened: duckdb.connect(config={"home_directory": "/a/folder/to/write"})'
        ) from error
    return con


def connect(database: str = ":memory:", **options) -> duckdb.DuckDBPyConnection:
    """`duckdb.connect` with the same arguments, and the extension loaded."""
    con = duckdb.connect(database, **options)
    try:
        return load(con)
    except BaseException:
        con.close()
        raise


def _repository_name() -> str:
    """A name for the repository that no other build of the extension shares."""
    found = next(_REPOSITORY.glob(f"v{duckdb.__version__}/*/*.gz"), None)
    if found is None:
        raise ImportError(
            f"density_peaks {__version__} is for DuckDB {' and '.join(versions())}, and this is DuckDB "
            f"{duckdb.__version__}: pip install duckdb=={versions()[-1]}, or a release of density-peaks that knows it"
        )
    return f"density_peaks_{hashlib.sha256(found.read_bytes()).hexdigest()[:8]}"


def _install(repository: str, con: duckdb.DuckDBPyConnection) -> None:
    """Install from the repository, in a database of its own, so that the connection's settings stay as they are."""
    names = ", ".join(f"current_setting('{name}')" for name in _PLACES)
    places = dict(zip(_PLACES, con.execute(f"SELECT {names}").fetchone()))
    config = {name: str(place) for name, place in places.items() if place}
    with duckdb.connect(config={**config, "allow_extension_repositories": "allowed"}) as own:
        prefix = str(_REPOSITORY).replace("'", "''")
        own.execute(f"CREATE EXTENSION REPOSITORY IF NOT EXISTS {repository} WITH PREFIX '{prefix}'")
        try:
            own.execute(f"INSTALL density_peaks FROM {repository}")
        except duckdb.IOException:
            # The package was somewhere else when the repository was noted.
            own.execute(f"CREATE OR REPLACE EXTENSION REPOSITORY {repository} WITH PREFIX '{prefix}'")
            own.execute(f"INSTALL density_peaks FROM {repository}")

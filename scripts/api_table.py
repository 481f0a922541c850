"""Print the table of functions that a DuckDB library hands to extensions: api_table.py [LIBRARY]

Below it the line for src/duckdb/known_versions.txt, or what stands in the way. Without LIBRARY it is that of the
package `duckdb`. Needs a C compiler, cargo, and a library that exports the names of its functions, as DuckDB's do.
"""

import ctypes
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from package import ROOT, footer, own_platform


def table_of(library: str) -> tuple[str, list[str]]:
    """The version of a DuckDB library, and the names of the functions in its table."""
    duckdb = ctypes.CDLL(library)
    duckdb.duckdb_library_version.restype = ctypes.c_char_p
    version = duckdb.duckdb_library_version().decode().removeprefix("v")
    with tempfile.TemporaryDirectory() as folder:
        extension = Path(folder) / "api_table.duckdb_extension"
        source = ROOT / "scripts" / "api_table.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", extension, source, "-ldl"], check=True)
        extension.write_bytes(extension.read_bytes() + footer(version, own_platform(), "0"))
        load(duckdb, extension)
        names = (ctypes.c_char_p * 8192).in_dll(ctypes.CDLL(str(extension)), "api_table")
        return version, [name.decode() for name in names if name]


def load(duckdb: ctypes.CDLL, extension: Path) -> None:
    """Load an extension through the C API of a DuckDB library."""
    config, database, connection = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    error = ctypes.c_char_p()
    duckdb.duckdb_create_config(ctypes.byref(config))
    duckdb.duckdb_set_config(config, b"allow_unsigned_extensions", b"true")
    if duckdb.duckdb_open_ext(None, ctypes.byref(database), config, ctypes.byref(error)):
        sys.exit(error.value.decode())
    duckdb.duckdb_connect(database, ctypes.byref(connection))
    if duckdb.duckdb_query(connection, f"LOAD '{extension}'".encode(), None):
        sys.exit(f"DuckDB did not load {extension}")
    duckdb.duckdb_disconnect(ctypes.byref(connection))
    duckdb.duckdb_close(ctypes.byref(database))


def table_of_crate() -> list[str]:
    """The names of the functions that the crate `duckdb-neo` reads from the table, in order."""
    metadata = ["cargo", "metadata", "--format-version", "1", "--locked", "--manifest-path", ROOT / "Cargo.toml"]
    packages = json.loads(subprocess.run(metadata, check=True, capture_output=True).stdout)["packages"]
    manifest = next(package["manifest_path"] for package in packages if package["name"] == "libduckdb-sys")
    bindings = Path(manifest).with_name("src") / "bindgen_bundled_version_loadable_v2.rs"
    table = re.search(r"^pub struct duckdb_ext_api_v2 \{(.*?)^\}", bindings.read_text(), re.MULTILINE | re.DOTALL)
    return re.findall(r"^    pub (\w+):", table.group(1), re.MULTILINE)


def preceding(table: list[str], crate: list[str]) -> int | None:
    """How many functions of a table precede those of the crate, if they are one part of it."""
    start = table.index(crate[0]) if crate[0] in table else 0
    return start if table[start : start + len(crate)] == crate else None


def main(library: str | None = None) -> None:
    if library is None:
        import _duckdb

        library = _duckdb.__file__
    version, table = table_of(library)
    crate = table_of_crate()
    print("\n".join(table))
    print(f"\nDuckDB {version} has {len(table)} functions, duckdb-neo knows {len(crate)}.")
    before = preceding(table, crate)
    if before is None:
        missing = [name for name in crate if name not in table]
        sys.exit(f"They are not one part of the table. Missing: {', '.join(missing) or 'none, the order differs'}")
    print(f"They are one part of the table. The line for src/duckdb/known_versions.txt:\n{version} {before}")


if __name__ == "__main__":
    main(*sys.argv[1:])

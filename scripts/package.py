"""Append DuckDB's metadata footer to the compiled library: package.py LIBRARY FOLDER [--duckdb VERSION ...]

One library serves each version of DuckDB that src/duckdb/known_versions.txt lists, and each gets a file of its own:
FOLDER/v2.0.1/linux_amd64/density_peaks.duckdb_extension. That of the last version, for this machine, is also
FOLDER/density_peaks.duckdb_extension. --platform names, in DuckDB's words, what the library was compiled for.

The footer is a WebAssembly custom section header, eight fields of 32 bytes, last field first, and room for a signature
of 256 bytes.
"""

import argparse
import platform
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ABI = "C_STRUCT_UNSTABLE"  # DuckDB loads it only where the version is exactly this one
SECTION = b"\x00\x93\x04\x10duckdb_signature\x80\x04"
NAME = "density_peaks.duckdb_extension"
PLATFORMS = ("linux_amd64", "linux_arm64", "osx_amd64", "osx_arm64", "windows_amd64")


def known_versions() -> list[str]:
    """The versions of DuckDB that the extension can serve, the newest last."""
    lines = (ROOT / "src" / "duckdb" / "known_versions.txt").read_text().splitlines()
    return [line.split()[0] for line in lines]


def own_version() -> str:
    manifest = (ROOT / "Cargo.toml").read_text()
    return re.search(r'^version = "(.+)"$', manifest, re.MULTILINE).group(1)


def own_platform() -> str:
    system = {"Linux": "linux", "Darwin": "osx", "Windows": "windows"}[platform.system()]
    machine = platform.machine().lower()
    return f"{system}_{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


def footer(duckdb_version: str, duckdb_platform: str, extension_version: str) -> bytes:
    fields = ["", "", "", ABI, f"v{extension_version}", f"v{duckdb_version}", duckdb_platform, "4"]
    return SECTION + b"".join(field.encode().ljust(32, b"\0") for field in fields) + bytes(256)


def write(extension: Path, content: bytes) -> None:
    extension.parent.mkdir(parents=True, exist_ok=True)
    # A process that has loaded the old file keeps it: replace the name, not the content.
    fresh = extension.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(extension)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--duckdb", nargs="+", default=known_versions(), metavar="VERSION")
    parser.add_argument("--platform", default=own_platform(), choices=PLATFORMS)
    given = parser.parse_args()
    for version in given.duckdb:
        if version not in known_versions():
            parser.error(
                f"DuckDB {version} is not known, only {', '.join(known_versions())}. Its C API may differ, and the "
                "extension would not load: docs/duckdb_versions.md says how to add a version"
            )
    library = given.library.read_bytes()
    for version in given.duckdb:
        content = library + footer(version, given.platform, own_version())
        write(given.folder / f"v{version}" / given.platform / NAME, content)
    if given.platform == own_platform():
        write(given.folder / NAME, content)


if __name__ == "__main__":
    main()

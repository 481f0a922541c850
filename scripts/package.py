"""Append DuckDB's metadata footer to the compiled library: package.py LIBRARY EXTENSION_FILE

The footer is a WebAssembly custom section header, eight fields of 32 bytes, last field first, and
room for a signature of 256 bytes.
"""

import platform
import re
import sys
from pathlib import Path

DUCKDB_VERSION = "v2.0.0"
ABI = "C_STRUCT_UNSTABLE"  # built against exactly this version
SECTION = b"\x00\x93\x04\x10duckdb_signature\x80\x04"


def duckdb_platform() -> str:
    system = {"Linux": "linux", "Darwin": "osx", "Windows": "windows"}[platform.system()]
    machine = platform.machine().lower()
    return f"{system}_{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


def footer(extension_version: str) -> bytes:
    fields = ["", "", "", ABI, extension_version, DUCKDB_VERSION, duckdb_platform(), "4"]
    return SECTION + b"".join(field.encode().ljust(32, b"\0") for field in fields) + bytes(256)


def main(library: str, extension: str) -> None:
    manifest = (Path(__file__).parent.parent / "Cargo.toml").read_text()
    version = re.search(r'^version = "(.+)"$', manifest, re.MULTILINE).group(1)
    target = Path(extension)
    target.parent.mkdir(parents=True, exist_ok=True)
    # A process that has loaded the old file keeps it: replace the name, not the content.
    fresh = target.with_suffix(".new")
    fresh.write_bytes(Path(library).read_bytes() + footer(f"v{version}"))
    fresh.replace(target)


if __name__ == "__main__":
    main(*sys.argv[1:])

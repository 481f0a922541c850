"""Make a repository of the packaged extensions, for DuckDB's INSTALL: repository.py BUILD FOLDER [--signing-key PEM]

Each BUILD/v2.0.1/linux_amd64/density_peaks.duckdb_extension goes into FOLDER under the same path, compressed. With a
key, RSA of 2048 bits, they are signed, and FOLDER/.well-known/duckdb-extension-repo.json has its public half, for
CREATE EXTENSION REPOSITORY. --throw-away-key makes a key for this repository alone. Signing needs openssl.
"""

import argparse
import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from package import NAME, write

CHUNK = 1 << 20
SIGNATURE = 256


def openssl(*arguments, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True)
    if done.returncode:
        sys.exit(f"openssl {arguments[0]}: {done.stderr.decode().strip()}")
    return done.stdout


def signed(extension: bytes, key: Path) -> bytes:
    """The extension with its signature: of the hash of the hashes of its chunks, all but the signature's own bytes."""
    content = extension[:-SIGNATURE]
    hashes = (hashlib.sha256(content[start : start + CHUNK]).digest() for start in range(0, len(content), CHUNK))
    signature = openssl("dgst", "-sha256", "-sign", key, stdin=b"".join(hashes))
    if len(signature) != SIGNATURE:
        sys.exit(f"{key} is no RSA key of 2048 bits, which DuckDB asks for")
    return content + signature


def make(build: Path, folder: Path, key: Path | None) -> None:
    extensions = sorted(build.glob(f"v*/*/{NAME}"))
    if not extensions:
        sys.exit(f"{build} has no extension for any version of DuckDB: run `make release`")
    for path in extensions:
        content = path.read_bytes()
        # Without a time, so that the same extension gives the same file.
        compressed = gzip.compress(signed(content, key) if key else content, mtime=0)
        write(folder / path.relative_to(build).with_name(f"{NAME}.gz"), compressed)
    if key:
        public = openssl("pkey", "-in", key, "-pubout").decode()
        said = json.dumps({"version": 1, "signature_keys": [public]}, indent=1)
        write(folder / ".well-known" / "duckdb-extension-repo.json", said.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("folder", type=Path)
    key = parser.add_mutually_exclusive_group()
    key.add_argument("--signing-key", type=Path, metavar="PEM")
    key.add_argument("--throw-away-key", action="store_true")
    given = parser.parse_args()
    if given.throw_away_key:
        with tempfile.TemporaryDirectory() as secret:
            pem = Path(secret) / "key.pem"
            openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", pem)
            make(given.build, given.folder, pem)
    else:
        make(given.build, given.folder, given.signing_key)


if __name__ == "__main__":
    main()

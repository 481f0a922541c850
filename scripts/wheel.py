"""Make a wheel of the Python package for each platform of a signed repository: wheel.py REPOSITORY FOLDER

The wheel is the package python/density_peaks with the repository's files for the platform, and metadata.
"""

import base64
import gzip
import hashlib
import re
import sys
import zipfile
from pathlib import Path

from package import NAME, ROOT, own_version

MACHINES = {"linux_amd64": "x86_64", "linux_arm64": "aarch64"}
# What Rust compiles for, where the file does not say it.
TAGS = {"osx_amd64": "macosx_10_12_x86_64", "osx_arm64": "macosx_11_0_arm64", "windows_amd64": "win_amd64"}
METADATA = """\
Metadata-Version: 2.1
Name: density_peaks
Version: {version}
Summary: {description}
License: MIT
Requires-Python: >=3.11
Requires-Dist: duckdb>=2.0.0,<3
Provides-Extra: onnx
Requires-Dist: onnxruntime>=1.17; extra == "onnx"
Provides-Extra: report
Requires-Dist: Jinja2>=3.1; extra == "report"
Requires-Dist: pillow>=11; extra == "report"
Requires-Dist: vl-convert-python>=1.7; extra == "report"
Provides-Extra: spark
Requires-Dist: pandas>=2.2,<3; extra == "spark"
Requires-Dist: pyarrow>=18; extra == "spark"
Requires-Dist: pyspark>=4.3,<4.4; extra == "spark"
Description-Content-Type: text/markdown

{readme}"""


def tag(extension: bytes, platform: str) -> str:
    """The platform's name in Python's words; on Linux with the newest version of glibc that the library asks for."""
    if platform in TAGS:
        return TAGS[platform]
    newest = max(int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)(?:\.\d+)?\0", extension))
    # Python knows no such name for older ones on these machines.
    return f"manylinux_2_{max(newest, 17)}_{MACHINES[platform]}"


def digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def contents(repository: Path, platform: str) -> dict[str, bytes]:
    """The files of the package for a platform, by their names in the wheel."""
    package = ROOT / "python" / "density_peaks"
    files = {f"density_peaks/{path.name}": path.read_bytes() for path in sorted(package.glob("*.py"))}
    for path in sorted([*repository.glob(".well-known/*.json"), *repository.glob(f"v*/{platform}/{NAME}.gz")]):
        files[f"density_peaks/repository/{path.relative_to(repository).as_posix()}"] = path.read_bytes()
    return files


def write_wheel(repository: Path, folder: Path, platform: str) -> Path:
    files = contents(repository, platform)
    extension = gzip.decompress(next(content for name, content in files.items() if name.endswith(f"{NAME}.gz")))
    version = own_version()
    manifest = (ROOT / "Cargo.toml").read_text()
    description = re.search(r'^description = "(.+)"$', manifest, re.MULTILINE).group(1)
    readme = (ROOT / "python" / "README.md").read_text()
    info = f"density_peaks-{version}.dist-info"
    name = f"py3-none-{tag(extension, platform)}"
    files[f"{info}/METADATA"] = METADATA.format(version=version, description=description, readme=readme).encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: scripts/wheel.py\nRoot-Is-Purelib: false\nTag: {name}\n".encode()
    )
    files[f"{info}/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    record = "".join(f"{path},{digest(content)},{len(content)}\n" for path, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"density_peaks-{version}-{name}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            # With the first time that the format knows, so that the same files give the same wheel.
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
    return wheel


def main(repository: str, folder: str) -> None:
    repository = Path(repository)
    if not (repository / ".well-known" / "duckdb-extension-repo.json").exists():
        sys.exit(f"{repository} is not signed, and DuckDB would not load from it: scripts/repository.py signs it")
    for platform in sorted({path.parent.name for path in repository.glob(f"v*/*/{NAME}.gz")}):
        print(write_wheel(repository, Path(folder), platform))


if __name__ == "__main__":
    main(*sys.argv[1:])

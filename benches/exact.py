"""The exact graph beside faiss IndexFlatIP, by instructions: exact.py [--write]

Generated embeddings of several numbers of points and dimensions, and with a mean cosine; each library with the
instructions of an older and of a newer processor, in turn, each run in a process of its own. Prints the table of
docs/benchmarks.md, or puts it there. It needs benches/requirements.txt, and a processor with AVX-512.
"""

import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from statistics import median

import numpy as np
from generated import embeddings
from peers import HERE, environment, machine, versions, write

K, RUNS, THREADS = 80, 3, 2
# Points, dimensions, mean cosine.
CASES = [(30_000, 128, 0), (30_000, 256, 0), (30_000, 256, 0.9), (30_000, 512, 0), (100_000, 256, 0)]
# Whose processor -> library -> what makes it use these instructions. The OpenBLAS of faiss has to be told its kernels.
KINDS = {
    "AVX2": {
        "exact": {"DENSITY_PEAKS_INSTRUCTIONS": "avx2"},
        "faiss-flat": {"OPENBLAS_CORETYPE": "Haswell", "FAISS_OPT_LEVEL": "AVX2"},
    },
    "AVX-512 VNNI": {
        "exact": {"DENSITY_PEAKS_INSTRUCTIONS": "avx512_vnni"},
        "faiss-flat": {"OPENBLAS_CORETYPE": "SkylakeX"},
    },
}


def seconds(name: str, directory: Path, variables: dict[str, str]) -> float:
    command = [sys.executable, HERE / "contenders.py", name, directory, K, THREADS]
    subprocess.run(list(map(str, command)), env=environment(THREADS) | variables, check=True)
    return json.loads((directory / f"{name}.json").read_text())["seconds"]


def rows() -> list[str]:
    lines = []
    for n, dim, cosine in CASES:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            points = embeddings(n, dim)[0]
            points[:, 0] += np.sqrt(cosine / (1 - cosine))
            np.save(directory / "points.npy", points / np.linalg.norm(points, axis=1, keepdims=True))
            found = {(kind, name): [] for kind, libraries in KINDS.items() for name in libraries}
            for _ in range(RUNS):
                for (kind, name), taken in found.items():
                    taken.append(seconds(name, directory, KINDS[kind][name]))
                    print(n, dim, cosine, kind, name, taken[-1], file=sys.stderr, flush=True)
        cells = [f"{n:,}", str(dim), str(cosine)]
        for kind in KINDS:
            ours, faiss = (median(found[kind, name]) for name in ("exact", "faiss-flat"))
            cells += [f"{ours:.2f}", f"{faiss:.2f}", f"**{faiss / ours:.1f}**"]
        lines.append(" | ".join(cells))
    return lines


def main() -> None:
    head = ["points", "dimensions", "mean cosine"]
    for kind in KINDS:
        head += [f"{kind}, seconds", "faiss, seconds", "times"]
    table = [" | ".join(head), " | ".join(["--:"] * len(head)), *rows()]
    said = f"k = {K}, threads: {THREADS}, medians of {RUNS} in turn. {machine()}. {versions()}."
    said = textwrap.fill(said, 120, break_on_hyphens=False)
    text = "\n".join(["<!-- exact -->", "", *(f"| {line} |" for line in table), "", said, "<!-- end -->"])
    if "--write" in sys.argv[1:]:
        write(text)
    else:
        print(text)


if __name__ == "__main__":
    main()

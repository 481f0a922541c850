"""Compare with other libraries: peers.py N D K RUNS [--only NAME,NAME] [--threads T] [--write]

k-NN graphs and whole clusterings of the same generated embeddings, in turn, each run in a process of its own. Prints
the section of docs/benchmarks.md for this N, D and K, or puts it there. It needs benches/requirements.txt; the
contenders and their names are at the end of contenders.py.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import textwrap
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
from contenders import CLUSTERINGS, CONTENDERS, GRAPHS, connect
from generated import embeddings
from scores import clustering_scores, graph_scores

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
SAMPLED = 2000  # rows whose neighbors are compared where the whole exact graph is not among the contenders
OVERRIDES = re.compile("OPENBLAS|GOTO|OMP|MKL|KMP|NUMBA|NPY|FAISS|NVPL")
FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8")


def environment(threads: int) -> dict[str, str]:
    """This environment, with the number of threads, and without what changes the code that a library picks."""
    kept = {name: value for name, value in os.environ.items() if not OVERRIDES.match(name)}
    pools = ("OMP", "OPENBLAS", "MKL", "NUMBA")
    return kept | {f"{pool}_NUM_THREADS": str(threads) for pool in pools}


def run(name: str, directory: Path, k: int, threads: int) -> dict:
    """One run of a contender in a fresh process."""
    report = directory / f"{name}.json"
    report.unlink(missing_ok=True)
    command = [sys.executable, HERE / "contenders.py", name, directory, k, threads]
    process = subprocess.run(list(map(str, command)), env=environment(threads), capture_output=True, text=True)
    if report.exists():
        return json.loads(report.read_text())
    return {"failed": (process.stderr.strip().splitlines() or [f"exit status {process.returncode}"])[-1]}


def rounds(names: list[str], directory: Path, n: int, k: int, runs: int, threads: int) -> dict[str, dict]:
    """Run all in turn: for each its seconds and peaks in MiB, or why there are none."""
    outcome = {name: {"seconds": [], "peak": []} for name in names}
    for name in names:
        limit = CONTENDERS[name].limit
        if limit is not None and n > limit:
            outcome[name] = {"failed": f"not run: N above {limit:,}"}
    for turn in range(runs):
        for name in names:
            if "failed" in outcome[name]:
                continue
            one = run(name, directory, k, threads)
            if "failed" in one:
                outcome[name] = {"failed": f"failed: {one['failed']}"}
            else:
                outcome[name]["seconds"].append(one["seconds"])
                outcome[name]["peak"].append(one["peak"])
            print(f"run {turn + 1} of {runs}: {name} {one}", file=sys.stderr, flush=True)
    return outcome


def table(contenders: dict, outcome: dict, base: str, scores: dict[str, dict], columns: dict[str, str]) -> list[str]:
    """A Markdown table; `columns` maps each score to its format."""
    head = ["contender", "seconds", "spread", "ratio", "peak MiB", *columns]
    lines = [" | ".join(head), "|".join(["---"] + ["--:"] * (len(head) - 1))]
    for name in filter(outcome.__contains__, contenders):
        cells = [contenders[name].label]
        if "failed" in outcome[name]:
            cells += [outcome[name]["failed"].replace("|", "\\|")] + [""] * (len(head) - 2)
        else:
            seconds = outcome[name]["seconds"]
            ratio = median(seconds) / median(outcome[base]["seconds"]) if outcome.get(base, {}).get("seconds") else None
            cells += [f"{median(seconds):.2f}", f"{min(seconds):.2f} to {max(seconds):.2f}"]
            cells += ["" if ratio is None else f"{ratio:.2f}", f"{max(outcome[name]['peak']):,.0f}"]
            cells += [format(scores[name][column], shape) for column, shape in columns.items()]
        lines.append(" | ".join(cells))
    return [f"| {lines[0]} |", f"|{lines[1]}|", *(f"| {line} |" for line in lines[2:])]


def graphs(outcome: dict, directory: Path, k: int, threads: int) -> list[str]:
    """The table of the k-NN graphs, compared with the exact one, or with a sample of it."""
    done = [name for name in outcome if "failed" not in outcome[name]]
    points, identity = (np.load(directory / f"{name}.npy", mmap_mode="r") for name in ("points", "identity"))
    rows, exact, note = np.arange(len(points)), "exact", ""
    if "exact" not in done:
        exact = "sample"
        rows = np.sort(np.random.default_rng(2).choice(rows, min(SAMPLED, len(rows)), replace=False))
        np.save(directory / "rows.npy", rows)
        sample = run("sample", directory, k, threads)
        if "failed" in sample:
            sys.exit(f"the exact neighbors of a sample: {sample['failed']}")
        note = f"Recall, same identity and mass are those of {len(rows):,} random rows."
    neighbors, distances = (np.load(directory / f"{name}.npy") for name in (exact, "distances"))
    scores = {}
    for name in done:
        found = np.load(directory / f"{name}.npy")
        scores[name] = graph_scores(points, np.asarray(identity), rows, neighbors, distances, found)
    if {"exact", "faiss-flat"} <= set(done):
        whole = scores["faiss-flat"]["whole rows"]
        note = f"The exact graph and faiss IndexFlatIP have the same set of neighbors in {whole:.3%} of the rows."
    columns = {"recall": ".4f", "same identity": ".4f", "mass": ".5f"}
    return [*table(GRAPHS, outcome, "exact", scores, columns), *(["", note] if note else [])]


def clusterings(outcome: dict, directory: Path) -> list[str]:
    """The table of the clusterings, compared with the identities."""
    identity = np.load(directory / "identity.npy")
    scores = {
        name: clustering_scores(np.load(directory / f"{name}.npy"), identity)
        for name in outcome
        if "failed" not in outcome[name]
    }
    columns = {"clusters": ",", "pairwise F": ".4f", "BCubed F": ".4f"}
    return table(CLUSTERINGS, outcome, "clusters", scores, columns)


def machine() -> str:
    """Name of the processor and those of its features that decide which code runs."""
    info = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines())
    cpu = {name.strip(): value.strip() for name, value in info.items()}
    features = ", ".join(flag for flag in FLAGS if flag in cpu["flags"].split())
    return f"{cpu['model name']} (family {cpu['cpu family']}, model {cpu['model']}; {features})"


def versions() -> str:
    ours = connect().sql("SELECT density_peaks_version()").fetchall()[0][0]
    required = re.findall(r"^([\w-]+)==", (HERE / "requirements.txt").read_text(), re.MULTILINE)
    return ", ".join([f"density_peaks {ours}", *(f"{name} {version(name)}" for name in required)])


def section(n: int, dim: int, k: int, runs: int, names: list[str], threads: int) -> str:
    """Run everything and describe it in Markdown."""
    setting = f"{date.today()}, {machine()}, threads: {threads}, runs: {runs}"
    software = f"Python {platform.python_version()}, {versions()}"
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        points, identity = embeddings(n, dim)
        np.save(directory / "points.npy", points)
        np.save(directory / "identity.npy", identity)
        identities = len(np.unique(identity))
        del points
        outcome = rounds(names, directory, n, k, runs, threads)
        parts = []
        if of_graphs := {name: outcome[name] for name in outcome if name in GRAPHS}:
            parts += ["", "### k-NN graph", "", *graphs(of_graphs, directory, k, threads)]
        if of_clusterings := {name: outcome[name] for name in outcome if name in CLUSTERINGS}:
            parts += ["", "### Clusters", "", *clusterings(of_clusterings, directory)]
    arguments = " ".join(sys.argv[1:])
    return "\n".join([
        f"<!-- peers {n} {dim} {k} -->",
        f"## {n:,} points, {dim} dimensions, k = {k}",
        "",
        "```sh",
        f"python benches/peers.py {arguments}",
        "```",
        "",
        textwrap.fill(f"{setting}, identities: {identities:,}. {software}.", 120, break_on_hyphens=False),
        *parts,
        "<!-- end -->",
    ])


def write(text: str) -> None:
    """Put the section into the page, in place of the one that begins with the same line."""
    page = PAGE.read_text()
    first = re.escape(text.splitlines()[0])
    old = re.search(rf"{first}.*?<!-- end -->", page, re.DOTALL)
    PAGE.write_text(page.replace(old[0], text) if old else f"{page.rstrip()}\n\n{text}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for argument in ("n", "dim", "k", "runs"):
        parser.add_argument(argument, type=int)
    parser.add_argument("--only", default=",".join(GRAPHS | CLUSTERINGS), help="names, with commas between them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the section into docs/benchmarks.md")
    given = parser.parse_args()
    chosen = given.only.split(",")
    if unknown := set(chosen) - set(GRAPHS | CLUSTERINGS):
        parser.error(f"no contender is named {', '.join(sorted(unknown))}; there are {', '.join(GRAPHS | CLUSTERINGS)}")
    # In the order of the tables, so that what starts from the exact graph comes after it.
    ordered = [name for name in GRAPHS | CLUSTERINGS if name in chosen]
    text = section(given.n, given.dim, given.k, given.runs, ordered, given.threads)
    if given.write:
        write(text)
    else:
        print(text)

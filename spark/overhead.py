"""What Spark costs beside one machine, in seconds of processors: overhead.py [--dim 128] [--k 20] [--m 2 3 5] N...

For each N the graph, and a whole run with ten steps of the diffusion, by Spark on two executors of one core and by the
extension alone, on generated points. Processor time is that of the driver, the executors and their workers together,
without their start; it says more than seconds where others use the machine too. DENSITY_PEAKS_EXTENSION names the
extension.
"""

import argparse
import resource
import sys
import tempfile
from pathlib import Path

import psutil

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent / "tests")]

from conftest import call, session  # noqa: E402
from density_peaks_spark import cluster_embeddings, worker  # noqa: E402
from density_peaks_spark.run import Run  # noqa: E402

POINTS = """
    SELECT i AS id, [sin(i % {groups} * (d + 1) * 12.9898) * 43758.5453 % 1 + 0.3 * random() FOR d IN range({dim})]
           ::FLOAT[] AS embedding FROM range({points}) t(i)"""


def processors() -> float:
    """Seconds of this process and all that it started, those that ended included."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    for process in psutil.Process().children(recursive=True):
        try:
            used += sum(process.cpu_times()[:4])
        except psutil.Error:
            pass
    return used


def measured(work) -> float:
    before = processors()
    work()
    return processors() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", type=int, nargs="+")
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--m", type=int, nargs="+", default=[2, 3, 5])
    given = parser.parse_args()
    numbers = {"k": given.k, "sigma": 0.1, "tau": 0.7, "max_iterations": 10}
    con = worker.connect(threads=2)
    spark = session(**{"spark.executor.memoryOverhead": "2g"})
    stages, make = {}, Run.stage

    def timed(run, name, *arguments):
        made = []
        stages[name] = measured(lambda: made.append(make(run, name, *arguments)))
        return made[0]

    def by_extension(call):
        return measured(lambda: con.execute(f"SELECT count(*) {call}").fetchall())

    def by_spark(path, m):
        rows = spark.read.parquet(path)
        return measured(lambda: cluster_embeddings(rows, workdir=f"{path}-{m}", m=m, **numbers).count())

    Run.stage = timed
    print("| N | m | one machine, graph | Spark, graph | | one machine, run | Spark, run | |\n|" + "--:|" * 8)
    with tempfile.TemporaryDirectory() as folder:
        # The first is to warm up.
        for at, points in enumerate([2000, *given.points]):
            path = f"{folder}/{points}.parquet"
            con.execute(f"COPY ({POINTS.format(points=points, dim=given.dim, groups=points // 20)}) TO '{path}'")
            con.execute(f"CREATE OR REPLACE TABLE points AS FROM '{path}'")
            graph = by_extension(call("knn_graph", "points", k=given.k, method="exact"))
            run = by_extension(call("cluster_embeddings", "points", method="exact", **numbers))
            for m in given.m[: len(given.m) if at else 1]:
                all = by_spark(path, m)
                if at:
                    cells = [
                        f"{points:,}",
                        m,
                        f"{graph:.1f} s",
                        f"{stages['graph']:.1f} s",
                        f"{stages['graph'] / graph:.1f}",
                    ]
                    cells += [f"{run:.1f} s", f"{all:.1f} s", f"{all / run:.0f}"]
                    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    spark.stop()


if __name__ == "__main__":
    main()

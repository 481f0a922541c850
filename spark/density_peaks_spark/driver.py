"""What runs on the driver: vectors of all points, trees, and, where it fits, the extension on the whole graph."""

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from . import check, kernels, worker
from .numbers import Matrix
from .run import Run

CHUNK = 1 << 20


def together(rows: DataFrame, total: int) -> np.ndarray:
    """A density for each point, from the parts of them that tasks give."""
    density = np.zeros(total)
    found = rows.toArrow()
    for first, part in zip(found.column("first").to_pylist(), found.column("density")):
        values = np.frombuffer(part.as_buffer(), "<f8")
        density[first : first + len(values)] = values
    return density


def in_chunks(density: np.ndarray) -> pa.Table:
    """The same parts again, to be stored."""
    starts = np.arange(0, len(density), CHUNK)
    columns = [pa.array(starts.astype(np.int32)), kernels.binaries(density, np.append(starts, len(density)))]
    return pa.Table.from_arrays(columns, schema=kernels.DENSITIES)


def densities(run: Run, density: np.ndarray) -> DataFrame:
    n = np.arange(len(density), dtype=np.int32)
    return run.frame(pa.table({"n": n, "density": density}))


def trees(run: Run, candidates: DataFrame, total: int, tau: float) -> np.ndarray:
    """The cluster of each point."""
    with run.described("trees"):
        joined = candidates.where(F.col("delta") < tau).select("n", "parent").toArrow()
    parent = np.arange(total, dtype=np.int32)
    parent[joined.column("n").to_numpy()] = joined.column("parent").to_numpy()
    return kernels.trees(parent).astype(np.int32)


def _held(run: Run, con, matrix: Matrix, value: str) -> None:
    """Register the entries of a matrix as edges. They come partition by partition, past the limit of results."""
    held = []
    with run.described("collect the graph"):
        for row in matrix.rows.toLocalIterator(prefetchPartitions=True):
            columns = np.frombuffer(row["columns"], "<u4")
            held.append((np.full(len(columns), row["n"], np.uint32), columns, np.frombuffer(row["values"], "<f8")))
    arrays = [np.concatenate(arrays) for arrays in zip(*held)] or [np.empty(0, kind) for kind in ("<u4", "<u4", "<f8")]
    if value == "distance":
        # A loop is no neighbor.
        others = arrays[0] != arrays[1]
        arrays = [array[others] for array in arrays]
    con.register("edges", pa.table(dict(zip(["src", "dst", value], arrays))))


def _transition(options: dict) -> str:
    kernel, sigma = worker.literal(options["kernel"]), worker.literal(options["sigma"])
    return f"transition_matrix('edges', kernel := {kernel}, sigma := {sigma}, undirected := false)"


def transition(run: Run, graph: Matrix, options: dict) -> Matrix:
    """Rows of P by the kernel that the graph calls for."""
    made = {**graph.made, **options}

    def make() -> DataFrame:
        with worker.connect() as con:
            check.on_driver(con, graph.points.total, -(-graph.made["edges"] // graph.points.total), run.function)
            _held(run, con, graph, "distance")
            steps = con.sql(f"SELECT src AS row, dst AS column, probability AS value FROM {_transition(options)}")
            found = steps.to_arrow_table().cast(kernels.ENTRIES)
        rows = [batch for table in [found] for batch in kernels.gather(iter(table.to_batches()))]
        return run.frame(pa.Table.from_batches(rows, kernels.ROWS))

    return Matrix(run.stage("transition", made, make), graph.points, made)


def clusters(run: Run, graph: Matrix, options: dict) -> DataFrame:
    """Clusters of a graph, by the extension."""
    transition, steps = _transition(options), {name: options[name] for name in ("epsilon", "max_iterations")}
    given = "".join(f", {name} := {worker.literal(value)}" for name, value in steps.items())
    if options["tau"] == "auto":
        call = f"linkage_cluster({transition}{given}, clusters := {worker.literal(options['clusters'])})"
    else:
        call = f"dpc_cluster(ndde({transition}{given}), tpdi({transition}), tau := {worker.literal(options['tau'])})"
    return _clusters(run, graph, "distance", call, {**graph.made, **options})


def linkage(run: Run, steps: Matrix, options: dict) -> DataFrame:
    """Clusters of a transition matrix, by the extension."""
    given = ", ".join(f"{name} := {worker.literal(value)}" for name, value in options.items())
    call = f"linkage_cluster('edges', {given})"
    return _clusters(run, steps, "probability", call, {**steps.made, **options})


def _clusters(run: Run, matrix: Matrix, value: str, call: str, made: dict) -> DataFrame:
    def make() -> DataFrame:
        with worker.connect() as con:
            _held(run, con, matrix, value)
            with_parents = f"SELECT id AS n, * EXCLUDE (id) RENAME (parent_id AS parent) FROM {call}"
            found = con.sql(with_parents).to_arrow_table()
        schema = kernels.CLUSTERS
        if "strength" in found.column_names:
            schema = schema.append(pa.field("strength", pa.float64()))
        if matrix.points.total == 1 and not found.num_rows:
            # A graph of one point has no edge to name it.
            alone = {"n": 0, "cluster_id": 0, "parent": 0, "density": 1.0, "is_peak": True}
            found = pa.Table.from_pylist([alone], schema)
        return run.frame(found.select(schema.names).cast(schema))

    return run.stage("labels", made, make)

"""The stages on matrices by number: what runs in the tasks."""

from collections.abc import Callable

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.functions import col

from . import check, driver, kernels, numbers, plane
from .numbers import Matrix, Points
from .run import Run, mapped


def graph(
    run: Run,
    rows: DataFrame,
    id: str,
    embedding: str,
    options: dict,
    m: int | None,
    fits: Callable[[Points], None] = lambda points: None,
) -> Matrix:
    """Rows of the exact graph, nearest first. Points go to m + 1 lines, their candidates back to their blocks."""
    points, made = numbers.points(run, rows, id, embedding, options["metric"])
    fits(points)
    made = {**made, **options}
    k = min(options["k"], points.total - 1)
    if k < 1:
        alone = [(0, b"", b"")] * points.total
        return Matrix(run.spark.createDataFrame(alone, "n int, columns binary, values binary"), points, made)
    precision, metric = options["precision"], options["metric"]
    if m is None:
        lines = plane.choose(points.total, points.dim, k, run.memory, run.slots, precision)
    elif m in plane.PRIMES:
        lines = plane.Plane(points.total, m)
    else:
        raise ValueError(f"{run.function}: m must be a prime below 200, got {m!r}")

    unlisted = _unlisted(run, points, made)

    def make() -> DataFrame:
        line = kernels.line_graph(run.connect(), k, metric, precision, points.dim, lines.block_rows)
        merge = kernels.merge_lines(k, lines.block_rows, points.total)
        listed = points.rows if unlisted is None else points.rows.join(unlisted, "n", "left_anti")
        sent = listed.select("n", "embedding", F.explode(F.expr(lines.lines_of("n"))).alias("line"))
        sent = sent.repartitionById(lines.lines, col("line")).select("n", "embedding")
        found = mapped(sent, line, kernels.CANDIDATES).repartitionById(lines.blocks, col("block"))
        return mapped(found, merge, kernels.ROWS)

    rows = run.stage("graph", made, make)
    if unlisted is not None:
        rows = _with_copies(rows, unlisted, k)
    found = Matrix(rows, points, made)
    if metric == "ip":
        _above_zero(run, found)
    return found


def _unlisted(run: Run, points: Points, made: dict) -> DataFrame | None:
    """The points that stand in no list, with the first of their copies, which does, and its distance."""
    if made["copies"] is None:
        return None

    def make() -> DataFrame:
        kernel = kernels.vectors(made["metric"], made["precision"], points.dim)
        rows = mapped(points.rows.select("n", "embedding"), kernel, kernels.VECTORS)
        same = Window.partitionBy("vector")
        places = {"place": F.row_number().over(same.orderBy("n")), "first": F.min("n").over(same)}
        return rows.withColumns(places).where(col("place") > made["copies"]).select("n", "first", "distance")

    copies = run.stage("copies", {name: value for name, value in made.items() if name != "k"}, make)
    return None if copies.isEmpty() else copies


def _with_copies(rows: DataFrame, unlisted: DataFrame, k: int) -> DataFrame:
    """A graph with rows of the points that stand in no list."""
    firsts = rows.withColumnRenamed("n", "first").join(unlisted, "first")
    filled = mapped(firsts.select("n", "first", "distance", "columns", "values"), kernels.copied(k), kernels.ROWS)
    return rows.join(unlisted, "n", "left_anti").union(filled)


def _above_zero(run: Run, graph: Matrix) -> None:
    """Refuse a graph under `ip` of which no transition matrix can be made, as the extension does."""
    with run.described("check distances"):
        edges = mapped(graph.rows, kernels.entries, kernels.ENTRIES).where("value < -1e-6")
        found = numbers.to_edges(edges, graph.points, "value").orderBy("src", "dst").first()
    if found is not None and run.function != "knn_graph":
        raise ValueError(
            f"{run.function}: the distance of edge {found['src']} -> {found['dst']} is {found['value']:g}; it must be "
            "at least 0, so under metric 'ip' the embeddings must not be longer than 1; use 'cosine'"
        )


def directed(edges: DataFrame, value: str, undirected: bool | str) -> DataFrame:
    """Edges with the reverse of each that lacks it, if it is asked for, or no pair has both."""
    reverse = edges.select(col("dst").alias("src"), col("src").alias("dst"), value)
    others = reverse.where("src != dst")
    if undirected == "auto":
        undirected = edges.join(others, ["src", "dst"], "left_semi").isEmpty()
    if not undirected:
        return edges
    return edges.union(reverse.join(edges, ["src", "dst"], "left_anti"))


def transition(run: Run, graph: Matrix, kernel: str, sigma: float, value: str) -> Matrix:
    """Rows of P, in order of columns."""
    made = {**graph.made, "kernel": kernel, "sigma": sigma}
    step = kernels.transition(run.connect(), kernel, sigma, value)
    return Matrix(run.stage("transition", made, lambda: mapped(graph.rows, step, kernels.ROWS)), graph.points, made)


def _width(matrix: Matrix) -> int:
    """Entries of a row, in the mean."""
    entries, rows = matrix.rows.agg(F.sum(F.length("columns")), F.count("*")).first()
    return -(-(entries or 0) // 4 // max(1, rows))


def density(run: Run, transition: Matrix, epsilon: float, max_iterations: int) -> tuple[np.ndarray, dict]:
    """NDDe of each point: rho <- P^T rho from 1, until a step is no longer than epsilon."""
    made = {**transition.made, "epsilon": epsilon, "max_iterations": max_iterations}
    total = transition.points.total
    check.collected(run.spark, total, run.function)

    def make() -> DataFrame:
        entries = mapped(transition.rows, kernels.transposed, kernels.ENTRIES)
        # A step has a density for each point, also where no row leads to it.
        n = transition.points.rows.select(col("n").alias("row"), col("n").alias("column"), F.lit(0.0).alias("value"))
        part = numbers.part_rows(run, total, _width(transition))
        columns = numbers.gathered(entries.union(n), total, part).persist()
        rho = np.ones(total)
        try:
            for step in range(max_iterations if total else 0):
                with run.described(f"ndde, step {step + 1}"), run.shared(rho) as shared:
                    new = driver.together(mapped(columns, kernels.diffuse(shared), kernels.DENSITIES), total)
                change, rho = kernels.length(new - rho), new
                if change <= epsilon:
                    break
        finally:
            columns.unpersist()
        return run.frame(driver.in_chunks(rho))

    rows = run.stage("density", made, make)
    return driver.together(rows, total), made


def distances(run: Run, transition: Matrix, rho: np.ndarray | None, made: dict) -> Matrix:
    """Rows of TPDi: with densities of the edges that lead upward, else of all edges."""
    with run.shared(rho) as shared:
        rows = _distances(run, transition, shared)
        made = {**transition.made, **made}
        return Matrix(run.stage("distances", made, lambda: rows), transition.points, made)


def _distances(run: Run, transition: Matrix, shared: Callable) -> DataFrame:
    total = transition.points.total
    part_rows = numbers.part_rows(run, total, _width(transition), plane.ROWS_MET)
    parts = numbers.parts_of(total, part_rows)
    own = transition.rows.withColumn("part", F.expr(f"cast(n div {part_rows} as int)"))
    asked = own.repartitionById(parts, col("part")).select("n", "columns", "values")
    asked = mapped(asked, kernels.wanted(shared, part_rows), kernels.WANTED)
    columns = ["n", "columns", "values", "part"]
    rows = asked.join(transition.rows, "n").select(*columns).union(own.select(*columns))
    kernel = kernels.distances(shared, part_rows, total)
    return mapped(rows.repartitionById(parts, col("part")), kernel, kernels.ROWS)


def parents_of(run: Run, transition: Matrix, rho: np.ndarray, made: dict) -> DataFrame:
    """The candidate parent of each point, from rows of P."""
    with run.shared(rho) as shared:
        kernel = kernels.parents(shared)
        rows = _distances(run, transition, shared)
        return run.stage("parents", made, lambda: mapped(rows, kernel, kernels.PARENTS))


def parents(run: Run, distances: DataFrame, rho: np.ndarray, made: dict) -> DataFrame:
    """The candidate parent of each point, from rows of TPDi."""
    with run.shared(rho) as shared:
        kernel = kernels.parents(shared)
        return run.stage("parents", made, lambda: mapped(distances, kernel, kernels.PARENTS))


def given_densities(run: Run, density: DataFrame) -> tuple[Points, np.ndarray, dict]:
    """Points and densities of a DataFrame of id and density."""
    kind = check.column(density, "id", run.function, "", "the density")
    check.identifiers(kind, "id", run.function)
    check.column(density, "density", run.function, "", "the density")
    rows = density.select("id", col("density").cast("double").alias("density"))
    with run.described("check densities"):
        made = {"of": "densities", "points": numbers.fingerprint(rows, "id", "density")}
        number = col("density")
        bad = rows.where(col("id").isNull() | number.isNull() | F.isnan(number) | ~number.between(0, 1e300)).first()
        if bad is not None:
            text = f"the density of id {bad['id']} is {bad['density']}"
            raise ValueError(
                f"{run.function}: {text}; it must be a finite number of at least 0, of an id that is not NULL"
            )
        twice = rows.groupBy("id").count().where("count > 1").first()
        if twice is not None:
            raise ValueError(f"{run.function}: id {twice['id']} occurs more than once; ids must be unique")
    points = numbers.ids(run, rows, made)
    check.collected(run.spark, points.total, run.function)
    placed = rows.join(points.rows, "id").select("n", "density").toArrow()
    rho = np.empty(points.total)
    rho[placed.column("n").to_numpy()] = placed.column("density").to_numpy()
    return points, rho, made

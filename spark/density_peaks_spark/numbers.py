"""Ids to numbers and back: a point is its place in the order of ids, and a matrix its rows by these numbers."""

from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.functions import col

from . import check, kernels, plane
from .run import Run, mapped


class Points(NamedTuple):
    """Points by number: `rows` has n and id, and with embeddings those as bytes."""

    rows: DataFrame
    total: int
    dim: int

    @property
    def ids(self) -> DataFrame:
        return self.rows.select("n", "id")


class Matrix(NamedTuple):
    """Rows of a matrix by number, with the points that they are of, and what they were made with."""

    rows: DataFrame
    points: Points
    made: dict


def _sorted(rows: DataFrame) -> DataFrame:
    """Rows in order of id, with the part that each is in, and its place there."""
    place = F.monotonically_increasing_id().bitwiseAND(F.lit((1 << 33) - 1))
    return rows.orderBy("id").select(F.spark_partition_id().alias("part"), place.alias("at"), "*")


def _numbered(rows: DataFrame, counts: list) -> DataFrame:
    """Rows with n, from the number of rows in each part, in order."""
    firsts = [0] * (max((part["part"] for part in counts), default=0) + 1)
    total = 0
    for part in counts:
        firsts[part["part"]] = total
        total += part["rows"]
    return rows.withColumn("n", (F.lit(firsts)[col("part")] + col("at")).cast("int"))


def named(name: str) -> Column:
    """A column of this name, with whatever characters."""
    return col("`" + name.replace("`", "``") + "`")


def fingerprint(rows: DataFrame, *columns: str) -> list:
    """What says whether rows are those of an earlier run, in any order."""
    return list(rows.agg(F.count("*"), F.bit_xor(F.xxhash64(*columns))).first())


def points(run: Run, rows: DataFrame, id: str, embedding: str, metric: str) -> tuple[Points, dict]:
    """Number and check the points of a DataFrame. They are written once: a sort that ran again could number anew."""
    kind = check.column(rows, id, run.function, "id", "the DataFrame")
    check.identifiers(kind, id, run.function)
    number = check.embeddings(rows, embedding, run.function)
    given = rows.select(
        named(id).alias("id"),
        named(embedding).cast(f"array<{number}>").cast("array<float>").alias("embedding"),
    )
    with run.described("read the rows"):
        made = {"points": fingerprint(given, "id", "embedding"), "id": kind.simpleString(), "metric": metric}
    schema = T.StructType([
        T.StructField("id", kind),
        T.StructField("embedding", T.BinaryType()),
        T.StructField("dim", T.IntegerType()),
        T.StructField("squared_length", T.DoubleType()),
        T.StructField("problem", T.StringType()),
    ])  # fmt: skip
    kernel = kernels.check_points(metric)
    stored = run.stage("points", made, lambda: _sorted(given.mapInArrow(kernel, schema)))
    with run.described("check points"):
        wrong = F.min(F.when(col("problem").isNotNull(), F.struct("at", "id", "problem")))
        summary = stored.groupBy("part").agg(
            F.count("*").alias("rows"),
            F.count("id").alias("ids"),
            F.min("dim").alias("least_dim"),
            F.max("dim").alias("most_dim"),
            F.max("squared_length").alias("longest"),
            wrong.alias("wrong"),
        )
        parts = summary.orderBy("part").collect()
        total = sum(part["rows"] for part in parts)
        check.counted(total, run.function)
        if parts:
            check.points(stored, parts, metric, run.function)
    dim = parts[0]["least_dim"] if parts else 0
    return Points(_numbered(stored, parts).select("n", "id", "embedding"), total, dim), made


def ids(run: Run, rows: DataFrame, made: dict) -> Points:
    """Number the ids of a DataFrame with a column id, each once."""
    stored = run.stage("ids", made, lambda: _sorted(rows.select("id").distinct()))
    parts = stored.groupBy("part").agg(F.count("*").alias("rows")).orderBy("part").collect()
    total = sum(part["rows"] for part in parts)
    check.counted(total, run.function)
    return Points(_numbered(stored, parts).select("n", "id"), total, 0)


def part_rows(run: Run, total: int, k: int, rows_met: int = 1) -> int:
    """Points of a part of the later stages."""
    return max(1, -(-total // plane.parts(total, k, run.memory, run.slots, rows_met)))


def parts_of(total: int, rows: int) -> int:
    """How many parts of so many points there are, at least one."""
    return max(1, -(-total // rows))


def gathered(entries: DataFrame, total: int, rows: int) -> DataFrame:
    """Rows of a matrix from a DataFrame of its entries; a partition has the rows of a part, in order."""
    part = F.expr(f"cast(row div {rows} as int)")
    return mapped(entries.repartitionById(parts_of(total, rows), part), kernels.gather, kernels.ROWS)


def of_edges(run: Run, edges: DataFrame, value: str, made: dict, points: Points | None = None) -> Matrix:
    """A matrix from a DataFrame of src, dst and value."""
    for name in ("src", "dst"):
        kind = check.column(edges, name, run.function, "", "the DataFrame of edges")
        check.identifiers(kind, name, run.function)
    given = edges.select("src", "dst", col(value).cast("double").alias("value"))
    with run.described("check edges"):
        count, hash = fingerprint(given, "src", "dst", "value")
        made = {**made, "value": value, "edges": count, "hash": hash}
        check.edges(given, value, run.function)
    if points is None:
        both = given.select(col("src").alias("id")).union(given.select(col("dst").alias("id")))
        points = ids(run, both, made)
    if not points.total:
        return Matrix(run.spark.createDataFrame([], "n int, columns binary, values binary"), points, made)

    def make() -> DataFrame:
        loops = points.rows.select(col("n").alias("row"), col("n").alias("column"), F.lit(0.0).alias("value"))
        src = points.rows.select(col("id").alias("src"), col("n").alias("row"))
        dst = points.rows.select(col("id").alias("dst"), col("n").alias("column"))
        entries = given.join(src, "src").join(dst, "dst").select("row", "column", "value")
        if value != "probability":
            # A loop of the edges says nothing; one for each point keeps those without edges.
            entries = entries.where("row != column").union(loops)
        k = -(-made["edges"] // points.total)
        return gathered(entries, points.total, part_rows(run, points.total, k))

    return Matrix(run.stage("rows", made, make), points, made)


def to_edges(entries: DataFrame, points: Points, *columns: str) -> DataFrame:
    """Entries with ids in place of numbers."""
    src = points.ids.select(col("n").alias("row"), col("id").alias("src"))
    dst = points.ids.select(col("n").alias("column"), col("id").alias("dst"))
    return entries.join(src, "row").join(dst, "column").select("src", "dst", *columns)

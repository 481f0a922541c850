"""What is refused before the work, in the words of the extension, and with the user's ids."""

import os
import re

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

import duckdb

from .plane import size
from .worker import literal, quoted

# Numbers of points are int32 in Spark, and 0 is one of them.
MOST_POINTS = 2**31 - 1
WAYS_OUT = {
    "is a zero vector, which has no cosine distance": "leave the row out or use metric='l2sq'",
    "is too long for single precision": "scale the embeddings down",
}
# The longest row is at least this long, as for the extension.
SHORTEST = 1 / (1 << 39)
# Empty relations for a call that only checks its arguments.
RELATIONS = """
    CREATE OR REPLACE TEMP TABLE edges(src INTEGER, dst INTEGER, distance DOUBLE);
    CREATE OR REPLACE TEMP TABLE steps(src INTEGER, dst INTEGER, probability DOUBLE);
    CREATE OR REPLACE TEMP TABLE densities(id INTEGER, density DOUBLE);
"""


def arguments(con: duckdb.DuckDBPyConnection, function: str, relations: list[str], **given) -> None:
    """Let the extension check arguments, in a call of the function on relations without rows."""
    names = [given.get("id", "id"), given.get("embedding", "embedding")]
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"{function}: a column is named by text, not by {name!r}")
    con.execute(RELATIONS)
    if relations == ["points"]:
        if names[0] == names[1]:
            raise ValueError(f'{function}: id and embedding are two columns, and both are "{names[0]}"')
        columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in zip(names, ["INTEGER", "FLOAT[]"]))
        con.execute(f"CREATE OR REPLACE TEMP TABLE points({columns})")
    if given.get("tau", "auto") == "auto" and _is_count(given.get("clusters")):
        # No rows make so many clusters.
        given = {**given, "clusters": None}
    named = [f"{name} := {literal(value)}" for name, value in given.items() if value is not None]
    try:
        con.execute(f"FROM {function}({', '.join([*map(literal, relations), *named])})")
    except duckdb.Error as error:
        raise ValueError(str(error).splitlines()[0].split(" Error: ", 1)[-1]) from None


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def clusters(count: int | None, points: int, function: str) -> None:
    """Refuse more clusters than points."""
    if count is not None and count > points:
        raise ValueError(f"{function}: clusters must be at most {points}, the number of points, got {count}")


def absent(function: str, **given) -> None:
    """Refuse what only the extension on one machine has."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{function}: {name} is not taken on Spark; use {function}(...) of the extension for it")


def column(rows: DataFrame, name: str, function: str, argument: str, relation: str) -> T.DataType:
    """The type of a column, which must be there."""
    for field in rows.schema:
        if field.name == name:
            return field.dataType
    found = ", ".join(f'"{field}"' for field in rows.columns)
    way_out = f"; name it with {argument}='...'" if argument else ""
    raise ValueError(f'{function}: {relation} has no column "{name}", only {found}{way_out}')


def embeddings(rows: DataFrame, name: str, function: str) -> str:
    """The SQL type that a column of embeddings is cast to."""
    kind = column(rows, name, function, "embedding", "the DataFrame")
    if not isinstance(kind, T.ArrayType) or not isinstance(kind.elementType, T.NumericType):
        raise ValueError(
            f'{function}: column "{name}" is {kind.simpleString()}, but must be an array of numbers, best '
            "array<float>; of a column of pyspark.ml vectors, pyspark.ml.functions.vector_to_array makes one"
        )
    # As the extension: other numbers are read as double precision.
    return "float" if isinstance(kind.elementType, T.FloatType) else "double"


def identifiers(kind: T.DataType, name: str, function: str) -> None:
    if isinstance(kind, T.MapType | T.VariantType | T.NullType | T.UserDefinedType):
        raise ValueError(
            f'{function}: ids are of a type that Spark can order, and column "{name}" is {kind.simpleString()}'
        )


def points(rows: DataFrame, parts: list, metric: str, function: str) -> None:
    """Refuse points that cannot be clustered. `parts` has their number and extremes by part, in order."""
    unnamed = sum(part["rows"] - part["ids"] for part in parts)
    if unnamed:
        text = "row has a NULL id; leave it" if unnamed == 1 else "rows have a NULL id; leave them"
        raise ValueError(f"{function}: {unnamed} {text} out")
    for part in parts:
        if part["wrong"] is not None:
            id, problem = part["wrong"]["id"], part["wrong"]["problem"]
            way_out = WAYS_OUT.get(problem, "leave the row out")
            raise ValueError(f"{function}: the embedding of id {id} {problem}; {way_out}")
    duplicates(rows, function)
    dim = parts[0]["least_dim"]
    if any(part["least_dim"] != dim or part["most_dim"] != dim for part in parts):
        dim = rows.groupBy("dim").count().orderBy(F.desc("count"), "dim").first()["dim"]
        other = rows.where(F.col("dim") != dim).orderBy("part", "at").first()
        found = f"has {other['dim']} dimensions, others have {dim}"
        raise ValueError(f"{function}: the embedding of id {other['id']} {found}; leave the row out")
    longest = max(part["longest"] for part in parts) ** 0.5
    if metric == "l2sq" and 0 < longest < SHORTEST:
        raise ValueError(
            f"{function}: the embeddings are too short for single precision, in which their squared distances "
            "become 0; scale the embeddings up or use metric='cosine'"
        )


def duplicates(rows: DataFrame, function: str) -> None:
    """Refuse an id that occurs twice; equal ones are in one part, one after the other."""
    before = F.lag("id").over(Window.partitionBy("part").orderBy("at"))
    twice = rows.select("id", before.alias("before")).where("id = before").select("id").first()
    if twice is not None:
        raise ValueError(f"{function}: id {twice['id']} occurs more than once; ids must be unique")


def edges(rows: DataFrame, value: str, function: str) -> None:
    """Refuse edges with a hole, a negative value, or that occur twice. Columns are src, dst and value."""
    bad = rows.where(F.col("src").isNull() | F.col("dst").isNull()).count()
    if bad:
        raise ValueError(f"{function}: {bad} edges have a NULL end; leave them out")
    number = F.col("value")
    invalid = number.isNull() | F.isnan(number) | (number < -1e-6) | (number == float("inf"))
    found = rows.where(invalid).first()
    if found is not None:
        text = f"the {value} of edge {found['src']} -> {found['dst']} is {found['value']}"
        raise ValueError(f"{function}: {text}; it must be a finite number of at least 0")
    twice = rows.groupBy("src", "dst").count().where("count > 1").first()
    if twice is not None:
        raise ValueError(f"{function}: edge {twice['src']} -> {twice['dst']} occurs more than once")


def sums(rows: DataFrame, function: str) -> None:
    """Refuse a transition matrix whose rows do not sum to 1."""
    total = rows.groupBy("src").agg(F.sum("value").alias("total"))
    ends = rows.select(F.col("dst").alias("src")).distinct().join(total, "src", "left").select("src", "total")
    found = total.union(ends).where((F.abs(F.coalesce("total", F.lit(0.0)) - 1) > 1e-4)).first()
    if found is not None:
        sum = found["total"] or 0.0
        raise ValueError(f"{function}: the probabilities of src {found['src']} sum to {sum}, not to 1")


def counted(total: int, function: str) -> None:
    if total > MOST_POINTS:
        raise ValueError(f"{function}: {total} points are more than {MOST_POINTS}")


def task_cpus(spark: SparkSession) -> int:
    return int(spark.sparkContext.getConf().get("spark.task.cpus", "1"))


def slots(spark: SparkSession) -> int:
    """Tasks that run at once."""
    return max(1, spark.sparkContext.defaultParallelism // task_cpus(spark))


def task_memory(spark: SparkSession) -> int:
    """Bytes that a Python worker may take: the overhead of its executor by the tasks that run there at once."""
    context, conf = spark.sparkContext, spark.sparkContext.getConf()
    if context.master.startswith("local") and not context.master.startswith("local-cluster"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 // slots(spark)
    memory = size(conf.get("spark.executor.memory", "1g"))
    overhead = conf.get("spark.executor.memoryOverhead")
    if overhead is None:
        factor = float(conf.get("spark.executor.memoryOverheadFactor", "0.1"))
        bytes = max(int(memory * factor), 384 << 20)
    else:
        # A number alone is in MiB here.
        bytes = int(overhead) << 20 if overhead.isdecimal() else size(overhead)
    local = re.fullmatch(r"local-cluster\[\s*\d+\s*,\s*(\d+)\s*,.*\]", context.master)
    cores = local[1] if local else conf.get("spark.executor.cores")
    if cores is None:
        executors = max(1, context._jsc.sc().getExecutorMemoryStatus().size() - 1)
        cores = -(-context.defaultParallelism // executors)
    return bytes // max(1, int(cores) // task_cpus(spark))


def collected(spark: SparkSession, points: int, function: str) -> None:
    """Refuse what the driver could not collect at the end of a step."""
    limit = size(spark.sparkContext.getConf().get("spark.driver.maxResultSize", "1g"))
    need = 9 * points + (1 << 20)
    if limit and need > limit:
        raise ValueError(
            f"{function}: {points} points send {need >> 20} MiB to the driver in each step, and "
            f"spark.driver.maxResultSize is {limit >> 20} MiB; raise it, and spark.driver.memory with it"
        )


def on_driver(con: duckdb.DuckDBPyConnection, points: int, k: int, function: str) -> None:
    """Refuse a graph that the driver could not hold."""
    # What the extension estimates for an edge, and the edge as it is collected.
    need = points * k * (88 + 32) + (256 << 20)
    limit = size(con.execute("SELECT current_setting('memory_limit')").fetchall()[0][0])
    if need > limit:
        raise ValueError(
            f"{function}: 'auto' collects the graph of {points} points with {k} neighbors each on the driver, some "
            f"{need >> 20} MiB, and has {limit >> 20} MiB; give numbers for sigma and tau, such as those that "
            "auto_parameters of the extension finds for a part of the rows, or take a larger driver"
        )

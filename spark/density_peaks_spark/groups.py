"""A clustering of each partition on its own, as a table function of Spark SQL."""

from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.functions import udtf
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import ArrayType, BooleanType, DoubleType, LongType, StructField, StructType
from pyspark.sql.udtf import AnalyzeArgument, AnalyzeResult

import duckdb

from . import check, plane, worker

FUNCTION = "cluster_embeddings"


@dataclass
class Call(AnalyzeResult):
    """What every partition is asked for."""

    id: str = "id"
    embedding: str = "embedding"
    arguments: str = ""


def register(spark: SparkSession, name: str = FUNCTION, memory: str | int | None = None) -> None:
    """Let Spark SQL call `cluster_embeddings(TABLE(faces) PARTITION BY country)`, with the extension's arguments.

    The result has the columns of the table but for the embeddings, then those of a clustering. Each partition is
    clustered by one task, in the `memory` of a task.
    """
    given = plane.size(memory) if isinstance(memory, str) else memory
    bytes = (given or check.task_memory(spark)) - plane.WORKER_BYTES

    class ClusterEmbeddings:
        @staticmethod
        def analyze(rows: AnalyzeArgument, **given: AnalyzeArgument) -> Call:
            return _call(rows, {name: argument.value for name, argument in given.items()})

        def __init__(self, call: Call):
            self.call, self.rows = call, []

        def eval(self, rows, **given):
            self.rows.append(rows)
            yield from ()

        def terminate(self):
            yield from _clustered(self.call, self.rows, bytes)

    spark.udtf.register(name, udtf(ClusterEmbeddings))


def _call(rows: AnalyzeArgument, given: dict) -> Call:
    id, embedding = given.pop("id", "id"), given.pop("embedding", "embedding")
    if not rows.isTable:
        raise ValueError(f"{FUNCTION}: the first argument is a table: {FUNCTION}(TABLE(faces) PARTITION BY country)")
    fields = {field.name: field for field in rows.dataType}
    for name, argument in ((id, "id"), (embedding, "embedding")):
        if name not in fields:
            found = ", ".join(f'"{field}"' for field in fields)
            raise ValueError(
                f"{FUNCTION}: the table has no column \"{name}\", only {found}; name it with {argument} => '...'"
            )
    if not isinstance(fields[embedding].dataType, ArrayType):
        raise ValueError(f'{FUNCTION}: column "{embedding}" must be an array of numbers, best array<float>')
    with worker.connect() as con:
        check.arguments(con, FUNCTION, ["points"], **given)
    others = [field for field in rows.dataType if field.name != embedding]
    columns = [
        StructField("cluster_id", LongType()),
        StructField("parent_id", fields[id].dataType),
        StructField("delta", DoubleType()),
        StructField("density", DoubleType()),
        StructField("is_peak", BooleanType()),
    ]
    if given.get("tau", "auto") == "auto":
        columns.append(StructField("strength", DoubleType()))
    arguments = "".join(f", {name} := {worker.literal(value)}" for name, value in given.items())
    return Call(StructType(others + columns), id=id, embedding=embedding, arguments=arguments)


def _clustered(call: Call, rows: list, memory: int):
    if not rows:
        return
    kind = to_arrow_type(call.schema[call.id].dataType)
    points = pa.table({
        "id": pa.array([row[call.id] for row in rows], kind),
        "embedding": pa.array([row[call.embedding] for row in rows], pa.list_(pa.float32())),
        "place": pa.array(range(len(rows)), pa.int32()),
    })  # fmt: skip
    others = [name for name in rows[0].__fields__ if name != call.embedding]
    con = worker.connection(memory)
    con.register("points", points)
    try:
        found = con.execute(
            f"SELECT place, c.* EXCLUDE (id) FROM {FUNCTION}('points'{call.arguments}) c JOIN points USING (id)"
        ).fetchall()
    except duckdb.Error as error:
        raise ValueError(str(error).splitlines()[0].split(" Error: ", 1)[-1]) from None
    finally:
        con.unregister("points")
    for place, *values in found:
        yield (*(rows[place][name] for name in others), *values)

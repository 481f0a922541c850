"""A run: its folder of finished stages, what its tasks may take, and what the Spark UI says of it."""

import hashlib
import json
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from . import check, plane, worker


class Run:
    """One call. A stage that was finished with the same parameters in the same folder is read, not made again."""

    def __init__(self, spark: SparkSession, function: str, workdir: str, memory: str | int | None = None):
        if not hasattr(spark, "sparkContext") or not workdir:
            raise ValueError(f"{function}: needs a workdir, and a session of Spark that is not remote")
        self.spark, self.function, self.workdir = spark, function, str(workdir).rstrip("/")
        given = plane.size(memory) if isinstance(memory, str) else memory
        self.memory = given or check.task_memory(spark)
        self.slots = check.slots(spark)

    def connect(self) -> Callable:
        """What gives a connection in a task, within its share of the memory."""
        memory = self.memory - plane.WORKER_BYTES
        return lambda: worker.connection(memory)

    def stage(self, name: str, parameters: dict, make: Callable[[], DataFrame]) -> DataFrame:
        """The rows of a stage, from its folder."""
        text = json.dumps({"stage": name, **parameters}, sort_keys=True, default=str)
        folder = f"{self.workdir}/{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        if not self._finished(folder):
            with self.described(name):
                make().write.mode("overwrite").parquet(f"{folder}/rows")
                # Written last: a folder without it is of a run that did not come to its end.
                line = self.spark.createDataFrame([(text,)], "value string").coalesce(1)
                line.write.mode("overwrite").text(f"{folder}/parameters")
        return self.spark.read.parquet(f"{folder}/rows")

    def _finished(self, folder: str) -> bool:
        try:
            return not self.spark.read.text(f"{folder}/parameters").isEmpty()
        except AnalysisException:
            return False

    @contextmanager
    def described(self, what: str):
        """Name the jobs of a step in the Spark UI."""
        context = self.spark.sparkContext
        before = context.getLocalProperty("spark.job.description")
        context.setJobDescription(f"density_peaks {self.function}: {what}")
        try:
            yield
        finally:
            context.setLocalProperty("spark.job.description", before)

    @contextmanager
    def shared(self, array: np.ndarray | None):
        """A way to read an array in every task."""
        if array is None:
            yield lambda: None
            return
        broadcast = self.spark.sparkContext.broadcast(array)
        try:
            yield lambda: broadcast.value
        finally:
            broadcast.destroy()

    def frame(self, table: pa.Table) -> DataFrame:
        """Rows of the driver, in as many partitions as tasks run at once."""
        frame = self.spark.createDataFrame(table)
        return frame.repartition(self.slots) if table.nbytes > 32 << 20 else frame


def mapped(rows: DataFrame, kernel: Callable, schema: pa.Schema) -> DataFrame:
    """What a kernel makes of the rows of each partition."""
    return rows.mapInArrow(kernel, from_arrow_schema(schema))

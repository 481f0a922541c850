"""DuckDB with the extension, in a Python worker or on the driver."""

import os
from decimal import Decimal

import duckdb

NAME = "density_peaks.duckdb_extension"
# Kept by the module, so that the tasks of a worker process share it.
_connection = None


def connect(**config) -> duckdb.DuckDBPyConnection:
    """A connection with the extension loaded.

    It is that of the environment's `DENSITY_PEAKS_EXTENSION`; or a file that was sent with `SparkContext.addFile` or
    `spark.files`, under its own name; or that of the installed package `density_peaks`.
    """
    path = os.environ.get("DENSITY_PEAKS_EXTENSION") or _sent()
    if path is None:
        try:
            import density_peaks
        except ModuleNotFoundError:
            raise ImportError(
                f"the extension is not here: install the package density_peaks, or send {NAME} with "
                "spark.sparkContext.addFile(...), or name it with the environment variable DENSITY_PEAKS_EXTENSION"
            ) from None
        return density_peaks.connect(config=config)
    if os.path.basename(path) != NAME:
        raise ImportError(f"the file of the extension must be named {NAME}, and this is {path}")
    con = duckdb.connect(config={"allow_unsigned_extensions": "true", **config})
    con.execute("LOAD '" + path.replace("'", "''") + "'")
    return con


def connection(memory: int) -> duckdb.DuckDBPyConnection:
    """That of this process, with the threads of the task and so many bytes of memory."""
    global _connection
    if _connection is None:
        _connection = connect()
    _connection.execute(f"SET threads = {_task_cpus()}; SET memory_limit = '{max(memory, 1 << 20) >> 20}MiB'")
    return _connection


def literal(value) -> str:
    """A value in SQL."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "NULL"}[value]
    return str(value) if isinstance(value, int | float | Decimal) else "'" + str(value).replace("'", "''") + "'"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sent() -> str | None:
    """A file that Spark has sent here."""
    try:
        from pyspark import SparkFiles

        path = SparkFiles.get(NAME)
    # Not a worker of Spark, or no file.
    except Exception:
        return None
    return path if os.path.exists(path) else None


def _task_cpus() -> int:
    try:
        from pyspark import TaskContext
    except ModuleNotFoundError:
        return 1
    context = TaskContext.get()
    return context.cpus() if context else 1

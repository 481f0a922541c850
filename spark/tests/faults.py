"""Kernels that fail once, for the tests. Workers import this."""

import os
import signal
import time
from functools import wraps
from pathlib import Path

from pyspark import TaskContext


def once(marker: Path) -> bool:
    """Whether this is the first that asks."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def executor() -> int:
    """The process of this task's executor: the parent of the daemon that made this worker."""
    return int(Path(f"/proc/{os.getppid()}/stat").read_text().rsplit(")", 1)[1].split()[1])


def failing(kernel, marker: Path, fault: str):
    """The kernel, whose first task meets a fault once it has a batch."""

    def run(batches):
        for batch in batches:
            if once(marker):
                description = TaskContext.get().getLocalProperty("spark.job.description")
                marker.write_text(f"{description} {executor()}")
                if fault == "straggler":
                    time.sleep(3600)
                os.kill(os.getpid() if fault == "worker" else executor(), signal.SIGKILL)
                # The executor is gone, and this worker goes with it.
                time.sleep(30)
            yield batch

    return lambda batches: kernel(run(batches))


def failing_factory(factory, marker: Path, fault: str):
    @wraps(factory)
    def made(*arguments):
        return failing(factory(*arguments), marker, fault)

    return made

"""What a run takes, by arithmetic, before there is a cluster."""

from dataclasses import dataclass

from . import plane
from .plane import Plane

GB = 1e9
# A step of the diffusion: what a job costs at all, and an entry of P on a core.
STEP_SECONDS = 1.5
ENTRY_SECONDS = 10e-9
STEPS = 100
# TPDi of a point on a core.
DISTANCE_SECONDS = 1e-4


@dataclass(frozen=True)
class Plan:
    """N points of D dimensions with K neighbors on so many executors of so many cores."""

    points: int
    dim: int
    k: int
    executors: int
    cores: int
    lines: Plane

    @property
    def slots(self) -> int:
        return self.executors * self.cores

    @property
    def task_bytes(self) -> int:
        """Memory of a task: a line of the graph, or vectors of all points and some rows of P."""
        later = plane.VECTOR_BYTES * self.points + (256 << 20)
        return max(self.lines.line_bytes(self.dim, self.k), later) + plane.WORKER_BYTES

    @property
    def shuffles(self) -> dict[str, float]:
        """Bytes by step."""
        n, row = self.points, 4 * self.dim + 28
        steps = n * (self.k + 1) * 12
        met = min(plane.ROWS_MET, self.k / 2)
        return {
            "number": n * row,
            "points to lines": self.lines.sent(self.dim),
            "candidates to blocks": self.lines.returned(self.k),
            "transpose": n * (self.k + 1) * 36,
            "rows for TPDi": met * steps,
        }

    @property
    def driver_bytes(self) -> int:
        """What the driver collects in a step."""
        return 9 * self.points + (1 << 20)

    @property
    def hours(self) -> dict[str, float]:
        moved = 2 * sum(self.shuffles.values()) / plane.SHUFFLE_RATE / self.slots
        step = STEP_SECONDS + self.points * (self.k + 1) * ENTRY_SECONDS / self.slots
        return {
            "graph": self.lines.seconds(self.dim, self.k, self.slots) / 3600,
            "shuffles": moved / 3600,
            "density": STEPS * step / 3600,
            "distance": self.points * DISTANCE_SECONDS / self.slots / 3600,
        }

    def __str__(self) -> str:
        one = self.points**2 / 2
        lines, hours, shuffles = self.lines, self.hours, self.shuffles
        rows = [
            ("points", f"{self.points:,} of {self.dim} dimensions, k {self.k}"),
            ("slots", f"{self.executors} executors of {self.cores} cores"),
            ("graph", f"m {lines.m}: {lines.lines} tasks of {lines.line_rows:,} points"),
            ("", f"{lines.pairs() / one:.2f} times the pairs of one machine"),
            ("memory of a task", f"{self.task_bytes / GB:.1f} GB"),
            ("memoryOverhead", f"{self.cores * self.task_bytes / GB:.0f} GB an executor"),
            ("maxResultSize", f"{self.driver_bytes / GB:.2f} GB, and as much in the driver"),
        ]
        rows += [
            ("shuffle" if at == 0 else "", f"{b / GB:,.1f} GB, {name}") for at, (name, b) in enumerate(shuffles.items())
        ]
        rows.append(("", f"{sum(shuffles.values()) / GB:,.1f} GB in all"))
        rows += [("hours" if at == 0 else "", f"{h:.2f}, {name}") for at, (name, h) in enumerate(hours.items())]
        rows.append(("", f"{sum(hours.values()):.2f} in all"))
        return "\n".join(f"{name:<18}{text}" for name, text in rows)

    __repr__ = __str__


def plan(N: int, D: int, K: int, executors: int, cores: int, memory: str | int | None = None) -> Plan:
    """Tasks, memory, shuffles and hours of N points of D dimensions with K neighbors. `memory` is that of a task."""
    if min(N, D, K, executors, cores) < 1:
        raise ValueError("plan: N, D, K, executors and cores are at least 1")
    given = plane.size(memory) if isinstance(memory, str) else memory
    lines = plane.choose(N, D, K, given or 1 << 62, executors * cores)
    return Plan(N, D, K, executors, cores, lines)

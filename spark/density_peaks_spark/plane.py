"""Which points a task of the graph compares: the lines of an affine plane.

Points are numbered in order of their ids and cut into m^2 blocks, m a prime: block x m + y is the point (x, y) of the
affine plane of order m. Its m^2 + m lines hold m blocks each, and any two blocks share exactly one line, so that the
exact graphs of all lines together hold every pair of points. A task takes a line, N / m rows, and all of them do
m / (m - 1) times the work of one graph of all rows.
"""

from dataclasses import dataclass

PRIMES = tuple(p for p in range(2, 200) if all(p % q for q in range(2, p)))
# Bytes of a value as the extension keeps it.
VALUE_BYTES = {"f32": 4, "f16": 2, "i8": 1}
UNITS = {"B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
# Candidates that the extension keeps beside the k neighbors of a row.
SPARE = 48
# What a Python worker takes before it has a row: DuckDB, Arrow, numpy and the interpreter.
WORKER_BYTES = 200 << 20
# A point in the vectors that a task of the later stages holds of all points.
VECTOR_BYTES = 24
# Rows of other parts that a point needs for TPDi at most, in the mean: about half its neighbors are denser.
ROWS_MET = 36
# Fitted, see docs/spark.md: seconds of a core with AVX-512 VNNI for a dimension of a pair of points, and for a byte of a
# point on a line, with its way there and back.
PAIR_SECONDS = 4.3e-12
POINT_SECONDS = 3.3e-8
# What a core's share of an executor writes and reads of a shuffle, in bytes a second: 16 cores share 0.4 GB.
SHUFFLE_RATE = 25e6


@dataclass(frozen=True)
class Plane:
    """N points in the m^2 blocks of an affine plane."""

    points: int
    m: int

    @property
    def block_rows(self) -> int:
        return max(1, -(-self.points // self.m**2))

    @property
    def blocks(self) -> int:
        return -(-self.points // self.block_rows)

    @property
    def lines(self) -> int:
        return self.m**2 + self.m

    @property
    def line_rows(self) -> int:
        return min(self.points, self.m * self.block_rows)

    def lines_of(self, n: str) -> str:
        """SQL of Spark: the m + 1 lines through the block of a point."""
        m, block = self.m, f"({n} div {self.block_rows})"
        x, y = f"({block} div {m})", f"({block} % {m})"
        sloping = f"transform(sequence(0, {m - 1}), a -> cast(a * {m} + pmod({y} - a * {x}, {m}) as int))"
        return f"concat({sloping}, array(cast({m * m} + {x} as int)))"

    def line_bytes(self, dim: int, k: int, precision: str = "f32") -> int:
        """Memory of a task of the graph, beside `WORKER_BYTES`."""
        row = dim * VALUE_BYTES[precision] + 24 + (k + SPARE) * 8
        return self.line_rows * row * 5 // 4 + (32 << 20)

    def pairs(self) -> float:
        """Pairs of points that all tasks compare."""
        return self.lines * self.line_rows**2 / 2

    def core_seconds(self, dim: int, k: int) -> float:
        """What the graph costs on one core, by the model that was fitted."""
        pairs = self.pairs() * dim * PAIR_SECONDS
        return pairs + (self.m + 1) * self.points * (4 * dim + 8 * k) * POINT_SECONDS

    def sent(self, dim: int) -> int:
        """Bytes of the points on their way to the lines."""
        return (self.m + 1) * self.points * (4 * dim + 28)

    def returned(self, k: int) -> int:
        """Bytes of the candidates on their way to the blocks."""
        return (self.m + 1) * self.points * (8 * k + 28)

    def seconds(self, dim: int, k: int, slots: int) -> float:
        """On so many cores, without the shuffles: the lines run in waves."""
        waves = -(-self.lines // slots)
        return self.core_seconds(dim, k) * waves / self.lines

    def shuffle_seconds(self, dim: int, k: int, slots: int) -> float:
        """Of the shuffles, written and read."""
        return 2 * (self.sent(dim) + self.returned(k)) / SHUFFLE_RATE / slots


def choose(points: int, dim: int, k: int, memory: int, slots: int, precision: str = "f32") -> Plane:
    """The plane with which the graph is done first, of those whose lines fit into the memory of a task."""
    planes = [Plane(points, m) for m in PRIMES]
    fitting = [plane for plane in planes if plane.line_bytes(dim, k, precision) + WORKER_BYTES <= memory]
    if not fitting:
        least = planes[-1].line_bytes(dim, k, precision) + WORKER_BYTES
        raise ValueError(
            f"a task of the graph needs {least >> 20} MiB at least, and has {memory >> 20} MiB: "
            "raise spark.executor.memoryOverhead, or run fewer tasks at once with spark.task.cpus"
        )
    return min(fitting, key=lambda plane: plane.seconds(dim, k, slots) + plane.shuffle_seconds(dim, k, slots))


def parts(points: int, k: int, memory: int, slots: int, rows_met: int = 1) -> int:
    """How many parts the later stages cut the points into: few and fat, since a part costs a task.

    A part holds the rows of P of its points, each `rows_met` times, and as much again while it is put together.
    """
    row = (k + 1) * 12 * 2
    room = max(memory - WORKER_BYTES - VECTOR_BYTES * points, 64 << 20)
    fewest = -(-points // max(1, room // (row * rows_met)))
    # All rows are met at most once by each part.
    if points * row <= room:
        fewest = 1
    return max(1, min(points, max(fewest, min(slots, -(-points // 4096)))))


def size(text: str) -> int:
    """Bytes of a size as Spark and DuckDB write it: 1g, 512m, 12.3 GiB; without a unit they are bytes."""
    text = text.strip().upper().removesuffix("IB").removesuffix("B")
    unit = text[-1] if text[-1:].isalpha() else "B"
    return int(float(text.removesuffix(unit).strip()) * UNITS[unit])

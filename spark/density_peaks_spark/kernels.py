"""What a task computes: iterators of Arrow record batches in and out.

Nothing here knows Spark, so that another engine that moves Arrow batches can use it. A point is its number in the
order of ids. A matrix travels as *rows*, one a point: its number, the columns (uint32) and the values (float64) of its
row as bytes. A kernel that needs DuckDB takes `connect`, which gives a connection with the extension.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

CANDIDATES = pa.schema([("block", pa.int32()), ("n", pa.int32()), ("candidates", pa.binary())])
ROWS = pa.schema([("n", pa.int32()), ("columns", pa.binary()), ("values", pa.binary())])
EDGES = pa.schema([("row", pa.int32()), ("column", pa.int32()), ("rank", pa.int32()), ("value", pa.float32())])
ENTRIES = pa.schema([("row", pa.int32()), ("column", pa.int32()), ("value", pa.float64())])
WANTED = pa.schema([("n", pa.int32()), ("part", pa.int32())])
DENSITIES = pa.schema([("first", pa.int32()), ("density", pa.binary())])
CLUSTERS = pa.schema(
    [
        ("n", pa.int32()),
        ("cluster_id", pa.int64()),
        ("parent", pa.int32()),
        ("delta", pa.float64()),
        ("density", pa.float64()),
        ("is_peak", pa.bool_()),
    ]
)
PARENTS = pa.schema([("n", pa.int32()), ("parent", pa.int32()), ("delta", pa.float64())])
VECTORS = pa.schema([("n", pa.int32()), ("vector", pa.binary()), ("distance", pa.float32())])

Batches = Iterator[pa.RecordBatch]
Kernel = Callable[[Batches], Batches]

# Points in a batch that leaves a kernel.
CHUNK = 8192
ABSENT = np.uint64(0xFFFFFFFFFFFFFFFF)
# Under these metrics a product of two rows, and the sum of two squared lengths, must stay below the largest float.
LONGEST = float(np.finfo(np.float32).max) / 4


class Rows(NamedTuple):
    """Rows of a matrix, laid end to end."""

    n: np.ndarray
    width: np.ndarray
    columns: np.ndarray
    values: np.ndarray


def binaries(values: np.ndarray, starts: np.ndarray) -> pa.Array:
    """A column of bytes, of which each row holds the values from one start to the next."""
    offsets = ((starts - starts[0]) * values.itemsize).astype(np.int32)
    held = np.ascontiguousarray(values[starts[0] : starts[-1]])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(held)]
    return pa.Array.from_buffers(pa.binary(), len(starts) - 1, buffers)


def flat(column: pa.Array, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The values of a column of bytes end to end, and how many each row has."""
    if not len(column):
        return np.empty(0, kind), np.empty(0, np.int32)
    # Spark may be set to send large offsets.
    places = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    offsets = np.frombuffer(column.buffers()[1], places)[column.offset : column.offset + len(column) + 1]
    size, first = np.dtype(kind).itemsize, int(offsets[0])
    held = column.buffers()[2]
    count = (int(offsets[-1]) - first) // size
    values = np.frombuffer(held, kind, count, first) if count else np.empty(0, kind)
    return values, np.diff(offsets) // size


def unpack(batch: pa.RecordBatch) -> Rows:
    columns, width = flat(batch.column("columns"), "<u4")
    values, _ = flat(batch.column("values"), "<f8")
    return Rows(batch.column("n").to_numpy(), width, columns, values)


def pack(rows: Rows) -> Batches:
    """Batches of rows."""
    ends = np.concatenate([[0], np.cumsum(rows.width, dtype=np.int64)])
    for start in range(0, len(rows.n), CHUNK):
        places = ends[start : start + CHUNK + 1]
        end = start + len(places) - 1
        columns = binaries(rows.columns.astype("<u4", copy=False), places)
        values = binaries(rows.values.astype("<f8", copy=False), places)
        n = pa.array(rows.n[start:end].astype(np.int32, copy=False))
        yield pa.RecordBatch.from_arrays([n, columns, values], schema=ROWS)


def sources(rows: Rows) -> np.ndarray:
    """The row of each entry."""
    return np.repeat(rows.n.astype(np.uint32), rows.width)


def together(parts: list[Rows]) -> Rows:
    return Rows(*(np.concatenate(arrays) for arrays in zip(*parts)))


# ---- points


def check_points(metric: str) -> Kernel:
    """Points as bytes of single precision, with what is wrong with each, NULL if nothing is, and its squared length."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            problem, width, squared, packed = _checked(batch.column("id"), batch.column("embedding"), metric)
            yield pa.RecordBatch.from_arrays(
                [batch.column("id"), packed, pa.array(width), pa.array(squared), pa.array(problem, pa.string())],
                names=["id", "embedding", "dim", "squared_length", "problem"],
            )

    return run


def _checked(ids: pa.Array, embeddings: pa.Array, metric: str):
    rows = len(ids)
    # A NULL list may hide values, which the flattened ones leave out.
    starts = np.concatenate([[0], np.cumsum(embeddings.value_lengths().fill_null(0).to_numpy())]).astype(np.int64)
    values = embeddings.flatten()
    absent = values.is_null().to_numpy(zero_copy_only=False)
    values = np.ascontiguousarray(values.fill_null(0).to_numpy(), "<f4")
    width = np.diff(starts).astype(np.int32)
    row = np.repeat(np.arange(rows), width)
    squared = np.bincount(row, values.astype(np.float64) ** 2, rows)
    holes = np.bincount(row, absent, rows) > 0
    unmeasured = np.bincount(row, ~np.isfinite(values), rows) > 0
    null = embeddings.is_null().to_numpy(zero_copy_only=False)
    # The first that holds is said.
    cases = [
        (ids.is_null().to_numpy(zero_copy_only=False), "has a NULL id"),
        (null | holes, "is NULL or contains NULL"),
        (width == 0, "is empty"),
        (unmeasured, "contains NaN or infinity"),
    ]
    if metric == "cosine":
        cases.append((squared == 0, "is a zero vector, which has no cosine distance"))
    else:
        cases.append((squared > LONGEST, "is too long for single precision"))
    problem = np.full(rows, None, object)
    for wrong, sentence in reversed(cases):
        problem[wrong] = sentence
    return problem, width, squared, binaries(values, starts)


# ---- copies


def vectors(metric: str, precision: str, dim: int) -> Kernel:
    """What tells the vector of each point from others, as the extension keeps it, and how far a copy is from it."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            values, _ = flat(batch.column("embedding"), "<f4")
            kept, scale = _rounded(values.reshape(-1, dim), precision)
            squared = _squared_lengths(kept)
            # Under other metrics exactly 0.
            distance = 1 - squared * (scale * scale) if metric == "ip" else np.zeros(len(batch))
            if metric != "cosine":
                kept = np.column_stack([kept.view(np.uint8), scale[:, None].view(np.uint8)])
            elif precision == "f32":
                # Where rows have a scale, that alone makes their length 1.
                kept = (kept / np.sqrt(squared)[:, None]).astype(np.float32)
            vector = pa.array([hashlib.blake2b(row, digest_size=16).digest() for row in kept], pa.binary())
            columns = [batch.column("n"), vector, pa.array(distance.astype(np.float32))]
            yield pa.RecordBatch.from_arrays(columns, schema=VECTORS)

    return run


def _rounded(rows: np.ndarray, precision: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows as the extension rounds them, without negative zeros, which equal others, and their scales."""
    if precision == "f32":
        return rows + np.float32(0), np.ones(len(rows))
    greatest = np.abs(rows).max(axis=1)
    if precision == "f16":
        power = np.maximum(greatest, np.finfo(np.float32).tiny).view(np.uint32) & np.uint32(0x7F800000)
        scale = power.view(np.float32) / np.float32(16384)
        kept = (rows / scale[:, None]).astype(np.float16) + np.float16(0)
    else:
        greatest = np.maximum(greatest, np.finfo(np.float32).smallest_subnormal)
        scale = greatest / np.float32(127)
        low = scale.astype(np.float64) * 127 < greatest
        scale[low] = np.nextafter(scale[low], np.float32(np.inf))
        kept = np.rint(rows / scale[:, None]).astype(np.int8)
    return kept, scale.astype(np.float64)


def _squared_lengths(rows: np.ndarray) -> np.ndarray:
    """Sums as the extension makes them: in eight lanes, and what is left of a row on its own."""
    squares = np.square(rows, dtype=np.float64)
    whole = rows.shape[1] // 8 * 8
    lanes, total, rest = np.zeros((len(rows), 8)), np.zeros(len(rows)), np.zeros(len(rows))
    for at in range(0, whole, 8):
        lanes += squares[:, at : at + 8]
    for lane in lanes.T:
        total += lane
    for column in squares[:, whole:].T:
        rest += column
    return total + rest


def copied(k: int) -> Kernel:
    """Rows of the graph of points that stand in no list: that of the first of their copies, and this one."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            rows = unpack(batch)
            found = candidates(rows.columns, rows.values.astype(np.float32))
            first = candidates(batch.column("first").to_numpy(), batch.column("distance").to_numpy())
            best = np.column_stack([padded(rows.width, found, k), first])
            best.sort(axis=1)
            yield from neighbors(rows.n, best[:, :k])

    return run


# ---- the graph


def ordered(distance: np.ndarray) -> np.ndarray:
    """The bits of floats, so that they order like them."""
    bits = distance.view(np.uint32)
    return np.where(bits >> 31 == 0, bits | np.uint32(1 << 31), ~bits)


def unordered(bits: np.ndarray) -> np.ndarray:
    return np.where(bits >> 31 == 1, bits & np.uint32(0x7FFFFFFF), ~bits).view(np.float32)


def candidates(dst: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Neighbors as numbers that order by distance, then by point."""
    return ordered(distance).astype(np.uint64) << np.uint64(32) | dst.astype(np.uint64)


def line_graph(connect, k: int, metric: str, precision: str, dim: int, block_rows: int) -> Kernel:
    """The k nearest neighbors of each point of a line among the points of that line."""

    def embeddings(batches: Batches) -> Batches:
        for batch in batches:
            values, _ = flat(batch.column("embedding"), "<f4")
            column = pa.FixedSizeListArray.from_arrays(pa.array(values), dim)
            yield pa.RecordBatch.from_arrays([batch.column("n").cast(pa.uint32()), column], names=["id", "embedding"])

    def run(batches: Batches) -> Batches:
        schema = pa.schema([("id", pa.uint32()), ("embedding", pa.list_(pa.float32(), dim))])
        con = connect()
        con.register("line", pa.RecordBatchReader.from_batches(schema, embeddings(batches)))
        try:
            edges = con.sql(
                f"SELECT src, dst, distance FROM knn_graph('line', k := {k}, metric := '{metric}', method := 'exact', "
                f"precision := '{precision}')"
            ).to_arrow_reader(1 << 20)
            for n, found in _by_point(edges, k):
                for start in range(0, len(n), CHUNK):
                    here, some = n[start : start + CHUNK], found[start : start + CHUNK]
                    places = np.arange(len(here) + 1) * k
                    block = pa.array((here // block_rows).astype(np.int32))
                    columns = [block, pa.array(here.astype(np.int32)), binaries(some.reshape(-1), places)]
                    yield pa.RecordBatch.from_arrays(columns, schema=CANDIDATES)
        finally:
            con.unregister("line")

    return run


def _by_point(edges: Batches, k: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Points and their candidates, k each, of edges that come in order of src and rank."""
    src, found = np.empty(0, np.uint32), np.empty(0, np.uint64)
    for batch in edges:
        more, dst, distance = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
        src, found = np.concatenate([src, more]), np.concatenate([found, candidates(dst, distance)])
        # The last point may go on in the next batch.
        cut = np.searchsorted(src, src[-1])
        if cut:
            yield _points(src[:cut], found[:cut], k)
        src, found = src[cut:], found[cut:]
    if len(src):
        yield _points(src, found, k)


def _points(src: np.ndarray, found: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    n, width = np.unique(src, return_counts=True)
    return n, padded(width, found, k)


def padded(width: np.ndarray, found: np.ndarray, k: int) -> np.ndarray:
    """Candidates of points, laid end to end, in k places each."""
    full = np.full((len(width), k), ABSENT)
    full[np.arange(k) < width[:, None]] = found
    return full


def neighbors(n: np.ndarray, best: np.ndarray) -> Batches:
    """Rows of the graph from candidates in order."""
    full = best != ABSENT
    held = best[full]
    distance = unordered((held >> np.uint64(32)).astype(np.uint32)).astype(np.float64)
    dst = (held & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    yield from pack(Rows(n, full.sum(axis=1), dst, distance))


def nearest(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The k smallest distinct candidates of two arrays of k a point."""
    both = np.sort(np.concatenate([one, other], axis=1), axis=1)
    twice = both[:, 1:] == both[:, :-1]
    both[:, 1:][twice] = ABSENT
    both.sort(axis=1)
    return both[:, : one.shape[1]]


def merge_lines(k: int, block_rows: int, points: int) -> Kernel:
    """Rows of the graph of the points of a block, in order of distance, from the candidates of all its lines."""

    def run(batches: Batches) -> Batches:
        first, best = 0, None
        for batch in batches:
            if not len(batch):
                continue
            if best is None:
                first = batch.column("block")[0].as_py() * block_rows
                best = np.full((min(block_rows, points - first), k), ABSENT)
            found, _ = flat(batch.column("candidates"), "<u8")
            n, found = batch.column("n").to_numpy() - first, found.reshape(-1, k)
            # A batch may hold a point more than once, from several lines.
            while len(n):
                at, once = np.unique(n, return_index=True)
                best[at] = nearest(best[at], found[once])
                rest = np.delete(np.arange(len(n)), once)
                n, found = n[rest], found[rest]
        if best is not None:
            yield from neighbors(first + np.arange(len(best)), best)

    return run


# ---- the transition matrix


def transition(connect, kernel: str, sigma: float, value: str = "distance") -> Kernel:
    """Rows of P from rows of a graph, by the extension itself, so that the bits are its own."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            graph = unpack(batch)
            # A row without neighbors is still one.
            alone = graph.n[graph.width == 0].astype(np.uint32)
            src, dst = np.concatenate([sources(graph), alone]), np.concatenate([graph.columns, alone])
            given = np.concatenate([graph.values, np.zeros(len(alone))])
            con = connect()
            con.register("edges", pa.table({"src": src, "dst": dst, value: given}))
            try:
                call = f"transition_matrix('edges', kernel := '{kernel}', sigma := {sigma!r}, undirected := false)"
                steps = con.sql(f"SELECT src, dst, probability FROM {call} ORDER BY src, dst").to_arrow_table()
            finally:
                con.unregister("edges")
            src, dst, probability = (column.to_numpy() for column in steps.columns)
            # Neighbors that have their rows in another batch.
            own = np.isin(src, graph.n)
            n, width = np.unique(src[own], return_counts=True)
            yield from pack(Rows(n, width, dst[own], probability[own]))

    return run


# ---- matrices by their entries


def transposed(batches: Batches) -> Batches:
    """Entries of the transpose."""
    for batch in batches:
        rows = unpack(batch)
        columns = [rows.columns.astype(np.int32), sources(rows).astype(np.int32), rows.values]
        yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=ENTRIES)


def gather(batches: Batches) -> Batches:
    """Rows of a matrix from its entries in any order; columns are in order."""
    held = [[column.to_numpy() for column in batch.columns] for batch in batches if len(batch)]
    if held:
        row, column, value = (np.concatenate(arrays) for arrays in zip(*held))
        held.clear()
        order = np.lexsort((column, row))
        n, width = np.unique(row, return_counts=True)
        yield from pack(Rows(n, width, column[order], value[order]))


def entries(batches: Batches) -> Batches:
    """The entries of rows, in order."""
    for batch in batches:
        rows = unpack(batch)
        columns = [sources(rows).astype(np.int32), rows.columns.astype(np.int32), rows.values]
        yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=ENTRIES)


def edges(batches: Batches) -> Batches:
    """The edges of rows of a graph, nearest first."""
    for batch in batches:
        rows = unpack(batch)
        starts = np.cumsum(rows.width) - rows.width
        rank = np.arange(len(rows.columns)) - np.repeat(starts, rows.width) + 1
        columns = [sources(rows).astype(np.int32), rows.columns.astype(np.int32), rank.astype(np.int32)]
        columns.append(rows.values.astype(np.float32))
        yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=EDGES)


# ---- density


def diffuse(density: Callable[[], np.ndarray]) -> Kernel:
    """A step of the diffusion, from rows of the transpose of P that follow each other."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            if not len(batch):
                continue
            rows = unpack(batch)
            # bincount adds one after the other, from 0, as the extension does.
            places = np.repeat(np.arange(len(rows.n)), rows.width)
            new = np.bincount(places, rows.values * density()[rows.columns], len(rows.n))
            columns = [pa.array(rows.n[:1]), binaries(new, np.array([0, len(new)]))]
            yield pa.RecordBatch.from_arrays(columns, schema=DENSITIES)

    return run


def length(change: np.ndarray) -> float:
    """The Euclidean length as the extension sums it: units of 1,024 points, each in order, then the units in order."""
    squares = np.zeros(-(-len(change) // 1024) * 1024)
    squares[: len(change)] = change * change
    # accumulate adds one after the other, where sum would not.
    units = np.add.accumulate(squares.reshape(-1, 1024), axis=1)[:, -1]
    return float(np.add.accumulate(units)[-1]) ** 0.5


# ---- distance and candidates


def above(density: np.ndarray, j: np.ndarray, i: np.ndarray) -> np.ndarray:
    """Whether j is above i in the order of densities."""
    return (density[j] > density[i]) | ((density[j] == density[i]) & (j < i))


def _asked(rows: Rows, density: np.ndarray | None) -> np.ndarray:
    """Of which entries the distance is wanted: those that lead upward, or, without densities, all but the loops."""
    src = sources(rows)
    return rows.columns != src if density is None else above(density, rows.columns, src)


def wanted(density: Callable[[], np.ndarray | None], part_rows: int) -> Kernel:
    """The points outside a part whose rows the part needs."""

    def run(batches: Batches) -> Batches:
        needed, part = [], 0
        for batch in batches:
            if not len(batch):
                continue
            rows = unpack(batch)
            part = int(rows.n[0]) // part_rows
            columns = rows.columns[_asked(rows, density())]
            needed.append(np.unique(columns[columns // part_rows != part]))
        if needed:
            n = np.unique(np.concatenate(needed)).astype(np.int32)
            columns = [pa.array(n), pa.array(np.full(len(n), part, np.int32))]
            yield pa.RecordBatch.from_arrays(columns, schema=WANTED)

    return run


def distances(density: Callable[[], np.ndarray | None], part_rows: int, points: int) -> Kernel:
    """Rows of TPDi of the points of a part, from its rows of P and those that it wanted, which say their part."""

    def run(batches: Batches) -> Batches:
        held, part = [], 0
        for batch in batches:
            if len(batch):
                part = batch.column("part")[0].as_py()
                held.append(unpack(batch))
        if held:
            rows = together(held)
            held.clear()
            yield from pack(_distances(rows, rows.n // part_rows == part, density(), points))

    return run


def _distances(rows: Rows, own: np.ndarray, density: np.ndarray | None, points: int) -> Rows:
    roots = np.sqrt(rows.values)
    ends = np.cumsum(rows.width, dtype=np.int64)
    widest = int(rows.width.max())
    # Rows of one length, so that sums run along them in the order of the extension's.
    if (rows.width == widest).all():
        columns, values = rows.columns.reshape(-1, widest), roots.reshape(-1, widest)
    else:
        inside = np.arange(widest) < rows.width[:, None]
        columns, values = np.zeros(inside.shape, np.uint32), np.zeros(inside.shape)
        columns[inside], values[inside] = rows.columns, roots
    order = np.argsort(rows.n)
    place = rows.n[order]
    spread = np.zeros(points)
    found, widths = [], []
    own = order[own[order]]
    for at in own:
        places = slice(ends[at] - rows.width[at], ends[at])
        neighbors = rows.columns[places]
        row = Rows(rows.n[at : at + 1], rows.width[at : at + 1], neighbors, roots[places])
        others = neighbors[_asked(row, density)]
        spread[neighbors] = row.values
        met = order[np.searchsorted(place, others)]
        # accumulate adds one after the other, where sum would not.
        shared = np.add.accumulate(spread[columns[met]] * values[met], axis=1)[:, -1]
        spread[neighbors] = 0
        found.append((others, np.clip(1.0 - shared, 0.0, 1.0)))
        widths.append(len(others))
    columns, values = (np.concatenate(arrays) for arrays in zip(*found))
    return Rows(rows.n[own], np.array(widths), columns, values)


def parents(density: Callable[[], np.ndarray]) -> Kernel:
    """The candidate parent of each point: the nearest by TPDi of those above it, of equals the denser, the smaller."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            rows, rho = unpack(batch), density()
            src = sources(rows)
            up = above(rho, rows.columns, src)
            src, dst, distance = src[up], rows.columns[up], rows.values[up]
            n, starts, width = np.unique(src, return_index=True, return_counts=True)
            nearest = np.minimum.reduceat(distance, starts) if len(n) else np.empty(0)
            tied = distance == np.repeat(nearest, width)
            src, dst = src[tied], dst[tied]
            order = np.lexsort((dst, -rho[dst], src))
            _, firsts = np.unique(src[order], return_index=True)
            parent = np.full(len(rows.n), -1, np.int32)
            delta = np.full(len(rows.n), np.nan)
            at = np.searchsorted(rows.n, n)
            parent[at], delta[at] = dst[order][firsts], nearest
            mask = parent < 0
            columns = [pa.array(rows.n), pa.array(parent, mask=mask), pa.array(delta, mask=mask)]
            yield pa.RecordBatch.from_arrays(columns, schema=PARENTS)

    return run


def clusters(density: Callable[[], np.ndarray], cluster: Callable[[], np.ndarray], tau: float) -> Kernel:
    """Points with their clusters, from their candidate parents."""

    def run(batches: Batches) -> Batches:
        for batch in batches:
            n, candidate = batch.column("n").to_numpy(), batch.column("parent").fill_null(-1).to_numpy()
            delta = batch.column("delta")
            joined = joins(candidate, delta.fill_null(np.nan).to_numpy(), tau)
            parent = np.where(joined, candidate, n)
            columns = [n, cluster()[n].astype(np.int64), parent, delta, density()[n], ~joined]
            yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=CLUSTERS)

    return run


def joins(candidate: np.ndarray, delta: np.ndarray, tau: float) -> np.ndarray:
    """Whether a point joins its candidate, -1 if it has none."""
    return (candidate >= 0) & (delta < tau)


def trees(parent: np.ndarray) -> np.ndarray:
    """The tree of each point, numbered in order of the trees' smallest points."""
    while not np.array_equal(parent[parent], parent):
        parent = parent[parent]
    _, first, tree = np.unique(parent, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first, kind="stable")] = np.arange(len(first))
    return number[tree]

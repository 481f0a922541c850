"""The kernels without Spark: lines, merge, transition matrix and what follows, as one machine has them."""

import itertools
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from conftest import arrow, blobs, call
from density_peaks_spark import kernels, plane
from density_peaks_spark.plane import Plane


def lines_through(m: int, block: int) -> list[int]:
    x, y = divmod(block, m)
    return [a * m + (y - a * x) % m for a in range(m)] + [m * m + x]


@pytest.mark.parametrize("m", [2, 3, 5, 7, 11])
def test_any_two_blocks_share_exactly_one_line(m):
    met = defaultdict(int)
    for lines in (lines_through(m, block) for block in range(m * m)):
        assert len(set(lines)) == m + 1 and max(lines) < m * m + m
    for one, other in itertools.combinations(range(m * m), 2):
        met[len(set(lines_through(m, one)) & set(lines_through(m, other)))] += 1
    assert set(met) == {1}


def checked(embeddings: np.ndarray, metric: str) -> pa.RecordBatch:
    (batch,) = kernels.check_points(metric)(arrow(embeddings).combine_chunks().to_batches())
    assert batch.column("problem").null_count == len(embeddings)
    return batch


def unlisted(points: pa.RecordBatch, dim: int, copies: int, metric: str, precision: str) -> dict[int, tuple]:
    """Of points that stand in no list, the first of their copies, and its distance."""
    n = pa.array(range(len(points)), pa.int32())
    rows = pa.table({"n": n, "embedding": points.column("embedding")})
    seen, found = defaultdict(list), {}
    for batch in kernels.vectors(metric, precision, dim)(iter(rows.to_batches(50))):
        for n, vector, distance in zip(*(column.to_pylist() for column in batch.columns)):
            seen[vector].append(n)
            if len(seen[vector]) > copies:
                found[n] = (seen[vector][0], distance)
    return found


def graph(
    con, embeddings: np.ndarray, k: int, m: int, metric="cosine", precision="f32", copies=None
) -> list[pa.RecordBatch]:
    """Rows of the graph, by every line and block, in batches of 50 points."""
    points = checked(embeddings, metric)
    total, dim = embeddings.shape
    k, lines = min(k, total - 1), Plane(total, m)
    on, blocks = defaultdict(list), defaultdict(list)
    others = unlisted(points, dim, copies, metric, precision) if copies else {}
    for n in range(total):
        if n in others:
            continue
        for line in lines_through(m, n // lines.block_rows):
            on[line].append(n)
    line = kernels.line_graph(lambda: con, k, metric, precision, dim, lines.block_rows)
    for members in on.values():
        rows = pa.table({"n": pa.array(members, pa.int32()), "embedding": points.column("embedding").take(members)})
        for batch in line(iter(rows.to_batches(50))):
            for at, block in enumerate(batch.column("block").to_pylist()):
                blocks[block].append(batch.slice(at, 1))
    merge = kernels.merge_lines(k, lines.block_rows, total)
    found = []
    for members in blocks.values():
        # In another order than they came, and several lines of a point in one batch.
        batches = pa.Table.from_batches(members[::-1]).combine_chunks().to_batches(50)
        found += merge(iter(batches))
    return with_copies(found, others, k) if others else found


def with_copies(found: list[pa.RecordBatch], others: dict[int, tuple], k: int) -> list[pa.RecordBatch]:
    rows = [row for row in pa.Table.from_batches(found).to_pylist() if row["n"] not in others]
    firsts = {row["n"]: row for row in rows}
    filled = [
        {**firsts.get(first, {"columns": b"", "values": b""}), "n": n, "first": first, "distance": distance}
        for n, (first, distance) in others.items()
    ]
    schema = kernels.ROWS.append(pa.field("first", pa.int32())).append(pa.field("distance", pa.float32()))
    batches = pa.Table.from_pylist(filled, schema).to_batches()
    return [*pa.Table.from_pylist(rows, kernels.ROWS).to_batches(), *kernels.copied(k)(iter(batches))]


def edges_of(batches) -> list[tuple]:
    found = []
    for batch in kernels.edges(iter(batches)):
        src, dst, rank, distance = (column.to_pylist() for column in batch.columns)
        found += zip(src, dst, rank, distance)
    return sorted(found, key=lambda edge: (edge[0], edge[2]))


SHAPES = [
    # N, m, k
    (240, 2, 10), (240, 3, 10), (240, 5, 10), (7, 3, 10), (20, 5, 4), (2, 2, 5), (3, 5, 30), (9, 3, 8), (241, 5, 300),
]  # fmt: skip


@pytest.mark.parametrize(("points", "m", "k"), SHAPES)
def test_the_graph_of_all_lines_is_that_of_all_points(con, points, m, k):
    embeddings = blobs(points)
    con.register("points", arrow(embeddings))
    expected = con.sql(call("knn_graph", "points", k=k, method="exact") + " ORDER BY src, rank").fetchall()
    assert edges_of(graph(con, embeddings, k, m)) == expected


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2sq"])
@pytest.mark.parametrize("precision", ["f32", "f16", "i8"])
@pytest.mark.parametrize("m", [2, 3, 5])
def test_the_graph_is_the_same_by_every_metric_and_precision(con, metric, precision, m):
    embeddings = blobs(150, seed=m)
    con.register("points", arrow(embeddings))
    sql = call("knn_graph", "points", k=7, method="exact", metric=metric, precision=precision)
    expected = con.sql(sql + " ORDER BY src, rank").fetchall()
    assert edges_of(graph(con, embeddings, 7, m, metric, precision)) == expected


@pytest.mark.parametrize("m", [2, 3, 5])
def test_equal_embeddings_are_neighbors_in_order_of_their_ids(con, m):
    embeddings = np.repeat(blobs(12, groups=12), 5, axis=0)
    con.register("points", arrow(embeddings))
    expected = con.sql(call("knn_graph", "points", k=6, method="exact") + " ORDER BY src, rank").fetchall()
    assert edges_of(graph(con, embeddings, 6, m)) == expected


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2sq"])
@pytest.mark.parametrize("precision", ["f32", "f16", "i8"])
@pytest.mark.parametrize("dim", [3, 8, 21])
def test_copies_are_what_the_extension_takes_for_equal(con, metric, precision, dim):
    points = blobs(100, dim)
    # Of length 1, so that under ip all bits of a squared length show.
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    embeddings = np.repeat(points, 9, axis=0)
    # Of some, a scale or the last bit makes another vector, or not, by what is kept of them.
    scales = np.array([1, 1, 0.5, 0.3, 0.1, 1, 0.7, 0.99999994, 1], np.float32)
    embeddings *= np.tile(scales, 100)[:, None]
    embeddings[::7, 0] = -0.0
    embeddings[3::7, 0] = 0.0
    embeddings = embeddings[np.random.default_rng(1).permutation(len(embeddings))]
    con.register("points", arrow(embeddings))
    given = {"k": 12, "metric": metric, "precision": precision}
    for copies in (1, 3):
        sql = call("knn_graph", "points", method="exact", copies=copies, **given)
        expected = con.sql(sql + " ORDER BY src, rank").fetchall()
        assert edges_of(graph(con, embeddings, m=3, copies=copies, **given)) == expected


def test_a_line_fits_into_the_memory_that_the_plane_asks_for(con):
    for dim, k in ((8, 10), (256, 80)):
        lines = Plane(6000, 2)
        embeddings = blobs(lines.line_rows, dim)
        con.execute(f"SET memory_limit = '{lines.line_bytes(dim, k) >> 10}KiB'")
        con.register("points", arrow(embeddings))
        assert con.sql(f"SELECT count(*) FROM knn_graph('points', k := {k})").fetchall() == [(len(embeddings) * k,)]
        con.execute("SET memory_limit = '4GB'")


def stages(con, embeddings, k, part_rows, tau=0.7, sigma=0.1, steps=100):
    """Clusters by the kernels alone, with parts of so many points."""
    total = len(embeddings)
    p = list(kernels.transition(lambda: con, "exp", sigma)(iter(graph(con, embeddings, k, 3))))
    entries = pa.Table.from_batches(kernels.transposed(iter(p)))
    columns = list(kernels.gather(iter(entries.to_batches(100))))
    rho = np.ones(total)
    for _ in range(steps):
        new = np.empty(total)
        for batch in kernels.diffuse(lambda: rho)(iter(columns)):
            first, values = (
                batch.column("first")[0].as_py(),
                np.frombuffer(batch.column("density")[0].as_buffer(), "<f8"),
            )
            new[first : first + len(values)] = values
        change, rho = kernels.length(new - rho), new
        if change <= 0.05:
            break
    rows = kernels.together([kernels.unpack(batch) for batch in p])
    found = []
    for part in range(-(-total // part_rows)):
        own = [batch for batch in picked(rows, rows.n // part_rows == part)]
        asked = [
            n for batch in kernels.wanted(lambda: rho, part_rows)(iter(own)) for n in batch.column("n").to_pylist()
        ]
        given = [*picked(rows, np.isin(rows.n, asked)), *own]
        given = [batch.append_column("part", pa.array([part] * len(batch), pa.int32())) for batch in given]
        near = kernels.distances(lambda: rho, part_rows, total)(iter(given))
        found += kernels.parents(lambda: rho)(near)
    candidates = pa.Table.from_batches(found).combine_chunks().sort_by("n").to_batches()
    joined = kernels.joins(
        candidates[0].column("parent").fill_null(-1).to_numpy(),
        candidates[0].column("delta").fill_null(np.nan).to_numpy(),
        tau,
    )
    parent = np.where(joined, candidates[0].column("parent").fill_null(-1).to_numpy(), np.arange(total))
    cluster = kernels.trees(parent)
    (batch,) = kernels.clusters(lambda: rho, lambda: cluster, tau)(iter(candidates))
    return [tuple(row.values()) for row in batch.to_pylist()]


def picked(rows, which):
    ends = np.cumsum(rows.width)
    at = np.flatnonzero(which)
    inside = np.concatenate([np.arange(ends[i] - rows.width[i], ends[i]) for i in at] or [np.empty(0, int)])
    return kernels.pack(kernels.Rows(rows.n[at], rows.width[at], rows.columns[inside], rows.values[inside]))


@pytest.mark.parametrize("part_rows", [1, 37, 1000])
@pytest.mark.parametrize("points", [2, 240, 1100])
def test_clusters_are_those_of_one_machine_for_parts_of_any_size(con, points, part_rows):
    if points > 1000 and part_rows == 1:
        pytest.skip("a thousand parts of one point are slow, and show no more than 240 do")
    embeddings = blobs(points)
    con.register("points", arrow(embeddings))
    sql = call("cluster_embeddings", "points", k=10, sigma=0.1, tau=0.7, method="exact")
    expected = con.sql(f"SELECT id, cluster_id, parent_id, delta, density, is_peak {sql} ORDER BY id").fetchall()
    assert stages(con, embeddings, 10, part_rows) == expected


def test_equal_distances_go_to_the_denser_and_then_to_the_smaller():
    rows = kernels.Rows(np.array([3]), np.array([4]), np.array([0, 1, 2, 4]), np.array([0.5, 0.5, 0.5, 0.1]))
    rho = np.array([2.0, 3.0, 3.0, 1.0, 0.5])
    (batch,) = kernels.parents(lambda: rho)(kernels.pack(rows))
    assert batch.to_pylist() == [{"n": 3, "parent": 1, "delta": 0.5}]


def test_rows_are_read_with_large_offsets_too():
    rows = kernels.Rows(np.array([3, 4]), np.array([2, 1]), np.array([0, 1, 2], np.uint32), np.array([0.5, 0.5, 1.0]))
    (batch,) = kernels.pack(rows)
    large = batch.cast(pa.schema([("n", pa.int32()), ("columns", pa.large_binary()), ("values", pa.large_binary())]))
    for found in (kernels.unpack(batch), kernels.unpack(large.slice(1))):
        assert found.columns.tolist() == rows.columns[-len(found.columns) :].tolist()
        assert found.values.tolist() == rows.values[-len(found.values) :].tolist()
        assert found.width.tolist() == rows.width[-len(found.width) :].tolist()


def test_kernels_and_plan_do_without_spark():
    code = (
        "import sys; sys.modules['pyspark'] = None; from density_peaks_spark import kernels, plan; plan(9, 8, 7, 1, 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_trees_are_numbered_by_their_smallest_points():
    assert kernels.trees(np.array([3, 1, 1, 3, 5, 5, 4])).tolist() == [0, 1, 1, 0, 2, 2, 2]


def test_floats_order_as_their_bits_do():
    values = np.array([-3.5, -1e-30, -0.0, 0.0, 1e-30, 2.0, np.inf], np.float32)
    bits = kernels.ordered(values)
    assert (np.diff(bits.astype(np.int64)) > 0).all()
    assert np.array_equal(kernels.unordered(bits).view(np.uint32), values.view(np.uint32))


def test_the_plane_is_the_smallest_that_fits_where_slots_are_few():
    assert plane.choose(100_000, 128, 20, 1 << 40, 1).m == 2
    fitting = plane.choose(5_200_000, 256, 80, 4 << 30, 8)
    assert fitting.line_bytes(256, 80) + plane.WORKER_BYTES <= 4 << 30
    with pytest.raises(ValueError, match="raise spark.executor.memoryOverhead"):
        plane.choose(10**9, 1024, 80, 1 << 28, 8)

"""Scores against scikit-learn's, and BCubed against its definition, over types, groups, NULLs and threads."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, connect
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import pair_confusion_matrix

SCORES = """[pairwise_f({0}).precision, pairwise_f({0}).recall, pairwise_f({0}).f,
             bcubed_f({0}).precision, bcubed_f({0}).recall, bcubed_f({0}).f,
             adjusted_rand({0}), normalized_mutual_info({0})]"""


def scores(columns="label, cluster"):
    return SCORES.format(columns)


def divided(part, whole):
    return part / whole if whole else None


def expected(labels, clusters):
    """The same eight values, each from its definition or from scikit-learn."""
    (_, wrong), (missed, together) = pair_confusion_matrix(labels, clusters).tolist()
    label, cluster = np.asarray(labels), np.asarray(clusters)
    both = np.array([((label == a) & (cluster == b)).sum() for a, b in zip(label, cluster, strict=True)])
    precision = (both / [(cluster == b).sum() for b in cluster]).mean()
    recall = (both / [(label == a).sum() for a in label]).mean()
    return [
        divided(together, together + wrong),
        divided(together, together + missed),
        divided(2 * together, 2 * together + wrong + missed),
        precision,
        recall,
        2 * precision * recall / (precision + recall),
        adjusted_rand_score(labels, clusters),
        normalized_mutual_info_score(labels, clusters),
    ]


def close(found, wanted):
    assert [value is None for value in found] == [value is None for value in wanted]
    pairs = [pair for pair in zip(found, wanted, strict=True) if pair[0] is not None]
    return [a for a, _ in pairs] == pytest.approx([b for _, b in pairs], abs=1e-12, rel=1e-12)


def drawn(rows, labels, clusters, agreement, seed):
    """Labels, and clusters that follow them for a share of the rows."""
    random = np.random.default_rng(seed)
    label = random.integers(labels, size=rows)
    follows = random.random(rows) < agreement
    return label, np.where(follows, label % clusters, random.integers(clusters, size=rows))


SHAPES = {
    "few large": (3000, 4, 5, 0.7),
    "many small": (3000, 1200, 1300, 0.9),
    "independent": (3000, 7, 9, 0.0),
    "the same": (3000, 300, 300, 1.0),
    "labels within clusters": (3000, 100, 10, 1.0),
    "one label": (500, 1, 30, 0.5),
    "one cluster": (500, 30, 1, 0.5),
    "one of both": (500, 1, 1, 0.5),
    "nearly all alone": (500, 100_000, 100_000, 0.5),
    "two rows": (2, 2, 2, 0.5),
    "one row": (1, 3, 3, 0.5),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_scores_are_scikit_learns(shape, threads):
    label, cluster = drawn(*SHAPES[shape], seed=3)
    points = pd.DataFrame({"label": label, "cluster": cluster})
    with connect(threads=threads) as con:
        (found,) = con.execute(f"SELECT {scores()} FROM points").fetchone()
    assert close(found, expected(label, cluster)), points.shape


# Ten values of each type, of i; some equal ones among them.
TYPES = [
    "(i > 4)", "i::TINYINT", "(-i)::SMALLINT", "i::INTEGER", "i - 7", "i::HUGEINT << 70", "i::UTINYINT", "i::USMALLINT",
    "i::UINTEGER", "i::UBIGINT", "i::UHUGEINT << 100", "i::FLOAT / 3", "i / 3", "i::DECIMAL(4, 1)", "i::DECIMAL(9, 2)",
    "i::DECIMAL(18, 3)", "i::DECIMAL(38, 3)", "i::BIGNUM", "'x' || i", "repeat('long', 9) || i",
    "repeat(chr(0), i::INTEGER)",
    "(i || 'x')::BLOB", "i::TINYINT::BIT", "repeat('0', i::INTEGER + 1)::BIT", "md5(i::VARCHAR)::UUID",
    "'1999-12-31'::DATE + i::INTEGER", "'00:00:00'::TIME + to_seconds(i)", "(10 + i || ':00:00+0' || (i % 10))::TIMETZ",
    "'1969-12-31'::TIMESTAMP + to_days(i::INTEGER)", "to_timestamp(i)", "make_timestamp(i * 1000000)::TIMESTAMP_S",
    "make_timestamp(i)::TIMESTAMP_NS", "CASE WHEN i < 5 THEN to_days(30 * i::INTEGER) ELSE to_months(i::INTEGER - 5) END",
    "('l' || i % 10)::ENUM ('l9', 'l8', 'l7', 'l6', 'l5', 'l4', 'l3', 'l2', 'l1', 'l0')",
    "[0.0::DOUBLE, '-0', 'nan', '-nan', 'inf', '-inf', 1, 2, 3, 4][i + 1]",
    "[0.0::FLOAT, '-0', 'nan', '-nan', 'inf', '-inf', 1, 2, 3, 4][i + 1]",
    "{'zero': [0.0::DOUBLE, '-0', 'nan', '-nan', 'inf', '-inf', 1, 2, 3, 4][i + 1]}",
    "[CASE WHEN i < 5 THEN to_days(30 * i::INTEGER) ELSE to_months(i::INTEGER - 5) END]",
    "{'tens': i // 10, 'rest': [i % 10, NULL]}", "row(i, 'a')", "[i, NULL, i]", "[[], [NULL], [''], ['NULL'], ['a', 'b'], "
    "['a, b'], ['ab'], ['a', ''], ['', 'a'], [NULL, NULL]][i + 1]", "array_value(i, 1)", "MAP {i: 'v'}",
    "CASE WHEN i < 5 THEN union_value(number := i)::UNION(number BIGINT, word VARCHAR) "
    "ELSE (i - 5)::VARCHAR::UNION(number BIGINT, word VARCHAR) END",
    "{'a': CASE WHEN i < 5 THEN {'b': i} END}",
]  # fmt: skip


@pytest.mark.parametrize("value", TYPES)
def test_any_type_is_counted_as_duckdb_groups_it(con, value):
    """As labels, as clusters, and as both, against the smallest i of each group."""
    con.execute(f"""
        CREATE TABLE named AS
        SELECT i, v, min(i) OVER (PARTITION BY v) AS n FROM (SELECT i, {value} AS v FROM range(10) t(i));
        INSERT INTO named VALUES (10, NULL, NULL), (11, NULL, NULL);
        CREATE TABLE points AS SELECT a.n AS l, b.n AS c, a.v AS lv, b.v AS cv
        FROM (SELECT hash(i) % 11 AS l, hash(i // 3) % 12 AS c FROM range(3000) t(i))
        JOIN named a ON a.i = l JOIN named b ON b.i = c
    """)
    (numbers, both, label, cluster) = con.execute(
        f"SELECT {scores('l, c')}, {scores('lv, cv')}, {scores('lv, c')}, {scores('l, cv')} FROM points"
    ).fetchone()
    assert numbers[0] is not None
    assert both == numbers
    assert label == numbers
    assert cluster == numbers


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("cast", ["BIGINT", "VARCHAR"])
def test_groups_filters_and_nulls(threads, cast):
    """Each group by scikit-learn: rows without a label dropped, those without a cluster each a new one."""
    label, cluster = drawn(9000, 40, 50, 0.8, seed=5)
    random = np.random.default_rng(6)
    points = pd.DataFrame({"g": random.integers(9, size=9000), "label": label, "cluster": cluster})
    points["x"] = random.random(9000)
    points["label"] = points["label"].astype("Int64").mask(random.random(9000) < 0.05)
    points["cluster"] = points["cluster"].astype("Int64").mask(random.random(9000) < 0.05)
    columns = f"label::{cast}, cluster::{cast}"
    kept = SCORES.replace("({0})", "({0}) FILTER (x < 0.3)").format(columns)
    with connect(threads=threads) as con:
        found = con.execute(f"SELECT g, {scores(columns)}, {kept} FROM points GROUP BY g ORDER BY g").fetchall()
    assert len(found) == 9
    points = points.dropna(subset="label")
    points["cluster"] = points["cluster"].fillna(pd.Series(1000 + np.arange(len(points)), index=points.index))
    for g, of_all, of_kept in found:
        group = points[points["g"] == g].astype({"label": int, "cluster": int})
        assert close(of_all, expected(group["label"].to_numpy(), group["cluster"].to_numpy()))
        group = group[group["x"] < 0.3]
        assert close(of_kept, expected(group["label"].to_numpy(), group["cluster"].to_numpy()))


def test_the_bits_do_not_depend_on_order_or_threads():
    results = set()
    for threads in (1, 2, 4):
        for order in ("i", "hash(i)", "label, cluster"):
            with connect(threads=threads) as con:
                con.execute(f"""
                    CREATE TABLE points AS
                    SELECT 'l' || hash(i) % 9000 AS label, hash(i // 3) % 9999 AS cluster
                    FROM range(400000) t(i) ORDER BY {order}
                """)
                results.add(str(con.execute(f"SELECT {scores()} FROM points").fetchone()))
    assert len(results) == 1


def test_many_small_groups_are_those_of_plain_sql(con):
    """100,000 groups of 5 rows, where plain SQL needs no more than the counts of pairs."""
    con.execute("""
        CREATE TABLE points AS
        SELECT i // 5 AS g, hash(i) % 3 AS l, 'c' || hash(i + 1) % 3 AS c FROM range(500000) t(i)""")
    different = con.execute("""
        SELECT count(*), count(*) FILTER (found IS DISTINCT FROM expected) FROM
            (SELECT g, pairwise_f(l, c).f AS found FROM points GROUP BY g)
        JOIN (SELECT a.g, 2 * count(*) FILTER (a.l = b.l AND a.c = b.c)
                  / nullif(count(*) FILTER (a.l = b.l) + count(*) FILTER (a.c = b.c), 0) AS expected
              FROM (SELECT *, row_number() OVER (PARTITION BY g) AS r FROM points) a
              JOIN (SELECT *, row_number() OVER (PARTITION BY g) AS r FROM points) b ON a.g = b.g AND a.r < b.r
              GROUP BY a.g) USING (g)
    """).fetchone()
    assert different == (100000, 0)


def test_scores_are_those_of_the_reference(con):
    """sql/reference/scores.sql, on the songs."""
    con.execute(f"""
        CREATE TABLE labels AS SELECT id, label FROM '{ROOT / "data" / "songs.parquet"}';
        CREATE TABLE clusters AS SELECT id, label // 3 AS cluster_id FROM labels
    """)
    con.execute((ROOT / "sql" / "reference" / "scores.sql").read_text())
    reference = con.execute("SELECT columns('pairwise|bcubed') FROM scores").fetchone()
    (found,) = con.execute(f"SELECT {scores('label, cluster_id')} FROM clusters JOIN labels USING (id)").fetchone()
    assert close(found[:6], list(reference))

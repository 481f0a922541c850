"""sql/recipes against independent formulations."""

import numpy as np
import pytest
from conftest import ROOT, shared_file
from sklearn.metrics.cluster import pair_confusion_matrix

RECIPES = ROOT / "sql" / "recipes"
COLUMNS = "identities, faces, smallest, largest, densest, sparsest, pairwise_precision, pairwise_recall, bcubed_f"


def create(con, path, arguments):
    con.execute(f"""
        CREATE TABLE faces AS SELECT id, label, embedding FROM '{path}';
        CREATE TABLE clusters AS SELECT id, cluster_id FROM cluster_embeddings('faces', {arguments});
    """)


def subsets(labels, vectors):
    """The labels of each subset, with sizes and sparsities from every pair of rows."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    sizes, sparsities = {}, {}
    for label in np.unique(labels):
        rows = vectors[labels == label]
        if len(rows) > 1:
            sizes[label] = len(rows)
            cosines = (rows @ rows.T)[~np.eye(len(rows), dtype=bool)]
            sparsities[label] = round(1 - cosines.mean(), 9)
    of = {}
    for name, ranked in (
        ("sz", sorted(sizes, key=lambda label: (-sizes[label], label))),
        ("sp", sorted(sizes, key=lambda label: (sparsities[label], label))),
    ):
        of |= {f"{name}-{at + 1}": part for at, part in enumerate(np.array_split(ranked, 5))}
    return of, sizes, sparsities


def expected(part, labels, clusters, sizes, sparsities):
    rows = np.isin(labels, part)
    label, cluster = labels[rows], clusters[rows]
    (_, wrong), (missed, together) = pair_confusion_matrix(label, cluster).tolist()
    both = np.array([((label == a) & (cluster == b)).sum() for a, b in zip(label, cluster, strict=True)])
    precision = (both / [(cluster == b).sum() for b in cluster]).mean()
    recall = (both / [(label == a).sum() for a in label]).mean()
    return (
        len(part), len(label), min(sizes[a] for a in part), max(sizes[a] for a in part),
        min(sparsities[a] for a in part), max(sparsities[a] for a in part),
        together / (together + wrong), together / (together + missed), 2 * precision * recall / (precision + recall),
    )  # fmt: skip


@pytest.mark.parametrize("file", ["songs", "lfw_lowres24_mobilefacenet"])
def test_hard_clusters_are_those_of_all_pairs(con, file):
    path = ROOT / "data" / "songs.parquet" if file == "songs" else shared_file(f"{file}.parquet")
    create(con, path, "k := 10, sigma := 0.08, tau := 0.65")
    con.execute((RECIPES / "hard_clusters.sql").read_text())
    found = dict((row[0], row[1:]) for row in con.execute(f"SELECT subset, {COLUMNS} FROM hard_clusters").fetchall())
    points = con.execute("SELECT label, cluster_id, embedding FROM faces JOIN clusters USING (id)").fetchnumpy()
    labels, clusters = np.array(points["label"]), np.array(points["cluster_id"])
    parts, sizes, sparsities = subsets(labels, np.stack(points["embedding"]).astype(np.float64))
    assert list(found) == ["sz-1", "sz-2", "sz-3", "sz-4", "sz-5", "sp-1", "sp-2", "sp-3", "sp-4", "sp-5"]
    for name, part in parts.items():
        wanted = expected(part, labels, clusters, sizes, sparsities)
        assert found[name][:4] == wanted[:4], name
        assert found[name][4:] == pytest.approx(wanted[4:], abs=2e-9), name


def test_hard_clusters_of_any_types_with_rows_that_are_in_no_cluster(con):
    """Labels and ids of text, embeddings as arrays, a label that is NULL, and a row without a cluster."""
    con.execute("""
        CREATE TABLE faces AS
        SELECT 'f' || i AS id, nullif('person ' || i // 3, 'person 9') AS label,
               [1 + i % 3, i % 7, i // 3]::FLOAT[3] AS embedding
        FROM range(60) t(i);
        CREATE TABLE clusters AS
        SELECT id, md5(label)::UUID AS cluster_id FROM faces WHERE id <> 'f0' AND label IS NOT NULL
    """)
    con.execute((RECIPES / "hard_clusters.sql").read_text())
    rows = con.execute("""
        SELECT subset[:2] AS ranking, sum(identities), sum(faces), min(pairwise_precision) FROM hard_clusters
        GROUP BY ranking ORDER BY ranking""").fetchall()
    assert rows == [("sp", 19, 57, 1.0), ("sz", 19, 57, 1.0)]
    # Of the 12 pairs of the first four identities two are lost with f0.
    (recall,) = con.execute("SELECT pairwise_recall FROM hard_clusters WHERE subset = 'sz-1'").fetchone()
    assert recall == pytest.approx(10 / 12)

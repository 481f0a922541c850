"""sql/recipes against independent formulations."""

import numpy as np
import pytest
from conftest import ROOT, shared_file
from sklearn.ensemble import HistGradientBoostingClassifier
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


def pair_features(con, k):
    """The recipe's features of each edge of the songs' graph, and whether its ends share a label."""
    con.execute(f"""
        CREATE TABLE faces AS FROM '{ROOT / "data" / "songs.parquet"}';
        CREATE TABLE g AS FROM knn_graph('faces', k := {k});
    """)
    con.execute((RECIPES / "pair_features.sql").read_text())
    return con.execute("""
        SELECT f.*, a.label, a.label = b.label AS same
        FROM pair_features f JOIN faces a ON a.id = f.src JOIN faces b ON b.id = f.dst ORDER BY f.src, f.rank""").df()


def test_pair_features_are_those_of_dense_matrices(con):
    k = 6
    found = pair_features(con, k)
    ids, vectors = con.execute("SELECT id, embedding FROM faces ORDER BY id").fetchnumpy().values()
    at = dict(zip(np.array(ids).tolist(), range(len(ids)), strict=True))
    vectors = np.stack(vectors).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = np.maximum(1 - vectors @ vectors.T, 0)
    src, dst = (found[end].map(at).to_numpy() for end in ("src", "dst"))
    graph = np.full_like(distances, np.inf)
    graph[src, dst] = distances[src, dst]
    rank = np.zeros_like(distances)
    rank[src, dst] = found["rank"]
    rows = np.sort(graph, axis=1)[:, :k]
    np.fill_diagonal(graph, 0)

    def tpdi(sigma):
        weights = np.exp(-graph / sigma)
        roots = np.sqrt(weights / weights.sum(axis=1, keepdims=True))
        return 1 - (roots @ roots.T)[src, dst]

    with np.errstate(divide="ignore", invalid="ignore"):
        expected = {
            "distance": distances[src, dst],
            "rank_back": np.where(rank[dst, src] > 0, rank[dst, src], np.nan),
            "tpdi_wide": tpdi(0.1),
            "tpdi_narrow": tpdi(0.05),
            "nearer_src": (rows.mean(axis=1)[src] - distances[src, dst]),
            "nearer_dst": (rows.mean(axis=1)[dst] - distances[src, dst]),
            "ratio_src": distances[src, dst] / rows[:, :5].mean(axis=1)[src],
            "ratio_dst": distances[src, dst] / rows[:, :5].mean(axis=1)[dst],
        }
    assert len(found) == len(ids) * k
    for name, values in expected.items():
        # Copies of a song have distances of rounding alone, whose ratios say nothing.
        some = (rows[:, 4][src] > 1e-3) & (rows[:, 4][dst] > 1e-3) if name.startswith("ratio") else np.full(len(src), True)
        column = found[name].to_numpy(dtype=float, na_value=np.nan)
        assert column[some] == pytest.approx(values[some], abs=1e-4, nan_ok=True), name


def test_edges_that_a_classifier_scored_give_better_clusters(con):
    """The classifier learns from one half of the labels, its edges are clustered and judged on the other half."""
    found = pair_features(con, 10)
    columns = [name for name in found.columns if name not in ("src", "dst", "label", "same")]
    learn = found["label"] % 2 == 0
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0)
    model.fit(found.loc[learn, columns].astype(float), found.loc[learn, "same"])
    scored = found[["src", "dst"]].copy()
    scored["similarity"] = model.predict_proba(found[columns].astype(float))[:, 1] ** 4
    scores = dict(con.execute("""
        WITH learned AS (FROM dpc_cluster(ndde(transition_matrix('scored')), tpdi(transition_matrix('scored')), tau := 0.5)),
        cosine AS (FROM cluster_embeddings('faces', k := 10, sigma := 0.08, tau := 0.65))
        SELECT edges, bcubed_f(label, cluster_id).f
        FROM (SELECT 'learned' AS edges, * FROM learned UNION ALL SELECT 'cosine', * FROM cosine) JOIN faces USING (id)
        WHERE label % 2 = 1 GROUP BY edges""").fetchall())
    assert scores["learned"] > scores["cosine"] > 0.95

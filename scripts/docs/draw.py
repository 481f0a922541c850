"""Draws the pictures of the pages, docs/pictures/*.png.

The songs are in this repository; the pictures of faces, which show counts and scores only, stay as they are where
../shared/data is missing.
"""

import sys
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from pictures import RECIPES, picture, places, png  # noqa: E402
from run_sql import ROOT, connect  # noqa: E402


def clustered(path: Path, rows: str, graph: str, transition: str, tau: float) -> duckdb.DuckDBPyConnection:
    """A connection with faces, p, clusters, sweep and hard_clusters of the rows of a file, and the pictures' macros."""
    con = connect()
    con.execute(f"""
        CREATE TABLE faces AS FROM '{path}' WHERE {rows};
        CREATE TABLE p AS FROM transition_matrix(knn_graph('faces', {graph}), {transition});
        CREATE TABLE clusters AS FROM dpc_cluster(ndde('p'), tpdi('p'), tau := {tau});
        CREATE TABLE sweep AS
        FROM tau_sweep(ndde('p'), tpdi('p'), taus := [x / 100 FOR x IN range(30, 100, 2)], labels := 'faces')""")
    for recipe in "hard_clusters.sql", "pictures.sql":
        con.execute((RECIPES / recipe).read_text())
    return con


def songs() -> dict[str, dict]:
    """Every picture, of the songs, by its file's name."""
    con = clustered(ROOT / "data" / "songs.parquet", "true", "k := 10", "sigma := 0.08", 0.65)
    con.execute("CREATE VIEW titles AS SELECT c.*, title FROM clusters c JOIN faces USING (id)")
    con.register("places", places(con, "clusters", "faces"))
    calls = {
        "decision_graph": "picture_decision_graph('clusters', tau := 0.65)",
        "sizes": "picture_sizes('clusters')",
        "tau_scores": "picture_tau_scores('sweep')",
        "tau_clusters": "picture_tau_clusters('sweep')",
        "hard_clusters": "picture_hard_clusters('hard_clusters')",
        "map": "picture_map('places')",
        "tree": "picture_tree('titles', 563, name := 'title')",
    }
    return {name: picture(con, f"FROM {call}") for name, call in calls.items()}


def faces() -> dict[str, dict]:
    """Scores of faces against tau, and of hard clusters, as docs/results.md shows them."""
    of = {}
    for name, file, title in (
        ("lfw", "lfw_mobilefacenet", "LFW, test half"),
        ("lfw24", "lfw_lowres24_mobilefacenet", "LFW at 24 x 24 pixels, test half"),
    ):
        path = ROOT.parent / "shared" / "data" / f"{file}.parquet"
        if not path.exists():
            print(f"{title}: no {path.name}, left as it is")
            continue
        con = clustered(path, "split = 'test'", "k := 80", "sigma := 0.1", 0.7)
        for kind, call in ("tau_scores", "tau_scores('sweep')"), ("hard_clusters", "hard_clusters('hard_clusters')"):
            specification = picture(con, f"FROM picture_{call}")
            specification["title"]["text"] = f"{title}: {specification['title']['text'].lower()}"
            of[f"{name}_{kind}"] = specification
    return of


if __name__ == "__main__":
    folder = ROOT / "docs" / "pictures"
    folder.mkdir(exist_ok=True)
    for file, specification in (songs() | faces()).items():
        (folder / f"{file}.png").write_bytes(png(specification))

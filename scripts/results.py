"""Scores on labelled data, as docs/results.md has them: results.py [--write]

Reads data/songs.parquet, and of ../shared/data what is there; without one of its files that section of the page stays
as it is. No face data is written, only counts and scores.
"""

import re
import sys

from run_sql import ROOT, connect

PAGE = ROOT / "docs" / "results.md"
SHARED = ROOT.parent / "shared" / "data"
RECIPE = (ROOT / "sql" / "recipes" / "hard_clusters.sql").read_text()
# Section -> file, rows, arguments.
FACES, SONGS, TEST = "k := 80, tau := 0.7", "k := 10, sigma := 0.08, tau := 0.65", "split = 'test'"
RUNS = {
    "LFW, test half": (SHARED / "lfw_mobilefacenet.parquet", TEST, FACES),
    "LFW at 24 x 24 pixels, test half": (SHARED / "lfw_lowres24_mobilefacenet.parquet", TEST, FACES),
    "MusicBrainz 20K, test half": (SHARED / "musicbrainz20k_minilm.parquet", TEST, SONGS),
    "Songs of this repository": (ROOT / "data" / "songs.parquet", "true", SONGS),
}
GRID_K, GRID_SIGMA = (5, 20, 80), (0.03, 0.06, 0.08, 0.1, 0.12)
GRID_TAU = [round(0.4 + 0.025 * step, 3) for step in range(24)]
PAIRWISE, BCUBED = ["pairwise P", "R", "F"], ["BCubed P", "R", "F"]


def cell(value: str | float | None) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.4f}"
        case int():
            return f"{value:,}"
    return value


def table(header: list[str], rows: list[tuple]) -> str:
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *[[cell(value) for value in row] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def section(name: str) -> str:
    path, rows, arguments = RUNS[name]
    con = connect()
    con.execute(f"CREATE TABLE faces AS SELECT id, label, embedding FROM '{path}' WHERE {rows}")
    con.execute(f"CREATE TABLE clusters AS FROM cluster_embeddings('faces', {arguments})")
    con.execute(RECIPE)
    whole = con.execute("""
        SELECT 'all', count(DISTINCT label), count(*), count(DISTINCT cluster_id), pairwise_f(label, cluster_id).f,
               bcubed_f(label, cluster_id).f, adjusted_rand(label, cluster_id), normalized_mutual_info(label, cluster_id)
        FROM faces JOIN clusters USING (id)""").fetchall()
    subsets = con.execute("""
        SELECT subset, identities, faces,
               CASE smallest WHEN largest THEN smallest::VARCHAR ELSE largest || ' to ' || smallest END,
               printf('%.2f to %.2f', densest, sparsest),
               COLUMNS('_(precision|recall|f)$') FROM hard_clusters""").fetchall()
    return f"""`{path.name}`, `{arguments}`

{table(["", "identities", "rows", "clusters", "pairwise F", "BCubed F", "adjusted Rand", "NMI"], whole)}

{table(["subset", "identities", "rows", "size", "sparsity", *PAIRWISE, *BCUBED], subsets)}
"""


def without_labels() -> str:
    """BCubed F of the best sigma and tau by the labels, of the defaults, and of sigma := 'auto'."""
    rows = []
    for name, (path, split, _) in RUNS.items():
        con = connect()
        con.execute(f"CREATE TABLE faces AS SELECT id, label, embedding FROM '{path}' WHERE {split}")
        best = (0.0,)
        for k in GRID_K:
            con.execute(f"CREATE OR REPLACE TABLE g AS FROM knn_graph('faces', k := {k})")
            for sigma in GRID_SIGMA:
                con.execute(f"CREATE OR REPLACE TABLE p AS FROM transition_matrix('g', sigma := {sigma})")
                sweep = f"FROM tau_sweep(ndde('p'), tpdi('p'), taus := {GRID_TAU}, labels := 'faces')"
                found = con.execute(f"SELECT bcubed_f, tau {sweep} ORDER BY ALL DESC LIMIT 1").fetchone()
                best = max(best, (found[0], f"{k}, {sigma}, {found[1]}"))
        score = "SELECT bcubed_f(label, cluster_id).f FROM faces JOIN cluster_embeddings('faces'{}) USING (id)"
        plain, auto = (con.execute(score.format(more)).fetchone()[0] for more in ("", ", sigma := 'auto'"))
        rows.append((name, best[1], best[0], plain, auto))
    return table(["", "best k, sigma, tau", "best", "default", "sigma := 'auto'"], rows)


def main(write: bool) -> None:
    page = PAGE.read_text()
    if all(path.exists() for path, _, _ in RUNS.values()):
        text = without_labels()
        page = re.sub(r"(?<=<!-- without labels -->\n\n).*?(?=\n\n)", lambda _: text, page, flags=re.DOTALL)
        if not write:
            print(text)
    for name, (path, _, _) in RUNS.items():
        if not path.exists():
            print(f"{name}: no {path.name}, left as it is")
            continue
        text = section(name)
        if not write:
            print(f"## {name}\n\n{text}")
        pattern = re.compile(rf"(?<=\n## {re.escape(name)}\n\n).*?(?=\n## |\Z)", re.DOTALL)
        page, found = pattern.subn(lambda _, text=text: text, page)
        assert found == 1, f"{PAGE.name} has no section {name}"
    if write:
        PAGE.write_text(page)


if __name__ == "__main__":
    main("--write" in sys.argv[1:])

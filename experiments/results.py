"""Scores on labelled data, as docs/results.md has them: results.py [--write]

Reads data/songs.parquet, and of ../shared/data what is there; without one of its files that section of the page stays
as it is. No face data is written, only counts and scores.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from run_sql import ROOT, connect  # noqa: E402

PAGE = ROOT / "docs" / "results.md"
SHARED = ROOT.parent / "shared" / "data"
RECIPE = (ROOT / "sql" / "recipes" / "hard_clusters.sql").read_text()
# Section -> file, rows, arguments, and what its pictures' names begin with in docs/pictures, by scripts/docs/draw.py.
FACES, SONGS = "k := 80, sigma := 0.1, tau := 0.7", "k := 10, sigma := 0.08, tau := 0.65"
TEST = "split = 'test'"
RUNS = {
    "LFW, test half": (SHARED / "lfw_mobilefacenet.parquet", TEST, FACES, "lfw_"),
    "LFW at 24 x 24 pixels, test half": (SHARED / "lfw_lowres24_mobilefacenet.parquet", TEST, FACES, "lfw24_"),
    "MusicBrainz 20K, test half": (SHARED / "musicbrainz20k_minilm.parquet", TEST, SONGS, None),
    "Songs of this repository": (ROOT / "data" / "songs.parquet", "true", SONGS, ""),
}
# New rows.
NEW_ROWS = {
    "LFW": SHARED / "lfw_mobilefacenet.parquet",
    "LFW at 24 x 24 pixels": SHARED / "lfw_lowres24_mobilefacenet.parquet",
    "MusicBrainz 20K": SHARED / "musicbrainz20k_minilm.parquet",
}
DRAWS = 3
GRID_K, GRID_SIGMA = (5, 20, 80), (0.03, 0.06, 0.08, 0.1, 0.12)
GRID_TAU = [round(0.4 + 0.025 * step, 3) for step in range(24)]
# Without labels: file, rows.
UNLABELLED = {name: run[:2] for name, run in RUNS.items()} | {
    "LFW, train half": (SHARED / "lfw_mobilefacenet.parquet", "split = 'train'"),
    "LFW at 24 x 24 pixels, train half": (SHARED / "lfw_lowres24_mobilefacenet.parquet", "split = 'train'"),
    "Cora": (SHARED / "cora_minilm.parquet", "true"),
}
AUTO_K = (10, 20, 30, 40, 80, 160)
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


def marked(page: str, name: str, text: str) -> str:
    """The page with another table behind the mark of this name."""
    pattern = rf"(?<=<!-- {name} -->\n\n).*?(?=\n\n)"
    page, found = re.subn(pattern, lambda _: text, page, flags=re.DOTALL)
    assert found == 1, f"{PAGE.name} has no mark {name}"
    return page


def put(name: str, text: str, write: bool) -> None:
    """Put a table behind its mark in the page, or print it."""
    if write:
        PAGE.write_text(marked(PAGE.read_text(), name, text))
    else:
        print(text)


def section(name: str) -> str:
    path, rows, arguments, pictures = RUNS[name]
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
    shown = "" if pictures is None else f"""
<img src="pictures/{pictures}hard_clusters.png" width="49%" alt="Bars: scores of identities by size and by sparsity">
<img src="pictures/{pictures}tau_scores.png" width="49%" alt="Lines: scores against tau">
"""
    return f"""`{path.name}`, `{arguments}`

{table(["", "identities", "rows", "clusters", "pairwise F", "BCubed F", "adjusted Rand", "NMI"], whole)}

{table(["subset", "identities", "rows", "size", "sparsity", *PAIRWISE, *BCUBED], subsets)}
{shown}"""


def new_rows(_: str) -> str:
    """Where each row of a tenth lands, beside clustering all rows again; the mean of some draws."""
    rows = []
    for name, path in NEW_ROWS.items():
        con = connect()
        con.execute(f"CREATE TABLE faces AS SELECT id, label, embedding FROM '{path}'")
        con.execute(f"CREATE TABLE again AS FROM cluster_embeddings('faces')")
        for draw in range(DRAWS):
            held_out = f"md5_number_lower(concat(id, ' ', {draw})) % 10 = 0"
            con.execute(f"""
                CREATE OR REPLACE VIEW new_rows AS FROM faces WHERE {held_out};
                CREATE OR REPLACE VIEW base AS FROM faces WHERE NOT ({held_out});
                CREATE OR REPLACE TABLE clusters AS FROM cluster_embeddings('base');
                CREATE OR REPLACE TABLE joined AS FROM assign_clusters('new_rows', 'base', 'clusters')""")
            rows.append((name, *con.execute("""
                WITH shared AS (
                    SELECT a.cluster_id, c.cluster_id AS old, count(*) AS n
                    FROM again a JOIN clusters c USING (id) GROUP BY ALL
                ), most AS (SELECT cluster_id, first(old ORDER BY n DESC, old) AS old FROM shared GROUP BY cluster_id),
                labelled AS (
                    SELECT id, cluster_id FROM clusters
                    UNION ALL SELECT id, coalesce(cluster_id, -1 - row_number() OVER (ORDER BY id)) FROM joined
                )
                SELECT (SELECT count(*) FROM joined), (SELECT avg((cluster_id IS NULL)::INTEGER) FROM joined),
                       (SELECT avg((j.cluster_id IS NOT DISTINCT FROM m.old)::INTEGER)
                        FROM joined j JOIN again a USING (id) LEFT JOIN most m ON m.cluster_id = a.cluster_id),
                       (SELECT bcubed_f(label, cluster_id).f FROM labelled JOIN faces USING (id)),
                       (SELECT bcubed_f(label, cluster_id).f FROM again JOIN faces USING (id))""").fetchone()))
    means = [
        (name, *(sum(column) / DRAWS for column in zip(*(row[1:] for row in rows if row[0] == name), strict=True)))
        for name in NEW_ROWS
    ]
    means = [(name, round(new), *shares) for name, new, *shares in means]
    header = ["", "new rows", "joined none", "as in the full run", "BCubed F", "of the full run"]
    return f"""With nothing set, a tenth of the rows, held out at random and given to [assign_clusters](functions/assign_clusters.md) each on its own
once the rest is clustered; the mean of {DRAWS} draws. A row is as in the full run, over all rows, if it joins the cluster that
shares the most old rows with its cluster there (of equal ones that of the smallest id), or none where that one has no old
row. The first BCubed F is over all rows, each that joined none in a cluster of its own.

{table(header, means)}

A new row that would bring two clusters together joins the larger. At 24 pixels no way of looking at
each row on its own is far above that: of 260 new rows, each put through a full run over the old ones and itself, 0.94 are as in the full run
over all. A quarter of those that differ there join a cluster of which the full run has most rows in theirs, with a larger one: where they count
as the same, 0.96 are. With a fifth new [assign_clusters](functions/assign_clusters.md) has 0.92 of CLINC150's test half (a full run for each: 0.97 of 123 rows),
0.99 of the songs and of Cora.
"""


def swept(con, sigmas, taus) -> list[tuple[float, float, float]]:
    """BCubed F of the paper's pipeline over the graph `g` of `faces`, by sigma and tau."""
    found = []
    for sigma in sigmas:
        con.execute(f"CREATE OR REPLACE TABLE p AS FROM transition_matrix('g', sigma := {sigma})")
        sweep = f"FROM tau_sweep(ndde('p'), tpdi('p'), taus := {list(taus)}, labels := 'faces')"
        found += [(score, sigma, tau) for score, tau in con.execute(f"SELECT bcubed_f, tau {sweep}").fetchall()]
    return found


def without_labels() -> str:
    """BCubed F of the best k, sigma and tau by the labels, of the paper's numbers, and with nothing else set than k."""
    rows = []
    for name, (path, split) in UNLABELLED.items():
        con = connect()
        con.execute(f"CREATE TABLE faces AS SELECT id, label, embedding FROM '{path}' WHERE {split}")
        best = (0.0,)
        for k in GRID_K:
            con.execute(f"CREATE OR REPLACE TABLE g AS FROM knn_graph('faces', k := {k})")
            for score, sigma, tau in swept(con, GRID_SIGMA, GRID_TAU):
                best = max(best, (score, f"{k}, {sigma}, {tau}"))
        score = "SELECT bcubed_f(label, cluster_id).f FROM faces JOIN cluster_embeddings('faces'{}) USING (id)"
        calls = [f", {FACES}", *(f", k := {k}" for k in AUTO_K)]
        rows.append((name, best[1], best[0], *(con.execute(score.format(more)).fetchone()[0] for more in calls)))
    return table(["", "best k, sigma, tau", "best", "the paper's", *(f"k {k}" for k in AUTO_K)], rows)


def strengths(_: str) -> str:
    """Of rows of a strength the part that is right, by tenths."""
    rows = []
    for name, (path, split) in UNLABELLED.items():
        con = connect()
        con.execute(f"CREATE TABLE faces AS SELECT id, label, embedding FROM '{path}' WHERE {split}")
        found = con.execute("""
            WITH clusters AS MATERIALIZED (SELECT * FROM cluster_embeddings('faces') JOIN faces USING (id)),
            sizes AS (SELECT cluster_id, count(*) AS size FROM clusters GROUP BY ALL),
            alike AS (SELECT cluster_id, label, count(*) AS same FROM clusters GROUP BY ALL),
            rows AS (SELECT least(floor(strength * 10), 9)::INTEGER AS tenth, 2 * (same - 1) >= size - 1 AS correct
                     FROM clusters JOIN sizes USING (cluster_id) JOIN alike USING (cluster_id, label)
                     WHERE strength IS NOT NULL)
            SELECT tenth, avg(correct::INTEGER), count(*) FROM rows GROUP BY ALL""").fetchall()
        parts = {tenth: f"{right:.2f} ({n:,})" for tenth, right, n in found}
        rows.append((name, *(parts.get(tenth, "") for tenth in range(3, 10))))
    header = ["", *(f"{tenth / 10:.1f} to {(tenth + 1) / 10:.1f}" for tenth in range(3, 10))]
    return f"""Of the rows in clusters of at least two, by their strength with nothing set: the part that is right, and how many they
are. A row is right if at least half of the others in its cluster have its label.

{table(header, rows)}
"""


SECTIONS = {**dict.fromkeys(RUNS, section), "New rows": new_rows, "How sure a row is": strengths}


def files(name: str) -> list[Path]:
    if name in RUNS:
        return [RUNS[name][0]]
    return list(NEW_ROWS.values()) if name == "New rows" else [path for path, _ in UNLABELLED.values()]


def main(write: bool) -> None:
    page = PAGE.read_text()
    if all(path.exists() for path, _ in UNLABELLED.values()):
        text = without_labels()
        page = marked(page, "without labels", text)
        if not write:
            print(text)
    for name, of_section in SECTIONS.items():
        missing = [path.name for path in files(name) if not path.exists()]
        if missing:
            print(f"{name}: no {', '.join(missing)}, left as it is")
            continue
        text = of_section(name)
        if not write:
            print(f"## {name}\n\n{text}")
        pattern = re.compile(rf"(?<=\n## {re.escape(name)}\n\n).*?(?=\n## |\Z)", re.DOTALL)
        page, found = pattern.subn(lambda _, text=text: text, page)
        assert found == 1, f"{PAGE.name} has no section {name}"
    if write:
        PAGE.write_text(page)


if __name__ == "__main__":
    main("--write" in sys.argv[1:])

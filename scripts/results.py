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
# Section -> file, rows, arguments, and what its pictures' names begin with in docs/pictures, by scripts/pictures.py.
FACES, SONGS, TEST = "k := 80, tau := 0.7", "k := 10, sigma := 0.08, tau := 0.65", "split = 'test'"
RUNS = {
    "LFW, test half": (SHARED / "lfw_mobilefacenet.parquet", TEST, FACES, "lfw_"),
    "LFW at 24 x 24 pixels, test half": (SHARED / "lfw_lowres24_mobilefacenet.parquet", TEST, FACES, "lfw24_"),
    "MusicBrainz 20K, test half": (SHARED / "musicbrainz20k_minilm.parquet", TEST, SONGS, None),
    "Songs of this repository": (ROOT / "data" / "songs.parquet", "true", SONGS, ""),
}
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


def main(write: bool) -> None:
    page = PAGE.read_text()
    for name, (path, *_) in RUNS.items():
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

"""One page about a clustering, report.html, to look at and to decide in: it opens in any browser and needs no network.

    python scripts/report.py DATABASE --clusters clusters [--source songs] [--image thumbnail] -o report.html

`clusters` has one row a point: what dpc_cluster or cluster_embeddings gave, or an id and a cluster of any other
method (then without what follows from densities and parents). The database is only read.
"""

import argparse
import base64
import hashlib
import io
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import duckdb
import pictures
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from PIL import Image, ImageOps
from pictures import RECIPES, literal
from run_sql import connect

TREE = ("parent_id", "delta", "density", "is_peak")
CELL = 120  # characters of a value that are shown
THUMBNAIL = 96  # pixels


class Refused(Exception):
    """What is wrong with the arguments, and the way out."""


def name(column: str) -> str:
    """A column's name in SQL."""
    return '"' + column.replace('"', '""') + '"'


def columns(con: duckdb.DuckDBPyConnection, relation: str, option: str) -> dict[str, str]:
    """Names and types of a relation's columns."""
    try:
        return {row[0]: row[1] for row in con.execute(f"DESCRIBE FROM query_table({literal(relation)})").fetchall()}
    except duckdb.Error as error:
        tables = con.execute("SELECT DISTINCT name FROM (SHOW TABLES) ORDER BY name").fetchall()
        held = ", ".join(row[0] for row in tables) or "no table"
        raise Refused(f"{option} {relation}: {first_line(error)}\nThe database has {held}") from error


def first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def required(found: dict[str, str], column: str, relation: str, option: str) -> None:
    if column not in found:
        raise Refused(f"{relation} has no column {column}: name one of its columns with {option} ({', '.join(found)})")


@dataclass
class Report:
    """What the page shows; a part that the relations do not give stays empty."""

    con: duckdb.DuckDBPyConnection
    arguments: argparse.Namespace
    metadata: list[str] = field(default_factory=list)
    tree: bool = False
    embedding: bool = False
    shown: int = 0  # points of a cluster at most

    def read(self) -> None:
        """Copies ids, clusters, labels and embeddings to tables of fixed names beside the database."""
        given, con = self.arguments, self.con
        of_clusters = columns(con, given.clusters, "--clusters")
        required(of_clusters, given.id, given.clusters, "--id")
        required(of_clusters, given.cluster, given.clusters, "--cluster")
        self.tree = all(column in of_clusters for column in TREE)
        # Numbers for clusters of any type, as the functions take them; those of dpc_cluster stay as they are.
        con.execute(f"""
            CREATE TABLE page.clusters AS
            SELECT {name(given.id)} AS id, {name(given.cluster)}::VARCHAR AS cluster,
                   CASE WHEN {name(given.cluster)} IS NOT NULL
                        THEN dense_rank() OVER (ORDER BY {name(given.cluster)} NULLS LAST) - 1 END AS cluster_id
                   {", " + ", ".join(TREE) if self.tree else ""}
            FROM query_table({literal(given.clusters)})""")
        self.one_row_an_id("clusters", given.clusters, "--clusters")
        self.read_names()
        if given.source is None:
            for option in ("label", "image", "columns"):
                if getattr(given, option):
                    raise Refused(f"--{option} needs --source, the relation with that column")
            return
        of_source = columns(con, given.source, "--source")
        required(of_source, given.id, given.source, "--id")
        for option in ("label", "image"):
            if column := getattr(given, option):
                required(of_source, column, given.source, f"--{option}")
        if given.image and of_source[given.image] not in ("BLOB", "VARCHAR"):
            held = "images (BLOB) or paths and addresses (VARCHAR)"
            raise Refused(f"--image takes a column of {held}, but {given.image} is {of_source[given.image]}")
        self.embedding = of_source.get(given.embedding, "").endswith("]")
        self.metadata = given.columns or [
            column
            for column, kind in of_source.items()
            if column not in (given.id, given.image, given.embedding) and kind != "BLOB" and not kind.endswith("]")
        ]
        for column in self.metadata:
            required(of_source, column, given.source, "--columns")
        con.execute(f"""
            CREATE TABLE page.faces AS
            SELECT {name(given.id)} AS id {f", {name(given.embedding)} AS embedding" if self.embedding else ""}
                   {f", {name(given.label)} AS label" if given.label else ""}
            FROM query_table({literal(given.source)}) WHERE {name(given.id)} IN (SELECT id FROM page.clusters)""")
        self.one_row_an_id("faces", given.source, "--source")
        if self.embedding:
            # What reads embeddings needs one of every point.
            (without,) = con.execute("""
                SELECT count(*) FROM page.clusters LEFT JOIN page.faces USING (id)
                WHERE cluster_id IS NOT NULL AND embedding IS NULL""").fetchone()
            self.embedding = without == 0

    def read_names(self) -> None:
        """The names of each cluster, of those that most of its points have the three first."""
        given, con = self.arguments, self.con
        con.execute("CREATE TABLE page.names (cluster_id BIGINT, name VARCHAR)")
        if given.names is None:
            return
        found = columns(con, given.names, "--names")
        required(found, given.id, given.names, "--id")
        required(found, given.name, given.names, "--name")
        con.execute(f"""
            INSERT INTO page.names
            SELECT cluster_id, array_to_string(list(name ORDER BY n DESC, name)[:3], ' or ')
            FROM (SELECT cluster_id, given.{name(given.name)}::VARCHAR AS name, count(*) AS n
                  FROM page.clusters JOIN query_table({literal(given.names)}) given ON given.{name(given.id)} = id
                  WHERE cluster_id IS NOT NULL AND given.{name(given.name)} IS NOT NULL GROUP BY ALL)
            GROUP BY cluster_id""")

    def one_row_an_id(self, table: str, relation: str, option: str) -> None:
        rows, ids = self.con.execute(f"SELECT count(*), count(DISTINCT id) FROM page.{table}").fetchone()
        if rows > ids:
            raise Refused(f"{relation} has {rows:,} rows for {ids:,} ids: {option} takes one row for an id")

    def figures(self) -> list[tuple[str, str]]:
        """Key figures, name and value."""
        (points, none, clusters, alone, largest) = self.con.execute("""
            SELECT sum(size) FILTER (cluster_id IS NOT NULL), coalesce(sum(size) FILTER (cluster_id IS NULL), 0),
                   count(cluster_id), count(*) FILTER (size = 1 AND cluster_id IS NOT NULL),
                   max(size) FILTER (cluster_id IS NOT NULL)
            FROM (SELECT cluster_id, count(*) AS size FROM page.clusters GROUP BY cluster_id)""").fetchone()
        if not points:
            raise Refused(f"{self.arguments.clusters} has no rows that are in a cluster: there is nothing to report")
        figures = {"points": points, "clusters": clusters, "clusters of one point": alone, "largest cluster": largest}
        figures |= {"in no cluster": none} if none else {}
        shown = [(label, f"{value:,}") for label, value in figures.items()]
        shown.append(("in clusters of two or more", f"{1 - alone / points:.1%}"))
        if self.arguments.label:
            scores = self.con.execute("""
                SELECT pairwise_f(label, cluster_id).f, bcubed_f(label, cluster_id).f,
                       adjusted_rand(label, cluster_id), normalized_mutual_info(label, cluster_id)
                FROM page.faces JOIN page.clusters USING (id)""").fetchone()
            labels = ("pairwise F", "BCubed F", "adjusted Rand", "NMI")
            scored = zip(labels, scores, strict=True)
            shown += [(label, f"{value:.3f}") for label, value in scored if value is not None]
        return shown

    def drawn(self) -> list[Markup]:
        """The pictures that the relations at hand allow, as SVG."""
        con, given = self.con, self.arguments
        calls = []
        if self.embedding:
            try:
                con.execute("CREATE VIEW page.by_name AS SELECT id, cluster AS cluster_id FROM page.clusters")
                con.register("places", pictures.places(con, "page.by_name", "page.faces"))
                calls.append("picture_map('places')")
            except ValueError:  # too few points
                pass
        calls.append("picture_sizes('page.clusters')")
        if self.tree:
            # A peak is as far as tau or farther from any denser point, the others are nearer. Of the numbers
            # between, the shortest is the likeliest to have been given.
            (tau,) = con.execute("""
                WITH bounds AS (
                    SELECT max(delta) FILTER (NOT is_peak) AS low, min(delta) FILTER (is_peak) AS high
                    FROM page.clusters)
                SELECT min_by(floor(high * 10 ** d) / 10 ** d, d) FROM bounds, range(1, 16) t(d)
                WHERE floor(high * 10 ** d) / 10 ** d > low""").fetchone()
            calls.append(f"picture_decision_graph('page.clusters', tau := {'NULL' if tau is None else tau})")
        if given.transition:
            of = literal(given.transition)
            labels = ", labels := 'page.faces'" if given.label else ""
            con.execute(f"""
                CREATE TABLE page.sweep AS
                FROM tau_sweep(ndde({of}), tpdi({of}), taus := [x / 100 FOR x IN range(30, 100, 2)]{labels})""")
            calls += ["picture_tau_scores('page.sweep')"] if labels else []
            calls.append("picture_tau_clusters('page.sweep')")
        if given.label and self.embedding:
            (database,) = con.execute("SELECT current_database()").fetchone()
            con.execute("USE page")
            con.execute((RECIPES / "hard_clusters.sql").read_text())
            con.execute(f"USE {name(database)}")
            # None where no label has two points.
            (subsets,) = con.execute("SELECT count(*) FROM page.hard_clusters").fetchone()
            calls += ["picture_hard_clusters('page.hard_clusters')"] if subsets else []
        return [self.svg(call) for call in calls]

    def svg(self, call: str) -> Markup:
        # Vega escapes the text that it draws.
        return Markup(pictures.svg(pictures.picture(self.con, f"FROM {call}")))

    def every(self) -> list[dict]:
        """The clusters, largest first, each with its first points: the most central one, then in falling density.

        As many points of each as the page's rows allow, at least one; so with more clusters than rows, the largest.
        """
        con, given = self.con, self.arguments
        summary = "FROM cluster_summary('page.clusters', 'page.faces')"
        if not self.embedding:
            summary = "SELECT NULL::BIGINT cluster_id, NULL medoid_id, NULL::DOUBLE cohesion, NULL::DOUBLE doubt"
        order = "is_peak DESC, density DESC, id" if self.tree else "id"
        con.execute(f"""
            CREATE TABLE page.members AS
            SELECT cluster_id, any_value(cluster) AS cluster, count(*) AS size, any_value(cohesion) AS cohesion,
                   any_value(doubt) AS doubt,
                   list(id::VARCHAR ORDER BY (id = medoid_id) IS TRUE DESC, {order})[:{given.members}] AS ids
            FROM page.clusters LEFT JOIN ({summary}) USING (cluster_id) WHERE cluster_id IS NOT NULL
            GROUP BY cluster_id""")
        (self.shown,) = con.execute(f"""
            SELECT coalesce(max(n), 1) FROM range(1, {given.members + 1}) t(n)
            WHERE (SELECT sum(least(size, n)) FROM page.members) <= {given.rows}""").fetchone()
        found = con.execute(f"""
            SELECT m.cluster_id, cluster, size, names.name, cohesion, doubt, ids[:{self.shown}]
            FROM page.members m LEFT JOIN page.names names USING (cluster_id)
            ORDER BY size DESC, m.cluster_id LIMIT {given.rows}""").fetchall()
        keys = ("number", "cluster", "size", "name", "cohesion", "doubt", "ids")
        return [dict(zip(keys, row, strict=True)) for row in found]

    def trees(self) -> dict[int, Markup]:
        """Each of the largest clusters as a tree of parents."""
        con, given = self.con, self.arguments
        if not self.tree:
            return {}
        # A tree's points bear the first of the columns that were asked for.
        text, source = "c.id::VARCHAR", ""
        if given.columns:
            text = f"coalesce(s.{name(given.columns[0])}::VARCHAR, {text})"
            source = f"LEFT JOIN query_table({literal(given.source)}) s ON s.{name(given.id)} = c.id"
        largest = con.execute(f"""
            SELECT cluster_id, cluster FROM page.members WHERE size > 1
            ORDER BY size DESC, cluster_id LIMIT {given.trees}""").fetchall()
        con.execute(f"""
            CREATE TABLE page.named AS
            SELECT c.* REPLACE (cluster AS cluster_id), left({text}, 60) AS text FROM page.clusters c {source}""")
        return {
            number: self.svg(f"picture_tree('page.named', {literal(cluster)}, name := 'text')")
            for number, cluster in largest
        }

    def merges(self) -> list[dict]:
        """Pairs of clusters that are likely one."""
        if self.embedding:
            return self.pairs(
                "score DESC, pairs.a, pairs.b",
                """
                SELECT score, cluster_id AS a, size AS a_size, id AS a_id,
                       other_cluster_id AS b, other_size AS b_size, other_id AS b_id
                FROM suggest_merges('page.clusters', 'page.faces')""",
            )
        if not (self.tree and self.arguments.transition):
            return []
        of = literal(self.arguments.transition)
        return self.pairs(
            "score, pairs.a",
            f"""
            SELECT m.delta AS score, cluster_id AS a, m.size AS a_size, peak_id AS a_id,
                   other_cluster_id AS b, other_size AS b_size, candidate_id AS b_id
            FROM suggest_merges('page.clusters', ndde({of}), tpdi({of})) m""",
        )

    def splits(self) -> list[dict]:
        """Clusters that are likely two."""
        if self.embedding:
            return self.pairs(
                "score DESC, pairs.a",
                """
                SELECT doubt AS score, cluster_id AS a, size AS a_size, id AS a_id,
                       cluster_id AS b, other_size AS b_size, other_id AS b_id
                FROM suggest_splits('page.clusters', source := 'page.faces')""",
            )
        if not self.tree:
            return []
        return self.pairs(
            "score DESC, pairs.a",
            """
            SELECT delta AS score, cluster_id AS a, size_below AS a_size, id AS a_id,
                   cluster_id AS b, size_above AS b_size, parent_id AS b_id
            FROM suggest_splits('page.clusters')""",
        )

    def pairs(self, order: str, sql: str) -> list[dict]:
        """The first of the rows by that order, with the clusters' names."""
        rows = self.con.execute(f"""
            WITH names AS (SELECT DISTINCT cluster_id, cluster FROM page.clusters)
            SELECT score, pairs.a, a.cluster, a_size, a_id::VARCHAR, pairs.b, b.cluster, b_size, b_id::VARCHAR
            FROM ({sql}) pairs JOIN names a ON a.cluster_id = pairs.a JOIN names b ON b.cluster_id = pairs.b
            ORDER BY {order} LIMIT {self.arguments.doubtful}""").fetchall()
        keys = ("number", "name", "size", "id")
        return [
            {"score": score, "sides": [dict(zip(keys, side, strict=True)) for side in (sides[:4], sides[4:])]}
            for score, *sides in rows
        ]

    def rows(self, ids: set[str]) -> dict[str, dict]:
        """Metadata and thumbnail of each id that is shown; no cells for one that the source does not have."""
        given, con = self.arguments, self.con
        rows = {key: {"cells": [], "image": None} for key in ids}
        if given.source is None:
            return rows
        con.execute("CREATE TABLE page.shown (id VARCHAR)")
        con.execute("INSERT INTO page.shown SELECT unnest($ids)", {"ids": sorted(ids)})
        cells = [f"{name(column)}::VARCHAR" for column in self.metadata]
        image = name(given.image) if given.image else "NULL"
        found = con.execute(f"""
            SELECT {", ".join([f"{name(given.id)}::VARCHAR", image, *cells])} FROM query_table({literal(given.source)})
            WHERE {name(given.id)}::VARCHAR IN (FROM page.shown)""").fetchall()
        unreadable = []
        for key, picture, *values in found:
            try:
                address = None if picture is None else thumbnail(picture)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                address = None
                unreadable.append(f"{key}: {first_line(error)}")
            rows[key] = {"cells": [shortened(value) for value in values], "image": address}
        if unreadable:
            print(f"{len(unreadable)} images cannot be read, the first of id {unreadable[0]}", file=sys.stderr)
        return rows


def shortened(value: str | None) -> str:
    return "" if value is None else value if len(value) <= CELL else value[: CELL - 1] + "…"


def thumbnail(picture: bytes | str) -> str:
    """A small JPEG as a data URI, made anew so that nothing but the picture itself is in it; a web address as it is."""
    file = picture
    if isinstance(picture, str):
        address = urlparse(picture)
        if address.scheme in ("http", "https"):
            return picture
        file = url2pathname(address.path) if address.scheme == "file" else picture
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
        small = ImageOps.exif_transpose(image)
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        # What is transparent becomes white, which JPEG has no other way to show.
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small.convert("RGBA")).convert("RGB")
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def page(arguments: argparse.Namespace) -> str:
    """The HTML."""
    for option in ("members", "rows", "trees", "doubtful"):
        if getattr(arguments, option) < 1:
            raise Refused(f"--{option} {getattr(arguments, option)}: at least 1")
    if arguments.database != ":memory:" and not Path(arguments.database).exists():
        raise Refused(f"{arguments.database}: there is no such database")
    with connect() as con:
        con.execute("ATTACH ':memory:' AS page")
        if arguments.database != ":memory:":
            con.execute(f"ATTACH {literal(arguments.database)} AS source_database (READ_ONLY)")
            con.execute("USE source_database")
        con.execute((RECIPES / "pictures.sql").read_text())
        if arguments.transition:
            columns(con, arguments.transition, "--transition")
        report = Report(con, arguments)
        report.read()
        content = {
            "figures": report.figures(),
            "pictures": report.drawn(),
            "clusters": report.every(),
            "all_clusters": con.execute("SELECT count(*) FROM page.members").fetchone()[0],
            "trees": report.trees(),
            "merges": report.merges(),
            "splits": report.splits(),
        }
        ids = {key for cluster in content["clusters"] for key in cluster["ids"]}
        ids |= {side["id"] for pair in content["merges"] + content["splits"] for side in pair["sides"]}
        content["rows"] = report.rows(ids)
    database = Path(arguments.database)
    content |= {"title": arguments.title or f"Clusters of {database.stem}", "database": database.name}
    script = Path(__file__).with_name("report.js").read_text(encoding="utf-8")
    carried = {"clusters": content["clusters"], "rows": content["rows"], "images": bool(arguments.image)}
    content |= {
        "at": {cluster["number"]: index for index, cluster in enumerate(content["clusters"])},
        # No end tag of a script can be in it.
        "content": Markup(json.dumps(carried).replace("<", "\\u003c")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.get_template("report.html.j2").render(arguments=arguments, report=report, **content)


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = options.add_argument
    add("database", metavar="DATABASE", help="a DuckDB file, or :memory: where the relations are files")
    add("--clusters", required=True, metavar="RELATION", help="table, view or Parquet file of id and cluster")
    add("--source", metavar="RELATION", help="one row a point: metadata, and embeddings for the map and the cohesion")
    add("--transition", metavar="RELATION", help="the transition matrix, for the sweep over tau and doubtful merges")
    add("--id", default="id", metavar="COLUMN", help="ids in clusters and source (default: id)")
    add("--cluster", default="cluster_id", metavar="COLUMN", help="clusters, of any type (default: cluster_id)")
    add("--embedding", default="embedding", metavar="COLUMN", help="embeddings in source (default: embedding)")
    add("--label", metavar="COLUMN", help="true labels in source, for scores")
    add("--image", metavar="COLUMN", help="images in source: BLOB, or paths or addresses")
    add("--names", metavar="RELATION", help="id and name of some points: the names head clusters")
    add("--name", default="name", metavar="COLUMN", help="names in names (default: name)")
    add("--columns", type=lambda text: text.split(","), metavar="A,B,…", help="metadata to show (default: all)")
    add("--members", type=int, default=12, metavar="N", help="points of each cluster at most (default: 12)")
    add("--rows", type=int, default=10_000, metavar="N", help="points on the page at most (default: 10000)")
    add("--doubtful", type=int, default=20, metavar="N", help="likely merges and splits that are shown (default: 20)")
    add("--trees", type=int, default=12, metavar="N", help="largest clusters that have a tree (default: 12)")
    add("--title", help="of the page")
    add("-o", "--output", default="report.html", metavar="FILE", help="the page (default: report.html)")
    return options


def main(words: list[str] | None = None) -> None:
    arguments = parser().parse_args(words)
    try:
        text = page(arguments)
        Path(arguments.output).write_text(text, encoding="utf-8")
    except (Refused, duckdb.Error, OSError) as error:
        sys.exit(f"report.py: {error}")


if __name__ == "__main__":
    main()

"""scripts/report.py: what is on the page, and that nothing on it comes from elsewhere."""

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import report
from conftest import blobs, connect
from PIL import Image

HOSTILE = "<script>alert(1)</script> & \"'"


class Page(HTMLParser):
    """Tags, addresses and visible text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.text = [], [], []
        self.feed(text)
        content, self.script = re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)
        self.content = json.loads(content)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for key, value in attributes if key in ("src", "href", "xlink:href", "action", "data")]
        assert not any(key.startswith("on") for key, _ in attributes)

    def handle_data(self, data):
        self.text.append(data)

    def images(self):
        """The thumbnails, by id."""
        found = {key: row["image"] for key, row in self.content["rows"].items()}
        return {
            key: Image.open(io.BytesIO(base64.b64decode(image.split(",")[1])))
            for key, image in found.items()
            if image and image.startswith("data:image/jpeg;base64,")
        }


def picture(color, format="PNG", size=(200, 100), **options):
    out = io.BytesIO()
    Image.new("RGBA" if format == "PNG" else "RGB", size, color).save(out, format, **options)
    return out.getvalue()


def make(folder, **columns):
    """A database of 120 points with clusters, transition matrix and metadata, ids of text, an image of each."""
    database = str(folder / "photos.db")
    with connect(database) as con:
        con.execute("CREATE TABLE photos (face VARCHAR, vector FLOAT[8], person INT, album VARCHAR, thumbnail BLOB)")
        random = np.random.default_rng(3)
        for i, vector in enumerate(blobs(points=120, groups=16, noise=0.5)):
            color = tuple(int(x) for x in random.integers(256, size=3))
            image = picture(color, "PNG" if i % 2 else "JPEG")
            con.execute("INSERT INTO photos VALUES ($1, $2, $3, $4, $5)", [f"f{i}", vector, i % 8, HOSTILE, image])
        con.execute("""
            CREATE TABLE p AS FROM transition_matrix(knn_graph('photos', k := 10, id := 'face', embedding := 'vector'));
            CREATE TABLE found AS
            SELECT id AS face, * EXCLUDE (id, cluster_id), cluster_id AS person_found
            FROM dpc_cluster(ndde('p'), tpdi('p'), tau := 0.55)""")
    return database


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return make(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def whole(database, tmp_path_factory):
    """The page with everything on it."""
    return written(tmp_path_factory.mktemp("whole"), database, *EVERYTHING, "--title", HOSTILE)


OPTIONS = [
    *("--id", "face", "--cluster", "person_found", "--clusters", "found"),
    *("--source", "photos", "--embedding", "vector"),
]
EVERYTHING = [*OPTIONS, "--label", "person", "--image", "thumbnail", "--transition", "p", "--columns", "album,person"]


def written(tmp_path, *words):
    out = tmp_path / "report.html"
    report.main([*words, "-o", str(out)])
    return out.read_text()


def test_page_needs_no_network_and_runs_its_own_script_alone(whole):
    page = Page(whole)
    assert "link" not in page.tags and "iframe" not in page.tags
    inside = re.compile(r"#|data:image/jpeg;base64,")
    assert all(inside.match(address) for address in page.addresses)
    assert "url(" not in whole and "@import" not in whole
    # The policy lets that one script run, and nothing that the database may hold.
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in whole and page.tags.count("script") == 2
    assert HOSTILE in "".join(page.text) and any(HOSTILE in row["cells"] for row in page.content["rows"].values())
    assert page.tags.count("svg") == whole.count("<svg") >= 7


def test_page_has_the_figures_of_the_clustering(database, whole):
    shown = "\n".join(filter(None, map(str.strip, Page(whole).text)))
    with connect(database) as con:
        clusters, alone, largest = con.execute("""
            SELECT count(*), count(*) FILTER (n = 1), max(n)
            FROM (SELECT count(*) AS n FROM found GROUP BY person_found)""").fetchone()
        (score,) = con.execute("SELECT bcubed_f(person, person_found).f FROM photos JOIN found USING (face)").fetchone()
        of = "'found', 'photos', id := 'face', embedding := 'vector', cluster := 'person_found'"
        merges = con.execute(f"SELECT printf('%.3f', score) FROM suggest_merges({of}) LIMIT 20").fetchall()
        of = of.replace("'photos'", "source := 'photos'")
        splits = con.execute(f"""
            SELECT printf('%.3f', doubt) FROM suggest_splits({of}) ORDER BY doubt DESC LIMIT 20""").fetchall()
    for label, value in (
        ("points", "120"), ("clusters", clusters), ("clusters of one point", alone), ("largest cluster", largest),
        ("BCubed F", f"{score:.3f}"),
    ):  # fmt: skip
        assert f"{label}\n{value}\n" in shown
    assert re.findall(r"\nscore (\d\.\d{3})\n", shown) == [score for (score,) in merges]
    assert re.findall(r"\ndoubt (\d\.\d{3})\n", shown) == [doubt for (doubt,) in splits] != []
    # The tau that was given is found again.
    assert re.search(r"of them peaks, above tau 0\.55\n", shown)


def test_without_embeddings_what_is_doubtful_comes_from_the_links(database, tmp_path):
    options = [*EVERYTHING, "--embedding", "none"]
    shown = "\n".join(filter(None, map(str.strip, Page(written(tmp_path, database, *options)).text)))
    with connect(database) as con:
        merges = con.execute("""
            SELECT printf('%.3f', delta) FROM found WHERE is_peak AND delta IS NOT NULL
            ORDER BY delta LIMIT 20""").fetchall()
        splits = con.execute("""
            WITH c AS (SELECT face AS id, person_found AS cluster_id, * EXCLUDE (face, person_found) FROM found)
            SELECT printf('%.3f', delta) FROM suggest_splits('c') ORDER BY delta DESC LIMIT 20""").fetchall()
    one, _, two = shown.rpartition("\nLikely two\n")
    assert re.findall(r"\ndelta (\d\.\d{3})\n", one) == [delta for (delta,) in merges] != []
    assert re.findall(r"\ndelta (\d\.\d{3})\n", two) == [delta for (delta,) in splits] != []


def test_every_cluster_is_on_the_page_with_its_central_point_first(database, whole):
    page = Page(whole)
    with connect(database) as con:
        summary = con.execute("""
            SELECT cluster_id::VARCHAR, size, medoid_id, cohesion, doubt FROM cluster_summary(
                'found', 'photos', id := 'face', embedding := 'vector', cluster := 'person_found')
            ORDER BY size DESC, cluster_id""").fetchall()
        (members,) = con.execute("""
            SELECT map_from_entries(list((person_found::VARCHAR, faces)))
            FROM (SELECT person_found, list(face) AS faces FROM found GROUP BY ALL)""").fetchone()
    assert summary == [
        (cluster["cluster"], cluster["size"], cluster["ids"][0], cluster["cohesion"], cluster["doubt"])
        for cluster in page.content["clusters"]
    ]
    for cluster in page.content["clusters"]:
        assert len(cluster["ids"]) == min(cluster["size"], 12)
        assert set(cluster["ids"]) <= set(members[cluster["cluster"]])


@pytest.mark.parametrize("rows, clusters, members", [(30, "all", 2), (5, 5, 1)])
def test_a_page_of_fewer_rows_has_fewer_of_each_cluster_then_the_largest(database, tmp_path, rows, clusters, members):
    page = Page(written(tmp_path, database, *OPTIONS, "--rows", str(rows)))
    found = page.content["clusters"]
    with connect(database) as con:
        sizes = [size for (size,) in con.execute("""
            SELECT count(*) AS n FROM found GROUP BY person_found ORDER BY n DESC""").fetchall()]  # fmt: skip
    expected = sizes if clusters == "all" else sizes[:clusters]
    assert sum(min(size, members) for size in expected) <= rows
    assert clusters != "all" or sum(min(size, members + 1) for size in expected) > rows
    assert [len(cluster["ids"]) for cluster in found] == [min(size, members) for size in expected]
    shown = "".join(page.text)
    assert f"at most {members} points of each" in shown
    assert ("All of them" if clusters == "all" else f"The 5 largest of {len(sizes)}") in shown


def test_thumbnails_are_small_and_of_their_points(database, whole):
    with connect(database) as con:
        originals = dict(con.execute("SELECT face, thumbnail FROM photos").fetchall())
    images = Page(whole).images()
    assert len(images) > 80
    for face, image in images.items():
        assert image.size == (96, 48)
        color = np.array(Image.open(io.BytesIO(originals[face])).convert("RGB").getpixel((5, 5)))
        assert np.abs(np.array(image.getpixel((5, 5))) - color).max() <= 6


def test_names_head_the_clusters_that_their_points_are_in(database, tmp_path):
    with connect(database) as con:
        (a, b), (c,) = con.execute("""
            SELECT list(face ORDER BY face)[:2] FROM found GROUP BY person_found HAVING count(*) > 1
            ORDER BY count(*) DESC, person_found LIMIT 1""").fetchone()[0], con.execute("""
            SELECT min(face) FROM found GROUP BY person_found ORDER BY count(*) DESC, person_found LIMIT 1 OFFSET 1
            """).fetchone()  # fmt: skip
        con.execute(f"""
            COPY (SELECT * FROM (VALUES ('{a}', 'Cy'), ('{b}', 'Ada'), ('{c}', 'Bo'), ('gone', 'Eve')) t(face, who))
            TO '{tmp_path}/people.parquet'""")
    found = Page(written(tmp_path, database, *OPTIONS, "--names", f"{tmp_path}/people.parquet", "--name", "who"))
    assert [cluster["name"] for cluster in found.content["clusters"][:3]] == ["Ada or Cy", "Bo", None]


def test_clusters_of_any_method_have_sizes_and_members(database, tmp_path):
    """No densities and parents, clusters of text, rows in no cluster: from Parquet files, without a database."""
    with connect(database) as con:
        con.execute(f"""
            COPY (SELECT face, CASE WHEN face <> 'f7' THEN 'person ' || person END AS name FROM photos)
            TO '{tmp_path}/clusters.parquet'""")
    words = [":memory:", "--clusters", f"{tmp_path}/clusters.parquet", "--id", "face", "--cluster", "name"]
    page = Page(written(tmp_path, *words))
    shown = "\n".join(page.text)
    assert {(cluster["cluster"], cluster["size"]) for cluster in page.content["clusters"]} == {
        (f"person {i}", 14 if i == 7 else 15) for i in range(8)
    }
    assert "in no cluster\n1" in shown and "Decision graph" not in shown and "Likely" not in shown
    assert "would also show a decision graph" in shown


def test_images_by_path_and_by_address(database, tmp_path):
    """A file becomes part of the page, turned as its EXIF says; an address stays one; what is no image is told."""
    turned = Image.Exif()
    turned[0x0112] = 6
    (tmp_path / "wide.jpg").write_bytes(picture("red", "JPEG", (200, 100), exif=turned))
    with connect(database) as con:
        con.execute(f"""
            COPY (SELECT face, person AS cluster_id FROM photos) TO '{tmp_path}/clusters.parquet';
            COPY (SELECT face, CASE face WHEN 'f0' THEN 'https://example.org/0.png'
                                         WHEN 'f1' THEN 'file://{tmp_path}/wide.jpg'
                                         WHEN 'f2' THEN '{tmp_path}/clusters.parquet'
                                         ELSE '{tmp_path}/wide.jpg' END AS path FROM photos)
            TO '{tmp_path}/photos.parquet'""")
    text = written(
        tmp_path, ":memory:", "--clusters", f"{tmp_path}/clusters.parquet", "--source", f"{tmp_path}/photos.parquet",
        "--id", "face", "--image", "path", "--members", "200",
    )  # fmt: skip
    page = Page(text)
    assert page.content["rows"]["f0"]["image"] == "https://example.org/0.png"
    assert len(page.images()) == 118
    assert page.images()["f1"].size == (48, 96)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--clusters", "nothing"], "--clusters nothing: Catalog Error.*\nThe database has found, p, photos"),
        (["--clusters", "found"], r"found has no column id: name one of its columns with --id \(face, parent_id"),
        (["--clusters", "found", "--id", "face"], "found has no column cluster_id: name one of .* with --cluster"),
        ([*OPTIONS, "--image", "foto"], "photos has no column foto: name one of its columns with --image"),
        ([*OPTIONS, "--image", "person"], "--image takes a column of images .* but person is INTEGER"),
        ([*OPTIONS, "--columns", "albun"], "photos has no column albun: name one of its columns with --columns"),
        ([*OPTIONS, "--transition", "q"], "--transition q: Catalog Error.*\nThe database has"),
        ([*OPTIONS, "--rows", "0"], "--rows 0: at least 1"),
        ([*OPTIONS, "--names", "photos"], r"photos has no column name: name one of .* with --name"),
        (["--clusters", "found", *OPTIONS[:4], "--image", "thumbnail"], "--image needs --source"),
        (["--clusters", "found", *OPTIONS[:4], "--source", "p"], "p has no column face: name one of .* with --id"),
    ],
)
def test_errors_name_the_thing_and_the_way_out(database, tmp_path, words, message):
    with pytest.raises(SystemExit) as refused:
        written(tmp_path, database, *words)
    assert re.match(f"report.py: {message}", str(refused.value))
    assert not (tmp_path / "report.html").exists()


def test_a_source_with_two_rows_for_an_id_and_an_empty_clustering_are_refused(database, tmp_path):
    with connect(database) as con:
        con.execute(f"""
            COPY (SELECT unnest([face, face]) AS face FROM photos) TO '{tmp_path}/twice.parquet';
            COPY (FROM found LIMIT 0) TO '{tmp_path}/empty.parquet'""")
    with pytest.raises(SystemExit, match=r"twice.parquet has 240 rows for 120 ids: --source takes one row for an id"):
        written(tmp_path, database, *OPTIONS, "--source", f"{tmp_path}/twice.parquet")
    with pytest.raises(SystemExit, match=r"twice.parquet has 240 rows for 120 ids: --clusters takes one row for an id"):
        written(tmp_path, database, "--clusters", f"{tmp_path}/twice.parquet", "--id", "face", "--cluster", "face")
    with pytest.raises(SystemExit, match="empty.parquet has no rows that are in a cluster: there is nothing to report"):
        written(tmp_path, database, *OPTIONS, "--clusters", f"{tmp_path}/empty.parquet")


def test_the_database_is_only_read(database, tmp_path):
    """So another process may read it at the same time, which a writer's lock would not allow."""
    hold = "import duckdb, sys; con = duckdb.connect(sys.argv[1], read_only=True); print(flush=True); input()"
    words = [sys.executable, "-c", hold, database]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        reader.stdout.readline()
        written(tmp_path, database, *OPTIONS[:6])
        reader.communicate("\n")
    with pytest.raises(SystemExit, match="none.db: there is no such database"):
        written(tmp_path, "none.db", "--clusters", "found")


@pytest.mark.parametrize("points", [1, 3])
def test_a_few_points_with_labels_of_their_own(tmp_path, points):
    """Too few for a map and for hard clusters; one has no embedding."""
    with connect() as con:
        con.execute(f"""
            CREATE TABLE few AS SELECT i AS id, i AS label, [i + 1, 1]::FLOAT[2] AS embedding FROM range({points}) t(i);
            COPY (FROM cluster_embeddings('few', k := 2)) TO '{tmp_path}/clusters.parquet';
            COPY (SELECT * REPLACE (CASE WHEN id > 0 THEN embedding END AS embedding) FROM few)
            TO '{tmp_path}/few.parquet';
            COPY few TO '{tmp_path}/all.parquet'""")
    for source in "few", "all":
        words = ["--clusters", f"{tmp_path}/clusters.parquet", "--source", f"{tmp_path}/{source}.parquet"]
        page = Page(written(tmp_path, ":memory:", *words, "--label", "label"))
        shown = "\n".join(page.text)
        assert f"points\n{points}" in shown and "Map of clusters" not in shown and "Hard clusters" not in shown
        cohesion = page.content["clusters"][0]["cohesion"]
        assert (cohesion is not None) == (points > 1 and source == "all")

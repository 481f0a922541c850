"""scripts/report.py: what is on the page, and that nothing on it comes from elsewhere or runs."""

import base64
import io
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

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for key, value in attributes if key in ("src", "href", "xlink:href", "action", "data")]
        assert not any(key.startswith("on") for key, _ in attributes)

    def handle_data(self, data):
        self.text.append(data)

    def images(self):
        return [value for value in self.addresses if value.startswith("data:image/jpeg;base64,")]


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


def test_page_needs_no_network_and_runs_nothing(whole):
    page = Page(whole)
    assert "script" not in page.tags and "link" not in page.tags and "iframe" not in page.tags
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert "url(" not in whole and "@import" not in whole
    # What came from the database is text, on the page and in its pictures.
    shown = "".join(page.text)
    assert HOSTILE in shown
    assert page.tags.count("svg") == whole.count("<svg") >= 7


def test_page_has_the_figures_of_the_clustering(database, whole):
    shown = "\n".join(filter(None, map(str.strip, Page(whole).text)))
    with connect(database) as con:
        clusters, alone, largest = con.execute("""
            SELECT count(*), count(*) FILTER (n = 1), max(n)
            FROM (SELECT count(*) AS n FROM found GROUP BY person_found)""").fetchone()
        (score,) = con.execute("SELECT bcubed_f(person, person_found).f FROM photos JOIN found USING (face)").fetchone()
        merges = con.execute("""
            SELECT printf('%.3f', delta) FROM found WHERE is_peak AND delta IS NOT NULL
            ORDER BY delta LIMIT 10""").fetchall()
        splits = con.execute("""
            WITH c AS (SELECT face AS id, person_found AS cluster_id, * EXCLUDE (face, person_found) FROM found)
            SELECT printf('%.3f', delta) FROM suggest_splits('c') ORDER BY delta DESC LIMIT 10""").fetchall()
    for label, value in (
        ("points", "120"), ("clusters", clusters), ("clusters of one point", alone), ("largest cluster", largest),
        ("BCubed F", f"{score:.3f}"),
    ):  # fmt: skip
        assert f"{label}\n{value}\n" in shown
    assert re.findall(r"\n(\d\.\d{3})\npeak\n", shown) == [delta for (delta,) in merges]
    assert re.findall(r"\n(\d\.\d{3})\npoint\n", shown) == [delta for (delta,) in splits]
    # The tau that was given is found again.
    assert re.search(r"of them peaks, above tau 0\.55\n", shown)


def test_thumbnails_are_small_bounded_and_of_the_members(database, tmp_path):
    page = Page(written(tmp_path, database, *EVERYTHING, "--largest", "3", "--members", "4", "--doubtful", "2"))
    with connect(database) as con:
        shown = con.execute("""
            WITH ranked AS (
                SELECT *, count(*) OVER (PARTITION BY person_found) AS n,
                       row_number() OVER (PARTITION BY person_found ORDER BY density DESC, face) AS nth FROM found)
            SELECT thumbnail FROM ranked JOIN photos USING (face) WHERE nth <= 4
            ORDER BY n DESC, person_found, nth LIMIT 12""").fetchall()
    images = [Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) for address in page.images()]
    # 3 clusters of 4 members, and both ends of 2 merges and of 2 splits.
    assert len(images) == 12 + 4 + 4
    for image, (original,) in zip(images, shown, strict=False):
        assert image.size == (96, 48)
        color = np.array(Image.open(io.BytesIO(original)).convert("RGB").getpixel((5, 5)))
        assert np.abs(np.array(image.getpixel((5, 5))) - color).max() <= 6


def test_clusters_of_any_method_have_sizes_and_members(database, tmp_path):
    """No densities and parents, clusters of text, rows in no cluster: from Parquet files, without a database."""
    with connect(database) as con:
        con.execute(f"""
            COPY (SELECT face, CASE WHEN face <> 'f7' THEN 'person ' || person END AS name FROM photos)
            TO '{tmp_path}/clusters.parquet'""")
    words = [":memory:", "--clusters", f"{tmp_path}/clusters.parquet", "--id", "face", "--cluster", "name"]
    shown = "\n".join(Page(written(tmp_path, *words)).text)
    assert "person 3" in shown and "· 15 points" in shown and "in no cluster\n1" in shown
    assert "Decision graph" not in shown and "Doubtful" not in shown
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
    assert "https://example.org/0.png" in page.addresses
    assert len(page.images()) == 118
    assert Image.open(io.BytesIO(base64.b64decode(page.images()[0].split(",")[1]))).size == (48, 96)


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
        ([*OPTIONS, "--largest", "0"], "--largest 0: at least 1"),
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
        assert ("mean cosine" in shown) == (points > 1 and source == "all")

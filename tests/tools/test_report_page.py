"""The page of scripts/report.py in a browser: what a person does on it, and what comes out of it."""

import re

import pytest
import report
from browser import Browser
from conftest import ROOT, blobs, connect
from test_report import HOSTILE, picture

PHOTOS = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def database(folder):
    """600 photos of 60 people, with a picture of a colour of each person, some of them named."""
    file = str(folder / "photos.db")
    with connect(file) as con:
        con.execute("CREATE TABLE photos (file VARCHAR, album VARCHAR, thumbnail BLOB, embedding FLOAT[16])")
        for i, vector in enumerate(blobs(points=PHOTOS, dim=16, groups=60, noise=0.45)):
            image = picture((i * 37 % 256, i * 91 % 256, i * 53 % 256), size=(96, 96))
            album = HOSTILE if i == 7 else f"album {i % 5}"
            con.execute("INSERT INTO photos VALUES ($1, $2, $3, $4)", [f"{i:03}.jpg", album, image, vector])
        con.execute("""
            CREATE TABLE clusters AS FROM cluster_embeddings('photos', id := 'file');
            CREATE TABLE people AS SELECT 'Ada' AS name, file FROM clusters ORDER BY file LIMIT 1""")
    return file


@pytest.fixture(scope="module")
def pages(folder, database):
    """The page with pictures, and one of rows of text alone."""
    words = [database, "--clusters", "clusters", "--source", "photos", "--id", "file", "--names", "people"]
    report.main([*words, "--image", "thumbnail", "-o", str(folder / "gallery.html")])
    report.main([*words, "-o", str(folder / "rows.html")])
    return folder / "gallery.html", folder / "rows.html"


@pytest.fixture
def browser(tmp_path):
    opened = Browser(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def gallery(browser, pages):
    browser.open(pages[0])
    yield browser
    assert browser.requests() == [pages[0].as_uri()] and browser.complaints() == []


def summary(database):
    with connect(database) as con:
        return con.execute("""
            SELECT *, cluster_id::VARCHAR AS name FROM cluster_summary('clusters', 'photos', id := 'file')""").df()


def headings(browser):
    return [text.split(" · ")[0] for text in browser.texts(".card h3")]


def test_the_most_doubtful_come_first_and_every_cluster_is_on_some_page(gallery, database):
    rows = summary(database)
    named = gallery.run("clusters.find((cluster) => cluster.name === 'Ada').cluster")
    order = [
        "Ada" if row.name == named else row.name
        for row in rows.sort_values("doubt", ascending=False, kind="stable").itertuples(index=False)
        if row.doubt == row.doubt
    ]
    seen = headings(gallery)
    assert seen == order[:24] and len(rows) > 48
    while gallery.run("!document.getElementById('after').disabled"):
        gallery.click("#after")
        seen += headings(gallery)
    assert len(seen) == len(set(seen)) == len(rows)
    gallery.choose("#order", "cohesion")
    assert headings(gallery)[0] == rows.sort_values("cohesion").name.iloc[0]
    gallery.choose("#order", "size")
    assert gallery.texts(".card h3")[0].split(" · ")[1].startswith(f"{rows['size'].max()} points")


def test_search_and_filter_find_clusters_by_their_points_and_names(gallery, database):
    with connect(database) as con:
        (cluster,) = con.execute("SELECT cluster_id::VARCHAR FROM clusters WHERE file = '123.jpg'").fetchone()
        (single,) = con.execute("""
            SELECT count(*) FROM (SELECT 1 FROM clusters GROUP BY cluster_id HAVING count(*) = 1)""").fetchone()
    gallery.write("#search", "123.JPG")
    assert headings(gallery) == [cluster] and gallery.texts("#pages") == ["1 cluster, page 1 of 1"]
    gallery.write("#search", "alert(1)")
    assert len(headings(gallery)) == 1
    gallery.write("#search", "ad")
    assert "Ada" in headings(gallery)
    gallery.write("#search", "nobody")
    assert gallery.texts("#pages") == ["0 clusters, page 1 of 1"]
    gallery.write("#search", "")
    gallery.choose("#kind", "single")
    assert gallery.texts("#pages")[0].startswith(f"{single} cluster")
    gallery.choose("#kind", "named")
    assert headings(gallery) == ["Ada"]


def test_a_pair_leads_to_both_of_its_clusters(gallery):
    for side in 0, 1:
        wanted = gallery.texts("#one ~ .pairs .pair:first-child a")[side]
        gallery.click("#one ~ .pairs .pair:first-child a", side)
        assert [text.split(" · ")[0] for text in gallery.texts(".marked h3")] == [wanted]
        top, bottom = [
            gallery.run(f"document.querySelector('.marked').getBoundingClientRect().{edge}")
            for edge in ("top", "bottom")
        ]
        assert top < 900 and bottom > 0


def decide(browser):
    """Two names, a pair that is one, a pair that is two, a point that belongs elsewhere; and one thing taken back."""
    assert browser.texts("#decided") == ["0 decisions"] and browser.run("document.getElementById('download').disabled")
    browser.click(".pair .choice button", 0)
    two = "#two ~ .pairs .choice"
    browser.click(f"{two} button", 0)
    browser.click(f"{two} button", 1)
    assert browser.texts("#decided") == ["2 decisions"]
    browser.click(".card .members button", 0)
    browser.click(".card .members button", 1)
    browser.click(".card .members button", 1)
    browser.write(".card > input", 'Bo "Bobby", Jr.', 1)
    browser.write(".card > input", " Cy ", 2)
    browser.write(".card > input", "taken back", 3)
    browser.write(".card > input", "", 3)
    assert headings(browser)[1:3] == ['Bo "Bobby", Jr.', "Cy"] and browser.texts("#decided") == ["5 decisions"]
    # They stay when the page is drawn anew.
    browser.choose("#kind", "decided")
    assert {'Bo "Bobby", Jr.', "Cy"} <= set(headings(browser))
    browser.choose("#kind", "all")
    assert headings(browser)[1] == 'Bo "Bobby", Jr.'
    assert browser.run("document.querySelector('.members button').getAttribute('aria-pressed')") == "true"


@pytest.mark.parametrize("page", [0, 1], ids=["gallery", "rows"])
def test_decisions_are_a_file_that_the_pages_sql_takes(browser, pages, database, page, tmp_path, monkeypatch):
    browser.open(pages[page])
    decide(browser)
    expected = browser.run("""[
        ["same", ...Object.values(document.querySelector("#one ~ .pairs .choice").dataset)],
        ["different", ...Object.values(document.querySelector("#two ~ .pairs .choice").dataset)],
        ["different", ...found()[0].ids.slice(0, 2)],
        ...[1, 2].map((i) => [found()[i].ids[0], names.get(found()[i].index)])]""")
    browser.click("#download")
    (tmp_path / "build").mkdir()
    browser.downloaded().rename(tmp_path / "build" / "decisions.csv")
    # With the SQL of the page, on what was downloaded in place of the file that stands in for it there.
    blocks = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "report.md").read_text(), re.DOTALL)
    taken = [block for block in blocks if "read_csv" in block]
    monkeypatch.chdir(tmp_path)
    with connect() as con:
        con.execute(f"ATTACH '{database}' AS given (READ_ONLY)")
        con.execute("CREATE TABLE photos AS FROM given.photos; CREATE TABLE clusters AS FROM given.clusters")
        for block in taken:
            con.execute(block)
        assert con.execute("SELECT src, dst FROM same").fetchall() == [tuple(expected[0][1:])]
        assert con.execute("SELECT src, dst FROM apart").fetchall() == [tuple(pair[1:]) for pair in expected[1:3]]
        assert sorted(con.execute("SELECT file, name FROM people").fetchall()) == sorted(map(tuple, expected[3:]))
        (together, apart) = con.execute("""
            WITH c AS (FROM cluster_embeddings('photos', id := 'file', previous := 'clusters', must_link := 'same',
                                               cannot_link := 'apart')),
            pairs AS (SELECT 1 AS one, * FROM same UNION ALL SELECT 0, * FROM apart)
            SELECT count(*) FILTER (one = 1 AND a.cluster_id = b.cluster_id),
                   count(*) FILTER (one = 0 AND a.cluster_id <> b.cluster_id)
            FROM pairs JOIN c a ON a.file = src JOIN c b ON b.file = dst""").fetchone()
        assert (together, apart) == (1, 2)
    assert browser.complaints() == []


@pytest.mark.parametrize("page", [0, 1], ids=["gallery", "rows"])
def test_nothing_is_wider_than_a_phone(browser, pages, page):
    browser.open(pages[page], width=390, height=844)
    assert browser.run("document.documentElement.scrollWidth") == 390
    wide = browser.run("""[...document.querySelectorAll("body *")]
        .filter((one) => one.getBoundingClientRect().right > 391 && !one.closest("svg"))
        .map((one) => one.outerHTML.slice(0, 80))""")
    assert wide == []


@pytest.mark.parametrize("page", [0, 1], ids=["gallery", "rows"])
def test_what_the_database_holds_does_not_run(browser, pages, page):
    browser.open(pages[page])
    browser.write("#search", "alert(1)")
    assert browser.run("document.querySelectorAll('script').length") == 2
    shown = "document.querySelector('.card')" + (".innerText" if page else ".querySelector('[title*=\"alert\"]').title")
    assert HOSTILE in browser.run(shown)

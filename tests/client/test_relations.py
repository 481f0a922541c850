"""A relation argument is the name of anything that the caller's own query could name."""

import duckdb
import pyarrow as pa
import pytest
from conftest import arrow_points, blobs, connect, create_points

K = 5


@pytest.fixture
def expected(faces):
    """What clustering `faces` gives, from a connection where nothing else was done."""
    return faces.execute(f"FROM cluster_embeddings('faces', k := {K}, sigma := 0.1, tau := 0.7)").fetchall()


def clusters(con, name, **arguments):
    given = "".join(f", {argument} := '{value}'" for argument, value in arguments.items())
    literal = name.replace("'", "''")
    return con.execute(f"FROM cluster_embeddings('{literal}', k := {K}{given}, sigma := 0.1, tau := 0.7)").fetchall()


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


NAMED = {
    "a table": ("SELECT 1", "faces"),
    "a table in other case": ("SELECT 1", "FACES"),
    "a table by schema": ("SELECT 1", "main.faces"),
    "a table by database and schema": ("SELECT 1", "memory.main.faces"),
    "a table of another schema": ("CREATE SCHEMA lab; CREATE TABLE lab.f AS FROM faces", "lab.f"),
    "a table of the schema in use": ("CREATE SCHEMA lab; CREATE TABLE lab.f AS FROM faces; USE lab", "f"),
    "a table on the search path": (
        "CREATE SCHEMA lab; CREATE TABLE lab.f AS FROM faces; SET search_path = 'main,lab'",
        "f",
    ),
    "a temp table": ("CREATE TEMP TABLE f AS FROM faces", "f"),
    "a temp table before a table": ("CREATE TABLE f AS FROM faces LIMIT 9; CREATE TEMP TABLE f AS FROM faces", "f"),
    "a view": ("CREATE VIEW f AS FROM faces", "f"),
    "a temp view": ("CREATE TEMP VIEW f AS FROM faces", "f"),
    "a view of a view": ("CREATE VIEW v AS FROM faces; CREATE VIEW f AS SELECT * FROM v WHERE id >= 0", "f"),
    "a recursive view": (
        """CREATE VIEW f AS WITH RECURSIVE n(id) AS (SELECT 0::BIGINT UNION ALL SELECT id + 1 FROM n WHERE id < 299)
           SELECT id, embedding FROM n JOIN faces USING (id)""",
        "f",
    ),
    "a table in memory attached": ("ATTACH ':memory:' AS other; CREATE TABLE other.f AS FROM faces", "other.f"),
    "a table of the database in use": (
        "ATTACH ':memory:' AS other; CREATE TABLE other.f AS FROM memory.faces; USE other",
        "f",
    ),
}  # fmt: skip


@pytest.mark.parametrize("relation", NAMED)
def test_relation_may_be(faces, expected, relation):
    setup, name = NAMED[relation]
    faces.execute(setup)
    assert clusters(faces, name) == expected


FILES = {
    "a Parquet file": ("COPY faces TO 'faces.parquet'", "faces.parquet"),
    "several Parquet files": (
        "COPY (FROM faces WHERE id < 99) TO 'b.parquet'; COPY (FROM faces WHERE id >= 99) TO 'a.parquet'",
        "*.parquet",
    ),
    "a file in a folder with spaces": ("COPY faces TO 'my data/my faces.parquet'", "my data/my faces.parquet"),
    "a table of an attached file": ("ATTACH 'other.db'; CREATE TABLE other.f AS FROM faces", "other.f"),
    "a table of a file attached read-only": (
        "ATTACH 'o.db'; CREATE TABLE o.f AS FROM faces; DETACH o; ATTACH 'o.db' AS other (READ_ONLY)",
        "other.f",
    ),
}


@pytest.mark.parametrize("relation", FILES)
def test_relation_may_be_in_a_file(faces, expected, relation, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my data").mkdir()
    setup, name = FILES[relation]
    faces.execute(setup)
    assert clusters(faces, name) == expected


CTES = {
    "of a table": "WITH f AS (FROM faces) FROM cluster_embeddings('f', k := 5, sigma := 0.1, tau := 0.7)",
    "before a table of its name": """
        WITH small AS (FROM faces), faces AS (FROM small) FROM cluster_embeddings('faces', k := 5, sigma := 0.1, tau := 0.7)""",
    "MATERIALIZED": "WITH f AS MATERIALIZED (FROM faces) FROM cluster_embeddings('f', k := 5, sigma := 0.1, tau := 0.7)",
    "NOT MATERIALIZED": "WITH f AS NOT MATERIALIZED (FROM faces) FROM cluster_embeddings('f', k := 5, sigma := 0.1, tau := 0.7)",
    "recursive": """
        WITH RECURSIVE n(id) AS (SELECT 0::BIGINT UNION ALL SELECT id + 1 FROM n WHERE id < 299),
             f AS (FROM n JOIN faces USING (id))
        FROM cluster_embeddings('f', k := 5, sigma := 0.1, tau := 0.7)""",
    "of a subquery": "FROM (WITH f AS (FROM faces) FROM cluster_embeddings('f', k := 5, sigma := 0.1, tau := 0.7))",
    "of VALUES and a join": """
        WITH half(part) AS (VALUES (0), (1)), f AS (SELECT faces.* FROM faces JOIN half ON part = id % 2)
        FROM cluster_embeddings('f', k := 5, sigma := 0.1, tau := 0.7)""",
    "of a graph": """
        WITH g AS (FROM knn_graph('faces', k := 5)), p AS (FROM transition_matrix('g'))
        FROM dpc_cluster(ndde('p'), tpdi('p'))""",
    "of graph, nested on": """
        WITH g AS (FROM knn_graph('faces', k := 5))
        FROM dpc_cluster(ndde(transition_matrix('g')), tpdi(transition_matrix('g')))""",
    "of a file": "WITH f AS (FROM 'f.parquet') FROM cluster_embeddings('f', k := 5, sigma := 0.1, tau := 0.7)",
}


@pytest.mark.parametrize("cte", CTES)
def test_relation_may_be_a_cte(faces, expected, cte, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faces.execute("COPY faces TO 'f.parquet'")
    assert faces.execute(CTES[cte]).fetchall() == expected


def of_pandas(embeddings):
    import pandas as pd

    return pd.DataFrame({"id": range(300), "embedding": embeddings})


def of_polars(embeddings, kind=None):
    import polars as pl

    values = pl.Series("embedding", embeddings, dtype=pl.Array(pl.Float32, 8)) if kind == "Array" else embeddings.tolist()
    return pl.DataFrame({"id": range(300), "embedding": values})


def in_chunks(table):
    return pa.concat_tables([table.slice(0, 7), table.slice(7, 250), table.slice(257)])


DATA_FRAMES = {
    "pandas, arrays of float32": lambda: of_pandas(list(blobs())),
    "pandas, arrays of float64": lambda: of_pandas(list(blobs().astype(float))),
    "pandas, lists": lambda: of_pandas(blobs().tolist()),
    "polars, Array": lambda: of_polars(blobs(), "Array"),
    "polars, List": lambda: of_polars(blobs()),
    "polars, lazy": lambda: of_polars(blobs(), "Array").lazy(),
    "pyarrow, fixed-size lists": lambda: arrow_points(blobs()),
    "pyarrow, lists": lambda: arrow_points(blobs()).cast(pa.schema({"id": pa.int64(), "embedding": pa.list_(pa.float32())})),
    "pyarrow, in chunks": lambda: in_chunks(arrow_points(blobs())),
    "pyarrow, a record batch reader": lambda: arrow_points(blobs()).to_reader(max_chunksize=100),
}


@pytest.mark.parametrize("kind", DATA_FRAMES)
def test_relation_may_be_a_data_frame_of_the_notebook(faces, expected, kind):
    frame = DATA_FRAMES[kind]()  # found by its Python name
    assert frame is not None
    assert faces.execute(f"FROM cluster_embeddings('frame', k := {K}, sigma := 0.1, tau := 0.7)").fetchall() == expected


def test_relation_may_be_a_registered_data_frame(faces, expected):
    faces.register("registered", arrow_points(blobs()))
    assert clusters(faces, "registered") == expected
    faces.unregister("registered")
    with pytest.raises(duckdb.CatalogException, match="registered"):
        clusters(faces, "registered")


def test_relation_may_be_a_relation_object(faces, expected):
    relation = faces.sql("FROM faces ORDER BY id DESC")
    assert relation is not None
    assert faces.execute(f"FROM cluster_embeddings('relation', k := {K}, sigma := 0.1, tau := 0.7)").fetchall() == expected


def test_results_go_to_data_frames(faces, expected):
    import pandas  # noqa: F401
    import polars  # noqa: F401

    result = faces.sql(f"FROM cluster_embeddings('faces', k := {K}, sigma := 0.1, tau := 0.7)")
    ids, numbers = [row[0] for row in expected], [row[1] for row in expected]
    for frame in (result.to_df(), result.pl(), result.to_arrow_table().to_pandas()):
        assert list(frame["id"]) == ids
        assert list(frame["cluster_id"]) == numbers


ODD_NAMES = [
    'my "odd" table', "it's", "faces; DROP TABLE faces; --", "'); DROP TABLE faces; --", "a.b", "select", "Ünï ☃",
    "a\nb", "1", " ", "{}", "%s", "$1", "x" * 500,
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_quoted_name_of_any_table_is_taken(faces, expected, name):
    faces.execute(f"CREATE TABLE {quoted(name)} AS FROM faces")
    assert clusters(faces, quoted(name)) == expected
    assert clusters(faces, "main." + quoted(name)) == expected


@pytest.mark.parametrize(
    "name",
    [
        "faces; DROP TABLE faces",
        "faces; DROP TABLE faces; --",
        "faces'; DROP TABLE faces; --",
        "faces'') ; DROP TABLE faces; --",
        "faces WHERE id < 10",
        "faces, faces",
        "faces --",
        "missing",
        "main.missing",
        "missing.faces",
        "",
    ],
)
def test_text_that_is_no_name_is_an_unknown_table(faces, name):
    # ParserException: how DuckDB's own query_table refuses a name that cannot be one.
    with pytest.raises((duckdb.CatalogException, duckdb.ParserException, duckdb.BinderException)) as refused:
        clusters(faces, name)
    assert "defect" not in str(refused.value)
    assert faces.execute("SELECT count(*) FROM faces").fetchone() == (300,)


@pytest.mark.parametrize(
    "query",
    [
        "(SELECT * FROM faces)",
        "SELECT * FROM faces",
        "FROM main.faces",
        "WITH f AS (FROM faces) FROM f",
        "VALUES (1, [0.1])",
        "SELECT * FROM 'faces.parquet'",
    ],
)
def test_a_query_in_place_of_a_name_is_refused_with_the_way_out(faces, query):
    with pytest.raises(duckdb.InvalidInputException, match=r"not a query; name it first: WITH rows AS"):
        clusters(faces, query)


@pytest.mark.parametrize("name", ["select them.parquet", "From here.json", "with (all).parquet", "values (2).parquet"])
def test_a_file_may_be_named_like_a_query(faces, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faces.execute(f"COPY faces TO '{name}'")
    assert clusters(faces, name) == clusters(faces, "faces")


@pytest.mark.parametrize(
    "name",
    [
        "i", "s", "n", "i0", "i1", "src", "dst", "id", "density", "embedding", "distance", "stage",
        "density_peaks_stage", "density_peaks_relation", "density_peaks_checked", "density_peaks_source",
        "density_peaks_sink", "query", "query_table", "knn_graph", "cluster_embeddings",
    ],
)  # fmt: skip
def test_relation_may_have_a_name_that_the_extension_uses(faces, expected, name):
    faces.execute(f"CREATE TABLE {name} AS FROM faces")
    assert clusters(faces, name) == expected
    cte = f"WITH {name} AS (FROM faces WHERE id < 100) SELECT count(*) FROM cluster_embeddings('{name}', sigma := 0.1, tau := 0.7)"
    assert faces.execute(cte).fetchone() == (100,)
    faces.execute(f"CREATE OR REPLACE TABLE {name} AS FROM knn_graph('faces', k := {K})")
    nested = f"transition_matrix('{name}')"
    assert faces.execute(f"FROM dpc_cluster(ndde({nested}), tpdi({nested}))").fetchall() == expected


@pytest.mark.parametrize(
    "name",
    [
        "face_id", "Face ID", 'the "id"', "n", "i", "s", "src", "dst", "token", "row", "select", "id.x",
        "density_peaks_relation", "density_peaks_checked",
    ],
)  # fmt: skip
def test_columns_may_have_any_name(faces, expected, name):
    faces.execute(f"CREATE TABLE f AS SELECT id AS {quoted(name)}, embedding FROM faces")
    assert clusters(faces, "f", id=name) == expected
    assert faces.description[0][0] == name
    joined = f"SELECT count(*) FROM f JOIN cluster_embeddings('f', id := '{name}', sigma := 0.1, tau := 0.7) USING ({quoted(name)})"
    assert faces.execute(joined).fetchone() == (300,)
    faces.execute(f"CREATE TABLE v AS SELECT id, embedding AS {quoted(name)} FROM faces")
    assert clusters(faces, "v", embedding=name) == expected


@pytest.mark.parametrize("name", ["cluster_id", "parent_id", "delta", "density", "is_peak", "Cluster_ID"])
def test_id_column_named_as_a_result_column_gives_both_or_an_error_that_says_so(faces, expected, name):
    faces.execute(f"CREATE TABLE f AS SELECT id AS {name}, embedding FROM faces")
    try:
        found = clusters(faces, "f", id=name)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        assert "cluster_embeddings" in reason and name in reason
    else:
        assert found == expected


@pytest.mark.parametrize("argument", ["id", "embedding"])
@pytest.mark.parametrize("name", ["", " ", "missing", '"id"'])
def test_unknown_column_is_an_error_that_names_the_argument(faces, argument, name):
    with pytest.raises(duckdb.BinderException, match=f"cluster_embeddings: .*{argument} := "):
        clusters(faces, "faces", **{argument: name})


def test_column_names_are_found_in_any_case(faces, expected):
    faces.execute("CREATE TABLE upper_case AS SELECT id AS ID, embedding AS Embedding FROM faces")
    assert clusters(faces, "upper_case") == expected
    assert clusters(faces, "upper_case", id="Id", embedding="EMBEDDING") == expected
    faces.execute(f"""
        CREATE TABLE g AS SELECT src AS SRC, dst AS Dst, distance AS DISTANCE FROM knn_graph('faces', k := {K});
        CREATE TABLE p AS SELECT src AS SRC, dst AS Dst, probability AS Probability FROM transition_matrix('g');
        CREATE TABLE r AS SELECT id AS ID, density AS DENSITY FROM ndde('p');
        CREATE TABLE d AS SELECT src AS SRC, dst AS Dst, distance AS DISTANCE FROM tpdi('p')
    """)
    assert faces.execute("FROM dpc_cluster('r', 'd')").fetchall() == expected


def test_other_columns_and_their_order_do_not_matter(faces, expected):
    faces.execute("""
        CREATE TABLE f AS SELECT
            {'a': 1, 'b': [2, 3]} AS nested, 'x'::BLOB AS bytes, MAP {'k': 1} AS pairs, [[1], NULL] AS lists, embedding,
            NULL AS nothing, uuid() AS other, id, current_timestamp AS at, 'ID2' AS "id 2", id::VARCHAR AS src,
            [1.5] AS dst, {'id': 5} AS density_peaks_relation, 1 AS n, 2 AS s, true AS density_peaks_checked
        FROM faces
    """)
    assert clusters(faces, "f") == expected


def test_other_columns_of_the_stages_tables_do_not_matter(faces, expected):
    other = (
        "{'a': 1} AS nested, 'x' AS n, 1 AS i, NULL AS s, false AS density_peaks_checked, 3 AS density_peaks_relation"
    )
    faces.execute(f"""
        CREATE TABLE g AS SELECT {other}, 'y' AS id, * FROM knn_graph('faces', k := {K});
        CREATE TABLE p AS SELECT {other}, [1] AS distance, * FROM transition_matrix('g');
        CREATE TABLE r AS SELECT {other}, 'z' AS src, * FROM ndde('p');
        CREATE TABLE d AS SELECT {other}, 'z' AS id, 5 AS density, * FROM tpdi('p')
    """)
    assert faces.execute("FROM dpc_cluster('r', 'd')").fetchall() == expected
    assert faces.execute("FROM dpc_cluster(ndde('p'), tpdi('p'))").fetchall() == expected


@pytest.mark.parametrize("unused", ["'far'", "{'a': 1}", "[1.5]", "NULL", "true", "DATE '2020-01-01'", "'1e999'"])
def test_distance_column_beside_a_similarity_is_not_read(faces, expected, unused):
    faces.execute(f"CREATE TABLE g AS SELECT src, dst, 1 - distance AS similarity FROM knn_graph('faces', k := {K})")
    faces.execute(f"CREATE TABLE wide AS SELECT *, {unused} AS distance FROM g")
    p = faces.execute("FROM transition_matrix('wide')").fetchall()
    assert p == faces.execute("FROM transition_matrix('g')").fetchall()


@pytest.mark.parametrize("unused", ["'near'", "{'a': 1}", "[1.5]", "NULL", "true"])
def test_similarity_column_is_not_read_by_the_kernel_of_the_distance(faces, unused):
    faces.execute(f"CREATE TABLE g AS FROM knn_graph('faces', k := {K})")
    faces.execute(f"CREATE TABLE wide AS SELECT *, {unused} AS similarity FROM g")
    p = faces.execute("FROM transition_matrix('wide', kernel := 'exp')").fetchall()
    assert p == faces.execute("FROM transition_matrix('g', kernel := 'exp')").fetchall()


@pytest.mark.parametrize("type", ["FLOAT[8]", "FLOAT[]", "DOUBLE[8]", "DOUBLE[]"])
def test_embeddings_may_be(faces, expected, type):
    faces.execute(f"CREATE TABLE f AS SELECT id, embedding::{type} AS embedding FROM faces")
    assert clusters(faces, "f") == expected


@pytest.mark.parametrize(
    "expression", ["embedding", "list_transform(embedding, lambda x: x)", "[x FOR x IN embedding]"]
)
def test_embeddings_may_be_computed(faces, expected, expression):
    faces.execute(f"CREATE VIEW f AS SELECT id, {expression} AS embedding FROM faces")
    assert clusters(faces, "f") == expected


@pytest.mark.parametrize("rows", [1, 2, 2047, 2048, 2049, 4097, 122_880, 122_881])
def test_relation_of_any_number_of_rows_is_read_whole(con, rows):
    # On a circle, so that k = 2 is cheap to check: neighbors are the ids before and after.
    con.execute(
        f"CREATE VIEW circle AS SELECT i AS id, [cos(i * 1e-4), sin(i * 1e-4)] AS embedding FROM range({rows}) t(i)"
    )
    con.execute(
        "CREATE TABLE g AS SELECT i AS src, (i + 1) % $n AS dst, 0.5 AS similarity FROM range($n) t(i)", {"n": rows}
    )
    if rows <= 5000:
        nearest = con.execute("SELECT count(*), count(DISTINCT src) FROM knn_graph('circle', k := 1)").fetchone()
        assert nearest == (rows if rows > 1 else 0,) * 2
    if rows > 1:
        found = con.execute(
            "SELECT count(*), count(DISTINCT src), min(src), max(src), sum(probability) "
            "FROM transition_matrix('g', undirected := false)"
        )
        assert found.fetchone() == (2 * rows, rows, 0, rows - 1, pytest.approx(rows))


def test_dictionary_and_constant_vectors_are_read_right(faces):
    """Relations whose vectors DuckDB does not keep flat: after joins, filters, and of constants."""
    faces.execute("CREATE TABLE thrice AS SELECT id + 1000 * n AS id, embedding FROM faces, range(3) t(n)")
    faces.execute("""
        CREATE VIEW joined AS
        SELECT id + 1000 * n AS id, embedding FROM range(3) t(n), faces WHERE id % 2 = 1;
        CREATE VIEW equal AS SELECT range AS id, [1, 2]::FLOAT[2] AS embedding FROM range(50)
    """)
    want = faces.execute("FROM (SELECT * FROM knn_graph('thrice', k := 4))").fetchall()
    assert len(want) == 3600
    odd = faces.execute("CREATE TABLE odd AS FROM thrice WHERE id % 2 = 1; FROM knn_graph('odd', k := 4)").fetchall()
    assert faces.execute("FROM knn_graph('joined', k := 4)").fetchall() == odd
    assert faces.execute(
        "SELECT max(abs(distance)), min(dst), max(rank) FROM knn_graph('equal', k := 3)"
    ).fetchone() == (0, 0, 3)


def test_queries_may_come_from_another_relation(faces):
    create_points(faces, "new_faces", points=20, seed=2)
    faces.execute("UPDATE new_faces SET id = id + 1000")
    found = faces.execute("FROM knn_graph('faces', queries := 'new_faces', k := 3)").fetchall()
    assert len(found) == 60 and {row[0] for row in found} == set(range(1000, 1020))
    own = faces.execute("FROM knn_graph('faces', queries := 'faces', k := 3)").fetchall()
    assert own == faces.execute("FROM knn_graph('faces', k := 3)").fetchall()


def test_unknown_relation_is_duckdbs_own_error(faces):
    with pytest.raises(duckdb.CatalogException, match='Table with name "?facse"? does not exist.*\n?.*faces'):
        clusters(faces, "facse")


def test_functions_are_found_from_any_schema_and_database(tmp_path):
    with connect(str(tmp_path / "a.db")) as con:
        create_points(con)
        con.execute(f"ATTACH '{tmp_path / 'b.db'}' AS b; CREATE SCHEMA b.lab; USE b.lab")
        con.execute("CREATE TABLE clusters AS FROM cluster_embeddings('a.faces', k := 5, sigma := 0.1, tau := 0.7)")
        assert con.execute("SELECT count(*) FROM b.lab.clusters").fetchone() == (300,)


def test_table_made_in_the_same_transaction_of_an_attached_file(faces, expected, tmp_path):
    faces.execute(f"ATTACH '{tmp_path / 'o.db'}' AS o; BEGIN; CREATE TABLE o.f AS FROM faces")
    assert clusters(faces, "o.f") == expected
    faces.execute("ROLLBACK")
    with pytest.raises(duckdb.CatalogException):
        clusters(faces, "o.f")

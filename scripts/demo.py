"""Run sql/demo.sql: a line for each step with its time, and what it shows."""

import sys
import time

import duckdb
from run_sql import EXTENSION, ROOT, connect

WIDTH = 60


def demo(con: duckdb.DuckDBPyConnection) -> None:
    for paragraph in (ROOT / "sql" / "demo.sql").read_text().split("\n\n"):
        caption, sql = paragraph.split("\n", 1)
        caption = caption.removeprefix("-- ")
        (statement,) = con.extract_statements(sql)
        if statement.type == duckdb.StatementType.SELECT:
            print(f"\n{caption}:")
            con.sql(statement.query.strip().rstrip(";")).show(max_width=120)
        else:
            start = time.monotonic()
            con.execute(statement.query)
            print(f"{caption:<{WIDTH}} {time.monotonic() - start:4.1f} s")


if __name__ == "__main__":
    demo(connect())
    print(f"""
The extension is {EXTENSION}
for DuckDB {duckdb.__version__}, and the Python that has it {sys.prefix}/bin/python. For a table of your own:

    con = duckdb.connect("photos.db", config={{"allow_unsigned_extensions": "true"}})
    con.load_extension("{EXTENSION}"); con.sql("FROM cluster_embeddings('photos', id := 'file')").show()""")

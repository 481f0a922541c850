"""Run SQL files in DuckDB with the extension loaded, and print every result: run_sql.py FILE..."""

import sys
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parent.parent
EXTENSION = ROOT / "build" / "density_peaks.duckdb_extension"


def connect(database: str = ":memory:", **config) -> duckdb.DuckDBPyConnection:
    """A connection with the extension, which is not signed by DuckDB, loaded."""
    con = duckdb.connect(database, config={"allow_unsigned_extensions": "true", **config})
    con.execute(f"LOAD '{EXTENSION}'")
    return con


def run(con: duckdb.DuckDBPyConnection, text: str) -> None:
    """Run statements that are set apart by blank lines."""
    for paragraph in filter(None, map(str.strip, text.split("\n\n"))):
        print(paragraph)
        for statement in con.extract_statements(paragraph):
            if statement.type == duckdb.StatementType.SELECT:
                con.sql(statement.query.strip().rstrip(";")).show(max_width=150, max_rows=60)
            else:
                con.execute(statement.query)
        print()


if __name__ == "__main__":
    connection = connect()
    for file in sys.argv[1:]:
        run(connection, Path(file).read_text())

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
    for statement in con.extract_statements(text):
        for line in statement.query.strip().splitlines():
            print(line)
        result = con.sql(statement)
        if result is not None:
            result.show(max_width=140, max_rows=60)
        print()


if __name__ == "__main__":
    connection = connect()
    for file in sys.argv[1:]:
        run(connection, Path(file).read_text())

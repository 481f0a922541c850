"""`%load_ext sql_cells`: DuckDB with the extension and the pictures' macros as `con`, and `%%sql` cells over it.

A cell shows what its last statement returns: a picture where that is one Vega-Lite specification, else a table.
"""

import duckdb
import pictures
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import Image, display
from run_sql import connect


def load_ipython_extension(shell: InteractiveShell) -> None:
    con = connect()
    con.execute((pictures.RECIPES / "pictures.sql").read_text())

    def sql(line: str, cell: str) -> None:
        result = None
        for statement in con.extract_statements(cell):
            if statement.type == duckdb.StatementType.SELECT:
                result = con.sql(statement.query.strip().rstrip(";"))
            else:
                con.execute(statement.query)
                result = None
        if result is None:
            return
        if result.columns == ["vega_lite"]:
            specification = pictures.picture(con, result.sql_query())
            display(Image(pictures.png(specification), retina=True, alt=specification["title"]["text"]))
        else:
            print("\n".join(text.rstrip() for text in str(result).splitlines()))

    shell.register_magic_function(sql, "cell", "sql")
    shell.push({"con": con})

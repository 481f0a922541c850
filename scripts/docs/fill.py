"""Run the SQL of Markdown pages, and notebooks, and write the results into them: fill.py [--check] PAGE...

Every ```sql block is run, the blocks of a page in order on one connection. Where a ```text block
follows, it becomes the printed result of the last statement, or the error. With --check the
pages stay as they are, and it is an error if one would change. Of a notebook's pictures only that
there is one counts, since fonts are not the same everywhere.
"""

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from run_sql import ROOT, connect  # noqa: E402

BLOCK = re.compile(r"```sql\n(?P<sql>.*?)```(?:\n\n```text\n(?P<output>.*?)```)?", re.DOTALL)


def result(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    """What the last statement prints."""
    output = ""
    for statement in con.extract_statements(sql):
        if statement.type == duckdb.StatementType.SELECT:
            relation = con.sql(statement.query.strip().rstrip(";"))
            output = "\n".join(line.rstrip() for line in str(relation).splitlines()).strip() + "\n"
        else:
            con.execute(statement.query)
            output = ""
    return output


def filled(page: str) -> str:
    """The page with its results."""
    con = connect()

    def block(match: re.Match) -> str:
        expected = match["output"]
        try:
            output = result(con, match["sql"])
        except duckdb.Error as error:
            # Only a page that shows an error expects one.
            if expected is None or "Error" not in expected:
                raise
            output = f"{error}\n"
        text = f"```sql\n{match['sql']}```"
        return text if expected is None else f"{text}\n\n```text\n{output}```"

    return BLOCK.sub(block, page)


def executed(page: Path) -> "nbformat.NotebookNode":
    """The notebook as it is after its cells have run in its folder."""
    # Here, since pages alone do not need them.
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    notebook = nbformat.read(page, as_version=4)
    metadata = dict(notebook.metadata)
    with TemporaryDirectory() as sockets:
        # Over socket files: nothing listens on the network.
        transport = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
        folder = {"metadata": {"path": page.parent}}
        NotebookClient(
            notebook, kernel_name="python3", timeout=600, record_timing=False, resources=folder, config=transport
        ).execute()
    # Not the version of this Python.
    notebook.metadata = nbformat.from_dict(metadata)
    return notebook


def texts(notebook: "nbformat.NotebookNode") -> list[list[str]]:
    """What each cell prints, or that it shows a picture."""
    return [[output.get("text", output.output_type) for output in cell.get("outputs", [])] for cell in notebook.cells]


def stale(page: Path, check: bool) -> bool:
    """Whether the page's results were out of date; without `check` they are then brought up to date."""
    if page.suffix == ".ipynb":
        import nbformat

        notebook = executed(page)
        changed = texts(notebook) != texts(nbformat.read(page, as_version=4))
        if changed and not check:
            nbformat.write(notebook, page)
        return changed
    text = page.read_text()
    fresh = filled(text)
    if fresh != text and not check:
        page.write_text(fresh)
    return fresh != text


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    check = "--check" in arguments
    named = [Path(argument) for argument in arguments if argument != "--check"] or [*pages(), *notebooks()]
    old = [page for page in named if stale(page, check)]
    for page in old:
        print(f"{page}: {'out of date' if check else 'updated'}")
    sys.exit(1 if check and old else 0)

"""The page about Spark shows what its Python gives today. As a script it writes that into the page."""

import contextlib
import io
import os
import re
import tempfile

from conftest import ROOT, session

PAGE = ROOT / "docs" / "spark.md"
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)


def filled(page: str, names: dict) -> str:
    """The page with what its blocks print."""

    def block(match: re.Match) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(match["code"], names)
        lines = "".join(f"{line.rstrip()}\n" for line in printed.getvalue().strip().splitlines())
        return f"```python\n{match['code']}```\n\n```text\n{lines}```"

    return BLOCK.sub(block, page)


def test_results_on_the_page_are_those_of_its_python(spark, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    page = PAGE.read_text()
    assert len(BLOCK.findall(page)) == 3
    assert filled(page, {"spark": spark, "workdir": str(tmp_path)}) == page, "run: python spark/tests/test_docs.py"


if __name__ == "__main__":
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(filled(PAGE.read_text(), {"spark": session(), "workdir": folder}))

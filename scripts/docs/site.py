"""Build the documentation site, build/site, from the pages as they lie in the repository: site.py

A page or a link that leads nowhere, and a page that none leads to, is an error.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlparse

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE, SITE = ROOT / "build" / "site_source", ROOT / "build" / "site"
FIRST = ["README", "docs/install", "docs/embeddings", "docs/your_photos", "docs/your_records", "docs/report"]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)|<img src=\"([^\"]+)\"")
CONFIGURATION = {
    "site_name": "density_peaks",
    "docs_dir": str(SOURCE),
    "site_dir": str(SITE),
    # Pictures are named from where the page lies.
    "use_directory_urls": False,
    "strict": True,
    "validation": {
        "nav": {"omitted_files": "warn", "not_found": "warn", "absolute_links": "warn"},
        "links": {"not_found": "warn", "anchors": "warn", "absolute_links": "warn", "unrecognized_links": "warn"},
    },
    # No fonts from elsewhere.
    "theme": {"name": "material", "font": False, "features": ["navigation.tabs", "content.code.copy"]},
    "markdown_extensions": ["tables", "fenced_code", "pymdownx.highlight", "pymdownx.superfences"],
    "plugins": ["search"],
}


def pages() -> list[Path]:
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [Path(page) for page in sorted(listed) if not page.startswith(".")]


def navigation(found: list[Path]) -> list[dict]:
    """Sections by what a reader wants; each page is in one."""
    names = [page.as_posix() for page in found]
    first = [f"{name}.md" for name in FIRST]
    functions = [name for name in names if name.startswith("docs/functions/")]
    more = [name for name in names if name.startswith("docs/") and name not in [*first, *functions]]
    inside = [name for name in names if name not in [*first, *functions, *more]]
    return [{"Start": first}, {"Functions": functions}, {"More": more}, {"Inside": inside}]


def stage(found: list[Path]) -> None:
    """The pages and what they link to, at the places that they have here."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for page in found:
        linked = (Path(page.parent, next(filter(None, match))) for match in LINK.findall((ROOT / page).read_text()))
        for file in [page, *linked]:
            here = (ROOT / file).resolve()
            if here.is_file() and here.is_relative_to(ROOT):
                there = SOURCE / here.relative_to(ROOT)
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(here, there)


class Addresses(HTMLParser):
    """Where a page of the site leads to, and what it shows."""

    def __init__(self, file: Path):
        super().__init__()
        self.found = []
        self.feed(file.read_text())

    def handle_starttag(self, tag, attributes):
        if tag in ("a", "img", "link", "script"):
            self.found += [value for key, value in attributes if key in ("href", "src")]


def reached() -> tuple[set[Path], list[str]]:
    """The files that one comes to from the first page, and the addresses that lead nowhere."""
    files, nowhere, left = set(), [], [SITE / "index.html"]
    while left:
        page = left.pop()
        if page in files:
            continue
        files.add(page)
        if page.suffix != ".html":
            continue
        for address in Addresses(page).found:
            parts = urlparse(address)
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if parts.scheme or parts.netloc:
                continue
            if file.is_dir():
                file /= "index.html"
            if file.is_file():
                left.append(file)
            else:
                nowhere.append(f"{page.relative_to(SITE)}: {address}")
    return files, nowhere


def main() -> None:
    found = pages()
    stage(found)
    configuration = ROOT / "build" / "mkdocs.yml"
    # JSON is YAML too.
    configuration.write_text(json.dumps(CONFIGURATION | {"nav": navigation(found)}))
    words = [sys.executable, "-m", "mkdocs", "build", "--config-file", configuration]
    # Without the notice that the next version of MkDocs will be another program.
    done = subprocess.run(words, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    if done.returncode:
        sys.exit(done.returncode)
    files, nowhere = reached()
    alone = {page for page in SITE.rglob("*.html") if page.name != "404.html"} - files
    if nowhere or alone:
        sys.exit("\n".join([*nowhere, *(f"{page.relative_to(SITE)}: no page leads to it" for page in sorted(alone))]))
    print(f"file://{SITE}/index.html: {sum(file.suffix == '.html' for file in files)} pages")


if __name__ == "__main__":
    main()

"""The documentation as a site: it builds without a warning, every link in it leads somewhere, and it fetches nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from committed import ROOT

FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser gets by itself, by the attribute that says from where."""
RAW = re.compile(r"^(?:- |\d+\. |\| |```|#+ )", re.MULTILINE)
"""Markdown that was not understood stands at the beginning of a line of a paragraph."""


class Page(HTMLParser):
    """One page: where it leads, what it fetches, the places in it, and the text of its paragraphs."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.places: set[str] = set()
        self.paragraphs: list[str] = []
        self._in_paragraph = False
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.places |= {attributes[name] for name in ("id", "name") if name in attributes}
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag in FETCHED and FETCHED[tag] in attributes and attributes.get("rel") != "canonical":
            self.fetched.append(attributes[FETCHED[tag]])
        if tag == "p":
            self._in_paragraph = True
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "p":
            self._in_paragraph = False

    def handle_data(self, data: str) -> None:
        if self._in_paragraph:
            self.paragraphs[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """Every page, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return {page: Page(page) for page in folder.rglob("*.html") if page.name != "404.html"}


def local(links: list[str], page: Path) -> list[tuple[str, Path, str]]:
    """Those of this site: as written, the file, and the place in it."""
    targets = []
    for link in links:
        parts = urlsplit(link)
        if not parts.scheme and not parts.netloc:
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            targets.append((link, target, unquote(parts.fragment)))
    return targets


def test_every_link_leads_to_a_place_that_is_there(site: dict[Path, Page]) -> None:
    gone = [
        f"{page.name}: {link}"
        for page, read in site.items()
        for link, target, place in local(read.links, page)
        if not (target / "index.html" if target.is_dir() else target).exists()
        or (place and target in site and place not in site[target].places)
    ]
    assert len(site) > 40
    assert gone == []


def test_a_page_fetches_nothing_but_what_is_on_the_site(site: dict[Path, Page]) -> None:
    for page, read in site.items():
        assert len(local(read.fetched, page)) == len(read.fetched), page
        assert [link for link, target, _ in local(read.fetched, page) if not target.exists()] == []


def test_all_of_the_markdown_was_understood(site: dict[Path, Page]) -> None:
    """Python-Markdown reads a list that touches a paragraph, or is not deep enough, as text."""
    assert [
        f"{page.name}: {text[:80]}"
        for page, read in site.items()
        for text in read.paragraphs
        if RAW.search(text)
    ] == []


def test_every_document_is_a_page(site: dict[Path, Page]) -> None:
    names = {page.name for page in site}
    documents = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert {path.with_suffix(".html").name for path in documents} - names <= {"README.html"}

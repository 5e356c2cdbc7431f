"""What MkDocs does not do by itself, as its hooks: `make docs`.

The documents are written for whoever reads them in the repository. There a link may lead to any
file. On the site each linked file that is no page of `docs` becomes one, so that every link works
on both, offline too. MkDocs finds its hooks by their names.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "reporting.md",
    "deploy/helm/aop-operator/README.md": "chart.md",
}
"""Documents outside of `docs`, by what they are called on the site."""
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)")
"""Where a link of Markdown leads, without its anchor."""
FENCE = re.compile(r"(?ms)^( *)(```+)[^\n]*\n.*?^\1\2$|`[^`\n]+`")
"""Code: a block of it, or a word."""
ITEM = re.compile(r"(?:-|\d+\.) +")
RAW = "`" * 12
LARGEST = 200_000
"""Characters of a file that is shown."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what `docs` links to and does not hold."""
    for place, name in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / place).read_text()))
    for place in sorted(_linked(files)):
        files.append(File.generated(config, _shown_as(place), content=_shown(place)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let every link lead to a page of the site, and lists be deep enough for this Markdown."""
    here = _place(page.file.src_uri)
    if here is None:
        return markdown

    def lead(match: re.Match[str]) -> str:
        target = _page_of(_resolved(here, match[1]))
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")

    return _outside_code(_deepened(markdown), lambda text: LINK.sub(lead, text))


def _linked(files: Files) -> Iterator[str]:
    """Every place that a document links to and that the site would not have."""
    seen = set()
    for file in files:
        here = _place(file.src_uri)
        if here is None or not file.src_uri.endswith(".md"):
            continue
        for target in LINK.findall(FENCE.sub("", file.content_string)):
            place = _resolved(here, target)
            if _page_of(place).startswith("files/") and place not in seen:
                seen.add(place)
                yield place


def _place(uri: str) -> str | None:
    """Where a page of the site stands in the repository; None: it was made for the site."""
    if uri.startswith("files/"):
        return None
    outside = {name: place for place, name in PAGES.items()}
    return outside.get(uri, f"docs/{uri}")


def _resolved(here: str, target: str) -> str:
    """A link of the document `here`, as a path from the root of the repository.

    Raises PluginError where it leads nowhere.
    """
    place = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
    if place.startswith("..") or not (ROOT / place).exists():
        raise PluginError(f"{here} links to {target}, which is not there")
    return place


def _page_of(place: str) -> str:
    """The page of the site that shows what stands at `place` in the repository."""
    if place in PAGES:
        return PAGES[place]
    if place.startswith("docs/"):
        name = place.removeprefix("docs/")
        return f"{name}/README.md" if (ROOT / place).is_dir() else name
    return _shown_as(place)


def _shown_as(place: str) -> str:
    return f"files/{place.replace('/', '-').lstrip('.')}.md"


def _shown(place: str) -> str:
    """A page with the text of a file, or of every file of a folder."""
    path = ROOT / place
    parts = [f"---\nsearch: {{exclude: true}}\n---\n\n# {place}\n"]
    for one in sorted(path.iterdir()) if path.is_dir() else [path]:
        if one.is_dir():
            continue
        if path.is_dir():
            parts.append(f"## {one.name}\n")
        text = one.read_text()
        if len(text) > LARGEST:
            raise PluginError(f"{place} is too long to be shown: link to something else")
        parts.append(f"{RAW}text\n{text.rstrip()}\n{RAW}\n")
    return "\n".join(parts)


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """`markdown` with what stands outside of code changed."""
    parts, end = [], 0
    for code in FENCE.finditer(markdown):
        parts += [change(markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, change(markdown[end:])])


def _deepened(markdown: str) -> str:
    """What belongs to an item of a list, indented by four as Python-Markdown wants it.

    CommonMark takes as many spaces as the item's marker has.
    """
    lines: list[str] = []
    depth, loose, fenced = 0, False, False
    for line in markdown.splitlines():
        fenced ^= line.startswith("```")
        item = None if fenced else ITEM.match(line)
        if item:
            if loose and lines[-1]:
                lines.append("")  # a paragraph of the item before would take this one in
            depth, loose = len(item[0]), False
        elif line and not line.startswith(" "):
            depth, loose = 0, False
        loose |= depth > 0 and not line
        inside = depth and not item and line.startswith(" " * depth)
        lines.append(" " * (4 - depth) + line if inside else line)
    return "\n".join(lines) + "\n"

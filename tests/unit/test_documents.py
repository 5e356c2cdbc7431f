"""What the code says of its evidence leads somewhere, what is kept as evidence is used, and the picture of the floors is the real one."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from committed import ROOT, committed, parsed

PACKAGE = ROOT / "operator" / "aop"
FACTS = ROOT / "docs" / "facts"
KINDS = sorted(path.stem for path in FACTS.glob("[a-z]*.md"))
FACT = re.compile(rf"(?<![\w/.-])({'|'.join(KINDS)})#([a-z][a-z0-9-]*)")
"""A citation: `facts: ingress-nginx#old-workers`. An issue of a project, such as `kopf#642`, begins
with a digit and is none."""
PLACE = re.compile(r"(?<![\w/.-])(docs/[\w/.-]*?\w)(?:\.md)?(?:#([a-z][a-z0-9-]*))?(?![\w/#-])")
"""Another document of ours, by its path, or of `docs/adr` by its number."""
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")
"""A relative link in Markdown."""
PROMISE = re.compile(r"\bpromises? ((?:[SL]\d(?:, | and )?)+)")
OF_OLD = {
    "a reference by section": r"\breference: ?[a-z]|\breference, ?\d|\breference/[a-z]\w+-|\breference on\b|cloudflare-api|kube-rig",
    "a section of a design": r"\(design[,)]|\bdesign, (?:section|[SL]?\d)|\bthe design\b|\bsections? \d",
}
HERE = Path(__file__)


def texts(*suffixes: str) -> Iterator[tuple[Path, str]]:
    """Everything that is committed and that a person has written, this file excepted."""
    for path in committed():
        if path.suffix in suffixes and path != HERE and path.name != "openapi.json":
            yield path, read(path)


@cache
def read(path: Path) -> str:
    return path.read_text()


@cache
def docstrings() -> dict[Path, str]:
    """That of each module."""
    return {
        path.relative_to(ROOT): ast.get_docstring(parsed(path)) or "" for path, _ in texts(".py")
    }


def anchor(heading: str) -> str:
    """As GitHub makes one of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@cache
def anchors(document: Path) -> frozenset[str]:
    return frozenset(
        anchor(heading) for heading in re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    )


@cache
def facts() -> frozenset[tuple[str, str]]:
    return frozenset(
        (kind, anchor(heading))
        for kind in KINDS
        for heading in re.findall(r"^### (.+)$", (FACTS / f"{kind}.md").read_text(), re.MULTILINE)
    )


@cache
def cited() -> dict[tuple[str, str], list[Path]]:
    """Every citation of a fact, with the files that it stands in; what the documents of facts say of themselves is none."""
    citations: dict[tuple[str, str], list[Path]] = {}
    for path, text in texts(".py", ".md", ".toml", ".yaml", ".yml", ".tpl", ".sh", ""):
        if path.parent != FACTS:
            pairs: list[tuple[str, str]] = FACT.findall(text)
            for pair in pairs:
                citations.setdefault(pair, []).append(path.relative_to(ROOT))
    return citations


def test_every_fact_that_is_cited_is_there() -> None:
    assert {
        f"{kind}#{name}": files
        for (kind, name), files in cited().items()
        if (kind, name) not in facts()
    } == {}


def test_every_fact_is_cited_by_the_code() -> None:
    """What nothing rests on is not kept: nobody would notice that it has become false."""
    used = {
        pair
        for pair, files in cited().items()
        if any(file.parts[0] in {"operator", "tests", "tools", "deploy"} for file in files)
    }
    assert sorted(facts() - used) == []


def test_every_fact_says_how_it_was_established() -> None:
    ways = r"\*[^*]*\b(?:documented|observed|measured|source|controller|derived)\b[^*]*\*"
    without = [
        f"{kind}: {section.splitlines()[0]}"
        for kind in KINDS
        for section in re.split(r"^### ", (FACTS / f"{kind}.md").read_text(), flags=re.MULTILINE)[
            1:
        ]
        if not re.search(ways, section, re.IGNORECASE) and "| seen |" not in section
    ]
    assert without == []


def test_every_document_that_the_code_names_is_there() -> None:
    gone = []
    for path, text in texts(".py"):
        for name, at in PLACE.findall(text):
            place = ROOT / name
            candidates = [
                place.with_name(f"{place.name}.md"),
                place.with_name(f"{place.name}.svg"),
                place,
                *place.parent.glob(f"{place.name}-*.md"),
            ]
            document = next((one for one in candidates if one.exists()), None)
            if document is None or (at and at not in anchors(document)):
                gone.append(f"{path.relative_to(ROOT)}: {name}{at and '#'}{at}")
    assert gone == []


def test_every_link_between_documents_leads_somewhere() -> None:
    gone = []
    for path, text in texts(".md"):
        for name, at in LINK.findall(text):
            document = (path.parent / name).resolve() if name else path
            if not document.exists() or (
                at and document.suffix == ".md" and at not in anchors(document)
            ):
                gone.append(f"{path.relative_to(ROOT)}: {name}#{at}")
    assert gone == []


def test_every_promise_that_is_cited_is_one() -> None:
    promised = set(
        re.findall(r"^\| ([SL]\d) ", (ROOT / "docs" / "promises.md").read_text(), re.MULTILINE)
    )
    named = {
        promise
        for _, text in texts(".py")
        for row in PROMISE.findall(text)
        for promise in re.findall(r"[SL]\d", row)
    }
    assert named
    assert sorted(named - promised) == []


@pytest.mark.parametrize("what", OF_OLD)
def test_nothing_cites(what: str) -> None:
    """A document that this repository does not have is evidence for nobody."""
    offences = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path, text in texts(".py", ".md", ".toml", ".yaml", ".yml", ".tpl", ".sh", "")
        if path.parent != FACTS
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(OF_OLD[what], line)
    ]
    assert offences == []


CALLERS = re.compile(
    r"\b(?:[Cc]alled|[Uu]sed|[Bb]uilt|[Ff]illed|[Rr]ead|[Kk]ept|[Aa]sked|[Ss]tarted|[Ss]erved|[Rr]un|[Rr]egistered|[Tt]urned|[Oo]beyed)"
    r"(?: only| once)? (?:(?:by|in) (?:`|the |tests|every|whoever)|through `)|\bcalls (?:it|this|these)\b|\b[Pp]art of `"
)
"""Who calls a module is known to its callers; told in the module it was false in one of six."""


def test_no_module_tells_who_calls_it() -> None:
    assert [
        f"{path}: {claim[0]}"
        for path, text in docstrings().items()
        if (claim := CALLERS.search(text))
    ] == []


def test_every_name_of_ours_in_a_module_docstring_exists() -> None:
    """`aop.observe.zone`, `sandbox.waiting.until`: whoever follows one arrives."""
    names = [
        (path, name)
        for path, text in docstrings().items()
        for name in re.findall(r"`((?:aop|sandbox|model)(?:\.\w+)+)`", text)
    ]
    assert names
    assert [f"{path}: {name}" for path, name in names if not exists(name)] == []


def test_every_neighbour_that_a_module_docstring_names_exists() -> None:
    """`names.FIELD_MANAGER`, in a module beside `names`."""
    gone = [
        f"{path}: {module}.{name}"
        for path, text in docstrings().items()
        for module, name in re.findall(r"`(\w+)\.([A-Za-z_]\w*)", text)
        if (neighbour := ROOT / path.parent / f"{module}.py").is_file()
        and not re.search(rf"\b{name}\b", read(neighbour))
    ]
    assert gone == []


@pytest.mark.parametrize("package", ["cloudflare", "origins/ingress_nginx"])
def test_a_package_that_lists_its_modules_lists_all_of_them(package: str) -> None:
    folder = PACKAGE / package
    docstring = docstrings()[(folder / "__init__.py").relative_to(ROOT)]
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert (
        sorted(
            name
            for name in modules
            if not re.search(rf"`{name}`|^ {{4}}{name} ", docstring, re.MULTILINE)
        )
        == []
    )


def exists(name: str) -> bool:
    """Whether a dotted name leads to a module or to something that is defined in one."""
    base = PACKAGE.parent if name.startswith("aop.") else ROOT / "tests"
    parts = name.split(".")
    for upto in range(len(parts), 0, -1):
        module = base.joinpath(*parts[:upto])
        for file in (module.with_suffix(".py"), module / "__init__.py"):
            if file.is_file():
                return (
                    upto == len(parts)
                    or re.search(rf"\b{parts[upto]}\b", file.read_text()) is not None
                )
    return False


def test_the_picture_of_the_floors_is_the_contract() -> None:
    picture = re.search(
        r"```text\n(__main__.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL
    )
    assert picture
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    (floors,) = (contract["layers"] for contract in contracts if contract["name"] == "floors")
    assert [re.split(r"\s{2,}", line)[0] for line in picture[1].splitlines()] == floors

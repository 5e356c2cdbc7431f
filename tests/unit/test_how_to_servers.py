"""What the how-tos of servers in workloads have a reader write stands in the examples, on which system tests and the demo live.

So a page cannot tell anything that was not tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVERS = ("nginx", "apache", "haproxy", "caddy", "traefik", "gateway")
VALUES = {"traefik": "traefik", "gateway": "gateways"}
"""The file in deploy/helm/ci with the values for a server's example; others: `workloads`."""
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def blocks(server: str) -> Iterator[tuple[str, str]]:
    """Language and text of everything on the page that is to be written somewhere."""
    page = (ROOT / f"docs/how-to/{server}.md").read_text()
    for _, language, text in _BLOCK.findall(page):
        if language != "sh" or ("kubectl" not in text and "helm" not in text):
            yield language, dedent(text)


def example(server: str) -> list[dict[str, Any]]:
    """Every object of the server's example, the AuthenticatedOriginPull too, and the values."""
    folder = ROOT / "deploy/examples" / server
    web = list(yaml.safe_load_all((folder / "web.yaml").read_text()))
    pull = yaml.safe_load((folder / "authenticatedoriginpull.yaml").read_text())
    values = ROOT / f"deploy/helm/ci/{VALUES.get(server, 'workloads')}.yaml"
    return [*web, pull, yaml.safe_load(values.read_text())]


def within(part: Any, whole: Any) -> bool:
    """Whether `part` stands in `whole` as it is, whatever stands beside it."""
    match part, whole:
        case dict(), dict():
            return all(key in whole and within(value, whole[key]) for key, value in part.items())
        case list(), list():
            return all(any(within(one, other) for other in whole) for one in part)
    return bool(part == whole)


def anywhere(part: Any, whole: Any) -> bool:
    """Whether it stands somewhere in it."""
    below = whole.values() if isinstance(whole, dict) else whole
    return within(part, whole) or (
        isinstance(whole, dict | list) and any(anywhere(part, one) for one in below)
    )


def words(text: str) -> str:
    """Without comments and without regard to how it is laid out."""
    return " ".join(re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE).split())


def apart(fragment: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A whole object as it is, and of the parts of one each by itself: `volumeMounts` and `volumes` stand in different places."""
    if "kind" in fragment:
        yield fragment
    else:
        yield from ({key: value} for key, value in fragment.items())


@pytest.mark.parametrize("server", SERVERS)
def test_every_object_and_every_part_of_one_stands_in_the_example(server: str) -> None:
    objects = example(server)
    files = [file for one in objects for file in one.get("data", {}).items()]
    objects += [yaml.safe_load(text) for name, text in files if name.endswith(".yaml")]
    parts = [
        part
        for language, text in blocks(server)
        if language == "yaml"
        for fragment in yaml.safe_load_all(text)
        for part in apart(fragment)
        if set(part) != {"args"}
    ]
    assert len(parts) >= 4
    for part in parts:
        assert any(anywhere(part, one) for one in objects), part


@pytest.mark.parametrize("server", SERVERS)
def test_the_values_are_those_of_which_the_manifests_are_rendered(server: str) -> None:
    """With nothing left out: an operator that does not serve the object's namespace does nothing at all."""
    (*_, values) = example(server)
    written = [
        fragment
        for language, text in blocks(server)
        if language == "yaml"
        for fragment in yaml.safe_load_all(text)
        if {"workloads", "gateways"} & fragment.keys()
    ]
    assert written == [values]


@pytest.mark.parametrize("server", [one for one in SERVERS if one not in {"traefik", "gateway"}])
def test_every_line_of_the_servers_own_configuration_stands_in_the_example(server: str) -> None:
    web = words((ROOT / "deploy/examples" / server / "web.yaml").read_text())
    lines = [text for language, text in blocks(server) if language not in {"yaml", "sh"}]
    assert len(lines) >= 2
    for text in lines:
        for paragraph in text.split("\n\n"):
            assert words(paragraph) in web, paragraph


def test_what_traefik_is_started_with_is_what_its_example_configures() -> None:
    """There by a file, on the page by arguments, which its own chart takes."""
    (arguments,) = (
        fragment["args"]
        for language, text in blocks("traefik")
        if language == "yaml"
        for fragment in yaml.safe_load_all(text)
        if "args" in fragment
    )
    (conf, *_) = example("traefik")
    configured = yaml.safe_load(conf["data"]["traefik.yaml"])
    for argument in arguments:
        path, _, value = argument.removeprefix("--").partition("=")
        tree = configured
        for name in path.split("."):
            tree = tree[name]
        assert tree == yaml.safe_load(value), argument

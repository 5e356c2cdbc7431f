"""A page of docs/how-to as its reader takes it: its values, the objects it has applied, the words it has added, its commands.

For tests that follow a page from nothing, so that it is the page which is tried and no copy of it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sandbox.ports import free_port
from sandbox.scene import Scene

ROOT = Path(__file__).parents[1]
RELEASE, NAMESPACE = "aop-operator", "aop-system"
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class HowTo:
    """What stands in the fences of docs/how-to/<kind>.md."""

    def __init__(self, kind: str) -> None:
        self._text = (ROOT / f"docs/how-to/{kind}.md").read_text()

    def blocks(self, language: str) -> list[str]:
        """What stands in fences of a language, in order and as it stands in there."""
        return [
            "\n".join(line.removeprefix(indent) for line in text.splitlines())
            for indent, named, text in BLOCK.findall(self._text)
            if named == language
        ]

    def documents(self) -> list[dict[str, Any]]:
        """Whatever it has of YAML: whole objects, and parts of them."""
        return [one for text in self.blocks("yaml") for one in yaml.safe_load_all(text)]

    def values(self) -> dict[str, Any]:
        """Its first block: `values.yaml`."""
        return self.documents()[0]

    def objects(self) -> list[dict[str, Any]]:
        """What it has its reader apply, in the order in which it says so."""
        return [one for one in self.documents() if "kind" in one]

    def commands(self, program: str) -> Iterator[list[str]]:
        """Arguments of every command of a program, without what stands behind `||` or a comment."""
        for text in self.blocks("sh"):
            for line in text.replace("\\\n", " ").replace("||\n", "\n").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == [program]:
                    yield words[1:]

    def applied(self) -> Path:
        """The file with the object that it has its reader apply."""
        (command,) = (one for one in self.commands("kubectl") if one[0] == "apply")
        return ROOT / command[-1]


def of_the_sandbox(scene: Scene) -> dict[str, Any]:
    """The values with which an installed operator works there."""
    return {
        "settings": {
            "cloudflareBaseUrl": scene.cloudflare.base_url,
            "edgeConnectTo": scene.sandbox.connect_to.split(","),
            "edgeCaFile": str(scene.cloudflare.edge_ca_file),
            "quietPeriodSeconds": 3,
        },
        "ports": {"address": "127.0.0.1", "health": free_port(), "metrics": free_port()},
    }

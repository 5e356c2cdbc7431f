"""All that differs from server to server: what one has to be told, and how it refuses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from aop.origins.kind import Capabilities
from aop.origins.rules import Rules

MARKER = "# BEGIN aop-operator"
"""How every text of ours begins; the comments of all these servers begin so."""
END = "# END aop-operator"


def begin(revision: str) -> str:
    """The first line of a text."""
    return (
        f"{MARKER} revision {revision}: written by the operator, what is edited here is overwritten"
    )


class Dialect(Protocol):
    """One server."""

    @property
    def files(self) -> tuple[str, ...]:
        """The keys of the ConfigMap that hold the text, each a file in the pod."""

    @property
    def capabilities(self) -> Capabilities:
        """What the server can and cannot do."""

    def render(self, rules: Rules) -> dict[str, str]:
        """The text of each of `files`. The server takes any of them without the others."""

    def unfit(self, names: Collection[str]) -> Mapping[str, str]:
        """Those of `names` that the text cannot carry, and why."""

    def blames_others(self, words: str) -> bool:
        """Whether what the server said as it ended names something that is surely not ours."""

    def refuses_certificate(self, status: int, body: str) -> bool:
        """As `kind.OriginKind` says."""

    def refuses_arrival(self, status: int, body: str) -> bool:
        """As `kind.OriginKind` says."""

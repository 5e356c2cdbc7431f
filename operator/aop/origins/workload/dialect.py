"""All that differs from server to server: how its files express the rules, and how it refuses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from aop.origins.check import printed
from aop.origins.kind import Capabilities
from aop.origins.rules import Parents, Rules
from aop.origins.sites import Json, Objects, Read, Remark, Scope

MARKER = "# BEGIN aop-operator"
"""How every text of ours begins; the comments of nearly all these servers begin so."""
END = "# END aop-operator"


REFUSAL = "No required client certificate was sent"
"""What a stranger reads, with status 403, if a server has no words of its own for it."""


def text_of(rules: Rules, lines: Iterable[str], comment: str = "") -> str:
    """A whole file: between a line that gives its revision, and one that ends it.

    `comment` begins these two lines if `#` begins no comment.
    """
    first = f"{comment}{MARKER} revision {printed(rules.revision)}: written by the operator, what is edited here is overwritten"
    return "\n".join((first, *lines, f"{comment}{END}", ""))


def pattern_of(name: str) -> str:
    """The regular expression that matches a request's host, however the request writes it.

    See facts: caddy#host-names-in-a-request.

    `name` is a concrete host or a wildcard of `Rules`. It has to be matched in lower case or
    without regard to case, after a port was removed.
    """
    below = name.removeprefix("*.")
    escaped = below.replace(".", "[.]")
    return f"^.+[.]{escaped}[.]?$" if below != name else f"^{escaped}[.]?$"


def is_our_refusal(status: int, body: str) -> bool:
    """Whether an answer is `REFUSAL`."""
    return status == 403 and REFUSAL in body


class Dialect(Protocol):
    """One server; what most of them have in common is here."""

    @property
    def files(self) -> tuple[str, ...]:
        """The keys of the ConfigMap that hold the text, each a file in the pod."""

    @property
    def idle(self) -> Mapping[str, str]:
        """Keys of the ConfigMap that are not ours and must be there when ours are taken out.

        Each with what to put there if somebody has removed it. None if a server goes on without any
        text.
        """
        return {}

    @property
    def complains(self) -> str:
        """The text in a line by which the server says what is wrong with its configuration."""

    @property
    def container(self) -> str:
        """The container that gets the text if none mounts it; empty: there is none."""
        return ""

    @property
    def in_place(self) -> str:
        """What helps if a running server takes up another text and should not."""
        return "Keep the server from loading another text while it runs"

    @property
    def capabilities(self) -> Capabilities:
        """What the server can and cannot do."""

    def render(self, rules: Rules) -> dict[str, str]:
        """The text of each of `files`. The server accepts any of them without the others."""

    def leaves(self, texts: Iterable[str]) -> Mapping[str, str]:  # noqa: ARG002 - of those that have any
        """The leaves in texts of ours, by SHA-256: base64 of their DER.

        None if digests say all that the server has to know.
        """
        return {}

    def reads(self, scope: Scope) -> tuple[Read, ...]:  # noqa: ARG002 - of those that read more
        """What else is read in Kubernetes; all of it optional."""
        return ()

    def left_open(
        self,
        parents: Parents,  # noqa: ARG002 - of those that leave anything open
        patterns: Collection[str],  # noqa: ARG002 - the same
        objects: Objects,  # noqa: ARG002 - the same
    ) -> tuple[str, ...]:
        """Which parts of the hosts under `patterns` our text does not protect, as sentences.

        `parents` as in `Rules`; `objects` contain what `reads` asks for. Only if a host may be
        required and a part of it be open all the same: empty if what includes our text handles all
        of a host.
        """
        return ()

    def remarks(self, container: str, server: Json) -> tuple[Remark, ...]:  # noqa: ARG002 - of those that need more
        """What a person should know about how the server runs.

        `container` is what messages call it, `server` the container of the pod template.
        """
        return ()

    def unfit(self, names: Collection[str]) -> Mapping[str, str]:  # noqa: ARG002 - any name has room
        """Those of `names` that the text cannot carry, and why."""
        return {}

    def blames_others(self, words: str) -> bool:
        """Whether what the server said when it ended names something that is surely not ours."""

    def refuses_certificate(self, status: int, body: str) -> bool:
        """As `kind.OriginKind` says."""

    def refuses_arrival(self, status: int, body: str) -> bool:
        """As `kind.OriginKind` says."""

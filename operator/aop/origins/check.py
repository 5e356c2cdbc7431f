"""The two paths that are ours on every host, and the check path's one line.

They are the same for every origin kind. `parse` is the only way back from the answer. The nonce in
it is the request's argument `n`, so anybody can make the server say something there: letters,
digits, `_` and `-`, of which no browser makes anything but text, whatever type it assumes. `parse`
accepts nothing but the exact form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

NONE = "none"
"""Presented: no client certificate (nobody asked, none was sent, or the connection is not TLS)."""
OTHER = "other"
"""Presented: a certificate that is not pinned for the zone of this host."""
NO_ZONE = "-"
"""Zone label of a host that belongs to no zone whose claims ask. Before any other label, a word may
say how strict the host is."""

TOKEN = re.compile(r"[a-z0-9]{8,40}")
_LINE = re.compile(
    r"aop rev=(?P<revision>(?!0+ )[0-9]{1,15}) zone=(?P<zone>-|([a-z]{3}\.)?[a-z0-9]{1,5}) presented=(?P<presented>none|other|[0-9a-f]{8})"
    r" https=(?P<https>on|) conn=(?P<requests>[1-9][0-9]{0,9})(?P<session>[.r]|) nonce=(?P<nonce>[A-Za-z0-9_-]{0,64})\n"
)


OUR_PATHS = "/.well-known/aop-operator/"
"""What both paths begin with."""


ANSWER_PATH = f"{OUR_PATHS}told/"
"""Where a server redirects the check to if it cannot answer in words of its own; the line comes
after it."""


def check_path(token: str) -> str:
    """The path that is exempt from every refusal and shows what a request came with.

    `?n=` is its nonce. If no type can be set for the answer, a server takes it from the extension.
    """
    return f"{OUR_PATHS}{token}/check.txt"


def gate_path(token: str) -> str:
    """The path that is refused exactly like the application.

    It answers 204 where the application would be served.
    """
    return f"{OUR_PATHS}{token}/gate"


def printed(revision: int) -> str:
    """A revision, as it is printed in everything that we write.

    It always has the same length, so that no write grows because it is a later one.
    """
    return f"{revision:08}"


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """What one request met at the check path."""

    revision: int
    """The revision of the text that the answering server runs."""
    presented: str
    """`Pin.short` of a leaf pinned for that zone, or NONE, or OTHER."""
    https: bool
    """Whether the connection to the origin itself was TLS; no header can claim that."""
    fresh: bool
    """Whether the request was the first on its connection, and the connection's TLS session was not
    resumed: then what was presented is presented now."""
    nonce: str


def parse(body: bytes | str) -> CheckAnswer | None:
    """The answer in `body`.

    None for anything else, even if a part of our text is live that cannot tell a zone.
    """
    try:
        line = body if isinstance(body, str) else body.decode("ascii")
    except UnicodeDecodeError:
        return None
    if (match := _LINE.fullmatch(line)) is None:
        return None
    return CheckAnswer(
        revision=int(match["revision"]),
        presented=match["presented"],
        https=match["https"] == "on",
        fresh=match["requests"] == "1" and match["session"] != "r",
        nonce=match["nonce"],
    )


def answer_in(status: int, body: str, location: str | None) -> CheckAnswer | None:
    """The check's answer: in the body, or in the place to which it redirects."""
    if status == 200:
        return parse(body)
    if status == 302 and location and ANSWER_PATH in location:
        return parse(f"{unquote(location.partition(ANSWER_PATH)[2])}\n")
    return None

"""What a question brings: an answer, or why there is none.

No conclusions: pure code draws them from the `Observed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """Why there is no answer.

    Which of them is silence and which is evidence is not decided here.
    """

    TIMEOUT = "timeout"
    """Nothing came in time. `Failure.text` says whether connecting, the TLS handshake or the answer
    hung."""
    NAME = "name"
    """The name could not be resolved."""
    REFUSED = "refused"
    """No connection: the other machine says that nobody listens there."""
    UNREACHABLE = "unreachable"
    """No connection: there is no route. Whether anybody listens is not known, and others may reach
    it all the same."""
    RESET = "reset"
    """The connection was made and then closed before the answer was complete. A TLS 1.3 server that
    refuses a certificate in the handshake can look like this as well: its alert gets lost when the
    request is already on its way."""
    TLS = "tls"
    """The TLS handshake failed, here (the certificate of the other side does not verify) or there
    (an alert)."""
    PROTOCOL = "protocol"
    """What came is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer. `text` is for people: what happened, at which address; never key material."""

    kind: FailureKind
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, redirects not followed."""

    status: int
    body: str = ""
    """The first 4 KiB; bytes that are not UTF-8 are replaced."""
    location: str | None = None
    cf_ray: str | None = None
    """Only there if the answer came through the edge; every message about it contains it."""

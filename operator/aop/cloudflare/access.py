"""With which token, and how urgently, Cloudflare is asked.

Every method of `Cloudflare` takes one. The token has no way out but the `authorization` header:
neither `repr` nor an exception nor a log line of this package shows it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from pydantic import SecretStr

from aop.cloudflare.errors import TokenRejected

LONGEST_TOKEN = 512
"""In characters, ten times a token's. Whatever is in front of the API refuses a header of
thousands, in HTML that explains nothing."""


class Priority(IntEnum):
    """Which call goes first when calls are scarce; smaller goes first."""

    PROTECT = 0
    """What protects or relaxes: visitors are at stake."""
    ONBOARD = 1
    """What a person is waiting for."""
    RESYNC = 2
    """What only checks whether everything is still as it was."""


class TokenKind(Enum):
    """Whose a token is, as its first characters say (facts: cloudflare#token-forms)."""

    USER = "cfut_"
    """It belongs to a person, whose calls are counted together over all tokens."""
    ACCOUNT = "cfat_"
    """It belongs to an account, which alone can verify it, and is counted separately."""
    KEY = "cfk_"
    """The Global API Key, which is no token."""
    UNTOLD = ""
    """From before 2026: it belongs to a person or to an account."""


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """A checked token and a priority. Build it with `Access.of`, never directly."""

    token: SecretStr
    priority: Priority
    source: str
    """Where the token was read, for messages: `Secret edge/cloudflare, key api-token`."""

    @classmethod
    def of(cls, token: str, priority: Priority, *, source: str = "the API token") -> Access:
        """Check `token` before it is ever sent.

        Whitespace around it is cut off, because most Secrets are made with `echo` without `-n`.

        Raises `TokenRejected` if it is empty, is longer than any token, contains what no header can
        carry (a blank, a line break, anything outside ASCII), or is a key and no token.
        """
        trimmed = token.strip()
        if not trimmed:
            raise TokenRejected(f"{source} is empty. Put a Cloudflare API token there.")
        if not all("!" <= character <= "~" for character in trimmed):
            raise TokenRejected(
                f"{source} holds a blank, a line break or a character outside ASCII within the token, so it cannot be a Cloudflare API token "
                "and was not sent. Put the token there alone: without `Bearer`, quotes around it, or a second line."
            )
        if len(trimmed) > LONGEST_TOKEN:
            raise TokenRejected(
                f"{source} holds {len(trimmed)} characters, which are no Cloudflare API token; they were not sent. Put the token there alone: not a "
                "file that holds it, or one that was encoded again."
            )
        access = cls(SecretStr(trimmed), priority, source)
        if access.kind is TokenKind.KEY:
            raise TokenRejected(
                f"{source} holds a Global API Key, which may do everything and is not used here; it was not sent. Create an API token in the "
                "dashboard (My Profile > API Tokens) and put it there."
            )
        return access

    def at(self, priority: Priority) -> Access:
        """The same token with another priority."""
        return replace(self, priority=priority)

    @property
    def kind(self) -> TokenKind:
        """To whom the token belongs, without asking anybody."""
        return next(
            kind for kind in TokenKind if self.token.get_secret_value().startswith(kind.value)
        )

    @property
    def key(self) -> str:
        """SHA-256 of the token in hex: the same token has the same budget.

        It reveals nothing about the token.
        """
        return hashlib.sha256(self.token.get_secret_value().encode()).hexdigest()

    @property
    def authorization(self) -> str:
        """The value of the header of this name. It contains the token."""
        return f"Bearer {self.token.get_secret_value()}"

    def __repr__(self) -> str:
        return f"Access({self.source}, {self.priority.name})"

"""Whose a credential is, and what it may do: tokens of users and of accounts, and the key of a user. Pure.

facts: cloudflare#token-forms, cloudflare#account-tokens, cloudflare#fresh-tokens.
"""

from __future__ import annotations

import math
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Literal, Protocol

ALL_PERMISSIONS = frozenset(
    {
        *(
            "Zone Read",
            "Zone Settings Read",
            "Zone Settings Write",
            "SSL and Certificates Read",
            "SSL and Certificates Write",
        ),
        *(
            "Notifications Read",
            "Notifications Write",
            "Account Settings Read",
            "Account Settings Write",
        ),
        *(
            "DNS Read",
            "Origin Read",
            "Config Settings Read",
            "Load Balancers Read",
            "Load Balancing: Monitors and Pools Read",
        ),
    }
)
"""What a user's key may do, and what a token can be given here."""
_ALPHABET = string.ascii_letters + string.digits


def new_id() -> str:
    """32 hex digits: the form of the ids of zones, accounts, users and tokens."""
    return secrets.token_hex(16)


def new_secret(prefix: str) -> str:
    """A credential in the form of 2026: prefix, 40 characters, and a checksum of eight."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(40))
    return f"{prefix}{random}{zlib.crc32(random.encode()):08x}"


class Scoped(Protocol):
    """What a token reaches or not."""

    id: str
    account_id: str


@dataclass(slots=True)
class User:
    """A person. All calls with any credential of theirs are counted together."""

    email: str
    id: str = field(default_factory=new_id)
    key: str = field(default_factory=lambda: new_secret("cfk_"))
    """The Global API Key."""


@dataclass(slots=True)
class Token:
    """An API token. `zones` None: all zones that its owner has."""

    value: str
    permissions: frozenset[str]
    owner: str
    """Whose calls are counted: a user's id, or the account's for a token of its own."""
    zones: frozenset[str] | None = None
    id: str = field(default_factory=new_id)
    account_id: str | None = None
    """Of the account to which it belongs; None: it is a user's."""
    status: Literal["active", "disabled", "expired"] = "active"
    not_before: float | None = None
    expires_on: float | None = None
    elsewhere: bool = False
    """It may be used from other addresses only."""
    revoked: bool = False
    """Deleted by its owner: from then on an unknown token."""
    fresh_until: float = -math.inf
    """Until then every other call gets 403, as with a token just made."""

    def reaches(self, zone: Scoped) -> bool:
        """Whether the zone is in its scope."""
        return self.account_id in {None, zone.account_id} and (
            self.zones is None or zone.id in self.zones
        )

    def reaches_account(self, account_id: str) -> bool:
        """Whether it may do anything with the account itself, which a token for zones may not."""
        return self.zones is None and self.account_id in {None, account_id}

    def works(self, now: float) -> bool:
        """Whether it is active, and the moment within its time."""
        begun = self.not_before is None or self.not_before <= now
        return (
            self.status == "active" and begun and (self.expires_on is None or now < self.expires_on)
        )

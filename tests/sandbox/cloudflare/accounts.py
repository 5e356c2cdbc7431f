"""What belongs to an account and to none of its zones: whom Cloudflare warns. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.cloudflare.credentials import new_id


@dataclass(slots=True)
class Policy:
    """A notification policy: what its owner wrote, and when."""

    body: dict[str, Any]
    created: float
    modified: float
    id: str = field(default_factory=new_id)


@dataclass(slots=True)
class Account:
    """One account."""

    id: str
    name: str
    paid: bool = False
    """Whether webhooks may be used."""
    emails: set[str] | None = None
    """Addresses that may be warned; None: all."""
    webhooks: dict[str, str] = field(default_factory=dict)
    """Id -> URL."""
    webhook_names: dict[str, str] = field(default_factory=dict)
    """Id -> name; one without is named after its id."""
    policies_per_page: int | None = None
    """None: the list of policies comes whole, and tells nothing of pages."""
    policies: dict[str, Policy] = field(default_factory=dict)

"""Which objects ask Cloudflare to warn whom, by their visits and by what all objects say. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aop.api import Alerts, AlertsStatus
from aop.cloudflare import Access
from aop.observe.objects import Served
from aop.terms import ObjectKey

Whom = tuple[Collection[str], Collection[str]]
"""E-mail addresses, and webhook destinations by name or id, as a spec has them."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What one object asks for, with what its last visit has seen."""

    key: ObjectKey
    uid: str
    created: datetime
    access: Access
    """The last token that has seen the object's zone."""
    account_id: str
    """Of the account that the zone is in."""
    alerts: Alerts | None
    """None: it asks for nothing, or no longer does."""
    asked: str = ""
    """Digest of `alerts`."""
    suspended: bool = False
    noted: AlertsStatus | None = field(default=None, compare=False)
    """What was done for it before."""

    @property
    def accounts(self) -> frozenset[str]:
        """The accounts in which something has to be done, or undone, for it."""
        here = {self.account_id} if self.alerts is not None else set()
        return frozenset(here | ({self.noted.account_id} if self.noted is not None else set()))

    def asks_at(self, account_id: str) -> bool:
        """Whether it asks in that account; what was done for it elsewhere is undone first."""
        settled = self.noted is None or self.noted.account_id == account_id
        return self.alerts is not None and self.account_id == account_id and settled

    def had(self, policy_ids: Iterable[str]) -> bool:
        """Whether it has asked for the same before, and one of these policies was kept for it."""
        return (
            self.noted is not None
            and self.noted.asked == self.asked
            and self.noted.policy_id in set(policy_ids)
        )


def asking_elsewhere(
    served: Iterable[Served], heard: Collection[str], account_id: str
) -> list[Whom]:
    """Whom the objects name that may ask in the account and are not among `heard` (uids).

    Their visit is still to come, or their token shows nothing, so what they ask for stays as it is.
    """
    return [
        (_texts(one.alerts.get("email")), _texts(one.alerts.get("webhooks")))
        for one in served
        if isinstance(one.alerts, dict)
        and one.uid not in heard
        and one.account_id in {None, "", account_id}
        and not one.deleting
    ]


def _texts(items: Any) -> tuple[str, ...]:
    """Tolerant, because a stored spec may be invalid."""
    return (
        tuple(one for one in items or () if isinstance(one, str)) if isinstance(items, list) else ()
    )

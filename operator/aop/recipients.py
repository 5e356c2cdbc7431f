"""Whom a notification policy warns, and whom of them because objects ask for it. Pure.

People edit a policy too, at Cloudflare. So the policy itself notes whom we put there because an
object asked, and who was there already, and the same call writes both: it cannot be lost alone, and
whoever leads next reads it. Whom somebody else has put there stays; whom somebody else has taken
out is not put there again (docs/adr/0022).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aop.api import Alerts

ALERT_TYPE = "zone_aop_custom_certificate_expiration_type"
"""What a policy of ours is about (facts: cloudflare#notification-policies)."""
EMAIL, WEBHOOKS = "email", "webhooks"
_DIGITS = 12
_MARK = re.compile(
    r"Kept by aop-operator for AuthenticatedOriginPull (\S{1,511}) "
    r"\(uid=([0-9a-zA-Z-]{1,64}) put=([0-9a-f,]*) prior=([0-9a-f,]*)\)\.?"
)


@dataclass(frozen=True, slots=True, order=True)
class Recipient:
    """An e-mail address, or a webhook destination by its id."""

    way: str
    """`EMAIL` or `WEBHOOKS`, as Cloudflare calls it."""
    id: str

    @property
    def digest(self) -> str:
        """What distinguishes it from others, however it is written."""
        name = self.id.casefold() if self.way == EMAIL else _undashed(self.id)
        return hashlib.sha256(f"{self.way} {name}".encode()).hexdigest()[:_DIGITS]

    def __str__(self) -> str:
        return self.id if self.way == EMAIL else f"webhook {self.id}"


@dataclass(frozen=True, slots=True)
class NamedRecipients:
    """Whom an object names."""

    recipients: frozenset[Recipient]
    unknown: tuple[str, ...] = ()
    """Webhook destinations that the account does not have, or of which it has several."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What we have noted in a policy."""

    owner: str = ""
    """One of the objects that asked, for people: `edge/example-com`."""
    uid: str = ""
    """Its uid, which no object in another cluster has."""
    put: frozenset[str] = frozenset()
    """Digests of those whom we have put there."""
    prior: frozenset[str] = frozenset()
    """Digests of those who were asked for and were there already."""


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A policy as it should be."""

    mechanisms: Mapping[str, Any]
    mark: Mark
    differs: bool
    """Whether something has to be written."""
    missing: frozenset[Recipient]
    """Those who are asked for, and whom somebody else has taken out."""

    @property
    def tells_nobody(self) -> bool:
        """Whether it warns nobody any more."""
        return not any(self.mechanisms.values())


def named(
    email: Iterable[str], webhooks: Iterable[str], destinations: Iterable[tuple[str, str]]
) -> NamedRecipients:
    """The recipients that `spec.alerts` means; `destinations` are the account's, by id and name."""
    by_name: dict[str, set[str]] = {}
    for id_, name in destinations:
        for one in {_undashed(id_), name}:
            by_name.setdefault(one, set()).add(id_)
    recipients, unknown = {Recipient(EMAIL, address) for address in email}, []
    for webhook in webhooks:
        ids = by_name.get(_undashed(webhook)) or by_name.get(webhook) or set()
        if len(ids) == 1:
            recipients.add(Recipient(WEBHOOKS, *ids))
        else:
            unknown.append(webhook)
    return NamedRecipients(frozenset(recipients), tuple(unknown))


def asked_digest(alerts: Alerts) -> str:
    """What distinguishes one `spec.alerts` from another, in whatever order it is written."""
    named = sorted(alerts.email), sorted(alerts.webhooks)
    return hashlib.sha256(repr(named).encode()).hexdigest()[:_DIGITS]


def written(mark: Mark, description: str = "") -> str:
    """`description` with our mark in it, in place of the one of before; the rest is somebody's."""
    text = (
        f"Kept by aop-operator for AuthenticatedOriginPull {mark.owner} (uid={mark.uid} "
        f"put={','.join(sorted(mark.put))} prior={','.join(sorted(mark.prior))})."
    )
    before = _MARK.search(description)
    if before is None:
        return f"{description} {text}".strip()
    return description[: before.start()] + text + description[before.end() :]


def unmarked(description: str) -> str:
    """`description` without our mark: the policy is left to those who have added to it."""
    return _MARK.sub("", description).strip()


def mark_in(description: str) -> Mark | None:
    """Our mark; None: there is none."""
    match = _MARK.search(description)
    if match is None:
        return None
    owner, uid, put, prior = match.groups()
    return Mark(owner, uid, _digests(put), _digests(prior))


def recipients_of(mechanisms: Mapping[str, Any]) -> frozenset[Recipient]:
    """Whom a policy warns by e-mail or webhook."""
    return frozenset(
        Recipient(way, item["id"]) for way in (EMAIL, WEBHOOKS) for item in _items(mechanisms, way)
    )


def taken(
    mechanisms: Mapping[str, Any], mark: Mark, wanted: Iterable[Recipient]
) -> frozenset[Recipient]:
    """Those of `wanted` for whom nothing has to be written: they are there, or were taken out."""
    settled = {one.digest for one in recipients_of(mechanisms)} | mark.put | mark.prior
    return frozenset(one for one in wanted if one.digest in settled)


def lacking(mechanisms: Mapping[str, Any], wanted: Iterable[Recipient]) -> frozenset[Recipient]:
    """Those of `wanted` whom a policy does not warn."""
    there = {one.digest for one in recipients_of(mechanisms)}
    return frozenset(one for one in wanted if one.digest not in there)


def changed(
    mechanisms: Mapping[str, Any],
    mark: Mark,
    wanted: Collection[Recipient],
    kept: Collection[str] | None,
) -> PolicyChange:
    """The policy with `wanted` in it, and without those whom we put there and nobody asks for.

    `kept` are the digests of those who stay if they are there, but are not put there: whoever asks
    for them cannot be heard now. None: it is not known who asks, so nobody is taken out.
    """
    noted = mark.put | mark.prior
    asked = {one.digest for one in wanted} | set(noted if kept is None else kept)
    there = {one.digest for one in recipients_of(mechanisms)}
    new = {one.digest: one for one in wanted if one.digest not in noted}
    added = [one for digest, one in sorted(new.items()) if digest not in there]
    gone = (mark.put - asked) & there
    left = dict(mechanisms) | {
        way: [item for item in _all(mechanisms, way) if _digest(way, item) not in gone]
        + [{"id": one.id} for one in added if one.way == way]
        for way in (EMAIL, WEBHOOKS)
        if way in mechanisms or any(one.way == way for one in added)
    }
    after = replace(
        mark,
        put=(mark.put & asked) | {one.digest for one in added},
        prior=(mark.prior & asked) | (new.keys() & there),
    )
    return PolicyChange(left, after, bool(added or gone) or after != mark, lacking(left, wanted))


def _undashed(id_: str) -> str:
    return id_.replace("-", "").lower()


def _digests(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split(",")))


def _all(mechanisms: Mapping[str, Any], way: str) -> list[Any]:
    items = mechanisms.get(way)
    return list(items) if isinstance(items, list | tuple) else []


def _items(mechanisms: Mapping[str, Any], way: str) -> list[dict[str, str]]:
    return [
        item
        for item in _all(mechanisms, way)
        if isinstance(item, dict) and isinstance(item.get("id"), str)
    ]


def _digest(way: str, item: Any) -> str | None:
    readable = isinstance(item, dict) and isinstance(item.get("id"), str)
    return Recipient(way, item["id"]).digest if readable else None

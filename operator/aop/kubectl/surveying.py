"""What `kubectl aop preflight` asks beyond what the operator's own observer does.

It only reads. It names what cannot be looked at, and that delays nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from aop.api import Alerts
from aop.cloudflare import Access, Cloudflare, CloudflareError, TokenLacksPermission, Zone
from aop.cloudflare.traffic import (
    PERMISSIONS,
    blind_monitors,
    configuration_rules,
    dns_records,
    origin_rules,
)
from aop.kubectl.findings import Beside
from aop.observed import Observed
from aop.origins.check import check_path
from aop.origins.kind import Site
from aop.origins.sites import Remark
from aop.plan.facts import in_scope, replicas
from aop.probe import AskedEdge, EdgeProbe, Failure
from aop.recipients import named
from aop.terms import Target

NOBODYS_TOKEN = "x" * 8
"""The token of a path that no origin knows: any answer to it shows who answers."""
WRITES = (
    "Whether the token may also change certificates: no read shows that, only the first upload. It "
    "needs SSL and Certificates Write (Zone > SSL and Certificates > Edit)."
)
AT_ONCE = 16
MOST_HOSTS = 100
"""How many hosts are asked for; a person does not wait for thousands."""

T = TypeVar("T")
Question = Callable[[Cloudflare, Access, Zone], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Means:
    """What a survey asks with."""

    cloudflare: Cloudflare
    access: Access | None
    """None: there is no token."""
    zone: Zone | None
    """None: the token has not seen the zone."""
    edge: EdgeProbe
    site: Callable[[Target], Site | None]
    """An origin as it was last read."""


async def surveyed(means: Means, o: Observed) -> Beside:
    """All findings, everything asked at the same time."""
    unseen: list[str] = []
    records, origins, settings, monitors, unwarned, (direct, silent) = await asyncio.gather(
        _asked(means, dns_records, "the DNS records of the zone", unseen),
        _asked(means, origin_rules, "the Origin Rules of the zone", unseen),
        _asked(means, configuration_rules, "the Configuration Rules of the zone", unseen),
        _asked(means, blind_monitors, "the zone's load balancers and their monitors", unseen),
        _unwarned(means, o.spec.alerts, unseen),
        _hosts(means.edge, in_scope(o), unseen),
    )
    return Beside(
        records=records,
        origin_rules=origins or (),
        configuration_rules=settings or (),
        blind_monitors=monitors or (),
        unwarned=unwarned,
        remarks=_remarks(means, o),
        direct=direct,
        silent=silent,
        unreached=_unreached(o),
        unseen=(*sorted(unseen), *([WRITES] if means.zone is not None else [])),
    )


async def _asked(means: Means, question: Question[T], what: str, unseen: list[str]) -> T | None:
    if means.access is None or means.zone is None:
        return None  # that the zone could not be read is said already
    try:
        return await question(means.cloudflare, means.access, means.zone)
    except TokenLacksPermission as error:
        unseen.append(f"{what[0].upper()}{what[1:]}: {_lacking(error)}")
    except CloudflareError as error:
        unseen.append(f"Cloudflare does not show {what}: {error.message.rstrip('.')}.")
    return None


def _lacking(error: TokenLacksPermission) -> str:
    for one in PERMISSIONS:
        if f"'{one.name}'" in error.message:
            return (
                f"the token lacks {one.name} ({one.dashboard}), which the operator does not need."
            )
    return error.message


async def _unwarned(
    means: Means, alerts: Alerts | None, unseen: list[str]
) -> tuple[tuple[str, str], ...]:
    """Why Cloudflare would not warn all whom `spec.alerts` names, as far as reading shows."""
    if alerts is None or means.access is None or means.zone is None:
        return ()
    account_id = means.zone.account_id
    try:
        await means.cloudflare.list_policies(means.access, account_id)
        known = (
            await means.cloudflare.list_webhooks(means.access, account_id)
            if alerts.webhooks
            else ()
        )
    except TokenLacksPermission as error:
        what, _, remedy = error.summary.rstrip(".").partition(". ")
        return ((f"spec.alerts: {what}", remedy),)
    except CloudflareError as error:
        unseen.append(
            f"Cloudflare does not show the notifications of the account: {error.message.rstrip('.')}."
        )
        return ()
    destinations = [(one.id, one.name) for one in known]
    unknown = named(alerts.email, alerts.webhooks, destinations).unknown
    return tuple(
        (
            f"spec.alerts names webhook {name!r}, and account {account_id} has no destination of that name, or several",
            "Create it at Cloudflare (Manage Account > Notifications > Destinations), or correct spec.alerts",
        )
        for name in unknown
    )


async def _hosts(
    edge: EdgeProbe, hosts: tuple[str, ...], unseen: list[str]
) -> tuple[frozenset[str], dict[str, str]]:
    """The hosts that bypass the edge, and those that do not answer at all."""
    if len(hosts) > MOST_HOSTS:
        unseen.append(f"Only the first {MOST_HOSTS} of {len(hosts)} hosts were asked for.")
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(host: str) -> AskedEdge:
        async with turns:
            return await edge.ask(host, check_path(NOBODYS_TOKEN))

    answers = await asyncio.gather(*(ask(host) for host in hosts[:MOST_HOSTS]))
    silent = {one.host: str(one.answer) for one in answers if isinstance(one.answer, Failure)}
    direct = frozenset(
        one.host
        for one in answers
        if not isinstance(one.answer, Failure) and one.answer.cf_ray is None
    )
    return direct, silent


def _unreached(o: Observed) -> tuple[str, ...]:
    wanted = (one for origin in o.origins if origin.wanted for one in replicas(origin))
    return tuple(sorted(f"{one.name} ({one.error})" for one in wanted if one.error))


def _remarks(means: Means, o: Observed) -> tuple[Remark, ...]:
    sites = [(origin, means.site(origin.target)) for origin in o.origins if origin.wanted]
    return tuple(
        remark
        for origin, site in sites
        if site is not None
        for remark in site.remarks(origin.hosts)
    )

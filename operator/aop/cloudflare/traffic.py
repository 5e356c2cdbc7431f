"""What else at Cloudflare decides how a host's requests reach the origin, and what probes it.

The operator decides nothing by it: only `kubectl aop preflight` reads it, and does without what the
token may not see. Shapes: facts: cloudflare#dns-records, cloudflare#rules,
cloudflare#load-balancing-monitors.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aop.cloudflare.access import Access
from aop.cloudflare.calls import Call, Permission
from aop.cloudflare.client import Cloudflare
from aop.cloudflare.errors import NotFound, ZoneNotVisible
from aop.cloudflare.results import Result, Zone
from aop.terms import covers

DNS = Permission("DNS Read", "Zone > DNS > Read")
ORIGIN_RULES = Permission("Origin Read", "Zone > Origin Rules > Read")
CONFIGURATION_RULES = Permission("Config Settings Read", "Zone > Config Rules > Read")
LOAD_BALANCERS = Permission("Load Balancers Read", "Zone > Load Balancers > Read")
MONITORS = Permission(
    "Load Balancing: Monitors and Pools Read",
    "Account > Load Balancing: Monitors and Pools > Read",
)
LIST_DNS_RECORDS = Call("GET", "/zones/{zone_id}/dns_records", DNS)
FETCH_ORIGIN_RULES = Call(
    "GET", "/zones/{zone_id}/rulesets/phases/http_request_origin/entrypoint", ORIGIN_RULES
)
FETCH_CONFIGURATION_RULES = Call(
    "GET",
    "/zones/{zone_id}/rulesets/phases/http_config_settings/entrypoint",
    CONFIGURATION_RULES,
)
LIST_LOAD_BALANCERS = Call("GET", "/zones/{zone_id}/load_balancers", LOAD_BALANCERS)
LIST_POOLS = Call("GET", "/accounts/{account_id}/load_balancers/pools", MONITORS)
LIST_MONITORS = Call("GET", "/accounts/{account_id}/load_balancers/monitors", MONITORS)
PERMISSIONS = (DNS, ORIGIN_RULES, CONFIGURATION_RULES, LOAD_BALANCERS, MONITORS)
"""The permissions that a token may lack."""
RECORDS_A_PAGE = 2000
"""The API takes more, but an answer may not be longer than the client reads
(facts: cloudflare#dns-records)."""
TUNNEL = ".cfargotunnel.com"
"""The ending of the names to which the records of a Cloudflare Tunnel point."""
HTTP_MONITORS = frozenset({"http", "https"})


class DnsRecord(Result):
    """One record of the zone."""

    name: str
    type: str = ""
    content: str = ""
    proxied: bool = False

    @property
    def is_tunnel(self) -> bool:
        """Whether requests for the name go through a Cloudflare Tunnel."""
        return self.content.casefold().rstrip(".").endswith(TUNNEL)

    def answers(self, host: str) -> bool:
        """Whether it says where requests for `host` go.

        A record of exactly that name takes precedence.
        """
        addresses = self.type in {"A", "AAAA", "CNAME"}
        return addresses and (self.name.casefold() == host or covers(self.name.casefold(), host))


class TrafficRule(Result):
    """One rule of a phase: what it changes for the requests that match."""

    expression: str = ""
    enabled: bool = True
    action_parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def ssl_mode(self) -> str | None:
        """The SSL mode that it sets; None: it sets none."""
        value = self.action_parameters.get("ssl")
        return value if isinstance(value, str) else None

    @property
    def names(self) -> str | None:
        """To what it sets SNI or Host, in words; None: to nothing."""
        sni, host = self.action_parameters.get("sni"), self.action_parameters.get("host_header")
        overrides = [
            *([f"SNI {sni['value']}"] if isinstance(sni, dict) and sni.get("value") else []),
            *([f"Host {host}"] if isinstance(host, str) else []),
        ]
        return " and ".join(overrides) or None

    @property
    def elsewhere(self) -> str | None:
        """To which other origin it sends requests, in words; None: to none."""
        origin = self.action_parameters.get("origin")
        if not isinstance(origin, dict) or not origin:
            return None
        return " ".join(f"{name} {value}" for name, value in sorted(origin.items()))


class Ruleset(Result):
    """The rules of a phase."""

    rules: tuple[TrafficRule, ...] = ()


class LoadBalancer(Result):
    """A name of the zone for which several pools of servers answer."""

    name: str
    enabled: bool = True
    default_pools: tuple[str, ...] = ()
    fallback_pool: str = ""

    @property
    def pools(self) -> frozenset[str]:
        """Ids of its pools, except those for single regions."""
        return frozenset({*self.default_pools, self.fallback_pool} - {""})


class Pool(Result):
    """Servers that are probed together."""

    id: str
    name: str = ""
    monitor: str = ""
    """Id of the monitor that probes them."""


class Monitor(Result):
    """How servers are probed."""

    id: str
    type: str = ""
    probe_zone: str = ""
    """The zone whose settings a probe has, including its certificate (Simulate Zone)."""

    def comes_without(self, zone: str) -> bool:
        """Whether its probes present no certificate of this zone, although they use HTTP."""
        return self.type in HTTP_MONITORS and self.probe_zone.casefold() != zone.casefold()


async def dns_records(cloudflare: Cloudflare, access: Access, zone: Zone) -> tuple[DnsRecord, ...]:
    """All records of the zone. Raises `CloudflareError`, also if there are too many to read."""
    return await cloudflare.every(
        access, LIST_DNS_RECORDS, {"zone_id": zone.id}, DnsRecord, per_page=RECORDS_A_PAGE
    )


async def origin_rules(
    cloudflare: Cloudflare, access: Access, zone: Zone
) -> tuple[TrafficRule, ...]:
    """The Origin Rules that are on. Raises `CloudflareError`."""
    return await _rules(cloudflare, access, FETCH_ORIGIN_RULES, zone)


async def configuration_rules(
    cloudflare: Cloudflare, access: Access, zone: Zone
) -> tuple[TrafficRule, ...]:
    """The Configuration Rules that are on. Raises `CloudflareError`."""
    return await _rules(cloudflare, access, FETCH_CONFIGURATION_RULES, zone)


async def blind_monitors(
    cloudflare: Cloudflare, access: Access, zone: Zone
) -> tuple[tuple[LoadBalancer, Pool], ...]:
    """The pools of the zone's load balancers whose probes present no certificate.

    Raises `CloudflareError`.
    """
    balancers = await cloudflare.every(
        access, LIST_LOAD_BALANCERS, {"zone_id": zone.id}, LoadBalancer
    )
    on = [one for one in balancers if one.enabled]
    if not on:
        return ()
    account = {"account_id": zone.account_id}
    pools = {one.id: one for one in await cloudflare.every(access, LIST_POOLS, account, Pool)}
    monitors = {
        one.id: one for one in await cloudflare.every(access, LIST_MONITORS, account, Monitor)
    }
    return tuple(
        (balancer, pools[id_])
        for balancer in on
        for id_ in sorted(balancer.pools & pools.keys())
        if (monitor := monitors.get(pools[id_].monitor)) and monitor.comes_without(zone.name)
    )


async def _rules(
    cloudflare: Cloudflare, access: Access, call: Call, zone: Zone
) -> tuple[TrafficRule, ...]:
    """The rules of a phase; a phase in which nobody has ever made a rule does not exist."""
    try:
        ruleset = await cloudflare.show(access, call, {"zone_id": zone.id}, Ruleset)
    except (NotFound, ZoneNotVisible) as error:
        if error.status != 404:
            raise
        return ()
    return tuple(rule for rule in ruleset.rules if rule.enabled)

"""What decides besides how requests reach the origin, to be read only.

facts: cloudflare#dns-records, cloudflare#rules, cloudflare#load-balancing-monitors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from sandbox.cloudflare import errors, wire, zones
from sandbox.cloudflare.answering import Desk, ok
from sandbox.cloudflare.state import StoredZone

Route = tuple[
    str, str, frozenset[str], Callable[[StoredZone, web.Request], Awaitable[web.Response]]
]
AccountRoute = tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]]
DNS_READ = frozenset({"DNS Read"})
BALANCERS_READ = frozenset({"Load Balancers Read"})
MONITORS_READ = frozenset({"Load Balancing: Monitors and Pools Read"})
PHASES = {
    "http_request_origin": frozenset({"Origin Read"}),
    "http_config_settings": frozenset({"Config Settings Read"}),
}
ANY_RULES = frozenset().union(*PHASES.values())


class TrafficApi:
    """DNS records, rules, load balancers, and the pools and monitors of an account."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Iterator[Route]:
        """Below a zone."""
        yield "GET", "/dns_records", DNS_READ, self._records
        yield "GET", "/load_balancers", BALANCERS_READ, self._balancers
        yield "GET", "/rulesets/phases/{phase}/entrypoint", ANY_RULES, self._rules

    def account_routes(self) -> Iterator[AccountRoute]:
        """Each with the whole path."""
        balancing = "/accounts/{account_id}/load_balancers"
        yield "GET", f"{balancing}/pools", self._pools
        yield "GET", f"{balancing}/monitors", self._monitors

    async def _records(self, zone: StoredZone, request: web.Request) -> web.Response:
        number, size = zones.paging(request.query, default=100, least=1, most=5000)
        every = zone.traffic.dns_records
        shown = every[(number - 1) * size : number * size]
        return ok(shown, wire.page(len(shown), len(every), number, size))

    async def _balancers(self, zone: StoredZone, _: web.Request) -> web.Response:
        return ok(zone.traffic.load_balancers)

    async def _rules(self, zone: StoredZone, request: web.Request) -> web.Response:
        phase = request.match_info["phase"]
        self._desk.zone(request, PHASES.get(phase, frozenset()))
        if phase not in zone.traffic.rules:
            raise errors.ApiError(404, 10007, "could not find entrypoint ruleset")
        return ok({"id": zone.id, "phase": phase, "rules": zone.traffic.rules[phase]})

    async def _pools(self, request: web.Request) -> web.Response:
        account = self._desk.account(request, MONITORS_READ)
        return ok([pool for one in self._zones(account.id) for pool in one.traffic.pools])

    async def _monitors(self, request: web.Request) -> web.Response:
        account = self._desk.account(request, MONITORS_READ)
        return ok([monitor for one in self._zones(account.id) for monitor in one.traffic.monitors])

    def _zones(self, account_id: str) -> list[StoredZone]:
        return [one for one in self._desk.state.zones.values() if one.account_id == account_id]

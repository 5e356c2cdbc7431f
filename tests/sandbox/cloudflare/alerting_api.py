"""Accounts, and whom Cloudflare warns (facts: cloudflare#notification-policies)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web

from sandbox.cloudflare import answering, errors, wire, zones
from sandbox.cloudflare.accounts import Account, Policy
from sandbox.cloudflare.answering import ALERTS_READ, ALERTS_WRITE, Desk, ok
from sandbox.cloudflare.gate import TOKEN

ZONE_EXPIRY = "zone_aop_custom_certificate_expiration_type"
HOSTNAME_EXPIRY = "hostname_aop_custom_certificate_expiration_type"
NEEDS_FILTERS = "health_check_status_notification"
AVAILABLE: dict[str, list[dict[str, Any]]] = {
    "SSL/TLS": [
        {
            "type": ZONE_EXPIRY,
            "display_name": "Zone-level Authenticated Origin Pulls Certificate Expiration Alert",
            "filter_options": [],
        },
        {
            "type": HOSTNAME_EXPIRY,
            "display_name": "Hostname-level Authenticated Origin Pulls Certificate Expiration Alert",
            "filter_options": [],
        },
    ],
    "Health Checks": [
        {
            "type": NEEDS_FILTERS,
            "display_name": "Health Checks status notification",
            "filter_options": [{"Key": "health_check_id"}],
        }
    ],
}
_REQUIRED = ("name", "enabled", "alert_type", "mechanisms")

Route = tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]]


class AccountApi:
    """All that is below /accounts but the verification of tokens."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Iterator[Route]:
        """Each with the whole path."""
        alerting = "/accounts/{account_id}/alerting/v3"
        yield "GET", "/accounts", self._list_accounts
        yield "GET", "/accounts/{account_id}", self._get_account
        yield "GET", f"{alerting}/available_alerts", self._available
        yield "GET", f"{alerting}/destinations/eligible", self._eligible
        yield "GET", f"{alerting}/destinations/webhooks", self._webhooks
        yield "GET", f"{alerting}/destinations/pagerduty", self._pagerduty
        yield "GET", f"{alerting}/policies", self._list_policies
        yield "POST", f"{alerting}/policies", self._create
        yield "GET", f"{alerting}/policies/{{policy_id}}", self._get_policy
        yield "PUT", f"{alerting}/policies/{{policy_id}}", self._replace
        yield "DELETE", f"{alerting}/policies/{{policy_id}}", self._delete

    async def _list_accounts(self, request: web.Request) -> web.Response:
        token = request[TOKEN]
        seen = [
            account
            for account in self._desk.state.accounts.values()
            if token.account_id in {None, account.id}
        ]
        number, size = zones.paging(request.query, default=20, least=5, most=50)
        shown = seen[(number - 1) * size : number * size]
        now = self._desk.clock()
        return ok(
            [wire.account(one, now) for one in shown],
            wire.page(len(shown), len(seen), number, size),
        )

    async def _get_account(self, request: web.Request) -> web.Response:
        account = self._desk.state.accounts.get(request.match_info["account_id"])
        if account is None or request[TOKEN].account_id not in {None, account.id}:
            raise errors.ApiError(
                404,
                7003,
                f"Could not route to {request.path}, perhaps your object identifier is invalid?",
            )
        return ok(wire.account(account, self._desk.clock()))

    async def _available(self, request: web.Request) -> web.Response:
        self._desk.account(request, ALERTS_READ)
        return ok(AVAILABLE)

    async def _eligible(self, request: web.Request) -> web.Response:
        paid = self._desk.account(request, ALERTS_READ).paid
        ways = {"email": True, "webhooks": paid, "pagerduty": paid}
        return ok({way: {"type": way, "eligible": can, "ready": can} for way, can in ways.items()})

    async def _webhooks(self, request: web.Request) -> web.Response:
        account = self._desk.account(request, ALERTS_READ)
        return ok(
            [
                {
                    "id": id_,
                    "name": account.webhook_names.get(id_, id_[:8]),
                    "type": "generic",
                    "url": url,
                }
                for id_, url in account.webhooks.items()
            ]
        )

    async def _pagerduty(self, request: web.Request) -> web.Response:
        self._desk.account(request, ALERTS_READ)
        return ok([])

    async def _list_policies(self, request: web.Request) -> web.Response:
        account = self._desk.account(request, ALERTS_READ)
        policies = [wire.policy(one) for one in account.policies.values()]
        size = account.policies_per_page
        if size is None:
            return ok(policies)
        number, size = zones.paging(request.query, default=size, least=1, most=size)
        shown = policies[(number - 1) * size : number * size]
        return ok(shown, wire.page(len(shown), len(policies), number, size))

    async def _create(self, request: web.Request) -> web.Response:
        account = self._desk.account(request, ALERTS_WRITE)
        wanted, now = await self._wanted(account, request), self._desk.clock()
        made = Policy(wanted, now, now)
        account.policies[made.id] = made
        return ok({"id": made.id})

    async def _get_policy(self, request: web.Request) -> web.Response:
        return ok(wire.policy(_policy(self._desk.account(request, ALERTS_READ), request)))

    async def _replace(self, request: web.Request) -> web.Response:
        account = self._desk.account(request, ALERTS_WRITE)
        known = _policy(account, request)
        known.body, known.modified = await self._wanted(account, request), self._desk.clock()
        return ok({"id": known.id})

    async def _delete(self, request: web.Request) -> web.Response:
        account = self._desk.account(request, ALERTS_WRITE)
        del account.policies[_policy(account, request).id]
        return ok(None)

    async def _wanted(self, account: Account, request: web.Request) -> dict[str, Any]:
        """The policy in the body, as a whole: what it leaves out is gone."""
        sent = await answering.body(request)
        if missing := [name for name in _REQUIRED if name not in sent]:
            raise errors.ApiError(400, 0, f"{missing[0]} is required")
        types = {
            one["type"]: bool(one["filter_options"])
            for group in AVAILABLE.values()
            for one in group
        }
        if sent["alert_type"] not in types:
            raise errors.ApiError(400, 17004, "invalid alert type")
        mechanisms = sent["mechanisms"]
        if not isinstance(mechanisms, dict) or not any(mechanisms.values()):
            raise errors.ApiError(400, 17102, "at least one mechanism is required")
        if types[sent["alert_type"]] and not sent.get("filters"):
            raise errors.ApiError(400, 17103, "filters are required for this alert type")
        for address in (one.get("id") for one in mechanisms.get("email") or ()):
            if account.emails is not None and address not in account.emails:
                raise errors.ApiError(400, 0, "email address is not eligible")
        for webhook in (one.get("id") for one in mechanisms.get("webhooks") or ()):
            if not account.paid:
                raise errors.ApiError(400, 0, "webhooks are not available for this account")
            if webhook not in account.webhooks:
                raise errors.ApiError(400, 0, "invalid webhook id")
        return {"description": "", "filters": {}, **sent}


def _policy(account: Account, request: web.Request) -> Policy:
    known = account.policies.get(request.match_info["policy_id"])
    if known is None:
        raise errors.ApiError(404, 0, "policy not found")
    return known

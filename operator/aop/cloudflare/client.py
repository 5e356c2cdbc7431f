"""Cloudflare's API, as far as zone-level Authenticated Origin Pulls need it.

One method per call, typed results, one family of exceptions.

`Cloudflare` never decides what to do, and never repeats a mutation whose outcome is unknown: the
loop looks again. Every method may raise any `CloudflareError`; its docstring names those that a
caller is likely to handle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakValueDictionary

import httpx
from pydantic import SecretBytes, ValidationError

from aop import __version__
from aop.clock import Clock
from aop.cloudflare import calls
from aop.cloudflare.access import Access
from aop.cloudflare.answers import Envelope
from aop.cloudflare.bodies import ACCEPTED
from aop.cloudflare.budget import Budget
from aop.cloudflare.errors import (
    AlreadyDeleted,
    ApiFailure,
    CloudflareError,
    NotOffered,
    Refused,
    TokenLacksPermission,
    Unavailable,
    ZoneNotVisible,
)
from aop.cloudflare.guarded import guarded
from aop.cloudflare.paging import next_page
from aop.cloudflare.request import ApiRequest
from aop.cloudflare.results import (
    Certificate,
    Enablement,
    GlobalAOP,
    HostnameAssociation,
    NotificationPolicy,
    PolicyId,
    Result,
    SSLMode,
    Webhook,
    Zone,
)
from aop.cloudflare.window import Shares
from aop.cloudflare.wire import CONNECTIONS, Wire
from aop.leading import Lead
from aop.metrics import Metrics, TokenFigures
from aop.schema import ascii_name

BASE_URL = "https://api.cloudflare.com/client/v4"
CONNECT_S = 10.0
TOTAL_S = 30.0
"""The longest that one request may take; `AOP_QUIET_PERIOD_S` has to be longer."""
MOST_PAGES = 20
"""How many pages one list may have: 20,000 associations, twenty times what a zone may have. One
zone's look must not spend everybody's budget."""
PAGES_AGAIN_S = 300.0
"""When such a long list is read again, which costs as much as ten zones do in that time."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

R = TypeVar("R", bound=Result)


def _http_client(
    base_url: str, transport: httpx.AsyncBaseTransport | None, total_s: float
) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=base_url,
        transport=transport,
        timeout=httpx.Timeout(total_s, connect=min(CONNECT_S, total_s)),
        limits=httpx.Limits(
            max_connections=CONNECTIONS, max_keepalive_connections=5, keepalive_expiry=30
        ),
        headers={
            "user-agent": f"aop-operator/{__version__}",
            "accept": "application/json",
            "accept-encoding": ACCEPTED,
        },
        # No cookie is kept: what one token was given must not go out with another.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
    )


class Cloudflare:
    """The client. Use it as an async context manager, or call `aclose`."""

    def __init__(
        self,
        base_url: str = BASE_URL,
        *,
        clock: Clock,
        lead: Lead,
        shares: Shares | None = None,
        metrics: Metrics | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        total_s: float = TOTAL_S,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Nothing is sent here, and nothing is ever changed except under `lead`.

        `transport` and `sleep` are for tests; `total_s` bounds one request, in seconds.
        """
        self._http = _http_client(base_url, transport, total_s)
        budget = self._budget = Budget(shares, clock=clock, sleep=sleep, metrics=metrics)
        self._wire = Wire(
            self._http,
            budget=budget,
            lead=lead,
            clock=clock,
            metrics=metrics,
            total_s=total_s,
            sleep=sleep,
        )
        # Cloudflare accepts one mutation of a certificate per zone at a time and answers 409 to the
        # others (facts: cloudflare#one-change-at-a-time).
        self._mutating: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; the client cannot be used afterwards."""
        await self._http.aclose()

    def budgets(self) -> tuple[TokenFigures, ...]:
        """The budget of every token that was used lately."""
        return self._budget.figures()

    # --- zone ------------------------------------------------------------------------------------

    async def find_zones(self, access: Access, name: str) -> tuple[Zone, ...]:
        """All zones of exactly this apex name, in either form, that the token sees.

        They may have any status. There may be none, one, or one per account.
        """
        query = {"name": name, "per_page": "50"}
        visible = await self._list(ApiRequest(access, calls.FIND_ZONES, query=query), Zone)
        apex = ascii_name(name).casefold()
        zones = tuple(zone for zone in visible if zone.name.casefold() == apex)
        for zone in zones:
            self._wire.learn_zone(access, zone)
        return zones

    async def fetch_zone(self, access: Access, zone_id: str) -> Zone:
        """One zone.

        Raises ZoneNotVisible if there is none of this id, or this token does not see it.
        """
        zone = await self._one(ApiRequest(access, calls.FETCH_ZONE, {"zone_id": zone_id}), Zone)
        self._wire.learn_zone(access, zone)
        return zone

    async def fetch_ssl_mode(self, access: Access, zone_id: str) -> SSLMode:
        """The zone's setting; a Configuration Rule may say otherwise for a host."""
        return await self._one(
            ApiRequest(access, calls.FETCH_SSL_MODE, {"zone_id": zone_id}), SSLMode
        )

    async def fetch_global_aop(self, access: Access, zone_id: str) -> GlobalAOP:
        """Whether Cloudflare's shared certificate is presented if a zone has none of its own."""
        return await self._one(
            ApiRequest(access, calls.FETCH_GLOBAL_AOP, {"zone_id": zone_id}), GlobalAOP
        )

    async def list_hostname_associations(
        self, access: Access, zone_id: str
    ) -> tuple[HostnameAssociation, ...]:
        """All associations that are not deleted.

        Older API versions have no such route, and some plans refuse it with 403
        (facts: cloudflare#per-hostname-level). Certificates need the same permission, so a token
        that really lacks it is found out there.

        Raises `NotOffered` if Cloudflare does not list them for this zone, or not for this token.
        """
        # The default filter leaves out associations that are about to become active.
        query = {"status": "all", "per_page": "1000"}
        request = ApiRequest(access, calls.LIST_ASSOCIATIONS, {"zone_id": zone_id}, query)
        try:
            associations = await self._list(request, HostnameAssociation)
        except (ZoneNotVisible, TokenLacksPermission, NotOffered) as error:
            failure = error.failure
        except Refused as error:
            if error.status not in {400, 405}:
                raise
            failure = error.failure
        else:
            return tuple(association for association in associations if not association.deleted)
        raise NotOffered(
            "Cloudflare does not list them for this zone, or not for this token.", failure
        )

    # --- certificates ----------------------------------------------------------------------------

    async def list_certificates(self, access: Access, zone_id: str) -> tuple[Certificate, ...]:
        """Every certificate of the zone that is not deleted, oldest upload first.

        A fresh upload may be missing for tens of seconds.
        """
        request = ApiRequest(access, calls.LIST_CERTIFICATES, {"zone_id": zone_id})
        certificates = await self._list(request, Certificate)
        living = (certificate for certificate in certificates if not certificate.deleted)
        return tuple(
            sorted(
                living,
                key=lambda certificate: (certificate.uploaded_on or _LONG_AGO, certificate.id),
            )
        )

    async def fetch_certificate(
        self, access: Access, zone_id: str, certificate_id: str
    ) -> Certificate:
        """One certificate; a deleted one is still readable for a while (`deleted`).

        Raises NotFound.
        """
        ids = {"zone_id": zone_id, "certificate_id": certificate_id}
        return await self._one(ApiRequest(access, calls.FETCH_CERTIFICATE, ids), Certificate)

    async def upload_certificate(
        self, access: Access, zone_id: str, certificate: str, private_key: SecretBytes
    ) -> Certificate:
        """Upload a leaf and its key, both PEM.

        The zone presents it as soon as it is active, if the zone is enabled.

        Raises:
            AlreadyExists: the zone holds this very certificate; after an Unavailable that is
                what success looks like.
            CertificateRefused: it will never be taken.
            Conflict: another certificate of the zone is being changed.
        """
        request = ApiRequest(
            access,
            calls.UPLOAD_CERTIFICATE,
            {"zone_id": zone_id},
            body={"certificate": certificate, "private_key": private_key},
        )
        async with self._lock(zone_id):
            return await self._one(request, Certificate)

    async def delete_certificate(
        self, access: Access, zone_id: str, certificate_id: str
    ) -> Certificate:
        """Ask for a deletion; the certificate comes back as `pending_deletion`.

        Raises:
            CannotDeleteYet: it is still being deployed.
            AlreadyDeleted: it is on its way out, or gone.
            NotFound: there is none of this id.
            Conflict: another certificate of the zone is being changed.
        """
        request = _deletion(access, zone_id, certificate_id)
        async with self._lock(zone_id):
            try:
                return await self._one(request, Certificate)
            except Refused as error:
                if not error.asked:
                    raise
                refusal = error
        # Cloudflare refuses a second deletion without a code that says so
        # (facts: cloudflare#tombstones): look instead of guessing.
        certificate = await self.fetch_certificate(access, zone_id, certificate_id)
        if certificate.deleted or certificate.deleting:
            raise AlreadyDeleted("Cloudflare is deleting the certificate already.", refusal.failure)
        raise refusal

    def deletion_left_alone(
        self, access: Access, zone_id: str, certificate_id: str
    ) -> CloudflareError | None:
        """The exception with which `delete_certificate` would end now without a call.

        None: it would make the call. Nothing is sent here.
        """
        return self._wire.left_alone(_deletion(access, zone_id, certificate_id))

    # --- enablement ------------------------------------------------------------------------------

    async def fetch_enablement(self, access: Access, zone_id: str) -> Enablement:
        """Whether the zone presents its own certificate."""
        return await self._one(
            ApiRequest(access, calls.FETCH_ENABLEMENT, {"zone_id": zone_id}), Enablement
        )

    async def set_enablement(self, access: Access, zone_id: str, *, enabled: bool) -> Enablement:
        """Make the zone present its own certificate, or stop it. Doing it twice does no harm."""
        request = ApiRequest(
            access, calls.SET_ENABLEMENT, {"zone_id": zone_id}, body={"enabled": enabled}
        )
        async with self._lock(zone_id):
            return await self._one(request, Enablement)

    # --- what only explains ----------------------------------------------------------------------

    async def show(
        self, access: Access, call: calls.Call, ids: Mapping[str, str], model: type[R]
    ) -> R:
        """The answer to a call that reads one thing; raises ValueError for one that changes."""
        return await self._one(_reading(access, call, ids), model)

    async def every(
        self,
        access: Access,
        call: calls.Call,
        ids: Mapping[str, str],
        model: type[R],
        *,
        per_page: int | None = None,
    ) -> tuple[R, ...]:
        """The answer to a call that reads a list; raises ValueError for one that changes.

        `per_page`: as many as the call is known to accept; None: Cloudflare's own default.
        """
        request = _reading(access, call, ids)
        if per_page is not None:
            request = request.with_query({"per_page": str(per_page)})
        return await self._list(request, model)

    # --- notifications ---------------------------------------------------------------------------

    async def list_policies(
        self, access: Access, account_id: str
    ) -> tuple[NotificationPolicy, ...]:
        """Every notification policy of the account, whoever made it and whatever it is about."""
        return await self._list(
            ApiRequest(access, calls.LIST_POLICIES, {"account_id": account_id}), NotificationPolicy
        )

    async def fetch_policy(
        self, access: Access, account_id: str, policy_id: str
    ) -> NotificationPolicy:
        """One notification policy. Raises NotFound."""
        ids = {"account_id": account_id, "policy_id": policy_id}
        return await self._one(ApiRequest(access, calls.FETCH_POLICY, ids), NotificationPolicy)

    async def create_policy(
        self, access: Access, account_id: str, policy: Mapping[str, Any]
    ) -> str:
        """Create a notification policy; returns its id. Nothing keeps a second one from being made.

        Raises:
            AlertsRefused, NotOffered: it will never be taken like this.
        """
        request = ApiRequest(access, calls.CREATE_POLICY, {"account_id": account_id}, body=policy)
        return (await self._one(request, PolicyId)).id

    async def replace_policy(
        self, access: Access, account_id: str, policy_id: str, policy: Mapping[str, Any]
    ) -> None:
        """Replace all of a notification policy: what `policy` leaves out is gone.

        Raises:
            AlertsRefused, NotOffered: it will never be taken like this.
            NotFound: there is none of this id.
        """
        ids = {"account_id": account_id, "policy_id": policy_id}
        await self._one(ApiRequest(access, calls.REPLACE_POLICY, ids, body=policy), PolicyId)

    async def delete_policy(self, access: Access, account_id: str, policy_id: str) -> None:
        """Delete a notification policy. Raises NotFound."""
        ids = {"account_id": account_id, "policy_id": policy_id}
        await self._wire.ask(ApiRequest(access, calls.DELETE_POLICY, ids), read=lambda _: None)

    async def list_webhooks(self, access: Access, account_id: str) -> tuple[Webhook, ...]:
        """Every webhook destination of the account."""
        return await self._list(
            ApiRequest(access, calls.LIST_WEBHOOKS, {"account_id": account_id}), Webhook
        )

    # --- shared ----------------------------------------------------------------------------------

    def _lock(self, zone_id: str) -> asyncio.Lock:
        lock = self._mutating.get(zone_id)
        if lock is None:
            self._mutating[zone_id] = lock = asyncio.Lock()
        return lock

    async def _one(self, request: ApiRequest, model: type[R]) -> R:
        return await self._wire.ask(request, read=partial(_single, request.call, model))

    async def _list(self, request: ApiRequest, model: type[R]) -> tuple[R, ...]:
        """Every item of every page, in whichever way Cloudflare counts them.

        Raises:
            Unavailable: there are more pages than anybody reads, or they cannot be got; never
                only some of them.
        """
        call = request.call
        items: list[R] = []
        turn: dict[str, str] = {}
        before: tuple[R, ...] = ()
        for page in range(1, MOST_PAGES + 1):
            envelope, read = await self._wire.ask(
                request.with_query(turn), read=partial(_page, call, model)
            )
            following = next_page(envelope.info, page, count=len(read), seen=len(items) + len(read))
            if read and read == before:
                # A server that ignores the number of the page sends the first one again.
                if following is not None and following.certain:
                    raise _unreadable(
                        call, "it shows the same page again and says that there are others"
                    )
                return tuple(items)
            items.extend(read)
            if not read or following is None:
                return tuple(items)
            turn, before = following.query, read
        raise Unavailable(
            f"Cloudflare's list has more than {MOST_PAGES} pages ({len(items)} items), which are as many as are read.",
            ApiFailure(call.method, call.path, 200),
            retry_after_s=PAGES_AGAIN_S,
        )


def _reading(access: Access, call: calls.Call, ids: Mapping[str, str]) -> ApiRequest:
    if call.mutates:
        raise ValueError(f"{call} changes something")
    return ApiRequest(access, call, dict(ids))


def _deletion(access: Access, zone_id: str, certificate_id: str) -> ApiRequest:
    ids = {"zone_id": zone_id, "certificate_id": certificate_id}
    return ApiRequest(access, calls.DELETE_CERTIFICATE, ids)


def _single(call: calls.Call, model: type[R], envelope: Envelope) -> R:
    return _parse(call, model, envelope.result)


def _page(call: calls.Call, model: type[R], envelope: Envelope) -> tuple[Envelope, tuple[R, ...]]:
    """One page: its envelope, and its items.

    `result: null` is an empty list (facts: cloudflare#empty-list).
    """
    if not isinstance(envelope.result, list | None):
        raise _unreadable(call, "the result is not a list")
    return envelope, tuple(_parse(call, model, item) for item in envelope.result or ())


def _parse(call: calls.Call, model: type[R], item: Any) -> R:
    read = guarded(partial(_validated, model, item))
    if isinstance(read, model):
        return read
    places = read if isinstance(read, list) else ["shape"]
    # What an answer contains is nobody's business, nor that of an error tracker which shows the
    # locals of a frame.
    del item, read
    raise _unreadable(call, f"{model.__name__} without a usable {', '.join(places)}")


def _validated(model: type[R], item: Any) -> R | list[str]:
    """`item` as that model, or the fields in which it is not one."""
    try:
        return model.model_validate(item)
    except ValidationError as error:
        return sorted(
            {
                ".".join(map(str, each["loc"])) or "result"
                for each in error.errors(include_input=False, include_url=False)
            }
        )


def _unreadable(call: calls.Call, what: str, *, retry_after_s: float | None = None) -> Unavailable:
    outcome = (
        ", and the operator does not know whether the change took effect" if call.mutates else ""
    )
    return Unavailable(
        f"Cloudflare's answer cannot be understood ({what}){outcome}.",
        ApiFailure(call.method, call.path, 200, readable=False),
        retry_after_s=retry_after_s,
    )

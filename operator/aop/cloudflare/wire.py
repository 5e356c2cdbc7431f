"""One call to Cloudflare: admitted by the budget, sent, timed, counted.

It comes back as an envelope, or as one exception of this package.

Requests and answers of httpx stay in here, so that only this module and `request` could leak. Only
templates, numbers and scrubbed words leave it. Exceptions of httpx contain the request with its
headers and body, so none of them survives as a cause or context.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import httpx

from aop.clock import Clock
from aop.cloudflare.access import Access, Priority, TokenKind
from aop.cloudflare.answers import ApiAnswer, Envelope, read_answer, scrub
from aop.cloudflare.bodies import LARGEST_BODY, BodyTooLarge, read_body
from aop.cloudflare.budget import Budget
from aop.cloudflare.calls import VERIFY_ACCOUNT_TOKEN, VERIFY_TOKEN
from aop.cloudflare.errors import (
    AlreadyDeleted,
    ApiFailure,
    CloudflareError,
    NotFound,
    RateLimited,
    TokenLacksPermission,
    Withheld,
)
from aop.cloudflare.holds import Holds
from aop.cloudflare.request import ApiRequest
from aop.cloudflare.results import Zone
from aop.cloudflare.tokens import PAUSES_OF_VERIFICATION_S, Tokens, standing_of
from aop.cloudflare.verdicts import (
    Standing,
    doubted,
    doubts_token,
    error_of,
    failure_of,
    names_address,
    unanswered,
)
from aop.leading import Lead, NotLeading, Permit
from aop.metrics import Metrics

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer."""

    label: str
    """For metrics and logs: timeout, unreachable, severed, oversized."""
    words: str = field(repr=False)
    again: bool
    """True if a GET may be sent once more at once: the connection failed, and nobody has waited for
    it."""


CONNECTIONS, AT_ONCE = 20, 16
"""Connections to Cloudflare, and calls under way at the same time, except for what protects, which
always has a connection. After a start hundreds of zones are read at once, and a call that waited
for a connection would be given up unsent, as if Cloudflare had not answered."""


class Wire:
    """Sends calls. One per process."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        budget: Budget,
        lead: Lead,
        clock: Clock,
        metrics: Metrics | None,
        total_s: float,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        """`total_s` bounds one request from the first byte out to the last byte in.

        The waits of the budget and of a fresh token come on top. A change is sent only under
        `lead`, and gets less time if less of that is left.
        """
        self._http = http
        self._lead = lead
        self._budget = budget
        self._clock = clock
        self._metrics = metrics
        self._total_s = total_s
        self._sleep = sleep
        self._holds = Holds()
        self._lanes = asyncio.Semaphore(AT_ONCE)
        self.tokens = Tokens(clock)

    async def ask(self, request: ApiRequest, *, read: Callable[[Envelope], T]) -> T:
        """What `read` makes of the envelope of a successful answer; it may raise `Unavailable`.

        A request that was refused a short time ago is not sent: the same exception is raised again,
        with `asked` False.

        Raises `CloudflareError` for everything else, and never an exception of httpx.
        """
        refusal = self.left_alone(request)
        if refusal is not None:
            raise refusal
        onboarding = request.access.priority is Priority.ONBOARD
        if onboarding and self._holds.has_been_refused(request.key):
            # A person who waits for this does not get it sooner by going before others.
            request = request.at(Priority.RESYNC)
        try:
            result = read(await self._ask(request))
        except RateLimited as error:
            by_cloudflare = error.failure is not None
            wait_s = error.retry_after_s or 0.0
            postponed = None if by_cloudflare else self._holds.postponed(request.key, wait_s)
            if postponed is None:
                raise
        except Withheld:
            raise  # by nobody but us
        except CloudflareError as error:
            self._learn_refusal(request, error)
            raise
        else:
            self._holds.succeeded(request.key)
            if request.call.mutates:
                failure = ApiFailure(request.call.method, request.call.path, 200)
                self._learn_acceptance(request, failure)
            return result
        raise postponed

    def left_alone(self, request: ApiRequest) -> CloudflareError | None:
        """The exception with which the request would end now, unsent; None: it would be sent."""
        return self._holds.refusal(request.key, self._clock.monotonic_s())

    def learn_zone(self, access: Access, zone: Zone) -> None:
        """The token has seen this zone."""
        self.tokens.learn_zone(access, zone.id, zone.account_id)
        self._budget.learn_account(access, zone.account_id)

    def _learn_refusal(self, request: ApiRequest, error: CloudflareError) -> None:
        self._holds.refused(
            request.key,
            error,
            self._clock.monotonic_s(),
            mutates=request.call.mutates,
            protects=request.access.priority is Priority.PROTECT,
        )
        done_already = isinstance(error, AlreadyDeleted | NotFound)
        if request.call.mutates and done_already and error.failure is not None:
            self._learn_acceptance(request, error.failure)

    def _learn_acceptance(self, request: ApiRequest, failure: ApiFailure) -> None:
        self._holds.accepted(
            request.key,
            failure,
            self._clock.monotonic_s(),
            protects=request.access.priority is Priority.PROTECT,
        )

    async def _ask(self, request: ApiRequest) -> Envelope:
        """Make the call. One that puts the token in doubt is repeated after a pause.

        A mutation is repeated once: what was refused had no effect.
        """
        access = request.access
        pauses_s = iter(self.tokens.pauses_s(access, request.named, mutates=request.call.mutates))
        while True:
            answer = await self._exchange(request)
            if answer.succeeded and answer.envelope is not None:
                self.tokens.learn_success(access, request.named)
                return answer.envelope
            failure = failure_of(request.call, answer, request.secrets)
            if answer.throttled:
                raise self._budget.refused(access, failure)
            if not doubts_token(failure):
                raise self._error(request, failure, None)
            self.tokens.learn_refusal(access, request.named)
            pause_s = None if failure.retry_after_s else next(pauses_s, None)
            if pause_s is None:
                raise self._error(request, failure, await self._standing(access))
            await self._sleep(pause_s)

    def _error(
        self, request: ApiRequest, failure: ApiFailure, standing: Standing | None
    ) -> CloudflareError:
        """The exception for a failure.

        What may be chance is a missing permission only if it lasts.
        """
        access, call = request.access, request.call
        zone_shown = self.tokens.has_shown(access, request.ids.get("zone_id"))
        error = error_of(call, failure, access.source, standing, zone_shown=zone_shown)
        if not isinstance(error, TokenLacksPermission) or not doubts_token(failure):
            return error
        if self.tokens.lasts(access, request.named, mutates=call.mutates):
            return error
        return doubted(call, failure, access.source)

    async def _standing(self, access: Access) -> Standing | None:
        """Whether the token works at all; None: nobody can be asked.

        Asked once for all calls that want to know at about the same time.
        """
        async with self.tokens.known(access).verifying:
            standing = self.tokens.standing(access)
            if standing is None:
                standing = await self._verify(access)
                if standing is not None:
                    self.tokens.learn_standing(access, standing)
            return standing

    async def _verify(self, access: Access) -> Standing | None:
        # A token of an account is unknown on the user's path (facts: cloudflare#account-tokens). So
        # if a token does not show whose it is, a no there is final only if no account is known that
        # could be asked.
        accounts = sorted(self.tokens.known(access).accounts)
        if access.kind is not TokenKind.ACCOUNT:
            standing = await self._verify_at(
                ApiRequest(access, VERIFY_TOKEN), certain=access.kind is TokenKind.USER
            )
            if standing.active or standing.certain or not accounts:
                return standing
        if not accounts:
            return None
        of_account = ApiRequest(access, VERIFY_ACCOUNT_TOKEN, {"account_id": accounts[0]})
        return await self._verify_at(of_account, certain=True)

    async def _verify_at(self, request: ApiRequest, *, certain: bool) -> Standing:
        access = request.access
        answer = await self._exchange(request)
        for pause_s in PAUSES_OF_VERIFICATION_S:
            if answer.status != 403:
                break
            await self._sleep(pause_s)
            answer = await self._exchange(request)
        failure = failure_of(request.call, answer, request.secrets)
        if answer.throttled:
            raise self._budget.refused(access, failure)
        standing = None if names_address(failure) else standing_of(answer, certain=certain)
        if standing is not None:
            self.tokens.learn_success(access, request.named)
            return standing
        if doubts_token(failure):
            self.tokens.learn_refusal(access, request.named)
            if not self.tokens.lasts(access, request.named, mutates=False):
                raise doubted(request.call, failure, access.source)
        raise error_of(request.call, failure, access.source, None)

    async def _exchange(self, request: ApiRequest) -> ApiAnswer:
        outcome = await self._send(request)
        if isinstance(outcome, Silence) and outcome.again and not request.call.mutates:
            outcome = await self._send(request)
        if isinstance(outcome, ApiAnswer):
            return outcome
        raise unanswered(request.call, scrub(outcome.words, request.secrets))

    async def _send(self, request: ApiRequest) -> ApiAnswer | Silence:
        # The budget's waits occupy no lane: they concern one user only.
        async with self._budget.call(request.access), self._lane(request.access.priority):
            began_s = self._clock.monotonic_s()
            outcome = await self._outcome(request)
            if isinstance(outcome, ApiAnswer):
                self._budget.learn(request.access, outcome.allowances)
                if not outcome.throttled:
                    self._budget.accepted(request.access)
        label = str(outcome.status) if isinstance(outcome, ApiAnswer) else outcome.label
        ray = outcome.cf_ray if isinstance(outcome, ApiAnswer) else None
        _log.debug(
            "%s: %s, cf-ray %s, %.0f ms",
            request.call,
            label,
            ray or "-",
            (self._clock.monotonic_s() - began_s) * 1000,
        )
        if self._metrics is not None:
            self._metrics.cloudflare_requests.labels(
                token=request.access.source,
                method=request.call.method,
                path=request.call.path,
                status=label,
            ).inc()
        return outcome

    def _lane(self, priority: Priority) -> AbstractAsyncContextManager[None]:
        """Where a call waits before its time begins to count; what protects does not wait."""
        return nullcontext() if priority is Priority.PROTECT else self._lanes

    async def _outcome(self, request: ApiRequest) -> ApiAnswer | Silence:
        if not request.call.mutates:
            return await self._exchanged(request, self._total_s, {})
        try:
            with self._lead.change(self._total_s) as permit:
                return await self._exchanged(
                    request, permit.limit_s, {"trace": partial(_last_check, permit)}
                )
        except NotLeading as error:
            withheld = Withheld(f"{request.call}: {error.message}.")
        raise withheld

    async def _exchanged(
        self, request: ApiRequest, limit_s: float, extensions: Mapping[str, Any]
    ) -> ApiAnswer | Silence:
        sendable = self._http.build_request(
            request.call.method,
            request.url,
            params=request.query or None,
            headers=request.headers,
            content=request.content,
            extensions=extensions,
        )
        try:
            async with asyncio.timeout(limit_s):
                response = await self._http.send(sendable, stream=True)
                try:
                    body = await _body(response)
                finally:
                    await response.aclose()
        except NotLeading:
            raise
        except BodyTooLarge:
            return Silence(
                "oversized", f"the answer has more than {LARGEST_BODY} bytes", again=False
            )
        except (TimeoutError, httpx.TimeoutException) as error:
            stage = (
                "no connection" if isinstance(error, httpx.ConnectTimeout) else "no complete answer"
            )
            return Silence("timeout", f"{stage} in time", again=False)
        except httpx.ConnectError as error:
            # Its words are about addresses and certificates; those of other exceptions may quote a
            # header.
            return Silence("unreachable", f"cannot connect: {error}", again=True)
        except httpx.RequestError as error:
            return Silence("severed", f"the connection broke ({type(error).__name__})", again=True)
        except Exception as error:  # noqa: BLE001 - what a stranger sends ends no loop
            return Silence(
                "severed", f"the answer could not be received ({type(error).__name__})", again=False
            )
        return read_answer(response.status_code, response.headers, body, self._clock.wall())


async def _last_check(permit: Permit, event: str, _: Mapping[str, Any]) -> None:
    """Ask the permit once more, when the connection is up, and before head and body go out.

    `event` is named by httpcore (its documentation: "Request Extensions", `trace`).
    """
    if event.endswith((".send_request_headers.started", ".send_request_body.started")):
        permit.check()


async def _body(response: httpx.Response) -> bytes:
    if response.is_stream_consumed:
        return response.content  # a transport that hands over whole answers
    return await read_body(response.aiter_raw(), response.headers.get("content-encoding", ""))

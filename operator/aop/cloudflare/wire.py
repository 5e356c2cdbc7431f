"""One call to Cloudflare: admitted by the budget, sent, timed, counted, and turned into an envelope or one exception of this package.

Every request and answer of httpx stays in here, so that this is the only module that could leak:
what leaves it are templates, numbers and scrubbed words. Exceptions of httpx hold the request with
its headers and body, so none of them survives as a cause or context.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar
from urllib.parse import quote

import httpx
from pydantic import SecretBytes

from aop.clock import Clock
from aop.cloudflare.access import Access, Priority, TokenKind
from aop.cloudflare.answers import ApiAnswer, Envelope, read_answer, scrub
from aop.cloudflare.bodies import LARGEST_BODY, BodyTooLarge, read_body
from aop.cloudflare.budget import Budget
from aop.cloudflare.calls import VERIFY_ACCOUNT_TOKEN, VERIFY_TOKEN, Call
from aop.cloudflare.errors import (
    AlreadyDeleted,
    ApiFailure,
    CloudflareError,
    NotFound,
    RateLimited,
    TokenLacksPermission,
)
from aop.cloudflare.holds import Holds
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
from aop.metrics import Metrics

T = TypeVar("T")

_log = logging.getLogger(__name__)

Body: TypeAlias = Mapping[str, str | bool | SecretBytes]
"""A JSON object; what is secret stays wrapped until the request is built."""


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer."""

    label: str
    """For metrics and logs: timeout, unreachable, severed, oversized."""
    words: str = field(repr=False)
    again: bool
    """True if a GET may be sent once more at once: the connection failed, and nobody has waited for
    it."""


class Wire:
    """Sends calls. One per process."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        budget: Budget,
        clock: Clock,
        metrics: Metrics | None,
        total_s: float,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        """`total_s` bounds one request from the first byte out to the last byte in.

        The budget's and a fresh token's waits come on top.
        """
        self._http = http
        self._budget = budget
        self._clock = clock
        self._metrics = metrics
        self._total_s = total_s
        self._sleep = sleep
        self._holds = Holds()
        self.tokens = Tokens(clock)

    async def ask(
        self,
        access: Access,
        call: Call,
        ids: Mapping[str, str] | None = None,
        *,
        read: Callable[[Envelope], T],
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> T:
        """What `read` makes of the envelope of a successful answer; it may raise `Unavailable`.

        A call that was refused a short time ago is not made: the exception of then is raised again,
        with `asked` False.

        Raises:
            CloudflareError: everything else; never an exception of httpx.
        """
        key, protects = (
            _key(access, call, ids or {}, query, body),
            access.priority is Priority.PROTECT,
        )
        if (held := self._holds.held(key, self._clock.monotonic_s())) is not None:
            raise held
        if access.priority is Priority.ONBOARD and self._holds.has_been_refused(key):
            access = access.at(
                Priority.RESYNC
            )  # a person who waits for this will not get it sooner by going before others
        try:
            result = read(await self._ask(access, call, ids or {}, query, body))
        except RateLimited as error:
            postponed = (
                self._holds.postponed(key, error.retry_after_s or 0.0)
                if error.failure is None
                else None
            )
            if postponed is None:
                raise
        except CloudflareError as error:
            self._holds.refused(
                key, error, self._clock.monotonic_s(), mutates=call.mutates, protects=protects
            )
            if (
                call.mutates
                and isinstance(error, AlreadyDeleted | NotFound)
                and error.failure is not None
            ):
                self._holds.accepted(
                    key, error.failure, self._clock.monotonic_s(), protects=protects
                )
            raise
        else:
            self._holds.succeeded(key)
            if call.mutates:
                self._holds.accepted(
                    key,
                    ApiFailure(call.method, call.path, 200),
                    self._clock.monotonic_s(),
                    protects=protects,
                )
            return result
        raise postponed

    def left_alone(
        self, access: Access, call: Call, ids: Mapping[str, str]
    ) -> CloudflareError | None:
        """The exception with which a call without a body would end now, because it is not made; None: it would be made."""
        return self._holds.held(_key(access, call, ids, None, None), self._clock.monotonic_s())

    def learn_zone(self, access: Access, zone: Zone) -> None:
        """The token has shown this zone."""
        self.tokens.learn_zone(access, zone.id, zone.account_id)
        self._budget.learn_account(access, zone.account_id)

    async def _ask(
        self,
        access: Access,
        call: Call,
        ids: Mapping[str, str],
        query: Mapping[str, str] | None,
        body: Body | None,
    ) -> Envelope:
        """A call that puts the token in doubt is repeated after a pause, a mutation once: what was refused had no effect."""
        asked = _named(call, ids)
        pauses_s = iter(self.tokens.pauses_s(access, asked, mutates=call.mutates))
        while True:
            answer = await self._exchange(access, call, ids, query, body)
            if answer.succeeded and answer.envelope is not None:
                self.tokens.learn_success(access, asked)
                return answer.envelope
            failure = failure_of(call, answer, _secrets(access, body))
            if answer.throttled:
                raise self._budget.refused(access, failure)
            if not doubts_token(failure):
                raise self._error(access, call, ids, failure, None)
            self.tokens.learn_refusal(access, asked)
            pause_s = None if failure.retry_after_s else next(pauses_s, None)
            if pause_s is None:
                raise self._error(access, call, ids, failure, await self._standing(access))
            await self._sleep(pause_s)

    def _error(
        self,
        access: Access,
        call: Call,
        ids: Mapping[str, str],
        failure: ApiFailure,
        standing: Standing | None,
    ) -> CloudflareError:
        """The exception for a failure; what may be chance is a missing permission only once it has lasted."""
        shown = self.tokens.has_shown(access, ids.get("zone_id"))
        error = error_of(call, failure, access.source, standing, zone_shown=shown)
        chance = doubts_token(failure) and not self.tokens.lasts(
            access, _named(call, ids), mutates=call.mutates
        )
        return (
            doubted(call, failure, access.source)
            if chance and isinstance(error, TokenLacksPermission)
            else error
        )

    async def _standing(self, access: Access) -> Standing | None:
        """Whether the token works at all, asked once for all calls that wonder at about the same time; None: nobody can be asked."""
        async with self.tokens.known(access).verifying:
            standing = self.tokens.standing(access)
            if standing is None:
                standing = await self._verify(access)
                if standing is not None:
                    self.tokens.learn_standing(access, standing)
            return standing

    async def _verify(self, access: Access) -> Standing | None:
        # A token of an account is unknown on the user's path (facts: cloudflare#account-tokens), so
        # where a token does not say whose it is, a no there is final only if no account is known to
        # ask.
        accounts = sorted(self.tokens.known(access).accounts)
        if access.kind is not TokenKind.ACCOUNT:
            standing = await self._verify_at(
                access, VERIFY_TOKEN, {}, certain=access.kind is TokenKind.USER
            )
            if standing.active or standing.certain or not accounts:
                return standing
        return (
            await self._verify_at(
                access, VERIFY_ACCOUNT_TOKEN, {"account_id": accounts[0]}, certain=True
            )
            if accounts
            else None
        )

    async def _verify_at(
        self, access: Access, call: Call, ids: Mapping[str, str], *, certain: bool
    ) -> Standing:
        answer = await self._exchange(access, call, ids, None, None)
        for pause_s in PAUSES_OF_VERIFICATION_S:
            if answer.status != 403:
                break
            await self._sleep(pause_s)
            answer = await self._exchange(access, call, ids, None, None)
        failure = failure_of(call, answer, _secrets(access, None))
        if answer.throttled:
            raise self._budget.refused(access, failure)
        standing = None if names_address(failure) else standing_of(answer, certain=certain)
        if standing is not None:
            self.tokens.learn_success(access, _named(call, ids))
            return standing
        if doubts_token(failure):
            self.tokens.learn_refusal(access, _named(call, ids))
            if not self.tokens.lasts(access, _named(call, ids), mutates=False):
                raise doubted(call, failure, access.source)
        raise error_of(call, failure, access.source, None)

    async def _exchange(
        self,
        access: Access,
        call: Call,
        ids: Mapping[str, str],
        query: Mapping[str, str] | None,
        body: Body | None,
    ) -> ApiAnswer:
        outcome = await self._send(access, call, ids, query, body)
        if isinstance(outcome, Silence) and outcome.again and not call.mutates:
            outcome = await self._send(access, call, ids, query, body)
        if isinstance(outcome, ApiAnswer):
            return outcome
        raise unanswered(call, scrub(outcome.words, _secrets(access, body)))

    async def _send(
        self,
        access: Access,
        call: Call,
        ids: Mapping[str, str],
        query: Mapping[str, str] | None,
        body: Body | None,
    ) -> ApiAnswer | Silence:
        async with self._budget.call(access):
            request = self._request(access, call, ids, query, body)
            began_s = self._clock.monotonic_s()
            outcome = await self._outcome(request)
            if isinstance(outcome, ApiAnswer):
                self._budget.told(access, outcome.allowances)
                if not outcome.throttled:
                    self._budget.accepted(access)
        label = str(outcome.status) if isinstance(outcome, ApiAnswer) else outcome.label
        ray = outcome.cf_ray if isinstance(outcome, ApiAnswer) else None
        _log.debug(
            "%s: %s, cf-ray %s, %.0f ms",
            call,
            label,
            ray or "-",
            (self._clock.monotonic_s() - began_s) * 1000,
        )
        if self._metrics is not None:
            self._metrics.cloudflare_requests.labels(
                method=call.method, path=call.path, status=label
            ).inc()
        return outcome

    def _request(
        self,
        access: Access,
        call: Call,
        ids: Mapping[str, str],
        query: Mapping[str, str] | None,
        body: Body | None,
    ) -> httpx.Request:
        path = call.path.format(**{name: quote(value, safe="") for name, value in ids.items()})
        headers = {"authorization": access.authorization}
        if body is None:
            return self._http.build_request(call.method, path, params=query, headers=headers)
        headers["content-type"] = "application/json"
        plain = {
            name: value.get_secret_value().decode() if isinstance(value, SecretBytes) else value
            for name, value in body.items()
        }
        return self._http.build_request(
            call.method, path, params=query, headers=headers, content=json.dumps(plain)
        )

    async def _outcome(self, request: httpx.Request) -> ApiAnswer | Silence:
        try:
            async with asyncio.timeout(self._total_s):
                response = await self._http.send(request, stream=True)
                try:
                    body = await _body(response)
                finally:
                    await response.aclose()
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
        except Exception as error:  # noqa: BLE001 - what a stranger sends is never a bug that ends a loop
            return Silence(
                "severed", f"the answer could not be received ({type(error).__name__})", again=False
            )
        return read_answer(response.status_code, response.headers, body, self._clock.wall())


async def _body(response: httpx.Response) -> bytes:
    if response.is_stream_consumed:
        return response.content  # a transport that hands over whole answers
    return await read_body(response.aiter_raw(), response.headers.get("content-encoding", ""))


def _key(
    access: Access,
    call: Call,
    ids: Mapping[str, str],
    query: Mapping[str, str] | None,
    body: Body | None,
) -> Hashable:
    """What tells one call from another: the token by its hash, and of the body what is no secret."""
    public = {
        name: value for name, value in (body or {}).items() if not isinstance(value, SecretBytes)
    }
    return access.key, call, *(tuple(sorted(each.items())) for each in (ids, query or {}, public))


def _named(call: Call, ids: Mapping[str, str]) -> Hashable:
    """A call as far as a permission is for it, or not."""
    return call, tuple(sorted(ids.items()))


def _secrets(access: Access, body: Body | None) -> Iterator[str]:
    yield access.token.get_secret_value()
    yield from (
        value.get_secret_value().decode()
        for value in (body or {}).values()
        if isinstance(value, SecretBytes)
    )

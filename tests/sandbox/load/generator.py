"""Sends the requests of a `Plan` on time, judges every answer, and keeps count."""

import asyncio
import itertools
import ssl
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from sandbox.load.connections import (
    BrokenAnswerError,
    ClosedBeforeAnswerError,
    LostError,
    Pool,
    ReceivedAnswer,
)
from sandbox.load.plan import LOST_STATUS, Kind, LoadPlan, Route
from sandbox.load.report import Counts, Report, Tally

PERMANENTLY = frozenset({301, 308})
"""How a GET is led to another place for good."""


class Load:
    """A running load; use as `async with`, and `await stop()` for its report.

    `on_progress` is called every `progress_every_s` with the report so far.

    Raises:
        ValueError: the plan has no routes, or plaintext requests and no plaintext address.
        OSError: a CA file cannot be read.
    """

    def __init__(
        self,
        plan: LoadPlan,
        *,
        on_progress: Callable[[Report], None] | None = None,
        progress_every_s: float = 1.0,
    ) -> None:
        secure, plaintext = (
            plan.secure_routes(),
            plan.plaintext_routes() if plan.http_rate_per_s else [],
        )
        posts = plan.post_routes() if plan.post_rate_per_s else []
        if (
            not secure
            or (plan.http_rate_per_s and not plaintext)
            or (plan.post_rate_per_s and not posts)
        ):
            raise ValueError(
                "a plan needs hosts and locations, with http:// addresses if that is to be asked as well"
            )
        self._plan = plan
        self._streams = [
            (secure, plan.rate_per_s),
            (plaintext, plan.http_rate_per_s),
            (posts, plan.post_rate_per_s),
        ]
        routes = secure + plaintext + posts
        self._counts = Counts({route: Tally() for route in routes})
        tls = _context(plan)
        self._pools = {
            route: Pool(route, tls, self._counts, plan.requests_per_connection) for route in routes
        }
        self._on_progress = on_progress
        self._progress_every_s = progress_every_s
        self._numbers = itertools.count(1)
        self._requests: set[asyncio.Task[None]] = set()
        self._running: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._started_s = self._ended_s = 0.0
        self.redirects_allowed = False
        """Whether http:// may be answered by a permanent redirect to https:// of the same host and path; judged both
        when a request is sent and when its answer comes."""

    async def __aenter__(self) -> Self:
        self._started_s = asyncio.get_running_loop().time()
        self._running = [
            asyncio.create_task(self._send(routes, rate))
            for routes, rate in self._streams
            if routes
        ]
        self._running.append(asyncio.create_task(self._tell()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def finished(self) -> bool:
        """Whether it sends no more: stopped, or `longest_s` is over, or broken (`stop` then raises)."""
        return all(task.done() for task in self._running[:-1])

    def report(self) -> Report:
        """What was counted so far."""
        ended_s = self._ended_s or asyncio.get_running_loop().time()
        return self._counts.report(ended_s - self._started_s)

    async def stop(self) -> Report:
        """Send no more, wait for what is in flight, close all connections, and tell what was counted. Raises what broke the generator itself."""
        self._stopping.set()
        self._ended_s = self._ended_s or asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(*self._running, return_exceptions=True)
        outcomes += await asyncio.gather(
            *self._requests, return_exceptions=True
        )  # only now: a sender may just have begun one more
        for pool in self._pools.values():
            await pool.close()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return self.report()

    async def _send(self, routes: list[Route], rate_per_s: float) -> None:
        loop = asyncio.get_running_loop()
        for due_s, route in zip(
            _times(self._started_s, rate_per_s, self._plan.longest_s),
            itertools.cycle(routes),
            strict=False,
        ):
            if await self._stopped_before(due_s):
                return
            self._counts.worst_lag_s = max(self._counts.worst_lag_s, loop.time() - due_s)
            self._begin(route)
        self._ended_s = self._ended_s or loop.time()

    def _begin(self, route: Route) -> None:
        uri = f"{self._plan.path}/{next(self._numbers)}"
        if len(self._requests) >= self._plan.most_in_flight:
            self._counts.unsent += 1
            return
        task = asyncio.create_task(self._request(route, uri))
        self._requests.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        # A request that raises is a bug of the generator; it stays in the set, and `stop` raises
        # it.
        if not task.cancelled() and task.exception() is None:
            self._requests.discard(task)

    async def _request(self, route: Route, uri: str) -> None:
        allowed = self.redirects_allowed
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                answer = await self._pools[route].ask(uri)
        except TimeoutError:
            self._counts.fail(route, uri, None, f"nothing within {self._plan.timeout_s:g} s")
        except LostError as error:
            self._counts.lose(route, uri, None, str(error))
        except (OSError, ClosedBeforeAnswerError, BrokenAnswerError) as error:
            self._counts.fail(route, uri, None, f"{type(error).__name__}: {error}")
        else:
            self._judge(route, uri, answer, redirects_allowed=allowed or self.redirects_allowed)

    def _judge(
        self, route: Route, uri: str, answer: ReceivedAnswer, *, redirects_allowed: bool
    ) -> None:
        own = answer.status == self._plan.status and answer.body == self._plan.expected(
            route.host, uri
        )
        redirect = (
            route.kind is Kind.HTTP
            and answer.status in PERMANENTLY
            and answer.location == f"https://{route.host}{uri}"
        )
        if own or (redirect and redirects_allowed):
            self._counts.succeed(route, redirected=not own)
            return
        count = (
            self._counts.lose
            if route.kind is Kind.POST and answer.status == LOST_STATUS
            else self._counts.fail
        )
        where = f"to {answer.location}: " if answer.location else ""
        count(route, uri, answer.status, where + answer.body.decode("utf-8", errors="replace"))

    async def _tell(self) -> None:
        due_s = self._started_s
        while self._on_progress:
            due_s += self._progress_every_s
            if await self._stopped_before(due_s):
                return
            self._on_progress(self.report())

    async def _stopped_before(self, due_s: float) -> bool:
        """Wait until `due_s` of the loop's clock; True as soon as the load is being stopped."""
        remaining_s = due_s - asyncio.get_running_loop().time()
        if remaining_s > 0:
            try:
                async with asyncio.timeout(remaining_s):
                    await self._stopping.wait()
            except TimeoutError:
                return False
        return self._stopping.is_set()


def _times(start_s: float, rate_per_s: float, longest_s: float) -> Iterator[float]:
    return (start_s + number / rate_per_s for number in range(int(longest_s * rate_per_s)))


def _context(plan: LoadPlan) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    for file in plan.ca_files:
        context.load_verify_locations(file)
    if not plan.ca_files:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

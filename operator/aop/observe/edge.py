"""The edge's half of `Observed`: one request per host and cadence, folded into evidence.

Whether something is a proof or a loss, the rules conclude. Here an answer is only sorted: it is an
arrival if it echoes the nonce or is the origin's own refusal of the certificate, and silence
otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from aop.clock import Clock
from aop.errors import plain
from aop.observe.arrivals import arrived, begun_again, silent
from aop.observe.behaviour import Refuses
from aop.observe.cadence import SUSPICIOUS_S, Cadences
from aop.observe.memory import Memory
from aop.observed import (
    NONE,
    OTHER,
    REFUSED,
    Arrival,
    Configured,
    Evidence,
    Limits,
    ObservedOrigin,
)
from aop.origins.check import answer_in
from aop.plan.facts import refused_arrivals
from aop.probe import AskedEdge, EdgeProbe, Failure
from aop.terms import Mode

SHORTEST_GAP_S = 3.0
"""A shorter silence hides nothing, however short the window: a single request may take this
long."""
AT_ONCE = 16
"""How many requests may be under way at the same time for one object to hosts that answer, and as
many to those that did not answer last time."""

LIMITS = Limits()

log = logging.getLogger("aop")


@dataclass(frozen=True, slots=True)
class AskedOrigin:
    """An origin whose hosts are asked about, and where its check path is.

    The path is None where nothing is to be asked.
    """

    origin: ObservedOrigin
    path: str | None
    refuses_arrival: Refuses
    """Tells the server's own refusal of what a request came with."""
    only: frozenset[str] | None = None
    """The only hosts that are asked about; None: all of them."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that are asked about."""
        return tuple(
            host
            for host in self.origin.hosts
            if self.path and (self.only is None or host in self.only)
        )


class Lanes:
    """Who may ask at the same time for one object. A host that hangs delays none that answers."""

    def __init__(self) -> None:
        self._answering, self._silent = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)

    def of(self, evidence: Evidence | None) -> asyncio.Semaphore:
        """The lane in which a host waits for its turn, by what is known of it."""
        return (
            self._answering if evidence is not None and evidence.silence is None else self._silent
        )


@dataclass(slots=True)
class Asking:
    """What one object last wanted to have asked through the edge."""

    memory: Memory
    lanes: Lanes = field(default_factory=Lanes)
    by_host: dict[str, AskedOrigin] = field(default_factory=dict)
    window: timedelta = timedelta()
    next_turn: asyncio.TimerHandle | None = None


class EdgeReader:
    """Asks through the edge; built once per process.

    `per_second` bounds the requests of all objects together, except for suspicious hosts, which
    have as much again. Once it has `begun`, it asks by itself, and wakes an object when an answer
    brings something new. Each look asks what is due as well.
    """

    def __init__(self, probe: EdgeProbe, cadence_s: float, per_second: float, clock: Clock) -> None:
        self._probe = probe
        self._clock = clock
        self._cadences = Cadences(cadence_s, per_second)
        self._asking: dict[Memory, Asking] = {}
        self._wake: Callable[[str], None] | None = None

    def begin(self, wake: Callable[[str], None]) -> None:
        """From now on ask between the looks too.

        `wake` gets the uid of each object that is to look.
        """
        self._wake = wake

    def drop(self, memory: Memory) -> None:
        """The object no longer wants anything asked."""
        self._cadences.drop(memory)
        if (asking := self._asking.pop(memory, None)) and asking.next_turn:
            asking.next_turn.cancel()

    async def read(
        self,
        origins: tuple[AskedOrigin, ...],
        window: timedelta,
        memory: Memory,
        until_s: float,
        *,
        proving: bool = True,
    ) -> tuple[Evidence, ...]:
        """Ask every host whose turn it is, and wait for answers until `until_s` (monotonic).

        Later answers are in the next look. Evidence is dropped only when a host has really left the
        scope; a source that could not be read drops none. An object is `proving` while its next
        step depends on what arrives.
        """
        asking = self._asking.setdefault(memory, Asking(memory))
        asking.by_host = {host: one for one in reversed(origins) for host in one.hosts}
        asking.window = window
        news = self._cadences.want(memory, len(asking.by_host), window, proving=proving)
        self._spread(sorted(asking.by_host.keys() - memory.asked.keys()), memory)
        if begun := self._ask_due(asking):
            await asyncio.wait(begun, timeout=max(0.0, until_s - self._clock.monotonic_s()))
        self._forget_what_left(origins, memory)
        if news or begun:
            self._plan(asking)
        for host in nobody_asks(origins):
            if (evidence := memory.evidence.get(host)) and evidence.presented not in {
                None,
                NONE,
                OTHER,
                REFUSED,
            }:
                memory.evidence[host] = begun_again(evidence)
        return tuple(memory.evidence[host] for host in sorted(memory.evidence))

    def cadence_s(self, memory: Memory) -> float:
        """How often each host of an object is asked while all is well (seconds)."""
        return self._cadences.of(memory)

    # --- whose turn it is -------------------------------------------------------------------------

    def _ask_due(self, asking: Asking) -> list[asyncio.Task[None]]:
        """Begin to ask every host whose turn it is."""
        memory, now = asking.memory, self._clock.now()
        memory.asking = {host: task for host, task in memory.asking.items() if not task.done()}
        begun = []
        often = self._asked_more_often(memory)
        for host in sorted(asking.by_host):
            if host not in memory.asking and now >= self._due_at(host, memory, now, often):
                memory.asked[host] = now
                task = asyncio.create_task(self._ask(host, asking))
                memory.asking[host] = task
                begun.append(task)
        return begun

    def _due_at(self, host: str, memory: Memory, now: datetime, often: set[str]) -> datetime:
        """When the host is to be asked next."""
        asked = memory.asked.get(host)
        if asked is None:
            return now
        cadence_s = self._cadences.of(memory)
        return asked + timedelta(
            seconds=min(cadence_s, SUSPICIOUS_S) if host in often else cadence_s
        )

    def _asked_more_often(self, memory: Memory) -> set[str]:
        """The hosts that have been suspicious longest, as many as a share of the budget allows."""
        return set(islice(memory.suspects, self._cadences.most_suspects))

    def _spread(self, new: list[str], memory: Memory) -> None:
        """Hosts that are too many to be asked at once take turns.

        They are spread over the seconds from the first time on, so that some are asked at any time.
        """
        now, cadence_s = self._clock.now(), self._cadences.of(memory)
        if cadence_s > self._cadences.wanted_s(memory):
            for n, host in enumerate(new):
                memory.asked[host] = now + timedelta(seconds=cadence_s * n // len(new) - cadence_s)

    def _plan(self, asking: Asking) -> None:
        """Plan to ask again, without a look, when the next host's turn has come."""
        if self._wake is None or self._asking.get(asking.memory) is not asking:
            return
        if asking.next_turn is not None:
            asking.next_turn.cancel()
        memory, now = asking.memory, self._clock.now()
        often = self._asked_more_often(memory)
        due = [
            self._due_at(host, memory, now, often)
            for host in asking.by_host
            if (task := memory.asking.get(host)) is None or task.done()
        ]
        asking.next_turn = None
        if due:
            delay_s = max(0.0, (min(due) - now).total_seconds())
            loop = asyncio.get_running_loop()
            asking.next_turn = loop.call_later(delay_s, self._take_turn, asking)

    def _take_turn(self, asking: Asking) -> None:
        self._ask_due(asking)
        self._plan(asking)

    # --- what comes back --------------------------------------------------------------------------

    async def _ask(self, host: str, asking: Asking) -> None:
        one, memory = asking.by_host[host], asking.memory
        assert one.path is not None  # noqa: S101 - only such origins are asked; this tells mypy
        gap = timedelta(seconds=max(3 * self._cadences.of(memory), SHORTEST_GAP_S))
        before = memory.evidence.get(host, Evidence(host))
        try:
            async with asking.lanes.of(memory.evidence.get(host)):
                asked = await self._probe.ask(host, one.path)
            before = memory.evidence.get(host, before)
            evidence = _folded(before, asked, one, self._clock.now(), gap)
        except Exception as error:
            log.exception("bug while asking %s through the edge", host)
            why = f"{type(error).__name__} in the operator; its log has the traceback"
            before = memory.evidence.get(host, before)
            evidence = silent(before, why, self._clock.now(), direct=None)
        memory.evidence[host] = evidence
        suspect = is_suspect(evidence, one.origin)
        if suspect:
            if not memory.suspects:
                memory.cloudflare.doubted_at = self._clock.now()
            memory.suspects.setdefault(host)
            memory.urgent = True
        else:
            memory.suspects.pop(host, None)
        self._cadences.note_suspects(memory, any_=bool(memory.suspects))
        memory.asking.pop(host, None)
        self._plan(asking)
        news = suspect or _decisive(before, asking.window) != _decisive(evidence, asking.window)
        if self._wake is not None and news:
            self._wake(memory.uid)

    @staticmethod
    def _forget_what_left(origins: tuple[AskedOrigin, ...], memory: Memory) -> None:
        if any(
            one.origin.stale or not isinstance(one.origin.configured, Configured | None)
            for one in origins
        ):
            return
        in_scope = {host for one in origins for host in one.origin.hosts}
        memory.evidence = {
            host: evidence for host, evidence in memory.evidence.items() if host in in_scope
        }
        memory.asked = {host: at for host, at in memory.asked.items() if host in in_scope}
        memory.suspects = {host: None for host in memory.suspects if host in in_scope}


def _decisive(evidence: Evidence, window: timedelta) -> tuple[object, ...]:
    """The part of an answer that may change a decision; that it came once more does not."""
    fresh = evidence.fresh.presented if evidence.fresh else None
    return (
        evidence.presented,
        evidence.direct,
        evidence.silence is None,
        fresh,
        _is_whole(evidence, window),
    )


def _is_whole(evidence: Evidence, window: timedelta) -> bool:
    return evidence.count >= LIMITS.proof_answers and evidence.covered >= window


def on_its_way(evidence: Evidence, window: timedelta) -> bool:
    """Whether the host's requests come with a leaf of ours, but not yet for a whole window."""
    presents = evidence.presented not in {None, NONE, OTHER, REFUSED}
    arrives = evidence.silence is None and not evidence.direct
    return presents and arrives and not _is_whole(evidence, window)


def is_suspect(evidence: Evidence, origin: ObservedOrigin) -> bool:
    """Whether one of its last two requests came with what the origin refuses there."""
    claim = origin.configured.may_do if isinstance(origin.configured, Configured) else None
    refused = refused_arrivals(origin, claim, evidence.host) if claim else frozenset()
    return any(arrival.presented in refused for arrival in evidence.recent[-2:])


def nobody_asks(origins: tuple[AskedOrigin, ...]) -> set[str]:
    """The hosts at which no origin's text asks for a certificate.

    No request can arrive with one there, so a proof begins anew.
    """
    quiet = [
        one.origin
        for one in origins
        if isinstance(published := one.origin.configured, Configured) and not asks(published)
    ]
    may_ask = {host for one in origins if one.origin not in quiet for host in one.origin.hosts}
    return {host for origin in quiet for host in origin.hosts} - may_ask


def asks(published: Configured) -> bool:
    """Its text may ask for a certificate."""
    return published.may_do is not None and published.may_do.mode >= Mode.REQUEST


def _folded(
    evidence: Evidence, asked: AskedEdge, one: AskedOrigin, now: datetime, gap: timedelta
) -> Evidence:
    answer = asked.answer
    if isinstance(answer, Failure):
        return silent(evidence, plain(str(answer), 200), now, direct=None)
    direct = answer.cf_ray is None
    check_answer = answer_in(answer.status, answer.body, answer.location)
    if check_answer is not None and check_answer.nonce == asked.nonce:
        presented = _leaf(check_answer.presented, one.origin) if check_answer.https else NONE
        return arrived(
            evidence, Arrival(now, presented, fresh=check_answer.fresh), direct=direct, gap=gap
        )
    if one.refuses_arrival(answer.status, answer.body):
        return arrived(evidence, Arrival(now, REFUSED), direct=direct, gap=gap)
    ray = f", cf-ray {plain(answer.cf_ray, 40)}" if answer.cf_ray else ""
    return silent(
        evidence,
        f"HTTP {answer.status} instead of the check path's answer{ray}",
        now,
        direct=direct,
    )


def _leaf(short: str, origin: ObservedOrigin) -> str:
    claim = origin.configured.may_do if isinstance(origin.configured, Configured) else None
    if short in {NONE, OTHER}:
        return short
    return next((pin.sha256 for pin in (claim.pins if claim else ()) if pin.short == short), OTHER)

"""The edge's half of `Observed`: one request per host and cadence, folded into evidence.

Loss and proof are concluded by the rules; here an answer is only sorted into an arrival (it echoes
the nonce, or is the origin's own refusal of the certificate) or silence (everything else).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from weakref import WeakKeyDictionary

from aop.clock import Clock
from aop.errors import plain
from aop.observe.arrivals import arrived, begun_again, silent
from aop.observe.behaviour import Refuses
from aop.observe.memory import Memory
from aop.observe.shares import shares
from aop.observed import NONE, OTHER, REFUSED, Arrival, Configured, Evidence, ObservedOrigin
from aop.origins.check import parse
from aop.plan.facts import refused_arrivals
from aop.probe import AskedEdge, EdgeProbe, Failure
from aop.terms import Mode

SUSPICIOUS_S = 4.9
"""Cadence for a host whose visitors are refused, by its last two answers: three losing answers then
span ten seconds."""
SHORTEST_GAP_S = 3.0
"""A silence of less hides nothing, however short the window: what one request may well take."""
AT_ONCE = 16
"""Requests under way at the same time for one object to hosts that answer, and as many to those
that did not when they were asked last."""

log = logging.getLogger("aop")


@dataclass(frozen=True, slots=True)
class AskedOrigin:
    """An origin whose hosts are asked about, and where its check path is.

    The path is None where nothing is to be asked.
    """

    origin: ObservedOrigin
    path: str | None
    refuses_arrival: Refuses
    """How the server's own refusal of what a request came with is told."""
    only: frozenset[str] | None = None
    """The only hosts that are asked about; None: all."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that are asked about."""
        return tuple(
            host
            for host in self.origin.hosts
            if self.path and (self.only is None or host in self.only)
        )


class Turns:
    """Who may ask at the same time for one object: a host that hangs holds up none that answers."""

    def __init__(self) -> None:
        self._answering, self._silent = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)

    def of(self, evidence: Evidence | None) -> asyncio.Semaphore:
        """Where a host of which this is known waits for its turn."""
        return (
            self._answering if evidence is not None and evidence.silence is None else self._silent
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What one object would have asked: so many hosts, each so often (in seconds)."""

    hosts: int
    cadence_s: float


class EdgeReader:
    """Asks through the edge; built once per process.

    `per_second` bounds all objects' requests together but for the suspicious ones, which have as
    much again. With more hosts than that allows, those of the objects that have the most are asked
    less often; whoever has few is asked as often as before.
    """

    def __init__(self, probe: EdgeProbe, cadence_s: float, per_second: float, clock: Clock) -> None:
        self._probe = probe
        self._cadence_s = cadence_s
        self._per_second = per_second
        self._clock = clock
        self._turns: WeakKeyDictionary[Memory, Turns] = WeakKeyDictionary()
        self._load: WeakKeyDictionary[Memory, Load] = WeakKeyDictionary()

    async def read(
        self, origins: tuple[AskedOrigin, ...], window: timedelta, memory: Memory, until_s: float
    ) -> tuple[Evidence, ...]:
        """Ask for every host whose turn it is, and wait for answers until `until_s` (monotonic).

        What comes later is in the next look. Evidence goes only when a host has really left the
        scope; a source that could not be read takes none away.
        """
        asked = {host: one for one in reversed(origins) for host in one.hosts}
        self._load[memory] = Load(len(asked), self._wanted_cadence_s(window))
        now = self._clock.now()
        self._spread(sorted(asked.keys() - memory.asked.keys()), window, memory, now)
        memory.asking = {host: task for host, task in memory.asking.items() if not task.done()}
        for host in sorted(asked):
            if host not in memory.asking and now >= self.due_at(host, window, memory, now):
                memory.asked[host] = now
                memory.asking[host] = asyncio.create_task(
                    self._ask(host, asked[host], window, memory)
                )
        if memory.asking:
            await asyncio.wait(
                memory.asking.values(), timeout=max(0.0, until_s - self._clock.monotonic_s())
            )
        if all(
            isinstance(one.origin.configured, Configured | None) and not one.origin.stale
            for one in origins
        ):
            in_scope = {host for one in origins for host in one.origin.hosts}
            memory.evidence = {
                host: evidence for host, evidence in memory.evidence.items() if host in in_scope
            }
            memory.asked = {host: at for host, at in memory.asked.items() if host in in_scope}
            memory.suspects = {host: None for host in memory.suspects if host in in_scope}
        for host in nobody_asks(origins):
            if (evidence := memory.evidence.get(host)) and evidence.presented not in {
                None,
                NONE,
                OTHER,
                REFUSED,
            }:
                memory.evidence[host] = begun_again(evidence)
        return tuple(memory.evidence[host] for host in sorted(memory.evidence))

    def due_at(self, host: str, window: timedelta, memory: Memory, now: datetime) -> datetime:
        """When the host is to be asked next."""
        asked = memory.asked.get(host)
        if asked is None:
            return now
        cadence_s = self.cadence_s(window, memory)
        return asked + timedelta(
            seconds=min(cadence_s, SUSPICIOUS_S)
            if host in self._asked_more_often(memory)
            else cadence_s
        )

    def cadence_s(self, window: timedelta, memory: Memory) -> float:
        """How often each host of an object is asked while all is well."""
        wanted_s = self._wanted_cadence_s(window)
        wanted = {one: load.hosts / load.cadence_s for one, load in self._load.items()}
        if not wanted.get(memory) or sum(wanted.values()) <= self._per_second:
            return wanted_s
        return max(wanted_s, self._load[memory].hosts / shares(wanted, self._per_second)[memory])

    def _wanted_cadence_s(self, window: timedelta) -> float:
        return min(self._cadence_s, window.total_seconds() / 15)

    def _asked_more_often(self, memory: Memory) -> set[str]:
        """Those that have been suspicious for longest, as many as a share of the budget allows."""
        suspicious = sum(1 for one in self._load if one.suspects)
        return set(
            islice(
                memory.suspects, max(1, int(self._per_second * SUSPICIOUS_S / max(1, suspicious)))
            )
        )

    def _spread(self, new: list[str], window: timedelta, memory: Memory, now: datetime) -> None:
        """Hosts that are too many to be asked at once take turns.

        They do so second by second from the first time on, so that some are asked at any time.
        """
        cadence_s = self.cadence_s(window, memory)
        if cadence_s > self._wanted_cadence_s(window):
            for n, host in enumerate(new):
                memory.asked[host] = now + timedelta(seconds=cadence_s * n // len(new) - cadence_s)

    async def _ask(self, host: str, one: AskedOrigin, window: timedelta, memory: Memory) -> None:
        assert one.path is not None  # noqa: S101 - only such origins are asked; this tells mypy
        gap = timedelta(seconds=max(3 * self.cadence_s(window, memory), SHORTEST_GAP_S))
        turn = self._turns.setdefault(memory, Turns()).of(memory.evidence.get(host))
        try:
            async with turn:
                asked = await self._probe.ask(host, one.path)
            evidence = _folded(
                memory.evidence.get(host, Evidence(host)), asked, one, self._clock.now(), gap
            )
        except Exception as error:
            log.exception("bug while asking %s through the edge", host)
            why = f"{type(error).__name__} in the operator; its log has the traceback"
            evidence = silent(
                memory.evidence.get(host, Evidence(host)), why, self._clock.now(), direct=None
            )
        memory.evidence[host] = evidence
        if is_suspect(evidence, one.origin):
            memory.suspects.setdefault(host)
        else:
            memory.suspects.pop(host, None)


def is_suspect(evidence: Evidence, origin: ObservedOrigin) -> bool:
    """One of its last two requests came with what the origin refuses there."""
    claim = origin.configured.may_do if isinstance(origin.configured, Configured) else None
    refused = refused_arrivals(origin, claim, evidence.host) if claim else frozenset()
    return any(arrival.presented in refused for arrival in evidence.recent[-2:])


def nobody_asks(origins: tuple[AskedOrigin, ...]) -> set[str]:
    """Hosts that no origin's text asks for a certificate.

    Nothing can arrive with one, so that a proof begins anew.
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
    check_answer = parse(answer.body) if answer.status == 200 else None
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

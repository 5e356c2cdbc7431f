"""The edge's half of `Observed`: one request per host and cadence, folded into evidence.

Loss and proof are concluded by the rules; here an answer is only sorted into an arrival (it echoes the nonce, or is the origin's
own refusal of the certificate) or silence (everything else).
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from aop.clock import Clock
from aop.observe.arrivals import arrived, silent
from aop.observe.memory import Memory
from aop.observed import NONE, OTHER, REFUSED, Arrival, Configured, Evidence, ObservedOrigin
from aop.origins.ingress_nginx import parse
from aop.probe import Answer, AskedEdge, EdgeProbe, Failure

SUSPICIOUS_S = 4.9
"""Cadence for a host whose last answer did not come with what it should: three losing answers then span ten seconds."""


class EdgeReader:
    """Asks through the edge; built once per process."""

    def __init__(self, probe: EdgeProbe, cadence_s: float, clock: Clock) -> None:
        self._probe = probe
        self._cadence_s = cadence_s
        self._clock = clock

    async def read(self, origins: tuple[tuple[ObservedOrigin, str], ...], window: timedelta, memory: Memory) -> tuple[Evidence, ...]:
        """Ask for every host whose turn it is; `origins` with the check path of each. Evidence about hosts out of scope is dropped."""
        paths = {host: (origin, path) for origin, path in reversed(origins) for host in origin.hosts}
        now = self._clock.now()
        due = [host for host in sorted(paths) if now >= self.due_at(host, window, memory, now)]
        memory.asked.update(dict.fromkeys(due, now))
        answers = await asyncio.gather(*(self._probe.ask(host, paths[host][1]) for host in due))
        for asked in answers:
            evidence = memory.evidence.get(asked.host, Evidence(asked.host))
            memory.evidence[asked.host] = _folded(evidence, asked, paths[asked.host][0], self._clock.now())
        memory.evidence = {host: evidence for host, evidence in memory.evidence.items() if host in paths}
        return tuple(memory.evidence[host] for host in sorted(memory.evidence))

    def due_at(self, host: str, window: timedelta, memory: Memory, now: datetime) -> datetime:
        """When the host is to be asked next."""
        asked, evidence = memory.asked.get(host), memory.evidence.get(host)
        if asked is None:
            return now
        cadence_s = min(self._cadence_s, window.total_seconds() / 15)
        if evidence and evidence.presented in {NONE, OTHER, REFUSED}:
            cadence_s = min(cadence_s, SUSPICIOUS_S)
        return asked + timedelta(seconds=cadence_s)


def _folded(evidence: Evidence, asked: AskedEdge, origin: ObservedOrigin, now: datetime) -> Evidence:
    answer = asked.answer
    if isinstance(answer, Failure):
        return silent(evidence, str(answer), now)
    direct = answer.cf_ray is None
    told = parse(answer.body) if answer.status == 200 else None
    if told is not None and told.nonce == asked.nonce:
        presented = _leaf(told.presented, origin) if told.https else NONE
        return arrived(evidence, Arrival(now, presented, fresh=told.fresh), direct=direct)
    if refuses_certificate(answer):
        return arrived(evidence, Arrival(now, REFUSED), direct=direct)
    ray = f", cf-ray {answer.cf_ray}" if answer.cf_ray else ""
    return silent(evidence, f"HTTP {answer.status} instead of the check path's answer{ray}", now)


def refuses_certificate(answer: Answer) -> bool:
    """Nginx's own refusal on a path that no claim refuses: 400 for an expired certificate, 421 where SNI and Host differ.

    A 400 of anybody else does not speak of the SSL certificate (reference: ingress-nginx, 1.3 and 1.4).
    """
    return answer.status == 421 or (answer.status == 400 and "SSL certificate" in answer.body)


def _leaf(short: str, origin: ObservedOrigin) -> str:
    claim = origin.configured.claim if isinstance(origin.configured, Configured) else None
    if short in {NONE, OTHER}:
        return short
    return next((pin.sha256 for pin in (claim.pins if claim else ()) if pin.short == short), OTHER)

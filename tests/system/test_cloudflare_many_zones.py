"""An hour of two hundred zones of one user, of which a third is blocked, each for another reason: what they ask of Cloudflare.

The client, the budget, the reader and the performer are the real ones; Cloudflare is one function, and time is simulated.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, cast

import httpx
import pytest

from aop import pki
from aop.api import AuthenticatedOriginPull, Status
from aop.clock import Clock
from aop.cloudflare import Access, Cloudflare, Priority
from aop.cluster import Cluster, Kind
from aop.errors import AopError, Blocked, Reason, Transient
from aop.observe.memory import Memory
from aop.observe.origin import OriginKeepers
from aop.observe.zone import ZoneReader
from aop.observed import Observed, ObservedZone
from aop.origins import ObjectKey
from aop.perform import Performer
from aop.pki import Algorithm, Recipe
from aop.plan.qualify import zone_is_eligible
from aop.settings import Settings
from aop.steps import Block, Upload
from builders import NOW, UID, observed, origin, spec

ZONES, BLOCKED_EVERY = 200, 3
HOUR_S, WINDOW_S, QUARTER = 3600.0, 300.0, 300
RECIPE = Recipe("example.com", UID, ("example.com",), Algorithm.ECDSA, 256, timedelta(days=730), timedelta(days=1826))
AUTHORITY = pki.create_authority(RECIPE, NOW)
ISSUED = pki.issue_leaf(RECIPE, AUTHORITY, NOW)
OTHER = pki.throwaway(NOW).leaf
ACCOUNT = "a" * 32


class Time(Clock):
    """Simulated: it passes when the test says so, or when the client waits."""

    def __init__(self) -> None:
        self.s = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.s)

    def monotonic_s(self) -> float:
        return self.s

    def jitter(self, limit: float) -> float:
        return limit / 2

    async def sleep(self, seconds: float) -> None:
        self.s += seconds


def said(result: Any) -> httpx.Response:
    return httpx.Response(200, json={"success": True, "errors": [], "messages": [], "result": result})


def refused(status: int, code: int, message: str = "no", **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, json={"success": False, "errors": [{"code": code, "message": message}], "messages": []})


def pem(leaf: pki.Leaf, id_: str, status: str = "active") -> dict[str, Any]:
    return {"id": id_, "status": status, "certificate": leaf.pem, "uploaded_on": "2026-02-01T00:00:00Z"}


@dataclass
class World:
    """One zone at Cloudflare; what is not said is as it should be."""

    name: str
    id: str
    status: str = "active"
    zones: int = 1
    ssl: str = "strict"
    shared: str = "off"
    enabled: bool = True
    suppressed: bool = False
    certificates: list[dict[str, Any]] = field(default_factory=lambda: [pem(ISSUED.leaf, "ours")])
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    """What a call gets instead: by the end of its path, and `POST`."""
    uploads: bool = False
    """The rules want an upload."""

    def answer(self, method: str, path: str) -> httpx.Response:
        for end, answer in self.answers.items():
            if (method if end.isupper() else path).endswith(end):
                return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        if path.endswith("/hostnames"):
            return said([{"hostname": self.name, "enabled": False, "status": "active"}] if self.suppressed else [])
        if path.endswith("/settings/ssl"):
            return said({"value": self.ssl})
        if path.endswith("/settings/tls_client_auth"):
            return said({"value": self.shared})
        if path.endswith("/origin_tls_client_auth/settings"):
            return said({"enabled": self.enabled})
        if path.endswith("/origin_tls_client_auth"):
            return said(self.certificates)
        return said(self.certificates[0])

    @property
    def found(self) -> list[dict[str, Any]]:
        one = {"id": self.id, "name": self.name, "status": self.status, "account": {"id": ACCOUNT, "name": "A"}}
        return [one, {**one, "id": "f" * 32}][: self.zones]


WORKS = said({"id": "t", "status": "active"})
UNKNOWN_TOKEN = {"/zones": refused(403, 9109, "Invalid access token"), "/verify": refused(401, 1000, "Invalid API Token")}
BROKEN: dict[str, dict[str, Any]] = {
    "SSL mode": {"ssl": "flexible"},
    "pending": {"status": "pending"},
    "no such zone": {"zones": 0},
    "two zones": {"zones": 2},
    "suppressed": {"suppressed": True},
    "another's certificate": {"certificates": [pem(OTHER, "theirs")]},
    "shared certificate": {"shared": "on", "enabled": False, "certificates": []},
    "token revoked": {"answers": UNKNOWN_TOKEN},
    "token of another address": {"answers": {"/zones": refused(403, 9109, "Cannot use the access token from location: 192.0.2.1")}},
    "permission for settings": {"answers": {"/settings/ssl": refused(403, 9109, "Unauthorized to access requested resource")}},
    "permission for certificates": {"answers": {"/origin_tls_client_auth": refused(403, 10000, "Authentication error")}},
    "plan": {"answers": {"/origin_tls_client_auth": refused(403, 1234, "not on this plan")}},
    "server error": {"answers": {"/origin_tls_client_auth": refused(500, 1000)}},
    "server error that names a time": {"answers": {"/settings/ssl": refused(503, 1000, **{"retry-after": "600"})}},
    "HTML": {"answers": {"/settings/ssl": httpx.Response(502, text="<html>")}},
    "status null": {"answers": {"/zones": refused(403, 10000), "/verify": said({"status": None})}},
    "odd dates": {"certificates": [pem(OTHER, "theirs") | {"uploaded_on": "9999-12-31T23:59:59-01:00"}]},
    "quota": {"uploads": True, "certificates": [], "answers": {"POST": refused(400, 1212)}},
    "read-only token": {"uploads": True, "certificates": [], "answers": {"POST": refused(403, 10000)}},
    "lasting 1406": {"uploads": True, "certificates": [], "answers": {"POST": refused(400, 1406)}},
    "busy": {"uploads": True, "certificates": [], "answers": {"POST": refused(409, 1000)}},
    "upload that fails": {"uploads": True, "certificates": [], "answers": {"POST": refused(503, 1000, **{"retry-after": "600"})}},
    "ours pending for ever": {"certificates": [pem(ISSUED.leaf, "ours", "pending_deployment")]},
    "others' pending for ever": {"certificates": [pem(OTHER, f"theirs-{n}", "pending_deployment") for n in range(30)]},
}


class Zone:
    """One object: what it is like at Cloudflare, what is remembered, and how it is visited."""

    def __init__(self, number: int) -> None:
        self.kind = list(BROKEN)[number // BLOCKED_EVERY % len(BROKEN)] if number % BLOCKED_EVERY == 0 else "healthy"
        name = f"zone-{number}.example"
        self.world = World(name, f"{number:032x}", **BROKEN.get(self.kind, {}))
        self.spec = spec(zone={"name": name}, hostnames=[name])
        ready = {"type": "Stalled" if self.broken else "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1}
        status = Status.parse({"observedGeneration": 1, "conditions": [ready | {"lastTransitionTime": "2026-03-01T00:00:00Z"}]})
        self.pull = AuthenticatedOriginPull(ObjectKey("edge", f"zone-{number}"), UID, 1, "1", NOW, None, (), {}, self.spec, status)
        self.template: Observed = observed(spec=self.spec, origins=[origin(hosts=(name,))])
        self.access = Access.of(f"token-of-the-user-{number if self.broken else number % 3}", Priority.ONBOARD)
        self.memory = Memory()
        self.read_at: list[float] = []

    @property
    def broken(self) -> bool:
        return self.kind != "healthy"

    async def visit(self, reader: ZoneReader, performer: Performer, clock: Time) -> float:
        """As the loop does it; the seconds until the next visit."""
        hurry = self.memory.awaiting
        found = await reader.read(self.pull, self.access, self.memory, clock.now(), [ISSUED.leaf.pin], hurry=hurry)
        step = zone_is_eligible(replace(self.template, zone=found, now=clock.now()))
        if step is None and isinstance(found, ObservedZone):
            self.read_at.append(clock.s)
            self.memory.awaiting, self.memory.blocked_on = False, None
            return await self._upload(performer) if self.world.uploads else 60.0
        self.memory.awaiting = True
        self.memory.blocked_on = step.reason if isinstance(step, Block) else None
        return 15.0 if isinstance(step, Block) else 5.0

    async def _upload(self, performer: Performer) -> float:
        step = Upload(self.world.id, ISSUED.leaf.pin)
        self.memory.awaiting = True
        try:
            await performer.perform(step, self.template, self.pull, self.memory)
        except AopError as error:
            self.memory.blocked_on = error.reason if isinstance(error, Blocked) else None
            if isinstance(error, Blocked):
                return 15.0
            return min(error.retry_after_s or 5.0, 5.0) if isinstance(error, Transient) else 5.0
        return 1.0


class OneSecret:
    async def fetch(self, kind: Kind, key: ObjectKey) -> dict[str, Any]:
        return {"kind": kind.name, "metadata": {"name": key.name}, "data": pki.leaf_data(ISSUED, AUTHORITY)}


class Hour:
    """The run, and what it counted."""

    def __init__(self) -> None:
        self.clock = Time()
        self.zones = [Zone(number) for number in range(ZONES)]
        self.calls: list[float] = []
        self.by_zone: dict[str, Counter[str]] = defaultdict(Counter)
        self._by_id = {zone.world.id: zone.world for zone in self.zones}
        self._by_name = {zone.world.name: zone.world for zone in self.zones}
        self._by_token = {zone.access.authorization: zone.world for zone in self.zones if zone.broken}

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(self.clock.s)
        path = request.url.path.removeprefix("/client/v4")
        if path == "/zones":
            world = self._by_name[request.url.params["name"]]
            answer = world.answers.get("/zones") or said(world.found)
        elif path.endswith("/verify"):
            world = self._by_token[request.headers["authorization"]]
            answer = world.answers.get("/verify") or WORKS
        else:
            world = self._by_id[path.split("/")[2]]
            answer = world.answer(request.method, path)
        self.by_zone[world.name][request.method] += 1
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    async def run(self, seconds: float) -> None:
        order = count()
        due = [(number * 0.01, next(order), zone) for number, zone in enumerate(self.zones)]
        heapq.heapify(due)
        async with Cloudflare(
            "https://api.example/client/v4", clock=self.clock, transport=httpx.MockTransport(self.answer), sleep=self.clock.sleep
        ) as cloudflare:
            reader = ZoneReader(cloudflare, Settings())
            performer = Performer(cast("Cluster", OneSecret()), cast("OriginKeepers", None), cloudflare, self.clock)
            while due[0][0] < seconds:
                at_s, _, zone = heapq.heappop(due)
                self.clock.s = max(self.clock.s, at_s)
                delay_s = await zone.visit(reader, performer, self.clock)
                heapq.heappush(due, (self.clock.s + delay_s, next(order), zone))


def most_in_a_window(calls: list[float]) -> int:
    return max(sum(1 for at in calls if begin <= at < begin + WINDOW_S) for begin in calls[::7])


@pytest.fixture(scope="module")
def hour() -> Hour:
    """After a restart, so that every zone is looked at for the first time."""
    made = Hour()
    asyncio.run(made.run(HOUR_S))
    return made


def test_two_hundred_zones_of_which_a_third_is_blocked_stay_under_a_quarter_of_one_user_s_budget(hour: Hour) -> None:
    assert most_in_a_window(hour.calls) < QUARTER


def test_none_of_them_is_alone_what_the_calls_are_for(hour: Hour) -> None:
    most: Counter[str] = Counter()
    for zone in hour.zones:
        most[zone.kind] = max(most[zone.kind], hour.by_zone[zone.world.name].total())
    assert {kind: calls for kind, calls in most.items() if calls > 60} == {}
    posts = {zone.kind: hour.by_zone[zone.world.name]["POST"] for zone in hour.zones}
    assert max(posts.values()) <= 25, "a private key goes out each time"


def test_those_that_are_healthy_are_known_in_spite_of_them(hour: Hour) -> None:
    first = [zone.read_at[0] if zone.read_at else HOUR_S for zone in hour.zones if not zone.broken]
    assert max(first) < HOUR_S / 2


def test_each_that_is_blocked_ends_in_its_reason_and_what_passes_in_none(hour: Hour) -> None:
    found: dict[str, set[Reason | None]] = defaultdict(set)
    for zone in hour.zones:
        found[zone.kind].add(zone.memory.blocked_on)
    assert {kind: reasons for kind, reasons in found.items() if len(reasons) > 1} == {}
    passing = {"server error", "server error that names a time", "HTML", "status null", "busy", "upload that fails"}
    pending = {"ours pending for ever", "others' pending for ever"}
    assert {kind for kind, reasons in found.items() if reasons == {None}} == {"healthy", *passing, *pending}
    assert found["lasting 1406"] == {Reason.CERTIFICATE_UNLISTED}
    assert found["quota"] == {Reason.CERTIFICATE_QUOTA_REACHED}
    assert found["read-only token"] == {Reason.TOKEN_LACKS_PERMISSION}

"""An hour of two hundred zones of one user, of which a third is blocked, each for another reason: what they ask of Cloudflare.

The client, the budget, the reader and the performer are the real ones; Cloudflare is one function,
and time is simulated.
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
from aop.cluster import Cluster
from aop.errors import AopError, Blocked, Reason, Transient
from aop.leading import Lead
from aop.observe.memory import Memory
from aop.observe.origins import OriginKeepers
from aop.observe.secrets import Secrets
from aop.observe.zone import ZoneReader
from aop.observed import Observed, ObservedZone
from aop.perform import Performer
from aop.plan.qualify import zone_is_eligible
from aop.settings import Settings
from aop.steps import Block, Upload, Wait
from aop.terms import ObjectKey
from builders import NOW, UID, observed, origin, spec
from issued import ISSUED, OneSecret

ZONES, BLOCKED_EVERY = 200, 3
HOUR_S, WINDOW_S, QUARTER = 3600.0, 300.0, 300
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


def answered(result: Any) -> httpx.Response:
    return httpx.Response(
        200, json={"success": True, "errors": [], "messages": [], "result": result}
    )


def refused(status: int, code: int, message: str = "no", **headers: str) -> httpx.Response:
    return httpx.Response(
        status,
        headers=headers,
        json={"success": False, "errors": [{"code": code, "message": message}], "messages": []},
    )


def pem(leaf: pki.Leaf, id_: str, status: str = "active") -> dict[str, Any]:
    return {
        "id": id_,
        "status": status,
        "certificate": leaf.pem,
        "uploaded_on": "2026-02-01T00:00:00Z",
    }


@dataclass
class ZoneAtCloudflare:
    """One zone at Cloudflare; what is not said is as it should be."""

    name: str
    id: str
    status: str = "active"
    zones: int = 1
    ssl: str = "strict"
    shared: str = "off"
    enabled: bool = True
    suppressed: bool = False
    pages: int = 1
    """Of the list of certificates."""
    certificates: list[dict[str, Any]] = field(default_factory=lambda: [pem(ISSUED.leaf, "ours")])
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    """What a call gets instead: by the end of its path, and `POST`."""
    uploads: bool = False
    """The rules want an upload."""
    asked: int = 0
    """For pages."""

    def answer(self, method: str, path: str) -> httpx.Response:
        for end, answer in self.answers.items():
            if (method if end.isupper() else path).endswith(end):
                return httpx.Response(
                    answer.status_code, headers=answer.headers, content=answer.content
                )
        if path.endswith("/hostnames"):
            return answered(
                [{"hostname": self.name, "enabled": False, "status": "active"}]
                if self.suppressed
                else []
            )
        if path.endswith("/settings/ssl"):
            return answered({"value": self.ssl})
        if path.endswith("/settings/tls_client_auth"):
            return answered({"value": self.shared})
        if path.endswith("/origin_tls_client_auth/settings"):
            return answered({"enabled": self.enabled})
        if path.endswith("/origin_tls_client_auth") and self.pages > 1:
            self.asked += 1
            fresh = [pem(ISSUED.leaf, f"ours-{self.asked}")]
            return httpx.Response(
                200, json=answered(fresh).json() | {"result_info": {"total_pages": self.pages}}
            )
        if path.endswith("/origin_tls_client_auth"):
            return answered(self.certificates)
        return answered(self.certificates[0]) if self.certificates else refused(404, 1551)

    @property
    def listed(self) -> list[dict[str, Any]]:
        one = {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "account": {"id": ACCOUNT, "name": "A"},
        }
        return [one, {**one, "id": "f" * 32}][: self.zones]


WORKS = answered({"id": "t", "status": "active"})
EMPTY: dict[str, Any] = {"uploads": True, "certificates": []}
LIST, PLAN = "/origin_tls_client_auth", "not on this plan"


def unknown_token(verdict: httpx.Response) -> dict[str, Any]:
    return {"answers": {"/zones": refused(403, 9109, "Invalid access token"), "/verify": verdict}}


def upload_refused(answer: httpx.Response) -> dict[str, Any]:
    return EMPTY | {"answers": {"POST": answer}}


BLOCKED: dict[str, tuple[dict[str, Any], Reason]] = {
    "SSL mode flexible": ({"ssl": "flexible"}, Reason.SSL_MODE_TOO_LOW),
    "SSL mode off": ({"ssl": "off"}, Reason.SSL_MODE_TOO_LOW),
    "SSL mode of the future": ({"ssl": "quantum"}, Reason.SSL_MODE_TOO_LOW),
    "pending": ({"status": "pending"}, Reason.ZONE_NOT_ACTIVE),
    "no such zone": ({"zones": 0}, Reason.ZONE_NOT_FOUND),
    "two zones": ({"zones": 2}, Reason.ZONE_AMBIGUOUS),
    "suppressed": ({"suppressed": True}, Reason.HOSTS_SUPPRESSED),
    "another's certificate": ({"certificates": [pem(OTHER, "theirs")]}, Reason.FOREIGN_CERTIFICATE),
    "odd dates": (
        {"certificates": [pem(OTHER, "odd") | {"uploaded_on": "9999-12-31T23:59:59-01:00"}]},
        Reason.FOREIGN_CERTIFICATE,
    ),
    "shared certificate": (
        {"shared": "on", "enabled": False, "certificates": []},
        Reason.FOREIGN_CERTIFICATE,
    ),
    "token unknown": (
        unknown_token(refused(401, 1000, "Invalid API Token")),
        Reason.TOKEN_REJECTED,
    ),
    "token disabled": (unknown_token(answered({"status": "disabled"})), Reason.TOKEN_REJECTED),
    "token expired": (
        unknown_token(answered({"status": "expired", "expires_on": "2026-01-01T00:00:00Z"})),
        Reason.TOKEN_REJECTED,
    ),
    "token of the future": (
        unknown_token(answered({"status": "active", "not_before": "2199-01-01T00:00:00Z"})),
        Reason.TOKEN_REJECTED,
    ),
    "token malformed": (
        {"answers": {"/zones": refused(400, 6003, "Invalid request headers")}},
        Reason.TOKEN_REJECTED,
    ),
    "token of another address": (
        {
            "answers": {
                "/zones": refused(403, 9109, "Cannot use the access token from location: 192.0.2.1")
            }
        },
        Reason.TOKEN_REJECTED,
    ),
    "permission for zones": (
        {"answers": {"/zones": refused(403, 10000)}},
        Reason.TOKEN_LACKS_PERMISSION,
    ),
    "permission for settings": (
        {
            "answers": {
                "/settings/ssl": refused(403, 9109, "Unauthorized to access requested resource")
            }
        },
        Reason.TOKEN_LACKS_PERMISSION,
    ),
    "permission for certificates": (
        {"answers": {LIST: refused(403, 10000, "Authentication error")}},
        Reason.TOKEN_LACKS_PERMISSION,
    ),
    "permission for the enablement": (
        {"answers": {f"{LIST}/settings": refused(404, 9109)}},
        Reason.TOKEN_LACKS_PERMISSION,
    ),
    "plan": ({"answers": {LIST: refused(403, 1234, PLAN)}}, Reason.NOT_OFFERED),
    "plan for the enablement": (
        {"answers": {f"{LIST}/settings": refused(402, 1234, PLAN)}},
        Reason.NOT_OFFERED,
    ),
    "quota": (upload_refused(refused(400, 1212)), Reason.CERTIFICATE_QUOTA_REACHED),
    "quota in words": (
        upload_refused(refused(400, 1000, "maximum number of certificates")),
        Reason.CERTIFICATE_QUOTA_REACHED,
    ),
    "read-only token": (upload_refused(refused(403, 10000)), Reason.TOKEN_LACKS_PERMISSION),
    "plan for uploads": (upload_refused(refused(403, 1234, PLAN)), Reason.NOT_OFFERED),
    "lasting 1406": (upload_refused(refused(400, 1406)), Reason.CERTIFICATE_UNLISTED),
    "no leaf": (upload_refused(refused(400, 1408)), Reason.CERTIFICATE_REFUSED),
    "refused for what nobody knows": (
        upload_refused(refused(400, 98765, "because")),
        Reason.CERTIFICATE_REFUSED,
    ),
}
"""What a person has to mend, and what is said of it."""
PASSING_ANSWERS = {
    "500": refused(500, 1000),
    "503 for ten minutes": refused(503, 1001, **{"retry-after": "600"}),
    "503 for a second": refused(503, 1002, **{"retry-after": "1"}),
    "503 for no time": refused(503, 1003, **{"retry-after": "0"}),
    "409": refused(409, 1004),
    "HTML": httpx.Response(502, text="<html>"),
    "an answer that says nothing": answered(True),
}
PASSING: dict[str, dict[str, Any]] = {
    **{
        f"{what} for {end}": {"answers": {end: answer}}
        for end in ("/zones", "/settings/ssl", LIST)
        for what, answer in PASSING_ANSWERS.items()
    },
    **{f"{what} for uploads": upload_refused(answer) for what, answer in PASSING_ANSWERS.items()},
    **{
        f"{what} for the enablement": {"answers": {f"{LIST}/settings": PASSING_ANSWERS[what]}}
        for what in ("500", "409", "HTML")
    },
    "status null": unknown_token(answered({"status": None})),
    "a verification that is too early": unknown_token(refused(425, 1005)),
    "uploads that vanish": upload_refused(answered(pem(ISSUED.leaf, "ours", "initializing"))),
    "a list of pages without end": {"pages": 10**6},
    "a teapot": {"answers": {f"{LIST}/settings": refused(418, 1006)}},
}
"""What ends by itself, or never; it is said in words, and has no reason of its own."""
QUIET: dict[str, dict[str, Any]] = {
    "ours pending for ever": {"certificates": [pem(ISSUED.leaf, "ours", "pending_deployment")]},
    "others' pending for ever": {
        "certificates": [pem(OTHER, f"theirs-{n}", "pending_deployment") for n in range(30)]
    },
}
"""What the zone can be read with; another rule waits for it."""
BROKEN = {kind: world for kind, (world, _) in BLOCKED.items()} | PASSING | QUIET


class ManagedZone:
    """One object: what it is like at Cloudflare, what is remembered, and how it is visited."""

    def __init__(self, number: int) -> None:
        self.kind = (
            list(BROKEN)[number // BLOCKED_EVERY] if number % BLOCKED_EVERY == 0 else "healthy"
        )
        name = f"zone-{number}.example"
        self.world = ZoneAtCloudflare(name, f"{number:032x}", **BROKEN.get(self.kind, {}))
        self.spec = spec(zone={"name": name}, hostnames=[name])
        ready = {
            "type": "Stalled" if self.broken else "Ready",
            "status": "True",
            "reason": "Ready",
            "message": "",
            "observedGeneration": 1,
        }
        status = Status.parse(
            {
                "observedGeneration": 1,
                "conditions": [ready | {"lastTransitionTime": "2026-03-01T00:00:00Z"}],
            }
        )
        self.pull = AuthenticatedOriginPull(
            ObjectKey("edge", f"zone-{number}"), UID, 1, "1", NOW, None, (), {}, self.spec, status
        )
        self.template: Observed = observed(spec=self.spec, origins=[origin(hosts=(name,))])
        self.access = Access.of(
            f"token-of-the-user-{number if self.broken else number % 3}", Priority.ONBOARD
        )
        self.memory = Memory()
        self.read_at: list[float] = []
        self.message = ""

    @property
    def broken(self) -> bool:
        return self.kind != "healthy"

    async def visit(self, reader: ZoneReader, performer: Performer, clock: Time) -> float:
        """As the loop does it; the seconds until the next visit."""
        hurry = self.memory.awaiting
        source = await reader.read(
            self.pull, self.access, self.memory, clock.now(), [ISSUED.leaf.pin], hurry=hurry
        )
        step = zone_is_eligible(replace(self.template, zone=source, now=clock.now()))
        if step is None and isinstance(source, ObservedZone):
            self.read_at.append(clock.s)
            self.memory.awaiting, self.memory.blocked_on = False, None
            self.message = ""
            return await self._upload(performer) if self.world.uploads else 60.0
        self.memory.awaiting = True
        self.message = step.message if isinstance(step, Block | Wait) else ""
        self.memory.blocked_on = step.reason if isinstance(step, Block) else None
        return 15.0 if isinstance(step, Block) else 5.0

    async def _upload(self, performer: Performer) -> float:
        step = Upload(self.world.id, ISSUED.leaf.pin)
        self.memory.awaiting = True
        try:
            await performer.perform(step, self.template, self.pull, self.memory)
        except AopError as error:
            self.message = error.message
            self.memory.blocked_on = error.reason if isinstance(error, Blocked) else None
            if isinstance(error, Blocked):
                return 15.0
            return min(error.retry_after_s or 5.0, 5.0) if isinstance(error, Transient) else 5.0
        return 1.0


class Hour:
    """The run, and what it counted."""

    def __init__(self) -> None:
        self.clock = Time()
        self.zones = [ManagedZone(number) for number in range(ZONES)]
        self.calls: list[float] = []
        self.by_zone: dict[str, Counter[str]] = defaultdict(Counter)
        self._by_id = {zone.world.id: zone.world for zone in self.zones}
        self._by_name = {zone.world.name: zone.world for zone in self.zones}
        self._by_token = {
            zone.access.authorization: zone.world for zone in self.zones if zone.broken
        }

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(self.clock.s)
        path = request.url.path.removeprefix("/client/v4")
        if path == "/zones":
            world = self._by_name[request.url.params["name"]]
            answer = world.answers.get("/zones") or answered(world.listed)
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
            "https://api.example/client/v4",
            clock=self.clock,
            lead=Lead.alone(self.clock),
            transport=httpx.MockTransport(self.answer),
            sleep=self.clock.sleep,
        ) as cloudflare:
            reader = ZoneReader(cloudflare, Settings())
            performer = Performer(
                cast("Cluster", OneSecret()),
                cast("OriginKeepers", None),
                cast("Secrets", None),
                cloudflare,
                self.clock,
            )
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


def test_two_hundred_zones_of_which_a_third_is_blocked_stay_under_a_quarter_of_one_user_s_budget(
    hour: Hour,
) -> None:
    assert most_in_a_window(hour.calls) < QUARTER


def test_none_of_them_is_alone_what_the_calls_are_for(hour: Hour) -> None:
    most: Counter[str] = Counter()
    for zone in hour.zones:
        most[zone.kind] = max(most[zone.kind], hour.by_zone[zone.world.name].total())
    assert most.pop("a list of pages without end") <= 240, (
        "twenty in five minutes, and nothing that a person could mend"
    )
    assert {kind: calls for kind, calls in most.items() if calls > 60} == {}
    posts = {zone.kind: hour.by_zone[zone.world.name]["POST"] for zone in hour.zones}
    assert max(posts.values()) <= 25, "a private key goes out each time"


def test_those_that_are_healthy_are_known_in_spite_of_them(hour: Hour) -> None:
    first = [zone.read_at[0] if zone.read_at else HOUR_S for zone in hour.zones if not zone.broken]
    assert max(first) < HOUR_S / 2


def test_a_third_is_blocked_and_no_two_alike(hour: Hour) -> None:
    broken = [zone for zone in hour.zones if zone.broken]
    assert len(broken) == len({zone.kind for zone in broken}) == len(BROKEN) == 67


def test_each_ends_in_its_reason_or_in_words_where_it_may_pass(hour: Hour) -> None:
    reasons = {zone.kind: zone.memory.blocked_on for zone in hour.zones if zone.broken}
    assert reasons == {kind: reason for kind, (_, reason) in BLOCKED.items()} | dict.fromkeys(
        [*PASSING, *QUIET]
    )
    assert {zone.memory.blocked_on for zone in hour.zones if not zone.broken} == {None}


def test_what_is_said_tells_them_apart(hour: Hour) -> None:
    messages = {
        zone.kind: zone.message.replace(zone.world.name, "the zone")
        for zone in hour.zones
        if zone.kind in BLOCKED or zone.kind in PASSING
    }
    assert [kind for kind, words in messages.items() if not words] == []
    alike = {
        words: [kind for kind in messages if messages[kind] == words] for words in messages.values()
    }
    assert [kinds for kinds in alike.values() if len(kinds) > 1] == []

"""One run: so many zones are applied at once, and everything that they cost is read off until all are Ready."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.composition import OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, Layout
from sandbox.following import Following
from sandbox.scene import NAMESPACE, Scene, name_of, pull

ACCOUNT = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_ACCOUNT}"
WINDOW = "10s"
"""Shorter than the default, so that a run ends. At rest it costs the same: what proves nothing is asked about at one cadence."""
ZONES_OF_A_USER = 100
"""Cloudflare grants each of its users 1,200 calls in five minutes, and an onboarding takes ten."""
EVERYWHERE = "/apis/aop-operator.dev/v1alpha1/authenticatedoriginpulls"
GIVEN_UP_AFTER_S, EACH_S = 900.0, 3.0
"""When nobody waits any more for all to be Ready, and what each zone adds to it."""
EVERY_S = 1.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CHANGES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
SETTLED_S = 30.0
"""How long objects are left alone before anything else is done to them."""
RESTS_AFTER_S, RESTS_S = 150.0, 60.0
"""When what they cost at rest is read off, and for how long: until then the last proofs end, and each zone is
read at Cloudflare once more."""


@dataclass(slots=True)
class Followed:
    """What the objects went through, as a watch shows it."""

    ready: set[str] = field(default_factory=set)
    lost: Counter[str] = field(default_factory=Counter)
    """How often an object that was Ready was not any more."""
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: Counter[str] = field(default_factory=Counter)
    """How often each one's status was written."""

    @property
    def unproven(self) -> bool:
        """Whether any object has a host that is not proven, and will be told of it once it is."""
        return any((one.get("hosts") or {}).get("unproven") for one in self.statuses.values())

    def notice(self, _: str, seen: dict[str, Any]) -> None:
        """One event of the watch."""
        name = seen["metadata"]["name"]
        if self.statuses.get(name) != seen.get("status", {}):
            self.statuses[name] = seen.get("status", {})
            self.written[name] += 1
        conditions = seen.get("status", {}).get("conditions", ())
        if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
            self.ready.add(name)
        elif name in self.ready:
            self.ready.remove(name)
            self.lost[name] += 1


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    zones: int
    ready: int
    took_s: float
    """From the first apply until all were Ready, or until nobody waited any more."""
    cpu_s: float
    """Of the operator's process, for that time."""
    reloads: tuple[int, ...]
    """By replica."""
    requests: int
    """To the API server."""
    resident_mib: float
    fell_back: int
    """How often an object that was Ready was not any more."""
    rest_cpu_m: float
    """Thousandths of a core at rest."""
    rest_requests_per_min: float
    """To the API server at rest."""


def zone_names(zones: int) -> tuple[str, ...]:
    """So many zones of the double."""
    return tuple(f"zone-{n:04}.example" for n in range(zones))


def scene_of(zones: tuple[str, ...]) -> Scene:
    """So many zones with two hosts each, without the trace that a test writes; `settle` makes what is another user's.

    All of the 1,200 calls that Cloudflare grants a user in five minutes are taken: an onboarding
    takes ten, so that with the default of three quarters the ninetieth zone is the last before the
    others wait for the next five minutes.
    """
    hosts = [host for zone in zones for host in (zone, f"www.{zone}")]
    layout = Layout(hosts=hosts, zones=zones[:ZONES_OF_A_USER])
    return Scene(layout, AOP_TRACE_FILE="", AOP_BUDGET_SHARE="1")


def settle(scene: Scene, zones: Sequence[str]) -> list[dict[str, Any]]:
    """An object for each zone; a hundred share a namespace, and a user and an account of Cloudflare's.

    Whose tokens see one account are taken for one user.
    """
    namespaces, origins = [NAMESPACE], scene.control.zone(zones[0])["origins"]
    while len(namespaces) * ZONES_OF_A_USER < len(zones):
        place = len(namespaces)
        theirs = list(zones[place * ZONES_OF_A_USER :][:ZONES_OF_A_USER])
        for zone in theirs:
            scene.control.make_zone(zone, account_id=f"{place:032x}", origins=origins)
        user = scene.control.make_user(email=f"user-{place}@example.net")
        token = scene.control.make_token(user=user["id"], zones=theirs)
        namespaces.append(f"{NAMESPACE}-{place}")
        scene.namespace(namespaces[-1], token["value"])
    return [pulling(zone, namespaces[place // ZONES_OF_A_USER]) for place, zone in enumerate(zones)]


def pulling(zone: str, namespace: str = NAMESPACE, window: str = WINDOW) -> dict[str, Any]:
    """The object of one zone."""
    return pull(
        name_of(zone),
        namespace,
        zone={"name": zone},
        hostnames=[zone, f"www.{zone}"],
        verification={"window": window},
    )


@dataclass(frozen=True, slots=True)
class Disturbed:
    """What so many objects that were settled were told while as many others lived beside them."""

    settled: int
    others: int
    reloads: tuple[int, ...]
    """By replica, until the first ones were settled."""
    onboarding: int
    """Writes of the settled ones' status while the others were onboarded."""
    removing: int
    """The same while they were removed."""


def beside(zones: int, say: Callable[[str], None], *, settled_s: float = SETTLED_S) -> Disturbed:
    """Onboard so many zones, then as many others on the same controller, and remove these again.

    The first ones are settled when nobody has been told anything for `settled_s`.
    """
    names = zone_names(2 * zones)
    with scene_of(names) as scene:
        followed, objects = Followed(), settle(scene, names)
        old, new = objects[:zones], objects[zones:]
        with Following(scene.plane, EVERYWHERE, followed.notice):
            scene.plane.apply(old)
            until_ready(len(old), followed, time.monotonic(), scene, say)
            until_settled(followed, settled_s)
            reloads = _reloads(scene)
            written = [followed.written.copy()]
            scene.plane.apply(new)
            until_ready(len(names), followed, time.monotonic(), scene, say)
            written.append(followed.written.copy())
            for one in new:
                scene.delete(one["metadata"]["name"], one["metadata"]["namespace"])
            _until_gone(len(old), scene)
            written.append(followed.written.copy())
    counts = [sum(each[one["metadata"]["name"]] for one in old) for each in written]
    return Disturbed(zones, zones, reloads, counts[1] - counts[0], counts[2] - counts[1])


def _reloads(scene: Scene) -> tuple[int, ...]:
    return tuple(len(one.reloads) for one in scene.ingress_nginx.replicas())


def until_settled(followed: Followed, settled_s: float) -> None:
    """Wait until every host is proven and no status was written for so long, or nobody waits any more."""
    given_up = time.monotonic() + GIVEN_UP_AFTER_S
    while followed.unproven and time.monotonic() < given_up:
        time.sleep(EVERY_S)
    until_still(followed.written.total, settled_s)


def until_still(figure: Callable[[], float], still_s: float) -> None:
    """Wait until the figure has been the same for so long, or nobody waits any more."""
    given_up = time.monotonic() + GIVEN_UP_AFTER_S
    last, since = figure(), time.monotonic()
    while time.monotonic() < min(given_up, since + still_s):
        time.sleep(EVERY_S)
        if (now := figure()) != last:
            last, since = now, time.monotonic()


def _until_gone(left: int, scene: Scene) -> None:
    given_up = time.monotonic() + GIVEN_UP_AFTER_S
    while time.monotonic() < given_up:
        if len(scene.plane.http.get(EVERYWHERE).json()["items"]) <= left:
            return
        time.sleep(EVERY_S)


def onboard(
    zones: int,
    say: Callable[[str], None],
    *,
    rests_after_s: float = RESTS_AFTER_S,
    rests_s: float = RESTS_S,
) -> Measured:
    """Apply so many zones at once, with two hosts each, on one controller with two replicas.

    Then leave them alone for `rests_after_s`, and read off for `rests_s` what they cost at rest.
    """
    names = zone_names(zones)
    with scene_of(names) as scene:
        followed = Followed()
        before = Cost.of(scene)
        began = time.monotonic()
        with Following(scene.plane, EVERYWHERE, followed.notice):
            scene.plane.apply(settle(scene, names))
            took_s = until_ready(zones, followed, began, scene, say)
            cost = Cost.of(scene)
            time.sleep(rests_after_s)
            rest = Rest.of(scene, rests_s)
        return Measured(
            zones=zones,
            ready=len(followed.ready),
            took_s=took_s,
            cpu_s=cost.cpu_s - before.cpu_s,
            reloads=_reloads(scene),
            requests=cost.requests - before.requests,
            resident_mib=cost.resident_mib,
            fell_back=followed.lost.total(),
            rest_cpu_m=rest.cpu_m,
            rest_requests_per_min=rest.requests_per_min,
        )


def until_ready(
    zones: int, followed: Followed, began: float, scene: Scene, say: Callable[[str], None]
) -> float:
    """Wait until so many are Ready, or nobody waits any more; the seconds since `began` (monotonic)."""
    reported_at = began
    while (
        len(followed.ready) < zones and time.monotonic() - began < GIVEN_UP_AFTER_S + zones * EACH_S
    ):
        time.sleep(EVERY_S)
        if time.monotonic() - reported_at > 5:
            reported_at = time.monotonic()
            revision = scene.sandbox.config_map()["metadata"].get("annotations", {})
            say(
                f"{reported_at - began:4.0f} s: {len(followed.ready)} of {zones} Ready, revision "
                f"{int(revision.get('aop-operator.dev/revision', '0'))}, {followed.lost.total()} fell back"
            )
    return time.monotonic() - began


@dataclass(frozen=True, slots=True)
class Cost:
    """What the operator's process has used since it was started."""

    cpu_s: float
    resident_mib: float
    requests: int
    """To the API server, by its audit log."""

    @classmethod
    def of(cls, scene: Scene) -> Cost:
        """Now."""
        pid = scene.operator.pid
        return cls(cpu_s(pid), resident_mib(pid), len(scene.plane.audit(ACCOUNT)))


@dataclass(frozen=True, slots=True)
class Rest:
    """What the operator's process costs while nothing happens."""

    resident_mib: float
    cpu_m: float
    """Thousandths of a core."""
    requests_per_min: float
    """To the API server."""

    @classmethod
    def of(cls, scene: Scene, for_s: float) -> Rest:
        """Read off for so long."""
        before, since = Cost.of(scene), time.monotonic()
        time.sleep(for_s)
        after, passed_s = Cost.of(scene), time.monotonic() - since
        return cls(
            after.resident_mib,
            (after.cpu_s - before.cpu_s) / passed_s * 1000,
            (after.requests - before.requests) / passed_s * 60,
        )


def writes(scene: Scene, since: int) -> int:
    """How many of the operator's requests change anything in Kubernetes, but for its Lease.

    `since` is how many requests there were before.
    """
    asked = scene.plane.audit(ACCOUNT)[since:]
    return sum(one.verb in CHANGES and one.resource != "leases" for one in asked)


def cpu_s(pid: int) -> float:
    """What the process has used since its start."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_mib(pid: int) -> float:
    """What the process has in memory now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024

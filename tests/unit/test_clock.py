"""Two kinds of time: what is asked of the steady one does not notice when the wall clock is set, and certificates follow the wall clock."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import cast

import pytest

from aop.api import Status
from aop.clock import Clock
from aop.observe.edge import EdgeReader
from aop.observe.memory import Cached, Memory
from aop.observed import (
    NONE,
    Arrival,
    CertificateState,
    HoldOff,
    Observed,
    ObservedKeyPair,
    ObservedZone,
)
from aop.plan import next_step
from aop.plan.facts import proven
from aop.probe import Answer, AskedEdge, EdgeProbe
from aop.record import dump, load
from aop.status import status_of
from aop.steps import Block, Delete, Done, Issue, Note, Publish, SetEnabled, Wait
from aop.terms import Mode
from builders import (
    APEX,
    HOSTS,
    LEAF,
    NOW,
    asked_at,
    at,
    certificate,
    claim,
    evidence,
    observed,
    origin,
    zone,
)
from clocks import SetClock
from committed import nodes

SOURCE = Path(__file__).parents[2] / "operator" / "aop"
BACK, AHEAD = timedelta(minutes=-50), timedelta(minutes=50)


# --- the clock -------------------------------------------------------------------------------------------------------


def test_the_steady_present_begins_as_the_wall_time_and_never_steps() -> None:
    clock = SetClock()
    assert clock.now() == clock.wall() == NOW
    clock.pass_s(10)
    clock.set_by(BACK)
    assert (clock.now(), clock.wall(), clock.stepped()) == (at(10), at(10) + BACK, BACK)
    clock.set_by(AHEAD + AHEAD)
    clock.pass_s(0.5)
    assert (clock.now(), clock.wall(), clock.stepped()) == (at(10.5), at(10.5) + AHEAD, AHEAD)


def test_a_clock_that_is_slewed_has_not_stepped() -> None:
    """Else a moment that is shown would be shown now as one second and now as the next, and the status be written each time."""
    clock = SetClock()
    for _ in range(4):
        clock.set_by(timedelta(milliseconds=100))
        assert clock.stepped() == timedelta()


def test_the_real_clocks_agree_at_the_start_and_go_on() -> None:
    clock = Clock()
    first, then = clock.now(), clock.now()
    assert first <= then
    assert first.tzinfo is UTC
    assert clock.wall().tzinfo is UTC
    assert abs(clock.wall() - clock.now()) < timedelta(seconds=60)


def test_nothing_but_the_clock_reads_the_time() -> None:
    readings = {
        "now",
        "utcnow",
        "today",
        "time",
        "monotonic",
        "time_ns",
        "monotonic_ns",
        "clock_gettime",
        "perf_counter",
        "localtime",
        "gmtime",
    }
    readers = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in SOURCE.rglob("*.py")
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in readings
        and ast.unparse(node.func.value)
        in {"datetime", "date", "time", "datetime.datetime", "datetime.date"}
    ]
    assert {where.partition(":")[0] for where in readers} == {"clock.py"}


# --- how old, and when next ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [BACK, AHEAD])
def test_what_was_read_is_as_old_as_it_is_whoever_sets_the_clock(step: timedelta) -> None:
    clock, cached = SetClock(), Cached[str]()
    cached.keep("read", clock.now())
    clock.set_by(step)
    clock.pass_s(59)
    assert cached.fresh(clock.now(), 60)
    clock.pass_s(2)
    assert not cached.fresh(clock.now(), 60)


@pytest.mark.asyncio
@pytest.mark.parametrize("step", [BACK, AHEAD])
async def test_the_edge_is_asked_at_its_cadence_whoever_sets_the_clock(step: timedelta) -> None:
    class Silent:
        """Answers every request with a page that proves nothing, and counts them."""

        def __init__(self) -> None:
            self.asked: list[tuple[str, str]] = []

        async def ask(self, host: str, path: str) -> AskedEdge:
            self.asked.append((host, path))
            return AskedEdge(host, "nonce", Answer(503, "busy"))

    clock, edge = SetClock(), Silent()
    reader, memory = EdgeReader(cast("EdgeProbe", edge), 10.0, 20.0, clock), Memory()
    for _ in range(6):
        await reader.read(
            (asked_at(origin(hosts=(APEX,)), "/check"),),
            timedelta(seconds=180),
            memory,
            until_s=clock.monotonic_s() + 2,
        )
        clock.set_by(step)
        step = -step
        clock.pass_s(5)
    assert edge.asked == [(APEX, "/check")] * 3


LOST = tuple(Arrival(at(-13 + 5 * n), NONE) for n in range(3))
WORLDS = {
    "all is as the spec asks": (observed(), Done),
    "a host loses": (observed(evidence=[evidence(APEX, NONE, lasting_s=10, recent=LOST)]), Note),
    "a host loses, and the hold-off is noted": (
        observed(
            evidence=[evidence(APEX, NONE, lasting_s=10, recent=LOST)],
            record={"hold_offs": (HoldOff(1, at(-1), at(59), APEX),)},
        ),
        Publish,
    ),
    "a proof is under way": (
        observed(
            origins=[origin(claim(Mode.REQUEST, ()))],
            evidence=[evidence(host, lasting_s=100) for host in HOSTS],
        ),
        Wait,
    ),
    "a proof is complete": (observed(origins=[origin(claim(Mode.REQUEST, ()))]), Publish),
    "a certificate is on its way": (
        observed(zone=zone(certificate(state=CertificateState.PENDING))),
        Wait,
    ),
}


@pytest.mark.parametrize("step", [BACK, AHEAD])
@pytest.mark.parametrize("name", WORLDS)
def test_a_wall_clock_that_is_set_changes_no_decision_but_what_is_kept_across_restarts(
    name: str, step: timedelta
) -> None:
    world, expected = WORLDS[name]
    # What the record keeps and Cloudflare says is written in wall time, so it moves with the clock
    # that wrote it.
    moved = tuple(
        replace(hold_off, since=hold_off.since + step, until=hold_off.until + step)
        for hold_off in world.record.hold_offs
    )
    set_clock = replace(
        world, stepped=step, object=replace(world.object, record=world.noting(hold_offs=moved))
    )
    decision = next_step(set_clock)
    assert isinstance(decision, expected)
    assert isinstance(next_step(world), expected)
    assert [proven(set_clock, host) for host in HOSTS] == [proven(world, host) for host in HOSTS]


# --- certificates ----------------------------------------------------------------------------------------------------


def ending(left: timedelta) -> Observed:
    """A world whose leaf ends so long after the steady present."""
    leaf = replace(LEAF, not_after=NOW + left)
    return observed(
        zone=zone(certificate(leaf)),
        keys={"leaf": leaf, "renewal_at": leaf.not_after - timedelta(days=45)},
        record={"uploaded": (leaf,)},
        origins=[origin(claim(pins=(leaf,)))],
        evidence=[evidence(host, leaf.sha256) for host in HOSTS],
    )


@pytest.mark.parametrize(
    ("left", "step", "expected"),
    [
        (timedelta(days=46), timedelta(days=2), Issue),
        (timedelta(hours=25), timedelta(hours=2), Publish),
        (timedelta(hours=1), timedelta(days=-2), Issue),
    ],
    ids=[
        "due for renewal",
        "about to end: nobody is refused any more",
        "a process that began with a clock two days ahead",
    ],
)
def test_the_validity_of_a_leaf_is_judged_by_the_wall_clock(
    left: timedelta, step: timedelta, expected: type
) -> None:
    assert isinstance(next_step(replace(ending(left), stepped=step)), expected)


def test_what_is_about_to_end_by_the_wall_clock_is_not_uploaded_and_not_enabled() -> None:
    soon = replace(
        ending(timedelta(hours=25)),
        stepped=timedelta(hours=2),
        origins=(origin(claim(Mode.OFF, ())),),
    )
    assert isinstance(soon.zone, ObservedZone)
    assert isinstance(soon.key_pair, ObservedKeyPair)
    gone = replace(
        soon,
        zone=replace(soon.zone, certificates=(), enabled=False),
        object=replace(soon.object, record=soon.noting(uploaded=())),
    )
    referenced = replace(soon.key_pair, renewal_at=None)
    assert isinstance(next_step(replace(gone, key_pair=referenced)), Block)
    assert not isinstance(next_step(replace(gone, key_pair=referenced, stepped=timedelta())), Block)
    presented = next_step(replace(soon, key_pair=referenced))
    assert isinstance(presented, SetEnabled)
    assert not presented.enabled


def test_an_origin_does_not_begin_to_ask_while_something_expired_by_the_wall_clock_may_be_presented() -> (
    None
):
    world = replace(
        ending(timedelta(hours=1)),
        stepped=timedelta(hours=2),
        origins=(origin(claim(Mode.OFF, ())),),
    )
    assert not isinstance(next_step(world), Publish | Delete)


# --- kept across restarts --------------------------------------------------------------------------------------------


def test_a_hold_off_is_written_in_wall_time_and_holds_in_it() -> None:
    world = replace(
        observed(evidence=[evidence(APEX, NONE, lasting_s=10, recent=LOST)]), stepped=BACK
    )
    noted = next_step(world)
    assert isinstance(noted, Note)
    (hold_off,) = load(dump(noted.record)).hold_offs
    assert (hold_off.since, hold_off.until) == (NOW + BACK, NOW + BACK + timedelta(seconds=60))
    assert hold_off.holds_at(NOW + BACK + timedelta(seconds=59))
    assert not hold_off.holds_at(NOW + BACK + timedelta(seconds=60))


def test_a_hold_off_of_a_clock_that_was_years_ahead_does_not_hold_for_years() -> None:
    later = NOW + timedelta(days=3000)
    asking = observed(
        origins=[origin(claim(Mode.REQUEST, ()))],
        record={"hold_offs": (HoldOff(2, later, later + timedelta(seconds=120)),)},
    )
    assert isinstance(next_step(asking), Publish)


# --- what people read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [timedelta(), BACK, AHEAD])
def test_people_read_wall_time(step: timedelta) -> None:
    pending = replace(certificate(), state=CertificateState.PENDING, uploaded_at=at(-90) + step)
    waiting = replace(observed(zone=zone(pending)), stepped=step)
    decided = next_step(waiting)
    assert isinstance(decided, Wait)
    assert decided.since == at(-90)
    status = status_of(waiting, decided, Status())
    ready = next(c for c in status.conditions if c.type == "Ready")
    assert f"The operator has waited since {at(-90) + step:%Y-%m-%d %H:%M:%S} UTC" in ready.message
    assert ready.last_transition_time == NOW + step


@pytest.mark.parametrize("step", [timedelta(), BACK, AHEAD])
def test_the_proof_is_shown_in_wall_time(step: timedelta) -> None:
    world = replace(observed(), stepped=step)
    proof = status_of(world, next_step(world), Status()).proof
    assert proof is not None
    assert proof.since == at(-303) + step

"""The loop: nobody who only tells holds up what is done, and what people read is in their own time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aop.alerts import AlertsKeeper
from aop.api import API_VERSION, KIND, AlertsStatus, AuthenticatedOriginPull
from aop.cloudflare import Cloudflare
from aop.cluster import Cluster, ClusterError, Kind
from aop.errors import Blocked, Reason, Transient
from aop.metrics import Metrics
from aop.observe import Observer
from aop.observe.memory import Memory
from aop.observed import NONE, HoldOff, Observed, ObservedAlerts, Unknown
from aop.perform import Performer
from aop.progress import AT_ONCE
from aop.reconcile import Reconciler, Visit
from aop.steps import Effect, Publish, Wait
from aop.terms import Claim, ObjectKey
from builders import (
    ASKING,
    HOSTS,
    KEY,
    LEAF,
    REQUIRING,
    UID,
    at,
    evidence,
    observed,
    origin,
    pin,
    replica,
)
from clocks import SetClock
from sandbox import corpus

AGES_S = 60.0
"""Whoever has not come back by then is hanging."""


class ReconcileWorld:
    """Every counterpart of the loop: an API that holds the object, what is seen, and what was done."""

    def __init__(self) -> None:
        self.manifest: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "namespace": KEY.namespace,
                "name": KEY.name,
                "uid": UID,
                "generation": 1,
                "resourceVersion": "1",
                "creationTimestamp": "2026-03-01T12:00:00Z",
                "finalizers": ["authenticatedoriginpull.aop-operator.dev/teardown"],
            },
            "spec": corpus.named("minimal")["spec"],
        }
        self.clock, self.memory, self.metrics = SetClock(), Memory(uid=UID), Metrics()
        self.objects = SimpleNamespace(stale_after_s=120.0)
        self.see: Callable[[], Observed] = lambda: observed(origins=[origin(ASKING)])
        self.status_may_be_written, self.events_may_be_written = asyncio.Event(), asyncio.Event()
        self.status_may_be_written.set()
        self.events_may_be_written.set()
        self.done: list[Effect] = []
        self.refuses: Exception | None = None
        self.statuses: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.messages: list[str] = []
        self.counts: dict[str, int] = {}
        self.reconciler = Reconciler(
            cast("Cluster", self),
            cast("Observer", self),
            cast("Performer", self),
            AlertsKeeper(cast("Cloudflare", None), self.clock, lambda: None, 600.0, self.metrics),
            self.clock,
            self.metrics,
        )

    async def visit(self) -> Visit:
        async with asyncio.timeout(AGES_S):
            return await self.reconciler.visit(KEY, self.memory)

    def ready(self) -> dict[str, Any]:
        conditions = self.statuses[-1]["conditions"]
        return next(one for one in conditions if one["type"] == "Ready")

    # --- the API server ------------------------------------------------------------------------

    async def find(self, *_: Any) -> dict[str, Any]:
        return self.manifest

    async def merge(
        self, _: Kind, __: ObjectKey, body: dict[str, Any], *___: str
    ) -> dict[str, Any]:
        await self.status_may_be_written.wait()
        version = str(int(self.manifest["metadata"]["resourceVersion"]) + 1)
        metadata = self.manifest["metadata"] | {"resourceVersion": version}
        self.manifest = self.manifest | {"metadata": metadata, "status": body["status"]}
        self.statuses.append(body["status"])
        return self.manifest

    async def create(self, _: Kind, __: str, body: dict[str, Any]) -> dict[str, Any]:
        await self.events_may_be_written.wait()
        self.events.append(body["reason"])
        self.messages.append(body["message"])
        self.counts[body["reason"]] = body["count"]
        return body

    # --- looking and performing ----------------------------------------------------------------

    async def observe(self, *_: Any) -> Observed:
        return self.see()

    def due_in_s(self, *_: Any) -> float:
        return 60.0

    def awaits(self, wait: Wait, _: str) -> float:
        return wait.seconds

    def has_looked(self, _: Memory) -> None:
        """No write of others waits for it."""

    async def perform(
        self, step: Effect, _: Observed, __: AuthenticatedOriginPull, ___: Memory
    ) -> None:
        self.done.append(step)
        if self.refuses is not None:
            raise self.refuses


WARNED = ObservedAlerts(
    holds=True,
    reason=Reason.AS_EXPECTED,
    message="It warns ops@example.com.",
    status=AlertsStatus(account_id="account", policy_id="policy", asked="digest"),
)
CHANGED = replace(WARNED, holds=False, reason=Reason.ALERTS_CHANGED, message="Not any more.")


def looks(*seen: Observed) -> Callable[[], Observed]:
    """What is seen, look by look; the last one again and again."""
    left = list(seen)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


async def status_written(world: ReconcileWorld) -> None:
    """Until what is being told has been told."""
    if world.memory.telling is not None:
        await world.memory.telling


ASKS, HOLDS = observed(origins=[origin(ASKING)]), observed()
"""A world in which the origin is to be set to Require, and one in which nothing is left to do."""


@pytest.mark.asyncio
@pytest.mark.parametrize("what", ["the status", "Events", "both"])
async def test_whoever_hangs_where_it_is_told_holds_up_nothing_that_is_done(what: str) -> None:
    """Seen on the real API server with a webhook for the status: nobody was let in for as long as it hung."""
    world = ReconcileWorld()
    world.see = looks(ASKS, ASKS, HOLDS)
    if what != "Events":
        world.status_may_be_written.clear()
    if what != "the status":
        world.events_may_be_written.clear()
    await world.visit()
    await world.visit()
    assert [type(step).__name__ for step in world.done] == ["Publish", "Publish"]
    world.status_may_be_written.set()
    world.events_may_be_written.set()
    await status_written(world)
    await world.visit()
    assert world.ready()["reason"] == "Ready", "what is true now is told once it can be"


@pytest.mark.asyncio
async def test_whoever_waits_only_for_its_turn_at_cloudflare_is_looked_at_as_one_who_rests() -> (
    None
):
    """Of ten thousand zones of one user the last is read after hours; each was looked at every few seconds until then."""
    world, later = ReconcileWorld(), Unknown("Calls pause for 200 s", None, 200.0, postponed=True)
    world.see = looks(HOLDS, observed(zone=later), observed(zone=replace(later, postponed=False)))
    await world.visit()
    await status_written(world)
    assert ((await world.visit()).delay_s, world.memory.awaiting) == (60.0, False)
    await world.visit()
    assert world.memory.awaiting, "Cloudflare was asked and gives no answer"
    assert len(world.statuses) == 1


@pytest.mark.asyncio
async def test_while_a_status_hangs_no_newer_one_is_sent_after_it() -> None:
    """The older one might be the last to arrive."""
    world = ReconcileWorld()
    world.status_may_be_written.clear()
    for seen in (ASKS, HOLDS, HOLDS):
        world.see = looks(seen, HOLDS)
        await world.visit()
    assert world.statuses == []
    world.status_may_be_written.set()
    await status_written(world)
    assert [one["conditions"][0]["reason"] for one in world.statuses] == ["Progressing"]
    await world.visit()
    assert [one["conditions"][0]["reason"] for one in world.statuses] == ["Progressing", "Ready"]


@pytest.mark.asyncio
async def test_a_transition_is_an_event_once() -> None:
    world = ReconcileWorld()
    world.see = looks(HOLDS)
    for _ in range(3):
        await world.visit()
    await asyncio.sleep(0)
    assert world.events == ["Ready"]


@pytest.mark.asyncio
@pytest.mark.parametrize("step", [timedelta(minutes=-50), timedelta(minutes=50)])
async def test_what_a_failed_visit_tells_is_told_in_wall_time(step: timedelta) -> None:
    world = ReconcileWorld()
    world.clock.set_by(step)

    def fails() -> Observed:
        raise Transient("the API server cannot be reached")

    world.see = fails
    await world.visit()
    since = datetime.fromisoformat(world.ready()["lastTransitionTime"])
    assert since == world.clock.wall().replace(microsecond=0)


# --- what is measured --------------------------------------------------------------------------


def expiry(world: ReconcileWorld) -> float | None:
    return measured(world, "aop_certificate_expiration_timestamp_seconds")


def measured(world: ReconcileWorld, metric: str, **labels: str) -> float | None:
    """What Prometheus would read of the object."""
    itself = {"namespace": KEY.namespace, "name": KEY.name, "zone": "example.com"}
    return world.metrics.registry.get_sample_value(metric, itself | labels)


@pytest.mark.asyncio
async def test_what_is_measured_is_when_that_expires_which_the_zone_presents() -> None:
    """The documented alert fires when a renewal is stuck, although a successor lies there already.

    Also where every visit ends in a step that is refused.
    """
    world, later = ReconcileWorld(), pin("next", not_after=at(999 * 86400))
    world.see = looks(observed(keys={"next": later}, record={"uploaded": (LEAF, later)}))
    world.refuses = Blocked(Reason.CERTIFICATE_QUOTA_REACHED, "there are too many certificates")
    await world.visit()
    assert expiry(world) == LEAF.not_after.timestamp()


@pytest.mark.asyncio
async def test_what_is_measured_stands_while_cloudflare_is_away_and_goes_with_what_is_presented() -> (
    None
):
    world = ReconcileWorld()
    world.see = looks(HOLDS, observed(zone=Unknown("HTTP 500")), observed(zone=None))
    for measured in (LEAF.not_after.timestamp(), LEAF.not_after.timestamp(), None):
        await world.visit()
        assert expiry(world) == measured


@pytest.mark.asyncio
async def test_ready_is_measured_as_it_is_told_and_why() -> None:
    world = ReconcileWorld()
    world.see = looks(HOLDS)
    await world.visit()
    assert measured(world, "aop_object_ready") == 1
    assert measured(world, "aop_object_reason", reason="Ready") == 1
    world.see = looks(observed(zone=Unknown("it is unknown", Reason.TOKEN_REJECTED)))
    await world.visit()
    assert measured(world, "aop_object_ready") == 0
    assert measured(world, "aop_object_reason", reason="TokenRejected") == 1
    assert measured(world, "aop_object_stalled") == 1
    assert measured(world, "aop_object_reason", reason="Ready") is None


@pytest.mark.asyncio
async def test_a_visit_that_fails_is_measured_beside_what_was_seen_before() -> None:
    world = ReconcileWorld()
    world.see = looks(HOLDS)
    await world.visit()

    def fails() -> Observed:
        raise Transient("the API server cannot be reached")

    world.see = fails
    await world.visit()
    assert measured(world, "aop_object_ready") == 0
    assert measured(world, "aop_object_reason", reason="TransientError") == 1
    assert measured(world, "aop_object_hosts_required") == 2
    counted = world.metrics.registry.get_sample_value
    assert counted("aop_visits_total", {"result": "transient"}) == 1
    assert counted("aop_visit_duration_seconds_count") == 2


@pytest.mark.asyncio
async def test_the_time_of_the_last_proof_stands_while_nothing_is_proven() -> None:
    world = ReconcileWorld()
    world.see = looks(HOLDS, observed(evidence=[evidence(host, NONE) for host in HOSTS]))
    for unproven in (0, 2):
        await world.visit()
        assert measured(world, "aop_object_hosts_unproven") == unproven
        assert measured(world, "aop_object_proof_timestamp_seconds") == at(-3).timestamp()


@pytest.mark.asyncio
async def test_a_relaxation_is_counted_by_its_cause_once_it_is_carried_out() -> None:
    world = ReconcileWorld()
    lost = observed(
        evidence=[evidence(host, NONE) for host in HOSTS],
        record={"hold_offs": (HoldOff(1, at(-5), at(55)),)},
    )
    world.see = looks(lost)
    world.refuses = ClusterError("HTTP 500", status=500)
    await world.visit()
    assert measured(world, "aop_object_relaxations_total", cause="loss") == 0
    world.refuses = None
    world.see = looks(lost, HOLDS)
    await world.visit()
    assert measured(world, "aop_object_relaxations_total", cause="loss") == 1
    assert measured(world, "aop_object_hold_offs") == 0, "as the last look has it"


@pytest.mark.asyncio
async def test_what_somebody_has_undone_is_counted_when_it_is_made_good() -> None:
    world = ReconcileWorld()
    world.see = looks(HOLDS)
    await world.visit()
    await status_written(world)
    world.see = looks(observed(zone={"enabled": False}), HOLDS)
    await world.visit()
    assert [type(step).__name__ for step in world.done] == ["SetEnabled"]
    assert measured(world, "aop_object_drift_total", what="zone") == 1
    assert measured(world, "aop_object_drift_total", what="origin") == 0


# --- what is told ------------------------------------------------------------------------------


def stalled(world: ReconcileWorld) -> list[str]:
    """Whether it was said that nothing goes on, state by state."""
    return [
        one["status"]
        for status in world.statuses
        for one in status["conditions"]
        if one["type"] == "Stalled"
    ]


@pytest.mark.asyncio
async def test_a_policy_that_refuses_a_write_is_quoted_and_the_write_is_tried_again() -> None:
    world, denied = ReconcileWorld(), "admission webhook guard denied the request"
    world.refuses = ClusterError(f"cannot update configmaps a/b: HTTP 403: {denied}", status=403)
    for _ in range(2):
        visit = await world.visit()
        assert visit.delay_s < AGES_S
    assert world.ready()["reason"] == Reason.TRANSIENT_ERROR
    assert denied in world.ready()["message"]
    assert [type(step) for step in world.done] == [Publish, Publish]


@pytest.mark.asyncio
async def test_a_step_that_is_refused_again_and_again_is_told_once() -> None:
    """It alternated between Stalled and "about to upload", every 15 s."""
    world = ReconcileWorld()
    for ray in range(5):
        call = f"POST /zones: HTTP 403, cf-ray {ray:016x}-FRA"
        world.refuses = Blocked(Reason.TOKEN_REJECTED, f"the token may not do that ({call})")
        await world.visit()
    assert stalled(world) == ["False", "True"]
    world.refuses = None
    world.see = looks(ASKS, HOLDS)
    await world.visit()
    assert stalled(world) == ["False", "True", "False"]


@pytest.mark.asyncio
async def test_a_step_that_fails_is_an_event_once_and_no_status_that_fails_loses_it() -> None:
    world = ReconcileWorld()
    world.refuses = Blocked(Reason.TOKEN_REJECTED, "the token \x1b[31mmay not\x1b[0m do that")
    for _ in range(3):
        await world.visit()
    await asyncio.sleep(0)
    assert world.events == ["TokenRejected"]
    assert not any("\x1b" in message for message in world.messages)


@pytest.mark.asyncio
async def test_what_is_only_awaited_or_noted_is_no_event() -> None:
    """An onboarding had 18 to 35 of them."""
    world = ReconcileWorld()
    world.see = looks(
        observed(record={"claimed": ()}, origins=[origin(ASKING)]),
        ASKS,
        observed(
            origins=[origin(ASKING)], evidence=[evidence(host, lasting_s=60) for host in HOSTS]
        ),
    )
    await world.visit()
    await world.visit()
    await asyncio.sleep(0)
    assert {type(step).__name__ for step in world.done} == {"Note", "Publish"}
    assert world.events == ["Publish"]


@pytest.mark.asyncio
async def test_an_event_that_comes_again_is_counted_and_told_with_the_next_one() -> None:
    world = ReconcileWorld()
    world.see = looks(HOLDS, ASKS, HOLDS, ASKS, HOLDS)
    for _ in range(3):
        await world.visit()
    await asyncio.sleep(0)
    assert sorted(world.events) == ["Progressing", "Publish", "Ready"]
    world.clock.pass_s(3700)
    world.see = looks(ASKS, HOLDS)
    await world.visit()
    await asyncio.sleep(0)
    assert world.counts["Publish"] == 2


EVER = [evidence(host, last=at(60)) for host in HOSTS]
"""The edge goes on proving both hosts."""


@pytest.mark.asyncio
async def test_what_was_told_stands_for_an_answer_to_come_and_not_for_ever() -> None:
    silent = replica("pod-2", REQUIRING, error="timed out")
    world = ReconcileWorld()
    world.see = looks(HOLDS)
    await world.visit()
    for passed_s, written, ready in ((0.0, 1, "True"), (29.0, 1, "True"), (2.0, 2, "False")):
        world.clock.pass_s(passed_s)
        seen = [origin(replicas=(replica("pod-1", REQUIRING), silent))]
        world.see = looks(observed(now=world.clock.now(), origins=seen, evidence=EVER))
        await world.visit()
        assert (len(world.statuses), world.ready()["status"]) == (written, ready)


@pytest.mark.asyncio
async def test_a_fact_is_told_at_once() -> None:
    world = ReconcileWorld()
    world.see = looks(HOLDS, observed(origins=[origin(running=ASKING)]))
    await world.visit()
    await world.visit()
    assert world.ready()["status"] == "False"


def with_replicas(number: int, running: Claim) -> Observed:
    """The origin requires, and so many replicas do what `running` says."""
    pods = tuple(replica(f"pod-{n}", running) for n in range(number))
    return observed(origins=[origin(REQUIRING, replicas=pods)])


@pytest.mark.asyncio
async def test_of_progress_some_is_told_at_once_and_of_what_rests_everything() -> None:
    """As where one controller of a thousand zones gets another replica: nobody looks again for minutes."""
    for running, told_of in ((REQUIRING, 3 * AT_ONCE), (ASKING, AT_ONCE)):
        world = ReconcileWorld()
        later = (with_replicas(2 + n % 2, running) for n in range(3 * AT_ONCE))
        world.see = looks(with_replicas(1, running), *later)
        await world.visit()
        world.statuses.clear()
        for _ in range(3 * AT_ONCE):
            await world.visit()
        assert len(world.statuses) == told_of


@pytest.mark.asyncio
async def test_what_becomes_of_alerts_is_an_event_once_and_none_while_it_is_unknown() -> None:
    """Each visit is at the goal; the object asks for alerts throughout."""
    world = ReconcileWorld()
    spec = {"alerts": {"email": ["ops@example.com"]}}
    world.manifest["spec"] = {**world.manifest["spec"], **spec}
    seen = (Unknown("away"), WARNED, WARNED, CHANGED, CHANGED)
    world.see = looks(*(observed(spec=spec, alerts=one) for one in seen))
    for _ in seen:
        await world.visit()
    await asyncio.sleep(0)
    about = {"AlertsConfigured", "AlertsChanged", "TransientError"}
    assert [one for one in world.events if one in about] == ["AlertsConfigured", "AlertsChanged"]
    assert world.ready()["status"] == "True"
    assert world.statuses[-1]["alerts"]["policyId"] == "policy"


@pytest.mark.asyncio
async def test_a_removal_names_a_policy_that_no_token_can_be_asked_about() -> None:
    """What the object was is known from its status alone, as after a restart."""
    world = ReconcileWorld()
    world.manifest["metadata"]["deletionTimestamp"] = "2026-03-02T12:00:00Z"
    kept = {"accountId": "account", "policyId": "policy", "asked": "digest"}
    world.manifest["status"] = {"alerts": kept}
    world.see = lambda: observed(
        object={"deleting": True},
        record={"uploaded": (), "claimed": (), "baseline": None},
        origins=[],
        zone={"enabled": False, "certificates": ()},
        keys=None,
    )
    visit = await world.visit()
    assert visit.finished
    assert "LeftBehind" in world.events
    assert "notification policy policy of account account" in world.messages[-1]

"""Two replicas: one acts, the other stands by and takes over, whatever happens to the first in the middle of whatever it does.

Each speaks to both APIs through proxies of its own, so that it is known who has sent what. The
times are short; which process leads at a moment may depend on how busy the machine is, and what is
claimed here does not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.composition import OPERATOR_ACCOUNT, OPERATOR_NAMESPACE
from sandbox.kubernetes import leads
from sandbox.kubernetes.leads import Write
from sandbox.operator import Operator, succeeds
from sandbox.proxy.effects import NOT_AN_EFFECT, Effects
from sandbox.proxy.faults import ANY, DropBefore, Match
from sandbox.proxy.server import FaultProxy
from sandbox.proxy.trace import Exchange
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(600)]

ACCOUNT = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_ACCOUNT}"
LEASE = "aop-operator"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/leases"
LEASE_S, LONG_S = 5, 300
WITHIN_S = 180.0
CHANGES = Match(method="POST|PUT|PATCH|DELETE", except_path=rf"{NOT_AN_EFFECT}|/status$")
AGENT = "aop-operator/"
"""How the operator's own client begins to call itself; Kopf's, which only reads, does not."""


class OperatorReplica:
    """One operator and its ways to both APIs."""

    def __init__(
        self, scene: Scene, name: str, lease_s: int, effects: Effects, stack: ExitStack
    ) -> None:
        plane, double = scene.plane, scene.cloudflare
        self.kubernetes = stack.enter_context(
            FaultProxy(plane.url, upstream_ca=plane.ca_file, effects=effects)
        )
        self.cloudflare = stack.enter_context(
            FaultProxy(double.base_url, tls=False, effects=effects)
        )
        account = plane.service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_ACCOUNT)
        self.operator: Operator = scene.new_operator(
            name,
            AOP_KUBECONFIG=str(self.kubernetes.kubeconfig(account)),
            AOP_CLOUDFLARE_BASE_URL=self.cloudflare.url,
            AOP_TRACE_FILE="",
            AOP_ELECTION="true",
            AOP_LEASE_NAME=LEASE,
            AOP_LEASE_S=str(lease_s),
        )
        stack.callback(self.operator.kill)

    def agent_at(self, moment: datetime) -> str:
        """How the process called itself that spoke to the API server last before that."""
        return next(
            one.user_agent
            for one in reversed(self.kubernetes.trace)
            if one.at <= moment and one.user_agent.startswith(AGENT)
        )

    def changes_at_cloudflare(self) -> Iterator[Write]:
        """What it has sent there to be changed, whether or not it was."""
        for one in self.cloudflare.trace:
            if one.method != "GET":
                took = timedelta(seconds=one.duration_s or 0.0)
                what = f"{one.method} {one.path}"
                yield Write(self.agent_at(one.at), one.at, one.at + took, what)


class Pair:
    """Two of them on one scene."""

    def __init__(self, scene: Scene, lease_s: int, stack: ExitStack) -> None:
        self.scene, self.effects = scene, Effects(CHANGES)
        self.replicas = [
            OperatorReplica(scene, name, lease_s, self.effects, stack)
            for name in ("first", "second")
        ]
        scene.operator = self.replicas[0].operator

    def start(self) -> None:
        for one in self.replicas:
            one.operator.start()

    def leader(self) -> OperatorReplica:
        """Wait for one that leads."""
        leading: list[OperatorReplica] = until(
            lambda: [one for one in self.replicas if one.operator.leads],
            within_s=WITHIN_S,
            describe=lambda: f"somebody to lead:\n{self.last_words()}",
        )
        return leading[0]

    def other(self, than: OperatorReplica) -> OperatorReplica:
        return next(one for one in self.replicas if one is not than)

    def last_words(self) -> str:
        return "\n\n".join(one.operator.last_words() for one in self.replicas)

    def of_the_lease(self) -> list[Write]:
        """Each time that somebody has taken, renewed or released it."""
        return leads.of_the_lease(self.scene.plane.audit(ACCOUNT))

    def changes(self) -> list[Write]:
        """Everything that either has changed, or tried to: at the API server and at Cloudflare."""
        cluster = leads.of_all_else(self.scene.plane.audit(ACCOUNT))
        cloudflare = [one for each in self.replicas for one in each.changes_at_cloudflare()]
        assert cluster
        assert cloudflare
        return [*cluster, *cloudflare]

    def assert_one_writer(self) -> None:
        """Whoever changes something is who has written the Lease last, and has ended before another writes it."""
        wrong = leads.second_writers(self.of_the_lease(), self.changes())
        assert not wrong, "\n".join(wrong)


@contextmanager
def two(lease_s: int) -> Iterator[Pair]:
    """A scene with two replicas, which are not started."""
    with ExitStack() as stack:
        scene = stack.enter_context(Scene(with_operator=False))
        pair = Pair(scene, lease_s, stack)
        yield pair
        pair.effects.clear()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with two(LEASE_S) as pair:
        yield pair


@pytest.fixture
def steady() -> Iterator[Pair]:
    """The leader loses nothing by being slow, and whoever takes over does not wait for the Lease to run out."""
    with two(LONG_S) as pair:
        spec = {"holderIdentity": "", "leaseDurationSeconds": LONG_S}
        body = {"metadata": {"name": LEASE}, "spec": spec}
        pair.scene.plane.http.post(LEASES, json=body).raise_for_status()
        yield pair


# --- what happens to the one that leads -----------------------------------------------------------


class Trouble:
    """Befalls the leader between an effect and its answer; `mend` when the other has taken over."""

    def befall(self, replica: OperatorReplica) -> None:
        raise NotImplementedError

    def mend(self, replica: OperatorReplica) -> None:
        raise NotImplementedError


class KilledLeader(Trouble):
    """SIGKILL; a kubelet starts it again."""

    def befall(self, replica: OperatorReplica) -> None:
        replica.operator.kill()

    def mend(self, replica: OperatorReplica) -> None:
        replica.operator.launch()


class Stopped(Trouble):
    """SIGSTOP, for longer than its Lease; then it goes on in the middle of what it was doing."""

    def befall(self, replica: OperatorReplica) -> None:
        replica.operator.suspend()

    def mend(self, replica: OperatorReplica) -> None:
        replica.operator.resume()


class CutOff(Trouble):
    """It reaches Cloudflare and the origins, and not the API server."""

    def befall(self, replica: OperatorReplica) -> None:
        replica.kubernetes.rule(ANY, DropBefore(), times=None)
        replica.kubernetes.cut_watches()

    def mend(self, replica: OperatorReplica) -> None:
        replica.kubernetes.clear()


class StandbyStory:
    """A life in which the leader meets trouble on each way."""

    def __init__(self, pair: Pair, trouble: Trouble) -> None:
        self.pair, self.scene, self.trouble = pair, pair.scene, trouble
        self.took_s: list[str] = []

    def through(
        self, what: str, nth: int, begin: Callable[[], object], done: Callable[[], bool]
    ) -> None:
        """Begin something, let trouble befall the leader after the n-th effect of it, and wait until the other has brought it to its end."""
        leader, befallen = self.pair.leader(), threading.Event()
        other, last_call = self.pair.other(leader), ""

        def befall(exchange: Exchange) -> None:
            nonlocal last_call
            last_call = f"{exchange.method} {exchange.path}"
            self.trouble.befall(leader)
            befallen.set()

        self.pair.effects.on(nth, befall)
        begin()
        until(
            befallen.is_set,
            within_s=WITHIN_S,
            every_s=0.01,
            describe=lambda: f"{what} to come to effect {nth}:\n{self.pair.last_words()}",
        )
        since, process = time.monotonic(), leader.operator.pid if leader.operator.alive else None
        until(
            lambda: other.operator.leads,
            within_s=WITHIN_S,
            every_s=0.02,
            describe=lambda: f"the other to lead:\n{self.pair.last_words()}",
        )
        self.took_s.append(f"{what}, after {last_call}: {time.monotonic() - since:.1f} s")
        self.trouble.mend(leader)
        until(
            done,
            within_s=WITHIN_S,
            every_s=0.1,
            describe=lambda: (
                f"the end of {what}:\n{self.scene.summary()}\n{self.pair.last_words()}"
            ),
        )
        until(
            lambda: succeeds(leader.operator.health_port, "/readyz"),
            within_s=WITHIN_S,
            describe=lambda: f"the first to stand by:\n{self.pair.last_words()}",
        )
        assert process in {None, leader.operator.pid}


TROUBLES = {"killed": KilledLeader, "stopped": Stopped, "cut off": CutOff}


@pytest.mark.parametrize("moments", [(5, 3, 2), (8, 5, 4)], ids=["early", "late"])
@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_the_other_takes_over_in_the_middle_of(
    trouble: type[Trouble],
    moments: tuple[int, int, int],
    pair: Pair,
    record_property: Callable[[str, object], None],
) -> None:
    """Onboarding, rotation and removal: one certificate, no failed request, and never two writers."""
    scene, story = pair.scene, StandbyStory(pair, trouble())
    before = scene.sandbox.config_map().get("data")
    pair.start()
    with scene.visitors(rate_per_s=40) as visitors:
        visitors.allow_redirects(allowed=True)
        story.through("the onboarding", moments[0], scene.apply, enforced(scene))
        (leaf,) = scene.certificates()
        assert leaf["status"] == "active"
        assert len(scene.refusing()) == 2
        story.through("the rotation", moments[1], scene.rotate, rotated(scene, leaf["id"]))
        assert [one["status"] for one in scene.certificates()] == ["active"]
        assert len(scene.refusing()) == 2
        story.through("the removal", moments[2], scene.delete, lambda: scene.object() is None)
        report = visitors.stop()
    print(f"\n{trouble.__name__}: took over {'; '.join(story.took_s)}")
    record_property("took_over", story.took_s)
    assert report.flawless, str(report)
    assert scene.certificates() == []
    assert scene.control.zone()["enabled"] is False
    assert scene.sandbox.config_map().get("data") == before
    pair.assert_one_writer()
    assert len({one.agent for one in pair.changes()}) >= 2


def enforced(scene: Scene) -> Callable[[], bool]:
    return lambda: scene.condition("Ready").get("status") == "True"


def rotated(scene: Scene, before: str) -> Callable[[], bool]:
    """The zone holds another certificate alone, and everything is as it should be."""
    return lambda: (
        before not in {one["id"] for one in scene.certificates()}
        and len(scene.certificates()) == 1
        and scene.condition("Ready").get("status") == "True"
    )


# --- in peace -------------------------------------------------------------------------------------


def test_who_stands_by_is_ready_and_changes_nothing_and_never_asks_cloudflare(
    steady: Pair,
) -> None:
    steady.start()
    leader = steady.leader()
    standby = steady.other(leader)
    steady.scene.apply()
    steady.scene.until_enforced()
    assert standby.operator.measured("aop_leader") == 0
    assert standby.operator.measured("aop_objects") is None
    assert succeeds(standby.operator.health_port, "/readyz")
    assert succeeds(standby.operator.health_port, "/livez")
    assert standby.cloudflare.trace == ()
    assert standby.kubernetes.count(Match(watch=True)) >= 3
    assert {one.method for one in standby.kubernetes.trace} == {"GET"}
    steady.assert_one_writer()


def test_told_to_stop_it_finishes_and_hands_over(
    steady: Pair, record_property: Callable[[str, object], None]
) -> None:
    """In the middle of an onboarding; with a Lease of five minutes nothing but its release explains that the other goes on."""
    scene, asked = steady.scene, threading.Event()
    steady.start()
    leader = steady.leader()
    with scene.visitors(rate_per_s=40) as visitors, ThreadPoolExecutor() as kubelet:
        visitors.allow_redirects(allowed=True)
        steady.effects.on(5, lambda _: asked.set())
        scene.apply()
        until(asked.is_set, within_s=WITHIN_S, every_s=0.01, describe="an effect")
        ended = kubelet.submit(leader.operator.terminate, 25.0)
        until(
            lambda: steady.other(leader).operator.leads,
            within_s=LONG_S / 3,
            every_s=0.02,
            describe=lambda: f"the other to lead:\n{steady.last_words()}",
        )
        ended.result()
        scene.until_enforced()
        report = visitors.stop()
    (took_s,) = leads.handed_over_s(steady.of_the_lease())
    print(f"\nfrom the release of the Lease to the next leader: {took_s:.1f} s")
    record_property("handed_over_s", took_s)
    assert report.flawless, str(report)
    assert [one["status"] for one in scene.certificates()] == ["active"]
    steady.assert_one_writer()


def test_a_lease_that_is_deleted_ends_the_lead_before_there_is_another(pair: Pair) -> None:
    scene = pair.scene
    pair.start()
    pair.leader()
    scene.apply()
    scene.until_enforced()
    before = [one.operator.pid for one in pair.replicas]
    pair.scene.plane.http.delete(f"{LEASES}/{LEASE}").raise_for_status()
    deleted = datetime.now(UTC)
    until(
        lambda: [one for one in pair.of_the_lease() if one.at > deleted],
        within_s=WITHIN_S,
        describe=lambda: f"somebody to take a new one:\n{pair.last_words()}",
    )
    scene.remove()
    assert [one.operator.pid for one in pair.replicas] == before
    pair.assert_one_writer()

"""What happens to a server in a workload from apply to removal, whichever it is: shared by the scenarios of each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import pytest

from model.replay import violations
from sandbox import debian, direct
from sandbox.cluster.frontend import CONFIG_MAP, NAMESPACE, Frontend
from sandbox.composition import (
    HOSTS,
    OPERATOR_ACCOUNT,
    OPERATOR_NAMESPACE,
    Layout,
    manifests_for,
)
from sandbox.direct import Leaf, Visitor
from sandbox.kubernetes.permissions import account
from sandbox.scene import Scene, workload_origin
from sandbox.waiting import until

WITHIN_S = 150.0
RELAXED_WITHIN_S = 60.0
"""10 s of loss, and a rollout of two pods with a preStop of 5 s."""
HELD_OFF_S = 60.0
LEASE = "leases.coordination.k8s.io"
UNUSED = {
    "list events in web",
    "update secrets in edge",
    f"create {LEASE} in aop-system",
    f"get {LEASE} ('aop-operator',) in aop-system",
    f"update {LEASE} ('aop-operator',) in aop-system",
}
"""What a life without a renewal, without a rejection and without a second process may have no use
for."""


def scene_of(server: str) -> Scene:
    """A sandbox whose hosts that server serves, in a Deployment."""
    return Scene(Layout(workload="Deployment", server=server, manifests=manifests_for(server)))


def clean(scene: Scene) -> None:
    """Nothing of the last test's is left, also if that has failed."""
    frontend = scene.sandbox.frontend
    frontend.node.hangs = frontend.node.reloads = False
    if scene.object() is not None:
        scene.remove(within_s=WITHIN_S)
    if frontend.config_map() is not None:
        scene.plane.kubectl("delete", "configmap", CONFIG_MAP, "--namespace", NAMESPACE)
    until(
        lambda: "aop-operator.dev/" not in str(frontend.deployment()["spec"]["template"]),
        within_s=WITHIN_S,
        every_s=0.2,
        describe="the annotation of ours to leave the pod template",
    )
    frontend.until_rolled_out(within_s=WITHIN_S)


def apply(scene: Scene, **more: Any) -> None:
    """The object for this sandbox's server."""
    origin = workload_origin(scene.sandbox.layout.server, **more)
    scene.apply(hostnames=list(HOSTS), origins=[origin])


@contextmanager
def flawless(scene: Scene) -> Iterator[None]:
    """Not one request of a visitor fails."""
    with scene.visitors() as visitors:
        visitors.allow_redirects(allowed=True)
        yield
        report = visitors.stop()
    assert report.flawless, str(report)


def assert_required(scene: Scene) -> None:
    """Every replica refuses strangers, and serves ours, on every host."""
    refusal = scene.sandbox.refusal
    expected = {Visitor.NOBODY: refusal, Visitor.OURS: 200, Visitor.STRANGER: refusal}
    for replica in scene.sandbox.frontend.replicas():
        for host in HOSTS:
            answers = {who: scene.ask_replica(replica.https, host, who) for who in Visitor}
            assert answers == expected, (replica.pod, host)


def until_settled(frontend: Frontend, template: dict[str, Any]) -> None:
    """Wait until the Deployment says of its pods what it said, and they are so."""
    until(
        lambda: frontend.deployment()["spec"]["template"] == template,
        within_s=WITHIN_S,
        every_s=0.2,
        describe="the pod template to be as it was found",
    )
    frontend.until_rolled_out(within_s=WITHIN_S)


@contextmanager
def configured(frontend: Frontend, ours: str, theirs: str) -> Iterator[None]:
    """The owner has one text in place of another, until the block ends, however that is."""
    for old, new in ((ours, theirs), (theirs, ours)):
        frontend.change_conf(lambda conf, old=old, new=new: conf.replace(old, new))  # type: ignore[misc]
        frontend.until_rolled_out(within_s=WITHIN_S)
        if new == theirs:
            yield


def live(scene: Scene) -> None:
    """From apply to removal, without a request lost, without a trace left, within the rules of the model and the permissions."""
    frontend = scene.sandbox.frontend
    template = frontend.deployment()["spec"]["template"]
    standing, enabled_before = frontend.standing(), scene.control.zone()["enabled"]
    traced = len(scene.trace())
    with flawless(scene):
        apply(scene)
        scene.until_enforced(within_s=WITHIN_S)
        assert_required(scene)
        scene.remove(within_s=WITHIN_S)
        until_settled(frontend, template)
    assert frontend.standing() == standing
    assert scene.control.zone()["enabled"] == enabled_before
    assert scene.certificates() == []
    assert scene.refusing() == []
    assert violations(scene.trace()[traced:], in_model=False) == []
    permissions = account(scene.plane, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT)
    assert permissions.denied == ()
    unused = {*UNUSED, f"list events in {frontend.runs_in}"}
    assert {str(one) for one in permissions.unused} <= unused, str(permissions)


def be_rejected(scene: Scene, disturbed: AbstractContextManager[None]) -> None:
    """A text with which the server does not start is taken back, and said."""
    frontend = scene.sandbox.frontend
    with disturbed:
        template = frontend.deployment()["spec"]["template"]
        with flawless(scene):
            apply(scene)
            ready = scene.until_condition("Ready", reason="TextRejected", within_s=WITHIN_S)
            assert "rejected the operator's configuration for mode" in ready["message"]
            frontend.until_rolled_out(within_s=60)
            assert scene.refusing() == []
            scene.remove(within_s=WITHIN_S)
            until_settled(frontend, template)


def lose(scene: Scene) -> None:
    """The edge presents nothing, and later a certificate of somebody else's: each time everybody is let in as fast as the pods are replaced."""
    apply(scene)
    scene.until_enforced(within_s=WITHIN_S)
    for presented in ("nothing", "foreign"):
        with scene.presenting(presented, *HOSTS):
            began_s = time.monotonic()
            scene.until_relaxed(within_s=RELAXED_WITHIN_S)
            print(f"{presented}: relaxed in {time.monotonic() - began_s:.0f} s")
        if presented == "nothing":
            scene.until_enforced(within_s=WITHIN_S + HELD_OFF_S)
            assert_required(scene)


def hang(scene: Scene) -> None:
    """New pods run the server and never become Ready: of what is new in the text nobody knows whether it is to blame."""
    frontend = scene.sandbox.frontend
    frontend.change({"spec": {"progressDeadlineSeconds": 8}})
    template = frontend.deployment()["spec"]["template"]
    with flawless(scene):
        frontend.node.hangs = True
        apply(scene)
        scene.until_condition("Ready", reason="TextRejected", within_s=WITHIN_S)
        frontend.node.hangs = False
        scene.remove(within_s=WITHIN_S)
        until_settled(frontend, template)
    assert frontend.config_map() is None


def answers_to(scene: Scene, leaf: Leaf) -> set[int]:
    """What the replicas answer to whoever presents that leaf."""
    frontend = scene.sandbox.frontend
    return {
        direct.ask(one.https, HOSTS[0], leaf=leaf, ca_file=frontend.ca_file).status_code
        for one in frontend.replicas()
    }


def renew(scene: Scene) -> None:
    """A new leaf takes the place of the old one, which nobody trusts in the end."""
    frontend, traced = scene.sandbox.frontend, len(scene.trace())
    apply(scene)
    scene.until_enforced(within_s=WITHIN_S)
    (certificate,), before = scene.certificates(), Leaf.of_secret(scene.secret("example-com-aop"))
    with flawless(scene):
        scene.rotate()

        def renewed() -> bool:
            certificates = scene.certificates()
            assert len(certificates) <= 2
            assert scene.refusing(), "nobody is let in meanwhile"
            return len(certificates) == 1 and certificates[0]["id"] != certificate["id"]

        until(
            renewed,
            within_s=WITHIN_S,
            every_s=0.3,
            describe=lambda: f"one new leaf\n{scene.summary()}",
        )
        until(
            lambda: answers_to(scene, before) == {frontend.refusal},
            within_s=WITHIN_S,
            every_s=0.3,
            describe=lambda: f"the old leaf to be a stranger's\n{scene.summary()}",
        )
        scene.until_enforced(within_s=WITHIN_S)
        frontend.until_rolled_out(within_s=60)
    assert_required(scene)
    assert violations(scene.trace()[traced:], in_model=False) == []


def reload(scene: Scene) -> None:
    """Somebody else has the server read its files: no pod is replaced."""
    frontend = scene.sandbox.frontend
    template, pods = frontend.deployment()["spec"]["template"], scene.pods()
    frontend.node.reloads = True
    apply(scene, apply="Reload")
    scene.until_enforced(within_s=WITHIN_S)
    assert_required(scene)
    scene.remove(within_s=WITHIN_S)
    assert frontend.config_map() is None
    assert (frontend.deployment()["spec"]["template"], scene.pods()) == (template, pods)
    scene.until_relaxed(within_s=30)


class InADeployment:
    """What each server in a Deployment lives through, in one sandbox; a class of tests for each says which server it is."""

    server: ClassVar[str]

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls) -> Iterator[Scene]:
        if why := debian.why_not(cls.server):
            pytest.skip(why)
        with scene_of(cls.server) as scene:
            yield scene

    @pytest.fixture
    def scene(self, running: Scene) -> Iterator[Scene]:
        yield running
        clean(running)

    def test_not_one_request_is_lost_from_apply_to_removal(self, scene: Scene) -> None:
        live(scene)

    def test_where_the_edge_presents_nothing_or_another_a_rollout_lets_everybody_in(
        self, scene: Scene
    ) -> None:
        lose(scene)

    def test_a_rollout_that_hangs_is_taken_back(self, scene: Scene) -> None:
        hang(scene)

    def test_not_one_request_is_lost_while_the_leaf_is_renewed(self, scene: Scene) -> None:
        renew(scene)


class ReloadedByOthers(InADeployment):
    """A server that reads its files anew without a new pod."""

    def test_where_somebody_else_reloads_it_no_pod_is_replaced(self, scene: Scene) -> None:
        reload(scene)

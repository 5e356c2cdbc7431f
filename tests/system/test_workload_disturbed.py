"""What colleagues, GitOps tools and autoscalers do to a Deployment that requires our certificate: nobody is let in by it, and no visitor fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

import lives
from lives import WITHIN_S, assert_required, flawless
from sandbox.cluster.frontend import CONFIG_MAP, EXAMPLES, NAME, NAMESPACE, Frontend
from sandbox.composition import HOSTS
from sandbox.scene import Scene
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

MARK = f"revision.aop-operator.dev/{CONFIG_MAP}"


@pytest.fixture(scope="module")
def running() -> Iterator[Scene]:
    with lives.scene_of("nginx") as scene:
        lives.apply(scene)
        yield scene


@pytest.fixture
def scene(running: Scene) -> Scene:
    """Its hosts are required."""
    running.until_enforced(within_s=WITHIN_S + lives.HELD_OFF_S)
    running.sandbox.frontend.until_rolled_out(within_s=60)
    return running


@pytest.fixture
def frontend(scene: Scene) -> Frontend:
    return scene.sandbox.frontend


@contextmanager
def disturbed(scene: Scene) -> Iterator[None]:
    """No visitor fails, and it comes back to rest by itself, with the same hosts required on every replica."""
    with flawless(scene):
        yield
        scene.until_enforced(within_s=WITHIN_S)
        scene.sandbox.frontend.until_rolled_out(within_s=WITHIN_S)
    assert_required(scene)


def until_replaced(scene: Scene, before: list[str]) -> None:
    """Wait until none of these pods is left; at no moment was a stranger let in."""

    def replaced() -> bool:
        ready = scene.sandbox.frontend.replicas()
        refusing = scene.refusing()
        assert refusing or not ready, f"nobody refuses: {ready}"
        return not {one["metadata"]["name"] for one in scene.sandbox.frontend.pods()} & {*before}

    until(replaced, within_s=60, every_s=0.3, describe=lambda: f"new pods\n{scene.summary()}")


def pods(frontend: Frontend) -> list[str]:
    return [one["metadata"]["name"] for one in frontend.pods()]


def in_git(scene: Scene) -> str:
    """The site as its owner has it: nothing of ours stands there."""
    text = (EXAMPLES / scene.sandbox.layout.server / "web.yaml").read_text()
    assert MARK not in text
    return text


def apply_from_git(scene: Scene, tool: str) -> None:
    """As Argo CD and Flux do it server-side."""
    words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={tool}")
    scene.plane.kubectl(*words, "--filename=-", input=in_git(scene))


def test_a_gitops_tool_that_applies(scene: Scene, frontend: Frontend) -> None:
    """At its intervals, server-side, and all that Git says: no pod is replaced, and our annotation stays."""
    with disturbed(scene):
        before, marked = pods(frontend), frontend.deployment()["spec"]["template"]
        config_map = frontend.config_map()
        numbers = count(1)

        def applied_often() -> bool:
            apply_from_git(scene, "argocd-controller")
            return next(numbers) >= 10

        until(applied_often, within_s=60, every_s=0.5, describe="ten intervals of a tool")
        assert MARK in marked["metadata"]["annotations"]
        assert frontend.deployment()["spec"]["template"] == marked
        assert (pods(frontend), frontend.config_map()) == (before, config_map)


def test_a_rollout_that_somebody_undoes(scene: Scene, frontend: Frontend) -> None:
    """The template of before names an older text; its pods read the current one."""
    with disturbed(scene):
        before = pods(frontend)
        scene.plane.kubectl("rollout", "undo", f"deployment/{NAME}", "--namespace", NAMESPACE)
        until_replaced(scene, before)


def test_pods_that_somebody_restarts_while_the_leaf_is_renewed(
    scene: Scene, frontend: Frontend
) -> None:
    (certificate,) = scene.certificates()
    with disturbed(scene):
        scene.rotate()
        before = pods(frontend)
        scene.plane.kubectl("rollout", "restart", f"deployment/{NAME}", "--namespace", NAMESPACE)
        until_replaced(scene, before)
        until(
            lambda: (
                [one["id"] for one in scene.certificates()] not in ([], [certificate["id"]])
                and len(scene.certificates()) == 1
            ),
            within_s=WITHIN_S,
            describe=lambda: f"one new leaf\n{scene.summary()}",
        )


def test_an_autoscaler(scene: Scene, frontend: Frontend) -> None:
    """In the middle of a rollout, up and down."""
    with disturbed(scene):
        scene.plane.kubectl("rollout", "restart", f"deployment/{NAME}", "--namespace", NAMESPACE)
        for replicas in (4, 1, 3, 2):
            frontend.change({"spec": {"replicas": replicas}})
            frontend.until_rolled_out(within_s=WITHIN_S)
            assert len(scene.refusing()) == replicas


def test_a_rollout_that_somebody_pauses_half_way(scene: Scene, frontend: Frontend) -> None:
    """Some pods trust the next leaf and some do not, so it is not presented before somebody resumes it."""
    (certificate,) = scene.certificates()
    # Sessions of before are another test's affair, and are ended only so often within an hour.
    scene.control.turn_location("*", requests_per_connection=1, resume=False)
    with disturbed(scene):
        before = {one["metadata"]["name"] for one in frontend.pods()}
        scene.rotate(word="half way")
        until(
            lambda: {one.pod for one in frontend.replicas()} - before,
            within_s=60,
            every_s=0.1,
            describe=lambda: f"a new pod\n{scene.summary()}",
        )
        frontend.change({"spec": {"paused": True}})
        ready = scene.until_condition("Ready", "False", "ForeignConfiguration", within_s=60)
        assert "is paused. Resume it" in ready["message"]
        assert scene.certificates()[0]["id"] == certificate["id"]
        frontend.change({"spec": {"paused": False}})
        until(
            lambda: [one["id"] != certificate["id"] for one in scene.certificates()] == [True],
            within_s=WITHIN_S,
            describe=lambda: f"one new leaf\n{scene.summary()}",
        )
    scene.control.turn_location("*", requests_per_connection=None, resume=True)


def test_nodes_that_are_drained_in_the_middle_of_a_rollout(
    scene: Scene, frontend: Frontend
) -> None:
    """Pods are evicted as far as a budget lets them be, which a rollout does not ask."""
    labels = frontend.deployment()["spec"]["selector"]
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"minAvailable": 2, "selector": labels},
    }
    scene.plane.apply(budget)
    try:
        with disturbed(scene):
            before = pods(frontend)
            scene.plane.kubectl(
                "rollout", "restart", f"deployment/{NAME}", "--namespace", NAMESPACE
            )

            def drained() -> bool:
                evict(scene, before)
                return bool(pods(frontend)) and not {*before} & {*pods(frontend)}

            until(
                drained,
                within_s=WITHIN_S,
                every_s=0.5,
                describe=lambda: f"new pods\n{scene.summary()}",
            )
    finally:
        scene.plane.kubectl("delete", "poddisruptionbudget", NAME, "--namespace", NAMESPACE)


def evict(scene: Scene, names: list[str]) -> None:
    """As `kubectl drain` does, which goes on asking where a budget forbids it."""
    for name in names:
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": NAMESPACE},
        }
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
        assert scene.plane.http.post(path, json=body).status_code in {201, 404, 409, 429}


def test_a_tool_that_takes_our_annotation_off(scene: Scene, frontend: Frontend) -> None:
    """Once; a tool that goes on is told by nobody, but the pods run the current text all the same."""
    with disturbed(scene):
        before = pods(frontend)
        frontend.change({"spec": {"template": {"metadata": {"annotations": {MARK: None}}}}})
        until_replaced(scene, before)


def test_a_gitops_tool_that_applies_while_the_leaf_is_renewed(
    scene: Scene, frontend: Frontend
) -> None:
    """Both write the same Deployment."""
    (certificate,) = scene.certificates()
    with disturbed(scene):
        scene.rotate(word="beside a tool")

        def renewed() -> bool:
            apply_from_git(scene, "kustomize-controller")
            ids = [one["id"] for one in scene.certificates()]
            return len(ids) == 1 and ids != [certificate["id"]]

        until(renewed, within_s=WITHIN_S, every_s=0.5, describe=scene.summary)


def test_a_gitops_tool_that_replaces(scene: Scene, frontend: Frontend) -> None:
    """It takes our annotation off, and so has all pods replaced: nobody is let in by that."""
    with disturbed(scene):
        before = pods(frontend)
        scene.plane.kubectl("replace", "--filename=-", input=in_git(scene))
        until_replaced(scene, before)


def test_a_text_that_somebody_edits(scene: Scene, frontend: Frontend) -> None:
    """It is written anew before a pod starts with it, and what is required is proven again."""
    with disturbed(scene):
        scene.write_config_map({"server.conf": "return 403;"}, NAMESPACE, CONFIG_MAP)
        until(
            lambda: "return 403;" not in str(frontend.config_map()),
            within_s=60,
            describe=scene.summary,
        )


def test_a_deployment_that_is_deleted_and_made_again(scene: Scene, frontend: Frontend) -> None:
    """Without our annotation: its pods read the current text when they start. Visitors find nobody meanwhile."""
    made = frontend.deployment()
    scene.plane.kubectl("delete", "deployment", NAME, "--namespace", NAMESPACE)
    until(lambda: not frontend.pods(), within_s=60, describe="no pods to be left")
    ready = scene.until_condition("Ready", "False", "NoController", within_s=60)
    assert "Start the workload's pods" in ready["message"]
    made["spec"]["template"]["metadata"].pop("annotations", None)
    metadata = {key: made["metadata"][key] for key in ("name", "namespace")}
    scene.plane.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": made["spec"]}
    )
    frontend.until_rolled_out(within_s=60)
    scene.until_enforced(within_s=WITHIN_S)
    assert_required(scene)


def test_nobody_at_all(scene: Scene, frontend: Frontend) -> None:
    """Scaled to nothing, as at night, and up again: whoever comes is refused from the first moment."""
    frontend.change({"spec": {"replicas": 0}})
    until(lambda: not frontend.pods(), within_s=60, describe="no pods to be left")
    scene.until_condition("Ready", "False", "NoController", within_s=60)
    frontend.change({"spec": {"replicas": 2}})
    frontend.until_rolled_out(within_s=60)
    assert_required(scene)
    scene.until_enforced(within_s=WITHIN_S)


def test_a_strategy_that_ends_all_pods_at_once(scene: Scene, frontend: Frontend) -> None:
    """A renewal comes to its end, whatever visitors miss meanwhile (`kubectl aop preflight` says so beforehand)."""
    (before,) = scene.certificates()

    def replaced() -> bool:
        return [one["id"] != before["id"] for one in scene.certificates()] == [True]

    rolling = frontend.deployment()["spec"]["strategy"]
    frontend.change({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}})
    scene.rotate(word="all at once")
    until(
        replaced,
        within_s=WITHIN_S,
        describe=lambda: f"one new leaf\n{scene.summary()}",
    )
    scene.until_enforced(within_s=WITHIN_S)
    frontend.until_rolled_out(within_s=WITHIN_S)
    assert_required(scene)
    frontend.change({"spec": {"strategy": rolling}})


def test_a_deployment_that_is_paused_while_the_edge_presents_nothing(
    scene: Scene, frontend: Frontend
) -> None:
    """No pod is replaced, so the operator says who has to resume it; then everybody is let in."""
    frontend.change({"spec": {"paused": True}})
    with scene.presenting_nothing(*HOSTS):
        ready = scene.until_condition("Ready", "False", "ForeignConfiguration", within_s=60)
        assert f"Deployment {NAMESPACE}/{NAME} is paused. Resume it" in ready["message"]
        scene.until_condition("Enforced", "False", "HoldOff", within_s=60)
        assert scene.refusing(), "its pods cannot do otherwise"
        frontend.change({"spec": {"paused": False}})
        scene.until_relaxed(within_s=lives.RELAXED_WITHIN_S)

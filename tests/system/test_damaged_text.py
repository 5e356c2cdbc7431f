"""Our text, damaged by others: what it may still do is what protection goes by, and what every replica goes on doing is put back as it is.

One zone that is required. Each test damages the ConfigMap as an editor, a template or a GitOps tool
does; nobody is let in who was not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE
from sandbox.scene import SNIPPETS, Scene, origin
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(400)]

WITHIN_S = 60.0
PATH = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps/{CONFIG_MAP}"
THEIRS = "# a line of the platform team's\n"
TOOL = "gitops-tool"
LESS_THAN_TEN = 10
"""Rounds between us and a tool that puts its text back; without a bound there were thirty-six in
two minutes."""

Damage = Callable[[str], str]
HARMLESS: dict[str, Damage] = {
    "without its final newline": lambda text: text.rstrip("\n"),
    "with CRLF": lambda text: text.replace("\n", "\r\n"),
    "indented": lambda text: "".join(f"    {line}" for line in text.splitlines(keepends=True)),
}
"""What says the same to nginx."""
HARMFUL: dict[str, Damage] = {
    "pasted twice": lambda text: text + text,
    "without its first marker": lambda text: text.partition("\n")[2],
    "without its last marker": lambda text: text.rstrip("\n").rpartition("\n")[0] + "\n",
}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene(AOP_REPLICA_RECHECK_S="5") as running:
        running.apply(origins=[origin(foreignText="Merge")])
        running.until_enforced()
        yield running


def ours(scene: Scene) -> dict[str, str]:
    data = scene.sandbox.config_map()["data"]
    return {key: data[key] for key in SNIPPETS}


def revision(scene: Scene) -> str:
    return str(scene.sandbox.config_map()["metadata"]["annotations"]["aop-operator.dev/revision"])


def looks(scene: Scene) -> int:
    """How often the operator has looked and decided."""
    return len(scene.trace())


def until_whole(scene: Scene, markers: int = 1) -> None:
    """Wait until each key has one block of ours again; strangers are refused at every look."""

    def whole() -> bool:
        assert scene.required()
        texts = ours(scene).values()
        return all(
            text.count("# BEGIN aop-operator") == text.count("# END aop-operator") == markers
            for text in texts
        )

    until(
        whole,
        within_s=WITHIN_S,
        every_s=0.2,
        describe=lambda: f"one block in each key\n{ours(scene)}\n{scene.summary()}",
    )


@pytest.mark.parametrize("damage", HARMLESS)
def test_what_says_the_same_to_nginx_is_left_as_it_is(scene: Scene, damage: str) -> None:
    before = revision(scene)
    scene.write_config_map({key: HARMLESS[damage](text) for key, text in ours(scene).items()})
    seen = looks(scene)
    until(lambda: looks(scene) > seen + 3, within_s=WITHIN_S, describe="some looks after it")
    assert revision(scene) == before
    assert scene.required()
    scene.until_enforced()


@pytest.fixture
def nothing_counted(scene: Scene) -> None:
    """Damage that comes three times within an hour is answered after pauses, and only this process has counted."""
    scene.operator.kill()
    scene.operator.start()
    scene.until_enforced()


@pytest.mark.usefixtures("nothing_counted")
@pytest.mark.parametrize("damage", HARMFUL)
def test_what_is_damaged_is_replaced_as_a_whole_and_lets_nobody_in(
    scene: Scene, damage: str
) -> None:
    scene.write_config_map({key: HARMFUL[damage](text) for key, text in ours(scene).items()})
    until_whole(scene)
    scene.until_enforced()
    assert scene.required()


@pytest.mark.usefixtures("nothing_counted")
def test_visitors_are_let_in_although_the_text_that_refuses_them_is_damaged(scene: Scene) -> None:
    """Loss beside damage: the text does not read as ours any more, and the replicas go on refusing."""
    scene.control.turn_location(
        requests_per_connection=1, resume=False, presents={"example.com": "nothing"}
    )
    scene.write_config_map(
        {key: HARMFUL["without its first marker"](text) for key, text in ours(scene).items()}
    )
    scene.until_relaxed(within_s=WITHIN_S)
    scene.control.turn_location(presents={})
    scene.until_enforced(within_s=150)


def test_a_tool_that_puts_its_text_back_is_named_and_not_answered_for_ever(scene: Scene) -> None:
    """A17."""
    first, rounds = revision(scene), 0

    def named() -> bool:
        nonlocal rounds
        if "aop-operator" in (scene.sandbox.config_map()["data"].get("http-snippet") or ""):
            scene.plane.kubectl(
                "patch",
                "configmap",
                CONFIG_MAP,
                "-n",
                CONTROLLER_NAMESPACE,
                f"--field-manager={TOOL}",
                "--type=merge",
                "-p",
                '{"data":{"http-snippet":"# a line of the platform team\'s\\n"}}',
            )
            rounds += 1
        ready = scene.condition("Ready")
        return ready.get("reason") == "ForeignConfiguration" and TOOL in ready["message"]

    until(
        named,
        within_s=120,
        every_s=1.0,
        describe=lambda: f"the tool to be named\n{scene.summary()}",
    )
    assert rounds < LESS_THAN_TEN, f"{first} to {revision(scene)}"


@pytest.mark.usefixtures("nothing_counted")
def test_a_removal_takes_everything_of_ours_out_of_a_damaged_text(scene: Scene) -> None:
    scene.write_config_map(
        {key: HARMFUL["pasted twice"](text) for key, text in ours(scene).items()}
    )
    scene.remove()
    left = scene.own_text()
    assert not any("aop" in text for text in left.values()), left
    assert scene.refusing() == []

"""Others work on the controller's ConfigMap while the operator runs: their text is theirs, and no visitor is lost to it.

One zone that is required, under visitors; each test leaves it required again, and the last one at
`Request`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aop.origins.ingress_nginx.stored import read
from aop.terms import Mode
from sandbox.composition import CONFIG_MAP, CONTROLLER_NAMESPACE
from sandbox.scene import SNIPPETS, Scene, origin
from sandbox.waiting import until

pytestmark = [pytest.mark.timeout(300)]

WITHIN_S = 60.0
PATH = f"/api/v1/namespaces/{CONTROLLER_NAMESPACE}/configmaps/{CONFIG_MAP}"
THEIRS = "# the platform team's own line"
BROKEN = "no_such_directive on;"
"""Well-formed, so that nothing but nginx itself can tell."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as running:
        running.apply()
        running.until_enforced()
        yield running


def published_mode(scene: Scene) -> str:
    """How strict our claim is in the ConfigMap; Off when there is none."""
    claims = read(scene.sandbox.config_map()).standing.values()
    return max((claim.mode for claim in claims), default=Mode.OFF).label


def test_text_that_another_writer_puts_over_ours_is_theirs_until_they_take_it_out(
    scene: Scene,
) -> None:
    """Without consent to stand beside it nothing is written; what is lost opens, and refuses nobody."""
    with scene.visitors(redirects=True) as visitors:
        scene.write_config_map(dict.fromkeys(SNIPPETS, THEIRS))
        ready = scene.until_condition("Ready", "False", "ForeignConfiguration", within_s=WITHIN_S)
        for word in (
            f"{CONTROLLER_NAMESPACE}/{CONFIG_MAP}",
            *SNIPPETS,
            THEIRS,
            "foreignText: Merge",
        ):
            assert word in ready["message"]
        scene.until_relaxed(within_s=WITHIN_S)
        assert {key: scene.sandbox.config_map()["data"][key] for key in SNIPPETS} == dict.fromkeys(
            SNIPPETS, THEIRS
        )
        scene.write_config_map(dict.fromkeys(SNIPPETS))
        scene.until_enforced()
        scene.until_required(within_s=WITHIN_S)
        report = visitors.stop()
    assert report.flawless, str(report)


def test_a_config_map_that_is_deleted_is_named_and_one_that_comes_back_is_worked_on(
    scene: Scene,
) -> None:
    with scene.visitors(redirects=True) as visitors:
        before = scene.sandbox.config_map()
        scene.plane.http.delete(PATH).raise_for_status()
        ready = scene.until_condition("Ready", "False", "OriginNotFound", within_s=WITHIN_S)
        assert f"{CONTROLLER_NAMESPACE}/{CONFIG_MAP}" in ready["message"]
        data = {key: value for key, value in before["data"].items() if key not in SNIPPETS}
        metadata = {"name": CONFIG_MAP, "namespace": CONTROLLER_NAMESPACE}
        scene.plane.http.post(
            PATH.rpartition("/")[0], json={"metadata": metadata, "data": data}
        ).raise_for_status()
        scene.until_enforced()
        scene.until_required(within_s=WITHIN_S)
        report = visitors.stop()
    assert report.flawless, str(report)


def test_a_text_that_nginx_rejects_makes_nothing_stricter_and_is_said(scene: Scene) -> None:
    """Their text breaks the controller's next configuration: it is theirs, and named.

    What relaxes is written all the same; nothing else is.
    """
    with scene.visitors(redirects=True) as visitors:
        scene.patch({"origins": [origin(foreignText="Merge")]})
        scene.until_enforced()
        ours = scene.sandbox.config_map()["data"]["http-snippet"]
        scene.write_config_map({"http-snippet": f"{BROKEN}\n{ours}"})
        until(
            lambda: all(one.last_error for one in scene.ingress_nginx.replicas()),
            within_s=WITHIN_S,
            describe="every replica to reject their text",
        )
        modes = [published_mode(scene)]
        scene.patch({"enforcement": "Request"})

        def is_told() -> bool:
            modes.append(published_mode(scene))
            ready = scene.condition("Ready")
            return bool(ready.get("status") == "False" and ready.get("reason") == "ControllerStuck")

        until(
            is_told,
            within_s=WITHIN_S + 30,
            every_s=0.2,
            describe=lambda: f"the broken neighbour to be named\n{scene.summary()}",
        )
        message = scene.condition("Ready")["message"]
        assert f"{CONTROLLER_NAMESPACE}/{CONFIG_MAP}" in message
        assert BROKEN.split(maxsplit=1)[0] in message, "nginx's own words"
        assert modes == sorted(modes, key=Mode.parse, reverse=True), "no claim's mode goes up"
        assert BROKEN in scene.sandbox.config_map()["data"]["http-snippet"], "their text is theirs"
        mended = scene.sandbox.config_map()["data"]["http-snippet"].replace(BROKEN, "# nothing")
        scene.write_config_map({"http-snippet": mended})
        scene.until_condition("Ready", "True", within_s=120)
        scene.until_relaxed(within_s=WITHIN_S)
        report = visitors.stop()
    assert report.flawless, str(report)

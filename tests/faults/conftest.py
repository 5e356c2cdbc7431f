"""A sandbox whose operator speaks to both APIs through proxies, shared by all tests of this tier."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from sandbox.composition import OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, Layout
from sandbox.proxy.effects import NOT_AN_EFFECT, Effects
from sandbox.proxy.faults import Match
from sandbox.proxy.server import FaultProxy
from sandbox.scene import Scene

CHANGES = Match(method="POST|PUT|PATCH|DELETE", except_path=rf"{NOT_AN_EFFECT}|/status$")
"""The status is for people: it is no effect on the world."""


@dataclass(frozen=True, slots=True)
class Proxied:
    """The scene; its operator is not started.

    `effects` counts what either API has changed for it.
    """

    scene: Scene
    kubernetes: FaultProxy
    cloudflare: FaultProxy
    effects: Effects

    def clear(self) -> None:
        """Disturb nothing any more."""
        self.kubernetes.clear()
        self.cloudflare.clear()


@contextmanager
def proxied_with(layout: Layout | None = None) -> Iterator[Proxied]:
    """A sandbox of its own."""
    with ExitStack() as stack:
        scene = stack.enter_context(Scene(layout, with_operator=False))
        effects = Effects(CHANGES)
        plane, double = scene.plane, scene.cloudflare
        kubernetes = stack.enter_context(
            FaultProxy(plane.url, upstream_ca=plane.ca_file, effects=effects)
        )
        cloudflare = stack.enter_context(FaultProxy(double.base_url, tls=False, effects=effects))
        account = plane.service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_ACCOUNT)
        scene.operator = scene.new_operator(
            AOP_KUBECONFIG=str(kubernetes.kubeconfig(account)),
            AOP_CLOUDFLARE_BASE_URL=cloudflare.url,
        )
        stack.callback(scene.operator.kill)
        yield Proxied(scene, kubernetes, cloudflare, effects)


@pytest.fixture(scope="session")
def proxied_scene() -> Iterator[Proxied]:
    """Kept for the whole session: it takes ten seconds to start."""
    with proxied_with() as proxied:
        yield proxied


@pytest.fixture
def proxied(proxied_scene: Proxied) -> Iterator[Proxied]:
    """With nothing disturbed and no operator running; a test that failed leaves nothing to the next one."""
    yield proxied_scene
    proxied_scene.clear()
    scene = proxied_scene.scene
    if scene.object() is not None:
        if not scene.operator.alive:
            scene.operator.start()
        scene.remove()
    scene.operator.kill()

"""The watch of a kind on a real API server: thousands of objects are listed in parts, and none is missed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kopf
import pytest

from aop.api import WATCH_LABEL
from aop.clock import Clock
from aop.cluster import Kind
from aop.handlers import LISTED_AT_ONCE, Watch
from aop.health import Health
from aop.metrics import Metrics
from aop.settings import Settings
from sandbox.kubernetes.plane import ControlPlane
from sandbox.waiting import until

NAMESPACE = "in-parts"
PATH = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
MANY = 2 * LISTED_AT_ONCE + 1


def config_map(number: int) -> dict[str, Any]:
    return {"metadata": {"name": f"carrier-{number:04}", "labels": {WATCH_LABEL: "true"}}}


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[ControlPlane]:
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield plane
    plane.http.delete(PATH).raise_for_status()


class Reports:
    """What a watch has told, and whether it had been listed when the first of it came."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self.types = dict[str, str | None]()
        self.ready_at_first: bool | None = None
        self._turn = threading.Lock()

    def notice(self, type_: str | None, manifest: dict[str, Any]) -> None:
        with self._turn:
            if self.ready_at_first is None:
                self.ready_at_first = is_listed(self._health)
            self.types[manifest["metadata"]["name"]] = type_


def is_listed(health: Health) -> bool:
    return "configmaps" not in health.unready()


def test_objects_are_listed_in_parts_and_count_as_listed_after_the_last(
    namespace: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(number: int) -> None:
        namespace.http.post(PATH, json=config_map(number)).raise_for_status()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(MANY)))
    monkeypatch.setenv("KUBECONFIG", str(namespace.admin_kubeconfig))
    clock = Clock()
    health = Health(clock, ["configmaps"])
    reports = Reports(health)
    watch = Watch(
        Kind.CONFIG_MAP,
        Settings(watch_namespaces=(NAMESPACE,)),
        kopf.login_with_kubeconfig,
        reports.notice,
        clock,
        health,
        Metrics(),
    )
    watch.start()
    try:
        until(lambda: len(reports.types) == MANY, within_s=60, describe="every part to be told")
        until(lambda: is_listed(health), within_s=60, describe="the list to end")
        assert reports.ready_at_first is False
        assert set(reports.types.values()) == {None}
        make(MANY)
        until(
            lambda: reports.types.get(f"carrier-{MANY:04}") == "ADDED",
            within_s=60,
            describe="what comes after the list to be told",
        )
    finally:
        watch.stop()

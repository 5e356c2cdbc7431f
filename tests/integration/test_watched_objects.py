"""The watch of a kind on a real API server: hundreds of objects are listed in parts, and none is missed."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
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
from sandbox.proxy.faults import Answer, Delay, Match
from sandbox.proxy.server import FaultProxy
from sandbox.waiting import until

pytestmark = [
    # Kopf may be about to connect again when its thread ends, and its client then leaves the socket
    # to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NAMESPACE, OTHER = "in-parts", "in-one-part"
MANY = 2 * LISTED_AT_ONCE + 1
WITHIN_S = 60.0
READER: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}},
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader"}],
    },
]
GONE = Answer.kubernetes(HTTPStatus.GONE, "Expired")


def path_of(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def name_of(number: int) -> str:
    return f"carrier-{number:04}"


def config_map(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {WATCH_LABEL: "true"}}}


@pytest.fixture(scope="module")
def many(plane: ControlPlane) -> Iterator[ControlPlane]:
    for namespace in (NAMESPACE, OTHER):
        plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})

    def make(number: int) -> None:
        plane.http.post(path_of(NAMESPACE), json=config_map(name_of(number))).raise_for_status()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(MANY)))
    yield plane
    plane.http.delete(path_of(NAMESPACE), timeout=WITHIN_S).raise_for_status()


class Reports:
    """What a watch has told, and whether the kind counted as listed when the first of it came."""

    def __init__(self) -> None:
        self.health = Health(Clock(), ["configmaps"])
        self.metrics = Metrics()
        self.types = dict[str, str | None]()
        self.listed_at_first: bool | None = None
        self._turn = threading.Lock()

    def notice(self, type_: str | None, manifest: dict[str, Any]) -> None:
        with self._turn:
            if self.listed_at_first is None:
                self.listed_at_first = self.listed
            self.types[manifest["metadata"]["name"]] = type_

    @property
    def listed(self) -> bool:
        return "configmaps" not in self.health.unready()

    @property
    def answered(self) -> bool:
        """Whether the metric says when the watch was answered."""
        (answered,) = self.metrics.watch_answered.collect()
        return any(sample.value for sample in answered.samples)

    @property
    def failures(self) -> float:
        (failures,) = self.metrics.watch_failures.collect()
        return sum(one.value for one in failures.samples if one.name.endswith("_total"))


@contextmanager
def watching(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, *namespaces: str
) -> Iterator[Reports]:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    reports = Reports()
    watch = Watch(
        Kind.CONFIG_MAP,
        Settings(watch_namespaces=namespaces),
        kopf.login_with_kubeconfig,
        reports.notice,
        Clock(),
        reports.health,
        reports.metrics,
    )
    watch.start()
    try:
        yield reports
    finally:
        watch.stop()
        gc.collect()


@contextmanager
def through_a_proxy(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[FaultProxy, Reports]]:
    plane.apply(READER, namespace=NAMESPACE)
    account = plane.service_account_kubeconfig(NAMESPACE, "reader")
    with (
        FaultProxy(plane.url, upstream_ca=plane.ca_file) as proxy,
        watching(proxy.kubeconfig(account), monkeypatch, NAMESPACE) as reports,
    ):
        yield proxy, reports


def until_followed(plane: ControlPlane, reports: Reports, *namespaces: str) -> None:
    """What comes after the list is told. Whoever ends while Kopf still connects leaves a socket open."""
    for namespace in namespaces:
        name = f"late-in-{namespace}"
        plane.http.post(path_of(namespace), json=config_map(name)).raise_for_status()
        until(
            lambda: reports.types.get(name) == "ADDED",  # noqa: B023 - asked at once
            within_s=WITHIN_S,
            describe="what comes after the list to be told",
        )
        plane.http.delete(f"{path_of(namespace)}/{name}").raise_for_status()


def test_objects_are_listed_in_parts_and_count_as_listed_after_the_last(
    many: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watching(many.admin_kubeconfig, monkeypatch, NAMESPACE) as reports:
        until(
            lambda: len(reports.types) == MANY and reports.listed,
            within_s=WITHIN_S,
            describe=lambda: f"every part to be told, not only {len(reports.types)}",
        )
        assert reports.listed_at_first is False
        assert set(reports.types.values()) == {None}
        until_followed(many, reports, NAMESPACE)


def test_a_kind_is_listed_once_every_namespace_is(
    many: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them has nothing to list, and is done long before the other."""
    with watching(many.admin_kubeconfig, monkeypatch, OTHER, NAMESPACE) as reports:
        until(lambda: reports.listed, within_s=WITHIN_S, describe="both to be listed")
        assert reports.listed_at_first is False
        until_followed(many, reports, OTHER, NAMESPACE)


def test_what_others_do_while_a_list_goes_on_is_told(
    many: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a part has listed is deleted before the next one comes, and something new is made."""
    first = name_of(0)
    with through_a_proxy(many, monkeypatch) as (proxy, reports):
        proxy.rule(Match(query="continue="), Delay(WITHIN_S, answer=True))
        until(
            lambda: first in reports.types, within_s=WITHIN_S, describe="the first part to be told"
        )
        many.http.delete(f"{path_of(NAMESPACE)}/{first}").raise_for_status()
        many.http.post(path_of(NAMESPACE), json=config_map("amid")).raise_for_status()
        assert not reports.listed
        proxy.clear()
        until(
            lambda: (reports.types.get(first), reports.types.get("amid")) == ("DELETED", "ADDED"),
            within_s=WITHIN_S,
            describe="both to be told",
        )
        assert reports.failures == 0
    many.http.delete(f"{path_of(NAMESPACE)}/amid").raise_for_status()
    many.http.post(path_of(NAMESPACE), json=config_map(first)).raise_for_status()


def test_a_list_that_never_ends_is_no_answer(
    many: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server forgets from where to go on, as after a compaction."""
    with through_a_proxy(many, monkeypatch) as (proxy, reports):
        proxy.rule(Match(query="continue="), GONE, times=None)
        until(
            lambda: reports.failures >= 2,
            within_s=WITHIN_S,
            describe="the watch to begin anew, and to fail again",
        )
        assert reports.types
        assert not reports.listed
        assert not reports.answered
        proxy.clear()
        until(
            lambda: len(reports.types) == MANY and reports.listed and reports.answered,
            within_s=WITHIN_S,
            describe="every part to be told after all",
        )
        until_followed(many, reports, NAMESPACE)

"""The fault proxy before a real API server: what it lets through is untouched, and each fault is exactly what its name says."""

import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sandbox.kubernetes.kubectl import KubectlError
from sandbox.kubernetes.plane import ControlPlane
from sandbox.proxy import (
    Altered,
    Answer,
    CutWatch,
    Delay,
    DropAfter,
    DropBefore,
    Effects,
    Exchange,
    FaultProxy,
    HideEvent,
    Match,
    Stale,
    Truncate,
    WatchError,
)
from sandbox.waiting import until

WRITER = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: writer}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: writer}
rules:
  - {apiGroups: [""], resources: [configmaps, events], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: writer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: writer}
subjects: [{kind: ServiceAccount, name: writer}]
"""


@pytest.fixture
def proxy(plane: ControlPlane) -> Iterator[FaultProxy]:
    with FaultProxy(plane.url, upstream_ca=plane.ca_file) as running:
        yield running


@pytest.fixture
def configmaps(plane: ControlPlane, namespace: str) -> str:
    """The path of a namespace's ConfigMaps, in which the ServiceAccount `writer` may write them."""
    plane.apply(WRITER, namespace=namespace)
    return f"/api/v1/namespaces/{namespace}/configmaps"


@pytest.fixture
def writer(
    plane: ControlPlane, namespace: str, configmaps: str, proxy: FaultProxy
) -> Iterator[httpx.Client]:
    """An HTTP client that is the ServiceAccount `writer` and asks through the proxy."""
    headers = {"Authorization": f"Bearer {plane.service_account_token(namespace, 'writer')}"}
    trust = ssl.create_default_context(cafile=str(proxy.ca_file))
    with httpx.Client(
        base_url=proxy.url, verify=trust, headers=headers, trust_env=False, timeout=10
    ) as client:
        yield client


def settings(name: str = "settings", **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def test_what_is_not_disturbed_passes_as_it_was_and_is_traced(
    plane: ControlPlane, namespace: str, proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    created = writer.post(
        configmaps, json=settings(mode="Request"), params={"fieldManager": "a/b c"}
    )
    direct = plane.http.get(f"{configmaps}/settings")

    assert created.status_code == 201
    assert created.json() == direct.json()
    assert direct.json()["metadata"]["managedFields"][0]["manager"] == "a/b c"
    assert writer.get(f"{configmaps}/nobody").status_code == 404
    assert [
        (seen.method, seen.path, seen.status, seen.applied, seen.effect) for seen in proxy.trace
    ] == [
        ("POST", configmaps, 201, True, 1),
        ("GET", f"{configmaps}/nobody", 404, False, None),
    ]
    until(
        lambda: all(seen.duration_s for seen in proxy.trace), within_s=5, describe="both to be over"
    )


def test_kubectl_works_through_it_with_a_token_and_never_with_a_certificate(
    plane: ControlPlane, namespace: str, configmaps: str, proxy: FaultProxy
) -> None:
    through = proxy.kubeconfig(plane.service_account_kubeconfig(namespace, "writer"))
    plane.kubectl("create", "configmap", "settings", "--from-literal=mode=Off", kubeconfig=through)
    assert (
        plane.kubectl(
            "get", "configmap", "settings", "-o", "jsonpath={.data.mode}", kubeconfig=through
        )
        == "Off"
    )
    with pytest.raises(KubectlError, match="Forbidden"):
        plane.kubectl("get", "secrets", kubeconfig=through)
    with pytest.raises(ValueError, match="client certificate"):
        proxy.kubeconfig(plane.admin_kubeconfig)


def test_an_error_is_answered_for_exactly_the_requests_that_the_rule_means(
    proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    rule = proxy.rule(
        Match("POST", r"/configmaps$"), Answer.kubernetes(409, "Conflict"), skip=1, times=2
    )

    answers = [writer.post(configmaps, json=settings(f"settings-{number}")) for number in range(4)]

    assert [answer.status_code for answer in answers] == [201, 409, 409, 201]
    assert answers[1].json()["reason"] == "Conflict"
    assert [
        item["metadata"]["name"]
        for item in writer.get(configmaps).json()["items"]
        if "settings" in item["metadata"]["name"]
    ] == [
        "settings-0",
        "settings-3",
    ]
    assert (rule.matched, rule.fired) == (4, 2)
    assert [seen.effect for seen in proxy.trace if seen.method == "POST"] == [1, None, None, 2]


def test_each_kind_of_error_is_answered_as_such(
    proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    proxy.rule(Match("GET"), Answer.too_many_requests(7))
    proxy.rule(Match("GET"), Answer.html(502))
    proxy.rule(Match("GET"), Answer.json(403, {"success": False}, **{"cf-ray": "1-TST"}))
    proxy.rule(Match("GET"), Truncate())

    throttled, page, refused, cut, whole = (writer.get(configmaps) for _ in range(5))

    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "7")
    assert page.status_code == 502
    assert page.headers["Content-Type"].startswith("text/html")
    assert (refused.status_code, refused.json(), refused.headers["cf-ray"]) == (
        403,
        {"success": False},
        "1-TST",
    )
    assert cut.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        cut.json()
    assert whole.json()["kind"] == "ConfigMapList"


def test_dropped_before_is_never_applied_and_dropped_after_is(
    plane: ControlPlane, proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    proxy.rule(Match("POST"), DropBefore())
    proxy.rule(Match("POST"), DropAfter())

    with pytest.raises(httpx.TransportError):
        writer.post(configmaps, json=settings("before"))
    with pytest.raises(httpx.TransportError):
        writer.post(configmaps, json=settings("after"))

    assert plane.http.get(f"{configmaps}/before").status_code == 404
    assert plane.http.get(f"{configmaps}/after").status_code == 200
    assert [
        (seen.fault, seen.status, seen.upstream_status, seen.effect) for seen in proxy.trace
    ] == [
        ("DropBefore", None, None, None),
        ("DropAfter", None, 201, 1),
    ]


def test_a_delay_comes_before_the_api_or_after_it(
    plane: ControlPlane, proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    writer.timeout = httpx.Timeout(0.3)
    proxy.rule(Match("POST"), Delay(1))
    with pytest.raises(httpx.ReadTimeout):
        writer.post(configmaps, json=settings("late"))
    assert plane.http.get(f"{configmaps}/late").status_code == 404

    proxy.rule(Match("POST"), Delay(1, answer=True))
    with pytest.raises(httpx.ReadTimeout):
        writer.post(configmaps, json=settings("early"))
    assert plane.http.get(f"{configmaps}/early").status_code == 200
    # Nobody waits for it any more, but it was sent: as with a real network, it still arrives.
    until(
        lambda: plane.http.get(f"{configmaps}/late").is_success,
        within_s=5,
        describe="the delayed request to arrive",
    )


def test_a_stale_read_answers_the_past(
    proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    writer.post(configmaps, json=settings(mode="Off"))
    proxy.rule(Match("GET", r"/settings$"), Stale(), times=3)

    def mode() -> str:
        return str(writer.get(f"{configmaps}/settings").json()["data"]["mode"])

    assert mode() == "Off"
    writer.put(f"{configmaps}/settings", json=settings(mode="Require")).raise_for_status()
    assert [mode(), mode(), mode()] == ["Off", "Off", "Require"]


def test_a_watch_is_relayed_event_by_event_and_traced_while_it_runs(
    plane: ControlPlane, proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    with writer.stream("GET", configmaps, params=watching("settings")) as watch:
        lines = watch.iter_lines()
        plane.http.post(configmaps, json=settings(mode="Off")).raise_for_status()
        assert json.loads(next(lines))["type"] == "ADDED"
        plane.http.delete(f"{configmaps}/settings").raise_for_status()
        assert json.loads(next(lines))["type"] == "DELETED"
        seen = proxy.trace[-1]
        assert (seen.watch, seen.events, seen.duration_s) == (True, 2, None)
    until(
        lambda: proxy.trace[-1].duration_s is not None,
        within_s=5,
        describe="the proxy to notice that nobody watches any more",
    )


def test_what_is_told_is_altered_in_an_answer_and_in_a_watch(
    plane: ControlPlane, proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    """Also for a client that would rather have Kubernetes' own form, in which no text could be put in place of another."""
    plane.http.post(configmaps, json=settings(mode="Off")).raise_for_status()
    rule = proxy.rule(Match(path="/configmaps"), Altered(b'"Off"', b'"On, and longer"'), times=None)
    form = {"Accept": "application/vnd.kubernetes.protobuf,application/json"}
    read = writer.get(f"{configmaps}/settings", headers=form).raise_for_status()
    assert read.json()["data"] == {"mode": "On, and longer"}
    with writer.stream("GET", configmaps, params=watching("settings"), headers=form) as watch:
        first = json.loads(next(watch.iter_lines()))
    assert first["object"]["data"] == {"mode": "On, and longer"}
    assert rule.fired == 2
    there = plane.http.get(f"{configmaps}/settings").raise_for_status()
    assert there.json()["data"] == {"mode": "Off"}


@pytest.mark.parametrize(
    "clean", [True, False], ids=["as the server ends it", "as a network ends it"]
)
def test_a_watch_is_cut_after_so_many_events(
    proxy: FaultProxy, writer: httpx.Client, configmaps: str, *, clean: bool
) -> None:
    for name in "abc":
        writer.post(configmaps, json=settings(name)).raise_for_status()
    proxy.rule(Match(watch=True), CutWatch(after_events=2, clean=clean))
    names: list[str] = []

    def watch() -> None:
        with writer.stream("GET", configmaps, params=watching()) as stream:
            names.extend(
                json.loads(line)["object"]["metadata"]["name"] for line in stream.iter_lines()
            )

    if clean:
        watch()
    else:
        with pytest.raises(httpx.TransportError):
            watch()
    assert names == ["a", "b"]


def test_a_watch_is_told_that_its_place_has_expired(
    proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    writer.post(configmaps, json=settings("a")).raise_for_status()
    proxy.rule(Match(watch=True), WatchError(after_events=1))
    with writer.stream("GET", configmaps, params=watching()) as stream:
        events = [json.loads(line) for line in stream.iter_lines()]
    assert [event["type"] for event in events] == ["ADDED", "ERROR"]
    assert (events[1]["object"]["code"], events[1]["object"]["reason"]) == (410, "Expired")


def test_one_event_of_a_watch_is_swallowed(
    proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    for name in "abc":
        writer.post(configmaps, json=settings(name)).raise_for_status()
    proxy.rule(Match(watch=True), HideEvent(nth=2))
    with writer.stream("GET", configmaps, params=watching() | {"timeoutSeconds": "1"}) as stream:
        names = [json.loads(line)["object"]["metadata"]["name"] for line in stream.iter_lines()]
    assert names == ["a", "c"]


def test_running_watches_are_cut_on_demand(
    proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    writer.post(configmaps, json=settings("a")).raise_for_status()
    with writer.stream("GET", configmaps, params=watching()) as stream:
        lines = stream.iter_lines()
        next(lines)
        assert proxy.cut_watches(Match(path="/secrets")) == 0
        assert proxy.cut_watches(Match(path="/configmaps")) == 1
        with pytest.raises(httpx.TransportError):
            next(lines)


def test_without_its_api_it_is_as_dead_as_the_api(
    writer: httpx.Client, configmaps: str, plane: ControlPlane
) -> None:
    with (
        FaultProxy("http://127.0.0.1:9", tls=False) as before_nothing,
        pytest.raises(httpx.TransportError),
    ):
        httpx.get(f"{before_nothing.url}{configmaps}", trust_env=False)


def test_effects_are_changes_that_were_made_and_not_reviews_events_or_refusals(
    proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    writer.post(configmaps, json=settings("a"))
    writer.post(configmaps, json=settings("a"))
    writer.post(configmaps.replace("configmaps", "secrets"), json=settings("a"))
    writer.post(
        configmaps.replace("configmaps", "events"),
        json={
            "metadata": {"name": "a"},
            "involvedObject": {"namespace": configmaps.split("/")[4]},
            "reason": "R",
            "type": "Normal",
        },
    ).raise_for_status()
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "secrets"}}}
    writer.post(
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review
    ).raise_for_status()
    writer.patch(
        f"{configmaps}/a",
        json={"data": {"k": "v"}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    writer.delete(f"{configmaps}/a")

    assert [(effect.effect, effect.method) for effect in proxy.effects.all] == [
        (1, "POST"),
        (2, "PATCH"),
        (3, "DELETE"),
    ]


def test_effects_are_numbered_across_proxies_that_share_them(
    plane: ControlPlane, proxy: FaultProxy, writer: httpx.Client, configmaps: str
) -> None:
    numbers: list[int | None] = []
    with FaultProxy(
        plane.url, upstream_ca=plane.ca_file, tls=False, effects=proxy.effects
    ) as other:
        proxy.on_effect(2, lambda effect: numbers.append(effect.effect))
        with httpx.Client(
            base_url=other.url, headers=writer.headers, trust_env=False
        ) as same_writer:
            writer.post(configmaps, json=settings("a")).raise_for_status()
            assert numbers == []
            same_writer.post(configmaps, json=settings("b")).raise_for_status()
            assert numbers == [2]
            same_writer.post(configmaps, json=settings("c")).raise_for_status()
    assert numbers == [2]


CLIENT = """
import sys, httpx, ssl
url, ca, token, path = sys.argv[1:]
client = httpx.Client(base_url=url, verify=ssl.create_default_context(cafile=ca), headers={"Authorization": "Bearer " + token}, trust_env=False)
for number in range(5):
    client.post(path, json={"metadata": {"name": f"write-{number}"}}).raise_for_status()
    print(number, flush=True)
"""


@pytest.mark.parametrize(
    ("delivered", "heard"),
    [(False, ["0"]), (True, ["0", "1"])],
    ids=["before the answer", "after the answer"],
)
def test_a_client_is_killed_at_its_second_write(
    plane: ControlPlane,
    namespace: str,
    proxy: FaultProxy,
    configmaps: str,
    *,
    delivered: bool,
    heard: list[str],
) -> None:
    """Before the answer: applied and never heard of, and nothing after it.

    After the answer: by then the next write may be on its way.
    """
    token = plane.service_account_token(namespace, "writer")
    command = [sys.executable, "-c", CLIENT, proxy.url, str(proxy.ca_file), token, configmaps]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:

        def kill(_: Exchange) -> None:
            os.kill(client.pid, signal.SIGKILL)

        proxy.on_effect(2, kill, delivered=delivered)
        output, _ = client.communicate(timeout=30)
    assert client.returncode == -signal.SIGKILL
    assert output.split() in ([heard, heard[:-1]] if delivered else [heard])
    written = [item["metadata"]["name"] for item in plane.http.get(configmaps).json()["items"]]
    names = [name for name in written if name.startswith("write-")]
    assert names in (
        [["write-0", "write-1"], ["write-0", "write-1", "write-2"]]
        if delivered
        else [["write-0", "write-1"]]
    )


def test_what_a_callback_raises_is_raised_when_the_proxy_stops(
    plane: ControlPlane, writer: httpx.Client, configmaps: str
) -> None:
    def fail(_: Exchange) -> None:
        raise LookupError("no such process")

    proxy = FaultProxy(plane.url, upstream_ca=plane.ca_file, tls=False, effects=Effects()).start()
    proxy.on_effect(1, fail)
    answer = httpx.post(
        f"{proxy.url}{configmaps}", json=settings("a"), headers=writer.headers, trust_env=False
    )
    assert answer.status_code == 201
    with pytest.raises(LookupError):
        proxy.stop()


def watching(name: str | None = None) -> dict[str, str]:
    """Query of a watch on the ConfigMaps that tests write (every namespace may have one more, with the cluster's CA)."""
    selector = "metadata.name!=kube-root-ca.crt" if name is None else f"metadata.name={name}"
    return {"watch": "true", "fieldSelector": selector}

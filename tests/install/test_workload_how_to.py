"""docs/how-to of each server in a workload, followed word for word by somebody whose site knows nothing of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

import lives
from how_to import NAMESPACE, RELEASE, HowTo, of_the_sandbox
from sandbox import servers
from sandbox.cluster.frontend import Frontend
from sandbox.composition import HOSTS, Layout
from sandbox.direct import Visitor
from sandbox.helm import programs
from sandbox.helm.releases import Helm
from sandbox.kubernetes.permissions import account
from sandbox.kubernetes.plane import ControlPlane
from sandbox.scene import Scene
from sandbox.workloads import DeployedOperator

pytestmark = [pytest.mark.timeout(300)]

ADDED = {
    "nginx": ("include aop/http*.conf;", "include aop/server*.conf;"),
    # Its module for Lua this site has anyway, because it answers with it.
    "apache": ("IncludeOptional conf/aop/*.conf",),
    "haproxy": (
        "setenv AOP_DEFAULTS base",
        'from "${AOP_DEFAULTS}"',
        "verify optional ca-file /usr/local/etc/haproxy/tls/tls.crt no-ca-names crt-ignore-err all ca-ignore-err all",
    ),
    "caddy": (
        "order invoke first",
        "&(aop) { import aop/*.caddy }",
        "invoke aop",
        "client_auth { mode request }",
    ),
    "traefik": (),
}
"""The words of each page that its reader adds to a configuration of theirs; Traefik's is YAML."""


def anywhere(words: str) -> re.Pattern[str]:
    """Words as they stand in a file: over several lines, and each line with a remark."""
    return re.compile(r"[ \t]*(?:#[^\n]*)?\s+".join(map(re.escape, words.split())))


class Owner:
    """Who has the site, and takes out of it or adds what the page has them add."""

    def __init__(self, page: HowTo, frontend: Frontend, kind: str) -> None:
        self._frontend, self._added = frontend, ADDED[kind]
        self._prepared = frontend.conf()
        self._pod: dict[str, Any] = frontend.deployment()["spec"]["template"]["spec"]
        (self._volume,) = (one for one in page.documents() if "volumeMounts" in one)
        text = "\n".join(one for language in (kind, f"{kind}file") for one in page.blocks(language))
        for words in self._added:
            assert anywhere(words).search(text), f"the page does not say: {words}"

    def unprepared(self) -> None:
        """The site is as it was before anybody read the page."""
        pod = deepcopy(self._pod)
        (container,) = pod["containers"]
        for place, kind in ((container, "volumeMounts"), (pod, "volumes")):
            names = {one["name"] for one in self._volume[kind]}
            place[kind] = [one for one in place[kind] if one["name"] not in names]
        (mount,) = self._volume["volumeMounts"]
        if mount["mountPath"] in (args := container.get("args", [])):
            at = args.index(mount["mountPath"])
            del args[at - 1 : at + 1]
        self._becomes(pod, self._without)

    def prepares(self) -> None:
        """They do what the page says, and roll that out."""
        pod = deepcopy(self._frontend.deployment()["spec"]["template"]["spec"])
        (container,) = pod["containers"]
        container["volumeMounts"] += self._volume["volumeMounts"]
        pod["volumes"] += self._volume["volumes"]
        if "args" in self._pod["containers"][0]:
            container["args"] = self._pod["containers"][0]["args"]
        prepared = self._prepared
        by_text = {self._without(text): text for text in prepared.values()}
        self._becomes(pod, lambda text: by_text[text])

    def _becomes(self, pod: dict[str, Any], change: Callable[[str], str]) -> None:
        self._frontend.change({"spec": {"template": {"spec": pod}}})
        self._frontend.change_conf(change)
        self._frontend.until_rolled_out(within_s=lives.WITHIN_S)

    def _without(self, text: str) -> str:
        for words in self._added:
            text = anywhere(words).sub("", text)
        return text


class OwnerOfTraefik(Owner):
    """Who has objects of Traefik's besides, and a configuration in YAML."""

    def __init__(self, page: HowTo, frontend: Frontend, plane: ControlPlane) -> None:
        super().__init__(page, frontend, "traefik")
        self._objects, self._plane = page.objects(), plane
        (self._provider,) = (one for one in page.documents() if "providers" in one)
        specs = (one.get("spec", {}) for one in page.documents())
        (self._below,) = (one for one in specs if "parentRefs" in one)
        app = plane.kubectl("get", "--namespace", "web", "ingressroute", "app", "--output=json")
        self._app = json.loads(app)

    def unprepared(self) -> None:
        """Its routers are at the entry points themselves, and nobody is asked for a certificate."""
        at = {"websecure": {"tls": {"secretName": "frontend-tls"}}, "web": {}}
        for (entry_point, tls), name in zip(at.items(), ("app", "app-plain"), strict=True):
            spec = {"entryPoints": [entry_point], "routes": self._app["spec"]["routes"], **tls}
            self._route(name, spec)
        for one in reversed(self._objects):
            self._delete(one["kind"], one["metadata"]["name"])
        super().unprepared()

    def prepares(self) -> None:
        self._plane.apply(self._objects)
        self._route("app", {"routes": self._app["spec"]["routes"], **self._below})
        self._delete("IngressRoute", "app-plain")
        super().prepares()

    def _without(self, text: str) -> str:
        conf = yaml.safe_load(text)
        for name, provider in self._provider["providers"].items():
            assert conf["providers"].pop(name, provider) == provider, name
        without: str = yaml.safe_dump(conf)
        return without

    def _route(self, name: str, spec: dict[str, Any]) -> None:
        metadata = {"name": name, "namespace": "web"}
        kind = {key: self._app[key] for key in ("apiVersion", "kind")}
        self._plane.apply({**kind, "metadata": metadata, "spec": spec})

    def _delete(self, kind: str, name: str) -> None:
        self._plane.kubectl("delete", "--namespace", "web", "--ignore-not-found", kind, name)


@pytest.fixture(params=list(ADDED))
def kind(request: pytest.FixtureRequest) -> str:
    """A server that runs here."""
    name: str = request.param
    if why := servers.why_not(name):
        pytest.skip(why)
    return name


@pytest.fixture
def page(kind: str) -> HowTo:
    """What its reader has."""
    return HowTo(kind)


@pytest.fixture
def helm(page: HowTo, tmp_path: Path) -> Iterator[tuple[Helm, ControlPlane]]:
    """A cluster with the namespaces that the page says must exist, and whoever installs there."""
    with ControlPlane(workloads=True) as plane:
        for command in page.commands("kubectl"):
            if command[:2] == ["create", "namespace"]:
                plane.kubectl(*command)
        plane.kubectl("create", "namespace", "web")
        program = programs.any_of_them(say=lambda _: None)
        yield Helm(program, tmp_path, plane.admin_kubeconfig), plane


def test_the_page_leads_from_nothing_to_hosts_that_refuse_strangers(
    kind: str, page: HowTo, helm: tuple[Helm, ControlPlane], tmp_path: Path
) -> None:
    by_helm, plane = helm
    by_helm.install(RELEASE, NAMESPACE, page.values())
    layout = Layout(workload="Deployment", server=kind, manifests=None)
    with Scene(layout, plane, with_operator=False) as scene:
        frontend = scene.sandbox.frontend
        owner = (
            OwnerOfTraefik(page, frontend, plane)
            if kind == "traefik"
            else Owner(page, frontend, kind)
        )
        owner.unprepared()
        by_helm.upgrade(RELEASE, NAMESPACE, {**page.values(), **of_the_sandbox(scene)})
        with DeployedOperator(plane, tmp_path), scene.visitors(redirects=True) as visitors:
            owner.prepares()
            prepared = frontend.deployment()["spec"]["template"]
            plane.kubectl("apply", "--filename", page.applied())
            scene.until_condition("Ready", "True", within_s=lives.WITHIN_S)
            lives.assert_required(scene)
            scene.remove(within_s=lives.WITHIN_S)
            lives.until_settled(frontend, prepared)
            report = visitors.stop()
        assert report.flawless, str(report)
        assert frontend.config_map() is None
        assert {
            scene.ask_replica(one.https, host, Visitor.NOBODY)
            for one in frontend.replicas()
            for host in HOSTS
        } == {200}
        permissions = account(plane, NAMESPACE, RELEASE)
        assert permissions.denied == (), str(permissions)

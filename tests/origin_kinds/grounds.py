"""Every origin kind, and where it is tried: the one list that names them here."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis.strategies import SearchStrategy

from aop.origins.check import check_path, parse
from aop.origins.gateway_api import GATEWAY_API
from aop.origins.gateway_api.envoy import DOES_NOTHING, IDLE
from aop.origins.gateway_api.proxies import OWNER
from aop.origins.gateway_api.spec import GatewayApi
from aop.origins.ingress_nginx import INGRESS_NGINX
from aop.origins.ingress_nginx.spec import ForeignText, IngressNginx
from aop.origins.ingress_nginx.text import HTTP, SERVER
from aop.origins.workload import APACHE, CADDY, HAPROXY, NGINX, TRAEFIK
from aop.origins.workload.driver import WorkloadDriver
from aop.origins.workload.spec import Workload
from aop.probe import Answer
from aop.terms.names import CLAIMS_ANNOTATION
from origin_kinds.ground import TOKEN, Ground, Json, OriginServer, Place, VisitorLeaf
from origin_kinds.in_memory import (
    CLOSED,
    IN_MEMORY,
    REJECTED,
    RULES,
    InMemory,
    InMemoryServer,
)
from sandbox import debian
from sandbox.plain_apache import PlainApache
from sandbox.plain_caddy import PlainCaddy
from sandbox.plain_envoy import PlainEnvoy
from sandbox.plain_haproxy import PlainHaproxy
from sandbox.plain_nginx import PlainNginx
from sandbox.plain_traefik import PlainTraefik
from sandbox.text_nginx import AskedServer, TextNginx, ask, client_context
from sandbox.waiting import until
from strategies import config_maps

NAMESPACE, NAME = "ingress-nginx", "controller"
"""Where `strategies.config_maps` puts the carrier."""


def object_of(kind: str, name: str, spec: Mapping[str, Any], **more: Any) -> Json:
    """A Kubernetes object beside the carrier."""
    metadata = {"namespace": NAMESPACE, "name": name, "uid": f"uid-{name}"}
    return {"kind": kind, "metadata": metadata, "spec": dict(spec)} | more


def running(name: str, ip: str, spec: Mapping[str, Any]) -> Json:
    """A Ready pod."""
    conditions = [{"type": "Ready", "status": "True"}]
    status = {"phase": "Running", "podIP": ip, "conditions": conditions}
    return object_of("Pod", name, spec, status=status)


def event(pod: Json, reason: str, message: str, at: datetime) -> Json:
    """A Warning about a pod."""
    about = {"uid": pod["metadata"]["uid"], "name": pod["metadata"]["name"]}
    warning = {"type": "Warning", "reason": reason, "message": message}
    return {**warning, "involvedObject": about, "lastTimestamp": at.isoformat()}


def with_data(carrier: Json, **data: str) -> Json:
    """The carrier with other texts in these keys."""
    named = {key.replace("_", "-"): value for key, value in data.items()}
    return carrier | {"data": {**(carrier.get("data") or {}), **named}}


# --- ingress-nginx -----------------------------------------------------------------------------------------------------------------


CLAIMS = dict.fromkeys(
    (
        "X-Forwarded-Tls-Client-Cert",
        "X-SSL-Client-Cert",
        "X-SSL-Client-SHA256",
        "SSL-Client-Cert",
        "SSL-Client-Verify",
        "SSL_CLIENT_CERT",
        "Client-Cert",
    ),
    "claimed",
)
"""By which servers and proxies tell each other what came; here whoever has none says so of itself."""


def asked(
    server: AskedServer, host: str, path: str, visitor: VisitorLeaf | None, *, tls: bool
) -> Answer:
    """What a real server answers."""
    if not tls:
        answers = server.http(host, path, X_Forwarded_Proto="https")
    elif visitor is None:
        answers = server.https(host, path, None, **CLAIMS)
    else:
        answers = server.https(host, path, visitor.path)
    return Answer(answers.status, answers.body, answers.headers.get("location"))


class RealNginx:
    """A real nginx with the text of a carrier, which somebody else reloads."""

    def __init__(self, nginx: TextNginx | PlainNginx) -> None:
        self._nginx = nginx

    def ask(
        self, host: str, path: str, visitor: VisitorLeaf | None = None, *, tls: bool = True
    ) -> Answer:
        return asked(self._nginx, host, path, visitor, tls=tls)

    def resumes_after(self, host: str, carrier: Json) -> bool:
        """That a session ends with a pod which is replaced would prove nothing."""
        connect, reload = self._nginx.connection, self._nginx.reload
        return resumes_after_reload(connect, host, lambda: reload(carrier["data"]))


def resumes_after_reload(
    connect: Callable[[ssl.SSLContext, str, ssl.SSLSession | None], ssl.SSLSocket],
    host: str,
    reload: Callable[[], None],
) -> bool:
    """Whether a TLS session goes on once new workers of an nginx answer."""
    context, check = client_context(None), check_path(TOKEN)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose session is there with the handshake

    def asked_again(session: ssl.SSLSession | None) -> tuple[int, bool, ssl.SSLSession | None]:
        with connect(context, host, session) as connection:
            answer = parse(ask(connection, host, check, {}, close=False).body)
            assert answer is not None
            return answer.revision, bool(connection.session_reused), connection.session

    before, _, session = asked_again(None)
    assert asked_again(session)[1], "sessions are resumed at all, else this proves nothing"
    reload()
    ((_, resumed, _),) = until(
        lambda: [one for one in [asked_again(session)] if one[0] != before],
        within_s=10,
        describe="an answer of a new worker",
    )
    return resumed


class IngressNginxGround:
    """A ConfigMap of a controller, and a real nginx that has its two snippets."""

    kind = INGRESS_NGINX
    lists_hosts = True
    alerts = False
    spec = IngressNginx.model_validate(
        {"configMapRef": {"namespace": NAMESPACE, "name": NAME}, "foreignText": ForeignText.MERGE}
    )
    remembered: Place = ("metadata", "annotations", CLAIMS_ANNOTATION)

    def carriers(self) -> SearchStrategy[Json]:
        # What stands beside ours only as a surprise for the parser is tried with it, not here.
        return config_maps().filter(lambda one: "ssl_verify_client" not in str(one.get("data")))

    def forbidding(self, carrier: Json) -> Iterable[Json]:
        data = carrier.get("data") or {}
        yield with_data(carrier, **{HTTP: "ssl_verify_client on;\n" + data.get(HTTP, "")})
        yield with_data(carrier, **{SERVER: data.get(SERVER, "") + "\nerror_page 496 = @app;"})
        yield deepcopy(carrier) | {"immutable": True}

    def pod(self, name: str, ip: str) -> Json:
        return running(name, ip, {"containers": [{"args": [f"--configmap={NAMESPACE}/{NAME}"]}]})

    def bystander(self, name: str, ip: str) -> Json:
        return running(name, ip, {"containers": [{"args": [f"--configmap={NAMESPACE}/other"]}]})

    def serving(self, *hosts: str) -> tuple[Json, ...]:
        rules = {"ingressClassName": "nginx", "rules": [{"host": host} for host in hosts]}
        return (
            self.pod("controller", "192.0.2.1"),
            object_of("Ingress", "web", rules),
            object_of("IngressClass", "nginx", {"controller": "k8s.io/ingress-nginx"}),
        )

    def complaint(self, pod: Json, carrier: Json, at: datetime, *, ours: bool) -> Json:
        word = "aop_zone" if ours else "their_variable"
        line = f'2026/03/01 12:00:00 [emerg] 25#25: unknown "{word}" variable in /tmp/nginx.conf:7'
        return event(pod, "RELOAD", f"Error reloading NGINX: \n{line}\n", at)

    @contextmanager
    def server(self, folder: Path, carrier: Json, hosts: tuple[str, ...]) -> Iterator[OriginServer]:
        with TextNginx(folder, carrier.get("data") or {}, hosts) as nginx:
            yield RealNginx(nginx)


# --- servers in a workload ----------------------------------------------------------------------------------------------------------


class WorkloadGround:
    """A ConfigMap of ours, a Deployment whose pods mount it, and a real server that takes in its files."""

    remembered: Place = ("metadata", "annotations", CLAIMS_ANNOTATION)
    lists_hosts = False

    def __init__(
        self,
        kind: WorkloadDriver,
        server: Callable[[Path, Json, tuple[str, ...]], AbstractContextManager[OriginServer]],
        *,
        alerts: bool = False,
        **more: Any,
    ) -> None:
        self.kind, self._server, self.alerts = kind, server, alerts
        self.spec: Workload = kind.spec.model_validate(
            {
                "workloadRef": {"kind": "Deployment", "namespace": NAMESPACE, "name": "web"},
                "configMapRef": {"namespace": NAMESPACE, "name": NAME},
                **more,
            }
        )

    def server(
        self, folder: Path, carrier: Json, hosts: tuple[str, ...]
    ) -> AbstractContextManager[OriginServer]:
        """Skips where there is none."""
        if why := debian.why_not(self.kind.name):
            pytest.skip(why)
        return self._server(folder, carrier, hosts)

    def carriers(self) -> SearchStrategy[Json]:
        # One that others have put something into is refused; what is around that is theirs.
        return config_maps().map(lambda one: {key: one[key] for key in one if key != "data"})

    def forbidding(self, carrier: Json) -> Iterable[Json]:
        yield with_data(carrier, theirs="x")
        yield deepcopy(carrier) | {"binaryData": {"theirs": "eA=="}}
        yield deepcopy(carrier) | {"immutable": True}

    def pod(self, name: str, ip: str) -> Json:
        return mounting(name, ip, NAME)

    def bystander(self, name: str, ip: str) -> Json:
        return mounting(name, ip, "other")

    def serving(self, *hosts: str) -> tuple[Json, ...]:
        return (self.pod("web", "192.0.2.1"),)

    def complaint(self, pod: Json, carrier: Json, at: datetime, *, ours: bool) -> Json:
        if ours:
            return event(pod, "BackOff", "Back-off restarting failed container web in pod", at)
        return event(pod, "Failed", 'Failed to pull image "web": not found', at)


@contextmanager
def plain_nginx(folder: Path, carrier: Json, hosts: tuple[str, ...]) -> Iterator[OriginServer]:
    """A real nginx with the carrier's files."""
    with PlainNginx(folder, carrier.get("data") or {}, hosts) as nginx:
        yield RealNginx(nginx)


class WithoutResumption:
    """A real server that resumes no TLS session of anybody it asks for a certificate."""

    def __init__(self, server: AskedServer) -> None:
        self._server = server

    def ask(
        self, host: str, path: str, visitor: VisitorLeaf | None = None, *, tls: bool = True
    ) -> Answer:
        return asked(self._server, host, path, visitor, tls=tls)

    def resumes_after(self, host: str, carrier: Json) -> bool:
        context = client_context(None)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with self._server.connection(context, host) as connection:
            session = connection.session
        with self._server.connection(context, host, session) as connection:
            return bool(connection.session_reused)


class Restarted(WithoutResumption):
    """A real server whose sessions end with its process."""

    def __init__(self, server: PlainHaproxy | PlainApache) -> None:
        super().__init__(server)
        self._restarted = server

    def resumes_after(self, host: str, carrier: Json) -> bool:
        context = client_context(None)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with self._server.connection(context, host) as connection:
            session = connection.session
        with self._server.connection(context, host, session) as connection:
            assert connection.session_reused, (
                "sessions are resumed at all, else this proves nothing"
            )
        self._restarted.restart(carrier["data"])
        with self._server.connection(context, host, session) as connection:
            return bool(connection.session_reused)


@contextmanager
def plain_caddy(folder: Path, carrier: Json, hosts: tuple[str, ...]) -> Iterator[OriginServer]:
    """A real Caddy with the carrier's files."""
    with PlainCaddy(folder, carrier.get("data") or {}, hosts) as server:
        yield WithoutResumption(server)


@contextmanager
def plain_traefik(folder: Path, carrier: Json, hosts: tuple[str, ...]) -> Iterator[OriginServer]:
    """A real Traefik with the carrier's files."""
    with PlainTraefik(folder, carrier.get("data") or {}, hosts) as server:
        yield WithoutResumption(server)


@contextmanager
def plain_haproxy(folder: Path, carrier: Json, hosts: tuple[str, ...]) -> Iterator[OriginServer]:
    """A real HAProxy with the carrier's files."""
    with PlainHaproxy(folder, carrier.get("data") or {}, hosts) as server:
        yield Restarted(server)


@contextmanager
def plain_apache(folder: Path, carrier: Json, hosts: tuple[str, ...]) -> Iterator[OriginServer]:
    """A real Apache with the carrier's files."""
    with PlainApache(folder, carrier.get("data") or {}, hosts) as server:
        yield Restarted(server)


def mounting(name: str, ip: str, config_map: str) -> Json:
    """A Ready pod of nobody's that mounts a ConfigMap."""
    volumes = [{"name": "aop", "configMap": {"name": config_map, "optional": True}}]
    container = {"name": "web", "volumeMounts": [{"name": "aop", "mountPath": "/etc/web/aop"}]}
    return running(name, ip, {"volumes": volumes, "containers": [container]})


# --- a Gateway of Envoy Gateway ----------------------------------------------------------------------------------------------------


class GatewayGround:
    """A ConfigMap with the function that does nothing, proxies of a Gateway, and a real Envoy that runs its script."""

    kind = GATEWAY_API
    lists_hosts = True
    alerts = False
    spec = GatewayApi.model_validate(
        {
            "gatewayRef": {"namespace": NAMESPACE, "name": "web"},
            "configMapRef": {"namespace": NAMESPACE, "name": NAME},
        }
    )
    remembered: Place = ("metadata", "annotations", CLAIMS_ANNOTATION)

    def carriers(self) -> SearchStrategy[Json]:
        return config_maps().map(lambda one: one | {"data": {IDLE: DOES_NOTHING}})

    def forbidding(self, carrier: Json) -> Iterable[Json]:
        yield with_data(carrier, theirs="x")
        yield deepcopy(carrier) | {"binaryData": {"theirs": "eA=="}}
        yield deepcopy(carrier) | {"immutable": True}

    def pod(self, name: str, ip: str) -> Json:
        return proxy_of("web", name, ip)

    def bystander(self, name: str, ip: str) -> Json:
        return proxy_of("other", name, ip)

    def serving(self, *hosts: str) -> tuple[Json, ...]:
        route = {"parentRefs": [{"name": "web"}], "hostnames": list(hosts)}
        return (
            self.pod("web", "192.0.2.1"),
            policy_of("web", NAME),
            object_of("HTTPRoute", "web", route),
        )

    def complaint(self, pod: Json, carrier: Json, at: datetime, *, ours: bool) -> Json:
        if ours:
            return event(pod, "BackOff", "Back-off restarting failed container envoy in pod", at)
        return event(pod, "Failed", 'Failed to pull image "envoy": not found', at)

    @contextmanager
    def server(self, folder: Path, carrier: Json, hosts: tuple[str, ...]) -> Iterator[OriginServer]:
        with PlainEnvoy(folder, carrier.get("data") or {}, hosts) as server:
            yield WithoutResumption(server)


def proxy_of(gateway: str, name: str, ip: str) -> Json:
    """A Ready proxy of a Gateway."""
    pod = running(name, ip, {"containers": [{"name": "envoy"}]})
    pod["metadata"]["labels"] = {f"{OWNER}-namespace": NAMESPACE, f"{OWNER}-name": gateway}
    return pod


def policy_of(gateway: str, config_map: str) -> Json:
    """A policy that has all routes of a Gateway run the script of a ConfigMap."""
    script = {
        "type": "ValueRef",
        "valueRef": {"group": "", "kind": "ConfigMap", "name": config_map},
    }
    spec = {"targetRefs": [{"kind": "Gateway", "name": gateway}], "lua": [script]}
    return object_of("EnvoyExtensionPolicy", "aop", spec)


# --- in memory ---------------------------------------------------------------------------------------------------------------------


class InMemoryGround:
    """A ConfigMap with our key among those of others."""

    kind = IN_MEMORY
    lists_hosts = True
    alerts = False
    spec = InMemory.model_validate({"rulesRef": {"namespace": NAMESPACE, "name": NAME}})
    remembered: Place = ("metadata", "annotations", CLAIMS_ANNOTATION)

    def carriers(self) -> SearchStrategy[Json]:
        return config_maps()

    def forbidding(self, carrier: Json) -> Iterable[Json]:
        yield with_data(carrier, **{CLOSED: "true"})

    def pod(self, name: str, ip: str) -> Json:
        return running(name, ip, {"reads": NAME})

    def bystander(self, name: str, ip: str) -> Json:
        return running(name, ip, {"reads": "other"})

    def serving(self, *hosts: str) -> tuple[Json, ...]:
        return (object_of("Ingress", "web", {"rules": [{"host": host} for host in hosts]}),)

    def complaint(self, pod: Json, carrier: Json, at: datetime, *, ours: bool) -> Json:
        line = carrier["data"][RULES].splitlines()[-1] if ours else "a rule of theirs"
        return event(pod, REJECTED, line, at)

    @contextmanager
    def server(self, folder: Path, carrier: Json, hosts: tuple[str, ...]) -> Iterator[OriginServer]:
        yield Asked(carrier, hosts)


class Asked:
    """The server in memory, asked as any other is."""

    def __init__(self, carrier: Json, hosts: tuple[str, ...]) -> None:
        self._hosts = hosts
        self._server = InMemoryServer((carrier.get("data") or {}).get(RULES, ""), hosts)

    def ask(
        self, host: str, path: str, visitor: VisitorLeaf | None = None, *, tls: bool = True
    ) -> Answer:
        return self._server.ask(host, path, visitor.pin if visitor else None, tls=tls)

    def resumes_after(self, host: str, carrier: Json) -> bool:
        self._server = InMemoryServer(carrier["data"][RULES], self._hosts)
        return True  # what was presented once is believed for as long as a session lives


GROUNDS: tuple[Ground, ...] = (
    IngressNginxGround(),
    WorkloadGround(NGINX, plain_nginx),
    WorkloadGround(CADDY, plain_caddy),
    WorkloadGround(TRAEFIK, plain_traefik, routers={"https": "aop@file", "http": "aop-plain@file"}),
    WorkloadGround(APACHE, plain_apache, alerts=True),
    WorkloadGround(HAPROXY, plain_haproxy),
    GatewayGround(),
    InMemoryGround(),
)

"""What a user writes about a server in a workload: the same for every server."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from aop.origins.rules import Parents
from aop.schema import LabelName, Model, ObjectName, Rule, matching
from aop.terms import Kind, ObjectKey

Port = Annotated[int, Field(ge=1, le=65535)]


class WorkloadKind(StrEnum):
    """What keeps the pods running."""

    DEPLOYMENT = "Deployment"
    """Its pods are replaced as its strategy says."""
    STATEFUL_SET = "StatefulSet"
    """Its pods are replaced one after the other."""
    DAEMON_SET = "DaemonSet"
    """Its pods are replaced node by node."""

    @property
    def resource(self) -> Kind:
        """The kind as Kubernetes serves it."""
        return Kind[self.name]


class Apply(StrEnum):
    """Who makes the server read what was written."""

    ROLLOUT = "Rollout"
    """The operator has the workload's controller replace the pods."""
    RELOAD = "Reload"
    """Somebody else reloads the server; the operator only watches what its replicas answer."""


class WorkloadRef(Model):
    """The workload whose pods serve."""

    kind: WorkloadKind
    """Deployment, StatefulSet or DaemonSet."""
    namespace: LabelName
    """Namespace of the workload; it may differ from that of the AuthenticatedOriginPull."""
    name: ObjectName
    """Name of the workload."""

    @property
    def key(self) -> ObjectKey:
        """Where it is."""
        return ObjectKey(self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class MountedConfigMapRef(Model):
    """The ConfigMap that the operator creates and the workload mounts."""

    namespace: LabelName
    """Namespace of the ConfigMap: that of the workload."""
    name: LabelName
    """Name of the ConfigMap; it also names an annotation on the pod template."""

    @property
    def key(self) -> ObjectKey:
        """Where it is."""
        return ObjectKey(self.namespace, self.name)


class Ports(Model):
    """Where a pod of the workload listens."""

    https: Port = 443
    """Port of the pod on which the server accepts TLS."""
    http: Port = 80
    """Port of the pod on which the server accepts plaintext."""

    rules = (
        Rule(
            "self.https != self.http",
            "write two different ports",
            lambda ports: ports.https != ports.http,
        ),
    )


@dataclass(frozen=True, slots=True)
class Place:
    """What is to be known of a server beside the claims on it."""

    ports: Ports = field(default_factory=Ports)
    parents: Parents = field(default_factory=Parents)
    gateway: str = ""
    """The Gateway whose proxies serve; empty: the server is none."""


class Placed(Model):
    """A server that is configured through a ConfigMap."""

    @property
    def place(self) -> Place:
        """Where the pods listen, and what our text is attached to there."""
        return Place()


class Workload(Placed):
    """A server in a workload, configured through a ConfigMap that the operator creates."""

    workload_ref: WorkloadRef
    """The workload whose pods serve. Its pod template must mount the ConfigMap as an optional
    volume."""
    config_map_ref: MountedConfigMapRef
    """The ConfigMap that the operator creates, writes and deletes. It must not exist yet, or be
    empty."""
    ports: Ports = Field(
        # Whole: the API server tries the rule on it before it fills in what is left out.
        default_factory=Ports,
        json_schema_extra={"default": {"https": 443, "http": 80}},
    )
    """Where the pods listen."""
    apply: Apply = Apply.ROLLOUT
    """How a change takes effect. Rollout: the operator changes an annotation on the pod template,
    and the workload's controller replaces the pods. Reload: somebody else reloads the server in
    every pod."""

    may_reload: ClassVar[bool] = True
    """Whether old connections end when somebody else reloads it."""

    @property
    def place(self) -> Place:
        """As `Placed` says."""
        return Place(self.ports)

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.workloadRef.__namespace__ == self.configMapRef.__namespace__",
            "write the same namespace in workloadRef and configMapRef: a pod mounts ConfigMaps of its own namespace",
            lambda it: it.workload_ref.namespace == it.config_map_ref.namespace,
        ),
    )


class Nginx(Workload):
    """NGINX in a workload, configured through a ConfigMap that the operator creates."""


class Apache(Workload):
    """Apache httpd in a workload, configured through a ConfigMap that the operator creates."""


class Haproxy(Workload):
    """HAProxy in a workload, configured through a ConfigMap that the operator creates."""


class Caddy(Workload):
    """Caddy in a workload, configured through a ConfigMap that the operator creates."""


RouterName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    matching(
        "[A-Za-z0-9._-]+@[a-z]+",
        "write the name of a router as Traefik's API and dashboard show it, such as aop@file",
    ),
]


class Routers(Model):
    """The two routers of the user's that are the parents of the operator's."""

    https: RouterName
    """The router that accepts TLS, as Traefik's API and dashboard name it. Its middlewares put the
    client certificate into a header."""
    http: RouterName | None = None
    """The router that accepts plaintext. Leave it out if plaintext does not reach the
    applications."""

    rules = (
        Rule(
            "!has(self.http) || self.https != self.http",
            "write two different routers, or leave out http: the router for plaintext takes what is redirected to https",
            lambda routers: routers.https != routers.http,
        ),
    )


class Traefik(Workload):
    """Traefik in a workload, configured through a ConfigMap that the operator creates."""

    routers: Routers
    """The parent routers of the applications' routers."""
    may_reload: ClassVar[bool] = False

    rules = (
        *Workload.rules,
        Rule(
            "self.apply == 'Rollout'",
            "write apply: Rollout, or leave it out: Traefik keeps its old connections, which end only with its pods",
            lambda it: it.apply is Apply.ROLLOUT,
        ),
    )

    @property
    def place(self) -> Place:
        """As `Workload` says."""
        return Place(self.ports, Parents(self.routers.https, self.routers.http or ""))

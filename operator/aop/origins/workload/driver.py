"""The driver of servers in workloads: one, made once for each dialect."""

from __future__ import annotations

from aop.origins.kind import Capabilities, Words
from aop.origins.sites import Objects, Read, Scope
from aop.origins.workload.apache import ApacheDialect
from aop.origins.workload.caddy import CaddyDialect
from aop.origins.workload.dialect import Dialect
from aop.origins.workload.haproxy import HaproxyDialect
from aop.origins.workload.nginx import NginxDialect
from aop.origins.workload.pods import serving
from aop.origins.workload.site import WorkloadSite
from aop.origins.workload.spec import Apache, Apply, Caddy, Haproxy, Nginx, Traefik, Workload
from aop.origins.workload.stored import read
from aop.origins.workload.templates import KINDS, template_of
from aop.origins.workload.traefik import TraefikDialect
from aop.schema import Model
from aop.terms import Kind, Target


class WorkloadDriver:
    """The driver of one server; it has no state."""

    reference = "configMapRef"
    carried_by = Kind.CONFIG_MAP
    rolls_out = KINDS

    def __init__(self, name: str, spec: type[Workload], dialect: Dialect) -> None:
        self._name = name
        self._spec = spec
        self._dialect = dialect

    @property
    def name(self) -> str:
        """Its name in the resource."""
        return self._name

    @property
    def spec(self) -> type[Workload]:
        """What a user writes about it."""
        return self._spec

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do."""
        return self._dialect.capabilities

    def target(self, spec: Workload) -> Target:
        """The ConfigMap of ours."""
        return Target(self._name, *spec.config_map_ref.key)

    def words(self, target: Target) -> Words:
        """The words in which messages name the origin."""
        place = f"ConfigMap {target.key}"
        return Words(
            place=place,
            missing="The operator creates it when it first configures the origin",
            not_allowed="Add the workload to the chart's value workloads, or the ConfigMap to the operator's setting AOP_INGRESS_CONFIG_MAPS",
            unreached="The server listens on other ports than the origin names, the pod hangs, its node is cut off, or a NetworkPolicy is in the way",
            in_place=self._dialect.in_place,
            unread=f"no pod mounts {place}, so no server reads it. Start the workload's pods, or mount it in their template, with optional: true",
            unready="Look at the logs and the Events of these pods",
            rejected="See the logs and the Events of the workload's new pods",
            ours=f"the operator's annotations and the keys {' and '.join(self._dialect.files)}",
        )

    def carrier(self, target: Target) -> Read:
        """The ConfigMap."""
        return Read(self.carried_by, target.namespace, target.name)

    def reads(self, target: Target, scope: Scope) -> tuple[Read, ...]:
        """The ConfigMap, the pods and workloads beside it, and what the server's dialect reads."""
        return (
            self.carrier(target),
            Read(Kind.POD, target.namespace),
            *(Read(kind, target.namespace) for kind in KINDS),
            *self._dialect.reads(scope),
        )

    def site(self, target: Target, objects: Objects, spec: Model | None = None) -> WorkloadSite:
        """The workload, as these objects say it."""
        config_map = next(iter(objects.get(self.carrier(target)) or ()), None)
        published = read(config_map, self._dialect)
        templates = (
            template_of(kind, workload, target.name)
            for kind in KINDS
            for workload in objects.get(Read(kind, target.namespace)) or ()
        )
        return WorkloadSite(
            self._name,
            target.key,
            self._dialect,
            config_map,
            published,
            pods=serving(objects.get(Read(Kind.POD, target.namespace)) or (), target.name),
            templates=tuple(one for one in templates if one.mounts or one.mark is not None),
            place=spec.place if isinstance(spec, Workload) else published.place,
            apply=spec.apply if isinstance(spec, Workload) else Apply.ROLLOUT,
            objects=objects,
        )

    def refuses_certificate(self, status: int, body: str) -> bool:
        """As `kind.OriginKind` says."""
        return self._dialect.refuses_certificate(status, body)

    def refuses_arrival(self, status: int, body: str) -> bool:
        """As `kind.OriginKind` says."""
        return self._dialect.refuses_arrival(status, body)


NGINX = WorkloadDriver("nginx", Nginx, NginxDialect())
APACHE = WorkloadDriver("apache", Apache, ApacheDialect())
HAPROXY = WorkloadDriver("haproxy", Haproxy, HaproxyDialect())
CADDY = WorkloadDriver("caddy", Caddy, CaddyDialect())
TRAEFIK = WorkloadDriver("traefik", Traefik, TraefikDialect())

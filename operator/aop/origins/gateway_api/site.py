"""One Gateway with its ConfigMap and its proxies at one moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from aop.origins.gateway_api import policies
from aop.origins.gateway_api.gateways import Gateways
from aop.origins.gateway_api.routes import Routes
from aop.origins.gateway_api.spec import GatewayApi
from aop.origins.sites import Json, Rejection, Replica, ServedHosts
from aop.origins.workload import stored
from aop.origins.workload.site import WorkloadSite
from aop.schema import Model
from aop.terms import ObjectKey


@dataclass(frozen=True, slots=True)
class GatewaySite(WorkloadSite):
    """A Gateway: like a server in a workload whose pods nobody replaces for us."""

    policies: tuple[Json, ...] | None
    """Envoy Gateway's policies in the Gateway's namespace; None: they cannot be read."""
    gateways: Gateways
    routes: Routes | None
    """None: they cannot be read."""
    around: tuple[Json, ...]
    """All pods in the namespaces in which proxies run."""

    def hosts(self, zone: str, patterns: Collection[str], also: Collection[str]) -> ServedHosts:
        """As `kind.Site` says: those of the routes, and those that are named."""
        routed = self.routes.hosts_under(patterns) if self.routes and self.pods else ()
        return WorkloadSite.hosts(self, zone, patterns, (*also, *routed))

    def unread(self) -> str | None:
        """As `kind.Site` says: there is no Gateway, or not one that this kind serves."""
        return self.gateways.unread(self._gateway, self.around) if self.place.gateway else None

    def unserved(self, hosts: Collection[str]) -> Mapping[str, str]:
        """As `kind.Site` says: no route has such a name."""
        if self.routes is None:
            return {}
        return {
            host: f"no HTTPRoute or GRPCRoute of Gateway {self._gateway} serves it. Add one, or take the host out of spec.hostnames"
            for host in hosts
            if not self.routes.serves(host)
        }

    def left_open(self, patterns: Collection[str]) -> tuple[str, ...]:
        """As `kind.Site` says; on routes with a policy of their own the script does not run."""
        if not self.pods:
            return ()
        beside = policies.left_open(self._running)
        past = self.routes.left_open(patterns) if self.routes else ()
        return tuple(sorted({*WorkloadSite.left_open(self, patterns), *beside, *past}))

    def unnamed(self, wildcards: Iterable[str]) -> Iterator[str]:
        """Names under a wildcard that some route accepts without naming them."""
        if self.routes is None:
            yield from WorkloadSite.unnamed(self, wildcards)
            return
        for wildcard in wildcards:
            if self.routes.takes_more_under(wildcard):
                yield f"no certificate is required for names under {wildcard} that neither a route nor spec.hostnames nor verification.samples names"

    def objection(self, spec: Model | None) -> str | None:
        """What others have put into the ConfigMap, or why no proxy would run what is written."""
        if why := stored.objection(self.config_map, self.published, self.key):
            return why
        if self.policies is None or not self.pods or not isinstance(spec, GatewayApi):
            return None
        if not self._running:
            return f"no EnvoyExtensionPolicy of namespace {self.key.namespace} has Gateway {self.place.gateway} run the Lua of ConfigMap {self.key}. Add it"
        return policies.not_accepted(self._running, self.key.name, doubtful=self._doubtful)

    def rejection(
        self, events: Iterable[Json], replica: Replica, since: datetime
    ) -> Rejection | None:
        """As `kind.Site` says: why a proxy does not start, or the script is not accepted."""
        failed = WorkloadSite.rejection(self, events, replica, since)
        if failed is not None:
            return failed
        return policies.rejection(self._running, self.key.name, since, doubtful=self._doubtful)

    @property
    def _gateway(self) -> ObjectKey:
        return ObjectKey(self.key.namespace, self.place.gateway)

    @property
    def _running(self) -> tuple[Json, ...]:
        """The policies that make the Gateway run the script."""
        return policies.running(
            self.policies or (),
            self.place.gateway,
            self.gateways.labels_of(self.place.gateway),
            self.key.name,
        )

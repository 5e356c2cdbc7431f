"""One Gateway with its ConfigMap and its proxies at one moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from aop.origins.gateway_api import policies
from aop.origins.gateway_api.spec import GatewayApi
from aop.origins.sites import Json, Rejection, Replica
from aop.origins.workload import stored
from aop.origins.workload.site import WorkloadSite
from aop.schema import Model


@dataclass(frozen=True, slots=True)
class GatewaySite(WorkloadSite):
    """A Gateway: as a server in a workload whose pods nobody replaces for us."""

    policies: tuple[Json, ...] | None
    """Of Envoy Gateway, in the Gateway's namespace; None: they cannot be read."""

    def left_open(self, patterns: Collection[str]) -> tuple[str, ...]:
        """As `kind.Site` says; on routes with a policy of their own the script does not run."""
        if not self.pods:
            return ()
        beside = policies.left_open(self._running)
        return tuple(sorted((*WorkloadSite.left_open(self, patterns), *beside)))

    def objection(self, spec: Model | None) -> str | None:
        """What others have put into the ConfigMap, or why no proxy would run what is written."""
        if why := stored.objection(self.config_map, self.published, self.key):
            return why
        if self.policies is None or not self.pods or not isinstance(spec, GatewayApi):
            return None
        if not self._running:
            return f"no EnvoyExtensionPolicy of namespace {self.key.namespace} has Gateway {self.place.gateway} run the Lua of ConfigMap {self.key}. Add it"
        return None if self.published.standing else policies.not_accepted(self._running)

    def rejection(
        self, events: Iterable[Json], replica: Replica, since: datetime
    ) -> Rejection | None:
        """As `kind.Site` says: why a proxy does not start, or Envoy Gateway takes no script."""
        failed = WorkloadSite.rejection(self, events, replica, since)
        if failed is not None:
            return failed
        return policies.rejection(self._running, since, doubtful=self._doubtful)

    @property
    def _running(self) -> tuple[Json, ...]:
        """The policies that have the Gateway run the script."""
        return policies.running(self.policies or (), self.place.gateway, self.key.name)

"""The door's Gateway API."""

from __future__ import annotations

from aop.origins.gateway_api.envoy import SCRIPT, EnvoyDialect
from aop.origins.gateway_api.proxies import serving
from aop.origins.gateway_api.site import GatewaySite
from aop.origins.gateway_api.spec import GatewayApi
from aop.origins.kind import Capabilities, Words
from aop.origins.sites import Need, Objects, Read, Scope
from aop.origins.workload.spec import Apply
from aop.origins.workload.stored import read
from aop.schema import Model
from aop.terms import Kind, ObjectKey, Target


class GatewayApiDriver:
    """The driver of a Gateway; it has no state."""

    name = "gatewayAPI"
    spec = GatewayApi
    reference = "configMapRef"
    carried_by = Kind.CONFIG_MAP
    rolls_out: tuple[Kind, ...] = ()

    def __init__(self) -> None:
        self._dialect = EnvoyDialect()

    @property
    def capabilities(self) -> Capabilities:
        """What Envoy can do."""
        return self._dialect.capabilities

    def target(self, spec: GatewayApi) -> Target:
        """The ConfigMap that the policy names."""
        return Target(self.name, *spec.config_map_ref.key)

    def words(self, target: Target) -> Words:
        """How messages speak of the origin."""
        return Words(
            place=f"ConfigMap {target.key}",
            missing="Create it, with a key none that holds a function which does nothing: while it is missing, Envoy Gateway answers 500 to everybody",
            not_allowed="Add the Gateway to the chart's value gateways, or the ConfigMap to the operator's setting AOP_INGRESS_CONFIG_MAPS",
            unread=(
                f"no pod of namespace {target.namespace} is a proxy that Envoy Gateway runs for the Gateway in gatewayRef. Use a class of Envoy Gateway's, and have "
                "it run the proxies in the Gateway's namespace"
            ),
            unready="Look at the logs and the Events of these pods",
            rejected="See the status of the EnvoyExtensionPolicy",
            ours=f"the operator's annotations and the key {SCRIPT}",
        )

    def carrier(self, target: Target) -> Read:
        """The ConfigMap."""
        return Read(self.carried_by, target.namespace, target.name)

    def reads(self, target: Target, scope: Scope) -> tuple[Read, ...]:  # noqa: ARG002 - everything is in one namespace
        """The ConfigMap, and the proxies and policies beside it."""
        return (
            self.carrier(target),
            Read(Kind.POD, target.namespace),
            self._policies(target),
        )

    def site(self, target: Target, objects: Objects, spec: Model | None = None) -> GatewaySite:
        """The Gateway, as these objects say it."""
        config_map = next(iter(objects.get(self.carrier(target)) or ()), None)
        published = read(config_map, self._dialect)
        place = spec.place if isinstance(spec, GatewayApi) else published.place
        gateway = ObjectKey(target.namespace, place.gateway)
        return GatewaySite(
            self.name,
            target.key,
            self._dialect,
            config_map,
            published,
            pods=serving(objects.get(Read(Kind.POD, target.namespace)) or (), gateway),
            templates=(),
            place=place,
            apply=Apply.RELOAD,
            objects=objects,
            policies=objects.get(self._policies(target)),
        )

    def refuses_certificate(self, status: int, body: str) -> bool:
        """As `kind.OriginKind` says."""
        return self._dialect.refuses_certificate(status, body)

    def refuses_arrival(self, status: int, body: str) -> bool:
        """As `kind.OriginKind` says."""
        return self._dialect.refuses_arrival(status, body)

    def _policies(self, target: Target) -> Read:
        return Read(Kind.ENVOY_EXTENSION_POLICY, target.namespace, need=Need.OPTIONAL)


GATEWAY_API = GatewayApiDriver()

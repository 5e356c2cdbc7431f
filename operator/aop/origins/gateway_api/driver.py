"""The driver of the Gateway API."""

from __future__ import annotations

from aop.origins.gateway_api.envoy import SCRIPT, EnvoyDialect
from aop.origins.gateway_api.gateways import Gateways
from aop.origins.gateway_api.proxies import serving
from aop.origins.gateway_api.routes import Routes
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
        """The words in which messages name the origin."""
        return Words(
            place=f"ConfigMap {target.key}",
            missing="Create it, with a key none that holds a function which does nothing: while it is missing, Envoy Gateway answers 500 to everybody",
            not_allowed="Add the Gateway to the chart's value gateways, or the ConfigMap to the operator's setting AOP_INGRESS_CONFIG_MAPS",
            unread=(
                "no pod that the operator sees is a proxy that Envoy Gateway runs for the Gateway in gatewayRef. Name the namespace in which it runs them in the "
                "operator's setting AOP_PROXY_NAMESPACES (with Helm: proxyNamespace in gateways)"
            ),
            unready="Look at the logs and the Events of these pods",
            rejected="See the status of the EnvoyExtensionPolicy",
            ours=f"the operator's annotations and the key {SCRIPT}",
        )

    def carrier(self, target: Target) -> Read:
        """The ConfigMap."""
        return Read(self.carried_by, target.namespace, target.name)

    def reads(self, target: Target, scope: Scope) -> tuple[Read, ...]:
        """The ConfigMap, the Gateway and the policies beside it, the proxies, and the routes.

        Routes may be in any namespace, and classes are in none.
        """
        routes = (*_ROUTES, _CLASSES, _LISTENER_SETS) if scope.routes else ()
        return (
            self.carrier(target),
            *(Read(Kind.POD, one) for one in scope.proxies or (target.namespace,)),
            self._policies(target),
            self._gateways(target),
            *routes,
        )

    def site(self, target: Target, objects: Objects, spec: Model | None = None) -> GatewaySite:
        """The Gateway, as these objects say it."""
        config_map = next(iter(objects.get(self.carrier(target)) or ()), None)
        published = read(config_map, self._dialect)
        place = spec.place if isinstance(spec, GatewayApi) else published.place
        gateway = ObjectKey(target.namespace, place.gateway)
        gateways = Gateways(objects.get(self._gateways(target)), objects.get(_CLASSES))
        pods = tuple(
            pod for read, listed in objects.items() if read.kind is Kind.POD for pod in listed or ()
        )
        return GatewaySite(
            self.name,
            target.key,
            self._dialect,
            config_map,
            published,
            pods=serving(pods, gateway),
            templates=(),
            place=place,
            apply=Apply.RELOAD,
            objects=objects,
            policies=objects.get(self._policies(target)),
            gateways=gateways,
            routes=_routes(objects, gateway, gateways),
            around=pods,
        )

    def refuses_certificate(self, status: int, body: str) -> bool:
        """As `kind.OriginKind` says."""
        return self._dialect.refuses_certificate(status, body)

    def refuses_arrival(self, status: int, body: str) -> bool:
        """As `kind.OriginKind` says."""
        return self._dialect.refuses_arrival(status, body)

    def _policies(self, target: Target) -> Read:
        return Read(Kind.ENVOY_EXTENSION_POLICY, target.namespace, need=Need.OPTIONAL, prompt=True)

    def _gateways(self, target: Target) -> Read:
        return Read(Kind.GATEWAY, target.namespace, need=Need.OPTIONAL)


def _routes(objects: Objects, gateway: ObjectKey, gateways: Gateways) -> Routes | None:
    """The routes; None if they cannot all be read."""
    listed = {read.kind: objects.get(read) for read in _ROUTES}
    if None in listed.values():
        return None
    each = ((kind.title, route) for kind, routes in listed.items() for route in routes or ())
    listener_sets = objects.get(_LISTENER_SETS) or ()
    return Routes(each, gateway, gateways.listeners_of(gateway.name), listener_sets)


_ROUTES = tuple(Read(kind, need=Need.AWAITED) for kind in (Kind.HTTP_ROUTE, Kind.GRPC_ROUTE))
_CLASSES = Read(Kind.GATEWAY_CLASS, need=Need.OPTIONAL)
_LISTENER_SETS = Read(Kind.LISTENER_SET, need=Need.OPTIONAL)
GATEWAY_API = GatewayApiDriver()

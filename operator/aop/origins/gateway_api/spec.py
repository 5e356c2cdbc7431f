"""What a user writes about a Gateway."""

from __future__ import annotations

from pydantic import Field

from aop.origins.workload.spec import Place, Placed, Port, Ports
from aop.schema import LabelName, Model, Rule
from aop.terms import ObjectKey


class GatewayRef(Model):
    """The Gateway whose proxies serve."""

    namespace: LabelName
    """Namespace of the Gateway; it may differ from that of the AuthenticatedOriginPull."""
    name: LabelName
    """Name of the Gateway."""


class LuaConfigMapRef(Model):
    """The ConfigMap that an EnvoyExtensionPolicy on the Gateway names."""

    namespace: LabelName
    """Namespace of the ConfigMap: that of the Gateway."""
    name: LabelName
    """Name of the ConfigMap."""

    @property
    def key(self) -> ObjectKey:
        """Where it is."""
        return ObjectKey(self.namespace, self.name)


class GatewayPorts(Ports):
    """Where a proxy listens, which is not where its Service does."""

    https: Port = 10443
    """Port of the pod on which Envoy accepts TLS. Envoy Gateway adds 10000 to a listener's port
    below 1024."""
    http: Port = 10080
    """Port of the pod on which Envoy accepts plaintext."""


class GatewayApi(Placed):
    """A Gateway of Envoy Gateway, configured through a ConfigMap."""

    gateway_ref: GatewayRef
    """The Gateway whose proxies serve."""
    config_map_ref: LuaConfigMapRef
    """The ConfigMap whose key lua the operator writes. You create it, with a key none that holds a
    function which does nothing, and name it in an EnvoyExtensionPolicy on the Gateway."""
    ports: GatewayPorts = Field(
        # Whole: the API server tries the rule on it before it fills in what is left out.
        default_factory=GatewayPorts,
        json_schema_extra={"default": {"https": 10443, "http": 10080}},
    )
    """Where the proxies listen."""

    @property
    def place(self) -> Place:
        """As `Placed` says."""
        return Place(
            Ports(https=self.ports.https, http=self.ports.http), gateway=self.gateway_ref.name
        )

    rules = (
        Rule(
            "self.gatewayRef.__namespace__ == self.configMapRef.__namespace__",
            "write the same namespace in gatewayRef and configMapRef: an EnvoyExtensionPolicy names what is in its own namespace",
            lambda it: it.gateway_ref.namespace == it.config_map_ref.namespace,
        ),
    )

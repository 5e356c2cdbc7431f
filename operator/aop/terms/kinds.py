"""The kinds that the operator touches, and where the API serves them.

The shipped RBAC is checked against this list by a test.
"""

from __future__ import annotations

from enum import Enum

from aop.terms.keys import ObjectKey
from aop.terms.names import GROUP, KIND, PLURAL, VERSION


class Kind(Enum):
    """A resource: its API prefix, its plural, and how people write it."""

    AUTHENTICATED_ORIGIN_PULL = (f"/apis/{GROUP}/{VERSION}", PLURAL, KIND)
    CONFIG_MAP = ("/api/v1", "configmaps", "ConfigMap")
    SECRET = ("/api/v1", "secrets", "Secret")
    POD = ("/api/v1", "pods", "Pod")
    EVENT = ("/api/v1", "events", "Event")
    DEPLOYMENT = ("/apis/apps/v1", "deployments", "Deployment")
    STATEFUL_SET = ("/apis/apps/v1", "statefulsets", "StatefulSet")
    DAEMON_SET = ("/apis/apps/v1", "daemonsets", "DaemonSet")
    INGRESS = ("/apis/networking.k8s.io/v1", "ingresses", "Ingress")
    INGRESS_CLASS = ("/apis/networking.k8s.io/v1", "ingressclasses", "IngressClass")
    INGRESS_ROUTE = ("/apis/traefik.io/v1alpha1", "ingressroutes", "IngressRoute")
    INGRESS_ROUTE_TCP = ("/apis/traefik.io/v1alpha1", "ingressroutetcps", "IngressRouteTCP")
    ENVOY_EXTENSION_POLICY = (
        "/apis/gateway.envoyproxy.io/v1alpha1",
        "envoyextensionpolicies",
        "EnvoyExtensionPolicy",
    )
    GATEWAY = ("/apis/gateway.networking.k8s.io/v1", "gateways", "Gateway")
    GATEWAY_CLASS = ("/apis/gateway.networking.k8s.io/v1", "gatewayclasses", "GatewayClass")
    LISTENER_SET = ("/apis/gateway.networking.k8s.io/v1", "listenersets", "ListenerSet")
    HTTP_ROUTE = ("/apis/gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute")
    GRPC_ROUTE = ("/apis/gateway.networking.k8s.io/v1", "grpcroutes", "GRPCRoute")
    LEASE = ("/apis/coordination.k8s.io/v1", "leases", "Lease")

    @property
    def title(self) -> str:
        """As people write it, such as `ConfigMap`."""
        return self.value[2]

    @property
    def plural(self) -> str:
        """The resource's plural, as in RBAC rules."""
        return self.value[1]

    def collection(self, namespace: str | None = None) -> str:
        """The path of all objects, or of those in one namespace."""
        prefix, plural, _ = self.value
        return f"{prefix}/namespaces/{namespace}/{plural}" if namespace else f"{prefix}/{plural}"

    def object(self, key: ObjectKey, subresource: str = "") -> str:
        """The path of one namespaced object."""
        path = f"{self.collection(key.namespace)}/{key.name}"
        return f"{path}/{subresource}" if subresource else path

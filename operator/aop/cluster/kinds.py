"""The kinds that the operator touches, and where the API serves them.

The shipped RBAC is checked against this list by a test.
"""

from __future__ import annotations

from enum import Enum

from aop.api import GROUP, PLURAL, VERSION
from aop.terms import ObjectKey


class Kind(Enum):
    """A resource: its API prefix and its plural."""

    AUTHENTICATED_ORIGIN_PULL = (f"/apis/{GROUP}/{VERSION}", PLURAL)
    CONFIG_MAP = ("/api/v1", "configmaps")
    SECRET = ("/api/v1", "secrets")
    POD = ("/api/v1", "pods")
    EVENT = ("/api/v1", "events")
    INGRESS = ("/apis/networking.k8s.io/v1", "ingresses")
    INGRESS_CLASS = ("/apis/networking.k8s.io/v1", "ingressclasses")

    @property
    def plural(self) -> str:
        """The resource's plural, as in RBAC rules."""
        return self.value[1]

    def collection(self, namespace: str | None = None) -> str:
        """The path of all objects, or of those in one namespace."""
        prefix, plural = self.value
        return f"{prefix}/namespaces/{namespace}/{plural}" if namespace else f"{prefix}/{plural}"

    def object(self, key: ObjectKey, subresource: str = "") -> str:
        """The path of one namespaced object."""
        path = f"{self.collection(key.namespace)}/{key.name}"
        return f"{path}/{subresource}" if subresource else path

"""What a Gateway and its class say about whose it is, and which names its listeners accept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aop.errors import plain
from aop.origins.attached import Listener, listeners_in
from aop.origins.gateway_api.proxies import serving_a_class
from aop.origins.served import is_under
from aop.origins.sites import Json
from aop.terms import ObjectKey

CONTROLLERS = "gateway.envoyproxy.io/"
"""How the names of Envoy Gateway's controllers begin (facts: envoy-gateway#whose-a-gateway-is)."""


@dataclass(frozen=True, slots=True)
class Gateways:
    """The Gateways of a namespace, and the classes that there are."""

    gateways: tuple[Json, ...] | None
    """None: they cannot be read; so for the classes."""
    classes: tuple[Json, ...] | None

    def unread(self, key: ObjectKey, pods: Iterable[Json]) -> str | None:
        """Why nobody serves Gateway `key`, as a sentence; None if nothing shows that.

        `pods` are those of the namespaces in which proxies run.
        """
        if self.gateways is None:
            return None
        gateway = self._gateway(key.name)
        if gateway is None:
            return f"there is no Gateway {key}. Create it, or correct gatewayRef"
        named = plain(str((gateway.get("spec") or {}).get("gatewayClassName")), _MOST)
        if serving_a_class(pods, named):
            return (
                f"the proxies of GatewayClass {named} serve all of its Gateways together, so the operator cannot tell which are those of Gateway {key}. Give it a class "
                "whose EnvoyProxy does not set mergeGateways"
            )
        if self.classes is None:
            return None
        its = next((one for one in self.classes if one["metadata"].get("name") == named), None)
        if its is None:
            return f"Gateway {key} is of GatewayClass {named}, which does not exist. Create it, or correct the Gateway"
        controller = plain(str((its.get("spec") or {}).get("controllerName")), _MOST)
        if controller.startswith(CONTROLLERS):
            return None
        return (
            f"Gateway {key} is of GatewayClass {named}, whose controller is {controller} and not Envoy Gateway: the operator can configure no other. Name a "
            "Gateway of Envoy Gateway's"
        )

    def labels_of(self, name: str) -> Json | None:
        """Those of a Gateway; None: nobody knows."""
        gateway = self._gateway(name)
        return None if gateway is None else gateway["metadata"].get("labels") or {}

    def listeners_of(self, name: str) -> tuple[Listener, ...] | None:
        """Those of a Gateway; None: nobody knows."""
        gateway = self._gateway(name)
        return None if gateway is None else tuple(listeners_in(gateway))

    def _gateway(self, name: str) -> Json | None:
        return next((one for one in self.gateways or () if one["metadata"]["name"] == name), None)


_MOST = 253
"""How many characters a name in Kubernetes may have."""


def narrower(one: str, other: str) -> str | None:
    """The names that are both in `one` and in `other`, each a name, a wildcard, or empty for all.

    None: there is no such name.
    """
    if not one or not other:
        return one or other
    if is_under(one, (other,)):
        return one
    return other if is_under(other, (one,)) else None

"""The driver of ingress-nginx.

It says what to read, what a controller can do, and how messages name it.
"""

from __future__ import annotations

from aop.origins import nginx
from aop.origins.ingress_nginx.site import ControllerSite
from aop.origins.ingress_nginx.spec import NAME, IngressNginx
from aop.origins.ingress_nginx.text import KEYS
from aop.origins.kind import Capabilities, Words
from aop.origins.sites import Need, Objects, Read, Scope
from aop.schema import Model
from aop.terms import Kind, Target


class IngressNginxDriver:
    """The driver; it has no state."""

    name = NAME
    spec = IngressNginx
    reference = "configMapRef"
    capabilities = Capabilities()
    carried_by = Kind.CONFIG_MAP
    rolls_out = ()

    def target(self, spec: IngressNginx) -> Target:
        """The ConfigMap of the controller."""
        return Target(self.name, *spec.config_map_ref.key)

    def words(self, target: Target) -> Words:
        """The words in which messages name the origin."""
        place = f"ConfigMap {target.key}"
        return Words(
            place=place,
            missing="Create it, or correct configMapRef",
            not_allowed="Add it to the operator's setting AOP_INGRESS_CONFIG_MAPS (with Helm: ingressConfigMaps)",
            unread=f"no controller pod names {place} in --configmap, so no controller reads it. Correct configMapRef",
            unready="Look at the logs of these pods",
            rejected="See the Warning RELOAD Events of the controller's pods",
            ours=f"the operator's annotations and the keys {' and '.join(KEYS)}",
        )

    def carrier(self, target: Target) -> Read:
        """The ConfigMap."""
        return Read(self.carried_by, target.namespace, target.name)

    def reads(self, target: Target, scope: Scope) -> tuple[Read, ...]:
        """The ConfigMap, the pods beside it, and the Ingresses with their classes.

        The classes are cluster-wide.
        """
        classes = (_CLASSES,) if scope.cluster else ()
        return (
            self.carrier(target),
            Read(Kind.POD, target.namespace),
            *scope.reads(Kind.INGRESS, target.namespace, Need.AWAITED),
            *classes,
        )

    def site(self, target: Target, objects: Objects, spec: Model | None = None) -> ControllerSite:  # noqa: ARG002 - its pods say where they listen
        """The controller, as these objects say it."""
        return ControllerSite.of(
            target.key,
            next(iter(objects.get(self.carrier(target)) or ()), None),
            objects.get(Read(Kind.POD, target.namespace)) or (),
            [
                ingress
                for read, ingresses in objects.items()
                if read.kind is Kind.INGRESS
                for ingress in ingresses or ()
            ],
            objects.get(_CLASSES),
        )

    def refuses_certificate(self, status: int, body: str) -> bool:
        """Whether these are nginx's own words."""
        return nginx.refuses_certificate(status, body)

    def refuses_arrival(self, status: int, body: str) -> bool:
        """Whether these are nginx's own words, or 421."""
        return nginx.refuses_arrival(status, body)


_CLASSES = Read(Kind.INGRESS_CLASS, need=Need.OPTIONAL)
INGRESS_NGINX = IngressNginxDriver()

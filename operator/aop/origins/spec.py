"""What a user writes about an origin: a name, and the model of exactly one origin kind.

Part of the resource (`aop.api` puts it under `spec.origins`), but kept here so that adding an
origin kind stays within this package: one field here, one row in `KINDS`, a driver in a package of
its own.
"""

from __future__ import annotations

from pydantic import Field

from aop.origins.gateway_api.spec import GatewayApi
from aop.origins.ingress_nginx.spec import IngressNginx
from aop.origins.kinds import KINDS
from aop.origins.workload.spec import Apache, Caddy, Haproxy, Nginx, Traefik
from aop.schema import LabelName, Model, Rule
from aop.terms import Target


class Origin(Model):
    """One place that the zone's requests arrive at: a name and exactly one origin kind."""

    name: LabelName
    """Name of the origin, unique within the object; messages and status speak of it by this
    name."""
    ingress_nginx: IngressNginx | None = None
    """The origin is an ingress-nginx controller."""
    nginx: Nginx | None = None
    """The origin is NGINX in a workload."""
    apache: Apache | None = None
    """The origin is Apache httpd in a workload."""
    haproxy: Haproxy | None = None
    """The origin is HAProxy in a workload."""
    caddy: Caddy | None = None
    """The origin is Caddy in a workload."""
    traefik: Traefik | None = None
    """The origin is Traefik in a workload."""
    gateway_api: GatewayApi | None = Field(None, alias="gatewayAPI")
    """The origin is a Gateway whose proxies Envoy Gateway runs."""

    rules = (
        Rule(
            f"[{', '.join(f'has(self.{kind})' for kind in KINDS)}].exists_one(x, x)",
            f"write exactly one origin kind: {', '.join(KINDS)}",
            lambda origin: len(origin.kinds) == 1,
        ),
    )

    @property
    def kinds(self) -> dict[str, Model]:
        """What is written for each kind that is set, by its name in the resource.

        There is exactly one in a valid object.
        """
        written = {
            str(info.alias): getattr(self, name) for name, info in type(self).model_fields.items()
        }
        return {kind: spec for kind in KINDS if (spec := written[kind]) is not None}

    @property
    def kind(self) -> str:
        """The one kind that is set, by its name in the resource, such as `ingressNginx`."""
        return next(iter(self.kinds))

    @property
    def spec(self) -> Model:
        """What is written for that kind."""
        return self.kinds[self.kind]

    @property
    def target(self) -> Target:
        """The object that configures the origin."""
        return KINDS[self.kind].target(self.spec)

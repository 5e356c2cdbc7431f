"""Every origin kind, by its name in the resource: the only module that knows the drivers."""

from __future__ import annotations

from collections.abc import Mapping

from aop.origins.gateway_api import GATEWAY_API
from aop.origins.ingress_nginx import INGRESS_NGINX
from aop.origins.kind import OriginKind
from aop.origins.workload import APACHE, CADDY, HAPROXY, NGINX, TRAEFIK

KINDS: Mapping[str, OriginKind] = {
    kind.name: kind for kind in (INGRESS_NGINX, NGINX, APACHE, HAPROXY, CADDY, TRAEFIK, GATEWAY_API)
}

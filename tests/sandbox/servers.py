"""Which servers can be run here, by the names that a `Layout` has for them."""

from __future__ import annotations

from sandbox import debian
from sandbox.envoy_gateway import programs

WORKLOADS = ("nginx", "apache", "haproxy", "caddy", "traefik")
"""In a Deployment of their owner's."""
GATEWAY = "gateway"
"""Behind a Gateway of Envoy Gateway."""


def why_not(server: str) -> str | None:
    """Why tests leave it out here; None if it can be run.

    Raises:
        OSError or `programs.EnvoyGatewayError`: it cannot be run, and nothing may be left out.
    """
    return programs.why_not() if server == GATEWAY else debian.why_not(server)

"""The images that pods on the sandbox's node may name, each with the real program that runs in place of it.

A container has a root and a network of its own; here it is told so. Its configuration is found
below a folder, and what listens on a port of the pod listens on the pod's address.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.cluster import (
    apache_container,
    caddy_container,
    envoy_container,
    haproxy_container,
    nginx_container,
    traefik_container,
)
from sandbox.processes import Child


@dataclass(frozen=True, slots=True)
class Image:
    """How a container of one image is run."""

    start: Callable[[Path, str, Path], Child]
    """Runs it in a root, at an address, with a log; it ends by itself if it does not take its
    configuration, as in a container."""
    reload: Callable[[Path, Child], None]
    """Has it read its configuration again, as a sidecar of the user's would."""
    stop: signal.Signals
    """The image's own STOPSIGNAL: requests that have begun are answered."""


IMAGES: Mapping[str, Image] = {
    "nginx": Image(nginx_container.start, nginx_container.reload, signal.SIGQUIT),
    "httpd": Image(apache_container.start, apache_container.reload, signal.SIGWINCH),
    "haproxy": Image(haproxy_container.start, haproxy_container.reload, signal.SIGUSR1),
    "traefik": Image(traefik_container.start, traefik_container.reload, signal.SIGTERM),
    "docker.io/envoyproxy/envoy": Image(
        envoy_container.start, envoy_container.reload, signal.SIGTERM
    ),
    "caddy": Image(caddy_container.start, caddy_container.reload, signal.SIGTERM),
}


def of(container: Mapping[str, Any]) -> Image:
    """What runs in place of a container."""
    return IMAGES[container["image"].partition(":")[0]]

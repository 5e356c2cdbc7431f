"""A container of the image `traefik`: the real program, with the files that its pod mounts, at the API server of the sandbox."""

from __future__ import annotations

from pathlib import Path

import yaml

from sandbox import traefik
from sandbox.cluster.volumes import ACCOUNT, API_SERVER
from sandbox.processes import Child

CONF = Path("etc/traefik/traefik.yaml")


def start(root: Path, address: str, log: Path) -> Child:
    """Run it, with its file alone (facts: traefik#a-configuration-file)."""
    own = root / CONF
    conf = yaml.safe_load(own.read_text().replace("/etc/traefik/", f"{own.parent}/"))
    for entry_point in conf["entryPoints"].values():
        entry_point["address"] = f"{address}{entry_point['address']}"
    for name, provider in conf["providers"].items():
        if not name.startswith("kubernetes"):
            continue
        provider |= {
            "endpoint": (root / API_SERVER).read_text(),
            "token": (root / ACCOUNT / "token").read_text(),
            "certAuthFilePath": str(root / ACCOUNT / "ca.crt"),
        }
        if name != "kubernetesGateway":
            # The application has an address of this machine alone, which no EndpointSlice may hold.
            provider["allowExternalNameServices"] = True
    conf["global"] = {"checkNewVersion": False, "sendAnonymousUsage": False}
    written = own.parent / "sandbox.yaml"
    written.write_text(yaml.safe_dump(conf))
    command: list[str | Path] = [traefik.find(), f"--configFile={written}"]
    return Child(command, log=log, env=traefik.environment(root))


def reload(_root: Path, _child: Child) -> None:
    """Nothing: it watches the folders of its file provider."""

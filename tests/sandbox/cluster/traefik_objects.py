"""What Traefik's Kubernetes provider needs in a cluster beside what its owner writes: its definitions, and an application."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.ingress_nginx import backend, programs
from sandbox.kubernetes.plane import ControlPlane
from sandbox.ports import free_port
from sandbox.processes import Child

ADDRESS = "127.0.0.1"
GROUP = "traefik.io"
KINDS = {
    "IngressRoute": "ingressroutes",
    "IngressRouteTCP": "ingressroutetcps",
    "IngressRouteUDP": "ingressrouteudps",
    "Middleware": "middlewares",
    "MiddlewareTCP": "middlewaretcps",
    "ServersTransport": "serverstransports",
    "ServersTransportTCP": "serverstransporttcps",
    "TLSOption": "tlsoptions",
    "TLSStore": "tlsstores",
    "TraefikService": "traefikservices",
}


def define(plane: ControlPlane) -> None:
    """Have the API server serve Traefik's kinds, whatever their specs say: what they mean Traefik says."""
    plane.apply([_definition(kind, plural) for kind, plural in KINDS.items()])
    plane.kubectl(
        "wait",
        "--for=condition=Established",
        "--timeout=30s",
        *(f"crd/{plural}.{GROUP}" for plural in KINDS.values()),
    )


def start_application(plane: ControlPlane, folder: Path, namespace: str) -> Child:
    """Run the application of the Service `app`."""
    port = free_port(ADDRESS)
    child = backend.start(
        programs.find(),
        folder,
        f"{ADDRESS}:{port}",
        user=programs.worker_user(),
        connections=1024,
    )
    plane.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "app", "namespace": namespace},
            "spec": {
                "type": "ExternalName",
                "externalName": ADDRESS,
                "ports": [{"name": "http", "port": port}],
            },
        }
    )
    return child


def _definition(kind: str, plural: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything}}
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": names,
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }

"""Kubeconfig files: how an identity of the sandbox is handed to kubectl, to the operator, or to a person.

Everything is embedded, so that a file can be copied.
"""

import base64
import json
from pathlib import Path
from typing import Any

from sandbox.kubernetes.certificates import PemPair


def write(
    path: Path,
    *,
    server: str,
    ca: bytes,
    token: str | None = None,
    client: PemPair | None = None,
    namespace: str = "default",
) -> Path:
    """Write a kubeconfig (mode 0600; JSON, which is YAML) for a bearer token or a client certificate, and return its path."""
    user: dict[str, Any] = {}
    if token is not None:
        user["token"] = token
    if client is not None:
        user |= {
            "client-certificate-data": _base64(client.certificate),
            "client-key-data": _base64(client.key),
        }
    cluster = {"server": server, "certificate-authority-data": _base64(ca)}
    return _write(path, cluster, user, namespace)


def through(path: Path, original: Path, *, server: str, ca: bytes) -> Path:
    """Write a copy of `original` that reaches the same cluster by another address, as the same identity.

    Raises:
        ValueError: its identity is a client certificate, which ends at whatever terminates TLS before the API server: use a token.
    """
    document = json.loads(original.read_text())
    user = document["users"][0]["user"]
    if "token" not in user:
        raise ValueError(
            f"{original} identifies by a client certificate, which does not pass a proxy; use service_account_kubeconfig()"
        )
    cluster = {"server": server, "certificate-authority-data": _base64(ca)}
    return _write(path, cluster, user, document["contexts"][0]["context"]["namespace"])


def _write(path: Path, cluster: dict[str, Any], user: dict[str, Any], namespace: str) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": "sandbox", "user": user}],
        "contexts": [
            {
                "name": "sandbox",
                "context": {"cluster": "sandbox", "user": "sandbox", "namespace": namespace},
            }
        ],
        "current-context": "sandbox",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=1))
    return path


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()

"""Client-certificate verification as a single Ingress asks for it (`auth-tls-*` annotations), and the CA files it needs on disk.

The operator itself never uses these annotations: they are here because an Ingress that verifies by
itself refuses the operator's certificate, which must be noticed
(facts: ingress-nginx#server-verification).
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from sandbox.ingress_nginx.configuration import Configuration

VERIFY_WORDS = frozenset({"on", "off", "optional", "optional_no_ca"})
ERROR_PAGE = re.compile(
    r"@[-A-Za-z0-9_]+|((https?://)?[-A-Za-z0-9.]+(:\d+)?)?(/[-A-Za-z0-9_.]+)*/?"
)
"""A named location, a URL, or a path (kubernetes/ingress-nginx, authtls/main.go)."""

Secrets = Mapping[str, Mapping[str, Any]]
"""Secret objects by `namespace/name`."""


@dataclass(frozen=True, slots=True)
class ClientAuth:
    """What one server demands of its clients.

    `denied` means that an annotation could not be resolved: the whole host answers 403.

    `file` is relative to the replica's folder of certificates; None switches verification off,
    silently, as a Secret without `ca.crt` does.
    """

    file: str | None = None
    sha: str = ""
    verify: str = "on"
    depth: int = 1
    error_page: str = ""
    match_cn: str = ""
    pass_certificate: bool = False
    denied: bool = False


def read(
    namespace: str, annotations: Mapping[str, str], secrets: Secrets, configuration: Configuration
) -> ClientAuth | None:
    """What an Ingress in `namespace` asks for; None where it asks for nothing, or says something that the controller's own check refuses.

    So a bad error page, or a bad CN, takes verification away, and nobody is told
    (kubernetes/ingress-nginx, authtls/main.go and annotations.go, Extract).
    """
    if (name := annotations.get("auth-tls-secret")) is None:
        return None
    parts = name.split("/")
    crosses = parts[0] != namespace and not configuration.allow_cross_namespace_resources
    if len(parts) != 2 or crosses or (secret := secrets.get(name)) is None:
        return ClientAuth(denied=True)
    bundle = Bundle.of(secret)
    if bundle is None:
        return ClientAuth(denied=True)
    verify = annotations.get("auth-tls-verify-client", "on")
    depth = annotations.get("auth-tls-verify-depth", "1")
    match_cn, error_page = (
        annotations.get("auth-tls-match-cn", ""),
        annotations.get("auth-tls-error-page", ""),
    )
    if not ERROR_PAGE.fullmatch(error_page.replace(" ", "")) or not _is_common_name(match_cn):
        return None
    if bundle.file is None:
        return ClientAuth(match_cn=match_cn)
    return ClientAuth(
        file=bundle.file,
        sha=bundle.sha,
        verify=verify if verify in VERIFY_WORDS else "on",
        depth=int(depth) if depth.isdecimal() and int(depth) > 0 else 1,
        error_page=error_page,
        match_cn=match_cn,
        pass_certificate=annotations.get("auth-tls-pass-certificate-to-upstream") == "true",
    )


@dataclass(frozen=True, slots=True)
class Bundle:
    """The file that the controller makes of a Secret.

    `sha` decides on a reload. For a key pair it covers the certificate and not `ca.crt`: the file
    is rewritten and nginx is not told (facts: ingress-nginx#key-pair-and-ca-trap).
    """

    file: str | None
    sha: str
    content: bytes

    @classmethod
    def of(cls, secret: Mapping[str, Any]) -> "Bundle | None":
        """None where the Secret holds neither a CA nor a key pair, or a CA that does not parse."""
        data = {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
        authority, certificate, key = data.get("ca.crt"), data.get("tls.crt"), data.get("tls.key")
        if authority is not None and not _parses(authority):
            return None
        stem = f"{secret['metadata']['namespace']}-{secret['metadata']['name']}.pem"
        if certificate and key:
            whole = b"\n".join(part for part in (certificate, key, authority) if part)
            return cls(
                stem if authority else None,
                hashlib.sha1(certificate, usedforsecurity=False).hexdigest(),
                whole,
            )
        if authority is None:
            return None
        return cls(
            f"ca-{stem}", hashlib.sha1(authority, usedforsecurity=False).hexdigest(), authority
        )

    def write(self, folder: Path) -> None:
        """Write the file, plainly and not atomically, as the controller does; nothing where there is none."""
        if self.file is not None:
            (folder / self.file).write_bytes(self.content)


def named_by(annotations: Mapping[str, str]) -> str | None:
    """The Secret, `namespace/name`, that an Ingress's full annotations refer to."""
    return annotations.get("nginx.ingress.kubernetes.io/auth-tls-secret")


def _is_common_name(text: str) -> bool:
    try:
        re.compile(text.removeprefix("CN="))
    except re.error:
        return False
    return not text or text.startswith("CN=")


def _parses(pem: bytes) -> bool:
    try:
        return bool(x509.load_pem_x509_certificates(pem))
    except ValueError:
        return False

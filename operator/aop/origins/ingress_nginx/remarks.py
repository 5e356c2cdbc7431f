"""What a person should know about a controller before its hosts are required. Pure.

None of it keeps the operator from anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from aop.origins.ingress_nginx.options import Options
from aop.origins.sites import Json, Remark
from aop.terms import ObjectKey

CHALLENGE = "/.well-known/acme-challenge/"
"""Where an ACME server asks for the answer to its challenge (RFC 8555)."""
ISSUERS = ("cert-manager.io/issuer", "cert-manager.io/cluster-issuer", "kubernetes.io/tls-acme")
"""Annotations of an Ingress by which cert-manager gets its certificate
(facts: ingress-nginx#acme-issuers)."""


def remarks(
    key: ObjectKey, options: Options, ingresses: Iterable[Json], hosts: Collection[str]
) -> tuple[Remark, ...]:
    """The remarks about the controller that reads ConfigMap `key`, for `hosts`."""
    return tuple(_remarks(key, options, ingresses, hosts))


def _remarks(
    key: ObjectKey, options: Options, ingresses: Iterable[Json], hosts: Collection[str]
) -> Iterator[Remark]:
    if options.forwarded_headers:
        yield Remark(
            f"ConfigMap {key} sets use-forwarded-headers, so the controller believes the X-Forwarded-Proto of whoever bypasses the edge",
            "Plaintext that calls itself https reaches the application of each host that is not required. At a required host, the operator closes this way in",
            "Bring into scope every host whose application must not be reached like that",
        )
    if options.lasting_tickets:
        yield Remark(
            f"ConfigMap {key} sets ssl-session-ticket-key, so TLS sessions outlive every reload",
            "The edge may go on with a session in which it presented something else, so a proof may take longer",
            "Unset ssl-session-ticket-key, or accept that a proof may take longer",
        )
    solved = sorted({host for one in ingresses if _by_acme(one) for host in _hosts(one)} & {*hosts})
    if solved:
        yield Remark(
            f"The certificate of {', '.join(solved)} seems to come from an ACME issuer that uses the same controller",
            "HTTP-01 still succeeds through the edge, where http:// is redirected to https://. Once the host is required, the origin refuses challenges that bypass the edge",
            "Proxy the host's DNS record, or use DNS-01",
        )


def _by_acme(ingress: Json) -> bool:
    annotations = (ingress.get("metadata") or {}).get("annotations") or {}
    return any(name in annotations for name in ISSUERS) or any(
        str(path.get("path", "")).startswith(CHALLENGE) for path in _paths(ingress)
    )


def _hosts(ingress: Json) -> set[str]:
    return {str(rule["host"]) for rule in _rules(ingress) if rule.get("host")}


def _rules(ingress: Json) -> list[Json]:
    return list((ingress.get("spec") or {}).get("rules") or ())


def _paths(ingress: Json) -> list[Json]:
    return [
        path for rule in _rules(ingress) for path in (rule.get("http") or {}).get("paths") or ()
    ]

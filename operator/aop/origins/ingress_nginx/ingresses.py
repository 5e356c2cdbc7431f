"""Other people's Ingresses on the controller, one by one.

Which are the controller's own, which names they bring, and which of them would refuse our leaf. The
answers bind nobody: what a replica really does with a host is probed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aop.origins.ingress_nginx.replicas import Controller

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
SINGLE_NAME = re.compile(r"[a-z0-9_-][a-z0-9_.-]*")
"""An alias that is one name; nginx also accepts wildcards and regular expressions there."""
_HARMLESS = frozenset({"off", "optional_no_ca"})

Json = Mapping[str, Any]


def served_by(
    ingresses: Iterable[Json],
    replicas: Collection[Controller],
    ingress_classes: Iterable[Json] | None,
) -> tuple[Json, ...]:
    """The Ingresses that any of `replicas` serves; all are Kubernetes JSON objects.

    `ingress_classes` is None if they may not be listed: then every class counts as the
    controller's. One host too many stays unproven and harms nobody, while one Ingress too few could
    refuse the certificate unseen.

    These are the controller's own rules: `spec.ingressClassName` if there is one, else the
    annotation, else Ingresses without a class if its arguments say so (source: ingress-nginx
    v1.15.1, store.GetIngressClass).
    """
    controllers = (
        None
        if ingress_classes is None
        else {_name(one): (one.get("spec") or {}).get("controller") for one in ingress_classes}
    )
    return tuple(
        one for one in ingresses if any(_serves(replica, one, controllers) for replica in replicas)
    )


def hosts_of(ingress: Json) -> tuple[str, ...]:
    """The hosts in the rules and the `tls` of one Ingress, lower-case and sorted.

    Wildcards are included.
    """
    spec = ingress.get("spec") or {}
    named = [host for tls in spec.get("tls") or () for host in tls.get("hosts") or ()]
    return tuple(sorted({*rule_hosts_of(ingress), *(host.lower() for host in named if host)}))


def rule_hosts_of(ingress: Json) -> set[str]:
    """The hosts that get a server by it.

    `tls` only names what a certificate is for (source: ingress-nginx v1.15.1,
    controller.createServers).
    """
    return {
        host.lower()
        for rule in (ingress.get("spec") or {}).get("rules") or ()
        if (host := rule.get("host"))
    }


def aliases_of(ingress: Json, prefixes: Iterable[str]) -> tuple[str, ...]:
    """Further names of its server, lower-case.

    They are in `server-alias`, separated by commas (source: ingress-nginx v1.15.1,
    annotations/alias).
    """
    listed = ",".join(
        _annotations(ingress).get(f"{prefix}/server-alias", "") for prefix in prefixes
    )
    return tuple(sorted({alias.strip().lower() for alias in listed.split(",") if alias.strip()}))


def services_of(ingress: Json) -> set[tuple[str, str]]:
    """The Services behind one Ingress, by namespace and name."""
    spec = ingress.get("spec") or {}
    backends = [
        path.get("backend")
        for rule in spec.get("rules") or ()
        for path in (rule.get("http") or {}).get("paths") or ()
    ]
    named = [
        ((backend or {}).get("service") or {}).get("name")
        for backend in (*backends, spec.get("defaultBackend"))
    ]
    return {((ingress.get("metadata") or {}).get("namespace", ""), name) for name in named if name}


def verifies_itself(ingress: Json, prefix: str) -> str | None:
    """A sentence about an Ingress that verifies client certificates by itself; None: it does not.

    Its servers check what Cloudflare presents against their own authority, and answer 400 to our
    leaf. `off` and `optional_no_ca` refuse nobody (facts: ingress-nginx#server-verification).
    """
    if (
        not _annotations(ingress).get(f"{prefix}/auth-tls-secret")
        or _verify_client(ingress, prefix) in _HARMLESS
    ):
        return None
    return (
        f"{title_of(ingress)} verifies client certificates by itself "
        f"({prefix}/auth-tls-verify-client is {_verify_client(ingress, prefix)}). Remove {prefix}/auth-tls-secret from it, or set "
        f"{prefix}/auth-tls-verify-client to off or optional_no_ca"
    )


def names_of(ingress: Json, prefixes: Iterable[str]) -> set[str]:
    """The names of its servers.

    Empty for the server that gets every request that no other gets.
    """
    rules = (ingress.get("spec") or {}).get("rules") or ()
    everything = {""} if not rules or any(not rule.get("host") for rule in rules) else set()
    return {*rule_hosts_of(ingress), *aliases_of(ingress, prefixes), *everything}


def passes_on(ingress: Json, prefixes: Iterable[str]) -> bool:
    """Whether a controller passes its TLS on unopened, which it does under one of `prefixes`."""
    return any(
        _annotations(ingress).get(f"{prefix}/ssl-passthrough") == "true" for prefix in prefixes
    )


def _verify_client(ingress: Json, prefix: str) -> str:
    """What the controller makes of the annotation: whatever it does not know is `on`."""
    value = _annotations(ingress).get(f"{prefix}/auth-tls-verify-client", "on")
    return value if value in {"on", "off", "optional", "optional_no_ca"} else "on"


def _serves(
    replica: Controller, ingress: Json, controllers: Mapping[str, str | None] | None
) -> bool:
    if replica.watch_namespace not in {"", (ingress.get("metadata") or {}).get("namespace", "")}:
        return False
    if class_name := (ingress.get("spec") or {}).get("ingressClassName"):
        if controllers is None:
            return True
        by_name = replica.class_by_name and class_name == replica.ingress_class
        return class_name in controllers and (
            controllers[class_name] == replica.controller_class or by_name
        )
    annotation = _annotations(ingress).get(CLASS_ANNOTATION)
    return replica.without_class if annotation is None else annotation == replica.ingress_class


def _annotations(one: Json) -> Mapping[str, str]:
    return (one.get("metadata") or {}).get("annotations") or {}


def title_of(ingress: Json) -> str:
    """The Ingress, as messages name it."""
    return f"Ingress {(ingress.get('metadata') or {}).get('namespace', '')}/{_name(ingress)}"


def _name(one: Json) -> str:
    return str((one.get("metadata") or {}).get("name", ""))

"""Other people's Ingresses on the controller.

Which are its own, which hosts they bring, and which of them would refuse our leaf. The answers bind
nobody: what a replica really does with a host is probed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aop.origins.ingress_nginx.replicas import Controller
from aop.terms import covers

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_NAME = re.compile(r"[a-z0-9_-][a-z0-9_.-]*")
"""An alias that is one name; nginx also takes wildcards and regular expressions there."""
_HARMLESS = frozenset({"off", "optional_no_ca"})

Json = Mapping[str, Any]


def served_by(
    ingresses: Iterable[Json],
    replicas: Collection[Controller],
    ingress_classes: Iterable[Json] | None,
) -> tuple[Json, ...]:
    """The Ingresses that any of `replicas` serves; all are Kubernetes JSON objects.

    `ingress_classes` is None where they may not be listed: every class then counts as the
    controller's. One host too many stays unproven and harms nobody; an Ingress too few could refuse
    the certificate unseen.

    By the controller's own rules: `spec.ingressClassName` if there is one, else the annotation,
    else those without a class if it was told to (source: ingress-nginx v1.15.1,
    store.GetIngressClass).
    """
    controllers = (
        None
        if ingress_classes is None
        else {_name(one): (one.get("spec") or {}).get("controller") for one in ingress_classes}
    )
    return tuple(
        one for one in ingresses if any(_serves(replica, one, controllers) for replica in replicas)
    )


def hosts_under(
    ingresses: Iterable[Json], patterns: Collection[str], replicas: Collection[Controller] = ()
) -> tuple[str, ...]:
    """The concrete hosts of `ingresses` that one of `patterns` covers; sorted.

    Hosts whose TLS a controller passes on unopened stay out: nginx never sees their requests.
    """
    passing = {replica.annotations_prefix for replica in replicas if replica.passthrough}
    prefixes = {replica.annotations_prefix for replica in replicas}
    hosts = {
        host
        for one in ingresses
        if not any(
            _annotations(one).get(f"{prefix}/ssl-passthrough") == "true" for prefix in passing
        )
        for host in (*hosts_of(one), *filter(_NAME.fullmatch, aliases_of(one, prefixes)))
        if not host.startswith("*.") and any(covers(pattern, host) for pattern in patterns)
    }
    return tuple(sorted(hosts))


def hosts_of(ingress: Json) -> tuple[str, ...]:
    """The hosts in the rules and the `tls` of one Ingress, lower-case and sorted.

    Wildcards are included.
    """
    spec = ingress.get("spec") or {}
    named = [host for tls in spec.get("tls") or () for host in tls.get("hosts") or ()]
    return tuple(sorted({*_rule_hosts_of(ingress), *(host.lower() for host in named if host)}))


def _rule_hosts_of(ingress: Json) -> set[str]:
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

    They stand in `server-alias`, separated by commas (source: ingress-nginx v1.15.1,
    annotations/alias).
    """
    listed = ",".join(
        _annotations(ingress).get(f"{prefix}/server-alias", "") for prefix in prefixes
    )
    return tuple(sorted({alias.strip().lower() for alias in listed.split(",") if alias.strip()}))


def server_of(host: str, ingresses: Collection[Json], prefixes: Collection[str]) -> str:
    """The name of the server that takes requests for `host`.

    That is its own, else the wildcard one label above it, else empty for the one of all others.
    """
    wildcard = f"*.{host.partition('.')[2]}"
    names = {name for one in ingresses for name in _names_of(one, prefixes)}
    return next((name for name in (host, wildcard) if name in names), "")


def wildcards_under(ingresses: Collection[Json], patterns: Collection[str]) -> tuple[str, ...]:
    """The wildcards that have a server of their own and lie under one of `patterns`; sorted.

    Only a rule makes one. What an alias takes goes to the server of another name, where nothing
    tells it from that name.
    """
    names = {name for one in ingresses for name in _rule_hosts_of(one) if name.startswith("*.")}
    return tuple(
        sorted(
            name
            for name in names
            if any(
                name == pattern or covers(pattern, name.removeprefix("*.")) for pattern in patterns
            )
        )
    )


def left_open(
    ingresses: Collection[Json], patterns: Collection[str], replicas: Collection[Controller]
) -> tuple[str, ...]:
    """What reaches the Services of the hosts under `patterns` by another name.

    As sentences about this controller, sorted.

    Nobody is refused there, because those names are not the zone's, or because no name is asked for
    at all.
    """
    prefixes = {replica.annotations_prefix for replica in replicas}
    ours = [
        one
        for one in ingresses
        if any(_is_under(name, patterns) for name in _names_of(one, prefixes))
    ]
    services = {service for one in ours for service in _services(one)}
    with_servers = {name for one in ingresses for name in _rule_hosts_of(one)}
    sentences = set()
    for one in ingresses:
        where = f"Ingress {(one.get('metadata') or {}).get('namespace', '')}/{_name(one)}"
        if not services & _services(one):
            continue
        for name in sorted(_names_of(one, prefixes)):
            if name not in with_servers and name and not _NAME.fullmatch(name):
                sentences.add(
                    f"{where} serves the same Service to the names that no Ingress has and its server-alias {name} takes"
                )
            elif not name:
                sentences.add(
                    f"{where} serves the same Service to requests for any name that no Ingress has"
                )
            elif not _is_under(name, patterns):
                sentences.add(f"{where} serves the same Service as {name}")
    return tuple(sorted(sentences))


def _is_under(name: str, patterns: Collection[str]) -> bool:
    return any(name == pattern or covers(pattern, name.removeprefix("*.")) for pattern in patterns)


def _services(ingress: Json) -> set[tuple[str, str]]:
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


def verifier_of(
    host: str, ingresses: Collection[Json], replicas: Collection[Controller]
) -> str | None:
    """A sentence about the Ingress that verifies `host`'s client certificates by itself.

    It is the one of `served_by` whose server takes requests for `host`; None if that verifies
    nothing. Such a server checks what Cloudflare presents against an authority of its own and
    answers 400 to our leaf. `off` and `optional_no_ca` refuse nobody
    (facts: ingress-nginx#server-verification).
    """
    prefixes = sorted({replica.annotations_prefix for replica in replicas})
    name = server_of(host, ingresses, prefixes)
    serving = (one for one in ingresses if name in _names_of(one, prefixes))
    return next(
        (
            sentence
            for one in serving
            for prefix in prefixes
            if (sentence := _verifies(one, prefix))
        ),
        None,
    )


def _verifies(ingress: Json, prefix: str) -> str | None:
    if (
        not _annotations(ingress).get(f"{prefix}/auth-tls-secret")
        or _verify_client(ingress, prefix) in _HARMLESS
    ):
        return None
    return (
        f"Ingress {(ingress.get('metadata') or {}).get('namespace', '')}/{_name(ingress)} verifies client certificates by itself "
        f"({prefix}/auth-tls-verify-client is {_verify_client(ingress, prefix)}). Remove {prefix}/auth-tls-secret from it, or set "
        f"{prefix}/auth-tls-verify-client to off or optional_no_ca"
    )


def _names_of(ingress: Json, prefixes: Iterable[str]) -> set[str]:
    """The names of its servers.

    Empty for the one that takes every request that nothing else takes.
    """
    rules = (ingress.get("spec") or {}).get("rules") or ()
    everything = {""} if not rules or any(not rule.get("host") for rule in rules) else set()
    return {*_rule_hosts_of(ingress), *aliases_of(ingress, prefixes), *everything}


def _verify_client(ingress: Json, prefix: str) -> str:
    """What the controller makes of the annotation: anything that it does not know is `on`."""
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


def _name(one: Json) -> str:
    return str((one.get("metadata") or {}).get("name", ""))

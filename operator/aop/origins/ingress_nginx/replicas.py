"""Which pods read a ConfigMap as controllers, and what their arguments say.

Nobody reads a ConfigMap that no pod names in `--configmap`, and it must not be written: to name it
in an object is no licence to write it (promise S6).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aop.origins.pods import has_ended, ip_of, is_ready, key_of
from aop.origins.sites import Replica
from aop.terms import ObjectKey

_REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")
_TRUE = frozenset({"", "1", "t", "T", "true", "TRUE", "True"})


@dataclass(frozen=True, slots=True)
class Controller(Replica):
    """One pod that reads the ConfigMap, with the flags that matter.

    Flags that are not given have the controller's defaults (v1.15.1).
    """

    ingress_class: str = "nginx"
    """What the annotation `kubernetes.io/ingress.class` must say."""
    controller_class: str = "k8s.io/ingress-nginx"
    """What `spec.controller` of an IngressClass must say."""
    class_by_name: bool = False
    """Whether an IngressClass is also ours by its name."""
    without_class: bool = False
    """Whether Ingresses without any class are served too."""
    watch_namespace: str = ""
    """The only namespace it watches; empty: all."""
    annotations_prefix: str = "nginx.ingress.kubernetes.io"
    passthrough: bool = False
    """Whether the TLS of Ingresses that ask for it goes past nginx to their backend."""


def readers(pods: Iterable[Mapping[str, Any]], config_map: ObjectKey) -> tuple[Controller, ...]:
    """Every pod that names `config_map` in `--configmap` and has not ended, Ready or not.

    Sorted by namespace and name. `pods` are Kubernetes JSON objects. None of them: nobody reads the
    ConfigMap. None that is `ready`: nobody can be asked.
    """
    candidates = (_replica(pod, config_map) for pod in pods if not has_ended(pod))
    return tuple(
        sorted(
            (replica for replica in candidates if replica is not None),
            key=lambda replica: replica.key,
        )
    )


def replicas(pods: Iterable[Mapping[str, Any]], config_map: ObjectKey) -> tuple[Controller, ...]:
    """The `readers` that are `ready`: an origin's behaviour is observed on them."""
    return tuple(replica for replica in readers(pods, config_map) if replica.ready)


def unwatched(replica: Controller, config_map: ObjectKey) -> bool:
    """Whether the pod reads the ConfigMap once at its start and never again.

    See facts: ingress-nginx#watched-namespace.
    """
    return replica.watch_namespace not in {"", config_map.namespace}


def _replica(pod: Mapping[str, Any], config_map: ObjectKey) -> Controller | None:
    for container in (pod.get("spec") or {}).get("containers") or ():
        flags = _flags(_words(pod, container))
        if flags.get("configmap") == str(config_map):
            return _from(pod, flags)
    return None


def _from(pod: Mapping[str, Any], flags: Mapping[str, str]) -> Controller:
    return Controller(
        key=key_of(pod),
        uid=pod["metadata"].get("uid", ""),
        ready=is_ready(pod),
        ip=ip_of(pod),
        http_port=_port(flags, "http-port", 80),
        https_port=_port(flags, "https-port", 443),
        ingress_class=flags.get("ingress-class", "nginx"),
        controller_class=flags.get("controller-class", "k8s.io/ingress-nginx"),
        class_by_name=_on(flags, "ingress-class-by-name"),
        without_class=_on(flags, "watch-ingress-without-class"),
        watch_namespace=flags.get("watch-namespace", ""),
        annotations_prefix=flags.get("annotations-prefix", "nginx.ingress.kubernetes.io"),
        passthrough=_on(flags, "enable-ssl-passthrough"),
    )


def _port(flags: Mapping[str, str], name: str, default: int) -> int:
    value = flags.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() else default


def _on(flags: Mapping[str, str], name: str) -> bool:
    return name in flags and flags[name] in _TRUE


def _flags(words: Sequence[str]) -> dict[str, str]:
    """`--name=value`, `--name value` and `--name`, by name.

    The last one counts, as in the controller's own parser.
    """
    flags: dict[str, str] = {}
    for word, following in zip(
        words, [*words[1:], ""], strict=False
    ):  # a container may have no words at all
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            flags[name] = value if equals or following.startswith("-") else following
    return flags


def _words(pod: Mapping[str, Any], container: Mapping[str, Any]) -> list[str]:
    """Command and arguments with `$(VARIABLE)` expanded as the kubelet does.

    What it does not know stays, and `$$` is a plain `$`.
    """
    variables: dict[str, str] = {}
    for variable in container.get("env") or ():
        path = ((variable.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath")
        value: str | None = None
        if path:
            value = _field(pod, path)
        elif "valueFrom" not in variable:
            value = _expanded(variable.get("value") or "", variables)
        if value is not None:
            variables[variable["name"]] = value
    return [
        _expanded(word, variables)
        for word in (*(container.get("command") or ()), *(container.get("args") or ()))
    ]


def _field(pod: Mapping[str, Any], path: str) -> str | None:
    known = {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": pod["metadata"].get("namespace", ""),
        "metadata.uid": pod["metadata"].get("uid", ""),
    }
    return known.get(path)


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    return _REFERENCE.sub(
        lambda match: "$" if match[0] == "$$" else variables.get(match[1], match[0]), text
    )

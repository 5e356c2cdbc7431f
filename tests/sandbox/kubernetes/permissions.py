"""What a ServiceAccount may do, by the cluster's own bindings, and what it did, by the API server's own audit log: the proof of least privilege."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.kubernetes.audit import AuditEvent
from sandbox.kubernetes.plane import ControlPlane


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One verb on one resource, in one namespace or (empty) in the whole cluster, on all objects or on the named ones."""

    namespace: str
    group: str
    resource: str
    """With its subresource, as in a rule: `authenticatedoriginpulls/status`."""
    verb: str
    names: tuple[str, ...] = ()

    def covers(self, event: AuditEvent) -> bool:
        """Whether this grant is what the request needed."""
        asked = f"{event.resource}/{event.subresource}" if event.subresource else event.resource
        return (
            self.namespace in {"", event.namespace}
            and (self.group, self.resource, self.verb) == (event.group, asked, event.verb)
            and (not self.names or event.name in self.names)
        )

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}{f' {self.names}' if self.names else ''}{where}"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Granted and asked for, side by side."""

    granted: tuple[Grant, ...]
    denied: tuple[AuditEvent, ...]
    unused: tuple[Grant, ...]

    @property
    def least(self) -> bool:
        """Nothing was missing, and nothing was too much."""
        return bool(self.granted) and not self.denied and not self.unused

    def __str__(self) -> str:
        denied = [f"denied: {one.verb} {one.uri}" for one in self.denied]
        return "\n".join(
            [f"{len(self.granted)} grants", *denied, *(f"unused: {one}" for one in self.unused)]
        )


def account(plane: ControlPlane, namespace: str, name: str, *, since: int = 0) -> ServiceAccount:
    """The account of a ServiceAccount; `since` leaves out that many of its first requests (`plane.audit` counts them)."""
    events = plane.audit(f"system:serviceaccount:{namespace}:{name}")[since:]
    grants = granted(plane, namespace, name)
    return ServiceAccount(
        grants,
        tuple(one for one in events if one.allowed is False or one.code == 403),
        unused(grants, events),
    )


def unused(grants: Iterable[Grant], events: Iterable[AuditEvent]) -> tuple[Grant, ...]:
    """Those grants that no allowed request needed."""
    asked = [one for one in events if one.allowed]
    return tuple(grant for grant in grants if not any(grant.covers(event) for event in asked))


def granted(plane: ControlPlane, namespace: str, name: str) -> tuple[Grant, ...]:
    """Every grant that a binding gives to this ServiceAccount itself; what every ServiceAccount has stays out. Sorted."""
    grants: set[Grant] = set()
    for kind in ("clusterrolebindings", "rolebindings"):
        for binding in _items(plane, kind):
            if any(_is(subject, namespace, name) for subject in binding.get("subjects") or ()):
                where = binding["metadata"].get("namespace", "")
                grants.update(_grants(_role(plane, binding["roleRef"], where), where))
    return tuple(sorted(grants))


def _is(subject: Mapping[str, Any], namespace: str, name: str) -> bool:
    return (subject["kind"], subject["name"], subject.get("namespace")) == (
        "ServiceAccount",
        name,
        namespace,
    )


def _items(plane: ControlPlane, kind: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (
        plane.http.get(f"/apis/rbac.authorization.k8s.io/v1/{kind}")
        .raise_for_status()
        .json()["items"]
    )
    return items


def _role(plane: ControlPlane, reference: Mapping[str, str], namespace: str) -> dict[str, Any]:
    scope = f"namespaces/{namespace}/roles" if reference["kind"] == "Role" else "clusterroles"
    path = f"/apis/rbac.authorization.k8s.io/v1/{scope}/{reference['name']}"
    role: dict[str, Any] = plane.http.get(path).raise_for_status().json()
    return role


def _grants(role: Mapping[str, Any], namespace: str) -> Iterable[Grant]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield Grant(
                        namespace, group, resource, verb, tuple(rule.get("resourceNames", ()))
                    )

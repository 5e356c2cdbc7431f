"""The pod templates that mount our ConfigMap: with which text their pods start.

A server reads its files when it starts. So an annotation on the template tells which text its pods
start with: a change of it has the workload's controller replace them, by the workload's own
strategy (facts: kubernetes#rollouts). It is written after the ConfigMap, so that what starts then
mounts the new files (facts: kubernetes#mounted-config-maps).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aop.origins.sites import Json, Remark, Rollout
from aop.origins.workload.pods import has_sub_paths, volumes_of
from aop.origins.workload.remarks import remarks, servers_of
from aop.terms import Kind, ObjectKey
from aop.terms.names import ROLLED_OUT_ANNOTATION

KINDS = (Kind.DEPLOYMENT, Kind.STATEFUL_SET, Kind.DAEMON_SET)


@dataclass(frozen=True, slots=True)
class Template:
    """The pod template of one workload, as far as it concerns one ConfigMap."""

    kind: Kind
    key: ObjectKey
    mounts: bool
    optional: bool
    """Whether its pods start without the ConfigMap, too."""
    by_sub_path: bool
    """Whether some container mounts a single file of it."""
    mark: str | None
    """The text that its pods start with (`stored.Stored.mark`), by our annotation."""
    halted: str | None
    """Why a change of it replaces no pod: the end of a sentence."""
    stalled: str | None
    """The controller's own words, if it has given up replacing the pods."""
    stalled_at: datetime | None
    manifest: Json
    """The workload itself."""
    config_map: str

    @property
    def servers(self) -> tuple[Json, ...]:
        """The containers that mount the ConfigMap."""
        return servers_of(self.manifest, self.config_map)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What a person should know before its pods are replaced."""
        return remarks(self.kind, str(self), self.manifest, self.config_map)

    def __str__(self) -> str:
        return f"{self.kind.title} {self.key}"

    def rollout(self, config_map: str, mark: str | None) -> Rollout:
        """The change that makes its pods start with this text; None: with none of ours."""
        annotations = {ROLLED_OUT_ANNOTATION + config_map: mark}
        body = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        return Rollout(self.kind, self.key, body, leaving=mark is None)


def template_of(kind: Kind, workload: Json, config_map: str) -> Template:
    """The template of a workload, a Kubernetes JSON object."""
    metadata, spec = workload["metadata"], workload.get("spec") or {}
    template = spec.get("template") or {}
    volumes = volumes_of(template.get("spec") or {}, config_map)
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    stalled, stalled_at = _stalled(workload)
    return Template(
        kind,
        ObjectKey(metadata.get("namespace", ""), metadata["name"]),
        mounts=bool(volumes),
        optional=all(volumes.values()),
        by_sub_path=has_sub_paths(template.get("spec") or {}, volumes),
        mark=annotations.get(ROLLED_OUT_ANNOTATION + config_map),
        halted=_halted(spec),
        stalled=stalled,
        stalled_at=stalled_at,
        manifest=workload,
        config_map=config_map,
    )


def _halted(spec: Mapping[str, Any]) -> str | None:
    if spec.get("paused"):
        return "is paused. Resume it"
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return "has the update strategy OnDelete. Set it to RollingUpdate"
    if (strategy.get("rollingUpdate") or {}).get("partition"):
        return "has a partition, so that some of its pods stay as they are. Set partition: 0"
    return None


def _stalled(workload: Json) -> tuple[str | None, datetime | None]:
    """Why and when the controller gave up; what it says about an older template does not count."""
    status: Mapping[str, Any] = workload.get("status") or {}
    if status.get("observedGeneration") != workload["metadata"].get("generation"):
        return None, None
    for one in _conditions(status):
        if (one.get("type"), one.get("reason")) == ("Progressing", "ProgressDeadlineExceeded"):
            return str(one.get("message", "")), _moment(one.get("lastUpdateTime"))
    return None, None


def _conditions(status: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return status.get("conditions") or ()


def _moment(written: object) -> datetime | None:
    return datetime.fromisoformat(written) if isinstance(written, str) else None

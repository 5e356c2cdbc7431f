"""`kubectl aop status`: an object and its status as a person wants to see them. Pure.

It reads leniently, because another version may have written what is there, and somebody else
anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aop.api import Condition, ConditionType, Status
from aop.errors import plain
from aop.kubectl.explaining import named, plainly
from aop.reasons import NO_ACTION, Reason

SUMMED_UP = {ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED}
"""Conditions that sum up the others."""

IT_RUNS = "Check that the operator runs and serves this namespace: kubectl get pods -A -l app.kubernetes.io/name=aop-operator."
FINALIZER_STAYS = (
    f"{IT_RUNS} If the namespace is being deleted as well, the operator's rights went with it: it puts everything back and may not say so. "
    "Once the origins and the zone are as they were, take the finalizer off (docs/operations.md, Uninstall)."
)


@dataclass(frozen=True, slots=True)
class Summary:
    """One AuthenticatedOriginPull."""

    namespace: str
    name: str
    zone: str
    goal: str
    """spec.enforcement."""
    generation: int
    deleting: bool
    carriers: Mapping[str, str]
    """The object that configures each origin, by the origin's name."""
    status: Status

    @property
    def ready(self) -> Condition | None:
        """The condition Ready, once an operator has looked."""
        looked = (self.status.observed_generation or -1) >= 0
        return self.status.condition(ConditionType.READY) if looked else None

    @property
    def state(self) -> str:
        """In one word: ready, waits, blocked, removing; or unseen, if no operator has looked."""
        if self.ready is None:
            return "unseen"
        if self.deleting:
            return "removing"
        stalled = self.status.condition(ConditionType.STALLED)
        if stalled is not None and stalled.status == "True":
            return "blocked"
        return "ready" if self.ready.status == "True" else "waits"

    @property
    def outdated(self) -> bool:
        """Whether the operator has not seen the last change of the spec."""
        return self.ready is not None and self.status.observed_generation != self.generation

    @property
    def abandoned(self) -> bool:
        """Whether it is being deleted, and no operator has reported on that."""
        return self.deleting and self.ready is not None and self.reason is not Reason.REMOVING

    @property
    def reason(self) -> Reason | None:
        """Why Ready is as it is; None if another version gave another reason."""
        return named(self.ready.reason) if self.ready else None

    @property
    def others(self) -> tuple[Condition, ...]:
        """Conditions that are not as they should be and say something that Ready does not."""
        if self.ready is None:
            return ()
        return tuple(
            one
            for one in self.status.conditions
            if one.type not in SUMMED_UP
            and one.status != "True"
            and one.message != self.ready.message
        )

    @property
    def remedy(self) -> str:
        """What to do, as a sentence."""
        if self.ready is None:
            return IT_RUNS
        if self.abandoned:
            return FINALIZER_STAYS
        if self.state == "ready":
            open_still = any(remedy_of(one) for one in self.others)
            return "See below what is not True yet." if open_still else "Nothing."
        if self.reason is None or self.reason.remedy == NO_ACTION:
            return "Nothing: the operator goes on by itself."
        return f"{self.reason.remedy}."

    @property
    def message(self) -> str:
        """What the message says, without the remedy with which it may end."""
        if self.ready is None:
            return "No operator has looked at this object yet."
        if self.abandoned:
            return "The object is being deleted, but no operator has reported on that yet. What is shown here is from before."
        text = plain(self.ready.message, 2000).rstrip(".")
        text = text.removesuffix(self.reason.remedy if self.reason else "")
        return f"{text.strip().rstrip('.')}."


def remedy_of(condition: Condition) -> str:
    """What to do about one condition, as a sentence; empty if it passes by itself.

    Empty also if the message says it already, or another version gave another reason.
    """
    reason = named(condition.reason)
    if reason is None or reason.remedy == NO_ACTION or reason.remedy in condition.message:
        return ""
    return f"{plainly(reason.remedy)}."


def summary_of(manifest: Mapping[str, Any]) -> Summary:
    """The summary of an object, as the API server gave it."""
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    return Summary(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata["name"]),
        zone=plain(str((spec.get("zone") or {}).get("name", "?"))),
        goal=plain(str(spec.get("enforcement") or "Require")),
        generation=int(metadata.get("generation") or 0),
        deleting=bool(metadata.get("deletionTimestamp")),
        carriers=dict(_carriers(spec)),
        status=Status.parse(manifest.get("status")),
    )


def _carriers(spec: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """What each origin names, whatever its kind: the one reference in its kind's field."""
    pairs = []
    for origin in spec.get("origins") or ():
        references = [
            (field, reference)
            for kind in origin.values()
            if isinstance(kind, dict)
            for field, reference in kind.items()
            if field.endswith("Ref") and isinstance(reference, dict)
        ]
        for field, reference in references[:1]:
            title = f"{field[0].upper()}{field[1:]}".removesuffix("Ref")
            key = f"{reference.get('namespace', '')}/{reference.get('name', '')}"
            pairs.append((plain(str(origin.get("name"))), plain(f"{title} {key.lstrip('/')}")))
    return pairs


def data(it: Summary) -> dict[str, Any]:
    """The summary for programs; the object's own status is under `status`, without the record."""
    return {
        "namespace": it.namespace,
        "name": it.name,
        "zone": it.zone,
        "state": it.state,
        "reason": it.ready.reason if it.ready else None,
        "message": it.message,
        "remedy": it.remedy,
        "enforcement": {"wanted": it.goal, "seen": it.status.enforcement},
        "outdated": it.outdated,
        "status": {key: value for key, value in it.status.manifest().items() if key != "record"},
    }

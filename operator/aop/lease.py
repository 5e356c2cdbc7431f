"""A Lease: what is written into it, and when one that somebody else holds may be taken.

Pure. As in client-go (`tools/leaderelection`), the times in a Lease are for people, and no two
clocks are compared: a Lease may be taken once a process has seen it unchanged for its whole length,
by its own clock. Why this is not a library's: docs/adr/0021.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aop.terms import ObjectKey

Manifest = dict[str, Any]


NOBODY_YET = "nobody-yet"
"""The holder of a Lease that was just made. Where there was none, somebody may have deleted one
whose holder does not know that yet. So this one is waited for as well, and is never renewed."""


class SeenLease:
    """What one process has seen of a Lease, and since when it has been so."""

    def __init__(self, identity: str, lease_s: float) -> None:
        """`lease_s` is how long to wait for a Lease that does not say so itself."""
        self._identity = identity
        self._lease_s = lease_s
        self._version = ""
        self._since_s = 0.0

    def free_in_s(self, lease: Manifest, now_s: float) -> float:
        """In how many seconds the Lease may be taken, as it was just read; 0: now.

        `now_s` is the steady time after it was read.
        """
        version = lease["metadata"]["resourceVersion"]
        if version != self._version:
            self._version, self._since_s = version, now_s
        if holder_of(lease) in {"", self._identity}:
            return 0.0
        length_s = float((lease.get("spec") or {}).get("leaseDurationSeconds") or self._lease_s)
        return max(0.0, self._since_s + length_s - now_s)


def holder_of(lease: Manifest) -> str:
    """Who holds a Lease; empty: nobody."""
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def made(key: ObjectKey, lease_s: int, wall: datetime) -> Manifest:
    """A Lease where there is none."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {
            "holderIdentity": NOBODY_YET,
            "leaseDurationSeconds": lease_s,
            "renewTime": micro_time(wall),
            "leaseTransitions": 0,
        },
    }


def taken(lease: Manifest, identity: str, lease_s: int, wall: datetime) -> Manifest:
    """The Lease as its new holder writes it."""
    spec = dict(lease.get("spec") or {})
    return {
        **lease,
        "spec": {
            **spec,
            "holderIdentity": identity,
            "leaseDurationSeconds": lease_s,
            "acquireTime": micro_time(wall),
            "renewTime": micro_time(wall),
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1,
        },
    }


def renewed(lease: Manifest, wall: datetime) -> Manifest:
    """The Lease as its holder writes it again."""
    return {**lease, "spec": {**lease["spec"], "renewTime": micro_time(wall)}}


def released(lease: Manifest, wall: datetime) -> Manifest:
    """The Lease as its holder leaves it: anybody may take it at once."""
    return {
        **lease,
        "spec": {**lease["spec"], "holderIdentity": "", "renewTime": micro_time(wall)},
    }


def micro_time(wall: datetime) -> str:
    """As the API server takes a MicroTime; `wall` is aware, in UTC."""
    return wall.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

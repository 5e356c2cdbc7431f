"""What every pod's own object says about it, whatever runs in it. Pure."""

from __future__ import annotations

from aop.origins.sites import Json
from aop.terms import ObjectKey


def has_ended(pod: Json) -> bool:
    """Whether it will never act again."""
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def is_ready(pod: Json) -> bool:
    """Whether it is Ready, not terminating, and has an address, as `sites.Replica.ready` says."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return (
        any((one.get("type"), one.get("status")) == ("Ready", "True") for one in conditions)
        and not pod["metadata"].get("deletionTimestamp")
        and bool(ip_of(pod))
    )


def ip_of(pod: Json) -> str:
    """Its address; empty while it has none."""
    return (pod.get("status") or {}).get("podIP") or ""


def key_of(pod: Json) -> ObjectKey:
    """Where it is."""
    return ObjectKey(pod["metadata"].get("namespace", ""), pod["metadata"]["name"])

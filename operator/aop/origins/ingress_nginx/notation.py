"""Claims as JSON, in the annotation that `stored` keeps them in. Compact, sorted, no secrets.

The annotation can be edited by whoever may edit the ConfigMap, so reading it trusts nothing: what is not exactly a claim is no claim.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aop.origins.claims import Claim, Mode, ObjectKey, Pin
from aop.origins.ingress_nginx.zones import is_host

_UID = re.compile(r"[A-Za-z0-9-]{1,64}")


def encode(claim: Claim) -> dict[str, Any]:
    """A claim as JSON objects and lists."""
    return {
        "uid": claim.uid,
        "owner": claim.owner,
        "zone": claim.zone,
        "patterns": list(claim.patterns),
        "mode": claim.mode.label,
        "enforced": list(claim.enforced),
        "pins": [
            {"sha256": p.sha256, "sha1": p.sha1, "notBefore": p.not_before.isoformat(), "notAfter": p.not_after.isoformat()}
            for p in claim.pins
        ],
        "nudge": claim.nudge,
        **({"excepted": list(claim.excepted)} if claim.excepted else {}),
    }


def decode(found: object) -> Claim:
    """The claim that `encode` wrote.

    Raises:
        ValueError: it is not one; the message says what is wrong with it.
    """
    try:
        return _claim(found)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a claim: {error!r}") from error


def _claim(found: Any) -> Claim:
    claim = Claim(
        uid=_matching(_UID, found["uid"]),
        owner=str(ObjectKey.parse(found["owner"])),
        zone=_host(found["zone"]),
        patterns=tuple(_host(name) for name in _list(found["patterns"])),
        mode=Mode.parse(found["mode"]),
        enforced=tuple(_host(name) for name in _list(found["enforced"])),
        pins=tuple(_pin(pin) for pin in _list(found["pins"])),
        nudge=_integer(found["nudge"]),
        excepted=tuple(_host(name) for name in _list(found.get("excepted", []))),
    )
    if claim.enforced and claim.mode < Mode.OPTIONAL:
        raise ValueError(f"hosts are enforced at {claim.mode.label}")
    if any(name.startswith("*") for name in (claim.zone, *claim.excepted)):
        raise ValueError("a wildcard stands where a name is due")
    return claim


def _pin(found: Mapping[str, Any]) -> Pin:
    pin = Pin(
        sha256=found["sha256"],
        sha1=found["sha1"],
        not_before=_moment(found["notBefore"]),
        not_after=_moment(found["notAfter"]),
    )
    if not pin.well_formed:
        raise ValueError(f"not the digests of a leaf: {found!r}")
    return pin


def _host(found: str) -> str:
    if not is_host(found):
        raise ValueError(f"not a hostname: {found!r}")
    return found


def _matching(form: re.Pattern[str], found: str) -> str:
    if form.fullmatch(found) is None:
        raise ValueError(f"not of the form {form.pattern}: {found!r}")
    return found


def _list(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise TypeError(f"not a list: {found!r}")
    return found


def _integer(found: Any) -> int:
    if not isinstance(found, int) or isinstance(found, bool):
        raise TypeError(f"not a number: {found!r}")
    return found


def _moment(found: str) -> datetime:
    moment = datetime.fromisoformat(found)
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {found!r}")
    return moment

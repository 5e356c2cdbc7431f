"""Claims as JSON, in the annotation that `stored` keeps them in: short, because all annotations of an object share 256 KiB; no secrets.

Names stand as in a zone file, relative to the zone: `@` is the zone itself, `www` a name in it, and
one with a dot at its end stands for itself. The annotation can be edited by whoever may edit the
ConfigMap, so reading it trusts nothing: what is not exactly a claim is none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from aop.terms import Claim, Mode, ObjectKey, Pin, is_host

_UID = re.compile(r"[A-Za-z0-9-]{1,64}")
_DEFAULTS: dict[str, Any] = {"e": [], "n": 0, "p": [], "x": []}
"""What need not be written."""
SAME, NONE = 1, 0
"""The accepted form is the claim itself; there is none. Of one length, so that a write never grows
because of it."""

Json = dict[str, Any]


def encode(claim: Claim) -> Json:
    """A claim as JSON objects and lists."""
    # A host that is relaxed becomes an exception of its wildcard: that it may not make the
    # annotation longer, the list is there before.
    kept = {"x"} if claim.enforced != claim.required else set()
    return {
        key: value
        for key, value in _all(claim).items()
        if key in kept or key not in _DEFAULTS or value != _DEFAULTS[key]
    }


def encode_accepted(accepted: Claim | None, claim: Claim) -> int | Json:
    """The accepted form of `claim`: SAME, NONE, or what differs in it."""
    if accepted is None or accepted == claim:
        return NONE if accepted is None else SAME
    said = _all(claim)
    return {key: value for key, value in _all(accepted).items() if value != said[key]}


def decode(found: object) -> Claim:
    """The claim that `encode` wrote.

    Raises:
        ValueError: it is not one; the message says what is wrong with it.
    """
    try:
        return _claim({**_DEFAULTS, **_object(found)})
    except (KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
        raise ValueError(f"not a claim: {error!r}") from error


def decode_accepted(found: object, claim: Claim) -> Claim | None:
    """What `encode_accepted` wrote. Raises ValueError as `decode` does."""
    if isinstance(found, int) and found in {SAME, NONE}:
        return claim if found == SAME else None
    try:
        return decode({**_all(claim), **_object(found)})
    except TypeError as error:
        raise ValueError(f"not the accepted form of a claim: {error!r}") from error


def _all(claim: Claim) -> Json:
    return {
        "u": claim.uid,
        "o": claim.owner,
        "z": claim.zone,
        "h": [_relative(name, claim.zone) for name in claim.patterns],
        "m": int(claim.mode),
        "e": [_relative(name, claim.zone) for name in claim.enforced],
        "p": [
            [pin.sha256, pin.sha1, int(pin.not_before.timestamp()), int(pin.not_after.timestamp())]
            for pin in claim.pins
        ],
        "n": claim.flush_count,
        "x": [_relative(name, claim.zone) for name in claim.excepted],
    }


def _claim(found: Json) -> Claim:
    zone = _host(found["z"])
    claim = Claim(
        uid=_matching(_UID, found["u"]),
        owner=str(ObjectKey.parse(found["o"])),
        zone=zone,
        patterns=tuple(_absolute(name, zone) for name in _list(found["h"])),
        mode=Mode(_integer(found["m"])),
        enforced=tuple(_absolute(name, zone) for name in _list(found["e"])),
        pins=tuple(_pin(*_list(pin)) for pin in _list(found["p"])),
        flush_count=_integer(found["n"]),
        excepted=tuple(_absolute(name, zone) for name in _list(found["x"])),
    )
    if claim.enforced and claim.mode < Mode.OPTIONAL:
        raise ValueError(f"hosts are enforced at {claim.mode.label}")
    if any(name.startswith("*") for name in (claim.zone, *claim.excepted)):
        raise ValueError("a wildcard stands where a name is due")
    return claim


def _pin(sha256: str, sha1: str, not_before: int, not_after: int) -> Pin:
    pin = Pin(sha256, sha1, _moment(not_before), _moment(not_after))
    if not pin.well_formed:
        raise ValueError(f"not the digests of a leaf: {sha256!r}, {sha1!r}")
    return pin


def _relative(name: str, zone: str) -> str:
    if name == zone:
        return "@"
    return name.removesuffix(f".{zone}") if name.endswith(f".{zone}") else f"{name}."


def _absolute(said: str, zone: str) -> str:
    if said == "@":
        return zone
    return _host(said.removesuffix(".") if said.endswith(".") else f"{said}.{zone}")


def _host(found: str) -> str:
    if not is_host(found):
        raise ValueError(f"not a hostname: {found!r}")
    return found


def _matching(form: re.Pattern[str], found: str) -> str:
    if form.fullmatch(found) is None:
        raise ValueError(f"not of the form {form.pattern}: {found!r}")
    return found


def _object(found: object) -> Json:
    if not isinstance(found, dict):
        raise TypeError(f"not an object: {found!r}")
    return found


def _list(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise TypeError(f"not a list: {found!r}")
    return found


def _integer(found: Any) -> int:
    if not isinstance(found, int) or isinstance(found, bool):
        raise TypeError(f"not a number: {found!r}")
    return found


def _moment(found: int) -> datetime:
    return datetime.fromtimestamp(_integer(found), UTC)

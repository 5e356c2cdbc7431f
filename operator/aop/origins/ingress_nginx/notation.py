"""Claims as JSON, in the annotation that `stored` keeps them in.

They are short, because all annotations of an object share 256 KiB, and hold no secrets. Names stand
as in a zone file, relative to the zone: `@` is the zone itself, `www` a name in it, and one with a
dot at its end stands for itself. The annotation can be edited by whoever may edit the ConfigMap, so
reading it trusts nothing: what is not exactly a claim is none.
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
    fields = _all(claim)
    return {key: value for key, value in _all(accepted).items() if value != fields[key]}


def decode(written: object) -> Claim:
    """The claim that `encode` wrote.

    Raises:
        ValueError: it is not one; the message says what is wrong with it.
    """
    try:
        return _claim({**_DEFAULTS, **_object(written)})
    except (KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
        raise ValueError(f"not a claim: {error!r}") from error


def decode_accepted(written: object, claim: Claim) -> Claim | None:
    """What `encode_accepted` wrote. Raises ValueError as `decode` does."""
    if isinstance(written, int) and written in {SAME, NONE}:
        return claim if written == SAME else None
    try:
        return decode({**_all(claim), **_object(written)})
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


def _claim(fields: Json) -> Claim:
    zone = _host(fields["z"])
    claim = Claim(
        uid=_matching(_UID, fields["u"]),
        owner=str(ObjectKey.parse(fields["o"])),
        zone=zone,
        patterns=tuple(_absolute(name, zone) for name in _list(fields["h"])),
        mode=Mode(_integer(fields["m"])),
        enforced=tuple(_absolute(name, zone) for name in _list(fields["e"])),
        pins=tuple(_pin(*_list(pin)) for pin in _list(fields["p"])),
        flush_count=_integer(fields["n"]),
        excepted=tuple(_absolute(name, zone) for name in _list(fields["x"])),
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


def _absolute(name: str, zone: str) -> str:
    if name == "@":
        return zone
    return _host(name.removesuffix(".") if name.endswith(".") else f"{name}.{zone}")


def _host(name: str) -> str:
    if not is_host(name):
        raise ValueError(f"not a hostname: {name!r}")
    return name


def _matching(form: re.Pattern[str], text: str) -> str:
    if form.fullmatch(text) is None:
        raise ValueError(f"not of the form {form.pattern}: {text!r}")
    return text


def _object(value: object) -> Json:
    if not isinstance(value, dict):
        raise TypeError(f"not an object: {value!r}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"not a list: {value!r}")
    return value


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"not a number: {value!r}")
    return value


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(_integer(seconds), UTC)

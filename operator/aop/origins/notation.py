"""Claims as JSON, one line each, as an origin's carrier keeps them in an annotation; no secrets.

Short, because all annotations of an object share 256 KiB, and a line each, so that `kubectl diff`
shows the claim that changed. A line holds the object's uid, its `namespace/name` and the zone, then
all hosts and pins that the claim or its accepted form names, and for each of the two forms what is
asked of them (`Form`). So a write that relaxes never grows, and one that adds no host and no pin
grows by no more than a form, and shrinks as soon as that is accepted.

Names stand as in a zone file, relative to the zone: `@` is the zone itself, `www` a name in it, and
one with a dot at its end stands for itself. The annotation can be edited by whoever may edit the
carrier, so reading it trusts nothing: what is not exactly what `encode` writes is no claim.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Annotated, Self

from pydantic import Field, StringConstraints, TypeAdapter

from aop.origins.sites import Entry
from aop.terms import Claim, Mode, ObjectKey, Pin, is_host
from aop.terms.notation import Written, WrittenPin, base64_of, bytes_of

_UID = re.compile(r"[A-Za-z0-9-]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Uid = Annotated[
    str, StringConstraints(pattern=r"\A([A-Za-z0-9_-]{21}[AQgw]|~[A-Za-z0-9-]{1,64})\z")
]
"""A UUID (facts: kubernetes#uids) in base64url without padding; behind a `~` what is none."""
PATTERN, ENFORCED, EXCEPTED = 1, 2, 4
"""What a host is in a claim; the digit of a host is the sum."""
SAME, NONE = 1, 0
"""The accepted form is the claim itself; there is none."""


class Form(
    Written[
        tuple[
            Annotated[int, Field(ge=Mode.OFF, le=Mode.REQUIRE)],
            Annotated[str, StringConstraints(pattern=r"\A[0-7]*\z")],
            Annotated[str, StringConstraints(pattern=r"\A[01]*\z")],
            Annotated[int, Field(ge=0, lt=2**63)],
        ]
    ]
):
    """How far a claim goes: its mode, a digit for each host, 1 for each pin, its flushes."""

    @classmethod
    def of(cls, claim: Claim, hosts: Collection[str], pins: Collection[Pin]) -> Self:
        """What `claim` asks of these hosts and pins."""
        sets = ((PATTERN, claim.patterns), (ENFORCED, claim.enforced), (EXCEPTED, claim.excepted))
        digits = (str(sum(bit for bit, names in sets if host in names)) for host in hosts)
        trusted = ("01"[pin in claim.pins] for pin in pins)
        return cls((int(claim.mode), "".join(digits), "".join(trusted), claim.flush_count))

    def claim(
        self, uid: str, owner: str, zone: str, hosts: Collection[str], pins: Collection[Pin]
    ) -> Claim:
        """The claim in this notation; raises ValueError if it can be none."""
        mode, digits, trusted, flush_count = self.root
        names: dict[int, tuple[str, ...]] = {
            bit: tuple(host for host, digit in zip(hosts, digits, strict=True) if int(digit) & bit)
            for bit in (PATTERN, ENFORCED, EXCEPTED)
        }
        if names[ENFORCED] and mode < Mode.OPTIONAL:
            raise ValueError("hosts are enforced by a mode that refuses nobody")
        if any(name.startswith("*") for name in names[EXCEPTED]):
            raise ValueError("a wildcard is excepted")
        return Claim(
            uid,
            owner,
            zone,
            names[PATTERN],
            Mode(mode),
            names[ENFORCED],
            tuple(pin for pin, one in zip(pins, trusted, strict=True) if one == "1"),
            flush_count,
            names[EXCEPTED],
        )


class Line(
    Written[
        tuple[
            Uid,
            str,
            str,
            tuple[str, ...],
            tuple[WrittenPin, ...],
            Form,
            Form | Annotated[int, Field(ge=NONE, le=SAME)],
        ]
    ]
):
    """One claim with its accepted form."""


_LINE = TypeAdapter(Line)


def check(claim: Claim) -> None:
    """Check that `claim` reads back as it is written, with nothing but names and digests in it.

    Nothing that came through the resource or through `decode` fails this.

    Raises ValueError if it contains something else; the message says what.
    """
    if not _UID.fullmatch(claim.uid):
        raise ValueError(f"{claim.uid!r} is no uid, so it would not be read again")
    ObjectKey.parse(claim.owner)
    for name in (claim.zone, *claim.patterns, *claim.enforced, *claim.excepted):
        if not is_host(name):
            raise ValueError(f"{name!r} is no hostname, so it must not stand in an origin's text")
    for pin in claim.pins:
        if not pin.well_formed:
            raise ValueError(
                f"{pin.sha256!r} and {pin.sha1!r} are no digests, so they must not stand in an origin's text"
            )


def encode_all(entries: Collection[Entry]) -> list[str]:
    """The claims of an origin, one line each, always in the same order."""
    return [encode(entry) for entry in sorted(entries, key=lambda entry: entry.claim.uid)]


def decode_all(lines: Iterable[str]) -> dict[str, Entry]:
    """What `encode_all` wrote, by uid, as far as it can be read.

    A line that cannot be read is no claim: the next write drops it, and the object that finds its
    claim missing begins again.
    """
    entries: dict[str, Entry] = {}
    for line in lines:
        try:
            entry = decode(line)
        except ValueError:
            continue
        entries[entry.claim.uid] = entry
    return entries


def encode(entry: Entry) -> str:
    """One line of JSON, without its end."""
    claim, accepted = entry.claim, entry.accepted
    if accepted and (accepted.owner, accepted.zone) != (claim.owner, claim.zone):
        accepted = None  # of an object that is not the claim's, so it says nothing of its hosts
    hosts, pins = _named(claim, accepted)
    written_accepted: Form | int = NONE if accepted is None else SAME
    if accepted is not None and accepted != claim:
        written_accepted = Form.of(accepted, hosts, pins)
    line = Line(
        (
            _written_uid(claim.uid),
            claim.owner,
            claim.zone,
            tuple(_relative(host, claim.zone) for host in hosts),
            tuple(WrittenPin.of(pin) for pin in pins),
            Form.of(claim, hosts, pins),
            written_accepted,
        )
    )
    return line.model_dump_json()


def decode(line: str) -> Entry:
    """What `encode` wrote.

    Raises ValueError for anything else; the message says what is wrong with it.
    """
    written = _LINE.validate_json(line)
    written_uid, written_owner, zone, names, written_pins, asked, seen = written.root
    uid, owner = _uid(written_uid), str(ObjectKey.parse(written_owner))
    if _host(zone).startswith("*"):
        raise ValueError(f"a wildcard is no zone: {zone!r}")
    hosts = [_absolute(name, zone) for name in names]
    pins = [one.pin for one in written_pins]
    claim = asked.claim(uid, owner, zone, hosts, pins)
    accepted = claim if seen == SAME else None
    if isinstance(seen, Form):
        accepted = seen.claim(uid, owner, zone, hosts, pins)
    exactly = (
        written.model_dump_json() == line
        and _named(claim, accepted) == (hosts, pins)
        and [_relative(host, zone) for host in hosts] == list(names)
        and not (isinstance(seen, Form) and accepted == claim)
    )
    if not exactly:
        raise ValueError(f"not as it would have been written: {line!r}")
    return Entry(claim, accepted)


def _named(claim: Claim, accepted: Claim | None) -> tuple[list[str], list[Pin]]:
    """The hosts and the pins of either form; sorted."""
    seen = accepted or claim
    return sorted({*claim.names, *seen.names}), sorted({*claim.pins, *seen.pins})


def _written_uid(uid: str) -> str:
    return base64_of(bytes.fromhex(uid.replace("-", ""))) if _UUID.fullmatch(uid) else f"~{uid}"


def _uid(written: str) -> str:
    if not written.startswith("~"):
        digits = bytes_of(written).hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    if _UUID.fullmatch(written[1:]):
        raise ValueError(f"a UUID is not written so: {written!r}")
    return written[1:]


def _relative(name: str, zone: str) -> str:
    if name == zone:
        return "@"
    return name.removesuffix(f".{zone}") if name.endswith(f".{zone}") else f"{name}."


def _absolute(written: str, zone: str) -> str:
    if written == "@":
        return zone
    return _host(written.removesuffix(".") if written.endswith(".") else f"{written}.{zone}")


def _host(name: str) -> str:
    if not is_host(name):
        raise ValueError(f"not a hostname: {name!r}")
    return name

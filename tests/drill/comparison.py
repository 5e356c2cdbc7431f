"""Where the real Cloudflare is not as the double: two transcripts of one exercise, compared by what answers look like. Pure.

Ids, texts and times are never compared, nor how often something was asked. A field that the double
does not have is told apart from the rest, because the operator takes no notice of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from drill.transcript import RecordedCall, Transcript


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is otherwise."""

    step: str
    call: str
    what: str
    double: str
    real: str
    matters: bool = True
    """False: a field more, of which the operator takes no notice."""


def differences(double: Transcript, real: Transcript) -> list[Difference]:
    """All of them, in the order of the exercise."""
    return [
        *_outcomes("outcome", double.outcomes, real.outcomes),
        *_outcomes("what the edge presents", double.presented, real.presented),
        *_answers(double, real),
    ]


def _outcomes(
    what: str, double: Mapping[str, str], real: Mapping[str, str]
) -> Iterator[Difference]:
    for step in dict.fromkeys([*double, *real]):
        expected, seen = double.get(step, "not reached"), real.get(step, "not reached")
        if expected != seen:
            yield Difference(step, "", what, expected, seen)


def _answers(double: Transcript, real: Transcript) -> Iterator[Difference]:
    expected, seen = _by_call(double), _by_call(real)
    for step, call in dict.fromkeys([*expected, *seen]):
        one, other = expected.get((step, call)), seen.get((step, call))
        if one is None or other is None:
            yield Difference(step, call, "asked", _asked(one), _asked(other), matters=False)
            continue
        for what, of in (
            ("HTTP status and codes", _statuses),
            ("status of the certificate", _course),
        ):
            if of(one) != of(other):
                yield Difference(step, call, what, of(one), of(other))
        yield from _fields(step, call, _shape(one), _shape(other))


def _fields(
    step: str, call: str, double: Mapping[str, set[str]], real: Mapping[str, set[str]]
) -> Iterator[Difference]:
    for place in sorted({*double, *real}):
        expected, seen = double.get(place, set()), real.get(place, set())
        if place == "result.status" or place.startswith("errors") or seen == expected:
            continue  # told as the course of the certificate, and with the HTTP status
        yield Difference(
            step, call, f"field {place}", _words(expected), _words(seen), matters=bool(expected)
        )


def _by_call(transcript: Transcript) -> dict[tuple[str, str], list[RecordedCall]]:
    by_call: dict[tuple[str, str], list[RecordedCall]] = {}
    for one in transcript.exchanges:
        by_call.setdefault((one.step, one.call), []).append(one)
    return by_call


def _statuses(exchanges: Sequence[RecordedCall]) -> str:
    """Each that came, once; answers that may be chance are left out where others came."""
    statuses = dict.fromkeys(
        f"{one.status or 'no answer'} {one.codes}".strip() for one in exchanges
    )
    lasting = [one for one in statuses if not one.startswith(("429", "409", "5", "no answer"))]
    return ", ".join(lasting or statuses)


def _course(exchanges: Sequence[RecordedCall]) -> str:
    """The statuses of the certificate, one after the other."""
    return " -> ".join(
        status for status, _ in groupby(one.deployment for one in exchanges) if status
    )


def _shape(exchanges: Sequence[RecordedCall]) -> dict[str, set[str]]:
    """Of all successful answers together; of refusals, if there is nothing else."""
    good = [one for one in exchanges if one.status == 200] or exchanges
    by_place: dict[str, set[str]] = {}
    for one in good:
        for place, kind in one.shape.items():
            by_place.setdefault(place, set()).update(kind.split(" or "))
    return by_place


def _asked(exchanges: Sequence[RecordedCall] | None) -> str:
    return "yes" if exchanges else "no"


def _words(kinds: set[str]) -> str:
    return " or ".join(sorted(kinds)) or "not there"

"""What is passed on to be shown, as plain numbers: the code that measures knows no Prometheus.

Moments are in seconds since 1970; None is what is not known, and is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why an origin was made milder."""

    LOSS = "loss"
    REFUSAL = "refusal"
    EXPIRY = "expiry"
    REJECTION = "rejection"
    SPEC = "spec"


class Undone(StrEnum):
    """What somebody had undone, and the operator has restored."""

    ZONE = "zone"
    CERTIFICATE = "certificate"
    KEY_PAIR = "key_pair"


@dataclass(frozen=True, slots=True)
class OriginFigures:
    """One origin of an object."""

    name: str
    replicas: Mapping[str, int]
    """By the mode that they show, or `Unknown`."""
    lag: int | None
    """How many revisions it is behind; None: no replica shows what it runs."""


@dataclass(frozen=True, slots=True)
class ObjectFigures:
    """What one look at the world of an object gives."""

    wanted: int
    enforcement: int | None
    hosts: int
    required: int
    unproven: int
    hold_offs: int
    undone: int
    """How often others have undone the configuration of the origin with which they did so most."""
    proven_at: float | None
    """None: not all is proven now, and what was shown before stands."""
    begins_at: float | None
    expires_at: float | None
    renews_at: float | None
    origins: tuple[OriginFigures, ...]


@dataclass(frozen=True, slots=True)
class TokenFigures:
    """The budget of the user or account that a token belongs to."""

    token: str
    """The place from which it is read."""
    calls: int
    used: int
    left: int
    paused_s: float


@dataclass(frozen=True, slots=True)
class WaitingFigures:
    """The objects that are visited, and those that wait for a visit."""

    objects: int
    waits_s: tuple[float, ...]
    """How long each object that waits for a look has waited."""

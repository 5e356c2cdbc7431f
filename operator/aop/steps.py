"""Everything the operator can do, one frozen dataclass each, and the three ways to do nothing.

`aop.plan` names one of these at a time; `aop.perform` carries out an effect in one `match` that
mypy proves complete. `str(step)` is the plain line that the log, Events, the demo and the traces of
the state space show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from aop.errors import Reason
from aop.observed import Record
from aop.origins.sites import Rollout
from aop.terms import Claim, Mode, Pin, Target


@dataclass(frozen=True, slots=True)
class Note:
    """Write the record on the object, before the effect that makes it necessary."""

    record: Record
    what: str

    def __str__(self) -> str:
        return f"record on the object: {self.what}"


@dataclass(frozen=True, slots=True)
class Issue:
    """Generate a key pair.

    `first` creates the Secrets, `next` puts a successor beside the leaf in use.
    """

    slot: Literal["first", "next"]

    def __str__(self) -> str:
        return (
            "generate the key pair"
            if self.slot == "first"
            else "generate the next key pair beside the one in use"
        )


@dataclass(frozen=True, slots=True)
class Promote:
    """Make the next leaf the one in use: one write of the Secret."""

    pin: Pin

    def __str__(self) -> str:
        return f"make leaf {self.pin.short} the one in use"


@dataclass(frozen=True, slots=True)
class Publish:
    """Write our claim for an origin, as a new revision."""

    origin: str
    target: Target
    claim: Claim
    why: str

    def __str__(self) -> str:
        mode, pins = self.claim.mode, self.claim.pins
        hosts = f" for {', '.join(self.claim.enforced)}" if self.claim.enforced else ""
        mild = " (it refuses no visitors)" if mode < Mode.OPTIONAL else ""
        trusting = f", trusting leaf {', '.join(pin.short for pin in pins)}" if pins else ""
        return f"set origin {self.origin} to mode {mode.label}{hosts}{mild}{trusting}, because {self.why}"


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take our claim out of an origin; the last claim takes all of our text out."""

    origin: str
    target: Target

    def __str__(self) -> str:
        return f"remove its configuration from origin {self.origin}"


@dataclass(frozen=True, slots=True)
class RollOut:
    """Make an origin's replicas be replaced, so that they take up what is published."""

    origin: str
    target: Target
    rollout: Rollout

    def __str__(self) -> str:
        what = "runs without the operator's configuration"
        if not self.rollout.leaving:
            what = "reads its new configuration"
        return f"replace the pods of {self.rollout.workload}, so that origin {self.origin} {what}"


@dataclass(frozen=True, slots=True)
class Upload:
    """Give Cloudflare the leaf of this pin, with its key."""

    zone_id: str
    pin: Pin

    def __str__(self) -> str:
        return f"upload leaf {self.pin.short} to Cloudflare"


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one certificate of ours at Cloudflare: the id whose fingerprint was just read."""

    zone_id: str
    certificate_id: str
    pin: Pin
    why: str

    def __str__(self) -> str:
        return f"delete leaf {self.pin.short} from Cloudflare, because {self.why}"


@dataclass(frozen=True, slots=True)
class SetEnabled:
    """Set the zone's Authenticated Origin Pulls."""

    zone_id: str
    enabled: bool
    why: str

    def __str__(self) -> str:
        return f"{'enable' if self.enabled else 'disable'} Authenticated Origin Pulls on the zone, because {self.why}"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until something finishes by itself.

    It says what that is, since when it is awaited, and when to look again.
    """

    reason: Reason
    message: str
    seconds: float
    since: datetime | None = None
    """Steady, as `Observed.now` is; shown as wall time."""
    remedy: str = ""
    """What helps, in the form of `Reason.remedy`, if that of the reason does not apply."""
    turn: Target | None = None
    """The origin for whose next write it waits: the object is woken when that may go out."""
    shown: Target | None = None
    """The origin whose replicas have to run what is published: the object is woken when they do."""

    def __str__(self) -> str:
        return f"waits: {self.message}"


@dataclass(frozen=True, slots=True)
class Block:
    """Nothing to do until a person acts; the message says what to do."""

    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"blocked ({self.reason}): {self.message}"


@dataclass(frozen=True, slots=True)
class Done:
    """The world is as the spec asks.

    `left_behind` names what a removal had to leave at Cloudflare.
    """

    left_behind: str = ""

    def __str__(self) -> str:
        return f"done, leaving behind: {self.left_behind}" if self.left_behind else "done"


Effect = Note | Issue | Promote | Publish | Withdraw | RollOut | Upload | Delete | SetEnabled
Pause = Wait | Block | Done
Step = Effect | Pause

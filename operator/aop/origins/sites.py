"""What a driver makes of the objects that it reads: values that every origin kind shares."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from aop.terms import Claim, Kind, Mode, ObjectKey

Json = Mapping[str, Any]


class Need(Enum):
    """What it means that something cannot be read."""

    ESSENTIAL = "essential"
    """Nothing is known of the origin without it."""
    AWAITED = "awaited"
    """What protects goes on without it, but nothing new begins."""
    OPTIONAL = "optional"
    """The driver does without it."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a driver reads from Kubernetes: one object by its name, or all of a kind.

    If two origins want the same, it is read once.
    """

    kind: Kind
    namespace: str | None = None
    """None: in all namespaces."""
    name: str | None = None
    """None: all of them."""
    need: Need = Need.ESSENTIAL
    prompt: bool = False
    """Whether it is read as often as what is essential, because it shows what an origin says about
    our text."""

    def __str__(self) -> str:
        if self.name is not None:
            return f"{self.kind.title} {self.namespace}/{self.name}"
        where = f" of namespace {self.namespace}" if self.namespace else ""
        return f"the {self.kind.plural}{where}"


Objects = Mapping[Read, tuple[Json, ...] | None]
"""What was read, by what was asked for: Kubernetes JSON objects; None if they cannot be read."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which namespaces the operator may look at."""

    namespaces: tuple[str, ...] = ()
    """Empty: all."""
    cluster: bool = True
    """Whether it may also look at what is in no namespace."""
    routers: bool = False
    """Whether it may also look at the routers of other people's servers, in all namespaces."""
    routes: bool = False
    """Whether it may also look at routes of Gateways, in all namespaces, and at classes of
    Gateways."""
    proxies: tuple[str, ...] = ()
    """Where the proxies of Gateways run; empty: beside their Gateway."""

    def reads(self, kind: Kind, home: str, need: Need) -> tuple[Read, ...]:
        """All objects of a kind that may be seen; those in `home` in any case."""
        if not self.namespaces:
            return (Read(kind, need=need),)
        return tuple(Read(kind, one, need=need) for one in dict.fromkeys((*self.namespaces, home)))


@dataclass(frozen=True, slots=True)
class Replica:
    """One pod that acts on an origin's carrier, and where it listens."""

    key: ObjectKey
    uid: str
    ready: bool
    """Ready, not terminating, and with an address: only then can it be asked, and only then does it
    get traffic."""
    ip: str
    """Empty while it has none."""
    http_port: int = 80
    https_port: int = 443
    started: str = ""
    """Which start of its server this is, as Kubernetes knows it; empty: not known."""

    @property
    def name(self) -> str:
        """Name of the pod."""
        return self.key.name


@dataclass(frozen=True, slots=True)
class Remark:
    """What a person should know before hosts are required, in sentences without their full stop."""

    what: str
    consequence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One object's claim, and how far it has got."""

    claim: Claim
    accepted: Claim | None = None
    """The last form that is known to have been in force on every replica; None: there is none."""

    def with_leaves(self, leaves: Mapping[str, str]) -> Entry:
        """The same, with those of `leaves` (base64 of DER, by SHA-256) that it pins."""
        if not leaves:
            return self
        accepted = self.accepted.with_leaves(leaves) if self.accepted else None
        return Entry(self.claim.with_leaves(leaves), accepted)

    @property
    def off(self) -> Entry:
        """The claim as it reads if the text does not say what the claim says; trust stays known."""
        return Entry(replace(self.claim, mode=Mode.OFF, enforced=(), excepted=()))


@dataclass(frozen=True, slots=True)
class Published:
    """What the carrier says about us.

    There are two answers to what is in force. `claims` is what may be relied on: if the text does
    not say what the claims render to, nothing is refused for certain, so every claim reads as OFF
    and has to be raised again on a fresh proof. `standing` is what has to be feared: a damaged text
    may still refuse all that its claims say.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    """By the uid of the object. Every claim is OFF unless the text is `intact`."""
    standing: Mapping[str, Claim] = field(default_factory=dict)
    """The claims by uid as they were written, `intact` or not: the strictest that the text may
    still do while there is `residue`."""
    intact: bool = True
    """Whether our text tells the origin what the claims render to, and is there once; also True if
    there is neither."""
    revision: int = 0
    """The revision of the last write, even if only the text remembers it; 0 before the first."""
    path_token: str | None = None
    """The random part of our two paths."""
    residue: bool = False
    """Whether something of ours is there, even if damaged."""
    misplaced: bool = False
    """Whether somebody's text is on the wrong side of ours since it was edited; the next write
    corrects that."""
    foreign_digest: str = ""
    """Identifies the others' text: the same as long as nobody changes it."""
    text_digest: str = ""
    """Identifies all the text that contains ours: the same as long as nobody changes it."""
    writers: tuple[str, ...] = ()
    """Who wrote last in the place of our text, as the API server names them; sorted."""

    @property
    def claims(self) -> dict[str, Claim]:
        """The claims by uid, as far as the text says them for certain."""
        return {uid: entry.claim for uid, entry in self.entries.items()}

    def claim_of(self, uid: str) -> Claim | None:
        """The claim of one object, as far as the text says it for certain."""
        entry = self.entries.get(uid)
        return entry.claim if entry else None

    @property
    def stands(self) -> bool:
        """Whether a whole text of ours is there."""
        return self.intact and bool(self.entries)

    def others_changed(self, uid: str) -> bool:
        """Whether the claim of an object other than `uid` differs from its last accepted form."""
        return any(
            entry.claim != entry.accepted for other, entry in self.entries.items() if other != uid
        )

    def relaxed_by(self, claim: Claim) -> bool:
        """Whether `claim` refuses nobody whom the text serves for certain.

        That means nobody at all while a damaged text may still refuse. Such a claim is written
        whatever others have put there.
        """
        if claim.asks_no_more_than(self.claim_of(claim.uid)):
            return True
        return (
            self.residue
            and claim.mode <= Mode.REQUEST
            and claim.asks_no_more_than(self.standing.get(claim.uid))
        )

    def opened_by(self, claim: Claim) -> bool:
        """Whether `claim` lets somebody in for good who is refused now.

        Fewer hosts are enforced, or less is asked of them. Such a claim is written however full the
        object is.
        """
        before = self.standing.get(claim.uid)
        return before is not None and (
            claim.mode < before.mode or not set(before.enforced) <= set(claim.enforced)
        )

    def entries_with(
        self, claims: Iterable[Claim], *, seen_everywhere: int | None, gone: Collection[str]
    ) -> dict[str, Entry]:
        """The entries once `claims` are published, by uid, as `kind.Site.publish` says.

        A form from which a claim comes down is no longer noted as accepted, because nothing goes
        back to it without a new proof.
        """
        entries = {uid: entry for uid, entry in self.entries.items() if uid not in gone}
        if self.intact and seen_everywhere == self.revision:
            entries = {
                uid: Entry(entry.claim, accepted=entry.claim) for uid, entry in entries.items()
            }
        for claim in claims:
            former = entries.get(claim.uid)
            accepted = former.accepted if former else None
            entries[claim.uid] = Entry(
                claim, accepted if accepted and claim.at_least_as_strict_as(accepted) else None
            )
        return entries

    def as_seen_by(self, uid: str) -> tuple[object, ...]:
        """Everything on which a decision about the claim of object `uid` was made.

        Other objects' claims are not in it.
        """
        entry = self.entries.get(uid)
        return (
            entry.claim if entry else None,
            self.standing.get(uid),
            self.intact,
            self.residue,
            self.misplaced,
            self.foreign_digest,
        )


@dataclass(frozen=True, slots=True)
class ServedHosts:
    """The hosts of one zone on an origin."""

    hosts: tuple[str, ...]
    """Concrete names; sorted."""
    left_out: Mapping[str, str]
    """Names, including wildcards, that the origin's text cannot carry or that no client can ask
    for, and why."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A change of a workload's pod template that makes its controller replace the pods.

    That is how they take up what is published, if a server reads it when it starts.
    """

    kind: Kind
    key: ObjectKey
    body: Json
    """A JSON merge patch."""
    leaving: bool = False
    """Whether nothing of ours is published any more, so that the note of the text with which pods
    start is removed."""

    @property
    def workload(self) -> str:
        """As people write it."""
        return f"{self.kind.title} {self.key}"

    @property
    def command(self) -> str:
        """The command that shows a person how far the replacing has got."""
        return f"kubectl rollout status {self.kind.title.lower()}/{self.key.name} -n {self.key.namespace}"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an origin does not accept its configuration."""

    words: str
    """Its own, as one printable line of at most 300 characters, the same at every attempt."""
    ours: bool
    """Whether they name something of ours; if not, the fault is somebody else's."""

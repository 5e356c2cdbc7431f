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
    """Protection goes on without it, and nothing new begins."""
    OPTIONAL = "optional"
    """The driver does without it."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a driver reads of Kubernetes: one object by its name, or all of a kind.

    The same one for two origins is read once.
    """

    kind: Kind
    namespace: str | None = None
    """None: in all namespaces."""
    name: str | None = None
    """None: all of them."""
    need: Need = Need.ESSENTIAL
    prompt: bool = False
    """It is read as often as what is essential: what an origin says of our text."""

    def __str__(self) -> str:
        if self.name is not None:
            return f"{self.kind.title} {self.namespace}/{self.name}"
        where = f" of namespace {self.namespace}" if self.namespace else ""
        return f"the {self.kind.plural}{where}"


Objects = Mapping[Read, tuple[Json, ...] | None]
"""What was read, by what was asked for: Kubernetes JSON objects; None where they cannot be read."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which namespaces the operator may look at."""

    namespaces: tuple[str, ...] = ()
    """Empty: all."""
    cluster: bool = True
    """It may also look at what is in no namespace."""
    routers: bool = False
    """It may also look at the routers of other people's servers, in all namespaces."""
    routes: bool = False
    """It may also look at routes of Gateways, in all namespaces, and at classes of Gateways."""
    proxies: tuple[str, ...] = ()
    """Where the proxies of Gateways run; empty: beside their Gateway."""

    def reads(self, kind: Kind, home: str, need: Need) -> tuple[Read, ...]:
        """All objects of a kind that may be seen; those in `home` in any case."""
        if not self.namespaces:
            return (Read(kind, need=need),)
        return tuple(Read(kind, one, need=need) for one in dict.fromkeys((*self.namespaces, home)))


@dataclass(frozen=True, slots=True)
class Replica:
    """One pod that acts on what an origin is configured by, and where it listens."""

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
    """Which start of its server this is, as Kubernetes knows it; empty: that is not known."""

    @property
    def name(self) -> str:
        """Name of the pod."""
        return self.key.name


@dataclass(frozen=True, slots=True)
class Remark:
    """What somebody should know before hosts are required, in sentences without their full stop."""

    what: str
    consequence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One object's claim, and how far it has come."""

    claim: Claim
    accepted: Claim | None = None
    """The last form that is known to have been in force on every replica; None: none is."""

    def with_leaves(self, leaves: Mapping[str, str]) -> Entry:
        """The same, with those of `leaves` (base64 of DER, by SHA-256) that it pins."""
        if not leaves:
            return self
        accepted = self.accepted.with_leaves(leaves) if self.accepted else None
        return Entry(self.claim.with_leaves(leaves), accepted)

    @property
    def off(self) -> Entry:
        """As it reads where the text does not say what the claim says; trust stays known."""
        return Entry(replace(self.claim, mode=Mode.OFF, enforced=(), excepted=()))


@dataclass(frozen=True, slots=True)
class Published:
    """What the object that carries our claims says of us.

    Two answers to what is in force. `claims` is what may be counted on: if the text does not say
    what the claims render to, nothing is refused for sure, so every claim reads as OFF and has to
    be raised again on a fresh proof. `standing` is what may have to be feared: a damaged text may
    still refuse all that its claims say.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    """By the uid of the object. Every claim is OFF unless `intact`."""
    standing: Mapping[str, Claim] = field(default_factory=dict)
    """The claims by uid as they were written, `intact` or not: the strictest that the text may
    still do while there is `residue`."""
    intact: bool = True
    """Our text says to the origin what the claims render to, and stands there once; also when there
    is neither."""
    revision: int = 0
    """Of the last write, also when only the text remembers it; 0 before the first."""
    path_token: str | None = None
    """The random part of our two paths."""
    residue: bool = False
    """Something of ours, be it damaged, stands there."""
    misplaced: bool = False
    """Somebody's text stands on the wrong side of ours since it was edited; the next write puts it
    right."""
    foreign_digest: str = ""
    """Names the others' text: the same for as long as nobody changes it."""
    text_digest: str = ""
    """Names all the text in which ours stands: the same for as long as nobody changes it."""
    writers: tuple[str, ...] = ()
    """Who wrote last where ours should stand, as the API server names them; sorted."""

    @property
    def claims(self) -> dict[str, Claim]:
        """The claims by uid, as far as the text says them for sure."""
        return {uid: entry.claim for uid, entry in self.entries.items()}

    def claim_of(self, uid: str) -> Claim | None:
        """The claim of one object, as far as the text says it for sure."""
        entry = self.entries.get(uid)
        return entry.claim if entry else None

    @property
    def stands(self) -> bool:
        """A text of ours stands there whole."""
        return self.intact and bool(self.entries)

    def others_changed(self, uid: str) -> bool:
        """Whether the claim of an object other than `uid` differs from its last accepted form."""
        return any(
            entry.claim != entry.accepted for other, entry in self.entries.items() if other != uid
        )

    def relaxed_by(self, claim: Claim) -> bool:
        """Whether `claim` refuses nobody whom the text serves for sure.

        Nobody at all while a damaged text still may. It is written whatever others have put there.
        """
        if claim.asks_no_more_than(self.claim_of(claim.uid)):
            return True
        return (
            self.residue
            and claim.mode <= Mode.REQUEST
            and claim.asks_no_more_than(self.standing.get(claim.uid))
        )

    def opened_by(self, claim: Claim) -> bool:
        """Whether somebody who is refused now is let in by `claim` for good.

        Fewer hosts are enforced, or less is asked of them. It is written however full the object
        is.
        """
        before = self.standing.get(claim.uid)
        return before is not None and (
            claim.mode < before.mode or not set(before.enforced) <= set(claim.enforced)
        )

    def entries_with(
        self, claims: Iterable[Claim], *, seen_everywhere: int | None, gone: Collection[str]
    ) -> dict[str, Entry]:
        """What stands there once `claims` are published, by uid, as `kind.Site.publish` says.

        A form that a claim comes down from is forgotten as accepted, because nothing goes back to
        it without a new proof.
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
        """Everything that a decision about the claim of object `uid` was made on.

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
    """Names, wildcards among them, that the origin's text cannot carry or that no client can ask
    for, and why."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A change of a workload's pod template that has its controller replace the pods.

    That is how they take up what is published, where a server reads it at its start.
    """

    kind: Kind
    key: ObjectKey
    body: Json
    """A JSON merge patch."""
    leaving: bool = False
    """Nothing of ours is published any more: what says with which text pods start is taken off."""

    @property
    def workload(self) -> str:
        """As people write it."""
        return f"{self.kind.title} {self.key}"

    @property
    def command(self) -> str:
        """What tells a person how far the replacing has come."""
        return f"kubectl rollout status {self.kind.title.lower()}/{self.key.name} -n {self.key.namespace}"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an origin does not take its configuration."""

    words: str
    """Its own, as one printable line of at most 300 characters, the same at every attempt."""
    ours: bool
    """They name something of ours; else the fault is somebody else's."""

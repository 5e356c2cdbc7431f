"""The one door to an origin kind: what a driver says, so that nobody above knows it by name.

A driver is pure. It says what to read. From what was read it makes a `Site`, which says what is
configured and who serves it, and turns claims into the object that has to be written. Everything
that looks, waits, writes or remembers is the same for all kinds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from aop.origins.sites import (
    Json,
    Objects,
    Published,
    Read,
    Rejection,
    Remark,
    Replica,
    Rollout,
    Scope,
    ServedHosts,
)
from aop.schema import Model
from aop.terms import Claim, Kind, Target


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an origin of a kind can and cannot do; rules and messages that depend on it ask here."""

    asks_per_host: bool = False
    """Whether asking for a certificate can differ between two hosts of one replica."""
    refuses_expired: bool = True
    """Whether it refuses a certificate that has expired, or is not valid yet, even where it only
    asks, by an answer or by a TLS alert."""
    ends_sessions: bool = True
    """Whether publishing the same claims again ends old TLS sessions."""
    creates_carrier: bool = False
    """Whether the carrier is made with the first claim and deleted with the last. Replicas that run
    its text go on when somebody else deletes it."""
    keeps_connections: bool = False
    """Whether a running server that takes up another text judges old connections by it as well: the
    edge may have made them before it presented anything."""
    fails_rejected: bool = False
    """Whether it serves nobody while it rejects a text, where others go on with the old text. Then
    no other text is tried again soon."""
    told_by: tuple[str, ...] = ()
    """The request headers by which the server tells our text what the client presented. A client
    can send them too, so somebody has to remove them before; otherwise whoever sends them
    passes."""


@dataclass(frozen=True, slots=True)
class Words:
    """What is special to one origin of a kind, in words for messages."""

    place: str = "what configures it"
    """The object that carries our claims, such as `ConfigMap ingress-nginx/controller`."""
    missing: str = "Create it"
    """What helps if that object does not exist; a sentence without its full stop, as all below."""
    not_allowed: str = "Add it to the operator's allow-list"
    """What helps if the operator may not write that object."""
    unread: str = "no controller reads what configures it"
    """That no server acts on that object, why, and what helps."""
    unreached: str = "The pod hangs, its node is cut off, or a NetworkPolicy is in the way"
    """Why a Ready pod may not answer the operator."""
    unready: str = "Find out why its pods are not Ready"
    """What helps if no server that acts on that object is Ready."""
    in_place: str = "Keep the server from loading another text while it runs"
    """What helps if a running server takes up another text."""
    rejected: str = "See the Events of its pods"
    """Where to find the origin's own words about a text that it rejects."""
    ours: str = "what the operator writes there"
    """What in that object is ours, for messages that ask others to leave it alone."""


class Site(Protocol):
    """One origin at one moment, as the objects that were read show it."""

    @property
    def exists(self) -> bool:
        """Whether the object that carries our claims exists."""

    @property
    def published(self) -> Published:
        """What that object says about us. Nothing that anybody writes into it makes this fail."""

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """Every pod that acts on that object and has not ended, Ready or not; sorted."""

    @property
    def proxy_protocol(self) -> bool:
        """Whether every connection to a replica begins with a PROXY header."""

    def hosts(self, zone: str, patterns: Collection[str], also: Collection[str]) -> ServedHosts:
        """The hosts of `zone` that the origin serves under `patterns`, and those in `also`.

        Patterns are names and wildcards. Hosts that another zone's claim takes are left out.
        """

    def verifiers(self, hosts: Collection[str]) -> Mapping[str, str]:
        """Those of `hosts` at which somebody else verifies client certificates and would refuse us.

        A sentence about each says who does it and what helps.
        """

    def unread(self) -> str | None:
        """Why no server acts on the carrier, if more is known than `Words.unread`.

        As a sentence that says what helps. It matters if there are no replicas.
        """

    def unserved(self, hosts: Collection[str]) -> Mapping[str, str]:
        """Those of `hosts` that nothing there serves, as far as Kubernetes shows.

        A sentence about each says so; whether it is true is probed.
        """

    def wildcards(
        self, hosts: Collection[str], patterns: Collection[str]
    ) -> Mapping[str, tuple[str, ...]]:
        """The wildcards under `patterns` that have their own server.

        Each with those of `hosts` that this server serves.
        """

    def left_open(self, patterns: Collection[str]) -> tuple[str, ...]:
        """By which other names the applications of the hosts under `patterns` are reached.

        As sentences, sorted.
        """

    def misplaced(self, uid: str, spec: Model | None) -> bool:
        """Whether the text takes effect elsewhere in the server than this object says.

        Only for the one object that decides that, of all whose claims are there. `spec` as in
        `objection`.
        """

    def objection(self, spec: Model | None) -> str | None:
        """What others have configured with which ours must not be combined.

        As a sentence that says what helps; `spec` is what the user writes about the origin.
        """

    def remarks(self, hosts: Collection[str]) -> tuple[Remark, ...]:
        """What does not prevent requiring `hosts`, and yet has consequences.

        For `kubectl aop preflight`; no rule reads it.
        """

    def entries(self, hosts: Collection[str]) -> Mapping[str, object]:
        """Everything that the published text says about each of `hosts`.

        What was seen of a host stands for as long as this stays equal.
        """

    def rejection(
        self, events: Iterable[Json], replica: Replica, since: datetime
    ) -> Rejection | None:
        """What the origin's own words say about the current text; None proves nothing.

        They are in Events of this replica that were last seen at or after `since` (UTC).
        """

    def unfinished(self, since: datetime) -> Rejection | None:
        """Why the controller that replaces its replicas has given up, at or after `since` (UTC).

        Even if some of them run the current text. None if it has not given up, or there is none.
        """

    def publish(
        self,
        claim: Claim,
        *,
        spec: Model | None,
        token_if_new: str,
        seen_everywhere: int | None = None,
        gone: Collection[str] = frozenset(),
        beside: Collection[tuple[Claim, Model | None]] = (),
    ) -> dict[str, Any]:
        """The object with `claim` in place of its owner's former one, as the next revision.

        Other claims stay as they read, but for those of other objects that go out in the same
        write: `beside`, each with what its own object writes of the origin. `seen_everywhere` is
        the revision that every Ready replica was seen to run, None if they differ: if it is the one
        that stands there, then all its claims are noted as accepted. `token_if_new` (8 to 40 of a-z
        and 0-9, at random) becomes the secret part of our paths where there is none yet. `gone` are
        the uids of objects that are not there any more: their claims leave with this write. `spec`
        is None for an origin that has left the spec.

        `Published.entries_with` says which claims stand there afterwards.

        Raises:
            Blocked: FOREIGN_CONFIGURATION, but for what asks for no more than what is in force
                (`Published.relaxed_by`): nothing holds back what protects visitors. Or what others
                have put there cannot be told from ours.
            Blocked: ORIGIN_FULL, but for what lets somebody in (`Published.opened_by`).
            ValueError: a claim that must not stand in a text, or would not read back
                (`notation.check`).
        """

    def rollout(self, spec: Model | None) -> Rollout | None:
        """What makes the replicas be replaced, so that they take up what is published.

        None if that is done already, or if replicas take it up by themselves. `spec` as in
        `publish`.
        """

    def next_rollout(self, spec: Model | None) -> Rollout | None:
        """What makes the replicas be replaced when something else is published; only to foresee.

        None: they take it up by themselves, or somebody else takes care of it. `spec` as in
        `publish`.
        """

    def withdraw(self, uid: str) -> dict[str, Any] | None:
        """The object without the claim of one owner.

        The last claim takes all that is ours out and leaves what was found. None: the object itself
        is to be deleted, because it was made for us.

        Raises:
            Blocked: FOREIGN_CONFIGURATION. What others have put there cannot be told from ours.
        """


class OriginKind(Protocol):
    """A driver."""

    @property
    def name(self) -> str:
        """Its name in the resource, such as `ingressNginx`."""

    @property
    def spec(self) -> type[Model]:
        """What a user writes about an origin of this kind."""

    @property
    def reference(self) -> str:
        """The field of `spec`, as in the resource, that names the object.

        It does so by `namespace` and `name`; an object may be in one origin only.
        """

    @property
    def capabilities(self) -> Capabilities:
        """What an origin of this kind can and cannot do."""

    @property
    def carried_by(self) -> Kind:
        """The kind of the carrier.

        A carrier has the label `CLAIMED_LABEL` with the kind's name for as long as it carries
        claims. If it has `WATCH_LABEL` as well, the operator looks at it as soon as anybody changes
        it.
        """

    @property
    def rolls_out(self) -> tuple[Kind, ...]:
        """The workloads whose pod templates `Site.rollout` changes."""

    def target(self, spec: Any) -> Target:
        """The object that configures the origin; `spec` is a model of the type `spec`."""

    def words(self, target: Target) -> Words:
        """The words in which messages name the origin."""

    def carrier(self, target: Target) -> Read:
        """The object that carries our claims: the only one that is ever written."""

    def reads(self, target: Target, scope: Scope) -> tuple[Read, ...]:
        """Everything that `site` wants to know, the carrier first."""

    def site(self, target: Target, objects: Objects, spec: Model | None = None) -> Site:
        """The origin, as these objects show it; nothing is known of what is missing in `objects`.

        `spec` is what the user writes about the origin. None: it has left the spec, or no object
        asks.
        """

    def refuses_certificate(self, status: int, body: str) -> bool:
        """Whether an answer of a replica is the server's own refusal.

        That is a refusal of a certificate, or of a request without one, which no claim of ours
        causes.
        """

    def refuses_arrival(self, status: int, body: str) -> bool:
        """Whether an answer through the edge is the server's own refusal of what came.

        It is on the check path, which no claim refuses.
        """

"""What a kind brings to be tried: its carrier as others leave it, what stands around it, and a server.

Everything else that a test needs is made of these here, the same way for every kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from hypothesis import settings
from hypothesis.strategies import SearchStrategy

from aop.origins.kind import OriginKind, Site
from aop.origins.sites import Objects, Published, Read, Scope
from aop.pki import KeyedLeaf
from aop.probe import Answer
from aop.schema import Model
from aop.terms import Claim, Pin, Target
from builders import NEXT, claim

Json = dict[str, Any]
Place = tuple[str, ...]
"""Where a text stands in an object, from key to key."""
TOKEN = "k3y0fth3path"
tried = settings(max_examples=max(3, settings().max_examples // 5))
"""How properties are tried: every kind with a fifth of the examples that a property has elsewhere,
because there are as many kinds."""


@dataclass(frozen=True)
class VisitorLeaf:
    """A client certificate with its key, also as one file."""

    keyed: KeyedLeaf
    path: Path

    @property
    def pin(self) -> Pin:
        return self.keyed.leaf.pin


class OriginServer(Protocol):
    """A server that acts on a carrier, and serves an application on every host that it was started with."""

    def ask(
        self, host: str, path: str, visitor: VisitorLeaf | None = None, *, tls: bool = True
    ) -> Answer:
        """What it answers to a GET on a connection of its own.

        Raises `ssl.SSLError` or `ConnectionError` where it refuses a certificate before any answer.

        In plaintext nobody presents anything, and whoever asks claims to come over TLS, if a header
        can claim that. Who comes over TLS without a certificate claims in headers to have one.
        """

    def resumes_after(self, host: str, carrier: Json) -> bool:
        """Whether a TLS session of before goes on once it acts on `carrier` instead."""


class Ground(Protocol):
    """Where a kind is tried."""

    @property
    def kind(self) -> OriginKind:
        """The driver."""

    @property
    def spec(self) -> Model:
        """What a user writes, so that ours may stand beside the text of others."""

    @property
    def remembered(self) -> Place:
        """Where the claims stand as data, from which the text can be rendered."""

    @property
    def lists_hosts(self) -> bool:
        """Which hosts it serves can be read in Kubernetes; else it serves those that the object names."""

    @property
    def alerts(self) -> bool:
        """The server refuses what has expired by a TLS alert, if it refuses that: there is no answer."""

    def carriers(self) -> SearchStrategy[Json]:
        """The carrier as others leave it, with and without text of theirs; ours may stand beside all of it."""

    def forbidding(self, carrier: Json) -> Iterable[Json]:
        """The carrier after others have put something there that ours must not be combined with."""

    def pod(self, name: str, ip: str) -> Json:
        """A Ready pod that acts on the carrier."""

    def bystander(self, name: str, ip: str) -> Json:
        """A Ready pod beside it that does not."""

    def serving(self, *hosts: str) -> tuple[Json, ...]:
        """What has the origin serve these hosts."""

    def complaint(self, pod: Json, carrier: Json, at: datetime, *, ours: bool) -> Json:
        """The Event in which the origin says that it does not take its text, for something of ours or of others."""

    def server(
        self, folder: Path, carrier: Json, hosts: tuple[str, ...]
    ) -> AbstractContextManager[OriginServer]:
        """The real server, running."""


ORG = replace(
    claim(pins=(NEXT,)),
    uid="org",
    owner="shop/example-org",
    zone="example.org",
    patterns=("example.org", "*.example.org"),
    enforced=("example.org",),
)
"""What another object asks for another zone."""


def target_of(ground: Ground) -> Target:
    """The origin that is tried."""
    return ground.kind.target(ground.spec)


def objects_of(ground: Ground, things: Iterable[Json], scope: Scope | None = None) -> Objects:
    """What the driver's reads find among these objects."""
    reads = ground.kind.reads(target_of(ground), scope or Scope(routes=True))
    there = list(things)
    return {read: tuple(one for one in there if _is_read(read, one)) for read in reads}


def _is_read(read: Read, thing: Json) -> bool:
    metadata = thing["metadata"]
    return (
        thing["kind"] == read.kind.title
        and read.namespace in {None, metadata.get("namespace")}
        and read.name in {None, metadata["name"]}
    )


def site_of(ground: Ground, *things: Json, spec: Model | None = None) -> Site:
    """The origin, as these objects say it, and as a user writes it."""
    return ground.kind.site(target_of(ground), objects_of(ground, things), spec)


def published_in(ground: Ground, carrier: Json) -> Published:
    """What a carrier says of us."""
    return site_of(ground, carrier).published


def written(ground: Ground, carrier: Json, *claims: Claim, **more: Any) -> Json:
    """The carrier with these claims, one write after the other."""
    more = {"token_if_new": TOKEN, **more}
    for one in claims:
        carrier = site_of(ground, carrier).publish(one, spec=ground.spec, **more)
    return carrier


def withdrawn(ground: Ground, carrier: Json, *uids: str) -> Json:
    """The carrier without the claims of these objects, one write after the other."""
    for uid in uids:
        left = site_of(ground, carrier).withdraw(uid)
        assert left is not None, "it was not made for us"
        carrier = left
    return carrier


def texts(thing: Any, place: Place = ()) -> dict[Place, str]:
    """Every text in an object, by its place."""
    if isinstance(thing, str):
        return {place: thing}
    inner = thing.items() if isinstance(thing, dict) else ()
    return {at: text for key, one in inner for at, text in texts(one, (*place, key)).items()}


def size_of(carrier: Json) -> int:
    """Bytes of all its texts and of their names."""
    return sum(len("".join((place[-1], text)).encode()) for place, text in texts(carrier).items())


def bare(ground: Ground) -> Json:
    """The carrier with nothing but its name."""
    target = target_of(ground)
    kind = ground.kind.carrier(target).kind.title
    return {"kind": kind, "metadata": {"namespace": target.namespace, "name": target.name}}


def with_text(body: Json, place: Place, text: str | None) -> Json:
    """The object with another text at this place; None: without it."""
    body = deepcopy(body)
    inner = body
    for key in place[:-1]:
        inner = inner.setdefault(key, {})
    inner.pop(place[-1], None)
    if text is not None:
        inner[place[-1]] = text
    return body


def of_ours(before: Json, body: Json) -> list[Place]:
    """Where something of ours stands."""
    kept = texts(before)
    return sorted(place for place, text in texts(body).items() if kept.get(place) != text)

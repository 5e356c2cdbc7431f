"""The smallest origin kind, made by following the recipe: a driver, and a server that acts on what it writes.

Where it can be otherwise than ingress-nginx, it is: it asks per host, it serves whoever comes with
an expired certificate, and no write ends a session. One key of its carrier is ours alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from aop.errors import Blocked, Reason
from aop.origins.check import NO_ZONE, NONE, OTHER, TOKEN, check_path, gate_path, printed
from aop.origins.kind import Capabilities, Words
from aop.origins.notation import check, decode_all, encode_all
from aop.origins.pods import has_ended, ip_of, is_ready, key_of
from aop.origins.room import check_room
from aop.origins.sites import (
    Entry,
    Json,
    Need,
    Objects,
    Published,
    Read,
    Rejection,
    Remark,
    Replica,
    Scope,
    ServedHosts,
)
from aop.origins.zones import ClaimPolicy, labels, pins_by_zone, strictness, zones_by_name
from aop.probe import Answer
from aop.schema import LabelName, Model, ObjectName
from aop.terms import Claim, Kind, Mode, ObjectKey, Pin, Target, covers, is_host
from aop.terms.names import (
    CLAIMED_LABEL,
    CLAIMS_ANNOTATION,
    PATH_ANNOTATION,
    REVISION_ANNOTATION,
)

NAME = "inMemory"
RULES = "aop-rules"
"""The key of the carrier that is ours alone."""
CLOSED = "closed"
"""The key with which others forbid us to write."""
ANNOTATIONS = (CLAIMS_ANNOTATION, PATH_ANNOTATION, REVISION_ANNOTATION)
REJECTED = "Rejected"
"""The reason of an Event in which a pod says which line it does not take."""


# --- what a user writes ------------------------------------------------------------------------------------------------------------


class RulesRef(Model):
    """The ConfigMap that the pods read."""

    namespace: LabelName
    """Its namespace."""
    name: ObjectName
    """Its name."""


class InMemory(Model):
    """An origin that exists in these tests only."""

    rules_ref: RulesRef
    """The ConfigMap that the pods read."""


# --- the text ----------------------------------------------------------------------------------------------------------------------


def render(claims: Collection[Claim], revision: int, token: str) -> str:
    """The rules as the server reads them: one a line, each a word and what it is about.

    A mode is a number, so that no milder one is longer.
    """
    for claim in claims:
        check(claim)
    if not TOKEN.fullmatch(token):
        raise ValueError(f"{token!r} is no token")
    label, zones, pins = labels(claims), zones_by_name(claims), pins_by_zone(claims)
    return "\n".join(
        (
            f"revision {printed(revision)}",
            f"path {token}",
            *(f"ask {pattern} {label[zone]}" for pattern, zone in zones.items()),
            *(f"refuse {host} {mode:d}" for host, mode in strictness(claims).items()),
            *(
                f"pin {label[zone]} {pin.sha256}"
                for zone in sorted(set(zones.values()))
                for pin in pins.get(zone, ())
            ),
        )
    )


def read(carrier: Json | None) -> Published:
    """What a carrier says of us; whatever stands there, this does not fail."""
    annotations: Mapping[str, str] = _of(carrier, "metadata").get("annotations") or {}
    data = _of(carrier, "data")
    text, token = data.get(RULES), annotations.get(PATH_ANNOTATION, "")
    named = re.match(r"revision ([0-9]{8,15})\n", text or "")
    revision = max(
        int(number) if re.fullmatch("[0-9]{8,15}", number) else 0
        for number in (annotations.get(REVISION_ANNOTATION, ""), named[1] if named else "")
    )
    entries = decode_all(annotations.get(CLAIMS_ANNOTATION, "").split("\n"))
    claims = [entry.claim for entry in entries.values()]
    known = token if TOKEN.fullmatch(token) else None
    rendered = render(claims, revision, known) if claims and known else None
    intact = text == rendered and bool(rendered) == any(name in annotations for name in ANNOTATIONS)
    return Published(
        entries=entries if intact else {uid: entry.off for uid, entry in entries.items()},
        standing={uid: entry.claim for uid, entry in entries.items()},
        intact=intact,
        revision=revision,
        path_token=known,
        residue=text is not None,
        foreign_digest=_digest({key: value for key, value in data.items() if key != RULES}),
        text_digest=_digest(data),
    )


def _of(carrier: Json | None, field: str) -> Mapping[str, Any]:
    return (carrier or {}).get(field) or {}


def _digest(content: object) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# --- the door ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RulesSite:
    """The rules, the pods that read them, and the hosts of the Ingresses beside them."""

    key: ObjectKey
    carrier: Json | None
    replicas: tuple[Replica, ...]
    served: frozenset[str]

    @property
    def exists(self) -> bool:
        return self.carrier is not None

    @property
    def published(self) -> Published:
        return read(self.carrier)

    @property
    def proxy_protocol(self) -> bool:
        return False

    def hosts(self, zone: str, patterns: Collection[str], also: Collection[str]) -> ServedHosts:
        under = {host for host in self.served if any(covers(one, host) for one in patterns)}
        feared = ClaimPolicy(self.published.standing.values())
        named = feared.hosts_of(zone, {*under, *also})
        left_out = {name: "no visitor can ask for it" for name in named if not is_host(name)}
        return ServedHosts(tuple(sorted(named - left_out.keys())), left_out)

    def verifiers(self, hosts: Collection[str]) -> Mapping[str, str]:
        return {}

    def unread(self) -> None:
        """Nothing tells more."""

    def unserved(self, hosts: Collection[str]) -> Mapping[str, str]:
        return {}

    def wildcards(
        self, hosts: Collection[str], patterns: Collection[str]
    ) -> Mapping[str, tuple[str, ...]]:
        return {}

    def left_open(self, patterns: Collection[str]) -> tuple[str, ...]:
        return ()

    def misplaced(self, uid: str, spec: Model | None) -> bool:
        return False

    def objection(self, spec: Model | None) -> str | None:
        if CLOSED not in _of(self.carrier, "data"):
            return None
        return f"ConfigMap {self.key} is closed to us. Remove its key {CLOSED}"

    def remarks(self, hosts: Collection[str]) -> tuple[Remark, ...]:
        return ()

    def entries(self, hosts: Collection[str]) -> Mapping[str, object]:
        claims, asking = self.published.claims.values(), Mode.REQUEST
        zones = {host: _most_specific(host, zones_by_name(claims)) for host in hosts}
        modes, pins = strictness(claims), pins_by_zone(claims)
        return {
            host: (zone, modes.get(host, asking), pins.get(zone)) if zone else None
            for host, zone in zones.items()
        }

    def rejection(
        self, events: Iterable[Json], replica: Replica, since: datetime
    ) -> Rejection | None:
        rules = (_of(self.carrier, "data").get(RULES) or "").splitlines()
        words = [
            event["message"]
            for event in events
            if event["reason"] == REJECTED
            and event["involvedObject"]["uid"] == replica.uid
            and datetime.fromisoformat(event["lastTimestamp"]) >= since.replace(microsecond=0)
        ]
        return Rejection(words[-1][:300], ours=words[-1] in rules) if words else None

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
        before, changes = self.published, [(claim, spec), *beside]
        for one, own_spec in changes:
            if not before.relaxed_by(one) and (why := self.objection(own_spec)):
                raise Blocked(Reason.FOREIGN_CONFIGURATION, why)
        claims = [one for one, _ in changes]
        entries = before.entries_with(claims, seen_everywhere=seen_everywhere, gone=gone)
        token = before.path_token or token_if_new
        check_room(
            f"ConfigMap {self.key}",
            before,
            self.carrier or {},
            claims,
            entries,
            lambda counted: self._with(counted, token),
        )
        return self._with(entries, token)

    def rollout(self, spec: Model | None) -> None:
        """Nothing: the server reads the rules at each request."""

    def next_rollout(self, spec: Model | None) -> None:
        """Nothing, as above."""

    def unfinished(self, since: datetime) -> None:
        """Nobody replaces its pods for us."""

    def withdraw(self, uid: str) -> dict[str, Any]:
        before = self.published
        remaining = {other: entry for other, entry in before.entries.items() if other != uid}
        if remaining and (len(remaining) == len(before.entries) or not before.path_token):
            return deepcopy(dict(self.carrier or {}))
        return self._with(remaining, before.path_token or "")

    def _with(self, entries: Mapping[str, Entry], token: str) -> dict[str, Any]:
        """The carrier with these claims in place of all that is ours."""
        body, revision = deepcopy(dict(self.carrier or {})), self.published.revision + 1
        metadata = body.setdefault("metadata", {})
        ours: tuple[dict[str, str], dict[str, str], dict[str, str]] = ({}, {}, {})
        if entries:
            claims = [entry.claim for entry in entries.values()]
            kept = ("\n".join(encode_all(entries.values())), token, printed(revision))
            ours = (
                {RULES: render(claims, revision, token)},
                dict(zip(ANNOTATIONS, kept, strict=True)),
                {CLAIMED_LABEL: NAME},
            )
        names = {RULES, *ANNOTATIONS, CLAIMED_LABEL}
        places = ((body, "data"), (metadata, "annotations"), (metadata, "labels"))
        for (thing, field), added in zip(places, ours, strict=True):
            theirs = {k: v for k, v in (thing.pop(field, None) or {}).items() if k not in names}
            if theirs or added:
                thing[field] = theirs | added
        return body


class Driver:
    """The driver; it has no state."""

    name = NAME
    spec = InMemory
    reference = "rulesRef"
    capabilities = Capabilities(asks_per_host=True, refuses_expired=False, ends_sessions=False)
    carried_by = Kind.CONFIG_MAP
    rolls_out = ()

    def target(self, spec: InMemory) -> Target:
        return Target(NAME, spec.rules_ref.namespace, spec.rules_ref.name)

    def words(self, target: Target) -> Words:
        return Words(place=f"ConfigMap {target.key}", ours=f"the key {RULES}")

    def carrier(self, target: Target) -> Read:
        return Read(self.carried_by, target.namespace, target.name)

    def reads(self, target: Target, scope: Scope) -> tuple[Read, ...]:
        ingresses = scope.reads(Kind.INGRESS, target.namespace, Need.AWAITED)
        return self.carrier(target), Read(Kind.POD, target.namespace), *ingresses

    def site(self, target: Target, objects: Objects, spec: Model | None = None) -> RulesSite:
        pods = objects.get(Read(Kind.POD, target.namespace)) or ()
        ingresses = (
            one for read in objects if read.kind is Kind.INGRESS for one in objects[read] or ()
        )
        return RulesSite(
            target.key,
            next(iter(objects.get(self.carrier(target)) or ()), None),
            tuple(
                Replica(key_of(pod), pod["metadata"]["uid"], is_ready(pod), ip_of(pod))
                for pod in sorted(pods, key=key_of)
                if _of(pod, "spec").get("reads") == target.name and not has_ended(pod)
            ),
            frozenset(rule["host"] for one in ingresses for rule in one["spec"]["rules"]),
        )

    def refuses_certificate(self, status: int, body: str) -> bool:
        return False

    def refuses_arrival(self, status: int, body: str) -> bool:
        return False


IN_MEMORY = Driver()


# --- the server --------------------------------------------------------------------------------------------------------------------


class InMemoryServer:
    """Reads the rules and does what they say."""

    def __init__(self, rules: str, hosts: tuple[str, ...]) -> None:
        self._hosts = hosts
        lines = [line.split() for line in rules.splitlines()]
        self._revision = next((words[1] for words in lines if words[0] == "revision"), "")
        self._token = next((words[1] for words in lines if words[0] == "path"), "")
        self._zones = {words[1]: words[2] for words in lines if words[0] == "ask"}
        self._modes = {words[1]: Mode(int(words[2])) for words in lines if words[0] == "refuse"}
        self._pins = {(words[1], words[2]) for words in lines if words[0] == "pin"}

    def ask(self, host: str, path: str, pin: Pin | None, *, tls: bool) -> Answer:
        path, _, nonce = path.partition("?n=")
        nonce = nonce if re.fullmatch("[A-Za-z0-9_-]*", nonce) else ""
        zone, mode = _most_specific(host, self._zones), self._modes.get(host, Mode.OFF)
        presented = self._presented(zone, pin) if zone and tls else NONE
        if path == check_path(self._token):
            line = f"aop rev={self._revision} zone={zone or NO_ZONE} presented={presented} https={'on' if tls else ''} conn=1. nonce={nonce}\n"
            return Answer(200, line)
        if (presented == OTHER and mode >= Mode.OPTIONAL) or (
            presented == NONE and mode is Mode.REQUIRE
        ):
            return Answer(403, "go away")
        if path == gate_path(self._token):
            return Answer(204)
        served = any(host == one or covers(one, host) for one in self._hosts)
        return Answer(200, f"app on {host}") if served else Answer(404, "nobody")

    def _presented(self, zone: str, pin: Pin | None) -> str:
        if pin is None:
            return NONE
        return pin.short if (zone, pin.sha256) in self._pins else OTHER


def _most_specific(host: str, zones: Mapping[str, str]) -> str | None:
    matching = [pattern for pattern in zones if covers(pattern, host)]
    return zones[max(matching, key=lambda one: (one == host, len(one)))] if matching else None

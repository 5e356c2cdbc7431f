"""Worlds for tests of the pure floors: everything is as the spec asks, and a test says only what differs.

    next_step(observed()) == Done() next_step(observed(zone={"enabled": False}))
    next_step(observed(origins=[origin(claim=claim(Mode.REQUEST, ()))],
    evidence=[evidence("www.example.com", NONE)]))

Two hosts, one origin with two replicas, one leaf that Cloudflare holds and presents and that every
replica requires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha1, sha256
from types import MappingProxyType
from typing import Any

from aop.api import Spec
from aop.observe.edge import AskedOrigin
from aop.observed import (
    Arrival,
    Baseline,
    CertificateState,
    Configured,
    Evidence,
    HostBehaviour,
    Observed,
    ObservedCertificate,
    ObservedKeyPair,
    ObservedObject,
    ObservedOrigin,
    ObservedReplica,
    ObservedZone,
    Record,
    Unknown,
)
from aop.origins.ingress_nginx import INGRESS_NGINX
from aop.terms import Claim, Mode, ObjectKey, Pin, Target

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ZONE_ID = "0123456789abcdef0123456789abcdef"
UID = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
KEY = ObjectKey("edge", "example-com")
TARGET = Target("ingressNginx", "ingress-nginx", "ingress-nginx-controller")
APEX, WWW = HOSTS = ("example.com", "www.example.com")
REVISION = 7
AS_IT_IS: Mapping[str, Any] = MappingProxyType({})


def at(seconds: float) -> datetime:
    """The moment so many seconds after NOW; negative: before it."""
    return NOW + timedelta(seconds=seconds)


def pin(name: str, **changes: Any) -> Pin:
    """A leaf, valid from a month ago for almost two years."""
    digests = (
        sha256(name.encode()).hexdigest(),
        sha1(name.encode(), usedforsecurity=False).hexdigest(),
    )
    return replace(Pin(*digests, not_before=NOW - 30 * DAY, not_after=NOW + 700 * DAY), **changes)


LEAF, NEXT, RETIRED, FOREIGN = (pin(name) for name in ("leaf", "next", "retired", "foreign"))


def spec(**fields: Any) -> Spec:
    """A spec as a user writes it; keywords are its fields in the resource's notation."""
    origins = [
        {
            "name": "public",
            "ingressNginx": {"configMapRef": {"namespace": TARGET.namespace, "name": TARGET.name}},
        }
    ]
    minimal = {
        "zone": {"name": APEX},
        "credentials": {"apiTokenSecretRef": {"name": "cloudflare"}},
        "origins": origins,
    }
    return Spec.model_validate({**minimal, **fields})


def claim(
    mode: Mode = Mode.REQUIRE,
    enforced: Sequence[str] = HOSTS,
    pins: Sequence[Pin] = (LEAF,),
    **changes: Any,
) -> Claim:
    """What the object asks of its origin."""
    return replace(
        Claim(
            UID,
            str(KEY),
            APEX,
            (APEX, f"*.{APEX}"),
            mode,
            tuple(enforced),
            pins=tuple(sorted(pins)),
        ),
        **changes,
    )


REQUIRING = claim()
OFF = claim(Mode.OFF, ())
ASKING = claim(Mode.REQUEST, ())


def replica(
    name: str = "pod-1", running: Claim | None = None, hosts: Sequence[str] = HOSTS, **changes: Any
) -> ObservedReplica:
    """A replica that does exactly what `running` says, and has since it was probed; None: it runs nothing of ours."""
    if running is None:
        return replace(
            ObservedReplica(name, hosts=tuple(HostBehaviour(host, Mode.OFF) for host in hosts)),
            **changes,
        )
    pinned = frozenset(pin.sha256 for pin in running.pins)
    behaviours = tuple(HostBehaviour(host, running.at(host), accepts=pinned) for host in hosts)
    return replace(ObservedReplica(name, REVISION, settled=True, hosts=behaviours), **changes)


_AS_PUBLISHED = Claim("", "", "", ())


def origin(
    published: Claim | None = REQUIRING,
    running: Claim | None = _AS_PUBLISHED,
    *,
    configured: Mapping[str, Any] | Unknown | None = AS_IT_IS,
    **changes: Any,
) -> ObservedOrigin:
    """An origin whose ConfigMap says `published` and whose two replicas do what `running` says, by default the same.

    `configured` changes fields of what the ConfigMap says.
    """
    behaviour = published if running is _AS_PUBLISHED else running
    configured_text: Configured | Unknown | None
    if isinstance(configured, Mapping):
        accepted = published if published is behaviour else None
        configured_text = replace(
            Configured(
                revision=REVISION if published else 0,
                claim=published,
                accepted=accepted,
                foreign_digest="none",
            ),
            **configured,
        )
    else:
        configured_text = configured
    site_seen = ObservedOrigin(
        name="public",
        target=TARGET,
        configured=configured_text,
        words=INGRESS_NGINX.words(TARGET),
        readers=2,
        replicas=(replica("pod-1", behaviour), replica("pod-2", behaviour)),
        hosts=HOSTS,
        published_at=at(-600),
        applied_at=at(-590),
    )
    return replace(site_seen, **changes)


def certificate(leaf: Pin = LEAF, **changes: Any) -> ObservedCertificate:
    """One of ours that Cloudflare holds and has deployed; its id begins with the leaf's digest."""
    return replace(
        ObservedCertificate(
            leaf.short, leaf, CertificateState.ACTIVE, at(-3600), ours=True, status="active"
        ),
        **changes,
    )


def zone(*certificates: ObservedCertificate, **changes: Any) -> ObservedZone:
    """The zone as Cloudflare tells it: active, Full (strict), enabled; by default it holds the leaf in use."""
    listed = certificates or (certificate(),)
    zone_seen = ObservedZone(
        ZONE_ID,
        APEX,
        "account",
        active=True,
        ssl_mode="strict",
        global_on=False,
        enabled=True,
        certificates=listed,
    )
    return replace(zone_seen, **changes)


def evidence(
    host: str = APEX,
    presented: str | None = LEAF.sha256,
    *,
    lasting_s: float = 300.0,
    **changes: Any,
) -> Evidence:
    """What a host's requests through the edge came with, again and again for so long, last 3 s ago; one answer every 10 s."""
    if presented is None:
        return replace(Evidence(host), **changes)
    count = int(lasting_s / 10) + 1
    recent = tuple(Arrival(at(-3 - 10 * n), presented) for n in reversed(range(min(count, 9))))
    return replace(
        Evidence(
            host,
            presented,
            count,
            since=at(-3 - lasting_s),
            covered=timedelta(seconds=lasting_s),
            last=at(-3),
            recent=recent,
            fresh=recent[-1],
        ),
        **changes,
    )


def observed(
    *,
    spec: Mapping[str, Any] | Spec = AS_IT_IS,
    record: Mapping[str, Any] = AS_IT_IS,
    object: Mapping[str, Any] = AS_IT_IS,  # noqa: A002 - the field's own name
    zone: Mapping[str, Any] | ObservedZone | Unknown | None = AS_IT_IS,
    keys: Mapping[str, Any] | Unknown | None = AS_IT_IS,
    origins: Sequence[ObservedOrigin] | None = None,
    evidence: Sequence[Evidence] = (),
    **changes: Any,
) -> Observed:
    """The whole world, as the spec asks; mappings change single fields, `evidence` replaces that of the hosts it names."""
    noted = Record(
        zone_id=ZONE_ID, baseline=Baseline(enabled=False), uploaded=(LEAF,), claimed=(TARGET,)
    )
    asked = _spec(**spec) if isinstance(spec, Mapping) else spec
    itself = ObservedObject(
        KEY, UID, generation=2, created=NOW - 30 * DAY, spec=asked, record=replace(noted, **record)
    )
    arriving = {host: _evidence(host) for host in HOSTS} | {one.host: one for one in evidence}
    world = Observed(
        now=NOW,
        object=replace(itself, **object),
        zone=_zone(**zone) if isinstance(zone, Mapping) else zone,
        key_pair=replace(ObservedKeyPair(LEAF, renewal_at=NOW + 655 * DAY), **keys)
        if isinstance(keys, Mapping)
        else keys,
        origins=tuple(origins) if origins is not None else (origin(),),
        evidence=tuple(arriving[host] for host in sorted(arriving)),
        still=True,
    )
    return replace(world, **changes)


_spec, _zone, _evidence = spec, zone, evidence


def asked_at(
    seen: ObservedOrigin, path: str | None, only: frozenset[str] | None = None
) -> AskedOrigin:
    """An ingress-nginx origin, asked about through the edge at this path."""
    return AskedOrigin(seen, path, INGRESS_NGINX.refuses_arrival, only)


NEVER_SEEN: dict[str, Any] = {
    "zone": zone(enabled=False, certificates=()),
    "record": {"uploaded": (), "claimed": (), "baseline": None, "zone_id": None},
    "origins": [origin(None, None)],
    "evidence": [Evidence(host) for host in HOSTS],
    "keys": None,
}
"""What tells this world from one that is as the spec asks: nobody has begun yet."""

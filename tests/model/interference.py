"""What people, accidents and failures do: legitimate use costs nothing, an adversary has a few moves on a path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from model.change import disturbed, forgotten, with_origin, with_replica, with_zone, written
from model.operate import Move, performed, unused
from model.rendering import in_words
from model.world import (
    ACTIVE,
    ATTACHED,
    BEHIND,
    BOTH_LOST,
    CURRENT,
    DELETING,
    DOWN,
    ELSEWHERE,
    FAILED,
    GENERATIONS,
    HTTP_LOST,
    LISTED,
    MARRED,
    MODES,
    NAMES,
    OFF,
    OPTIONAL,
    PENDING,
    REJECTED,
    REQUEST,
    REQUIRE,
    SERVER_LOST,
    THERE,
    UNREACHABLE,
    UNREADY,
    UNREADY_SERVING,
    WHOLE,
    WORKS,
    F,
    Loaded,
    N,
    Origin,
    Read,
    Recalled,
    Record,
    Replica,
    Run,
    Setting,
    Text,
    World,
    Zone,
    bits,
    path,
    state_of,
    takes_nothing,
)

ILLS = {
    "the zone is paused": "ZoneNotActive",
    "the zone does not exist": "ZoneNotFound",
    "global AOP is on": "ForeignCertificate",
    "every host has an association": "HostsSuppressed",
    "an older object names the zone": "ZoneClaimed",
    "a younger object names the zone": "",
    "an older object names another zone of that name": "",
    "the other objects cannot be listed": "TransientError",
    "the text of others must not stand beside ours": "ForeignConfiguration",
    "a hostname is too long": "HostnameTooLong",
    "the ConfigMap is not allowed": "OriginNotAllowed",
    "the ConfigMap cannot be read": "TransientError",
    "no host is known": "NoHosts",
    "a pod cannot be reached": "OriginUnreachable",
    "the key does not match": "KeyPairInvalid",
    "the Secret cannot be read": "TransientError",
    "pods cannot be listed": "TransientError",
    "the Ingresses cannot be listed any more": "TransientError",
}
"""What can be wrong elsewhere, and the reason that is then true of the world; "" where it is none
to stand still."""
SINGLE_ILLS = {
    "long": "a hostname is too long",
    "unlisted": "the Ingresses cannot be listed any more",
    "unkeyed": "the key does not match",
}
"""Words for one thing that can be wrong, where all of them would be too many."""


# --- legitimate use, and failures that the promises cover -------------------------------------------------------------


def using(w: World, s: Setting) -> Iterator[Move]:
    """What costs the adversary nothing."""
    for z, zone in enumerate(w.zones):
        if not zone.gone:
            yield from (("user", line, after) for line, after in crashes(w, z, zone, s))
            yield from (
                ("user", line, with_zone(w, z, after))
                for line, after in edits(zone, z, s, unused(w, z))
            )
    if "replace" in s.moves:
        for i, origin in enumerate(w.origins):
            for n, r in enumerate(origin.replicas if origin.pods == THERE else ()):
                fresh = fresh_pod(origin, len(w.zones))._replace(odd=r.odd)
                if fresh != r and not (n and r == origin.replicas[n - 1]):
                    yield (
                        "user",
                        f"a replica of origin {i + 1} is replaced by a fresh one",
                        with_replica(w, i, n, fresh),
                    )


def fresh_pod(origin: Origin, zones: int) -> Replica:
    """A pod that has just started: it loads what stands there before it is Ready, and never is with a text that it rejects."""
    nothing = Loaded((None,) * zones)
    if takes_nothing(origin):
        return Replica(nothing, stale=BEHIND, lingering=(0,) * zones, up=False)
    return Replica(
        Loaded(origin.text.claims, origin.text.damage) if origin.text is not None else nothing,
        lingering=(0,) * zones,
    )


def crashes(w: World, z: int, zone: Zone, s: Setting) -> Iterator[tuple[str, World]]:
    """The operator's process ends, or is replaced and does not know it."""
    after = forgotten(w, z)
    if "crash" in s.moves and w != after:
        yield "the operator crashes and restarts", after
        if "zombie" in s.moves and zone.plan and zone.zombie is None:
            replaced = after.zones[z]._replace(zombie=zone.plan)
            yield (
                "the operator is replaced, but its process lives on",
                with_zone(after, z, replaced),
            )
    if zone.zombie is not None:
        yield (
            f"the replaced process: {in_words(zone.zombie.step)}",
            performed(with_zone(w, z, zone._replace(zombie=None)), z, zone.zombie, s),
        )


def edits(zone: Zone, z: int, s: Setting, fresh: int) -> Iterator[tuple[str, Zone]]:  # noqa: C901, PLR0912 - a list of independent cases
    """A person edits or deletes the object, asks for a rotation, or fills the Secret; a deployment times out."""
    m, spec = s.moves, zone.spec
    if (
        "rotate" in m
        and fresh
        and not zone.next
        and zone.leaf
        and not ("once" in m and zone.used != GENERATIONS[z][0])
    ):
        if not s.generate:
            yield (
                f"the Secret gets generation {NAMES[fresh]}",
                zone._replace(leaf=fresh, used=zone.used | fresh),
            )
        elif not zone.rotate:
            yield "somebody asks for a rotation", zone._replace(rotate=True)
        if s.generate and not zone.due and "once" not in m:
            yield "the leaf is due for renewal", zone._replace(due=True)
    if "revert" in m and not s.generate and zone.leaf == GENERATIONS[z][1]:
        yield "the Secret is put back to A", zone._replace(leaf=GENERATIONS[z][0])
    if "remove" in m and not zone.deleting:
        yield "the object is deleted", zone._replace(deleting=True, gone=not zone.finalizer)
    if "timeout" in m:
        for who, state, _ in zone.certificates:
            if state == PENDING:
                failed = tuple(
                    (c, FAILED if c == who else st, li) for c, st, li in zone.certificates
                )
                yield (
                    f"the deployment of {NAMES[who]} times out",
                    zone._replace(certificates=failed),
                )
    if zone.deleting:
        return
    changes: list[tuple[str, Any]] = []
    if "spec" in m:
        changes += [
            (f"spec.enforcement becomes {MODES[mode]}", spec._replace(mode=mode))
            for mode in (REQUEST, OPTIONAL, REQUIRE)
        ]
    if "suspend" in m:
        changes.append(
            (f"spec.suspend becomes {not spec.suspend}", spec._replace(suspend=not spec.suspend))
        )
    if "consent" in m:
        changes.append(
            (
                f"replaceForeign becomes {not spec.replace_foreign}",
                spec._replace(replace_foreign=not spec.replace_foreign),
            )
        )
    if "retain" in m:
        changes.append(
            (
                f"deletionPolicy becomes {'Restore' if spec.retain else 'Retain'}",
                spec._replace(retain=not spec.retain),
            )
        )
    if "hostnames" in m:
        changes.append(
            (
                f"spec.hostnames {'widens' if spec.narrow else 'narrows'}",
                spec._replace(narrow=not spec.narrow),
            )
        )
    if "origins" in m:
        # From the first to the second, with or without a time of both, and not back: the way back
        # is the same with other names.
        changes += [
            (f"spec.origins becomes {mask:b}", spec._replace(origins=mask))
            for mask in {1: (3, 2), 3: (2,)}.get(spec.origins, ())
        ]
    yield from ((line, zone._replace(spec=changed)) for line, changed in changes if changed != spec)


# --- people and accidents --------------------------------------------------------------------------------------------


def meddling(w: World, s: Setting) -> Iterator[Move]:
    """One of the adversary's moves; of two zones only the first is troubled."""
    if not w.trouble:
        return
    spent, zone = w._replace(trouble=w.trouble - 1), w.zones[0]
    if not zone.gone:
        for line, after in (
            *at_cloudflare(zone, s),
            *at_home(zone, s),
            *at_a_host(zone, s),
            *unread(w, zone, s),
        ):
            yield "foe", line, with_zone(spent, 0, after)
    for i, origin in enumerate(w.origins):
        changes = (
            *in_cluster(origin, len(w.zones), s),
            *beside_us(origin, s),
            *at_the_pods(origin, s),
        )
        for line, changed in changes:
            yield "foe", line, since_then(with_origin(spent, i, changed), origin, changed)


def since_then(w: World, before: Origin, after: Origin) -> World:
    """A server that refuses nobody any more has answered since: its refusals are seconds old, and what takes minutes does not follow them."""
    zone = w.zones[0]
    if not before.own & ~after.own:
        return w
    return with_zone(
        w,
        0,
        zone._replace(
            runs=tuple(Run() if before.own >> h & 1 else run for h, run in enumerate(zone.runs))
        ),
    )


def at_a_host(zone: Zone, s: Setting) -> Iterator[tuple[str, Zone]]:
    """Somebody takes one host out of what the zone presents, or answers for it in our name."""
    last = len(s.hosts) - 1
    if "bare" in s.moves:
        comes = "comes with what the zone presents" if zone.bare else "comes without a certificate"
        yield f"the last host {comes}", zone._replace(bare=zone.bare ^ 1 << last)
    if "forged" in s.moves:
        yield (
            f"a tenant's server {'stops forging' if zone.forged else 'forges'} our answers",
            zone._replace(forged=not zone.forged),
        )


def unread(w: World, zone: Zone, s: Setting) -> Iterator[tuple[str, Zone]]:
    """The ConfigMaps cannot be read, and what was last known of them stands."""
    if "blind" in s.moves:
        texts = tuple(origin.text for origin in w.origins)
        if zone.recalled is not None:
            yield "the ConfigMaps can be read again", zone._replace(recalled=None)
        elif not zone.ill:
            yield "the ConfigMaps cannot be read any more", zone._replace(recalled=Recalled(texts))


def beside_us(origin: Origin, s: Setting) -> Iterator[tuple[str, Origin]]:
    """What others put beside our text, in the same ConfigMap or in an Ingress."""
    m, last = s.moves, 1 << len(s.hosts) - 1
    if "stuck" in m:
        line = (
            "what kept the controllers from taking any text is mended"
            if origin.stuck
            else "somebody's line keeps the controllers from taking any text"
        )
        yield line, origin._replace(stuck=not origin.stuck)
    if "own" in m:
        if origin.own:
            yield (
                "the last host's own server refuses nobody any more",
                origin._replace(own=0, hidden=0),
            )
        else:
            yield (
                "the last host's Ingress verifies certificates by itself",
                origin._replace(own=last),
            )
            yield (
                "the last host's own server refuses our certificate, and no Ingress says so",
                origin._replace(own=last, hidden=last),
            )
    if "full" in m:
        yield (
            f"the annotations of the ConfigMap are {'cleared' if origin.full else 'full'}",
            origin._replace(full=not origin.full),
        )
    if "tool" in m and origin.text is not None:
        yield (
            f"a tool {'lets go of' if origin.tool else 'owns'} the ConfigMap",
            origin._replace(tool=not origin.tool),
        )
    if (
        "mar" in m
        and origin.text is not None
        and origin.text.damage == WHOLE
        and any(claim is not None for claim in origin.text.claims)
    ):
        yield (
            "a marker of our block is lost",
            disturbed(origin, origin.text._replace(damage=MARRED)),
        )


def at_the_pods(origin: Origin, s: Setting) -> Iterator[tuple[str, Origin]]:
    """One pod is cut off and serves on, or a page of somebody's answers in place of our paths, on some pods or on all."""
    last, replicas = 1 << len(s.hosts) - 1, origin.replicas
    if "odd" in s.moves and origin.pods == THERE:
        if any(r.odd for r in replicas):
            yield (
                "our paths answer again at the last host",
                origin._replace(replicas=tuple(r._replace(odd=0) for r in replicas)),
            )
        else:
            odd = tuple(r._replace(odd=last) for r in replicas)
            yield (
                "a page of somebody's answers on our paths at the last host",
                origin._replace(replicas=odd),
            )
            for n in range(len(replicas)):
                one = (*replicas[:n], odd[n], *replicas[n + 1 :])
                yield (
                    "a page of somebody's answers on our paths at the last host, on one replica",
                    origin._replace(replicas=one),
                )
    if "cut" in s.moves and origin.pods == THERE:
        whole = not any(r.cut for r in replicas)
        for n, r in enumerate(replicas):
            kinds: tuple[int, ...] = (ATTACHED,) if r.cut else ()
            if whole and r.up and path(r.runs):
                kinds = (UNREADY_SERVING, UNREACHABLE)
            for cut in kinds:
                line = (
                    "a pod that was cut off is back",
                    "a pod is cut off and serves on",
                    "a pod is cut off, cannot be asked and serves on",
                )[cut]
                yield (
                    line,
                    origin._replace(
                        replicas=(*replicas[:n], r._replace(cut=cut), *replicas[n + 1 :])
                    ),
                )


def at_cloudflare(zone: Zone, s: Setting) -> Iterator[tuple[str, Zone]]:
    """Somebody works at Cloudflare; what they change shows there at once, or is read up to a resync later."""
    for line, after in settings_and_certificates(zone, s):
        yield line, after
        if "unread" in s.moves and zone.unread is None and zone.access == WORKS:
            yield (
                f"{line}; it is not read yet",
                after._replace(unread=Read(zone.certificates, zone.enabled, zone.ssl)),
            )
    if "hiccup" in s.moves and not zone.edge & N:
        yield "some edge locations stop presenting a certificate", zone._replace(edge=zone.edge | N)
    if "token" in s.moves:
        words = ("the token and the API work", "the token is revoked", "the API goes down")
        yield from (
            (words[a], zone._replace(access=a, given_up=False))
            for a in (WORKS, REJECTED, DOWN)
            if a != zone.access
        )


def settings_and_certificates(zone: Zone, s: Setting) -> Iterator[tuple[str, Zone]]:
    """The zone's settings, our certificates and a foreign one."""
    if "zone" in s.moves:
        yield (
            f"somebody {'disables' if zone.enabled else 'enables'} the zone",
            zone._replace(enabled=not zone.enabled),
        )
    if "ssl" in s.moves:
        yield (
            f"the SSL mode becomes {'Flexible' if zone.ssl else 'Full'}",
            zone._replace(ssl=not zone.ssl),
        )
    if "certificates" in s.moves:
        for who, state, _ in zone.certificates:
            if state == ACTIVE:
                gone = tuple(
                    (c, DELETING if c == who else st, li) for c, st, li in zone.certificates
                )
                yield (
                    f"somebody deletes {NAMES[who]} at Cloudflare",
                    zone._replace(certificates=gone),
                )
        if state_of(zone, F) is None:
            yield (
                "somebody uploads a foreign certificate",
                zone._replace(certificates=(*zone.certificates, (F, ACTIVE, LISTED))),
            )


def at_home(zone: Zone, s: Setting) -> Iterator[tuple[str, Zone]]:  # noqa: C901 - a list of independent cases
    """The Secret, the record, time, and what is wrong elsewhere."""
    m, spare = s.moves, [g for g in GENERATIONS[0] if not g & zone.used]
    # A generation for each leaf that is then to be made.
    needed = 1 + (zone.rotate or zone.due) if s.generate else 0
    if "secret" in m and zone.leaf and len(spare) >= needed:
        yield "the Secret is deleted", zone._replace(leaf=0, next=0)
        if not s.generate and spare:
            yield (
                f"the Secret is overwritten with {NAMES[spare[0]]}",
                zone._replace(leaf=spare[0], used=zone.used | spare[0]),
            )
    if "secret" in m and not zone.leaf and zone.used and not s.generate:
        yield "the Secret is put back", zone._replace(leaf=GENERATIONS[0][0])
    if "record" in m and zone.record != Record():
        yield "the record on the object is lost", zone._replace(record=Record())
    if "expiry" in m:
        there = bits(zone.leaf | zone.next | sum(c for c, _, _ in zone.certificates))
        for who in there:
            earlier = sum(c for c in there if c < who) if s.generate else 0
            if earlier & ~(zone.expired if who & zone.expiring else zone.expiring):
                continue  # what we generate later ends later
            if not who & zone.expiring:
                yield f"{NAMES[who]} ends within 24 h", zone._replace(expiring=zone.expiring | who)
            elif not who & zone.expired:
                yield f"{NAMES[who]} expires", zone._replace(expired=zone.expired | who)
    if "silence" in m:
        yield (
            f"the edge {'answers again' if zone.silent else 'falls silent'}",
            zone._replace(silent=not zone.silent),
        )
    # A zone that was not there is not back within the moment in which the object is released.
    releasing = (
        zone.ill == "the zone does not exist"
        and zone.plan is not None
        and zone.plan.step[0] == "Done"
    )
    ills = (
        tuple(ILLS) if "ill" in m else tuple(ill for word, ill in SINGLE_ILLS.items() if word in m)
    )
    if ills and not releasing and zone.recalled is None:
        yield from (
            (ill or f"mended: {zone.ill}", zone._replace(ill=ill))
            for ill in (("",) if zone.ill else ills)
        )


def in_cluster(origin: Origin, zones: int, s: Setting) -> Iterator[tuple[str, Origin]]:  # noqa: C901, PLR0912 - a list of independent cases
    """The ConfigMap is reset, deleted or put back, or its foreign text breaks what stands beside it."""
    text, nothing = origin.text, (None,) * zones
    if "configmap" in s.moves and text is None:
        yield "the ConfigMap is put back without our block", written(origin, Text(nothing, nothing))
    if "pods" in s.moves:
        if origin.pods == THERE:
            lost = (
                Replica(Loaded(nothing), stale=BEHIND, lingering=(0,) * zones, up=False),
            ) * len(origin.replicas)
            yield "no pod becomes Ready any more", origin._replace(replicas=lost, pods=UNREADY)
            yield (
                "the pods are told to read another ConfigMap",
                origin._replace(replicas=lost, pods=ELSEWHERE),
            )
        else:
            yield "the pods are mended", origin._replace(pods=THERE)
    if text is None:
        return
    if "configmap" in s.moves:
        if text.claims != nothing:
            yield (
                "the ConfigMap is reset as a whole",
                written(origin, Text(nothing, nothing, WHOLE, text.foreign)),
            )
        if text.claims != nothing and text.damage == WHOLE:
            for damage, key in (
                (HTTP_LOST, "http-snippet is"),
                (SERVER_LOST, "server-snippet is"),
                (BOTH_LOST, "both snippets are"),
            ):
                yield f"{key} reset", disturbed(origin, text._replace(damage=damage))
        yield (
            "the ConfigMap is deleted",
            origin._replace(
                text=None, replicas=tuple(r._replace(stale=CURRENT) for r in origin.replicas)
            ),
        )
    if "reject" in s.moves:
        other = text._replace(foreign=(text.foreign + 1) % 3)
        if origin.rejects is not None:
            yield "foreign text is mended", disturbed(origin._replace(rejects=None), other)
            yield "what broke our text elsewhere is mended", origin._replace(rejects=None)
            return
        for mask in (1,) if zones == 1 else (1, 2):
            for mode in (OFF, REQUEST, REQUIRE):
                yield (
                    f"foreign text makes the controllers reject {MODES[mode]} and stricter of zone {mask}",
                    disturbed(origin._replace(rejects=(mask, mode)), other),
                )

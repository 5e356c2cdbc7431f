"""The settings: where each walk begins, and what may happen in it."""

from __future__ import annotations

from typing import Any

from model.world import (
    ACTIVE,
    BEHIND,
    FULL,
    LISTED,
    OPTIONAL,
    REQUEST,
    REQUIRE,
    UNREACHABLE,
    A,
    B,
    Claim,
    D,
    F,
    Loaded,
    Origin,
    R,
    Record,
    Replica,
    Run,
    Setting,
    Spec,
    Text,
    World,
    Zone,
)

NOTHING = (None,)
EMPTY = Origin(Text(NOTHING, NOTHING), (Replica(Loaded(NOTHING), lingering=(0,)),) * 2)
FRESH = World((Zone(),), (EMPTY,))
PROVEN = Run(A, FULL, A, last_fresh=True, fresh=A, new=True)


def at_rest(who: int, hosts: int = 1) -> Zone:
    """A zone whose hosts are all required, and proven."""
    return Zone(
        finalizer=True,
        record=Record(baseline=False, uploaded=who, claimed=1),
        leaf=who,
        used=who,
        certificates=((who, ACTIVE, LISTED),),
        enabled=True,
        edge=who,
        runs=(PROVEN._replace(presented=who, recent=who, fresh=who), *(Run(),) * (hosts - 1)),
        still=True,
    )


def published(*claims: Claim | None, lingering: tuple[int, ...]) -> Origin:
    """An origin whose replicas all run what stands in its ConfigMap; what was accepted before is the same, asking only."""
    asked = tuple(claim and claim._replace(mode=REQUEST, hosts=0) for claim in claims)
    return Origin(Text(claims, asked), (Replica(Loaded(claims), lingering=lingering),) * 2)


AT_REST = World((at_rest(A),), (published(Claim(REQUIRE, 1, A), lingering=(A,)),))


def rolling(w: World) -> World:
    """The world with pods that read our text only when they start."""
    return w._replace(origins=tuple(origin._replace(rolls=True) for origin in w.origins))


BOTH_AT_REST = World(
    (at_rest(A), at_rest(D)),
    (published(Claim(REQUIRE, 1, A), Claim(REQUIRE, 1, D), lingering=(A, D)),),
)
SECOND_ARRIVES = World(
    (at_rest(A), Zone()), (published(Claim(REQUIRE, 1, A), None, lingering=(A, 0)),)
)
FOREIGN = ((F, ACTIVE, LISTED),)
REJECTING = FRESH._replace(origins=(EMPTY._replace(rejects=(1, REQUEST)),))
BEFORE_US = World((Zone(leaf=A, used=A, certificates=((A, ACTIVE, LISTED),)),), (EMPTY,))


def first(w: World, **changes: Any) -> World:
    """The world with its first zone changed."""
    return w._replace(zones=(w.zones[0]._replace(**changes), *w.zones[1:]))


def setting(
    name: str, start: World | tuple[World, ...], moves: str, trouble: int = 0, **more: Any
) -> Setting:
    """A setting; `moves` are words.

    Where nobody interferes, the operator may crash and pods may be replaced at any time.
    """
    return undisturbed(name, start, moves + " crash replace", trouble, **more)


def undisturbed(
    name: str, start: World | tuple[World, ...], moves: str, trouble: int = 0, **more: Any
) -> Setting:
    """A setting in which neither the operator crashes nor a pod is replaced, so that there is room for more of something else."""
    starts = start if isinstance(start[0], World) else (start,)
    return Setting(
        name, tuple(w._replace(trouble=trouble) for w in starts), frozenset(moves.split()), **more
    )


ONE_ZONE = (
    setting("onboarding", FRESH, "timeout spec"),
    setting("onboarding, removed on the way", FRESH, "remove timeout"),
    setting("onboarding, rotated on the way", FRESH, "rotate once"),
    setting("onboarding, old workers linger", FRESH, "remove", linger=True),
    setting("onboarding, the edge keeps its connections", FRESH, "remove", pooled=True),
    setting(
        "onboarding, enabled before us without a certificate",
        first(FRESH, enabled=True),
        "remove",
        baseline=True,
    ),
    setting("rotation", AT_REST, "rotate timeout"),
    setting("rotation, the edge keeps its connections", AT_REST, "rotate", pooled=True),
    setting("rotation, removed on the way", AT_REST, "rotate remove"),
    setting("rotation of a referenced Secret, and back", AT_REST, "rotate revert", generate=False),
    setting("removal", AT_REST, "remove spec"),
    setting(
        "onboarding, the pods are replaced to take up a text", rolling(FRESH), "remove timeout"
    ),
    setting("rotation, the pods are replaced to take up a text", rolling(AT_REST), "rotate remove"),
    setting("edits of the spec", AT_REST, "spec suspend retain consent remove"),
)
FAILURES = (
    setting("onboarding, answers are lost", FRESH, "late remove"),
    setting("onboarding, a replaced process lives on", FRESH, "zombie remove"),
    undisturbed("rotation, answers are lost", AT_REST, "rotate late"),
    setting("rotation, a replaced process lives on", AT_REST, "rotate once zombie"),
    setting("removal, answers are lost", AT_REST, "remove late"),
    setting("removal, a replaced process lives on", AT_REST, "remove zombie"),
)
OTHERS = (
    setting(
        "the shared certificate is presented before us",
        first(FRESH, edge=F, ill="global AOP is on"),
        "consent remove",
        base=F,
    ),
    setting(
        "a foreign certificate lies there disabled",
        first(FRESH, certificates=FOREIGN),
        "consent remove",
        before=F,
    ),
    setting(
        "a foreign certificate is presented before us",
        first(FRESH, certificates=FOREIGN, enabled=True, edge=F),
        "consent remove",
        before=F,
        baseline=True,
    ),
    setting(
        "the referenced leaf was there before us",
        BEFORE_US,
        "rotate once revert remove",
        generate=False,
        before=A,
    ),
    setting(
        "the referenced leaf was presented before us",
        first(BEFORE_US, enabled=True, edge=A),
        "rotate once revert remove",
        generate=False,
        before=A,
        baseline=True,
    ),
    undisturbed("drift at Cloudflare", AT_REST, "zone certificates hiccup", 2),
    setting("drift at Cloudflare, with crashes", AT_REST, "zone certificates ssl hiccup unread", 1),
    undisturbed("drift of settings at Cloudflare, read late", AT_REST, "zone ssl unread", 2),
    undisturbed(
        "drift of certificates at Cloudflare, read late", AT_REST, "certificates unread", 2
    ),
    setting("drift at Cloudflare during onboarding", FRESH, "zone certificates ssl", 1),
    undisturbed(
        "drift of settings at Cloudflare during a rotation", AT_REST, "rotate once zone", 1
    ),
    undisturbed(
        "drift of certificates at Cloudflare during a rotation",
        AT_REST,
        "rotate once certificates",
        1,
    ),
    undisturbed(
        "drift at Cloudflare, foreign certificates welcome",
        first(AT_REST, spec=Spec(replace_foreign=True)),
        "zone certificates",
        2,
    ),
    undisturbed("access is lost", AT_REST, "token ssl zone", 2),
    setting("access is lost, and the spec is edited", AT_REST, "token spec", 2),
    undisturbed("access is lost during a rotation", AT_REST, "token rotate", 2),
    setting("leaves expire", AT_REST, "expiry token", 2),
    undisturbed("leaves expire, and certificates come and go", AT_REST, "expiry certificates", 2),
    undisturbed("leaves expire during a rotation", AT_REST, "expiry rotate once", 2),
    undisturbed("referenced leaves expire", AT_REST, "expiry rotate once", 2, generate=False),
    undisturbed("the edge falls silent", AT_REST, "silence hiccup spec", 2),
    setting("the edge falls silent during onboarding", FRESH, "silence ssl", 2),
    setting("drift in the cluster", AT_REST, "configmap secret record", 2),
    setting("drift in the cluster during onboarding", FRESH, "configmap secret record", 1),
    undisturbed(
        "drift in the cluster during a rotation", AT_REST, "rotate once configmap secret", 1
    ),
    setting("drift of a referenced Secret", AT_REST, "secret configmap", 2, generate=False),
    undisturbed("texts are rejected", AT_REST, "reject spec", 2),
    setting("texts are rejected during onboarding", FRESH, "reject", 1),
    undisturbed(
        "texts are rejected during onboarding, and mended elsewhere", REJECTING, "reject", 1
    ),
    undisturbed("texts are rejected during a rotation", AT_REST, "reject rotate once", 1),
    setting("texts are reset and access is lost", AT_REST, "configmap token suspend", 2),
    setting("something else is wrong", (AT_REST, FRESH), "ill", 2),
    undisturbed("something else is wrong, and texts are reset", AT_REST, "ill configmap", 2),
    undisturbed("pods are lost", (AT_REST, FRESH), "pods configmap", 2),
    setting("pods are lost, with crashes", (AT_REST, FRESH), "pods", 1),
    setting("removal while pods are lost", AT_REST, "remove pods token", 2),
    setting("removal in trouble", AT_REST, "remove token configmap", 2),
    undisturbed("removal in trouble with Secret and record", AT_REST, "remove secret record", 2),
    undisturbed("removal in trouble at Cloudflare", AT_REST, "remove certificates zone", 2),
    setting("removal while something else is wrong", AT_REST, "remove ill", 1),
    undisturbed(
        "removal while something else is wrong, and texts are reset",
        AT_REST,
        "remove ill configmap",
        2,
    ),
    setting("removal while texts are rejected", AT_REST, "remove reject", 2),
)


def more_hosts(w: World, hosts: int) -> World:
    """The world with more hosts to prove."""
    return first(w, runs=(w.zones[0].runs[0], *(Run(),) * (hosts - 1)))


TWO_HOSTS = first(
    AT_REST._replace(origins=(published(Claim(REQUIRE, 3, A), lingering=(A,)),)),
    runs=(PROVEN, PROVEN),
)
AT_OPTIONAL = first(
    TWO_HOSTS._replace(origins=(published(Claim(OPTIONAL, 3, A), lingering=(A,)),)),
    spec=Spec(mode=OPTIONAL),
)
TWO_ORIGINS = AT_REST._replace(origins=(*AT_REST.origins, EMPTY))
WIDER = (
    setting(
        "two hosts, one of them DNS-only", more_hosts(FRESH, 2), "remove", hosts=("edge", "direct")
    ),
    setting(
        "two hosts, one of them outranked", more_hosts(FRESH, 2), "", hosts=("edge", "outranked")
    ),
    undisturbed(
        "rotation, two hosts at the edge", TWO_HOSTS, "rotate once", hosts=("edge", "edge")
    ),
    undisturbed(
        "edits of the spec, two hosts at the edge",
        AT_OPTIONAL,
        "spec crash",
        hosts=("edge", "edge"),
    ),
    undisturbed(
        "leaves expire during a rotation, two hosts at the edge",
        TWO_HOSTS,
        "rotate once expiry",
        1,
        hosts=("edge", "edge"),
    ),
    undisturbed(
        "two hosts, and spec.hostnames changes",
        more_hosts(FRESH, 2),
        "hostnames",
        hosts=("edge", "direct"),
    ),
    undisturbed("two origins", TWO_ORIGINS, "origins remove"),
    setting("two zones, the second arrives", SECOND_ARRIVES, ""),
    undisturbed("two zones, the first in trouble", BOTH_AT_REST, "zone certificates reject", 1),
    undisturbed("two zones, the ConfigMap is reset", BOTH_AT_REST, "configmap", 1),
    undisturbed("two zones, both rotate", BOTH_AT_REST, "rotate once"),
    setting("two zones, both are removed", BOTH_AT_REST, "remove"),
)
SECOND = 2
"""The mask of the second host."""
ODD = more_hosts(FRESH, 2)._replace(
    origins=(EMPTY._replace(replicas=(EMPTY.replicas[0]._replace(odd=SECOND),) * 2),)
)
ALL_ODD = FRESH._replace(
    origins=(EMPTY._replace(replicas=(EMPTY.replicas[0]._replace(odd=1),) * 2),)
)
ODD_HERE = more_hosts(FRESH, 2)._replace(
    origins=(EMPTY._replace(replicas=(EMPTY.replicas[0]._replace(odd=SECOND), EMPTY.replicas[1])),)
)
OWN = more_hosts(FRESH, 2)._replace(origins=(EMPTY._replace(own=SECOND),))
HIDDEN = more_hosts(FRESH, 2)._replace(origins=(EMPTY._replace(own=SECOND, hidden=SECOND),))
TWO: dict[str, Any] = {"hosts": ("edge", "edge"), "together": True}
ODD_AT_REST = first(TWO_HOSTS, runs=(PROVEN, PROVEN._replace(aged=True)))._replace(
    origins=(
        TWO_HOSTS.origins[0]._replace(
            replicas=tuple(r._replace(odd=SECOND) for r in TWO_HOSTS.origins[0].replicas)
        ),
    )
)
REFUSING = first(TWO_HOSTS, runs=(PROVEN, PROVEN._replace(presented=R, recent=R, fresh=R)))
OWN_AT_REST = tuple(
    REFUSING._replace(origins=(TWO_HOSTS.origins[0]._replace(own=SECOND, hidden=hidden),))
    for hidden in (0, SECOND)
)
"""One of two required hosts refuses by itself, and an Ingress says so, or none does."""
LEAVING = Claim(REQUIRE, 1, A | B)
BETWEEN = first(
    AT_REST, next=B, used=A | B, rotate=True, record=Record(baseline=False, uploaded=A, claimed=1)
)._replace(
    origins=(
        published(LEAVING, lingering=(A,))._replace(
            replicas=(
                Replica(Loaded((LEAVING,)), lingering=(A,)),
                AT_REST.origins[0].replicas[0]._replace(stale=BEHIND, cut=UNREACHABLE),
            )
        ),
    )
)
"""A successor is trusted and not uploaded yet, because a pod that is cut off goes on without it."""
NEIGHBOURS = (
    undisturbed("one host, at which a page of somebody's answers for ever", ALL_ODD, "remove"),
    undisturbed(
        "two hosts, at one of them a page of somebody's answers for ever",
        (ODD, ODD_HERE),
        "remove",
        **TWO,
    ),
    undisturbed("two hosts, one of them refuses by itself for ever", HIDDEN, "remove", **TWO),
    undisturbed(
        "two hosts, the Ingress of one of them verifies by itself",
        (OWN, first(OWN, spec=Spec(narrow=True))),
        "own",
        1,
        **TWO,
    ),
    undisturbed(
        "two required hosts, at one of them a page of somebody's answers",
        TWO_HOSTS,
        "odd",
        2,
        **TWO,
    ),
    undisturbed(
        "at one of two required hosts a page of somebody's answers, and the zone is disabled",
        ODD_AT_REST,
        "zone",
        1,
        **TWO,
    ),
    undisturbed(
        "rotation, at one of two required hosts a page of somebody's answers",
        ODD_AT_REST,
        "rotate once",
        **TWO,
    ),
    undisturbed(
        "two required hosts, one of them comes to refuse by itself", TWO_HOSTS, "own", 2, **TWO
    ),
    undisturbed(
        "one of two required hosts refuses by itself, and the zone is disabled",
        OWN_AT_REST,
        "zone",
        1,
        **TWO,
    ),
    undisturbed(
        "rotation, one of two required hosts refuses by itself", OWN_AT_REST, "rotate once", **TWO
    ),
    undisturbed(
        "removal, one of two required hosts refuses by itself", OWN_AT_REST, "remove", **TWO
    ),
    undisturbed(
        "two required hosts, one of them comes to arrive without a certificate",
        TWO_HOSTS,
        "bare",
        2,
        **TWO,
    ),
    undisturbed(
        "two required hosts, the name of one of them is too long", TWO_HOSTS, "long", 2, **TWO
    ),
    undisturbed(
        "somebody's line keeps the controllers from taking any text", AT_REST, "stuck zone", 2
    ),
    undisturbed(
        "somebody's line keeps the controllers from taking any text, during onboarding",
        FRESH,
        "stuck",
        2,
    ),
    undisturbed(
        "somebody's line keeps the controllers from taking any text, during a rotation",
        AT_REST,
        "stuck rotate once",
        1,
    ),
    undisturbed(
        "somebody's line keeps the controllers from taking any text, during a removal",
        AT_REST,
        "stuck remove",
        2,
    ),
    undisturbed("the annotations are full", AT_REST, "full zone", 2),
    undisturbed("the annotations are full during a rotation", AT_REST, "full rotate once", 1),
    undisturbed("a pod is cut off and serves on", AT_REST, "cut zone", 2),
    setting("a pod is cut off during a rotation", AT_REST, "cut rotate once", 1),
    setting("a pod is cut off during a removal", AT_REST, "cut remove", 1),
    undisturbed("our text is marred, and the zone is disabled", AT_REST, "mar zone", 2),
    undisturbed("our text is marred, and access is lost", AT_REST, "mar token spec", 2),
    undisturbed("our text is marred during a removal", AT_REST, "mar remove", 1),
    undisturbed(
        "two zones, somebody's line keeps the controllers from taking any text",
        BOTH_AT_REST,
        "stuck zone",
        1,
    ),
    undisturbed("a tool puts its text back", (AT_REST, FRESH), "tool", 2),
    undisturbed("a tenant forges our answers", (AT_REST, FRESH), "forged", 2),
    undisturbed("a source cannot be read any more", AT_REST, "blind unlisted zone", 2),
    undisturbed("the key pair cannot be read any more", AT_REST, "unkeyed zone", 2),
    undisturbed(
        "a pod was cut off during a rotation, and the edge stops presenting",
        BETWEEN,
        "hiccup zone",
        2,
    ),
    undisturbed(
        "the ConfigMap cannot be read any more, and is changed", AT_REST, "blind configmap", 2
    ),
)
UNSEEN = (
    undisturbed(
        "two zones, our text is marred",
        BOTH_AT_REST,
        "mar",
        1,
        expected=frozenset({"T5 a step opens another zone"}),
    ),
    undisturbed(
        "rotation of a referenced Secret, and back, answers are lost",
        AT_REST,
        "rotate once revert late",
        generate=False,
        expected=frozenset(
            {
                "T1 uploaded before every replica that refuses somebody accepts it",
                "T1 a request through the edge is refused",
            }
        ),
    ),
    setting(
        "onboarding past an edge location that no window meets",
        FRESH,
        "",
        hidden=True,
        expected=frozenset(
            {
                "T1 the operator's own step makes requests fail",
                "T1 a request through the edge is refused",
            }
        ),
    ),
)
SETTINGS = {s.name: s for s in (*ONE_ZONE, *FAILURES, *OTHERS, *WIDER, *NEIGHBOURS, *UNSEEN)}

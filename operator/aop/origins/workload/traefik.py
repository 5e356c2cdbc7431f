"""Traefik: one file for its file provider, whose routers are below two of the user's.

In the handshake Traefik judges client certificates by authorities, for all hosts of a TLS option
alike, and it keeps old connections. At the HTTP level it can do better: a router of the user's puts
the client's certificate into a header, and the routers below it see that header
(facts: traefik#routers-below-a-router). So it decides for each request, for each host, by the exact
leaf (docs/adr/0023).
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from aop.origins.check import ANSWER_PATH, NO_ZONE, NONE, OTHER, check_path, gate_path, printed
from aop.origins.kind import Capabilities
from aop.origins.rules import HostRule, Parents, Rules
from aop.origins.sites import Json, Need, Objects, Read, Remark, Scope
from aop.origins.workload.dialect import Dialect, pattern_of, text_of
from aop.origins.workload.others import TraefikGateways, ingresses_past
from aop.origins.workload.routes import past_ours
from aop.terms import Kind, Mode, Pin

ROUTES = "routes.yaml"
HEADER = "X-Forwarded-Tls-Client-Cert"
"""Where the user's router puts what the client presented: base64 of each certificate, the leaf
first. See facts: traefik#what-came-in-a-header."""
FORGED = "X-Aop-Forged"
"""What the same router removes. So any address shows whether it does, whomever Traefik trusts to
describe itself (facts: traefik#headers-of-a-client)."""
ABOVE_ALL = 2_000_000_000
"""The priority of our first router: a router that is given none has the length of its rule."""
PARENTS_SINCE = 3, 6
"""See facts: traefik#releases."""
FIXED_SINCE = 3, 7, 3
_RELEASE = re.compile(r":v?(\d+)\.(\d+)(?:\.(\d+))?(?=$|[-@])")
NOBODY = "Host(`aop.invalid`)"
"""A host that no request is for: a list that begins with it may have no other entry."""
CAME = f"HeaderRegexp(`{HEADER}`, `.`)"
NOTHING = "noop@internal"
"""Traefik's own service that leads nowhere; every router must have one."""
_ROUTES = Read(Kind.INGRESS_ROUTE, need=Need.OPTIONAL)
_TCP_ROUTES = Read(Kind.INGRESS_ROUTE_TCP, need=Need.OPTIONAL)
_INGRESSES = Read(Kind.INGRESS, need=Need.OPTIONAL)
_INGRESS_CLASSES = Read(Kind.INGRESS_CLASS, need=Need.OPTIONAL)
_GATEWAY_ROUTES = tuple(Read(one, need=Need.OPTIONAL) for one in (Kind.HTTP_ROUTE, Kind.GRPC_ROUTE))
_GATEWAYS = Read(Kind.GATEWAY, need=Need.OPTIONAL)
_GATEWAY_CLASSES = Read(Kind.GATEWAY_CLASS, need=Need.OPTIONAL)
_LISTENER_SETS = Read(Kind.LISTENER_SET, need=Need.OPTIONAL)
_OTHERS = (
    *(_INGRESSES, _INGRESS_CLASSES, *_GATEWAY_ROUTES),
    *(_GATEWAYS, _GATEWAY_CLASSES, _LISTENER_SETS),
)
_LEAF = re.compile(r"MI[A-Za-z0-9+/\[\]]+={0,2}")


class TraefikDialect(Dialect):
    """Our routers are below the user's two, of which one takes TLS and one plaintext.

    The user makes Traefik read the file when it starts, and not when it changes
    (facts: traefik#a-folder-that-is-watched). No change ends a connection that was made before the
    edge presented anything (facts: traefik#connections), and its requests would be refused. The
    user's own `TLSOption` asks for certificates, and refuses nobody by that
    (facts: traefik#asking). Of the routers below a router, the one with the highest priority gets a
    request, and ours leave alone what is served (facts: traefik#priorities). Without the file
    nobody is refused. A leaf of which only the digests are known cannot be recognised, because
    Traefik computes none, and a zone without a known leaf refuses nobody.
    """

    files = (ROUTES,)
    complains = "ERR"
    capabilities = Capabilities(
        refuses_expired=False,
        creates_carrier=True,
        keeps_connections=True,
        told_by=(HEADER, FORGED),
    )
    in_place = "Set providers.file.watch to false, and restart the pods"

    def render(self, rules: Rules) -> dict[str, str]:
        """As `Dialect` says."""
        return {ROUTES: text_of(rules, _Text(rules).lines())}

    def leaves(self, texts: Iterable[str]) -> Mapping[str, str]:
        """As `Dialect` says: each is in some rule, and its digest says which one it is."""
        written = {match.replace("[+]", "+") for text in texts for match in _LEAF.findall(text)}
        return {digest: der for der in written if (digest := _digest(der)) is not None}

    def reads(self, scope: Scope) -> tuple[Read, ...]:
        """The routers that others have, if they may be listed."""
        return (_ROUTES, _TCP_ROUTES, *_OTHERS) if scope.routers else ()

    def left_open(
        self, parents: Parents, patterns: Collection[str], objects: Objects
    ) -> tuple[str, ...]:
        """Routers beside ours, such as one for a path of a host whose other router is below.

        What is not there to be read counts as nothing, and is said not to be read.
        """
        routes = objects.get(_ROUTES)
        if routes is None:
            return (
                f"no certificate is required by a router of Traefik that is not a child of {parents.https}",
            )
        return (
            *past_ours(routes, objects.get(_TCP_ROUTES) or (), parents, patterns),
            *ingresses_past(
                objects.get(_INGRESSES) or (), objects.get(_INGRESS_CLASSES) or (), patterns
            ),
            *_of_gateways(patterns, objects),
            f"no certificate is required by {_unread(objects)} that are not children of {parents.https}, of which the operator reads none",
        )

    def remarks(self, container: str, server: Json) -> tuple[Remark, ...]:
        """A remark about a release that is too old, as far as the image's tag shows it."""
        released = _RELEASE.search(str(server.get("image")))
        if released is None:
            return ()
        major, minor, patch = (int(number or -1) for number in released.groups())
        if (major, minor) < PARENTS_SINCE:
            consequence = "It does not know parentRefs, and so ignores the operator's whole file: nothing is ever required"
        elif (major, minor) < FIXED_SINCE[:2] or (
            patch > -1 and (major, minor, patch) < FIXED_SINCE
        ):
            consequence = "It can be bypassed in ways that later releases have closed"
        else:
            return ()
        fixed = ".".join(map(str, FIXED_SINCE))
        return (
            Remark(
                f"{container} runs Traefik {released[0].lstrip(':v')}",
                consequence,
                f"Use {fixed} or newer",
            ),
        )

    def blames_others(self, words: str) -> bool:  # noqa: ARG002 - see below
        """Never: Traefik starts whatever our file says (facts: traefik#a-file-that-is-wrong)."""
        return False

    def refuses_certificate(self, status: int, body: str) -> bool:  # noqa: ARG002 - see below
        """Nothing: Traefik itself refuses no certificate where it only asks."""
        return False

    def refuses_arrival(self, status: int, body: str) -> bool:  # noqa: ARG002 - see above
        """Nothing."""
        return False


@dataclass(frozen=True, slots=True)
class _Router:
    """One of our routers, without its priority: the earlier, the higher."""

    rule: str
    does: tuple[Mapping[str, object], ...]
    """Its middlewares, the outermost first."""
    tls: bool = True


class _Text:
    """The file of one set of rules."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._leaves: dict[str, list[Pin]] = {}
        for zone, pin in rules.leaves:
            if _digest(pin.der) == pin.sha256:
                self._leaves.setdefault(zone, []).append(pin)

    def lines(self) -> Iterator[str]:
        """Sections with one name a line, each with its value as JSON."""
        routers = [one for one in self._routers() if one.tls or self._rules.parents.http]
        doing = list(dict.fromkeys(_json(each) for one in routers for each in one.does))
        yield "http:"
        yield "  middlewares:"
        for number, each in enumerate(doing):
            yield f"    aop-{number}: {each}"
        yield "  routers:"
        parents = self._rules.parents
        for number, one in enumerate(routers):
            router = {
                "rule": one.rule,
                "priority": ABOVE_ALL - number,
                "parentRefs": [parents.https if one.tls else parents.http],
                "middlewares": [f"aop-{doing.index(_json(each))}" for each in one.does],
                "service": NOTHING,
            }
            yield f"    aop-{number}: {_json(router)}"

    def _routers(self) -> Iterator[_Router]:
        yield from self._checks()
        yield from self._refusals()
        gate = f"Path(`{gate_path(self._rules.token)}`)"
        for tls in (True, False):
            yield _Router(gate, (_answering(204),), tls)

    def _checks(self) -> Iterator[_Router]:
        check = f"Path(`{check_path(self._rules.token)}`)"
        yield self._check(f"{check} && HeaderRegexp(`{FORGED}`, `.`)", NO_ZONE, OTHER)
        for zone, names in (*_by_name(self._rules.most_specific_first), (NO_ZONE, None)):
            here = f"{check} && ({names})" if names else check
            for pin in self._leaves.get(zone, ()):
                yield self._check(f"{here} && {_is(pin)}", zone, pin.short)
            yield self._check(f"{here} && {CAME}", zone, OTHER)
            yield self._check(here, zone, NONE)
            yield self._check(here, zone, NONE, tls=False)

    def _check(self, rule: str, zone: str, presented: str, *, tls: bool = True) -> _Router:
        line = (
            f"aop rev={printed(self._rules.revision)} zone={zone} presented={presented}"
            f" https={'on' if tls else ''} conn=1{'.' if tls else ''} nonce=${{2}}"
        )
        # Traefik cannot answer in words of ours, but redirects to where it is told, with what the
        # request contains (facts: traefik#answers-of-its-own).
        leads = {
            "regex": r"^([a-z]+://[^/?]*)[^?]*(?:\?(?:n=([A-Za-z0-9_-]{0,64})|.*))?$",
            "replacement": f"${{1}}{ANSWER_PATH}{line.replace(' ', '%20')}",
        }
        return _Router(rule, (_CLOSING, {"redirectRegex": leads}), tls)

    def _refusals(self) -> Iterator[_Router]:
        """The refusals of requests that come to a host without what its mode asks for."""
        required: list[str] = []
        for zone, leaves in sorted(self._leaves.items()):
            of_mode = {
                mode: [
                    one.name for one in self._rules.hosts if (one.zone, one.mode) == (zone, mode)
                ]
                for mode in (Mode.OPTIONAL, Mode.REQUIRE)
            }
            if any(of_mode.values()):
                strict, mild = _any(of_mode[Mode.REQUIRE]), _any(of_mode[Mode.OPTIONAL])
                passes = " || ".join(_is(pin) for pin in leaves)
                # Hosts before leaves, because Traefik tries each rule on each request.
                rule = f"({strict} || (({mild}) && {CAME})) && !({passes})"
                yield _Router(rule, (_answering(403),))
                required += of_mode[Mode.REQUIRE]
        if required:
            to_https = {"redirectScheme": {"scheme": "https", "permanent": True}}
            yield _Router(_any(sorted(required)), (to_https,), tls=False)


_CLOSING: Mapping[str, object] = {"headers": {"customResponseHeaders": {"Connection": "close"}}}
"""Traefik cannot tell an old connection from a new one (facts: traefik#connections)."""


def _answering(status: int) -> Mapping[str, object]:
    """A list of addresses that contains nobody's."""
    return {"ipAllowList": {"sourceRange": ["255.255.255.255/32"], "rejectStatusCode": status}}


def _by_name(hosts: Sequence[HostRule]) -> Iterator[tuple[str, str]]:
    """The exact names by zone, then each wildcard, the longest first."""
    exact = [one for one in hosts if not one.name.startswith("*.")]
    for zone in sorted({one.zone for one in exact}):
        yield zone, " || ".join(f"Host(`{one.name}`)" for one in exact if one.zone == zone)
    for one in hosts:
        if one.name.startswith("*."):
            yield one.zone, f"HostRegexp(`{pattern_of(one.name)}`)"


def _any(hosts: Iterable[str]) -> str:
    # However the request writes them (facts: traefik#host-names-in-a-rule).
    return " || ".join((NOBODY, *(f"Host(`{host}`)" for host in hosts)))


def _is(pin: Pin) -> str:
    """Whether the header begins with this leaf; what a client sends with it proves nothing."""
    return f"HeaderRegexp(`{HEADER}`, `^{pin.der.replace('+', '[+]')}(,|$)`)"


def _of_gateways(patterns: Collection[str], objects: Objects) -> Iterator[str]:
    gateways = TraefikGateways(
        objects.get(_GATEWAYS) or (),
        objects.get(_GATEWAY_CLASSES),
        objects.get(_LISTENER_SETS) or (),
    )
    for read in _GATEWAY_ROUTES:
        yield from gateways.past(read.kind.title, objects.get(read) or (), patterns)


def _unread(objects: Objects) -> str:
    """Routers of kinds that nobody reads."""
    missing = [] if objects.get(_INGRESSES) is not None else [_INGRESSES]
    # Only the Gateways tell which routes Traefik may serve.
    unattached = objects.get(_GATEWAYS) is None
    missing += [one for one in _GATEWAY_ROUTES if unattached or objects.get(one) is None]
    *kinds, last = (*(f"{one.kind.title}s" for one in missing), "TCPRoutes", "TLSRoutes")
    return f"routers of files, {', '.join(kinds)} and {last}"


def _digest(der: str) -> str | None:
    try:
        return sha256(b64decode(der, validate=True)).hexdigest() if der else None
    except (Error, ValueError):
        return None


def _json(value: object) -> str:
    return json.dumps(value, separators=(", ", ": "))

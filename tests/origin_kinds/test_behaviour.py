"""What the real server does with what a driver writes: who is refused, who is served, what the check path tells.

And whether what a kind says that it can do is so.
"""

from __future__ import annotations

import ssl
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from aop.observe.behaviour import behaviour_of
from aop.origins.check import NONE, OTHER, CheckAnswer, answer_in, check_path, gate_path
from aop.pki import KeyedLeaf, throwaway
from aop.probe import Answer, Asked, Presented
from aop.terms import Claim, Mode
from identities import file_of, identity_of
from origin_kinds.ground import (
    TOKEN,
    Ground,
    Json,
    OriginServer,
    VisitorLeaf,
    bare,
    of_ours,
    published_in,
    with_text,
    withdrawn,
    written,
)

pytestmark = pytest.mark.large

WWW, API, ORG, NOBODYS = "www.example.com", "api.example.com", "www.example.org", "www.example.net"
HOSTS = (WWW, API, "*.example.com", ORG, NOBODYS)
CHECK, GATE = check_path(TOKEN), gate_path(TOKEN)
PATHS = ("/", "/deep/path?and=query", GATE)
"""What is refused where anything is."""
VISITORS = (None, "ours", "next", "stranger", "org")
OF_STRANGERS = ("stranger", "org")


@pytest.fixture(scope="module")
def visitors(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, VisitorLeaf | None]:
    """Who comes, and with what."""
    folder, now = tmp_path_factory.mktemp("visitors"), datetime.now(UTC)
    made = {name: throwaway(now) for name in ("stranger", "org")}
    made["ours"], made["next"] = ending_in(b"\n", now), ending_in(b"\0", now)
    made["expired"] = throwaway(now - timedelta(days=9), timedelta(days=5))
    by_name: dict[str | None, VisitorLeaf | None] = {None: None}
    for name, keyed in made.items():
        by_name[name] = VisitorLeaf(keyed, file_of(keyed, folder / f"{name}.pem"))
    return by_name


def ending_in(last: bytes, now: datetime) -> KeyedLeaf:
    """A leaf whose DER ends in that byte, as one of 256 does, and which some server may take for the end of a text."""
    while not b64decode((leaf := throwaway(now)).leaf.pin.der).endswith(last):
        pass
    return leaf


Visitors = dict[str | None, VisitorLeaf | None]


def claim_on(zone: str, visitors: Visitors, mode: Mode, *pinned: str) -> Claim:
    """A zone of which `www` is treated as `mode` says, and where these leaves pass."""
    pins = sorted(one.pin for name in pinned if (one := visitors[name]) is not None)
    enforced = (f"www.{zone}",) if mode >= Mode.OPTIONAL else ()
    patterns = (zone, f"*.{zone}")
    return Claim(zone.replace(".", "-"), "edge/one", zone, patterns, mode, enforced, tuple(pins))


@dataclass(frozen=True)
class ClaimedServer:
    """A server that acts on what two zones claim: one in some mode, and beside it one that requires."""

    ground: Ground
    mode: Mode
    carrier: Json
    server: OriginServer
    unclaimed: OriginServer
    """One whose carrier is as it was found."""
    visitors: Visitors

    def ask(self, host: str, path: str, who: str | None, *, tls: bool = True) -> Answer:
        return self.server.ask(host, path, self.visitors[who], tls=tls)

    def check(
        self, host: str, who: str | None = None, *, tls: bool = True, nonce: str = "abc-1_2"
    ) -> CheckAnswer:
        answer = self.ask(host, f"{CHECK}?n={nonce}", who, tls=tls)
        check = answer_in(answer.status, answer.body, answer.location)
        assert check is not None, answer
        return check

    def serves(self, host: str, path: str, who: str | None, *, tls: bool = True) -> bool:
        """Whether it is answered as if nobody claimed anything; else it is turned away."""
        answer = self.ask(host, path, who, tls=tls)
        if path == GATE:
            assert (answer.status == 204) or 300 <= answer.status < 500, answer
            return answer.status == 204
        before = self.unclaimed.ask(host, path, self.visitors[who], tls=tls)
        if answer.status == before.status:
            return True
        assert 300 <= answer.status < 500, answer
        return False


@pytest.fixture(scope="module", params=Mode, ids=[mode.label for mode in Mode])
def scene(
    request: pytest.FixtureRequest,
    ground: Ground,
    visitors: Visitors,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ClaimedServer]:
    """One zone in each mode."""
    mode: Mode = request.param
    com = claim_on("example.com", visitors, mode, "ours", "next", "expired")
    org = claim_on("example.org", visitors, Mode.REQUIRE, "org")
    before = bare(ground)
    carrier = written(ground, before, org, com)
    folder = tmp_path_factory.mktemp("server")
    with (
        ground.server(folder / "claimed", carrier, HOSTS) as server,
        ground.server(folder / "unclaimed", before, HOSTS) as unclaimed,
    ):
        yield ClaimedServer(ground, mode, carrier, server, unclaimed, visitors)


def passes(mode: Mode, who: str | None) -> bool:
    """What a mode means for a visitor of a zone whose leaves are `ours` and `next`."""
    return {
        Mode.OFF: True,
        Mode.REQUEST: True,
        Mode.OPTIONAL: who not in OF_STRANGERS,
        Mode.REQUIRE: who in {"ours", "next"},
    }[mode]


def test_a_host_serves_whom_its_mode_lets_pass_and_refuses_everybody_else(
    scene: ClaimedServer,
) -> None:
    seen = {(path, who): scene.serves(WWW, path, who) for path, who in product(PATHS, VISITORS)}
    assert seen == {(path, who): passes(scene.mode, who) for path, who in product(PATHS, VISITORS)}


def test_a_host_that_is_not_enforced_serves_everybody(scene: ClaimedServer) -> None:
    for host, path, who in product((API, "other.example.com"), PATHS, VISITORS):
        assert scene.serves(host, path, who), (host, path, who)


def test_hosts_of_nobody_keep_their_answers(scene: ClaimedServer) -> None:
    for path, who, tls in product(("/", "/deep/path"), VISITORS, (True, False)):
        answer = scene.ask(NOBODYS, path, who, tls=tls)
        before = scene.unclaimed.ask(NOBODYS, path, scene.visitors[who], tls=tls)
        assert (answer.status, answer.location) == (before.status, before.location)
        assert who is not None or answer.body == before.body
    assert scene.serves(NOBODYS, GATE, None)


def test_the_leaf_of_one_zone_opens_no_host_of_another(scene: ClaimedServer) -> None:
    for path, who in product(PATHS, VISITORS):
        assert scene.serves(ORG, path, who) is (who == "org"), (path, who)


def test_plaintext_is_closed_where_a_leaf_is_required_and_as_before_elsewhere(
    scene: ClaimedServer,
) -> None:
    for path in PATHS:
        assert not scene.serves(ORG, path, None, tls=False)
        assert scene.serves(WWW, path, None, tls=False) is (scene.mode < Mode.REQUIRE)
        assert scene.serves(API, path, None, tls=False)


def test_the_check_path_tells_every_visitor_what_it_came_with(scene: ClaimedServer) -> None:
    """Whoever is refused elsewhere; a leaf is told by its name only at a host of its own zone."""
    revision = published_in(scene.ground, scene.carrier).revision
    for host, who in product((WWW, API, ORG, NOBODYS, "never.heard.of"), VISITORS):
        check = scene.check(host, who)
        assert (check.revision, check.https, check.fresh, check.nonce) == (
            revision,
            True,
            True,
            "abc-1_2",
        )
        if who is None:
            assert check.presented == NONE
        elif host in {WWW, API} and scene.mode is Mode.OFF:
            assert check.presented in {NONE, OTHER}
        elif host in {WWW, API, ORG}:
            own = {"ours", "next"} if host != ORG else {"org"}
            visitor = scene.visitors[who]
            assert visitor is not None
            assert check.presented == (visitor.pin.short if who in own else OTHER)
        else:
            assert check.presented in {NONE, OTHER}, "a leaf means nothing at a host of nobody"


def test_the_check_path_answers_in_plaintext_and_says_so(scene: ClaimedServer) -> None:
    for host, who in product((WWW, API, ORG, NOBODYS), VISITORS):
        check = scene.check(host, who, tls=False)
        assert (check.presented, check.https, check.nonce) == (NONE, False, "abc-1_2")


@pytest.mark.parametrize("nonce", ["<b>", "%3Cb%3E", "a.b", 'a"b', "a;b", "%00", ""])
def test_the_check_path_repeats_nothing_that_a_browser_could_run(
    scene: ClaimedServer, nonce: str
) -> None:
    for host in (WWW, NOBODYS):
        assert scene.check(host, nonce=nonce).nonce == ""


def test_only_the_check_path_itself_is_exempt(scene: ClaimedServer) -> None:
    for path in (f"{CHECK}/below", f"{CHECK}x", f"{CHECK}/../../../../secret"):
        assert not scene.serves(ORG, path, None), path


def test_no_answer_to_who_is_served_is_taken_for_the_servers_own_refusal(
    scene: ClaimedServer,
) -> None:
    refuses = scene.ground.kind.refuses_certificate
    for host, path, who in product((WWW, API, ORG, NOBODYS), (*PATHS, CHECK), VISITORS):
        answer = scene.ask(host, path, who)
        if path == CHECK or scene.serves(host, path, who):
            assert not refuses(answer.status, answer.body), (host, path, who)
    for host, who in product((WWW, ORG), VISITORS):
        answer = scene.ask(host, CHECK, who)
        assert not scene.ground.kind.refuses_arrival(answer.status, answer.body)


def test_the_probe_sees_what_the_claim_asks_for(scene: ClaimedServer) -> None:
    """What the rest of the operator makes of the same answers."""
    ours = ("ours", "next")
    presented = dict(zip((Presented.OURS, Presented.NEXT), ours, strict=True))
    who: dict[Presented, str | None] = {
        Presented.NONE: None,
        **presented,
        Presented.FOREIGN: "stranger",
    }
    keyed = {
        at: visitor.keyed for at, name in presented.items() if (visitor := scene.visitors[name])
    }
    identities = {at: identity_of(one) for at, one in keyed.items()}
    asks = published_in(scene.ground, scene.carrier).claims["example-com"]
    for host in (WWW, API):
        answers = tuple(
            Asked(host, at, scene.ask(host, CHECK, name), scene.ask(host, GATE, name))
            for at, name in who.items()
        )
        seen = behaviour_of(
            host, answers, identities, scene.ground.kind.refuses_certificate, own=False
        )
        least = Mode.OFF if scene.ground.kind.capabilities.asks_per_host else Mode.REQUEST
        assert seen.mode == max(asks.at(host), least)
        assert seen.accepts == {one.leaf.pin.sha256 for one in keyed.values()}
        assert (seen.refuses, seen.odd) == (frozenset(), None)


# --- what overlaps ------------------------------------------------------------------------------------------------------------------


def asked_about(
    ground: Ground, folder: Path, claims: list[Claim], visitors: Visitors, host: str
) -> dict[str | None, bool]:
    """Whom a host serves at the gate."""
    carrier = written(ground, bare(ground), *claims)
    with ground.server(folder, carrier, (*HOSTS, host)) as server:
        return {who: server.ask(host, GATE, visitors[who]).status == 204 for who in VISITORS}


def test_between_zones_the_most_specific_wins(
    ground: Ground, visitors: Visitors, tmp_path: Path
) -> None:
    inner, host = (
        claim_on("shop.example.com", visitors, Mode.REQUIRE, "org"),
        "www.shop.example.com",
    )
    outer = replace(claim_on("example.com", visitors, Mode.REQUIRE, "ours"), enforced=(WWW, host))
    served = asked_about(ground, tmp_path / "both", [outer, inner], visitors, host)
    assert [who for who, passed in served.items() if passed] == ["org"]
    relaxed = replace(inner, mode=Mode.OFF, enforced=())
    served = asked_about(ground, tmp_path / "relaxed", [outer, relaxed], visitors, host)
    assert all(served.values()), "that one claim is relaxed makes no other one stricter"


def test_within_one_zone_the_mildest_wins(
    ground: Ground, visitors: Visitors, tmp_path: Path
) -> None:
    """Two objects for one zone: one was removed past its finalizer and made again."""
    one = claim_on("example.com", visitors, Mode.REQUIRE, "ours")
    other = replace(claim_on("example.com", visitors, Mode.REQUIRE, "next"), uid="made-again")
    served = asked_about(ground, tmp_path / "strict", [one, other], visitors, WWW)
    assert [who for who, passed in served.items() if passed] == ["ours", "next"]
    milder = replace(other, mode=Mode.REQUEST, enforced=())
    served = asked_about(ground, tmp_path / "milder", [one, milder], visitors, WWW)
    assert all(served.values()), "whoever is still there can relax"


def test_a_zone_without_a_pin_refuses_nobody(
    ground: Ground, visitors: Visitors, tmp_path: Path
) -> None:
    claims = [claim_on("example.com", visitors, Mode.REQUIRE)]
    assert all(asked_about(ground, tmp_path / "server", claims, visitors, WWW).values())


def test_what_is_left_of_a_text_breaks_nothing_and_refuses_no_leaf_of_ours(
    ground: Ground, visitors: Visitors, tmp_path: Path
) -> None:
    """A part of it is lost, as when somebody resets a key: the claims are feared no more than they said."""
    before = bare(ground)
    strict = claim_on("example.com", visitors, Mode.REQUIRE, "ours")
    body = written(ground, before, strict)
    texts_of_ours = [place for place in of_ours(before, body) if place[0] != "metadata"]
    for number, place in enumerate(texts_of_ours):
        folder, damaged = tmp_path / str(number), with_text(body, place, None)
        with ground.server(folder, damaged, HOSTS) as server:
            for host, who in product((API, NOBODYS), VISITORS):
                assert server.ask(host, "/", visitors[who]).status == 200, (place, host, who)
            assert server.ask(WWW, "/", visitors["ours"]).status == 200


def test_where_the_last_claim_has_left_the_server_does_what_it_did(
    ground: Ground, visitors: Visitors, tmp_path: Path
) -> None:
    before = bare(ground)
    body = written(ground, before, claim_on("example.com", visitors, Mode.REQUIRE, "ours"))
    body = withdrawn(ground, body, "example-com")
    with (
        ground.server(tmp_path / "after", body, HOSTS) as after,
        ground.server(tmp_path / "before", before, HOSTS) as unclaimed,
    ):
        for path, who in product((*PATHS, CHECK), VISITORS):
            answers = [one.ask(WWW, path, visitors[who]) for one in (after, unclaimed)]
            assert answers[0] == answers[1]


# --- what the kind says that it can do ----------------------------------------------------------------------------------------------


def test_it_refuses_what_has_expired_as_it_says(scene: ClaimedServer) -> None:
    """Even where it only asks, and on the check path, which no text of ours refuses."""
    kind, asked = scene.ground.kind, scene.check(WWW, "ours").presented != NONE
    refuses = kind.capabilities.refuses_expired and asked
    if refuses and scene.ground.alerts:
        for host, path in product((WWW, API), (CHECK, GATE, "/")):
            with pytest.raises(ssl.SSLError, match="ALERT_CERTIFICATE_EXPIRED"):
                scene.ask(host, path, "expired")
        return
    answer = scene.ask(WWW, CHECK, "expired")
    assert kind.refuses_certificate(answer.status, answer.body) is refuses
    assert kind.refuses_arrival(answer.status, answer.body) is refuses
    assert (answer_in(answer.status, answer.body, answer.location) is None) is refuses
    assert scene.serves(API, GATE, "expired") is not refuses


def test_it_asks_per_host_as_it_says(scene: ClaimedServer) -> None:
    """The other zone asks in any case."""
    for host in (WWW, API):
        asked = scene.check(host, "ours").presented != NONE
        per_host = scene.ground.kind.capabilities.asks_per_host
        assert asked is (scene.mode >= Mode.REQUEST or not per_host)


def test_it_ends_sessions_as_it_says(ground: Ground, visitors: Visitors, tmp_path: Path) -> None:
    asking = claim_on("example.com", visitors, Mode.REQUEST, "ours")
    carrier = written(ground, bare(ground), asking)
    again = written(ground, carrier, replace(asking, flush_count=1))
    with ground.server(tmp_path / "server", carrier, HOSTS) as server:
        assert server.resumes_after(WWW, again) is not ground.kind.capabilities.ends_sessions

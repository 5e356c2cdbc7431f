"""What the file for Traefik in a workload means to the real one, beside the configuration of whoever takes it in."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from aop.observe.behaviour import behaviour_of
from aop.observed import HostBehaviour
from aop.origins.check import CheckAnswer, answer_in, check_path, gate_path
from aop.origins.rules import Parents, rules_of
from aop.origins.workload.traefik import ROUTES, TraefikDialect
from aop.pki import throwaway
from aop.probe import Paths, Presented, ReplicaAddress, ReplicaProbe
from aop.terms import Mode
from builders import LEAF, claim
from identities import identity_of
from our_leaf import OURS
from sandbox.plain_server import MOUNT
from sandbox.plain_traefik import CERTIFICATE, PRIORITY, RULE, STRIP, TLS_OPTION, PlainTraefik
from sandbox.text_nginx import NginxAnswer, ask, client_context
from sandbox.waiting import until

TOKEN = "k3y0fth3path"
WWW, API, ALONE = "www.example.com", "api.example.com", "alone.example.com"
CHECK = check_path(TOKEN)
HEADER = "X-Forwarded-Tls-Client-Cert"
DIALECT = TraefikDialect()
STRANGERS = throwaway(datetime.now(UTC))
PIN = OURS.leaf.pin
REQUIRING, ASKING = claim(Mode.REQUIRE, (WWW,), (PIN,)), claim(Mode.REQUEST, (), (PIN,))
FILES = DIALECT.render(rules_of([REQUIRING], 1, TOKEN))
CASES = (WWW, WWW.upper(), f"{WWW}:443", f"{WWW}.", f"{WWW.upper()}.:8443")
UPDATED_WITHIN_S = 15.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates with their keys, each a file."""
    folder = tmp_path_factory.mktemp("leaves")
    pem, key = OURS.leaf.pem, OURS.key.get_secret_value().decode()
    (folder / "ours").write_text(pem + key)
    (folder / "ours-and-more").write_text(pem + STRANGERS.leaf.pem + key)
    their_key = STRANGERS.key.get_secret_value().decode()
    (folder / "strangers").write_text(STRANGERS.leaf.pem + their_key)
    (folder / "strangers-and-ours").write_text(STRANGERS.leaf.pem + pem + their_key)
    return folder


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainTraefik]:
    folder = tmp_path_factory.mktemp("traefik")
    with PlainTraefik(folder, FILES, (WWW,), (ALONE,)) as traefik:
        yield traefik


def answer_of(answer: NginxAnswer) -> CheckAnswer | None:
    return answer_in(answer.status, answer.body, answer.headers.get("location"))


def test_it_starts_without_the_file(tmp_path: Path) -> None:
    with PlainTraefik(tmp_path / "traefik", {}, (WWW,)) as traefik:
        assert traefik.https(WWW).status == 200
        assert traefik.https(WWW, CHECK).body == "app"


@pytest.mark.parametrize("host", CASES)
def test_however_a_host_is_written_it_is_the_same_one(
    running: PlainTraefik, folder: Path, host: str
) -> None:
    """Also to a router that takes every name."""
    assert running.http(host).status == 301
    answer = answer_of(running.http(host, f"{CHECK}?n=abc"))
    assert answer is not None
    assert (answer.nonce, answer.https) == ("abc", False)
    leaves = (None, folder / "ours")
    assert [running.https(host, "/", leaf, sni=WWW).status for leaf in leaves] == [403, 200]


def test_nobody_passes_by_what_a_request_says_of_itself(tmp_path: Path, folder: Path) -> None:
    """The leaf is no secret: whoever has no key of it, and tells it in a header, is refused.

    Also where Traefik believes such headers, as it has to behind Cloudflare, which passes on those
    of anybody's zone.
    """
    with PlainTraefik(tmp_path / "traefik", FILES, (WWW,), trusting=True) as trusting:
        for leaf in (None, folder / "strangers"):
            for name in (HEADER, HEADER.lower()):
                answer = trusting.https(WWW, "/", leaf, **{name: PIN.der})
                assert answer.status == 403
                seen = answer_of(trusting.https(WWW, CHECK, leaf, **{name: PIN.der}))
                assert seen is not None
                assert seen.presented == ("none" if leaf is None else "other")
        assert trusting.https(WWW, "/", folder / "ours", **{HEADER: "x"}).status == 200


@pytest.mark.asyncio
@pytest.mark.parametrize("strips", [True, False])
@pytest.mark.parametrize("trusting", [True, False])
async def test_whoever_tells_the_leaf_in_a_header_passes_only_where_the_operator_sees_it_before(
    tmp_path: Path, *, strips: bool, trusting: bool
) -> None:
    """That is where Traefik believes such headers and nobody takes them away; only whom it believes is not seen from here."""
    routes = tmp_path / "traefik"
    with PlainTraefik(routes, FILES, (WWW,), trusting=trusting, strips=strips) as traefik:
        answered = traefik.https(WWW, "/", None, **{HEADER: PIN.der})
        seen = await behaviour_at(traefik)
    assert answered.status == (200 if trusting and not strips else 403)
    assert seen.odd is None
    assert seen.mode is Mode.REQUIRE
    assert bool(seen.believes) is not strips


async def behaviour_at(traefik: PlainTraefik) -> HostBehaviour:
    """What the operator takes down of the host."""
    told_by = DIALECT.capabilities.told_by
    identities = {
        Presented.OURS: identity_of(OURS),
        Presented.FOREIGN: identity_of(STRANGERS),
    }
    asked = await ReplicaProbe(timeout_s=5).ask(
        ReplicaAddress(traefik.address, traefik.https_port, traefik.http_port),
        WWW,
        Paths(CHECK, gate_path(TOKEN)),
        identities,
        told_by,
    )
    ours = {Presented.OURS: identities[Presented.OURS]}
    return behaviour_of(WWW, asked, ours, DIALECT.refuses_certificate, own=False, told_by=told_by)


def test_what_is_sent_along_with_a_leaf_counts_for_nothing(
    running: PlainTraefik, folder: Path
) -> None:
    assert running.https(WWW, "/", folder / "ours-and-more").status == 200
    assert running.https(WWW, "/", folder / "strangers-and-ours").status == 403


def test_a_host_that_does_not_stand_below_the_two_routers_has_nothing_of_ours(
    running: PlainTraefik,
) -> None:
    assert running.https(ALONE).body == "app"
    assert running.https(ALONE, CHECK).body == "app"
    assert running.https(WWW, sni=ALONE).status == 403, "SNI decides nothing"


def test_a_check_ends_its_connection(running: PlainTraefik) -> None:
    assert running.https(WWW, CHECK).headers["connection"] == "close"


def test_a_connection_of_before_is_judged_at_each_request(tmp_path: Path, folder: Path) -> None:
    """Traefik keeps it, and each request on it comes with what was presented at its beginning."""
    asking = DIALECT.render(rules_of([ASKING], 1, TOKEN))
    with PlainTraefik(tmp_path / "traefik", asking, (WWW,)) as traefik:
        stranger, ours = (client_context(one) for one in (None, folder / "ours"))
        with (
            traefik.connection(stranger, WWW) as of_a_stranger,
            traefik.connection(ours, WWW) as of_ours,
        ):
            connections = (of_a_stranger, of_ours)
            before = [ask(one, WWW, "/", {}, close=False).status for one in connections]
            assert before == [200, 200]
            traefik.change(FILES)
            until(
                lambda: traefik.https(WWW).status == 403,
                within_s=UPDATED_WITHIN_S,
                describe="the new file to be read",
            )
            after = [ask(one, WWW, "/", {}, close=False).status for one in connections]
            assert after == [403, 200]


def test_a_file_that_is_wrong_ends_nothing(tmp_path: Path) -> None:
    """It goes on with what it has read before, until it can read the file again."""
    broken = {ROUTES: FILES[ROUTES].replace("http:", "http: [", 1)}
    later = DIALECT.render(rules_of([REQUIRING], 2, TOKEN))

    def revision() -> int:
        assert traefik.https(WWW).status == 403
        answer = answer_of(traefik.https(WWW, CHECK))
        assert answer is not None
        return answer.revision

    with PlainTraefik(tmp_path / "traefik", FILES, (WWW,)) as traefik:
        for files in (broken, later):
            assert revision() == 1
            traefik.change(files)
        until(
            lambda: revision() == 2,
            within_s=UPDATED_WITHIN_S,
            describe="the file to be read again",
        )


def test_a_router_that_it_does_not_know_turns_off_ours_alone(tmp_path: Path) -> None:
    elsewhere = DIALECT.render(
        rules_of([REQUIRING], 1, TOKEN, Parents("gone@file", "gone-plain@file"))
    )
    with PlainTraefik(tmp_path / "traefik", elsewhere, (WWW,)) as traefik:
        assert traefik.https(WWW).body == "app"
        assert traefik.https(WWW, CHECK).body == "app"


def test_without_plaintext_nothing_is_said_of_it(tmp_path: Path) -> None:
    files = DIALECT.render(rules_of([REQUIRING], 1, TOKEN, Parents("aop@file", "")))
    with PlainTraefik(tmp_path / "traefik", files, (WWW,)) as traefik:
        assert traefik.https(WWW).status == 403
        assert traefik.http(WWW).body == "app"


def test_a_leaf_of_which_nothing_but_digests_is_known_lets_nobody_in_and_refuses_nobody(
    tmp_path: Path, folder: Path
) -> None:
    unknown = replace(REQUIRING, pins=(LEAF,))
    files = DIALECT.render(rules_of([unknown], 1, TOKEN))
    with PlainTraefik(tmp_path / "alone", files, (WWW,)) as traefik:
        assert traefik.https(WWW).status == 200
    beside = DIALECT.render(rules_of([replace(REQUIRING, pins=(LEAF, PIN))], 1, TOKEN))
    with PlainTraefik(tmp_path / "beside", beside, (WWW,)) as traefik:
        leaves = (None, folder / "ours")
        assert [traefik.https(WWW, "/", leaf).status for leaf in leaves] == [403, 200]


def test_a_leaf_is_found_again_in_the_text() -> None:
    assert DIALECT.leaves(FILES.values()) == {PIN.sha256: PIN.der}
    assert DIALECT.leaves([FILES[ROUTES].replace(PIN.der[20:40], "x", 1)]) != {}
    cut = FILES[ROUTES].replace("MII", "MIX")
    assert PIN.sha256 not in DIALECT.leaves([cut])


def test_no_session_is_resumed(running: PlainTraefik) -> None:
    """Else it would go on with what was presented at its beginning."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context(None)
        context.minimum_version = context.maximum_version = version
        with running.connection(context, WWW) as connection:
            ask(connection, WWW, CHECK, {})
            session = connection.session
        with running.connection(context, WWW, session) as connection:
            assert not connection.session_reused


def test_what_a_user_adds_is_what_stands_in_the_document_and_in_the_example() -> None:
    root = Path(__file__).parents[2]
    web = list(yaml.safe_load_all((root / "deploy/examples/traefik/web.yaml").read_text()))
    specs = {(one["kind"], one["metadata"]["name"]): one.get("spec") for one in web}
    document = (root / "docs/how-to/traefik.md").read_text()
    for kind, name, added in (
        ("TLSOption", "default", TLS_OPTION),
        ("Middleware", "aop-strip", STRIP),
        ("Middleware", "aop-certificate", CERTIFICATE),
    ):
        assert specs[kind, name] == yaml.safe_load(added)
        assert " ".join(added.split()) in " ".join(document.split()), added
    for name in ("aop", "aop-plain"):
        (route,) = specs["IngressRoute", name]["routes"]
        assert (route["match"], route["priority"]) == (RULE, PRIORITY)
        assert [one["name"] for one in route["middlewares"]] == ["aop-strip", "aop-certificate"]
    assert f"match: {RULE}" in document
    assert MOUNT in document

"""The driver's text does on a real nginx what the claims say: all that stands in facts: ingress-nginx#what-the-text-answers, and more."""

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aop.origins.check import NO_ZONE, NONE, OTHER, CheckAnswer, check_path, gate_path, parse
from aop.origins.ingress_nginx.lint import objection, pages_in
from aop.origins.ingress_nginx.publishing import publish
from aop.origins.ingress_nginx.rejection import rejected_by
from aop.origins.ingress_nginx.replicas import Controller
from aop.origins.ingress_nginx.spec import ForeignText
from aop.origins.ingress_nginx.stored import read
from aop.origins.ingress_nginx.text import HTTP, SERVER, render
from aop.origins.nginx import too_long
from aop.origins.zones import labels
from aop.terms import Claim, Mode, ObjectKey, Pin
from sandbox.ports import free_port
from sandbox.text_nginx import LOGGABLE, NginxAnswer, TextNginx, ask, client_context
from sandbox.waiting import until
from strategies import BROKEN, REFORMATTED

NOW = datetime.now(UTC)
TOKEN = "k3y0fth3path"
CHECK, GATE = check_path(TOKEN), gate_path(TOKEN)
FORGED = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "elsewhere.example.net"}

WWW, API, SHOP, OUTSIDE = (
    "www.example.com",
    "api.example.com",
    "shop.example.org",
    "outside.example.net",
)
HOSTS = (WWW, API, "*.example.com", SHOP, OUTSIDE)


@dataclass(frozen=True)
class LeafFile:
    """A client certificate and its key in one file."""

    path: Path
    pin: Pin


class Issuer:
    """Signs leaves, and authorities below itself."""

    def __init__(self, folder: Path, name: str, above: "Issuer | None" = None) -> None:
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.chain: list[x509.Certificate] = []
        certificate = (above or self).sign(
            self.name, self.key, NOW - timedelta(hours=1), NOW + timedelta(days=9), authority=True
        )
        self.chain = [certificate, *(above.chain if above else [])]

    def sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        not_before: datetime,
        not_after: datetime,
        *,
        authority: bool,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
        )
        builder = (
            builder.serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
        )
        return builder.add_extension(
            x509.BasicConstraints(ca=authority, path_length=None), critical=True
        ).sign(self.key, hashes.SHA256())

    def leaf(
        self,
        name: str,
        *,
        begins: timedelta = timedelta(hours=-1),
        ends: timedelta = timedelta(days=9),
        chain: bool = False,
    ) -> LeafFile:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self.sign(subject, key, NOW + begins, NOW + ends, authority=False)
        path = self.folder / f"{name}.pem"
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        sent = [certificate, *(self.chain if chain else [])]
        path.write_bytes(
            pem + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in sent)
        )
        digests = (
            certificate.fingerprint(hashes.SHA256()).hex(),
            certificate.fingerprint(hashes.SHA1()).hex(),  # noqa: S303  # what nginx compares
        )
        return LeafFile(
            path, Pin(*digests, certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        )


@dataclass(frozen=True)
class Leaves:
    ours: LeafFile
    next: LeafFile
    org: LeafFile
    stranger: LeafFile
    long_chain: LeafFile
    expired: LeafFile
    early: LeafFile


@pytest.fixture(scope="module")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> Leaves:
    folder = tmp_path_factory.mktemp("leaves")
    ours, strangers = Issuer(folder, "ours"), Issuer(folder, "strangers")
    below = strangers
    for depth in range(4):
        below = Issuer(folder, f"strangers {depth}", below)
    return Leaves(
        ours=ours.leaf("current"),
        next=ours.leaf("next"),
        org=ours.leaf("org"),
        stranger=strangers.leaf("stranger"),
        long_chain=below.leaf("far", chain=True),
        expired=ours.leaf("expired", begins=timedelta(days=-3), ends=timedelta(days=-2)),
        early=ours.leaf("early", begins=timedelta(days=2)),
    )


def com(
    leaves: Leaves, mode: Mode, enforced: tuple[str, ...] = (), pins: tuple[Pin, ...] | None = None
) -> Claim:
    expected = (
        (leaves.ours.pin, leaves.next.pin, leaves.expired.pin, leaves.early.pin)
        if pins is None
        else pins
    )
    return Claim(
        "uid-com",
        "edge/example-com",
        "example.com",
        ("example.com", "*.example.com"),
        mode,
        enforced,
        expected,
    )


def org(leaves: Leaves, mode: Mode, enforced: tuple[str, ...] = ()) -> Claim:
    return Claim(
        "uid-org",
        "edge/example-org",
        "example.org",
        ("example.org", "*.example.org"),
        mode,
        enforced,
        (leaves.org.pin,),
    )


def path_of(leaf: LeafFile | None) -> Path | None:
    return None if leaf is None else leaf.path


def check_answer(came: NginxAnswer) -> CheckAnswer:
    answer = parse(came.body)
    assert answer is not None, came
    return answer


def zone_of(answer: NginxAnswer) -> str:
    """The label of the zone to which nginx counts the host."""
    assert check_answer(answer)
    return str(answer.body).partition(" zone=")[2].partition(" ")[0].rpartition(".")[2]


@pytest.fixture(scope="module")
def requiring(leaves: Leaves, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TextNginx]:
    """www.example.com and shop.example.org required, each by its own zone; api.example.com only asked; outside.example.net in no zone."""
    claims = [com(leaves, Mode.REQUIRE, (WWW,)), org(leaves, Mode.REQUIRE, (SHOP,))]
    with TextNginx(tmp_path_factory.mktemp("requiring"), render(claims, 7, TOKEN), HOSTS) as nginx:
        yield nginx


LABEL = labels([Claim("", "", zone, ()) for zone in ("example.com", "example.org")])


# --- required --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/deep/path?and=query", GATE, f"{CHECK}/below", f"{CHECK}x"])
def test_a_required_host_refuses_whoever_comes_without_a_certificate(
    requiring: TextNginx, path: str
) -> None:
    assert requiring.https(WWW, path).status == 400


@pytest.mark.parametrize("path", ["/", GATE])
def test_a_required_host_refuses_a_strangers_certificate(
    requiring: TextNginx, leaves: Leaves, path: str
) -> None:
    assert requiring.https(WWW, path, leaves.stranger.path).status == 400


def test_a_required_host_serves_both_pinned_leaves(requiring: TextNginx, leaves: Leaves) -> None:
    for leaf in (leaves.ours, leaves.next):
        assert requiring.https(WWW, "/", leaf.path).body.startswith("app verify=FAILED")
        assert requiring.https(WWW, GATE, leaf.path).status == 204


@pytest.mark.parametrize("untimely", ["expired", "early"])
@pytest.mark.parametrize("path", ["/", CHECK])
def test_nginx_itself_refuses_an_untimely_leaf_even_on_the_check_path(
    requiring: TextNginx, leaves: Leaves, untimely: str, path: str
) -> None:
    """No text can exempt it, so nothing such may be presented while anybody is asked."""
    answer = requiring.https(WWW, path, getattr(leaves, untimely).path)
    assert answer.status == 400
    assert "The SSL certificate error" in answer.body


def test_a_leaf_of_one_zone_is_no_key_to_another(requiring: TextNginx, leaves: Leaves) -> None:
    assert requiring.https(SHOP, "/", leaves.org.path).status == 200
    assert requiring.https(WWW, "/", leaves.org.path).status == 400
    assert requiring.https(SHOP, "/", leaves.ours.path).status == 400


@pytest.mark.parametrize("headers", [{}, FORGED])
def test_plaintext_to_a_required_host_goes_to_https_whatever_it_claims_to_be(
    requiring: TextNginx, headers: dict[str, str]
) -> None:
    answer = requiring.http(WWW, "/a?b=c", **headers)
    assert (answer.status, answer.headers["location"]) == (308, f"https://{WWW}/a?b=c")
    assert requiring.http(WWW, GATE, **headers).status == 308


@pytest.mark.parametrize("host", [API, OUTSIDE])
def test_hosts_that_are_not_required_keep_their_answers(
    requiring: TextNginx, leaves: Leaves, host: str
) -> None:
    for leaf in (None, leaves.ours, leaves.stranger):
        assert requiring.https(host, "/", path_of(leaf)).status == 200
    assert requiring.http(host).status == 308, "the controller's own redirect"
    assert requiring.http(host, **FORGED).status == 200, "the bypass that is theirs to close"
    assert requiring.http(host, "/healthz").status == 200


@pytest.mark.parametrize("spelling", ["WWW.EXAMPLE.COM", "www.example.com.", "www.example.com:443"])
def test_no_spelling_of_a_required_host_gets_past(
    requiring: TextNginx, leaves: Leaves, spelling: str
) -> None:
    assert requiring.https(spelling, sni=WWW).status == 400
    assert requiring.http(spelling, **FORGED).status == 308
    assert requiring.https(spelling, "/", leaves.ours.path, sni=WWW).status == 200


def test_an_address_as_host_reaches_the_catch_all_as_before(requiring: TextNginx) -> None:
    assert requiring.https("127.0.0.1", "/healthz").status == 200


def test_strangers_with_a_chain_of_intermediates_are_served_where_nobody_is_required(
    requiring: TextNginx, leaves: Leaves
) -> None:
    """Nginx's own default depth would answer 400 on every host of the controller."""
    assert requiring.https(OUTSIDE, "/", leaves.long_chain.path).status == 200
    assert requiring.https(WWW, "/", leaves.long_chain.path).status == 400


# --- the check path --------------------------------------------------------------------------------------------------


def test_the_check_path_tells_what_each_request_came_with(
    requiring: TextNginx, leaves: Leaves
) -> None:
    cases = [
        (None, NONE),
        (leaves.ours, leaves.ours.pin.short),
        (leaves.next, leaves.next.pin.short),
        (leaves.stranger, OTHER),
    ]
    for leaf, presented in [*cases, (leaves.org, OTHER)]:
        answer = check_answer(requiring.https(WWW, f"{CHECK}?n=abc-123", path_of(leaf)))
        assert answer == CheckAnswer(7, presented, https=True, fresh=True, nonce="abc-123")
    assert (
        check_answer(requiring.https(SHOP, CHECK, leaves.org.path)).presented
        == leaves.org.pin.short
    )


@pytest.mark.parametrize("headers", [{}, FORGED])
def test_the_check_path_answers_in_plaintext_and_says_so(
    requiring: TextNginx, headers: dict[str, str]
) -> None:
    answer = check_answer(requiring.http(WWW, f"{CHECK}?n=x", **headers))
    assert answer == CheckAnswer(7, NONE, https=False, fresh=True, nonce="x")


@pytest.mark.parametrize("host", [OUTSIDE, "never.heard.of", "127.0.0.1"])
def test_the_check_path_answers_for_any_host(requiring: TextNginx, host: str) -> None:
    for answer in (requiring.https(host, CHECK), requiring.http(host, CHECK)):
        assert (check_answer(answer).revision, zone_of(answer)) == (7, NO_ZONE)


def test_hosts_under_a_wildcard_belong_to_the_zone(requiring: TextNginx) -> None:
    for host, zone in (
        (API, "example.com"),
        ("a.b.example.com", "example.com"),
        ("example.com", "example.com"),
        (SHOP, "example.org"),
    ):
        assert zone_of(requiring.https(host, CHECK)) == LABEL[zone]


def test_a_second_request_on_a_connection_is_not_fresh(requiring: TextNginx) -> None:
    with requiring.connection(client_context(None), WWW) as connection:
        answers = [check_answer(ask(connection, WWW, CHECK, {}, close=False)) for _ in range(2)]
    assert [answer.fresh for answer in answers] == [True, False]


ECHOED = re.compile(r"aop [a-z0-9 =.-]* nonce=[A-Za-z0-9_-]*\n")


@pytest.mark.parametrize(
    "nonce",
    ["<script>alert(1)</script>", "%3Cscript%3E", 'a"b', "a.b", "a+b=c", "a;b", "%00", "\xfc"],
)
@pytest.mark.parametrize("host", [WWW, OUTSIDE, "never.heard.of"])
def test_no_browser_can_be_made_to_run_what_somebody_lets_the_check_path_say(
    requiring: TextNginx, host: str, nonce: str
) -> None:
    """Even where the type is lost: of what it echoes nothing could be a tag, a quote or a statement."""
    for answer in (
        requiring.https(host, f"{CHECK}?n={nonce}"),
        requiring.http(host, f"{CHECK}?n={nonce}"),
    ):
        assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
        assert ECHOED.fullmatch(answer.body), answer.body
        assert check_answer(answer).nonce == ""


def test_neither_of_our_paths_fills_the_access_log(leaves: Leaves, tmp_path: Path) -> None:
    with TextNginx(tmp_path, render([com(leaves, Mode.REQUIRE, (WWW,))], 3, TOKEN), HOSTS) as nginx:
        for path in (f"{CHECK}?n=x", GATE, "/seen"):
            assert nginx.https(WWW, path, leaves.ours.path).status in {200, 204}
            assert nginx.https(WWW, path).status == (200 if path.startswith(CHECK) else 400)
            assert nginx.http(WWW, path).status in {200, 308}
        until(lambda: len(nginx.logged()) >= 3, within_s=10, describe="the last request in the log")
        assert [line.split()[6] for line in nginx.logged()] == ["/seen"] * 3


def test_where_the_controller_has_no_such_map_the_paths_answer_all_the_same(
    leaves: Leaves, tmp_path: Path
) -> None:
    with TextNginx(
        tmp_path, render([com(leaves, Mode.REQUIRE, (WWW,))], 3, TOKEN), HOSTS, built_in=""
    ) as nginx:
        assert check_answer(nginx.https(WWW, CHECK)).revision == 3
        assert nginx.https(WWW, GATE, leaves.ours.path).status == 204
        until(lambda: len(nginx.logged()) == 2, within_s=10, describe="both requests in the log")


def test_the_answers_of_others_stay_what_they_were(leaves: Leaves, tmp_path: Path) -> None:
    """No type, header or variable of theirs is touched by ours.

    Only `$1` of a regular server name is: any regex forgets it.
    """
    theirs = 'location = /page { return 200 "page of $which"; } location = /file.txt { return 200 "text"; } add_header X-Theirs yes always;'
    hosts, host = (r"~^(?<which>outside)\.example\.net$",), OUTSIDE
    answers = []
    for folder, text in (
        ("before", {}),
        ("after", render([com(leaves, Mode.REQUIRE, (WWW,))], 3, TOKEN)),
    ):
        with TextNginx(tmp_path / folder, text, hosts, ingress=theirs) as nginx:
            seen = [
                nginx.https(host, path)
                for path in ("/page", "/page?n=<", "/file.txt", "/", "/healthz", "/nowhere")
            ]
            answers.append(
                [
                    (one.status, {k: v for k, v in one.headers.items() if k != "date"}, one.body)
                    for one in seen
                ]
            )
    assert answers[0] == answers[1]
    assert answers[1][0][2] == "page of outside"


COLLIDING = f'location = {CHECK} {{ return 200 "theirs"; }} location = {GATE} {{ return 200 "theirs"; }} location /.well-known {{ return 403; }}'
PAGES = 'error_page 400 403 404 421 495 496 497 503 = @custom; location @custom { return 502 "a page of theirs"; }'
REWRITES = "rewrite ^ /elsewhere last; return 503;"


@pytest.mark.parametrize(
    "ingress", [COLLIDING, PAGES, COLLIDING + PAGES], ids=["same paths", "error pages", "both"]
)
@pytest.mark.parametrize("behind", ["", REWRITES], ids=["", "rewritten behind ours"])
def test_nobodys_paths_pages_or_rewrites_take_the_place_of_our_answers(
    leaves: Leaves, tmp_path: Path, ingress: str, behind: str
) -> None:
    """Whoever may create an Ingress can have an Exact path like ours: every server of the controller shows them to its backend."""
    text = render([com(leaves, Mode.REQUIRE, (WWW,))], 3, TOKEN)
    with TextNginx(
        tmp_path, {**text, SERVER: text[SERVER] + behind}, HOSTS, ingress=ingress
    ) as nginx:
        for host in (WWW, OUTSIDE, "never.heard.of"):
            assert check_answer(nginx.https(host, f"{CHECK}?n=x")).nonce == "x"
            assert check_answer(nginx.http(host, f"{CHECK}?n=x")).nonce == "x"
            assert nginx.https(host, GATE, leaves.ours.path).status == 204
        assert nginx.https(WWW, GATE).status in {400, 502}
        assert nginx.https(WWW, GATE, leaves.stranger.path).status in {400, 502}
        assert nginx.http(WWW, GATE).status == 308


@pytest.mark.parametrize(
    "path",
    [
        f"{CHECK}/../../../../secret",
        f"{CHECK}/%2e%2e/%2e%2e/secret",
        f"{CHECK}%2f..%2f..%2fsecret",
        f"{CHECK};/secret",
    ],
)
def test_the_exemption_ends_where_the_check_path_ends(requiring: TextNginx, path: str) -> None:
    assert requiring.https(WWW, path).status == 400


def test_slashes_are_merged_before_the_check_path_is_recognised(requiring: TextNginx) -> None:
    assert check_answer(requiring.https(WWW, f"/{CHECK}")).revision == 7


# --- milder modes ----------------------------------------------------------------------------------------------------


def test_optional_refuses_strangers_and_lets_none_pass(leaves: Leaves, tmp_path: Path) -> None:
    with TextNginx(
        tmp_path, render([com(leaves, Mode.OPTIONAL, (WWW,))], 3, TOKEN), HOSTS
    ) as nginx:
        answers = [
            nginx.https(WWW, "/", path_of(leaf)).status
            for leaf in (None, leaves.ours, leaves.next, leaves.stranger)
        ]
        assert answers == [200, 200, 200, 400]
        assert [nginx.http(WWW).status, nginx.http(WWW, **FORGED).status] == [308, 200], (
            "plaintext is closed at Require only"
        )
        assert nginx.https(API, "/", leaves.stranger.path).status == 200


def test_request_asks_and_refuses_nobody(leaves: Leaves, tmp_path: Path) -> None:
    with TextNginx(tmp_path, render([com(leaves, Mode.REQUEST)], 2, TOKEN), HOSTS) as nginx:
        for leaf in (None, leaves.ours, leaves.stranger):
            assert nginx.https(WWW, "/", path_of(leaf)).status == 200
            assert nginx.https(WWW, GATE, path_of(leaf)).status == 204
        assert nginx.http(WWW, **FORGED).status == 200
        assert (
            check_answer(nginx.https(WWW, CHECK, leaves.ours.path)).presented
            == leaves.ours.pin.short
        )


def test_off_asks_nobody_and_answers_on_the_check_path(leaves: Leaves, tmp_path: Path) -> None:
    with TextNginx(tmp_path, render([com(leaves, Mode.OFF)], 1, TOKEN), HOSTS) as nginx:
        assert check_answer(nginx.https(WWW, f"{CHECK}?n=x", leaves.ours.path)) == CheckAnswer(
            1, NONE, https=True, fresh=True, nonce="x"
        )
        assert "verify=NONE" in nginx.https(WWW, "/", leaves.expired.path).body, (
            "nothing is asked for, so nothing can be refused"
        )


def test_a_zone_without_a_pin_refuses_nobody(leaves: Leaves, tmp_path: Path) -> None:
    with TextNginx(
        tmp_path, render([com(leaves, Mode.REQUIRE, (WWW,), pins=())], 2, TOKEN), HOSTS
    ) as nginx:
        assert nginx.https(WWW).status == 200


def test_a_zone_below_another_keeps_its_own_hosts(leaves: Leaves, tmp_path: Path) -> None:
    inner = Claim(
        "uid-sub",
        "edge/sub",
        "sub.example.com",
        ("sub.example.com", "*.sub.example.com"),
        Mode.REQUIRE,
        ("sub.example.com",),
        (leaves.org.pin,),
    )
    with TextNginx(
        tmp_path, render([com(leaves, Mode.REQUIRE, (WWW,)), inner], 2, TOKEN), HOSTS
    ) as nginx:
        assert nginx.https("sub.example.com", "/", leaves.org.path).status == 200
        assert nginx.https("sub.example.com", "/", leaves.ours.path).status == 400
        label = labels([com(leaves, Mode.OFF), inner])
        assert zone_of(nginx.https("a.sub.example.com", CHECK)) == label["sub.example.com"]
        assert zone_of(nginx.https("a.other.example.com", CHECK)) == label["example.com"]


# --- changes ---------------------------------------------------------------------------------------------------------


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def after_a_reload(
    nginx: TextNginx, leaf: LeafFile, version: ssl.TLSVersion, text: dict[str, str]
) -> tuple[bool, CheckAnswer]:
    """What a client with a leaf meets in revision 2 with a session that it made without one: whether it is resumed, and the answer."""
    context = client_context(None)
    context.minimum_version = context.maximum_version = version

    def asked(session: ssl.SSLSession | None) -> tuple[bool, CheckAnswer, ssl.SSLSession | None]:
        with nginx.connection(context, WWW, session) as connection:
            answer = check_answer(ask(connection, WWW, CHECK, {}, close=False))
            return bool(connection.session_reused), answer, connection.session

    _, _, session = asked(None)
    reused, _, session = asked(session)
    assert reused, "sessions are resumed at all, else this proves nothing"
    context.load_cert_chain(leaf.path)
    reused, answer, session = asked(session)
    assert (reused, answer.presented, answer.fresh) == (True, NONE, False), (
        "a resumed session comes with what it was made with"
    )
    nginx.reload(text)
    # An old worker may accept for a little longer, and it would resume.
    ((reused, answer),) = until(
        lambda: [
            (reused, answer) for reused, answer, _ in [asked(session)] if answer.revision == 2
        ],
        within_s=10,
        describe="an answer of a new worker",
    )
    return reused, answer


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("before", "after"),
    [(Mode.OFF, Mode.REQUEST), (Mode.REQUEST, Mode.REQUEST), (Mode.REQUEST, Mode.REQUIRE)],
)
def test_a_new_revision_ends_sessions_that_were_made_without_a_certificate(
    leaves: Leaves, tmp_path: Path, version: ssl.TLSVersion, before: Mode, after: Mode
) -> None:
    """Else they go on without one, on TLS 1.3 for ever, though the client has one by now."""
    with TextNginx(tmp_path, render([com(leaves, before)], 1, TOKEN), HOSTS) as nginx:
        text = render([com(leaves, after, (WWW,) if after is Mode.REQUIRE else ())], 2, TOKEN)
        reused, answer = after_a_reload(nginx, leaves.ours, version, text)
    assert (reused, answer.presented, answer.fresh) == (False, leaves.ours.pin.short, True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("key", "theirs", "fits"),
    [
        (HTTP, "ssl_session_cache shared:THEIRS:1m;", True),
        (SERVER, "ssl_session_cache shared:THEIRS:1m;", False),
        (SERVER, "ssl_session_cache builtin:1000;", True),
        (SERVER, "ssl_session_tickets on;", True),
        (SERVER, "ssl_session_tickets on; ssl_session_ticket_key {folder}/ticket.key;", False),
    ],
)
def test_the_lint_refuses_what_keeps_sessions_out_of_our_reach(
    leaves: Leaves, tmp_path: Path, version: ssl.TLSVersion, key: str, theirs: str, fits: bool
) -> None:
    (tmp_path / "ticket.key").write_bytes(b"k" * 80)
    theirs = theirs.replace("{folder}", str(tmp_path))
    texts = [render([com(leaves, Mode.REQUEST)], revision, TOKEN) for revision in (1, 2)]
    beside = [
        {**text, key: f"{theirs}\n{text[key]}" if key == HTTP else text[key] + theirs}
        for text in texts
    ]
    with TextNginx(tmp_path, beside[0], HOSTS) as nginx:
        reused, answer = after_a_reload(nginx, leaves.ours, version, beside[1])
    assert (reused, answer.presented) == ((False, leaves.ours.pin.short) if fits else (True, NONE))
    assert (objection(theirs, key) is None) is fits


# --- the text of others ---------------------------------------------------------------------------------------------------

FOREIGN = [
    (HTTP, "ssl_ocsp on;", False),
    (HTTP, "ssl_ocsp leaf;", False),
    (SERVER, "ssl_ocsp on;", False),
    (HTTP, "ssl_ocsp off;", True),
    (HTTP, "ssl_ocsp_cache shared:theirs:1m; ssl_ocsp_responder http://127.0.0.1/;", True),
    (HTTP, "server { listen 127.0.0.1:{port} ssl; ssl_ocsp on; }", False),
    (
        HTTP,
        "server { listen 127.0.0.1:{port} ssl; ssl_ocsp on; ssl_verify_client on; ssl_client_certificate {folder}/server.crt; }",
        True,
    ),
    (HTTP, "ssl_verify_client optional_no_ca;", False),
    (SERVER, "ssl_verify_client off;", False),
    (HTTP, "ssl_verify_depth 3;", True),
    (SERVER, "ssl_verify_depth 0;", True),
    (HTTP, "ssl_trusted_certificate {folder}/server.crt;", True),
    (HTTP, "ssl_stapling on; ssl_early_data on; ssl_protocols TLSv1.2 TLSv1.3;", True),
    (HTTP, "satisfy any; allow all;", True),
    (SERVER, "satisfy any; allow all; auth_basic off;", True),
    (HTTP, "recursive_error_pages on; absolute_redirect off; merge_slashes off;", True),
    (SERVER, "rewrite ^ /x last; return 200 past; break;", True),
    (HTTP, "map $http_a $ssl_client_fingerprint { default {pin}; }", False),
    (HTTP, "geo $ssl_client_fingerprint { default {pin}; }", False),
    (HTTP, "map $ssl_client_fingerprint $theirs { default {pin}; }", True),
    (SERVER, "set $ssl_client_fingerprint {pin};", True),
    *(
        (key, f"error_page {code} {to};", False)
        for key in (HTTP, SERVER)
        for code in (308, 495, 496)
        for to in ("@app", "= @app", "=403 @app")
    ),
    *((SERVER, f"error_page {code} = @app;", False) for code in (400, 405, 421, 494, 497, 501)),
    *(
        (SERVER, f"error_page {code} = @page;", True)
        for code in (308, 400, 405, 421, 494, 495, 496, 497, 501)
    ),
    *(
        (SERVER, f"error_page {codes} = @app;", True)
        for codes in ("401 403 404", "413 414", "500 502 503 504 505")
    ),
    *(
        (key, f"error_page 308 400 495 496 497 {to};", True)
        for key in (HTTP, SERVER)
        for to in ("/x", "= /x", "=403 /x", "https://x.example/")
    ),
    (HTTP, "# a note on aop-operator, $aop_zone and ssl_verify_client on;", True),
]
NAMED = 'location @app { return 200 "past"; } location @page { return 403; } location = /x { return 200 "past"; }'


def gets_past(nginx: TextNginx, leaves: Leaves) -> bool:
    """Whether anything that comes without our certificate, or in plaintext, is answered by what lies behind."""
    strange = [
        b"GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: www.example.com\r\nHost: www.example.com\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: elsewhere.example.net\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: theirs\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: www.example.com\r\nX: " + b"x" * 40000 + b"\r\n\r\n",
        b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/3.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n",
    ]
    answers = [nginx.raw(request, tls=WWW) for request in strange]
    answers += [nginx.raw(strange[0]), nginx.raw(strange[0], port=nginx.https_port)]
    answers += [nginx.https(WWW, "/", leaf.path).body for leaf in (leaves.stranger, leaves.expired)]
    return any("past" in answer or "app verify" in answer for answer in answers)


@pytest.mark.parametrize(("key", "theirs", "fits"), FOREIGN)
def test_the_lint_refuses_exactly_what_fails_beside_ours_or_lets_a_stranger_past(
    leaves: Leaves, tmp_path: Path, key: str, theirs: str, fits: bool
) -> None:
    theirs = (
        theirs.replace("{folder}", str(tmp_path))
        .replace("{port}", str(free_port()))
        .replace("{pin}", leaves.ours.pin.sha1)
    )
    foreign = {HTTP: "", SERVER: NAMED} | {key: theirs if key == HTTP else f"{NAMED}\n{theirs}"}
    text = render([com(leaves, Mode.REQUIRE, (WWW,), (leaves.ours.pin,))], 3, TOKEN)
    nginx = TextNginx(
        tmp_path,
        {HTTP: f"{foreign[HTTP]}\n{text[HTTP]}", SERVER: f"{text[SERVER]}{foreign[SERVER]}"},
        HOSTS,
    )
    pages = pages_in(["location @page { return 403; }"])
    assert (objection(theirs, key, pages=pages) is None) is fits
    if nginx.tested():
        assert not fits, nginx.tested()
        return
    with nginx:
        serves = (
            nginx.https(WWW, GATE, leaves.ours.path).status == 204
            and nginx.https(OUTSIDE, GATE).status == 204
        )
        assert (serves and not gets_past(nginx, leaves)) is fits


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", sorted(REFORMATTED))
def test_a_text_that_reads_as_intact_does_what_it_did(
    leaves: Leaves, tmp_path: Path, change: str
) -> None:
    text = {
        key: REFORMATTED[change](block).rstrip("\r\n")
        for key, block in render([com(leaves, Mode.REQUIRE, (WWW,))], 3, TOKEN).items()
    }
    with TextNginx(tmp_path, text, HOSTS) as nginx:
        assert [
            nginx.https(WWW, "/", path_of(leaf)).status
            for leaf in (None, leaves.ours, leaves.stranger)
        ] == [400, 200, 400]
        assert check_answer(nginx.https(WWW, f"{CHECK}?n=x", leaves.ours.path)) == CheckAnswer(
            3, leaves.ours.pin.short, https=True, fresh=True, nonce="x"
        )
        assert (
            nginx.https(WWW, GATE).status,
            nginx.https(WWW, GATE, leaves.ours.path).status,
            nginx.http(WWW).status,
        ) == (400, 204, 308)


THEIRS = {
    HTTP: "map $http_a $theirs {\n    default 1;\n}\n",
    SERVER: "location /theirs {\n    return 200;\n}\n",
}


@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_what_is_written_over_a_damaged_text_passes_the_syntax_test(
    leaves: Leaves, tmp_path: Path, fault: str
) -> None:
    wanted = [com(leaves, Mode.REQUIRE, (WWW,)), org(leaves, Mode.REQUEST)]
    body: dict[str, Any] = {
        "metadata": {"namespace": "ingress-nginx", "name": "controller"},
        "data": THEIRS,
    }
    for one in wanted:
        body = publish(body, one, foreign=ForeignText.MERGE, token_if_new=TOKEN)
    blocks = {key: body["data"][key].replace(THEIRS[key], "") for key in THEIRS}
    body["data"] = {
        HTTP: THEIRS[HTTP] + BROKEN[fault](blocks[HTTP]),
        SERVER: BROKEN[fault](blocks[SERVER]) + THEIRS[SERVER],
    }
    for number, one in enumerate((com(leaves, Mode.REQUEST), *wanted)):
        body = publish(body, one, foreign=ForeignText.MERGE, token_if_new=TOKEN)
        assert not TextNginx(tmp_path / str(number), body["data"], HOSTS).tested()
        assert all(text in body["data"][key] for key, text in THEIRS.items())


# --- nginx -t --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [(), (HTTP,), (SERVER,), (HTTP, SERVER)])
@pytest.mark.parametrize("mode", list(Mode))
def test_each_key_passes_the_syntax_test_without_the_other(
    leaves: Leaves, tmp_path: Path, kept: tuple[str, ...], mode: Mode
) -> None:
    enforced = (WWW,) if mode >= Mode.OPTIONAL else ()
    text = render([com(leaves, mode, enforced), org(leaves, Mode.REQUEST)], 4, TOKEN)
    assert not TextNginx(tmp_path, {key: text[key] for key in kept}, HOSTS).tested()


def test_server_snippet_alone_serves_everybody_and_tells_no_zone(
    leaves: Leaves, tmp_path: Path
) -> None:
    text = render([com(leaves, Mode.REQUIRE, (WWW,))], 4, TOKEN)
    with TextNginx(tmp_path, {SERVER: text[SERVER]}, HOSTS) as nginx:
        assert nginx.https(WWW).status == 200
        assert parse(nginx.https(WWW, CHECK).body) is None


REPLICA = Controller(ObjectKey("ingress-nginx", "one"), "uid-one", ready=True, ip="192.0.2.1")
LONG = f"{'l' * 50}.example.com"
DOUBLED = "both keys twice"


@pytest.mark.parametrize(
    ("theirs", "words", "ours"),
    [
        ({"http": DOUBLED}, '"ssl_verify_client" directive is duplicate', True),
        (
            {"enforced": LONG},
            "could not build map_hash, you should increase map_hash_bucket_size: 64",
            True,
        ),
        ({"built_in": "gzipp on;"}, 'unknown directive "gzipp"', False),
        ({"http": "gzipp on;"}, 'unknown directive "gzipp"', False),
        ({"http": "gzip on"}, 'directive "gzip" is not terminated by ";"', False),
        ({"http": "server {"}, '"map" directive is not allowed here', False),
        (
            {"http": f"map $host $theirs {{ {LONG} 1; }}"},
            "could not build map_hash, you should increase map_hash_bucket_size: 64",
            False,
        ),
        ({"http": "ssl_verify_client on;"}, '"ssl_verify_client" directive is duplicate', False),
        (
            {"http": "ssl_ocsp on;"},
            '"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"',
            False,
        ),
        (
            {"ingress": "ssl_ocsp on;"},
            '"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"',
            False,
        ),
        (
            {"ingress": "ssl_verify_client on; ssl_verify_client on;"},
            '"ssl_verify_client" directive is duplicate',
            False,
        ),
        (
            {"ingress": "ssl_session_cache shared:AOP_00000001:1m;"},
            "the size 1048576 of shared memory zone",
            False,
        ),
        ({"ingress": "add_header X $aop_theirs;"}, 'unknown "aop_theirs" variable', False),
        (
            {"ingress": "ssl_client_certificate /nowhere.pem;"},
            'cannot load certificate "/nowhere.pem"',
            False,
        ),
    ],
)
def test_nginxs_own_words_tell_whose_fault_it_is(
    leaves: Leaves, tmp_path: Path, theirs: dict[str, str], words: str, ours: bool
) -> None:
    claim = com(leaves, Mode.REQUIRE, (theirs.get("enforced", WWW),))
    body = publish({"metadata": {}}, claim, foreign=ForeignText.MERGE, token_if_new=TOKEN)
    if theirs.get("http") == DOUBLED:
        body["data"] = {key: text * 2 for key, text in body["data"].items()}
    else:
        body["data"][HTTP] = f"{theirs.get('http', '')}\n{body['data'][HTTP]}"
    nginx = TextNginx(
        tmp_path,
        body["data"],
        HOSTS,
        built_in=theirs.get("built_in", LOGGABLE),
        ingress=theirs.get("ingress", ""),
    )
    event = {
        "involvedObject": {"uid": REPLICA.uid},
        "type": "Warning",
        "reason": "RELOAD",
        "lastTimestamp": NOW.isoformat(),
    }
    rejection = rejected_by(
        [{**event, "message": nginx.tested()}], REPLICA, since=NOW, stored=read(body)
    )
    assert rejection is not None
    assert rejection.words.startswith(words)
    assert str(tmp_path) not in rejection.words
    assert rejection.ours is ours


def padded(length: int) -> str:
    """A concrete host of exactly `length` characters, with labels of at most 50."""
    rest = length - len(".example.com")
    return "a" * min(rest, 50) + ("." + "b" * (rest - 51) if rest > 51 else "") + ".example.com"


CONCRETE = [
    (64, padded(46), True),
    (64, padded(47), False),
    (128, padded(110), True),
    (128, padded(111), False),
    (100, padded(110), True),  # nginx rounds a bucket up to whole cache lines
]
WILDCARDS = [
    (64, f"*.{'l' * 46}.example.com", True),
    (64, f"*.{'l' * 47}.example.com", False),
    (128, f"*.{'l' * 63}.example.com", True),
]


@pytest.mark.parametrize(("bucket", "name", "fits"), [*CONCRETE, *WILDCARDS])
def test_too_long_draws_the_line_for_patterns_exactly_where_nginx_does(
    tmp_path: Path, bucket: int, name: str, fits: bool
) -> None:
    draws_the_line(
        TextNginx(
            tmp_path,
            render([Claim("u", "edge/x", "example.com", (name,), Mode.REQUEST)], 2, TOKEN),
            bucket=bucket,
        ),
        name,
        fits,
    )


@pytest.mark.parametrize(("bucket", "name", "fits"), CONCRETE)
def test_too_long_draws_the_line_for_required_hosts_exactly_where_nginx_does(
    leaves: Leaves, tmp_path: Path, bucket: int, name: str, fits: bool
) -> None:
    draws_the_line(
        TextNginx(tmp_path, render([com(leaves, Mode.REQUIRE, (name,))], 2, TOKEN), bucket=bucket),
        name,
        fits,
    )


def draws_the_line(nginx: TextNginx, name: str, fits: bool) -> None:
    output = nginx.tested()
    assert (too_long([name], nginx.bucket) == ()) is fits
    assert (output == "") is fits, output
    assert fits or "could not build" in output


def test_many_hosts_fit(leaves: Leaves, tmp_path: Path) -> None:
    hosts = tuple(sorted(f"host-{number}.example.com" for number in range(3000)))
    assert not TextNginx(tmp_path, render([com(leaves, Mode.REQUIRE, hosts)], 2, TOKEN)).tested()

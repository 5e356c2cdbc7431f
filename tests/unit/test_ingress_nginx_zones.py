"""What all claims together mean for a host, what the check path answers, and which names fit nginx's hash buckets."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.origins.check import NO_ZONE, NONE, OTHER, check_path, gate_path, parse
from aop.origins.ingress_nginx.text import SERVER, render
from aop.origins.nginx import answer, too_long
from aop.origins.zones import (
    ClaimPolicy,
    labels,
    pins_by_zone,
    strictness,
    zones_by_name,
)
from aop.terms import Claim, Mode, covers, is_host
from builders import APEX, LEAF, NEXT, OFF, REQUIRING, WWW, claim
from strategies import claims

TOKEN = "k3y0fth3path"
SUB = replace(
    REQUIRING,
    uid="sub",
    zone="shop.example.com",
    patterns=("shop.example.com", "*.shop.example.com"),
    enforced=("shop.example.com",),
)


# --- hosts and zones -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "example.com",
        "*.example.com",
        "_dmarc.example.com",
        "xn--bcher-kva.example",
        "a.b.c.d.example.com",
        "1.example.com",
    ],
)
def test_names_that_may_stand_in_a_map(name: str) -> None:
    assert is_host(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "com",
        "*",
        "*.com.",
        ".example.com",
        "a..b.com",
        "-a.com",
        "a-.com",
        "A.com",
        "a.*.com",
        "a.com;",
        "a b.com",
        f"{'a' * 64}.com",
    ],
)
def test_names_that_may_not(name: str) -> None:
    assert not is_host(name)


def test_of_two_zones_the_more_specific_has_the_host() -> None:
    """As at Cloudflare: a zone for a subdomain takes its names out of the parent's."""
    both = (REQUIRING, SUB)
    assert zones_by_name(both) == {
        APEX: APEX,
        f"*.{APEX}": APEX,
        "shop.example.com": "shop.example.com",
        "*.shop.example.com": "shop.example.com",
    }
    wide = replace(REQUIRING, enforced=("shop.example.com",))
    assert strictness((wide, replace(SUB, mode=Mode.REQUEST, enforced=()))) == {}


@given(st.lists(claims(), min_size=1, max_size=4), st.data())
def test_what_one_claim_gives_up_makes_no_host_stricter(
    published: list[Claim], data: st.DataObject
) -> None:
    """Also not by leaving its hosts to the zone above, whose leaf the edge does not present there."""
    at = data.draw(st.integers(0, len(published) - 1))
    mode = data.draw(st.sampled_from([mode for mode in Mode if mode <= published[at].mode]))
    milder = replace(
        published[at], mode=mode, enforced=published[at].enforced if mode >= Mode.OPTIONAL else ()
    )
    before, after = (
        strictness(published),
        strictness([*published[:at], milder, *published[at + 1 :]]),
    )
    assert all(mode <= before.get(host, Mode.OFF) for host, mode in after.items())


def test_within_a_zone_the_mildest_has_the_host_and_leaves_of_both_pass() -> None:
    """Two objects of one zone: one was removed past its finalizer and made again.

    Whoever is still there can relax.
    """
    again = replace(claim(Mode.OPTIONAL, (APEX,), (NEXT,)), uid="again")
    assert strictness((REQUIRING, again)) == {APEX: Mode.OPTIONAL}
    assert pins_by_zone((REQUIRING, again))[APEX] == tuple(sorted((LEAF, NEXT)))
    assert strictness((REQUIRING, replace(OFF, uid="again"))) == {}


def test_a_zone_without_a_pin_refuses_nobody() -> None:
    assert strictness((claim(pins=()),)) == {}


def test_off_leaves_no_trace_of_a_host() -> None:
    assert zones_by_name((OFF,)) == {}


@given(st.lists(claims(), max_size=4))
def test_no_host_is_stricter_than_each_claim_of_its_zone_asks(published: list[Claim]) -> None:
    for host, mode in strictness(published).items():
        assert mode >= Mode.OPTIONAL
        asking = [one for one in published if host in one.enforced]
        assert asking
        assert mode <= max(one.mode for one in asking)
        assert all(
            one.mode >= mode
            for one in published
            if one.zone == max((a.zone for a in asking), key=len)
            and any(covers(pattern, host) for pattern in one.patterns)
        )


@given(st.lists(claims(), max_size=4))
def test_labels_are_short_different_and_the_zones_own(published: list[Claim]) -> None:
    zone_labels = labels(published)
    assert (
        len(set(zone_labels.values())) == len(zone_labels) == len({one.zone for one in published})
    )
    assert all(len(label) == 5 and label.isalnum() for label in zone_labels.values())
    assert (
        labels([one for one in published if one.zone == APEX]).items() <= zone_labels.items()
        or APEX not in zone_labels
    )


# --- the check path --------------------------------------------------------------------------------------------------------------------


def answered(**variables: str) -> str:
    """The check path's answer as nginx evaluates it."""
    line = answer(7).replace(r"\n", "\n")
    defaults = {
        "aop_zone": "zabcd",
        "aop_presented": NONE,
        "https": "on",
        "connection_requests": "1",
        "ssl_session_reused": ".",
        "aop_nonce": "n0nce",
    }
    for name, value in sorted((defaults | variables).items(), key=lambda item: -len(item[0])):
        line = line.replace(f"${name}", value)
    return line


def test_what_nginx_says_is_read() -> None:
    check = parse(answered(aop_presented=LEAF.short).encode())
    assert check is not None
    assert (check.revision, check.presented, check.https, check.fresh, check.nonce) == (
        7,
        LEAF.short,
        True,
        True,
        "n0nce",
    )


@pytest.mark.parametrize(
    ("variables", "fresh"),
    [
        ({}, True),
        ({"connection_requests": "2"}, False),
        ({"ssl_session_reused": "r"}, False),
        ({"ssl_session_reused": ""}, True),
    ],
)
def test_a_request_is_fresh_when_its_connection_and_its_session_are_new(
    variables: dict[str, str], fresh: bool
) -> None:
    check = parse(answered(**variables))
    assert check is not None
    assert check.fresh is fresh


@pytest.mark.parametrize("presented", [NONE, OTHER, LEAF.short])
def test_what_was_presented_is_a_leaf_or_one_of_two_words(presented: str) -> None:
    check = parse(answered(aop_presented=presented))
    assert check is not None
    assert check.presented == presented


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>not found</html>",
        answered().rstrip("\n"),
        answered() + "more",
        " " + answered(),
        answered(aop_zone=""),
        answered(aop_zone="toolong"),
        answered(aop_presented=""),
        answered(aop_presented="0123456789"),
        answered(https="off"),
        answered(connection_requests="0"),
        answered(aop_nonce="a b"),
        answered(aop_nonce="x presented=none"),
        answered(aop_nonce="x" * 65),
        answered().replace("rev=00000007", "rev=00000000"),
        answered().replace("rev=00000007", "rev="),
        answered().replace("rev=00000007", "rev=-0000007"),
        b"\xff\xfe",
    ],
)
def test_anything_else_is_no_answer(body: str | bytes) -> None:
    """Anybody can make the server say anything behind `nonce=`; nothing of it may pass for an answer."""
    assert parse(body) is None


@given(st.text(max_size=80))
def test_no_nonce_passes_for_another_answer(nonce: str) -> None:
    check = parse(answered(aop_presented=OTHER, aop_nonce=nonce))
    assert check is None or (check.nonce, check.presented) == (nonce, OTHER)


def test_a_host_of_no_zone_is_told_as_such() -> None:
    check = parse(answered(aop_zone=NO_ZONE, https=""))
    assert check is not None
    assert not check.https


def test_both_paths_are_in_the_text_and_differ() -> None:
    text = render([OFF], 1, TOKEN)[SERVER]
    assert f'if ($uri = "{check_path(TOKEN)}") {{' in text
    assert f'if ($uri = "{gate_path(TOKEN)}") {{' in text
    assert check_path(TOKEN) != gate_path(TOKEN)


@given(st.lists(claims(), max_size=3))
def test_the_text_has_no_location_that_could_collide_with_somebodys(published: list[Claim]) -> None:
    assert not [
        line
        for block in render(published, 1, TOKEN).values()
        for line in block.splitlines()
        if line.split()[0] == "location"
    ]


# --- hash buckets ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "bucket", "fits"),
    [
        (f"{'a' * 34}.example.com", 64, True),
        (f"{'a' * 35}.example.com", 64, False),
        (f"{'a' * 60}.example.com", 128, True),
        (f"{'a' * 63}.{'b' * 40}.example.com", 128, False),
        (f"{'a' * 34}.example.com", 1, True),
        (f"{'a' * 34}.example.com", 65, True),
        (f"*.{'a' * 46}.{'b' * 46}.com", 64, True),
        (f"*.{'a' * 47}.com", 64, False),
    ],
)
def test_a_name_fits_a_bucket_or_fails_the_configuration_of_all(
    host: str, bucket: int, fits: bool
) -> None:
    """Of a wildcard nginx stores label by label; the integration test lets a real nginx decide on the same border."""
    assert too_long([host, WWW], bucket) == (() if fits else (host,))


def test_a_zone_under_another_has_its_own_hosts() -> None:
    upper = Claim("a", "edge/a", "example.com", ("example.com", "*.example.com"), Mode.REQUEST)
    lower = Claim(
        "b", "edge/b", "sub.example.com", ("sub.example.com", "*.sub.example.com"), Mode.REQUEST
    )
    hosts = {"www.example.com", "sub.example.com", "a.sub.example.com"}
    assert ClaimPolicy([upper, lower]).hosts_of("example.com", hosts) == {"www.example.com"}
    assert ClaimPolicy([upper, lower]).hosts_of("sub.example.com", hosts) == {
        "sub.example.com",
        "a.sub.example.com",
    }
    assert ClaimPolicy([upper]).hosts_of("example.com", hosts) == hosts

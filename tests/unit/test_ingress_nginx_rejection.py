"""Whose fault it is that a controller does not take the configuration, by nginx's own words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aop.origins.ingress_nginx.publishing import publish
from aop.origins.ingress_nginx.rejection import rejected_by
from aop.origins.ingress_nginx.replicas import Controller
from aop.origins.ingress_nginx.spec import ForeignText
from aop.origins.ingress_nginx.stored import ControllerConfigMap, read
from aop.origins.ingress_nginx.text import HTTP
from aop.origins.sites import Rejection
from aop.terms import Claim, ObjectKey
from builders import NOW, REQUIRING

REPLICA = Controller(ObjectKey("ingress-nginx", "one"), "uid-one", ready=True, ip="192.0.2.1")
EMPTY: dict[str, Any] = {"metadata": {"namespace": "ingress-nginx", "name": "controller"}}
ENDS = " in /tmp/nginx/nginx-cfg3481927634:712\nnginx: configuration file /tmp/nginx/nginx-cfg3481927634 test failed"


def emerg(words: str) -> str:
    """What the controller says, as its Event has it."""
    return f"Error reloading NGINX: \n---\nError: exit status 1\n2026/03/01 12:00:00 [emerg] 25#25: {words}{ENDS}"


def event(
    words: str = 'unknown directive "x"', *, after_s: float = 0, **more: Any
) -> dict[str, Any]:
    about = {
        "involvedObject": {"uid": REPLICA.uid},
        "type": "Warning",
        "reason": "RELOAD",
        "message": emerg(words),
    }
    return about | {"lastTimestamp": (NOW + timedelta(seconds=after_s)).isoformat()} | more


def stored(
    claim: Claim = REQUIRING, *, theirs: str = "", twice: bool = False
) -> ControllerConfigMap:
    """A ConfigMap with our text, and with somebody's before it."""
    body = publish(EMPTY, claim, foreign=ForeignText.MERGE, token_if_new="k3y0fth3path")
    body["data"][HTTP] = theirs + body["data"][HTTP]
    if twice:
        body["data"] = {key: text * 2 for key, text in body["data"].items()}
    return read(body)


def rejection_for(words: str, config_map: ControllerConfigMap | None = None) -> Rejection:
    rejection = rejected_by([event(words)], REPLICA, since=NOW, stored=config_map or stored())
    assert rejection is not None
    return rejection


# --- which Event --------------------------------------------------------------------------------------------------------------------


def test_a_rejection_is_told_in_nginxs_own_words_without_the_name_of_a_file_that_is_new_each_time() -> (
    None
):
    assert rejection_for('unknown directive "x"').words == 'unknown directive "x"'


@pytest.mark.parametrize(
    "other",
    [
        event(message="worker reload already in progress, requeuing reload"),
        event(type="Normal"),
        event(reason="SYNC"),
        event(involvedObject={"uid": "another"}),
        event(after_s=-1.5),
        event(lastTimestamp=None),
    ],
    ids=[
        "not a text's fault",
        "a success",
        "another reason",
        "another pod",
        "before the text",
        "without a time",
    ],
)
def test_anything_else_is_no_rejection(other: dict[str, Any]) -> None:
    assert rejected_by([other], REPLICA, since=NOW, stored=stored()) is None


def test_an_event_of_the_same_second_counts() -> None:
    """Events carry whole seconds, our own clock does not."""
    assert (
        rejected_by(
            [event()], REPLICA, since=NOW + timedelta(microseconds=900_000), stored=stored()
        )
        is not None
    )


def test_the_newest_event_has_the_word_and_a_series_tells_its_last_time() -> None:
    older, newer = event(after_s=5), event("a duplicate", after_s=9)
    assert rejected_by([newer, older], REPLICA, since=NOW, stored=stored()) == Rejection(
        "a duplicate", ours=False
    )
    series = event(
        after_s=-60, series={"lastObservedTime": (NOW + timedelta(seconds=30)).isoformat()}
    )
    assert rejected_by([series], REPLICA, since=NOW, stored=stored()) is not None
    assert rejected_by([], REPLICA, since=NOW, stored=stored()) is None


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("\x1b[31mred\x1b[0m\x07", "[31mred [0m"),
        ("a\tb\x00c\N{RIGHT-TO-LEFT OVERRIDE}d", "a b c d"),
        ("x" * 400, "x" * 299 + "…"),
        ("", ""),
        ("one\ntwo", "one"),
        ("one\rtwo", "one two"),
    ],
)
def test_words_from_outside_are_one_printable_line(words: str, shown: str) -> None:
    """Ingresses are quoted in them, so anybody may write there."""
    event_of = event(message=f"[emerg] 1#1: {words}")
    rejection = rejected_by([event_of], REPLICA, since=NOW, stored=stored())
    assert rejection is not None
    assert rejection.words == shown


# --- whose fault --------------------------------------------------------------------------------------------------------------------

LONG = f"{'a' * 50}.example.com"
TOO_LONG = "could not build map_hash, you should increase map_hash_bucket_size: 64"
DUPLICATE = '"ssl_verify_client" directive is duplicate'


@pytest.mark.parametrize(
    ("words", "config_map"),
    [
        ('unknown "aop_action" variable', stored()),
        ('the duplicate "aop_zone" variable', stored()),
        ('session cache "shared:AOP_00000001:10m" is too small', stored()),
        (TOO_LONG, stored(replace(REQUIRING, patterns=(LONG,)))),
        (TOO_LONG, stored(replace(REQUIRING, enforced=(LONG,)))),
        (
            TOO_LONG.replace("build map", "build the map"),
            stored(replace(REQUIRING, enforced=(LONG,))),
        ),
        (DUPLICATE, stored(twice=True)),
    ],
)
def test_words_that_name_something_of_ours_are_a_rejection_of_ours(
    words: str, config_map: ControllerConfigMap
) -> None:
    assert rejection_for(words, config_map).ours


@pytest.mark.parametrize(
    ("words", "config_map"),
    [
        ('unknown directive "gzipp"', stored()),
        ('directive "gzip" is not terminated by ";"', stored(theirs="gzip on\n")),
        ('unknown "theirs" variable', stored()),
        ('unknown "aop_theirs" variable', stored()),
        ('conflicting parameter "www.example.com"', stored()),
        ('"map" directive is not allowed here', stored(theirs="server {\n")),
        (TOO_LONG, stored()),
        (TOO_LONG.replace("64", "128"), stored(replace(REQUIRING, enforced=(LONG,)))),
        (TOO_LONG, stored(theirs=f"map $host $theirs {{\n  {LONG} 1;\n}}\n")),
        (DUPLICATE, stored()),
        (DUPLICATE, stored(theirs="ssl_verify_client on;\n")),
        (DUPLICATE, stored(theirs="ssl_verify_client optional_no_ca;\ngzip on;\n")),
        (DUPLICATE, read(None)),
        (
            '"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"',
            stored(theirs="ssl_ocsp on;\n"),
        ),
        ('"ssl_ocsp" is incompatible with "ssl_verify_client optional_no_ca"', stored()),
        ("no ssl_client_certificate for ssl_verify_client", stored()),
        ('session cache "shared:SSL:1k" is too small', stored()),
        ('session cache "shared:AOP_00000001:1k" is too small', stored()),
        (
            'the size 10485760 of shared memory zone "AOP_00000001" conflicts with already declared size 1048576',
            stored(),
        ),
        ('duplicate location "/.well-known/aop-operator/k3y0fth3path/check.txt"', stored()),
        (
            "could not build server_names_hash, you should increase server_names_hash_bucket_size: 64",
            stored(),
        ),
    ],
)
def test_all_other_words_are_somebody_elses_fault(
    words: str, config_map: ControllerConfigMap
) -> None:
    """Also those that could mean either: whoever may create an Ingress must not be able to open a zone with a mistake."""
    assert not rejection_for(words, config_map).ours

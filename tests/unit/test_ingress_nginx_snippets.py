"""Our block among the text of others, whatever has happened to either: a write replaces all that is ours, and not a byte more."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aop.errors import Blocked, Reason
from aop.origins.ingress_nginx.publishing import publish, withdraw
from aop.origins.ingress_nginx.snippets import Writer, take_apart
from aop.origins.ingress_nginx.spec import ForeignText
from aop.origins.ingress_nginx.stored import read
from aop.origins.ingress_nginx.text import END, HTTP, KEYS, SERVER, render
from aop.terms import Claim, Mode
from aop.terms.names import FIELD_MANAGER
from builders import APEX, NOW, OFF, REQUIRING, UID, WWW, claim
from strategies import BROKEN, REFORMATTED, claims, foreign_texts

TOKEN = "k3y0fth3path"
EMPTY: dict[str, Any] = {"metadata": {"namespace": "ingress-nginx", "name": "controller"}}
ASKED = replace(
    claim(Mode.REQUEST, ()),
    uid="other",
    owner="shop/example-org",
    zone="example.org",
    patterns=("example.org",),
)
COMPLETE = foreign_texts.map(lambda text: text if text.endswith("\n") or not text else f"{text}\n")
MARKERS = ("# BEGIN aop-operator", "# END aop-operator")


def published(body: dict[str, Any], *wanted: Claim) -> dict[str, Any]:
    for one in wanted:
        body = publish(body, one, foreign=ForeignText.MERGE, token_if_new=TOKEN)
    return body


def holding(body: dict[str, Any], **texts: str) -> dict[str, Any]:
    """The same ConfigMap with other texts in its keys, `http` and `server`."""
    return body | {
        "data": body.get("data", {}) | {f"{name}-snippet": text for name, text in texts.items()}
    }


def arranged(key: str, theirs: str, ours: str, behind: str) -> str:
    """A key as we write it, and more text of theirs on the other side."""
    return theirs + ours + behind if key == HTTP else behind + ours + theirs


def is_whole(body: dict[str, Any]) -> bool:
    return read(body).intact and all(
        len(re.findall(rf"{marker}\b", body["data"][key])) == 1
        for key in KEYS
        for marker in MARKERS
    )


# --- what says the same ------------------------------------------------------------------------------------------------------------


@given(
    st.lists(claims(), min_size=1, max_size=3),
    COMPLETE,
    st.lists(st.sampled_from(sorted(REFORMATTED)), max_size=3, unique=True),
    st.booleans(),
)
def test_a_text_that_says_the_same_to_nginx_is_intact(
    wanted: list[Claim], theirs: str, changes: list[str], stripped: bool
) -> None:
    body = published({**EMPTY, "data": dict.fromkeys(KEYS, theirs)}, *wanted)
    blocks = render(read(body).claims.values(), len(wanted), TOKEN)
    for name in changes:
        blocks = {key: REFORMATTED[name](block) for key, block in blocks.items()}
    stripped = stripped and not theirs
    texts = {
        key: arranged(key, theirs, block.strip() if stripped else block, "")
        for key, block in blocks.items()
    }
    stored = read(body | {"data": texts})
    assert stored.intact
    assert not stored.misplaced
    assert stored.claims == stored.standing == read(body).claims
    # Blank lines that somebody has put behind our last marker are theirs.
    left = {key: stored.snippets[key].foreign.strip() for key in KEYS}
    assert left == dict.fromkeys(KEYS, theirs.strip())


@pytest.mark.parametrize("key", KEYS)
def test_whatever_else_is_changed_in_it_matters(key: str) -> None:
    body = published(EMPTY, REQUIRING)
    lines = body["data"][key].splitlines(keepends=True)
    for at, line in enumerate(lines):
        for other in (
            "",
            line + line,
            line.replace(" ", "\N{NO-BREAK SPACE}", 1),
            line.replace("\n", "\r"),
            f"#{line}",
        ):
            if other in {line, lines[-1].replace("\n", "\r")}:
                continue  # there is no blank to replace; or it is the last line, whose end may be any
            changed = {**body["data"], key: "".join([*lines[:at], other, *lines[at + 1 :]])}
            assert not read(body | {"data": changed}).intact, (at, other)


# --- what is ours, and what is not ----------------------------------------------------------------------------------------------------


@given(
    st.lists(claims(), min_size=1, max_size=3),
    COMPLETE,
    COMPLETE,
    st.sampled_from(sorted(BROKEN)),
    st.lists(st.sampled_from(sorted(REFORMATTED)), max_size=2, unique=True),
    claims(),
)
def test_a_write_replaces_all_that_is_ours_and_keeps_every_byte_that_is_not(
    wanted: list[Claim], theirs: str, behind: str, fault: str, changes: list[str], following: Claim
) -> None:
    body = published(EMPTY, *wanted)
    standing = read(body).claims
    blocks = {key: BROKEN[fault](block) for key, block in body["data"].items()}
    for name in changes:
        blocks = {key: REFORMATTED[name](block) for key, block in blocks.items()}
    body = body | {
        "data": {key: arranged(key, theirs, block, behind) for key, block in blocks.items()}
    }
    stored = read(body)
    assert not stored.intact
    assert stored.residue
    assert stored.standing == standing, "what it may still do"
    assert {one.mode for one in stored.claims.values()} == {Mode.OFF}, "what may be counted on"
    kept = {HTTP: theirs + behind, SERVER: behind + theirs}
    assert {key: stored.snippets[key].foreign for key in KEYS} == kept
    again = published(body, following)
    assert is_whole(again)
    assert {key: read(again).snippets[key].foreign for key in KEYS} == kept
    assert published(again, following)["data"][HTTP].count("map ") == again["data"][HTTP].count(
        "map "
    ), "nothing piles up"
    without = again
    for uid in list(read(again).entries):
        without = withdraw(without, uid)
    assert without.get("data", {}) == {key: text for key, text in kept.items() if text}


@given(st.lists(claims(), min_size=1, max_size=3), COMPLETE, st.sampled_from(KEYS), st.data())
def test_a_block_that_was_cut_off_is_recognised_by_what_is_left_of_it(
    wanted: list[Claim], theirs: str, key: str, data: st.DataObject
) -> None:
    body = published(EMPTY, *wanted)
    block = body["data"][key]
    at = data.draw(st.integers(len(MARKERS[0]), len(block) - len(END)))
    front = data.draw(st.booleans())
    text = theirs + (block[at:].lstrip() if front else block[:at])
    stored = read(body | {"data": {**body["data"], key: text}})
    assert stored.snippets[key].foreign == theirs
    assert is_whole(published(body | {"data": {**body["data"], key: text}}, *wanted))


@pytest.mark.parametrize(
    "theirs",
    [
        "gzip on;\n",
        "# a note on aop-operator\n",
        "log_format x '$host';\n",
        "map $host $theirs {\n  hostnames;\n  default 1;\n}\n",
        "if ($request_method = PUT) {\n  return 405;\n}\n",
        "set $loggable 0;\n",
        "return 204;\n",
    ],
)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("lost", range(2))
def test_a_lost_marker_makes_nothing_of_theirs_ours(key: str, theirs: str, lost: int) -> None:
    body = published(EMPTY, REQUIRING, ASKED)
    lines = body["data"][key].splitlines(keepends=True)
    del lines[-lost]
    text = theirs + "".join(lines) + theirs
    assert (
        read(holding(body, **{key.partition("-")[0]: text})).snippets[key].foreign
        == theirs + theirs
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("add_header X $aop_zone;\ngzip on;\n", "gzip on;\n"),
        (
            "server {\n  listen 8080;\n  add_header X ${aop_zone};\n}\n",
            "server {\n  listen 8080;\n}\n",
        ),
        ("ssl_session_cache shared:AOP_00000007:10m;\n", ""),
        ("ssl_session_cache shared:THEIRS:10m;\n", "ssl_session_cache shared:THEIRS:10m;\n"),
        ('location = /.well-known/aop-operator/abc/check {\n  return 200 "aop rev=7";\n}\n', ""),
        ('if ($request_method = "") {\n  set $aop_zone "";\n}\n', ""),
        ("ssl_verify_client optional_no_ca;\n", "ssl_verify_client optional_no_ca;\n"),
        ("gzip on; set $aop_nonce x; gzip off;\n", "gzip on;  gzip off;\n"),
        ("# END aop-operator\n", ""),
        ("# BEGIN aop-operator\ngzip on;\n", "gzip on;\n"),
        ("# BEGIN aop-operator\ngzip on;\n# END aop-operator\n", ""),
    ],
)
def test_what_names_us_is_ours_without_any_marker(text: str, kept: str) -> None:
    assert take_apart({"data": {HTTP: text}}, {}, newline_added=False)[HTTP].foreign == kept


def test_a_block_whose_line_ends_became_blanks_is_replaced_as_a_whole() -> None:
    """What a folded scalar in YAML makes of it: one long comment, that refuses nobody any more."""
    body = published(EMPTY, REQUIRING)
    texts = {
        key: "gzip on;\n" + text.replace("\n", " ").strip() + " gzip off;\n"
        for key, text in body["data"].items()
    }
    stored = read(body | {"data": texts})
    assert [stored.snippets[key].foreign for key in KEYS] == ["gzip on;\n gzip off;\n"] * 2
    assert is_whole(published(body | {"data": texts}, REQUIRING))


PIECES = [
    "# BEGIN aop-operator",
    "# END aop-operator",
    "map $host $aop_",
    "set ${aop_x} 1",
    *" \n;{}\"'\\#$a",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.sampled_from(KEYS))
def test_whatever_is_written_there_a_write_reads_back(text: str, key: str) -> None:
    body = holding(published(EMPTY, REQUIRING), **{key.partition("-")[0]: text})
    again = published(body, OFF)
    assert is_whole(again)
    assert not read(withdraw(again, UID)).residue


def test_what_would_not_read_back_is_refused_once_instead_of_written_for_ever() -> None:
    no_claim = replace(ASKED, enforced=("www.example.org",))
    with pytest.raises(Blocked, match=r"ingress-nginx/controller .* it writes nothing") as caught:
        published(published(EMPTY, OFF), no_claim)
    assert caught.value.reason is Reason.FOREIGN_CONFIGURATION


# --- what stands, and what may be counted on -----------------------------------------------------------------------------------------


def test_where_nothing_of_ours_stands_any_more_the_annotations_still_say_what_was_claimed() -> None:
    stored = read(published(EMPTY, REQUIRING) | {"data": {}})
    assert (stored.residue, stored.intact) == (False, False)
    assert stored.standing == {UID: REQUIRING}
    assert stored.claims == {UID: OFF}


def test_a_text_of_ours_without_its_annotations_is_residue_of_nobody() -> None:
    """As a replica of a cluster that was restored in part."""
    stored = read({"data": published(EMPTY, REQUIRING)["data"]})
    assert (stored.residue, stored.intact, stored.standing, stored.revision) == (True, False, {}, 1)


def test_a_decision_is_stale_once_the_text_was_damaged() -> None:
    body = published(EMPTY, REQUIRING)
    damaged = holding(body, http=body["data"][HTTP] * 2)
    assert len({read(one).as_seen_by(UID) for one in (body, damaged, body | {"data": {}})}) == 3


@pytest.mark.parametrize("milder", [claim(Mode.REQUEST, ()), OFF])
def test_a_damaged_text_that_may_still_refuse_is_relaxed_whatever_stands_around_it(
    milder: Claim,
) -> None:
    body = published(EMPTY, REQUIRING)
    damaged = holding(body, http="ssl_verify_client on;\n" + body["data"][HTTP] * 2)
    again = publish(damaged, milder, foreign=ForeignText.REFUSE, token_if_new=TOKEN)
    assert read(again).claims == {UID: milder}


@pytest.mark.parametrize("stricter", [REQUIRING, claim(enforced=(APEX,)), claim(enforced=(WWW,))])
def test_nothing_is_raised_from_a_damaged_text_whatever_its_claims_say(stricter: Claim) -> None:
    body = published(EMPTY, REQUIRING)
    damaged = holding(body, http="ssl_verify_client on;\n" + body["data"][HTTP] * 2)
    with pytest.raises(Blocked, match="ssl_verify_client"):
        publish(damaged, stricter, foreign=ForeignText.MERGE, token_if_new=TOKEN)


def test_blanks_of_others_are_kept_and_no_reason_to_refuse() -> None:
    body = published({**EMPTY, "data": {HTTP: "\n\n"}}, OFF)
    again = publish(body, REQUIRING, foreign=ForeignText.REFUSE, token_if_new=TOKEN)
    assert again["data"][HTTP].startswith("\n\n# BEGIN")
    assert withdraw(again, UID)["data"] == {HTTP: "\n\n"}


@given(COMPLETE, claims())
def test_the_revision_is_remembered_by_any_piece_of_the_text(theirs: str, wanted: Claim) -> None:
    assume(wanted.mode >= Mode.REQUEST)
    body = published({**EMPTY, "data": {HTTP: theirs}}, OFF, wanted)
    (cache,) = [line for line in body["data"][HTTP].splitlines() if "AOP_" in line]
    (marker,) = [line for line in body["data"][SERVER].splitlines() if "aop rev=" in line]
    for piece in ({HTTP: cache}, {SERVER: f"if ($aop_action = check) {{\n{marker}\n}}"}):
        assert read({"data": piece}).revision == 2


# --- who else writes -----------------------------------------------------------------------------------------------------------------


def managed(
    manager: str | None, *keys: str, time: object = "2026-03-01T12:00:00Z"
) -> dict[str, Any]:
    """One entry of managedFields."""
    fields: dict[str, Any] = {"f:data": {".": {}, **{f"f:{key}": {} for key in keys}}}
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def owned_by(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"managedFields": list(entries)}, "data": {HTTP: "gzip on;\n", SERVER: ""}}


def test_who_wrote_a_key_last_is_told_with_the_time_and_we_are_not() -> None:
    body = owned_by(
        managed("kubectl-edit", HTTP, time="2026-03-01T11:00:00Z"),
        managed("argocd-controller", HTTP, SERVER, time="2026-03-01T12:00:00Z"),
        managed(FIELD_MANAGER, SERVER, time="2026-03-01T13:00:00Z"),
        managed("helm", "use-gzip", time="2026-03-01T13:00:00Z"),
    )
    http, server = (read(body).snippets[key] for key in KEYS)
    assert http.writers == (
        Writer("argocd-controller", NOW),
        Writer("kubectl-edit", NOW - timedelta(hours=1)),
    )
    assert http.last_writer == server.last_writer == Writer("argocd-controller", NOW)
    assert http.owners == ("argocd-controller", "kubectl-edit")
    assert (http.overwritten, server.overwritten) == (True, True)


@pytest.mark.parametrize("time", [None, "", "yesterday", 7])
def test_a_writer_without_a_time_is_named_after_those_with_one(time: object) -> None:
    http = read(
        owned_by(managed("before-first-apply", HTTP, time=time), managed("helm", HTTP))
    ).snippets[HTTP]
    assert http.writers == (Writer("helm", NOW), Writer("before-first-apply", None))


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"manager": "helm"},
        {"manager": "helm", "fieldsV1": {"f:metadata": {}}},
        managed(None, HTTP),
        managed("", HTTP),
    ],
)
def test_what_tells_of_no_key_or_no_manager_tells_of_no_writer(entry: dict[str, Any]) -> None:
    assert read(owned_by(entry)).snippets[HTTP].last_writer is None


def test_a_key_that_is_not_there_has_writers_all_the_same() -> None:
    body = owned_by(managed("helm", HTTP)) | {"data": {}}
    assert read(body).snippets[HTTP].last_writer == Writer("helm", NOW)

"""Claims in a ConfigMap: what is written reads back, others' text stays byte for byte, and what was found is put back."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aop.errors import Blocked, Reason
from aop.origins.ingress_nginx.publishing import publish, withdraw
from aop.origins.ingress_nginx.spec import NAME, ForeignText
from aop.origins.ingress_nginx.stored import SnippetsBeforeUs, annotations_for, read
from aop.origins.ingress_nginx.text import HTTP, KEYS, SERVER, render
from aop.origins.notation import decode, encode
from aop.origins.room import GROWING, MOST, NEW, room_for
from aop.origins.sites import Entry
from aop.terms import Claim, Mode, Pin
from aop.terms.names import (
    CLAIMED_LABEL,
    CLAIMS_ANNOTATION,
    FOUND_ANNOTATION,
    PATH_ANNOTATION,
    REVISION_ANNOTATION,
    WATCH_LABEL,
)
from builders import APEX, HOSTS, LEAF, NEXT, OFF, REQUIRING, UID, WWW, claim
from strategies import UIDS, claims, config_maps, pins

TOKEN = "k3y0fth3path"
OTHER = replace(
    claim(Mode.REQUEST, ()),
    uid="other",
    owner="shop/example-org",
    zone="example.org",
    patterns=("example.org",),
)
EMPTY: dict[str, Any] = {"metadata": {"namespace": "ingress-nginx", "name": "controller"}}


def written(
    config_map: dict[str, Any], *entries: Claim, seen_everywhere: int | None = None
) -> dict[str, Any]:
    for one in entries:
        config_map = publish(
            config_map,
            one,
            foreign=ForeignText.MERGE,
            token_if_new=TOKEN,
            seen_everywhere=seen_everywhere,
        )
    return config_map


def edited(config_map: dict[str, Any], key: str, value: str | None) -> dict[str, Any]:
    """The same ConfigMap after somebody has set a key, or taken it out."""
    body = deepcopy(config_map)
    body["data"][key] = value
    if value is None:
        del body["data"][key]
    return body


def parts(line: str) -> list[Any]:
    """The parts of a claim, as JSON."""
    decoded: list[Any] = json.loads(line)
    return decoded


def compact(value: object) -> str:
    """As a claim is written, whatever it is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


# --- properties ------------------------------------------------------------------------------------------------------------------


@given(claims(), claims() | st.none())
def test_a_claim_is_read_as_it_was_written(one: Claim, other: Claim | None) -> None:
    accepted = other and replace(other, uid=one.uid, owner=one.owner, zone=one.zone)
    for entry in (Entry(one), Entry(one, one), Entry(one, accepted)):
        assert decode(encode(entry)) == entry


def test_names_are_written_as_in_a_zone_file() -> None:
    names = (APEX, WWW, f"*.{APEX}", f"*.shop.{APEX}", "example.org", "www.badexample.com")
    line = encode(Entry(replace(OFF, patterns=names)))
    assert parts(line)[3] == ["*", "*.shop", "@", "example.org.", "www.badexample.com.", "www"]
    assert set(decode(line).claim.patterns) == set(names)


def test_a_uid_that_is_no_uuid_is_written_as_it_is() -> None:
    for uid, written in ((UID, "a6e4EJ2tEdGAtADAT9QwyA"), ("other", "~other")):
        entry = Entry(replace(OFF, uid=uid))
        assert parts(encode(entry))[0] == written
        assert decode(encode(entry)) == entry


@given(config_maps(), st.lists(claims(), min_size=1, max_size=4))
def test_what_is_published_is_in_force_beside_the_text_of_others(
    config_map: dict[str, Any], published: list[Claim]
) -> None:
    before = deepcopy(config_map)
    body = written(config_map, *published)
    assert config_map == before, "the ConfigMap that was read is not changed"
    stored = read(body)
    assert stored.intact
    assert stored.claims == {one.uid: one for one in published}
    assert stored.revision == len(published)
    for key in KEYS:
        assert stored.snippets[key].foreign == config_map.get("data", {}).get(key, "")
        assert body["data"][key].count("# BEGIN aop-operator") == 1
    assert body["metadata"]["resourceVersion"] == "7", (
        "of two writers who have read the same, one is refused"
    )
    labels = body["metadata"]["labels"]
    assert (labels[WATCH_LABEL], labels[CLAIMED_LABEL]) == ("true", NAME)


@given(config_maps(), st.permutations(UIDS), st.data())
def test_the_last_claim_that_leaves_puts_everything_back(
    config_map: dict[str, Any], order: list[str], data: st.DataObject
) -> None:
    body = written(config_map, *(data.draw(claims(uid=uid)) for uid in UIDS))
    for uid in order:
        body = withdraw(body, uid)
    assert body == config_map


@given(config_maps(), claims(uid=UIDS[0]), claims(uid=UIDS[1]))
def test_who_leaves_takes_nobody_along(
    config_map: dict[str, Any], leaving: Claim, staying: Claim
) -> None:
    body = withdraw(written(config_map, leaving, staying), leaving.uid)
    assert read(body).claims == {staying.uid: staying}
    assert read(body).intact


@given(st.lists(claims(), max_size=4), st.integers(1, 10**6))
def test_the_same_claims_render_the_same_text_in_any_order(
    published: list[Claim], revision: int
) -> None:
    unique = list({one.uid: one for one in published}.values())
    text = render(unique, revision, TOKEN)
    assert render(unique[::-1], revision, TOKEN) == text
    for lines in (block.splitlines() for block in text.values()):
        # The controller indents every line anew, also within quotes, and a comment would swallow
        # what follows it on its line.
        assert all("#" not in line.lstrip("#") for line in lines), lines
        assert all(line.isascii() and line == line.rstrip() for line in lines)
        assert sum(line.count("{") - line.count("}") for line in lines) == 0


@given(st.lists(claims(), min_size=1, max_size=3))
def test_pins_and_hosts_stand_in_the_text_only_where_somebody_asks(published: list[Claim]) -> None:
    text = render(published, 1, TOKEN)[HTTP]
    asks = any(one.mode >= Mode.REQUEST for one in published)
    assert ("ssl_verify_client optional_no_ca;" in text) is asks
    assert ("ssl_session_cache shared:AOP_00000001:10m;" in text) is asks
    asking = {one.zone for one in published if one.mode > Mode.OFF}
    shown = {pin.sha1 for one in published if one.zone in asking for pin in one.pins}
    assert all(pin.sha1 in shown or pin.sha1 not in text for one in published for pin in one.pins)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
_annotations = st.sampled_from(
    [CLAIMS_ANNOTATION, PATH_ANNOTATION, REVISION_ANNOTATION, FOUND_ANNOTATION]
)


@given(
    st.dictionaries(_annotations, st.text() | _json.map(json.dumps)),
    st.dictionaries(st.sampled_from(KEYS), st.text()),
)
def test_nothing_that_anybody_writes_makes_reading_fail(
    annotations: dict[str, str], data: dict[str, str]
) -> None:
    stored = read({"metadata": {"annotations": annotations}, "data": data})
    assert all(one.mode is Mode.OFF for one in stored.claims.values()) or stored.intact


# --- room ------------------------------------------------------------------------------------------------------------------------


def sizes(body: dict[str, Any]) -> tuple[int, int]:
    """Bytes of the annotations, and of the texts."""
    annotations = body["metadata"]["annotations"]
    return sum(len(name) + len(value) for name, value in annotations.items()), sum(
        len(text) for text in body["data"].values()
    )


@given(
    config_maps(),
    st.lists(claims(), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.data(),
)
def test_a_write_that_relaxes_never_grows(
    config_map: dict[str, Any], published: list[Claim], seen: list[bool], data: st.DataObject
) -> None:
    """Else the visitors of one zone would be refused for as long as somebody fills the ConfigMap up."""
    body = config_map
    for number, one in enumerate(published):
        body = written(body, one, seen_everywhere=number if seen[number] else None)
    standing = data.draw(
        st.sampled_from(sorted(read(body).claims.values(), key=lambda one: one.uid))
    )
    mode = data.draw(st.sampled_from([mode for mode in Mode if mode <= standing.mode]))
    kept = (
        data.draw(st.lists(st.sampled_from(standing.enforced), unique=True))
        if standing.enforced and mode >= Mode.OPTIONAL
        else []
    )
    milder = replace(standing, mode=mode, enforced=tuple(sorted(kept)))
    relaxed = written(
        body, milder, seen_everywhere=data.draw(st.sampled_from([None, len(published)]))
    )
    assert all(after <= before for before, after in zip(sizes(body), sizes(relaxed), strict=True))


def test_no_write_grows_because_it_is_a_later_one() -> None:
    body = written(EMPTY, REQUIRING)
    before = sizes(body)
    for _ in range(120):
        body = written(body, REQUIRING)
    assert read(body).revision == 121
    assert sizes(body) == before


_labels = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_zones = st.from_regex(r"[a-z]([a-z0-9-]{1,18}[a-z0-9])?\.(com|co\.uk|example)", fullmatch=True)
_owners = st.from_regex(r"[a-z]([a-z0-9-]{1,9})/[a-z]([a-z0-9-]{1,17}[a-z0-9])?", fullmatch=True)
_uuids = st.uuids().map(str)
_two_hosts = st.sampled_from(
    [
        (("{zone}", "{a}.{zone}"), ("{zone}", "{a}.{zone}")),
        (("{a}.{zone}", "{b}.{zone}"), ("{a}.{zone}", "{b}.{zone}")),
        (("{zone}", "*.{zone}"), ("{zone}", "{a}.{zone}")),
        (("*.{zone}",), ("{a}.{zone}", "{b}.{zone}")),
        (("{zone}", "{a}.{zone}"), ()),
    ]
)
"""What the spec names, and what is required: as listed, by the default, by a wildcard, not yet."""


@given(_uuids, _owners, _zones, st.tuples(_labels, _labels), _two_hosts, pins)
@example(
    UID,
    "production/the-brand-of-a-shop-eu",
    "the-name-of-a-brand-30.example",
    ("storefront", "images-cdn"),
    (("{zone}", "*.{zone}"), ("{zone}", "{a}.{zone}")),
    LEAF,
)
def test_a_zone_with_two_hosts_and_a_pin_costs_at_most_450_bytes(
    uid: str,
    owner: str,
    zone: str,
    labels: tuple[str, str],
    two_hosts: tuple[tuple[str, ...], tuple[str, ...]],
    leaf: Pin,
) -> None:
    """Of annotation and text together, whatever it is called, with names of up to 30 characters."""
    patterns, enforced = (
        tuple(name.format(zone=zone, a=labels[0], b=labels[1]) for name in names)
        for names in two_hosts
    )
    mode = Mode.REQUIRE if enforced else Mode.REQUEST
    one = Claim(uid, owner, zone, patterns, mode, enforced, (leaf,))
    beside = replace(OTHER, zone="beside.invalid", mode=Mode.REQUEST)
    before, after = (
        annotations_for([Entry(each, each) for each in claims], 7, TOKEN, "10m", SnippetsBeforeUs())
        | render(claims, 7, TOKEN)
        for claims in ((beside,), (beside, one))
    )
    cost = {key: len(after[key]) - len(before[key]) for key in after}
    assert sum(cost.values()) <= 450, cost
    assert cost[SERVER] == 0, "the text that every server has is the same for all"


def filled(
    body: dict[str, Any],
    annotations: dict[str, str] | None = None,
    data: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The same ConfigMap with what others have put into it."""
    metadata = body["metadata"] | {
        "annotations": body["metadata"].get("annotations", {}) | (annotations or {})
    }
    return body | {"metadata": metadata, "data": body.get("data", {}) | (data or {})}


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
FILLED = pytest.mark.parametrize(
    ("newcomers", "residents", "named"),
    [
        (
            {"annotations": {LAST_APPLIED: "x" * 229_900}},
            {"annotations": {LAST_APPLIED: "x" * 245_990}},
            LAST_APPLIED,
        ),
        (
            {"data": {"use-gzip": "y" * 899_000}},
            {"data": {"use-gzip": "y" * 979_900}},
            "it would come to",
        ),
    ],
    ids=["annotations", "texts"],
)
"""As full as it must not be for a claim that comes, and for one that is there."""


@FILLED
def test_where_a_newcomer_finds_no_room_those_who_are_there_go_on(
    newcomers: dict[str, Any], residents: dict[str, Any], named: str
) -> None:
    body = filled(written(EMPTY, REQUIRING), **newcomers)
    with pytest.raises(Blocked, match=named) as caught:
        written(body, OTHER)
    assert caught.value.reason is Reason.ORIGIN_FULL
    assert (
        f"ConfigMap ingress-nginx/controller has no room for what {OTHER.owner} asks"
        in caught.value.message
    )
    assert "move zones to another origin" in caught.value.message
    with pytest.raises(Blocked, match=named):
        written(body, replace(OFF, uid="a-newcomer"))
    renewing = claim(pins=(*REQUIRING.pins, NEXT))
    renewed = written(body, renewing)
    assert read(renewed).claims == {UID: renewing}
    with pytest.raises(Blocked, match=named):
        written(filled(body, **residents), renewing)
    body = filled(renewed, **residents)
    assert read(written(body, REQUIRING)).claims == {UID: REQUIRING}, (
        "a leaf that is trusted no longer leaves more room than before"
    )
    assert read(written(body, OFF)).claims == {UID: OFF}
    assert read(withdraw(body, UID)).claims == {}


@given(claims(uid=UID), claims(), st.data())
def test_what_is_finished_grows_by_some_bytes_only(
    one: Claim, other: Claim, data: st.DataObject
) -> None:
    """A rotation or an onboarding that has begun must be able to end where no room is left for more."""
    accepted = replace(one, pins=(*one.pins, *other.pins))
    standing = encode(Entry(accepted, accepted))
    kept = data.draw(st.lists(st.sampled_from(accepted.pins or (LEAF,)), unique=True))
    finished = replace(accepted, pins=tuple(set(kept) & set(accepted.pins)))
    assert len(encode(Entry(finished, accepted))) <= len(standing) + 16 + 2 * len(one.names)
    assert room_for(finished, accepted) == MOST


def test_there_is_room_for_what_is_there_and_least_for_what_is_not() -> None:
    assert room_for(OFF, None) == NEW
    assert room_for(claim(pins=(*REQUIRING.pins, NEXT)), REQUIRING) == GROWING
    assert room_for(claim(enforced=(*HOSTS, "shop.example.com")), REQUIRING) == GROWING
    assert room_for(REQUIRING, claim(pins=(*REQUIRING.pins, NEXT))) == MOST
    assert NEW.annotations < GROWING.annotations < MOST.annotations
    assert NEW.whole < GROWING.whole < MOST.whole


def test_a_newcomer_is_measured_beside_what_all_come_to() -> None:
    """Else as many could begin as fit while nothing is required, and none of them could go on."""
    beginning = [
        replace(OFF, uid=f"{UID[:-4]}{number:04}", zone=f"zone-{number}.example", pins=())
        for number in range(1400)
    ]
    body = EMPTY | {"data": render(beginning, 1, TOKEN)}
    annotations = annotations_for(
        [Entry(one) for one in beginning], 1, TOKEN, "10m", SnippetsBeforeUs(newline_added=False)
    )
    body = filled(body, annotations=annotations)
    assert read(body).intact
    assert sizes(body)[0] < NEW.annotations - 10_000
    with pytest.raises(Blocked, match="claims") as caught:
        written(body, REQUIRING)
    assert caught.value.reason is Reason.ORIGIN_FULL
    going_on = replace(beginning[0], mode=Mode.REQUEST, pins=(LEAF,))
    assert read(written(body, going_on)).claims[going_on.uid] == going_on


def test_a_full_config_map_takes_what_relaxes() -> None:
    body = filled(written(EMPTY, REQUIRING), annotations={"theirs": "x"})
    room = 262_144 - sizes(body)[0] + 1
    body = filled(body, annotations={"theirs": "x" * room})
    assert sizes(body)[0] == 262_144
    for milder in (claim(enforced=HOSTS[:1]), claim(Mode.OPTIONAL), claim(Mode.REQUEST, ()), OFF):
        assert sizes(written(body, milder))[0] <= 262_144


def test_claims_of_objects_that_are_gone_leave_with_the_next_write() -> None:
    body = written(EMPTY, replace(OFF, uid="gone"), replace(OTHER, uid="gone-too"), OTHER)
    again = publish(
        body,
        REQUIRING,
        foreign=ForeignText.REFUSE,
        token_if_new=TOKEN,
        gone=frozenset({"gone", "gone-too", "never"}),
    )
    assert read(again).claims == {UID: REQUIRING, "other": OTHER}
    assert read(again).intact


# --- what does not read back -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("now", [None, "", "gzip on;", "half"])
def test_where_the_text_is_not_what_was_written_no_claim_is_in_force(
    key: str, now: str | None
) -> None:
    """A Helm upgrade resets a key, somebody edits it: it refuses nobody for sure, so it has to be raised on a fresh proof."""
    body = written(EMPTY, REQUIRING, OTHER)
    text = body["data"][key]
    broken = read(edited(body, key, text[: len(text) // 2] if now == "half" else now))
    assert not broken.intact
    assert {(one.mode, one.enforced) for one in broken.claims.values()} == {(Mode.OFF, ())}
    assert broken.claims[UID].pins == REQUIRING.pins, "trust stays known"
    assert broken.revision == 2


def test_an_edited_text_is_written_anew_and_others_claims_do_not_rise_with_it() -> None:
    body = written(EMPTY, replace(OTHER, mode=Mode.REQUEST), REQUIRING)
    again = written(edited(body, SERVER, ""), OFF)
    assert read(again).intact
    assert {one.mode for one in read(again).claims.values()} == {Mode.OFF}
    assert read(again).revision == 3


SHA256, SHA1, *VALID = json.loads(encode(Entry(REQUIRING)))[4][0]


@pytest.mark.parametrize(
    ("at", "damage"),
    [
        (5, [4, "132", "1", 0]),
        (5, ["Require", "132", "1", 0]),
        (5, [True, "132", "1", 0]),
        (5, [-1, "132", "1", 0]),
        (5, [1, "132", "1", 0]),
        (5, [3, "13", "1", 0]),
        (5, [3, "1322", "1", 0]),
        (5, [3, "138", "1", 0]),
        (5, [3, "13²", "1", 0]),
        (5, [3, "532", "1", 0]),
        (5, [3, "032", "1", 0]),
        (5, [3, [1, 3, 2], "1", 0]),
        (5, [3, "132", "0", 0]),
        (5, [3, "132", "11", 0]),
        (5, [3, "132", "2", 0]),
        (5, [3, "132", "1", -1]),
        (5, [3, "132", "1", True]),
        (5, [3, "132", "1", "1"]),
        (5, [3, "132", "1"]),
        (5, {"mode": 3}),
        (5, 1),
        (6, 2),
        (6, -1),
        (6, True),
        (6, "1"),
        (6, None),
        (6, [3, "132", "1", 0]),
        (6, [1, "132", "1", 0]),
        (6, [3, "132", "1", 0, 0]),
        (0, 'x"; }'),
        (0, "~"),
        (0, f"~{UID}"),
        (0, "a6e4EJ2tEdGAtADAT9QwyB"),
        (0, "a6e4EJ2tEdGAtADAT9QwyA\n"),
        (0, UID),
        (1, "nobody"),
        (2, "example.com; return 200"),
        (2, "*.example.com"),
        (2, "EXAMPLE.com"),
        (3, ["*.*", "@", "www"]),
        (3, "@"),
        (3, ["*", "@", "www}"]),
        (3, ["*", "@", "www.example.com}."]),
        (3, ["*", "@", "www.example.com."]),
        (3, ["*", "@", ""]),
        (3, ["*", "@", "."]),
        (3, ["@", "*", "www"]),
        (3, ["*", "@", "@"]),
        (3, ["*", "@", 7]),
        (4, [[SHA256, '0" none; }', *VALID]]),
        (4, [[SHA256, SHA1 + "\n", *VALID]]),
        (4, [[SHA256, SHA1[:-1] + "x", *VALID]]),
        (4, [[SHA256 + "=", SHA1, *VALID]]),
        (4, [[LEAF.sha256, LEAF.sha1, *VALID]]),
        (4, [[7, SHA1, *VALID]]),
        (4, [[SHA256, SHA1, VALID[0]]]),
        (4, [[SHA256, SHA1, 0, 10**30]]),
        (4, [[SHA256, SHA1, 0, 10**12]]),
        (4, [[SHA256, SHA1, 0, 1.5]]),
        (4, [[SHA256, SHA1, 0, "2027-01-01T00:00:00+00:00"]]),
        (4, [{}]),
    ],
)
def test_what_is_not_exactly_a_claim_is_no_claim(at: int, damage: object) -> None:
    """Whoever may edit the ConfigMap can write the annotation; nothing of it may get into nginx's text."""
    line = parts(encode(Entry(REQUIRING)))
    assert line[3:] == [["*", "@", "www"], [[SHA256, SHA1, *VALID]], [3, "132", "1", 0], 0]
    with pytest.raises(ValueError, match=r".+"):
        decode(compact([*line[:at], damage, *line[at + 1 :]]))


@pytest.mark.parametrize("at", range(7))
def test_a_claim_without_one_of_its_parts_is_none(at: int) -> None:
    line = parts(encode(Entry(REQUIRING)))
    for damaged in (line[:at] + line[at + 1 :], [*line[:at], line[at], *line[at:]]):
        with pytest.raises(ValueError, match=r".+"):
            decode(compact(damaged))


@pytest.mark.parametrize(
    "line",
    ["", "null", '"claim"', "[]", "7", "{}", "[", "[" * 500, "\x00", f"{encode(Entry(OFF))} "],
)
def test_what_is_no_claim_is_none(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(line)


@given(st.sampled_from([Entry(REQUIRING), Entry(REQUIRING, OFF), Entry(OFF, OFF)]), st.data())
def test_one_other_sign_makes_no_other_text_of_ours(entry: Entry, data: st.DataObject) -> None:
    """It is no claim, or exactly one that we would have written."""
    line = encode(entry)
    at = data.draw(st.integers(0, len(line) - 1))
    damaged = line[:at] + data.draw(st.characters()) + line[at + 1 :]
    try:
        block = decode(damaged)
    except ValueError:
        return
    assert encode(block) == damaged


def test_a_claim_that_is_none_takes_no_other_along() -> None:
    body = written(EMPTY, REQUIRING, OTHER)
    annotations = body["metadata"]["annotations"]
    first, *lines = annotations[CLAIMS_ANNOTATION].split("\n")
    assert len(lines) == 2
    annotations[CLAIMS_ANNOTATION] = "\n".join((first, lines[0][:-9], lines[1]))
    assert len(read(body).claims) == 1
    assert not read(body).intact


@given(pins)
def test_a_digest_that_is_none_is_never_rendered(pin: Any) -> None:
    for broken in (
        replace(pin, sha1=f"{pin.sha1[:-1]};"),
        replace(pin, sha256="$evil" + pin.sha256),
    ):
        with pytest.raises(ValueError, match="digests"):
            render([claim(pins=(broken,))], 1, TOKEN)


@pytest.mark.parametrize(
    "name",
    [
        "example.com;",
        "*.*.example.com",
        "EXAMPLE.com",
        "a b.example.com",
        "example",
        "",
        "ex\nample.com",
        "$host.com",
    ],
)
def test_a_name_that_is_no_hostname_is_never_rendered(name: str) -> None:
    with pytest.raises(ValueError, match="hostname"):
        render([replace(OFF, patterns=(name,))], 1, TOKEN)


@pytest.mark.parametrize(
    ("revision", "token"), [(0, TOKEN), (1, "short"), (1, "UPPER-case"), (1, 'k3y0fth3path"')]
)
def test_a_revision_or_token_that_cannot_be_is_never_rendered(revision: int, token: str) -> None:
    with pytest.raises(ValueError, match="no text"):
        render([OFF], revision, token)


# --- accepted forms ----------------------------------------------------------------------------------------------------------------


def test_what_every_replica_was_seen_to_run_is_noted_as_accepted() -> None:
    body = written(EMPTY, OFF)
    body = written(body, REQUIRING, seen_everywhere=1)
    assert read(body).entries[UID] == Entry(REQUIRING, accepted=OFF)
    body = written(body, claim(pins=(LEAF, NEXT)), seen_everywhere=1)
    assert read(body).entries[UID].accepted == OFF, "revision 2 was never seen everywhere"


def test_another_s_change_is_told_apart_from_ours() -> None:
    body = written(EMPTY, OFF, OTHER)
    assert read(body).others_changed(UID)
    body = written(body, REQUIRING, seen_everywhere=2)
    assert not read(body).others_changed(UID)
    assert read(body).others_changed("other"), "ours is new"


# --- others' text --------------------------------------------------------------------------------------------------------------------


def test_what_asks_for_more_is_not_written_around_the_text_of_others_without_consent() -> None:
    body = EMPTY | {"data": {HTTP: "gzip on;"}}
    with pytest.raises(Blocked) as caught:
        publish(body, OFF, foreign=ForeignText.REFUSE, token_if_new=TOKEN)
    assert caught.value.reason is Reason.FOREIGN_CONFIGURATION
    assert "foreignText: Merge" in caught.value.message


@pytest.mark.parametrize("milder", [OFF, claim(Mode.REQUEST, ()), claim(enforced=HOSTS[:1])])
def test_what_asks_for_less_is_written_whatever_others_have_put_there(milder: Claim) -> None:
    body = written(EMPTY, REQUIRING)
    theirs = edited(body, HTTP, "ssl_verify_client on;\n" + body["data"][HTTP])
    assert read(publish(theirs, milder, foreign=ForeignText.REFUSE, token_if_new=TOKEN)).claims == {
        UID: milder
    }


def test_our_block_stands_last_in_http_and_first_in_server() -> None:
    body = written(EMPTY | {"data": {HTTP: "gzip on;", SERVER: "rewrite ^ / last;"}}, REQUIRING)
    assert body["data"][HTTP].startswith("gzip on;\n# BEGIN aop-operator")
    assert body["data"][SERVER].endswith("# END aop-operator\nrewrite ^ / last;")


def test_text_that_came_to_stand_on_the_wrong_side_is_moved_by_the_next_write() -> None:
    body = written(EMPTY, REQUIRING)
    theirs = edited(body, HTTP, body["data"][HTTP] + "gzip on;\n")
    assert read(theirs).misplaced
    assert read(theirs).intact
    again = written(theirs, REQUIRING)
    assert again["data"][HTTP].startswith("gzip on;\n# BEGIN")
    assert not read(again).misplaced


def test_the_digest_of_others_text_changes_with_it_and_not_with_ours() -> None:
    bare = read(EMPTY | {"data": {HTTP: "gzip on;"}}).foreign_digest
    assert read(written(EMPTY | {"data": {HTTP: "gzip on;"}}, REQUIRING)).foreign_digest == bare
    assert read(EMPTY | {"data": {HTTP: "gzip off;"}}).foreign_digest != bare
    assert read(EMPTY | {"data": {SERVER: "gzip on;"}}).foreign_digest != bare


def test_a_config_map_that_is_not_there_says_nothing() -> None:
    assert read(None).claims == {}
    assert read(None).intact
    assert read({}) == read(None)


def test_the_path_stays_and_the_revision_goes_on() -> None:
    body = written(EMPTY, OFF)
    again = publish(body, REQUIRING, foreign=ForeignText.REFUSE, token_if_new="an0therpath")
    assert (read(again).path_token, read(again).revision) == (TOKEN, 2)
    lost = deepcopy(again)
    del lost["metadata"]["annotations"][REVISION_ANNOTATION]
    assert read(lost).revision == 2, "the text remembers it too: a revision is never used twice"


def test_withdrawing_what_is_not_there_changes_nothing() -> None:
    body = written(EMPTY, OTHER)
    assert withdraw(body, UID) == body
    assert withdraw(EMPTY, UID) == EMPTY

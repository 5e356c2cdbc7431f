"""What a driver says and writes, whatever others have left in its carrier. Pure."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aop.errors import Blocked, Reason
from aop.origins.check import TOKEN as FORM_OF_TOKEN
from aop.origins.kinds import KINDS
from aop.origins.room import GROWING, NEW
from aop.origins.sites import Need, Replica, Scope
from aop.terms import Claim, Mode, is_host
from aop.terms.names import CLAIMED_LABEL
from builders import APEX, HOSTS, LEAF, NEXT, NOW, OFF, REQUIRING, UID, WWW, claim
from origin_kinds.ground import (
    ORG,
    Ground,
    Json,
    bare,
    objects_of,
    of_ours,
    published_in,
    site_of,
    size_of,
    target_of,
    tried,
    withdrawn,
    written,
)
from origin_kinds.grounds import GROUNDS
from strategies import UIDS, claims

SHOP = f"shop.{APEX}"
INNER = replace(
    ORG, uid="inner", owner="shop/inner", zone=SHOP, patterns=(SHOP, f"*.{SHOP}"), enforced=(SHOP,)
)


def carrier_left(ground: Ground, data: st.DataObject) -> Json:
    """The carrier as others have left it."""
    return data.draw(ground.carriers())


def three(data: st.DataObject) -> list[Claim]:
    return [data.draw(claims(uid=uid)) for uid in UIDS]


# --- what the driver is -------------------------------------------------------------------------------------------------------------


def test_every_kind_of_the_registry_is_tried() -> None:
    tried = {ground.kind.name: ground.kind for ground in GROUNDS}
    assert {name: tried.get(name) for name in KINDS} == dict(KINDS)
    assert len(tried) == len(GROUNDS) > len(KINDS)


def test_the_target_is_what_the_reference_in_the_spec_names(ground: Ground) -> None:
    named = ground.spec.model_dump(by_alias=True)[ground.kind.reference]
    target = target_of(ground)
    assert isinstance(ground.spec, ground.kind.spec)
    assert (target.kind, named) == (
        ground.kind.name,
        {"namespace": target.namespace, "name": target.name},
    )


def test_the_carrier_is_read_first_and_nothing_is_known_without_it(ground: Ground) -> None:
    target = target_of(ground)
    carrier, first = ground.kind.carrier(target), ground.kind.reads(target, Scope())[0]
    assert first == carrier
    assert (carrier.kind, carrier.namespace, carrier.name) == (
        ground.kind.carried_by,
        target.namespace,
        target.name,
    )
    assert carrier.need is Need.ESSENTIAL


def test_nothing_is_read_outside_of_what_the_operator_may_look_at(ground: Ground) -> None:
    target = target_of(ground)
    for read in ground.kind.reads(target, Scope(("shop",), cluster=False)):
        assert read.namespace in {target.namespace, "shop"}, f"{read} needs a ClusterRole"
    for scope in (Scope(), Scope(("shop",)), Scope(("shop",), cluster=False)):
        reads = ground.kind.reads(target, scope)
        assert len(set(reads)) == len(reads)
        assert all(read.namespace for read in reads if read.name)


def test_messages_name_the_place_and_end_where_a_sentence_goes_on(ground: Ground) -> None:
    target = target_of(ground)
    words = ground.kind.words(target)
    assert str(target.key) in words.place
    assert words.place.startswith(ground.kind.carried_by.title)
    for phrase in (words.missing, words.not_allowed, words.unread, words.unready, words.rejected):
        assert phrase == phrase.strip()
        assert not phrase.endswith(".")


# --- writing ------------------------------------------------------------------------------------------------------------------------


@tried
@given(st.data())
def test_what_is_published_is_what_is_read(ground: Ground, data: st.DataObject) -> None:
    before, asked = carrier_left(ground, data), three(data)
    kept = deepcopy(before)
    body, seen = before, published_in(ground, before)
    assert (seen.claims, seen.intact, seen.residue, seen.revision) == ({}, True, False, 0)
    for number, one in enumerate(asked, 1):
        once = deepcopy(body)
        after = written(ground, body, one)
        assert body == once, "what was read is not changed by what is written"
        body = after
        now = published_in(ground, body)
        assert now.claims == now.standing == {each.uid: each for each in asked[:number]}
        assert (now.revision, now.intact, now.residue, now.stands) == (number, True, True, True)
        assert now.foreign_digest == seen.foreign_digest
        assert now.text_digest != seen.text_digest
    assert before == kept
    assert body["metadata"].get("resourceVersion") == before["metadata"].get("resourceVersion"), (
        "of two writers who have read the same, one is refused"
    )


@tried
@given(st.data())
def test_the_same_claims_are_the_same_text_whoever_came_first(
    ground: Ground, data: st.DataObject
) -> None:
    before, asked = carrier_left(ground, data), three(data)
    order = data.draw(st.permutations(asked))
    assert written(ground, before, *asked) == written(ground, before, *order)


@tried
@given(st.data())
def test_the_last_claim_that_leaves_puts_everything_back(
    ground: Ground, data: st.DataObject
) -> None:
    before = carrier_left(ground, data)
    body = written(ground, before, *three(data))
    kept = deepcopy(body)
    assert withdrawn(ground, body, *data.draw(st.permutations(UIDS))) == before
    assert body == kept


@tried
@given(st.data())
def test_who_leaves_takes_nobody_along(ground: Ground, data: st.DataObject) -> None:
    asked = three(data)
    body = withdrawn(ground, written(ground, carrier_left(ground, data), *asked), asked[0].uid)
    now = published_in(ground, body)
    assert now.claims == {one.uid: one for one in asked[1:]}
    assert (now.intact, now.revision) == (True, 4)


@tried
@given(st.data())
def test_who_never_came_changes_nothing_by_leaving(ground: Ground, data: st.DataObject) -> None:
    before = carrier_left(ground, data)
    assert withdrawn(ground, before, "nobody") == before
    body = written(ground, before, *three(data))
    assert withdrawn(ground, body, "nobody") == body


@tried
@given(st.data())
def test_the_label_is_there_exactly_while_a_claim_is(ground: Ground, data: st.DataObject) -> None:
    body = carrier_left(ground, data)

    def label() -> Any:
        return (body["metadata"].get("labels") or {}).get(CLAIMED_LABEL)

    assert label() is None
    for one in three(data):
        body = written(ground, body, one)
        assert label() == ground.kind.name
    for uid in UIDS:
        assert label() == ground.kind.name
        body = withdrawn(ground, body, uid)
    assert label() is None


@tried
@given(st.data())
def test_the_path_stays_as_long_as_any_claim_does(ground: Ground, data: st.DataObject) -> None:
    first, second = (data.draw(claims(uid=uid)) for uid in UIDS[:2])
    tokens = st.from_regex(FORM_OF_TOKEN, fullmatch=True)
    one, another = data.draw(tokens), data.draw(tokens)
    body = written(ground, carrier_left(ground, data), first, token_if_new=one)
    body = written(ground, body, second, token_if_new=another)
    assert published_in(ground, body).path_token == one
    body = withdrawn(ground, body, first.uid)
    assert published_in(ground, body).path_token == one
    body = written(ground, withdrawn(ground, body, second.uid), first, token_if_new=another)
    assert published_in(ground, body).path_token == another


def test_claims_whose_object_is_gone_leave_with_the_next_write(ground: Ground) -> None:
    body = written(ground, bare(ground), ORG, replace(OFF, uid="gone"))
    body = written(ground, body, REQUIRING, gone=frozenset({"gone", "never"}))
    assert published_in(ground, body).claims == {UID: REQUIRING, ORG.uid: ORG}


def test_what_several_objects_ask_at_once_is_one_revision(ground: Ground) -> None:
    body = written(ground, bare(ground), OFF)
    body = written(ground, body, REQUIRING, beside=[(ORG, ground.spec), (INNER, None)])
    now = published_in(ground, body)
    assert now.claims == {one.uid: one for one in (REQUIRING, ORG, INNER)}
    assert (now.revision, now.intact) == (2, True)
    for carrier in ground.forbidding(body):
        milder = written(ground, carrier, OFF, beside=[(replace(ORG, enforced=()), ground.spec)])
        assert published_in(ground, milder).revision == 3
        with pytest.raises(Blocked):
            written(ground, carrier, OFF, beside=[(replace(ORG, uid="more"), ground.spec)])


def test_only_what_every_replica_was_seen_to_run_is_noted_as_accepted(ground: Ground) -> None:
    body = written(ground, bare(ground), OFF)
    for seen, accepted in ((None, None), (0, None), (2, None), (1, OFF)):
        after = published_in(ground, written(ground, body, REQUIRING, seen_everywhere=seen))
        assert after.entries[UID].accepted == accepted, seen
    body = written(ground, body, REQUIRING, seen_everywhere=1)
    body = written(ground, body, ORG, seen_everywhere=1)
    assert published_in(ground, body).entries[UID].accepted == OFF, "that was another revision"
    body = written(ground, body, ORG, seen_everywhere=3)
    entries = published_in(ground, body).entries
    assert (entries[UID].accepted, entries[ORG.uid].accepted) == (REQUIRING, ORG)
    body = written(ground, body, OFF, seen_everywhere=None)
    assert published_in(ground, body).entries[UID].accepted is None, (
        "what it comes down from has to be proven again"
    )


@pytest.mark.parametrize(
    "hostile",
    [
        {"uid": 'a"; }'},
        {"uid": ""},
        {"owner": "nobody"},
        {"zone": "example.com; }"},
        {"zone": "example.com\nexample.org"},
        {"patterns": ("www.example.com x",)},
        {"patterns": ("*.*.example.com",)},
        {"enforced": ("$host.example.com",)},
        {"enforced": ("www.example.com#",)},
        {"excepted": ('www.example.com"',)},
        {"pins": (replace(LEAF, sha1=LEAF.sha1[:-1] + ";"),)},
        {"pins": (replace(LEAF, sha256=LEAF.sha256 + "\n"),)},
        {"pins": (replace(LEAF, sha256=""),)},
    ],
    ids=str,
)
def test_nothing_but_names_and_digests_is_ever_rendered(
    ground: Ground, hostile: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r".+"):
        written(ground, bare(ground), replace(REQUIRING, **hostile))


def test_a_token_that_is_none_is_never_rendered(ground: Ground) -> None:
    for token in ("", "short", "UPPERCASE", "a b c d e", "k3y0fth3path\n"):
        with pytest.raises(ValueError, match=r".+"):
            written(ground, bare(ground), REQUIRING, token_if_new=token)


# --- what others forbid, and what there is no room for -------------------------------------------------------------------------------


MILDER = (REQUIRING, claim(enforced=HOSTS[:1]), claim(Mode.OPTIONAL), claim(Mode.REQUEST, ()), OFF)
"""What refuses nobody whom `REQUIRING` serves."""


@tried
@given(st.data())
def test_what_asks_for_more_is_not_written_where_others_forbid_it(
    ground: Ground, data: st.DataObject
) -> None:
    for carrier in ground.forbidding(carrier_left(ground, data)):
        objection = site_of(ground, carrier).objection(ground.spec)
        assert objection
        with pytest.raises(Blocked) as caught:
            written(ground, carrier, OFF)
        assert caught.value.reason is Reason.FOREIGN_CONFIGURATION
        assert caught.value.message == objection


@tried
@given(st.data())
def test_what_asks_no_more_is_written_whatever_others_have_put_there(
    ground: Ground, data: st.DataObject
) -> None:
    before = carrier_left(ground, data)
    assert site_of(ground, before).objection(ground.spec) is None
    body = written(ground, before, ORG, REQUIRING)
    for carrier in ground.forbidding(body):
        for milder in MILDER:
            now = published_in(ground, written(ground, carrier, milder))
            assert (now.intact, now.claims) == (True, {UID: milder, ORG.uid: ORG})
        assert published_in(ground, withdrawn(ground, carrier, UID)).claims == {ORG.uid: ORG}
        assert not published_in(ground, withdrawn(ground, carrier, UID, ORG.uid)).residue


@tried
@given(st.data())
def test_a_write_that_relaxes_never_grows_the_carrier(ground: Ground, data: st.DataObject) -> None:
    body = carrier_left(ground, data)
    for number, one in enumerate(three(data)):
        seen = data.draw(st.sampled_from([None, number]))
        body = written(ground, body, one, seen_everywhere=seen)
    strict = data.draw(st.sampled_from(list(published_in(ground, body).claims.values())))
    mode = data.draw(st.sampled_from([mode for mode in Mode if mode <= strict.mode]))
    kept = [host for host in strict.enforced if mode >= Mode.OPTIONAL and data.draw(st.booleans())]
    milder = replace(strict, mode=mode, enforced=tuple(kept))
    seen = data.draw(st.sampled_from([None, len(UIDS)]))
    assert size_of(written(ground, body, milder, seen_everywhere=seen)) <= size_of(body)


def test_a_full_carrier_takes_no_newcomer_and_whatever_lets_somebody_in(ground: Ground) -> None:
    """Of the 256 KiB of annotations that any object may have, what is there keeps a part for itself."""
    body, renewing = written(ground, bare(ground), REQUIRING), claim(pins=(LEAF, NEXT))
    for room, refused in ((NEW, [ORG]), (GROWING, [ORG, renewing])):
        body["metadata"]["annotations"]["theirs"] = "x" * room.annotations
        for more in (ORG, renewing):
            if more not in refused:
                assert published_in(ground, written(ground, body, more)).intact
                continue
            with pytest.raises(Blocked) as caught:
                written(ground, body, more)
            assert caught.value.reason is Reason.ORIGIN_FULL
            assert str(target_of(ground).key) in caught.value.message
    for milder in (*MILDER, claim(Mode.REQUEST, (), pins=(LEAF, NEXT))):
        assert published_in(ground, written(ground, body, milder)).claims == {UID: milder}
    assert published_in(ground, withdrawn(ground, body, UID)).claims == {}


# --- what is read -------------------------------------------------------------------------------------------------------------------


@tried
@given(st.data())
def test_what_was_decided_on_is_not_changed_by_anothers_claim(
    ground: Ground, data: st.DataObject
) -> None:
    body = written(ground, carrier_left(ground, data), data.draw(claims(uid=UIDS[0])))
    decided_on = published_in(ground, body).as_seen_by(UIDS[0])
    for one in (data.draw(claims(uid=UIDS[1])), data.draw(claims(uid=UIDS[1]))):
        body = written(ground, body, one)
        assert published_in(ground, body).as_seen_by(UIDS[0]) == decided_on
    body = withdrawn(ground, body, UIDS[1])
    assert published_in(ground, body).as_seen_by(UIDS[0]) == decided_on


def test_what_the_text_says_of_a_host_is_changed_by_its_own_zone_only(ground: Ground) -> None:
    asking = claim(Mode.REQUEST, ())
    for own in (REQUIRING, claim(Mode.OPTIONAL), asking):
        body = written(ground, bare(ground), own)
        before = site_of(ground, body).entries(HOSTS)
        assert set(before) == set(HOSTS)
        for other in (ORG, replace(ORG, mode=Mode.REQUEST, enforced=()), INNER):
            body = written(ground, body, other)
            assert site_of(ground, body).entries(HOSTS) == before
        body = withdrawn(ground, body, ORG.uid, INNER.uid)
        assert site_of(ground, body).entries(HOSTS) == before
    forms = [OFF, asking, claim(Mode.OPTIONAL), REQUIRING, claim(pins=(LEAF, NEXT))]
    entries = [site_of(ground, written(ground, bare(ground), one)).entries((WWW,)) for one in forms]
    assert [entries.index(one) for one in entries] == list(range(len(forms)))
    only_apex = site_of(ground, written(ground, bare(ground), claim(enforced=(APEX,)))).entries(
        HOSTS
    )
    assert only_apex[APEX] == entries[3][WWW]
    assert only_apex[WWW] == entries[1][WWW]


def test_where_a_kind_asks_per_host_a_neighbour_who_asks_changes_nothing(ground: Ground) -> None:
    body = written(ground, bare(ground), OFF)
    entries = site_of(ground, body).entries(HOSTS)
    after = site_of(ground, written(ground, body, ORG)).entries(HOSTS)
    assert (after == entries) is ground.kind.capabilities.asks_per_host


def test_hosts_are_those_that_are_served_under_the_patterns_and_those_that_are_named(
    ground: Ground,
) -> None:
    serving = ground.serving(WWW, f"api.{APEX}", "www.example.org")
    site = site_of(ground, bare(ground), *serving, spec=ground.spec)
    listed = ground.lists_hosts
    assert site.hosts(APEX, OFF.patterns, ()).hosts == ((f"api.{APEX}", WWW) if listed else ())
    assert site.hosts(APEX, (WWW,), ()).hosts == ((WWW,) if listed else ())
    also = site.hosts(APEX, (WWW,), (f"new.{APEX}", WWW))
    assert also.hosts == (f"new.{APEX}", WWW)
    assert dict(also.left_out) == {}
    assert site_of(ground, bare(ground)).hosts(APEX, OFF.patterns, ()).hosts == ()


def test_a_host_that_another_zone_claims_is_not_this_zones(ground: Ground) -> None:
    body = written(ground, bare(ground), replace(INNER, mode=Mode.OFF, enforced=()))
    served = (WWW, SHOP, f"a.{SHOP}")
    site = site_of(ground, body, *ground.serving(*served), spec=ground.spec)
    named = () if ground.lists_hosts else served
    assert site.hosts(APEX, OFF.patterns, (*named, f"b.{SHOP}")).hosts == (WWW,)
    assert site.hosts(SHOP, INNER.patterns, named[1:]).hosts == (f"a.{SHOP}", SHOP)


@tried
@given(st.data())
def test_every_host_that_is_named_is_in_or_left_out_with_a_reason(
    ground: Ground, data: st.DataObject
) -> None:
    """And what is in can be required."""
    labels = st.text("abc-", min_size=1, max_size=70).filter(lambda one: one.strip("-") == one)
    drawn = data.draw(st.lists(labels, max_size=3))
    also = [WWW, *(f"{label}.{APEX}" for label in (*drawn, "x" * 64))]
    found_hosts = site_of(ground, bare(ground), *ground.serving(WWW)).hosts(
        APEX, OFF.patterns, also
    )
    assert {*found_hosts.hosts, *found_hosts.left_out} >= {WWW, *also}
    assert not set(found_hosts.hosts) & set(found_hosts.left_out)
    assert list(found_hosts.hosts) == sorted(found_hosts.hosts)
    assert all(is_host(host) and not host.startswith("*") for host in found_hosts.hosts)
    assert all(found_hosts.left_out.values())
    strict = claim(enforced=found_hosts.hosts)
    assert published_in(ground, written(ground, bare(ground), strict)).claims == {UID: strict}


def replicas_of(ground: Ground, *things: Json) -> tuple[Replica, ...]:
    """Whoever acts on a carrier that says nothing of us yet; which those are may stand in the spec alone."""
    objects = objects_of(ground, (bare(ground), *things))
    return ground.kind.site(target_of(ground), objects, ground.spec).replicas


def test_replicas_are_the_pods_that_act_on_the_carrier_and_have_not_ended(ground: Ground) -> None:
    pods = {name: ground.pod(name, "192.0.2.7") for name in "fedcba"}
    pods["a"]["status"]["phase"] = "Succeeded"
    pods["b"]["status"]["phase"] = "Failed"
    pods["c"]["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    pods["d"]["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    del pods["e"]["status"]["podIP"]
    beside = ground.bystander("beside", "192.0.2.8")
    elsewhere = ground.pod("elsewhere", "192.0.2.9")
    elsewhere["metadata"]["namespace"] = "elsewhere"
    replicas = replicas_of(ground, *pods.values(), beside, elsewhere)
    assert [(one.name, one.ready, one.ip) for one in replicas] == [
        ("c", False, "192.0.2.7"),
        ("d", False, "192.0.2.7"),
        ("e", False, ""),
        ("f", True, "192.0.2.7"),
    ]
    assert [one.uid for one in replicas] == [pods[name]["metadata"]["uid"] for name in "cdef"]
    assert {one.key.namespace for one in replicas} == {target_of(ground).namespace}


def test_a_pod_of_which_nothing_is_known_yet_is_one_that_is_not_ready(ground: Ground) -> None:
    pod = ground.pod("new", "192.0.2.7")
    del pod["status"]
    (replica,) = replicas_of(ground, pod)
    assert (replica.ready, replica.ip) == (False, "")


def test_where_nothing_can_be_read_nothing_is_there(ground: Ground) -> None:
    target = target_of(ground)
    reads = ground.kind.reads(target, Scope())
    carrier = ground.kind.carrier(target)
    for objects in ({}, dict.fromkeys(reads), objects_of(ground, ())):
        site = ground.kind.site(target, objects)
        assert (site.exists, site.replicas, site.published.claims) == (False, (), {})
        assert (site.published.intact, site.published.residue) == (True, False)
        assert site.objection(ground.spec) is None
        assert site.hosts(APEX, OFF.patterns, ()).hosts == ()
        assert (dict(site.verifiers(HOSTS)), dict(site.wildcards(HOSTS, OFF.patterns))) == ({}, {})
        assert site.left_open(OFF.patterns) == ()
    alone = ground.kind.site(target, {carrier: (written(ground, bare(ground), REQUIRING),)})
    assert (alone.exists, alone.published.claims) == (True, {UID: REQUIRING})


def test_the_origins_own_words_are_ours_only_where_they_name_what_is_ours(ground: Ground) -> None:
    body, pod = written(ground, bare(ground), REQUIRING), ground.pod("one", "192.0.2.7")
    other = ground.pod("two", "192.0.2.8")
    site = site_of(ground, body, pod, other)
    one, two = site.replicas
    for ours in (True, False):
        complaint = ground.complaint(pod, body, NOW, ours=ours)
        rejection = site.rejection([complaint], one, NOW)
        assert rejection is not None
        assert rejection.ours is ours
        assert rejection.words.isprintable()
        assert 0 < len(rejection.words) <= 300
        assert site.rejection([complaint], one, NOW + timedelta(seconds=0.9)) == rejection, (
            "Events carry whole seconds"
        )
        assert site.rejection([complaint], two, NOW) is None, "another pod's"
        assert site.rejection([complaint], one, NOW + timedelta(seconds=2)) is None, (
            "an older text's"
        )
    assert site.rejection([], one, NOW) is None


def test_the_claims_stand_as_data_where_the_ground_says(ground: Ground) -> None:
    """What `test_damage` builds on."""
    before = bare(ground)
    assert ground.remembered in of_ours(before, written(ground, before, OFF))

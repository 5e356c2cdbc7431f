"""Who else names a zone, and what of it counts: what the status says, which the operator writes, and what a token has shown to this process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from aop.api import AuthenticatedOriginPull, Status, ZoneStatus
from aop.cluster import Cluster
from aop.observe.objects import CLAIMED_S, LISTED_EACH_S, LISTED_S, Objects
from aop.observe.origins import OriginKeepers
from aop.observed import Rival, Unknown
from aop.settings import Settings
from builders import KEY, NOW, UID, ZONE_ID, spec
from clocks import SetClock
from paged import Paged

OTHER_UID = "a3bb189e-8bf9-3888-9912-ace4e6543002"
IDN, PUNYCODE = "bücher.example", "xn--bcher-kva.example"


def manifest(name: Any = "example.com", uid: str = OTHER_UID, **parts: Any) -> dict[str, Any]:
    """Another object as the API server lists it."""
    metadata = {
        "namespace": "other",
        "name": "another",
        "uid": uid,
        "creationTimestamp": "2026-01-30T12:00:00Z",
    }
    return {
        "metadata": metadata | parts.pop("metadata", {}),
        "spec": {"zone": {"name": name}},
        **parts,
    }


class Listed(Paged):
    """A cluster that lists these objects."""

    def __init__(self, *manifests: dict[str, Any]) -> None:
        self.manifests = list(manifests)

    async def list(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
        return self.manifests


def pull(name: str = "example.com", uid: str = UID, **status: Any) -> AuthenticatedOriginPull:
    """An object for that zone."""
    return AuthenticatedOriginPull(
        KEY,
        uid,
        1,
        "1",
        NOW,
        None,
        (),
        {},
        spec(zone={"name": name}, hostnames=[name]),
        Status(**status),
    )


def objects(*manifests: dict[str, Any]) -> Objects:
    return Objects(
        cast("Cluster", Listed(*manifests)), cast("OriginKeepers", None), Settings(), SetClock()
    )


async def rivals(index: Objects, of: AuthenticatedOriginPull) -> tuple[Rival, ...]:
    answer = await index.rivals(of, 1060.0)
    assert not isinstance(answer, Unknown)
    return answer


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ("example.com", "example.com", True),
        (IDN, IDN, True),
        (IDN, PUNYCODE, True),
        (PUNYCODE, IDN, True),
        ("sub.example.com", "example.com", False),
        ("example.com", "sub.example.com", False),
        (None, "example.com", False),
        (17, "example.com", False),
    ],
)
async def test_whoever_names_the_zone_in_either_form_is_a_rival_and_a_zone_under_it_is_another(
    theirs: Any, ours: str, same: bool
) -> None:
    assert bool(await rivals(objects(manifest(theirs)), pull(ours))) is same


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "written",
    [
        {"metadata": {"annotations": {"aop-operator.dev/record": f'{{"zone":"{ZONE_ID}"}}'}}},
        {"spec": {"zone": {"name": "example.com", "id": ZONE_ID}}},
        {"status": {}},
        {"status": {"zone": "nonsense"}},
        {},
    ],
    ids=[
        "the record",
        "the spec",
        "a status without a zone",
        "a status that nobody can read",
        "nothing",
    ],
)
async def test_what_anybody_may_write_says_nothing_of_whose_the_zone_is(
    written: dict[str, Any],
) -> None:
    (other,) = await rivals(objects(manifest(**written)), pull())
    assert (other.zone_id, other.holds) == (None, False)


@pytest.mark.asyncio
async def test_what_the_status_says_counts_after_a_restart() -> None:
    (other,) = await rivals(objects(manifest(status={"zone": {"id": ZONE_ID}})), pull())
    assert (other.zone_id, other.holds) == (ZONE_ID, True)


@pytest.mark.asyncio
async def test_what_a_token_has_shown_to_this_process_is_known_at_once() -> None:
    """The list is a minute old, and two objects may begin within one."""
    index = objects(manifest())
    other = pull(uid=OTHER_UID)
    index.has_shown(other, ZONE_ID)
    assert [(one.zone_id, one.holds) for one in await rivals(index, pull())] == [(ZONE_ID, False)]
    index.has_shown(replace(other, status=Status(zone=ZoneStatus(id=ZONE_ID))), ZONE_ID)
    assert [(one.zone_id, one.holds) for one in await rivals(index, pull())] == [(ZONE_ID, True)]
    index.drop(OTHER_UID)
    index.learn(manifest())
    assert [(one.zone_id, one.holds) for one in await rivals(index, pull())] == [(None, False)]


# --- the index ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_what_the_watch_tells_is_known_without_a_list() -> None:
    index = objects()
    assert await rivals(index, pull()) == ()
    assert index.learn(manifest()) == frozenset()
    assert [one.uid for one in await rivals(index, pull())] == [OTHER_UID]
    index.drop(OTHER_UID)
    assert await rivals(index, pull()) == ()


def test_it_is_news_to_those_of_its_zone_that_an_object_comes_or_goes_and_nothing_else_is() -> None:
    index = objects()
    assert index.learn(manifest(uid=UID)) == frozenset()
    assert index.learn(manifest(metadata={"resourceVersion": "5"})) == {UID}
    assert index.learn(manifest(metadata={"resourceVersion": "6"})) == frozenset(), "its status"
    assert index.learn(manifest("b.example", metadata={"resourceVersion": "7"})) == {UID}
    assert index.learn(manifest(metadata={"resourceVersion": "6"})) == frozenset(), "an old event"
    assert index.drop(OTHER_UID) == frozenset()
    assert index.learn(manifest()) == {UID}
    assert index.drop(OTHER_UID) == {UID}
    assert index.drop("never-heard-of") == frozenset()


@pytest.mark.asyncio
async def test_a_list_is_told_as_a_watch_would_and_comes_at_a_rate_that_does_not_grow() -> None:
    clock, woken = SetClock(), list[str]()
    many = [manifest(f"z{n}.example", uid=f"uid-{n}") for n in range(10_000)]
    cluster = Listed(*many)
    index = Objects(cast("Cluster", cluster), cast("OriginKeepers", None), Settings(), clock)

    index.begin(lambda one: woken.append(one["metadata"]["uid"]))
    await index.rivals(pull(), clock.monotonic_s() + 60)
    assert len(woken) == len(many)
    clock.pass_s(LISTED_EACH_S * len(many) - 1)
    await index.rivals(pull(), clock.monotonic_s() + 60)
    assert len(woken) == len(many), "twenty minutes for ten thousand"
    clock.pass_s(1)
    await index.rivals(pull(), clock.monotonic_s() + 60)
    assert len(woken) == 2 * len(many)


@pytest.mark.asyncio
async def test_while_a_claim_has_no_object_that_is_known_the_list_is_young() -> None:
    clock, cluster = SetClock(), Listed()
    index = Objects(cast("Cluster", cluster), cast("OriginKeepers", None), Settings(), clock)
    await index.rivals(pull(), clock.monotonic_s() + 60)
    clock.pass_s(CLAIMED_S)
    cluster.manifests = [manifest()]
    await index.rivals(pull(), clock.monotonic_s() + 60, {UID})
    assert [one.uid for one in await rivals(index, pull())] == [OTHER_UID]


@pytest.mark.asyncio
async def test_an_object_that_went_without_a_word_is_forgotten_with_the_next_list() -> None:
    clock, cluster = SetClock(), Listed(manifest())
    index = Objects(cast("Cluster", cluster), cast("OriginKeepers", None), Settings(), clock)
    assert await index.rivals(pull(), clock.monotonic_s() + 60) != ()
    cluster.manifests = []
    clock.pass_s(LISTED_S)
    assert await index.rivals(pull(), clock.monotonic_s() + 60) == ()


@pytest.mark.asyncio
async def test_without_that_it_is_a_minute_old() -> None:
    clock, cluster = SetClock(), Listed()
    index = Objects(cast("Cluster", cluster), cast("OriginKeepers", None), Settings(), clock)
    await index.rivals(pull(), clock.monotonic_s() + 60)
    cluster.manifests = [manifest()]
    clock.pass_s(LISTED_S - 1)
    assert await index.rivals(pull(), clock.monotonic_s() + 60) == ()
    clock.pass_s(1)
    assert await index.rivals(pull(), clock.monotonic_s() + 60) != ()

"""Secrets are read once for all who name them, as often as they may have changed without a word, and as seldom as they cannot."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pytest

from aop.cluster import Cluster
from aop.errors import Transient
from aop.observe.secrets import FORGOTTEN_S, PER_MINUTE, WATCHED_S, Secrets
from aop.observed import Unknown
from aop.settings import Settings
from aop.terms import Kind, ObjectKey
from aop.terms.names import WATCH_LABEL
from clocks import SetClock

KEY = ObjectKey("edge", "example-com-aop")
LABELLED = {WATCH_LABEL: "true"}


class SecretsApi:
    """An API server that has Secrets, or refuses."""

    def __init__(self) -> None:
        self.there: dict[ObjectKey, dict[str, Any]] = {}
        self.read: Counter[ObjectKey] = Counter()
        self.refuses = False

    def has(self, key: ObjectKey, labels: dict[str, str] | None = None, **data: str) -> None:
        self.there[key] = {"metadata": {"labels": labels} if labels else {}, "data": data or None}

    async def fetch(self, kind: Kind, key: ObjectKey) -> dict[str, Any] | None:
        assert kind is Kind.SECRET
        self.read[key] += 1
        if self.refuses:
            raise Transient("HTTP 500")
        return self.there.get(key)


class AskingObjects:
    """Objects that ask for Secrets, and the time that passes."""

    def __init__(self, *served: str) -> None:
        self.clock, self.api = SetClock(), SecretsApi()
        self.settings = Settings(watch_namespaces=served)
        self.secrets = Secrets(cast("Cluster", self.api), self.settings, self.clock)

    async def data(
        self,
        key: ObjectKey = KEY,
        after_s: float = 0.0,
        *,
        awaited: bool = False,
        ours: bool = False,
    ) -> Any:
        self.clock.pass_s(after_s)
        until_s = self.clock.monotonic_s() + 60
        return await self.secrets.data(key, awaited=awaited, until_s=until_s, ours=ours)


@pytest.mark.asyncio
async def test_all_who_name_a_secret_share_one_reading() -> None:
    asking = AskingObjects()
    asking.api.has(KEY, token="c2VjcmV0")
    assert [await asking.data() for _ in range(10)] == [{"token": "c2VjcmV0"}] * 10
    assert asking.api.read[KEY] == 1


@pytest.mark.asyncio
async def test_what_no_watch_tells_is_read_again_and_more_often_while_it_is_awaited() -> None:
    asking = AskingObjects()
    settings = asking.settings
    assert await asking.data() is None
    await asking.data(after_s=settings.awaited_recheck_s - 1, awaited=True)
    assert asking.api.read[KEY] == 1
    await asking.data(after_s=1, awaited=True)
    assert asking.api.read[KEY] == 2, "also one that is not there: it may come without our label"
    await asking.data(after_s=settings.recheck_s - 1)
    assert asking.api.read[KEY] == 2
    await asking.data(after_s=1)
    assert asking.api.read[KEY] == 3


@pytest.mark.asyncio
async def test_what_a_watch_tells_is_not_read_again_before_that_may_have_hung() -> None:
    asking = AskingObjects()
    asking.api.has(KEY, LABELLED)
    await asking.data()
    await asking.data(after_s=WATCHED_S - 1)
    assert asking.api.read[KEY] == 1
    await asking.data(after_s=1)
    assert asking.api.read[KEY] == 2


@pytest.mark.asyncio
async def test_a_watched_secret_that_somebody_waits_for_is_read_in_case_that_its_watch_hangs() -> (
    None
):
    asking = AskingObjects()
    asking.api.has(KEY, LABELLED)
    await asking.data()
    await asking.data(after_s=asking.settings.recheck_s - 1, awaited=True)
    assert asking.api.read[KEY] == 1
    await asking.data(after_s=1, awaited=True)
    assert asking.api.read[KEY] == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("labels", "served"),
    [
        ({}, ()),
        ({WATCH_LABEL: "false"}, ()),
        ({"app": "x"}, ()),
        (LABELLED, ("other",)),
    ],
    ids=["no label", "another value", "another label", "another namespace"],
)
async def test_only_the_label_in_a_namespace_that_is_served_makes_a_secret_watched(
    labels: dict[str, str], served: tuple[str, ...]
) -> None:
    asking = AskingObjects(*served)
    asking.api.has(KEY, labels)
    await asking.data()
    await asking.data(after_s=asking.settings.recheck_s)
    assert asking.api.read[KEY] == 2


@pytest.mark.asyncio
async def test_a_secret_that_loses_its_label_is_read_again_like_any_other() -> None:
    asking = AskingObjects()
    asking.api.has(KEY, LABELLED)
    await asking.data()
    asking.api.has(KEY)
    asking.secrets.forget(KEY)  # to its watch it is gone
    await asking.data()
    await asking.data(after_s=asking.settings.recheck_s)
    assert asking.api.read[KEY] == 3


@pytest.mark.asyncio
async def test_nobody_waits_for_a_secret_that_this_process_is_to_make() -> None:
    """Once it is there and has no label, others may do anything to it that no watch tells."""
    asking, settings = AskingObjects(), Settings()
    await asking.data(awaited=True, ours=True)
    await asking.data(after_s=settings.recheck_s - 1, awaited=True, ours=True)
    assert asking.api.read[KEY] == 1
    await asking.data(after_s=1, awaited=True, ours=True)
    assert asking.api.read[KEY] == 2
    asking.api.has(KEY)
    asking.secrets.forget(KEY)
    await asking.data(awaited=True, ours=True)
    await asking.data(after_s=settings.awaited_recheck_s, awaited=True, ours=True)
    assert asking.api.read[KEY] == 4


@pytest.mark.asyncio
async def test_a_secret_that_cannot_be_read_any_more_stands_as_it_was() -> None:
    """It ends nothing that was decided on it (docs/architecture.md#sources-fail-alone)."""
    asking = AskingObjects()
    asking.api.has(KEY, LABELLED, token="b2xk")
    await asking.data()
    asking.api.refuses = True
    asking.secrets.forget(KEY)
    assert await asking.data() == {"token": "b2xk"}
    unread = ObjectKey("edge", "never-read")
    assert isinstance(await asking.data(unread), Unknown)


@pytest.mark.asyncio
async def test_however_many_secrets_nobody_watches_at_rest_they_are_read_at_one_rate() -> None:
    asking, minutes = AskingObjects(), 30
    keys = [ObjectKey("edge", f"theirs-{n}") for n in range(200)]
    for key in keys:
        await asking.data(key)
    asking.api.read.clear()
    for _ in range(minutes * 6):
        asking.clock.pass_s(10)
        for key in keys:
            await asking.data(key)
    assert asking.api.read.total() <= PER_MINUTE * minutes + len(keys)
    assert set(asking.api.read) == set(keys), "each has its turn"
    before = asking.api.read[keys[0]]
    await asking.data(keys[0], after_s=asking.settings.awaited_recheck_s, awaited=True)
    assert asking.api.read[keys[0]] == before + 1, "whoever waits does not wait for the others"


@pytest.mark.asyncio
async def test_a_secret_that_nobody_names_any_more_is_forgotten() -> None:
    asking = AskingObjects()
    await asking.data()
    await asking.data(ObjectKey("edge", "other"), after_s=FORGOTTEN_S)
    assert set(asking.secrets._named) == {ObjectKey("edge", "other")}
    assert set(asking.secrets._unwatched) == {ObjectKey("edge", "other")}


@pytest.mark.asyncio
async def test_a_secret_is_known_at_the_version_at_which_it_was_read() -> None:
    """Its watch lists it once more as it begins, and reports what was just read."""
    asking = AskingObjects()
    assert not asking.secrets.knows(KEY, "")
    await asking.data()
    assert asking.secrets.knows(KEY, ""), "that there is none"
    asking.api.has(KEY)
    asking.api.there[KEY]["metadata"]["resourceVersion"] = "7"
    asking.secrets.forget(KEY)
    await asking.data()
    assert [asking.secrets.knows(KEY, version) for version in ("7", "8", "")] == [
        True,
        False,
        False,
    ]

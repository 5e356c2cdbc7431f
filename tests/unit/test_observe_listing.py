"""What is listed, what a watch shows of it meanwhile, and what becomes of both when either fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from aop.cluster import Cluster, ClusterError, WatchedChange
from aop.observe import listing as module
from aop.observe.listing import REFUSED_S, SHORT_S, UNREAD_S, Listing
from aop.origins.sites import Read
from aop.terms import Kind
from clocks import SetClock, eventually

READ = Read(Kind.POD, "edge")
Json = dict[str, Any]


def pod(name: str, version: int) -> Json:
    """A pod as the API server shows it."""
    metadata = {
        "namespace": "edge",
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
    }
    return {"metadata": metadata}


def change(name: str, version: int, *, gone: bool = False) -> WatchedChange:
    """A change of that pod."""
    return WatchedChange(str(version), pod(name, version), gone)


class Pods:
    """An API server with some pods, whose watches show what a test puts into them."""

    def __init__(self, *pods: Json, version: int = 10) -> None:
        self.pods, self.version, self.lists = list(pods), version, 0
        self.before_listed: Callable[[], object] = lambda: None
        """What happens while the list is on its way."""
        self.since: list[str] = []
        """After which version each watch was to begin."""
        self.refuses: ClusterError | None = None
        self.fails: ClusterError | None = None
        """Why there is no list."""
        self.shows: asyncio.Queue[WatchedChange | ClusterError | None] = asyncio.Queue()
        """What the watch that is under way shows; None ends it."""

    async def each(
        self, kind: Kind, namespace: str | None, *, version: Callable[[str], object]
    ) -> AsyncIterator[Json]:
        assert (kind, namespace) == (READ.kind, READ.namespace)
        self.lists += 1
        if self.fails:
            raise self.fails
        version(str(self.version))
        listed = list(self.pods)
        self.before_listed()
        await asyncio.sleep(0)
        for one in listed:
            yield one

    @asynccontextmanager
    async def watch(
        self, kind: Kind, namespace: str | None, since: str
    ) -> AsyncIterator[AsyncIterator[WatchedChange]]:
        assert (kind, namespace) == (READ.kind, READ.namespace)
        self.since.append(since)
        if self.refuses:
            raise self.refuses
        yield self._shown()

    async def _shown(self) -> AsyncIterator[WatchedChange]:
        while (one := await self.shows.get()) is not None:
            if isinstance(one, ClusterError):
                raise one
            yield one


class SlowPods(Pods):
    """Of whose lists some arrive late."""

    hangs: asyncio.Event | None = None
    """The next list hangs until this is set."""

    async def each(
        self, kind: Kind, namespace: str | None, *, version: Callable[[str], object]
    ) -> AsyncIterator[Json]:
        hangs, seen = self.hangs, str(self.version)
        every = [one async for one in super().each(kind, namespace, version=lambda _: None)]
        if hangs is not None:
            await hangs.wait()
        version(seen)
        for one in every:
            yield one


class FollowedList:
    """A listing of them, and what it has told."""

    def __init__(self, pods: Pods, *, watching: bool = True) -> None:
        self.pods, self.clock, self.shown = pods, SetClock(), list[tuple[str, ...]]()
        shown = (lambda objects: self.shown.append(names(objects))) if watching else None
        self.listing = Listing(READ, cast("Cluster", pods), self.clock, shown)

    async def list(self) -> tuple[str, ...]:
        """What is known after a list."""
        return names(await self.listing.list())

    async def until_followed(self) -> None:
        """A watch stands."""
        await eventually(lambda: self.listing.followed)


def names(objects: tuple[Any, ...]) -> tuple[str, ...]:
    """Each with the version at which it is known."""
    metadata = [one["metadata"] for one in objects]
    return tuple(f"{one['name']}@{one['resourceVersion']}" for one in metadata)


@pytest.mark.asyncio
async def test_what_the_watch_shows_is_told_at_once() -> None:
    following = FollowedList(Pods(pod("a", 3), pod("c", 4)))
    assert await following.list() == ("a@3", "c@4")
    await following.until_followed()
    assert following.pods.since == ["10"]
    for shown, known in (
        (change("b", 11), ("a@3", "b@11", "c@4")),
        (change("a", 12), ("a@12", "b@11", "c@4")),
        (change("c", 13, gone=True), ("a@12", "b@11")),
    ):
        following.pods.shows.put_nowait(shown)
        await eventually(lambda known=known: following.shown[-1:] == [known])  # type: ignore[misc]  # the loop's own
    following.listing.end()


@pytest.mark.asyncio
async def test_a_burst_is_told_once() -> None:
    following = FollowedList(Pods())
    await following.list()
    await following.until_followed()
    for version in range(11, 31):
        following.pods.shows.put_nowait(change("a", version))
    await eventually(lambda: bool(following.shown))
    assert following.shown == [("a@30",)]
    following.listing.end()


@pytest.mark.asyncio
async def test_a_list_that_is_older_than_what_the_watch_has_shown_takes_nothing_back() -> None:
    """It was made before the changes, and arrives after them."""
    pods = Pods(pod("a", 3), pod("b", 4))
    following = FollowedList(pods)
    await following.list()
    await following.until_followed()
    for shown in (change("a", 11), change("b", 12, gone=True), change("c", 13)):
        pods.shows.put_nowait(shown)
    await eventually(lambda: following.shown[-1:] == [("a@11", "c@13")])
    assert await following.list() == ("a@11", "c@13")
    following.listing.end()


@pytest.mark.asyncio
async def test_a_change_that_is_older_than_a_list_takes_nothing_back() -> None:
    """The watch lags, and shows what the list already has."""
    pods = Pods(pod("a", 3))
    following = FollowedList(pods)
    await following.list()
    await following.until_followed()
    pods.pods, pods.version = [pod("a", 20), pod("b", 18)], 20
    assert await following.list() == ("a@20", "b@18")
    for late in (change("a", 15), change("b", 16), change("c", 17), change("c", 19, gone=True)):
        pods.shows.put_nowait(late)
    pods.shows.put_nowait(change("d", 21))
    await eventually(lambda: bool(following.shown))
    assert following.shown == [("a@20", "b@18", "d@21")]
    following.listing.end()


@pytest.mark.asyncio
async def test_a_list_shows_what_the_watch_has_missed() -> None:
    """The watch hangs, and says nothing of it."""
    pods = Pods(pod("a", 3))
    following = FollowedList(pods)
    await following.list()
    await following.until_followed()
    pods.shows.put_nowait(change("a", 11))
    await eventually(lambda: following.shown == [("a@11",)])
    pods.pods, pods.version = [pod("b", 15)], 20
    assert await following.list() == ("b@15",)
    following.listing.end()


@pytest.mark.asyncio
async def test_what_has_not_changed_is_the_very_same() -> None:
    """Whoever has made something of it need not do so again."""
    pods = Pods(pod("b", 3), pod("a", 4))
    following = FollowedList(pods)
    first = await following.listing.list()
    pods.pods.reverse()
    assert await following.listing.list() is first
    pods.pods[0] = pod("a", 5)
    second = await following.listing.list()
    assert (names(second), second[1] is first[1]) == (("a@5", "b@3"), True)
    following.listing.end()


@pytest.mark.asyncio
async def test_a_watch_that_ends_in_its_time_goes_on_where_it_ended() -> None:
    pods = Pods()
    following = FollowedList(pods)
    await following.list()
    await following.until_followed()
    pods.shows.put_nowait(WatchedChange("17", None))
    await eventually(pods.shows.empty)
    following.clock.pass_s(SHORT_S)
    pods.shows.put_nowait(None)
    await eventually(lambda: pods.since == ["10", "17"])
    assert following.listing.followed
    following.listing.end()


@pytest.mark.asyncio
async def test_a_watch_that_ends_at_once_waits_for_the_next_list() -> None:
    """Something in between answers and closes: it is not asked as fast as it can."""
    pods = Pods()
    following = FollowedList(pods)
    pods.shows.put_nowait(None)
    await following.list()
    await eventually(lambda: len(pods.since) == 1 and not following.listing.followed)
    await asyncio.sleep(0)
    assert pods.since == ["10"]
    pods.version = 30
    await following.list()
    await eventually(lambda: pods.since == ["10", "30"])
    following.listing.end()


@pytest.mark.asyncio
async def test_a_watch_that_fails_begins_anew_with_the_next_list() -> None:
    """The API server no longer knows what came after that version."""
    pods = Pods()
    following = FollowedList(pods)
    await following.list()
    await following.until_followed()
    pods.shows.put_nowait(ClusterError("too old resource version", status=410))
    await eventually(lambda: not following.listing.followed)
    pods.version = 40
    await following.list()
    await following.until_followed()
    assert pods.since == ["10", "40"]
    following.listing.end()


@pytest.mark.asyncio
async def test_a_list_after_the_end_of_a_watch_counts_whatever_its_version_is() -> None:
    """A backup of etcd was restored, and versions have gone back."""
    pods = Pods(pod("a", 30), version=30)
    following = FollowedList(pods)
    await following.list()
    await following.until_followed()
    pods.shows.put_nowait(change("a", 31))
    await eventually(lambda: following.shown == [("a@31",)])
    pods.shows.put_nowait(ClusterError("the API server cannot be reached"))
    await eventually(lambda: not following.listing.followed)
    pods.pods, pods.version = [pod("b", 5)], 12
    assert await following.list() == ("b@5",)
    following.listing.end()


@pytest.mark.asyncio
async def test_a_watch_that_is_refused_is_tried_seldom_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The Role is that of an older chart."""
    pods = Pods(pod("a", 3))
    pods.refuses = ClusterError("forbidden", status=403)
    following = FollowedList(pods)
    await following.list()
    await eventually(lambda: len(pods.since) == 1)
    following.clock.pass_s(REFUSED_S / 2)
    assert await following.list() == ("a@3",)
    await asyncio.sleep(0)
    assert len(pods.since) == 1
    following.clock.pass_s(REFUSED_S)
    await following.list()
    await eventually(lambda: len(pods.since) == 2)
    pods.refuses = None
    following.clock.pass_s(REFUSED_S)
    await following.list()
    await following.until_followed()
    assert [one.message for one in caplog.records if one.levelname == "WARNING"] == ["forbidden"]
    following.listing.end()


@pytest.mark.asyncio
async def test_nobody_is_watched_for_whom_nobody_asks() -> None:
    """The last object of the origin is gone."""
    pods = Pods()
    following = FollowedList(pods)
    await following.list()
    await following.until_followed()
    following.clock.pass_s(UNREAD_S)
    pods.shows.put_nowait(None)
    await eventually(lambda: not following.listing.followed)
    assert pods.since == ["10"]


@pytest.mark.asyncio
async def test_whoever_looks_once_watches_nothing() -> None:
    pods = Pods(pod("a", 3))
    following = FollowedList(pods, watching=False)
    assert await following.list() == ("a@3",)
    await asyncio.sleep(0)
    assert pods.since == []


@pytest.mark.asyncio
async def test_nothing_is_watched_after_the_end() -> None:
    pods = Pods()
    following = FollowedList(pods)
    await following.list()
    await following.until_followed()
    following.listing.end()
    await eventually(lambda: not following.listing.followed)


@pytest.mark.asyncio
async def test_a_list_that_arrives_after_the_end_begins_no_watch() -> None:
    """Another process may lead by now, and nobody would end the watch."""
    pods = Pods()
    following = FollowedList(pods)
    pods.before_listed = following.listing.end
    await following.list()
    await asyncio.sleep(0)
    assert pods.since == []


@pytest.mark.asyncio
async def test_a_list_that_was_overtaken_takes_nothing_back() -> None:
    """An object has come, and its Ingresses are listed anew while an earlier list hangs."""
    pods, hangs = SlowPods(pod("a", 3)), asyncio.Event()
    following = FollowedList(pods)
    pods.hangs = hangs
    overtaken = asyncio.create_task(following.list())
    await eventually(lambda: pods.lists == 1)
    pods.hangs, pods.pods, pods.version = None, [pod("a", 15)], 20
    assert await following.list() == ("a@15",)
    await following.until_followed()
    hangs.set()
    assert await overtaken == ("a@15",)
    pods.shows.put_nowait(change("b", 21))
    await eventually(lambda: following.shown == [("a@15", "b@21")])
    following.listing.end()


@pytest.mark.asyncio
async def test_after_the_end_of_a_watch_nobody_has_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server was replaced, and a pod, too; the only object of the origin rests for an hour."""
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    monkeypatch.setattr(module, "AGAIN_AT_MOST_S", 0.01)
    pods = Pods(pod("a", 3))
    following = FollowedList(pods)
    await following.list()
    await following.until_followed()
    pods.fails = ClusterError("the API server cannot be reached")
    pods.shows.put_nowait(pods.fails)
    await eventually(lambda: pods.lists > 2)
    assert not following.listing.followed
    pods.fails, pods.pods, pods.version = None, [pod("b", 45)], 50
    await following.until_followed()
    assert (following.shown, pods.since) == ([("b@45",)], ["10", "50"])
    following.listing.end()


@pytest.mark.asyncio
async def test_a_kind_that_comes_later_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody installs the routers' CRD."""
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    pods = Pods(pod("a", 3))
    following = FollowedList(pods)
    pods.fails = ClusterError("there is no such kind", status=404)
    with pytest.raises(ClusterError):
        await following.list()
    pods.fails = None
    await following.until_followed()
    assert following.shown == [("a@3",)]
    following.listing.end()

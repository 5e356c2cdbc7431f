"""All objects of a kind that drivers read: listed, and then followed by a watch.

The watch shows a change at once, and costs nothing while there is none. Nothing relies on it
(docs/adr/0025): lists go on beside it, seldom, and as often as ever where there is none, because it
may not be opened, has ended or has fallen silent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aop.clock import Clock
from aop.cluster import Cluster, ClusterError, WatchedChange, lean
from aop.observe.kept import form_of, identity_of, number_of, unless_changed
from aop.origins.sites import Json, Read

REFUSED_S = 600.0
"""When a watch that was refused is tried again: the right to it has to be granted first."""
SHORT_S = 5.0
"""A watch that ends sooner by itself is not followed by the next one at once."""
GATHERED_S = 0.1
"""How long a change waits for those that come with it: to put thousands of objects in their order
takes milliseconds, and a controller that writes all their statuses changes hundreds a second."""
AGAIN_S, AGAIN_AT_MOST_S = 10.0, 60.0
"""How long whoever is not watched is not listed unasked, at first and at most."""
UNREAD_S = 86_400.0
"""When a watch ends of which nobody has asked for a list in the meantime. Among ten thousand
objects, the one that names an origin is looked at every hour."""
log = logging.getLogger("aop")

Shown = Callable[[tuple[Json, ...]], None]
"""Takes all objects as they are after a change that the watch has shown."""


class Listing:
    """All objects of one reading; built once per process."""

    def __init__(self, read: Read, cluster: Cluster, clock: Clock, shown: Shown | None) -> None:
        """`shown` is None for whoever looks only once: then there is no watch."""
        self._read = read
        self._cluster = cluster
        self._clock = clock
        self._shown = shown
        self._objects: dict[object, Json] = {}
        """As they were listed or shown last."""
        self._value: tuple[Json, ...] = ()
        self._changes: dict[object, tuple[int, Json | None]] = {}
        """What the watch has shown since the last list, and at which version; None: it is gone."""
        self._following: asyncio.Task[None] | None = None
        self._listed = asyncio.Event()
        """Set by each list that is taken over."""
        self._version = ""
        """The resourceVersion of that list; empty: no watch is to begin after it."""
        self._begun = self._taken = 0
        """Which list was begun last, and which one is known."""
        self._refused_at_s = float("-inf")
        self._asked_at_s = float("-inf")
        self._telling = False
        self.followed = False
        """Whether a watch shows each change."""

    async def list(self) -> tuple[Json, ...]:
        """All of them, as they are known after a list. Raises `ClusterError`.

        If nothing has changed it is the very tuple of before.
        """
        self._asked_at_s = self._clock.monotonic_s()
        try:
            await self._list()
        finally:
            self._follow()
        return self._value

    def end(self) -> None:
        """Watch no more, whatever is still listed."""
        self._shown = None
        if self._following is not None:
            self._following.cancel()

    # --- what is known ----------------------------------------------------------------------------

    async def _list(self) -> None:
        """Take over a list, unless one that was begun later is known already."""
        self._begun += 1
        turn = self._begun
        if not self.followed:
            # The list is younger than all that an earlier watch has shown, whatever its version:
            # that goes back where a backup of etcd is restored.
            self._changes.clear()
        listed, version = dict[object, Json](), ""

        def note(of_list: str) -> None:
            nonlocal version
            version = of_list

        async for each in self._cluster.each(self._read.kind, self._read.namespace, version=note):
            listed[identity_of(each)] = self._kept(each)
        if turn > self._taken:
            self._taken, self._version = turn, version
            self._take(listed, number_of(version))
            self._listed.set()

    def _kept(self, manifest: Json) -> Json:
        """What is as before is the same object, and anything else is made lean at once."""
        known = self._objects.get(identity_of(manifest))
        same = known is not None and form_of(known) == form_of(manifest)
        return known if known is not None and same else lean(dict(manifest))

    def _take(self, listed: dict[object, Json], version: int) -> None:
        """Take over a list. What the watch has shown after it was made still counts."""
        self._changes = {key: one for key, one in self._changes.items() if one[0] > version}
        self._objects = listed
        for key, (_, manifest) in self._changes.items():
            self._put(key, manifest)
        self._settle()

    def _put(self, key: object, manifest: Json | None) -> None:
        if manifest is None:
            self._objects.pop(key, None)
        else:
            self._objects[key] = manifest

    def _settle(self) -> None:
        now = tuple(sorted(self._objects.values(), key=_name))
        self._value = unless_changed(self._value, now)

    # --- the watch --------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Have a watch go on after the last list, if none does."""
        if self._shown is not None and (self._following is None or self._following.done()):
            self._following = asyncio.create_task(self._go_on(self._shown))

    async def _go_on(self, shown: Shown) -> None:
        """Follow every change; where a watch ends, go on after the next list.

        Objects at rest are looked at seldom where there are many. So nobody may ask for that list
        for an hour, and it is made here.
        """
        wait_s = AGAIN_S
        while self._clock.monotonic_s() - self._asked_at_s < UNREAD_S:
            self._listed.clear()
            now_s = self._clock.monotonic_s()
            if self._version and now_s - self._refused_at_s >= REFUSED_S:
                await self._watch(self._version, shown)
                self._version = ""  # what came before the end does not show what came after
                self._listed.clear()
            lasted_s = self._clock.monotonic_s() - now_s
            wait_s = AGAIN_S if lasted_s >= SHORT_S else min(2 * wait_s, AGAIN_AT_MOST_S)
            try:
                async with asyncio.timeout(wait_s / 2 + self._clock.jitter(wait_s / 2)):
                    await self._listed.wait()
            except TimeoutError:
                await self._list_again(shown)

    async def _list_again(self, shown: Shown) -> None:
        before = self._value
        try:
            await self._list()
        except ClusterError as error:
            log.debug("%s", error.message)
        except Exception:
            log.exception("bug while listing %s", self._read)
        if self._value is not before:
            shown(self._value)

    async def _watch(self, version: str, shown: Shown) -> None:
        """Follow every change after `version`, until a watch ends that was not to end."""
        try:
            lasted_s = SHORT_S
            while lasted_s >= SHORT_S and self._clock.monotonic_s() - self._asked_at_s < UNREAD_S:
                began_s = self._clock.monotonic_s()
                async with self._cluster.watch(
                    self._read.kind, self._read.namespace, version
                ) as changes:
                    self.followed = True
                    async for change in changes:
                        version = change.version
                        self._notice(change, shown)
                lasted_s = self._clock.monotonic_s() - began_s
        except ClusterError as error:
            refused = error.status in {401, 403}
            first = self._refused_at_s == float("-inf")
            log.log(logging.WARNING if refused and first else logging.DEBUG, "%s", error.message)
            if refused:
                self._refused_at_s = self._clock.monotonic_s()
        except Exception:
            log.exception("bug while watching %s", self._read)
        finally:
            self.followed = False

    def _notice(self, change: WatchedChange, shown: Shown) -> None:
        late = 0 < number_of(change.version) <= number_of(self._version)
        if change.manifest is None or late:  # a list has shown what came after it
            return
        key = identity_of(change.manifest)
        manifest = None if change.gone else self._kept(change.manifest)
        self._changes[key] = number_of(change.version), manifest
        self._put(key, manifest)
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_later(GATHERED_S, self._tell, shown)

    def _tell(self, shown: Shown) -> None:
        self._telling = False
        before = self._value
        self._settle()
        if self._value is not before and self._shown is not None:
            shown(self._value)


def _name(one: Json) -> tuple[str, str]:
    metadata = one["metadata"]
    return metadata.get("namespace", ""), metadata.get("name", "")

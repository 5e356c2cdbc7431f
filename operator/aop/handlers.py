"""Kopf as the watch layer: it reports what there is and what has changed, and decides nothing.

Each kind has its own Kopf, in a thread and an event loop of its own. Kopf ends with the first error
that it does not know, and with it every task of its loop. Here that is one watch, which begins
anew, while the loops of the objects and the other watches go on (facts: kopf#what-ends-it). There
are only `on.event` handlers, and Kopf writes nothing: all other ways lost data when they were tried
(facts: kopf#failed-patches, kopf#change-handlers; docs/adr/0002).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import aiohttp
import kopf
from aiohttp.client_middlewares import ClientHandlerType

from aop.api import GROUP, WATCH_LABEL
from aop.clock import Clock
from aop.cluster import Kind, parsed
from aop.health import Health
from aop.metrics import Metrics
from aop.settings import Settings

log = logging.getLogger("aop")

WATCHED = (Kind.AUTHENTICATED_ORIGIN_PULL, Kind.SECRET, Kind.CONFIG_MAP)
BY_METADATA = frozenset({Kind.SECRET, Kind.CONFIG_MAP})
"""Kinds of which only the metadata is requested. Whoever needs the content reads it by name, and
thirty objects of a megabyte each would not fit into memory."""
FIRST_AGAIN_S, LONGEST_AGAIN_S = 1.0, 15.0
FOLLOWED_WITHIN_S, CHECKED_S = 60.0, 5.0
"""When a watch begins anew of whose kind Kopf lists and follows nothing, and how often that is
checked (facts: kopf#kinds-that-come-late)."""
DEFINITIONS = "customresourcedefinitions.v1.apiextensions.k8s.io"
LISTED_AT_ONCE = 250
"""How many objects one answer lists. Of the memory that thousands take at once hardly any is given
back (facts: kopf#listed-objects)."""
IDLE_S = 0.1
"""How long Kopf keeps a task for an object, and with it the object, after it has told of it."""
ENDED_WITHIN_S = 3.0
"""How long the end of the process waits for one of Kopf's threads: nothing is under way there."""

Tell = Callable[[str | None, dict[str, Any]], None]
"""Takes the type of an event (None: listed) and the object, in the watch's thread."""


class Watch:
    """One kind's watch, which never ends by itself."""

    def __init__(
        self,
        kind: Kind,
        settings: Settings,
        login: Callable[..., kopf.ConnectionInfo | None],
        tell: Tell,
        clock: Clock,
        health: Health,
        metrics: Metrics,
    ) -> None:
        self.kind = kind
        self._clock = clock
        self._settings = settings
        self._login = login
        self._tell = tell
        self._health = health
        self._failures = metrics.watch_failures.labels(kind=kind.plural)
        self._answered = metrics.watch_answered.labels(kind=kind.plural)
        self._ending = threading.Event()
        self._serving: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._answered_s = 0.0
        """When a list or a watch of the kind was answered last (monotonic), or Kopf was started."""
        self._following: dict[str, aiohttp.ClientResponse] = {}
        """The last watch of each path."""
        self._listed = set[str]()
        """The paths whose list was read to its end: one for each namespace that is served."""
        self._thread = threading.Thread(target=self._run, name=f"watch-{kind.plural}", daemon=True)

    def start(self) -> None:
        """Begin, and go on until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Report nothing any more."""
        self._ending.set()
        if self._serving is not None:
            loop, stop = self._serving
            try:
                loop.call_soon_threadsafe(stop.set)
            except RuntimeError:  # it has just ended by itself
                log.debug("the watch of %s had ended", self.kind.plural)
        self._thread.join(ENDED_WITHIN_S)

    def _run(self) -> None:
        again_s = FIRST_AGAIN_S
        while not self._ending.is_set():
            self._answered_s = self._clock.monotonic_s()
            self._following, self._listed = {}, set()
            try:
                asyncio.run(self._serve())
                why = f"it has listed and followed nothing for {FOLLOWED_WITHIN_S:.0f} s"
            except Exception as error:  # noqa: BLE001 - whatever ends Kopf, its watch goes on
                why = f"{type(error).__name__}: {error}"
            if self._ending.is_set():
                return
            self._failures.inc()
            again_s = FIRST_AGAIN_S if self._listed else min(2 * again_s, LONGEST_AGAIN_S)
            log.warning(
                "the watch of %s has ended, and begins anew in %.0f s: %s",
                self.kind.plural,
                again_s,
                why,
            )
            self._ending.wait(again_s)

    async def _serve(self) -> None:
        """Run Kopf until it fails, follows nothing, or is told to stop. Raises what it raises."""
        stop = asyncio.Event()
        self._serving = (asyncio.get_running_loop(), stop)
        if self._ending.is_set():
            return
        namespaces = self._settings.watch_namespaces
        registry = kopf.OperatorRegistry()
        register(registry, self.kind, self._session, self._tell)
        running = asyncio.create_task(
            kopf.operator(
                registry=registry,
                settings=kopf_settings(self._settings),
                # Only Kopf's peering would use it, which is off. The name that Kopf makes up itself
                # needs an entry in a passwd file.
                identity="aop-operator",  # type: ignore[arg-type]
                clusterwide=not namespaces,
                namespaces=namespaces,
                stop_flag=stop,
            )
        )
        while not running.done() and not self._is_lost():
            await asyncio.wait({running}, timeout=CHECKED_S)
        stop.set()
        await running

    def _is_lost(self) -> bool:
        """Whether Kopf waits for its kind, which it did not find or takes for deleted."""
        followed = any(not response.closed for response in self._following.values())
        silent_s = self._clock.monotonic_s() - self._answered_s
        return not followed and silent_s > FOLLOWED_WITHIN_S

    def _session(self, **kwargs: Any) -> kopf.AiohttpSession | None:
        """Kopf's client, which also notices what is listed."""
        if (login := self._login(**kwargs)) is None:
            return None
        return kopf.AiohttpSession(
            server=login.server,
            default_namespace=login.default_namespace,
            aiohttp_session=aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=login.as_ssl_context()),
                headers=login.as_http_headers(),
                middlewares=(self._pass,),
                response_class=Listed,
            ),
        )

    async def _pass(
        self, request: aiohttp.ClientRequest, handler: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Ask only for metadata where that is enough, and note which list was answered."""
        path = request.url.path
        ours = path.endswith(f"/{self.kind.plural}")
        watching = request.url.query.get("watch") == "true"
        if ours and self.kind in BY_METADATA:
            request.headers["Accept"] = metadata_only("" if watching else "List")
        response = await handler(request)
        if response.status < 500:
            self._health.answered()
        if ours and response.ok:
            self._answered_s = self._clock.monotonic_s()
            if watching:
                self._following[path] = response
                self._note_answered()
            elif isinstance(response, Listed):
                response.read_last = lambda: self._note_listed(path)
        return response

    def _note_answered(self) -> None:
        self._answered.set(self._clock.wall().timestamp())

    def _note_listed(self, path: str) -> None:
        self._listed.add(path)
        self._note_answered()
        if len(self._listed) >= max(1, len(set(self._settings.watch_namespaces))):
            self._health.listed(self.kind.plural)


class Listed(aiohttp.ClientResponse):
    """An answer whose list is a list: an empty one of metadata has `items: null`."""

    read_last: Callable[[], None] | None = None
    """Is called if this is the last part of a list, once it was read."""

    async def json(self, **how: Any) -> Any:
        """As aiohttp's, without who has written which field; no `items` are an empty list."""
        answer = await super().json(loads=parsed, **how)
        if isinstance(answer, dict) and "items" in answer:
            answer["items"] = answer["items"] or []
            if self.read_last and not (answer.get("metadata") or {}).get("continue"):
                self.read_last()
        return answer


def metadata_only(suffix: str) -> str:
    """The Accept header for objects without their content; `suffix` is List for lists.

    Kubernetes API Concepts: "Metadata-only fetches".
    """
    return f"application/json;as=PartialObjectMetadata{suffix};g=meta.k8s.io;v=v1"


def register(
    registry: kopf.OperatorRegistry, kind: Kind, login: Callable[..., Any], tell: Tell
) -> None:
    """Put the two handlers of one kind's watch into `registry`."""
    prefix, plural, _ = kind.value
    *_, group, version = prefix.split("/")

    @kopf.on.login(registry=registry, id="login")
    async def _login(**kwargs: Any) -> Any:
        return login(**kwargs)

    @kopf.on.event("" if group == "api" else group, version, plural, registry=registry, id="tell")
    async def _tell(event: Any, type: str | None, **_: Any) -> None:  # noqa: A002 - Kopf's name
        tell(type, dict(event["object"]))


def kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """Kopf's own settings for production (facts: kopf#production-settings).

    `error_backoffs` is short, because the code that begins a watch anew reports and counts it.
    """
    tuned = kopf.OperatorSettings()
    tuned.peering.standalone = True
    # Kopf removes its finalizer from an object for which none of its handlers needs it: it is not
    # ours.
    tuned.persistence.finalizer = f"{GROUP}/kopf-holds-nothing"
    tuned.watching.label_selectors["secrets.v1"] = f"{WATCH_LABEL}=true"
    tuned.watching.label_selectors["configmaps.v1"] = f"{WATCH_LABEL}=true"
    # Kopf waits for the definition of its kind, and would read and follow all others with it.
    definition = f"metadata.name={Kind.AUTHENTICATED_ORIGIN_PULL.plural}.{GROUP}"
    tuned.watching.field_selectors[DEFINITIONS] = definition
    tuned.watching.server_timeout = 10 * 60
    tuned.watching.chunk_size = LISTED_AT_ONCE
    tuned.queueing.idle_timeout = IDLE_S
    tuned.watching.connect_timeout = 10
    tuned.networking.connect_timeout = 10
    tuned.networking.request_timeout = 30
    tuned.networking.error_backoffs = (1, 2, 4)
    tuned.posting.enabled = False
    tuned.scanning.disabled = bool(settings.watch_namespaces)
    return tuned

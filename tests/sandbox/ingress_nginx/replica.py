"""One controller Pod: its nginx, its copy of the cluster, and the loop that turns the one into the other.

Each replica sees, tries and reloads by itself; what a failing or a lagging one does is the point of
having two. The state machine is that of the controller (facts: ingress-nginx#reloads,
ingress-nginx#starting-pods, ingress-nginx#old-workers).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from sandbox.ingress_nginx import model as models
from sandbox.ingress_nginx import template
from sandbox.ingress_nginx.api import ApiClient, Json
from sandbox.ingress_nginx.client_auth import Bundle
from sandbox.ingress_nginx.events import Note, Recorder
from sandbox.ingress_nginx.health import serve as serve_health
from sandbox.ingress_nginx.knobs import ReplicaKnobs
from sandbox.ingress_nginx.model import Model
from sandbox.ingress_nginx.nginx import Nginx, ReloadError
from sandbox.ingress_nginx.place import Place
from sandbox.ingress_nginx.pods import ControllerPod, Installation
from sandbox.ingress_nginx.store import Change, Store
from sandbox.ingress_nginx.syncs import SyncQueue, TokenBucket

logger = logging.getLogger(__name__)

FIRST_SYNC_PAUSE_S = 1.0
RELOADED = "NGINX reload triggered due to a change in configuration"
STILL_RELOADING = "worker reload already in progress, requeuing reload"


@dataclass(slots=True)
class ReplicaHistory:
    """What a replica has done so far. Times are UTC, ISO 8601."""

    syncs: int = 0
    reloads: list[str] = field(default_factory=list)
    failures: int = 0
    last_error: str | None = None
    """The words of the last rejected text; None again once a sync has succeeded."""
    retry_in_s: float | None = None
    checksum: str | None = None
    """As in the first line of the nginx.conf that runs; a string, because it does not fit the
    numbers of every JSON reader."""


class StandInReplica:
    """`run` it in a task; cancelling that ends it at once.

    `retire` ends it as a node drain does.
    """

    def __init__(
        self,
        api: ApiClient,
        installation: Installation,
        place: Place,
        knobs: ReplicaKnobs,
        *,
        first_sync_pause_s: float = FIRST_SYNC_PAUSE_S,
    ) -> None:
        self.place = place
        self.record = ReplicaHistory()
        self.knobs = knobs
        self.nginx = Nginx(place)
        self.pod = ControllerPod(api, installation, place.address)
        self._installation = installation
        self._first_sync_pause_s = first_sync_pause_s
        self._recorder = Recorder(api)
        self._queue = SyncQueue(time.monotonic)
        self._limit = TokenBucket()
        self._store = Store(
            api,
            installation.scope,
            lambda key, skippable: self._queue.put(key, skippable=skippable),
            self._saw_configmap,
        )
        self._running: Model | None = None
        self._draining: asyncio.Task[None] | None = None
        self._turned = asyncio.Event()

    @property
    def healthy(self) -> bool:
        """What `/healthz` says: 200 after the first success, and for good, whatever is rejected later (facts: ingress-nginx#starting-pods)."""
        return self._running is not None and self.nginx.alive

    async def turn(self, knobs: ReplicaKnobs) -> None:
        """Set the knobs; returns when it is so."""
        self.knobs = knobs
        await asyncio.to_thread(self.nginx.hold, hung=knobs.hung)
        self._show_readiness()
        self._turned.set()

    async def run(self) -> None:
        """Live until cancelled: start nginx, create the Pod, watch, sync. The Pod object stays."""
        async with contextlib.AsyncExitStack() as parts:
            parts.push_async_callback(self.nginx.stop)
            self.nginx.start()
            await self.nginx.started()
            await asyncio.to_thread(self.nginx.hold, hung=self.knobs.hung)
            health = await serve_health(
                self.place.address, self._installation.ports.healthz, lambda: self.healthy
            )
            parts.push_async_callback(health.cleanup)
            await self.pod.create()
            async with asyncio.TaskGroup() as group:
                for work in (self.pod.run(), self._follow_the_cluster(), self._loop()):
                    group.create_task(work)

    async def retire(self, grace_s: float) -> None:
        """Mark the Pod as terminating and let nginx finish what it has begun, for at most `grace_s`. Cancel `run` afterwards."""
        await self.pod.terminate(max(int(grace_s), 1))
        await self.nginx.stop(grace_s=grace_s)

    def facts(self) -> Json:
        """Everything known about the replica, for the control API."""
        address = self.place.address
        return {
            "pod": self.pod.name,
            "address": address,
            "http": f"{address}:{self.place.http_port}",
            "https": f"{address}:{self.place.https_port}",
            "ready": self.pod.ready,
            "terminating": self.pod.terminating,
            "nginx_pid": self.nginx.pid if self.nginx.alive else None,
            **asdict(self.knobs),
            **asdict(self.record),
        }

    async def _follow_the_cluster(self) -> None:
        """What needs the API server; interrupted while the replica is cut off from it."""
        while True:
            await self._until(lambda: not self.knobs.cut_off)
            async with asyncio.TaskGroup() as group:
                works = [
                    group.create_task(work) for work in (self._recorder.run(), self._store.run())
                ]
                await self._until(lambda: self.knobs.cut_off)
                for work in works:
                    work.cancel()

    async def _loop(self) -> None:
        await self._store.synced()
        self._queue.put("initial-sync", skippable=False)
        while True:
            order = await self._queue.get()
            begun = time.monotonic()
            await asyncio.sleep(self._limit.reserve(begun))
            await self._until(lambda: not self.knobs.paused)
            self.record.syncs += 1
            try:
                await self._sync()
            except (ReloadError, OSError) as error:
                self.record.failures += 1
                self.record.last_error = str(error)
                self.record.retry_in_s = self._queue.failed(order)
                logger.warning("%s at %s: %s", self.pod.name, self.place.address, error)
                self._note("Warning", f"Error reloading NGINX: {error}")
            else:
                self.record.last_error = self.record.retry_in_s = None
                self._queue.succeeded(order, begun=begun)

    async def _until(self, state: Callable[[], bool]) -> None:
        """Wait until the knobs are turned so."""
        while not state():
            self._turned.clear()
            await self._turned.wait()

    async def _sync(self) -> None:
        wanted = models.build(
            self._store.configuration, self._store.ingresses(), self._store.secrets()
        )
        for secret in self._store.named_secrets().values():
            if (bundle := Bundle.of(secret)) is not None:
                bundle.write(self.place.ssl_folder)
        if wanted == self._running:
            return
        serially = wanted.configuration.enable_serial_reloads
        if serially and self._draining is not None and not self._draining.done():
            raise ReloadError(STILL_RELOADING)
        await self._reload(wanted)
        if serially:
            self._draining = asyncio.create_task(self.nginx.drained())
        first, self._running = self._running is None, wanted
        if first:
            self._show_readiness()
            asyncio.get_running_loop().call_later(self.knobs.endpoints_lag_s, self._push_endpoints)

    async def _reload(self, wanted: Model) -> None:
        """Try it, load it, and say so.

        Raises:
            ReloadError: nginx does not take it.
        """
        checksum = wanted.checksum(self.pod.name)
        text = template.render(wanted, self.place, checksum)
        await self.nginx.test(text)
        await asyncio.sleep(self.knobs.reload_lag_s)
        if not self.knobs.endpoints_lag_s:
            self._push_endpoints()
        await self.nginx.apply(text, load_lag_s=self.knobs.load_lag_s)
        self.record.checksum = str(checksum)
        self.record.reloads.append(datetime.now(UTC).isoformat())
        self._note("Normal", RELOADED)
        if self._running is None:
            # The controller gives nginx time to start before it pushes endpoints; until then it is
            # not healthy.
            await asyncio.sleep(self.knobs.load_lag_s + self._first_sync_pause_s)

    def _push_endpoints(self) -> None:
        if self.nginx.alive:
            self.place.endpoints_file.touch()

    def _show_readiness(self) -> None:
        self.pod.ready = self._running is not None and not (
            self.knobs.cut_off or self.knobs.unready
        )

    def _note(self, kind: str, message: str) -> None:
        if self.pod.object is not None:
            self._recorder.note(self.pod.object, Note(kind, "RELOAD", message))

    def _saw_configmap(self, change: Change, item: Json) -> None:
        scope = self._installation.scope
        about = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": item["metadata"]}
        reason = "CREATE" if change == "added" else "UPDATE"
        self._recorder.note(
            about, Note("Normal", reason, f"ConfigMap {scope.namespace}/{scope.configmap}")
        )

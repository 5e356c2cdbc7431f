"""Kopf as the watch layer.

Handlers that only wake, one daemon per object that loops, one deletion that runs the teardown.
Nothing is written through Kopf's `patch`, and no change-detecting handler exists: each lost data
when it was tried (facts: kopf#failed-patches, kopf#change-handlers; docs/adr/0002). Every handler
has an explicit id (facts: kopf#names-of-handlers).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Self

import kopf

from aop.api import FINALIZER, GROUP, PLURAL, ROTATE_ANNOTATION, VERSION, WATCH_LABEL
from aop.clock import Clock
from aop.observe import Observer
from aop.observe.memory import Memory
from aop.observe.origins import OriginKeepers
from aop.origins.kinds import KINDS
from aop.orphans import Orphans
from aop.reconcile import Reconciler
from aop.settings import Settings
from aop.terms import ObjectKey

RESOURCE = (GROUP, VERSION, PLURAL)
CANCELLATION_S = 20.0
"""How long a step that is under way at the end of the process may take: a mutation at Cloudflare is
not cut off."""


TEARDOWN_TURN_S = 3600.0
"""How long one call of the deletion handler loops: each retry of Kopf's costs a write of its
progress and a line that reads as an error, which only a removal that is stuck deserves; the end of
a turn lets go of the events that have queued up for the object meanwhile."""


@dataclass(slots=True)
class Loop:
    """One object's wake event, lock and memory."""

    memory: Memory
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    seen: tuple[object, ...] = ()
    references: frozenset[ObjectKey] = frozenset()
    """Secrets and ConfigMaps that the spec names."""


class Loops:
    """All objects' slots, by uid; Kopf's memo.

    It copies the memo per object, and this one is shared.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        observer: Observer,
        origins: OriginKeepers,
        orphans: Orphans,
        clock: Clock,
    ) -> None:
        self.reconciler = reconciler
        self.observer = observer
        self.origins = origins
        self.orphans = orphans
        self.clock = clock
        self._slots: dict[str, Loop] = {}
        self.last_visit_s = clock.monotonic_s()

    def __copy__(self) -> Self:
        return self

    def slot(self, uid: str) -> Loop:
        """The object's slot, made at its first mention.

        One of the same name that comes after it has another uid, and its own.
        """
        if uid not in self._slots:
            self._slots[uid] = Loop(Memory(uid=uid))
            self.origins.forget_what_is_served()
        return self._slots[uid]

    def drop(self, uid: str) -> None:
        """The object is gone; whoever still visits it finds nothing to do."""
        if slot := self._slots.pop(uid, None):
            slot.memory.gone = True
            slot.wake.set()
        self.reconciler.drop(uid)
        self.origins.drop(uid)
        self.observer.objects.drop(uid)

    def wake_all(self) -> None:
        """Something that any object may care about has changed."""
        self.observer.objects.forget()
        for slot in self._slots.values():
            slot.wake.set()

    def wake_referrers(self, key: ObjectKey) -> None:
        """A Secret or ConfigMap has changed: whoever names it looks again, and reads it anew."""
        self.origins.forget(key)
        for slot in self._slots.values():
            if key in slot.references:
                slot.memory.forget_secrets()
                slot.wake.set()


def references(namespace: str, name: str, spec: dict[str, Any]) -> frozenset[ObjectKey]:
    """Every Secret and ConfigMap that a raw spec names.

    Tolerant, because an invalid spec must wake its loop too.
    """
    certificate = spec.get("certificate") or {}
    secrets = {
        ((spec.get("credentials") or {}).get("apiTokenSecretRef") or {}).get("name"),
        (certificate.get("secretRef") or {}).get("name"),
        (certificate.get("generate") or {}).get("secretName") or f"{name}-aop",
    }
    maps = [
        (origin.get(kind.name) or {}).get(kind.reference) or {}
        for origin in spec.get("origins") or ()
        for kind in KINDS.values()
    ]
    return frozenset(
        {
            *(ObjectKey(namespace, secret) for secret in secrets if secret),
            *(
                ObjectKey(ref["namespace"], ref["name"])
                for ref in maps
                if ref.get("namespace") and ref.get("name")
            ),
        }
    )


def register(registry: kopf.OperatorRegistry, login: Callable[..., Any]) -> None:  # noqa: C901 - seven handlers of a few lines each
    """Put every handler into `registry`; `login` gives Kopf's own client its credentials."""

    @kopf.on.login(registry=registry, id="login")
    def _login(**kwargs: Any) -> Any:
        return login(**kwargs)

    @kopf.on.event(*RESOURCE, registry=registry, id="wake")  # type: ignore[arg-type]
    async def _wake(
        namespace: str,
        name: str,
        event: Any,
        memo: Loops,
        type: str | None,  # noqa: A002 - Kopf's name
        **_: Any,
    ) -> None:
        manifest = dict(event["object"])
        meta = manifest["metadata"]
        if type == "DELETED":
            memo.drop(meta["uid"])
            memo.wake_all()
            memo.orphans.look_soon()
            return
        slot = memo.slot(meta["uid"])
        slot.memory.learn(manifest, memo.clock.monotonic_s())
        seen = (
            meta.get("generation"),
            FINALIZER in (meta.get("finalizers") or ()),
            bool(meta.get("deletionTimestamp")),
            (meta.get("annotations") or {}).get(ROTATE_ANNOTATION),
        )
        slot.references = references(namespace, name, manifest.get("spec") or {})
        if seen != slot.seen:
            if not slot.seen:
                memo.observer.objects.forget()
            slot.seen = seen
            slot.memory.cloudflare.retry_at = None
            slot.wake.set()

    @kopf.on.event("", "v1", "secrets", registry=registry, id="wake-by-secret")  # type: ignore[arg-type]
    async def _wake_by_secret(namespace: str, name: str, memo: Loops, **_: Any) -> None:
        memo.wake_referrers(ObjectKey(namespace, name))

    @kopf.on.event("", "v1", "configmaps", registry=registry, id="wake-by-configmap")  # type: ignore[arg-type]
    async def _wake_by_config_map(namespace: str, name: str, memo: Loops, **_: Any) -> None:
        memo.wake_referrers(ObjectKey(namespace, name))

    @kopf.daemon(  # type: ignore[arg-type]
        *RESOURCE,
        registry=registry,
        id="reconcile",
        cancellation_backoff=CANCELLATION_S,
        cancellation_timeout=5.0,
    )
    async def _keep(
        namespace: str, name: str, uid: str, memo: Loops, stopped: Any, **_: Any
    ) -> None:
        key, slot = ObjectKey(namespace, name), memo.slot(uid)
        while not stopped and not slot.memory.gone:
            slot.wake.clear()
            async with slot.lock:
                if stopped:
                    return
                visit = await memo.reconciler.visit(key, slot.memory)
            memo.last_visit_s = memo.clock.monotonic_s()
            await _until_woken(slot.wake, stopped, visit.delay_s)

    @kopf.on.delete(*RESOURCE, registry=registry, id="teardown")  # type: ignore[arg-type]
    async def _teardown(namespace: str, name: str, uid: str, memo: Loops, **_: Any) -> None:
        key = ObjectKey(namespace, name)
        slot, until_s = memo.slot(uid), memo.clock.monotonic_s() + TEARDOWN_TURN_S
        while memo.clock.monotonic_s() < until_s:
            async with slot.lock:
                visit = await memo.reconciler.visit(key, slot.memory)
            memo.last_visit_s = memo.clock.monotonic_s()
            if visit.finished:
                return
            slot.wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(slot.wake.wait(), min(visit.delay_s, 10.0))
        raise kopf.TemporaryError("not everything is as it was found yet", delay=0.5)

    @kopf.on.probe(registry=registry, id="last-visit-seconds-ago")
    async def _last_visit(memo: Loops, **_: Any) -> float:
        return round(memo.clock.monotonic_s() - memo.last_visit_s, 1)


async def _until_woken(wake: asyncio.Event, stopped: Any, delay_s: float) -> None:
    async def until_stopped() -> None:
        await stopped.wait()  # awaitable, but not a coroutine (facts: kopf#daemons)

    waits: set[asyncio.Task[Any]] = {_task(wake.wait()), _task(until_stopped())}
    try:
        await asyncio.wait(waits, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()


def _task(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(coroutine)


def kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """Kopf's own settings for production (facts: kopf#production-settings).

    `error_backoffs` stays finite, so that an operator that cannot list exits visibly.
    """
    tuned = kopf.OperatorSettings()
    tuned.peering.standalone = True
    tuned.persistence.finalizer = FINALIZER
    tuned.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    tuned.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    tuned.watching.label_selectors["secrets.v1"] = f"{WATCH_LABEL}=true"
    tuned.watching.label_selectors["configmaps.v1"] = f"{WATCH_LABEL}=true"
    tuned.watching.server_timeout = 10 * 60
    tuned.watching.connect_timeout = 10
    tuned.networking.connect_timeout = 10
    tuned.networking.request_timeout = 30
    tuned.posting.enabled = False
    tuned.execution.default_backoff = 15
    tuned.background.cancellation_polling = 5
    tuned.scanning.disabled = bool(settings.watch_namespaces)
    tuned.process.ultimate_exiting_timeout = 60
    return tuned

"""Events as a Go controller's recorder writes them: merged, combined and dropped.

`Correlator` is the decision, pure; `Recorder` sends. Each replica has both. It is imitated because
it makes Events untrustworthy in a way that the operator has to live with: after some failures
neither Warnings nor Normals arrive (facts: ingress-nginx#lost-events).
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.ingress_nginx.api import ApiClient, ApiServerError, Unreachable

COMPONENT = "nginx-ingress-controller"
SIMILAR, SIMILAR_WITHIN_S = 10, 600.0
SPAM_BURST, SPAM_PER_SECOND = 25, 1 / 300

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """What a controller says about an object: `kind` Normal or Warning, a reason and a sentence."""

    kind: str
    reason: str
    message: str


@dataclass(slots=True)
class Series:
    """What was sent as one Event object: its name and how often it was said."""

    name: str
    count: int
    first: datetime


@dataclass(slots=True)
class _Similar:
    last: float
    messages: dict[str, None] = field(default_factory=dict)


class Correlator:
    """client-go's rules for what becomes of a note.

    From the tenth different message within ten minutes on they are combined into one Event; equal
    ones raise a count; and each object has a budget of 25, refilled by one in five minutes.
    """

    def __init__(self) -> None:
        self._similar: dict[tuple[str, str, str], _Similar] = {}
        self._series: dict[tuple[str, ...], Series] = {}
        self._budgets: dict[str, tuple[float, float]] = {}

    def admit(self, uid: str, note: Note, now: datetime) -> tuple[str, Series] | None:
        """The message to send and the Event it goes to (`count` 1: a new one).

        None when it is dropped as spam.
        """
        key, message = self._combine(uid, note, now.timestamp())
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series(secrets.token_hex(8), 0, now)
        series.count += 1
        return (message, series) if self._affords(uid, now.timestamp()) else None

    def _combine(self, uid: str, note: Note, now: float) -> tuple[tuple[str, ...], str]:
        group = (uid, note.kind, note.reason)
        similar = self._similar.get(group)
        if similar is None or now - similar.last > SIMILAR_WITHIN_S:
            similar = self._similar[group] = _Similar(now)
        similar.last = now
        similar.messages[note.message] = None
        if len(similar.messages) < SIMILAR:
            return (*group, note.message), note.message
        similar.messages.pop(next(iter(similar.messages)))
        return group, f"(combined from similar events): {note.message}"

    def _affords(self, uid: str, now: float) -> bool:
        tokens, at = self._budgets.get(uid, (float(SPAM_BURST), now))
        tokens = min(tokens + (now - at) * SPAM_PER_SECOND, SPAM_BURST)
        affordable = tokens >= 1
        self._budgets[uid] = (tokens - 1 if affordable else tokens, now)
        return affordable


class Recorder:
    """Sends notes about objects, one after another, without making the sync loop wait."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._correlator = Correlator()
        self._pending: asyncio.Queue[tuple[Json, Note, datetime]] = asyncio.Queue()

    def note(self, about: Json, note: Note) -> None:
        """Say something about an object (with kind, apiVersion and metadata)."""
        self._pending.put_nowait((about, note, datetime.now(UTC)))

    async def run(self) -> None:
        """Send until cancelled.

        An Event that the API server does not take is lost, as with the real recorder after its
        retries.
        """
        while True:
            about, note, at = await self._pending.get()
            admitted = self._correlator.admit(about["metadata"]["uid"], note, at)
            if admitted is None:
                continue
            try:
                await self._send(about, note, at, *admitted)
            except (ApiServerError, Unreachable):
                continue

    async def _send(
        self, about: Json, note: Note, at: datetime, message: str, series: Series
    ) -> None:
        metadata = about["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/events"
        name = f"{metadata['name']}.{series.name}"
        stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        if series.count > 1:
            try:
                await self._api.merge(
                    f"{path}/{name}",
                    {"count": series.count, "lastTimestamp": stamp, "message": message},
                )
            except ApiServerError as error:
                if error.code != 404:
                    raise
            else:
                return
        event = {
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {
                "kind": about["kind"],
                "apiVersion": about["apiVersion"],
                **{key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")},
            },
            "type": note.kind,
            "reason": note.reason,
            "message": message,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": series.first.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lastTimestamp": stamp,
            "count": series.count,
        }
        await self._api.create(path, event)

"""Every state that objects of one kind went through, by a watch: what a person with `kubectl get --watch` would have seen."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import httpx

from sandbox.kubernetes.plane import ControlPlane

Seen = dict[str, Any]


class Following:
    """A watch in a thread of its own.

    A context manager; `on_event(type, object)` is called in that thread, ADDED, MODIFIED or
    DELETED.
    """

    def __init__(
        self, plane: ControlPlane, path: str, on_event: Callable[[str, Seen], None]
    ) -> None:
        self._plane, self._path, self._on_event = plane, path, on_event
        self._stopping = threading.Event()
        self._opened = threading.Event()
        self._stream: httpx.Response | None = None
        self._thread = threading.Thread(target=self._follow, name="following", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._opened.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _follow(self) -> None:
        version = (
            self._plane.http.get(self._path)
            .raise_for_status()
            .json()["metadata"]["resourceVersion"]
        )
        while not self._stopping.is_set():
            # A read that times out ends this stream, and the next one goes on behind the last
            # event: so stopping takes a second.
            with suppress(httpx.HTTPError):
                query = {"watch": "1", "resourceVersion": version}
                with self._plane.http.stream(
                    "GET", self._path, params=query, timeout=httpx.Timeout(10, read=1)
                ) as stream:
                    self._opened.set()
                    for line in stream.iter_lines():
                        event = json.loads(line)
                        version = event["object"]["metadata"]["resourceVersion"]
                        self._on_event(event["type"], event["object"])
                        if self._stopping.is_set():
                            return

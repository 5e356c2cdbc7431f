"""What the demo says while it happens: one plain line per change, with the seconds since its beginning."""

from __future__ import annotations

import threading
import time
from typing import Any, get_args

from aop.steps import Effect
from sandbox.load import Report

STEPS = frozenset(step.__name__ for step in get_args(Effect))
"""The reasons of those Events that tell a step; the others repeat what Ready says."""


class Telling:
    """Prints lines from several threads, each whole."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._lock = threading.Lock()
        self._last: dict[str, str] = {}

    def say(self, line: str = "") -> None:
        """One line."""
        with self._lock:
            print(f"{time.monotonic() - self._began_s:6.1f} s  {line}" if line else "", flush=True)

    def title(self, line: str) -> None:
        """The next chapter."""
        with self._lock:
            print(f"\n== {line}", flush=True)

    def say_if_new(self, key: str, line: str) -> None:
        """A line about `key`, unless it is what was last said of it."""
        if self._last.get(key) != line:
            self._last[key] = line
            self.say(line)

    def visitors(self, report: Report) -> None:
        """How the stream of requests fares; every few seconds, so that nobody wonders."""
        total = report.total
        self.say(
            f"  visitors: {total.ok} ok, {total.redirected} redirected to https, {total.failed} failed"
        )

    def step(self, kind: str, event: dict[str, Any]) -> None:
        """An Event of the operator about an object."""
        if (
            kind == "ADDED"
            and event.get("source", {}).get("component") == "aop-operator"
            and event["reason"] in STEPS
        ):
            self.say(f"* {event['message']}")

    def state(self, kind: str, manifest: dict[str, Any]) -> None:
        """A state of the object."""
        if kind == "DELETED":
            self.say_if_new("ready", "the object is gone")
            return
        status = manifest.get("status", {})
        ready = next((one for one in status.get("conditions", []) if one["type"] == "Ready"), None)
        if ready and ready["reason"] != "Progressing":  # then an Event tells the step
            self.say_if_new(
                "ready", f"  Ready={ready['status']} {ready['reason']}: {ready['message']}"
            )
        for origin in status.get("origins", []):
            mode, applied, replicas = (
                origin.get("mode", "nothing"),
                origin.get("applied", 0),
                origin.get("replicas", 0),
            )
            self.say_if_new(
                f"origin {origin['name']}",
                f"  origin {origin['name']}: {mode} observed; {applied}/{replicas} replicas do what is published",
            )

"""The operator under test, as its own process: the very command that the image runs, killed and started again at will."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import httpx

from sandbox.ports import free_port
from sandbox.processes import Child
from sandbox.waiting import until

COMMAND = ("-m", "aop", "run")
"""The operator as the image runs it, to this Python."""
QUICK = {"AOP_QUIET_PERIOD_S": "3", "AOP_LOG_LEVEL": "info"}
"""Cloudflare's stand-in lags by knobs, not by minutes, so a few seconds of quiet are longer than
all of it."""
IMAGE = Path(__file__).parents[2] / "Dockerfile"
RESTARTED_AFTER_S = 0.5
"""A kubelet waits longer, and longer each time."""


class Operator:
    """`aop-operator run` with the given settings.

    `start` returns when its health endpoint answers.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        name: str = "operator",
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._command = command
        self.health_port = free_port()
        self.log = folder / f"{name}.log"
        self.metrics_port = free_port()
        ports = {
            "AOP_LISTEN_ADDRESS": "127.0.0.1",
            "AOP_HEALTH_PORT": str(self.health_port),
            "AOP_METRICS_PORT": str(self.metrics_port),
        }
        kept = {
            name: os.environ[name]
            for name in ("PATH", "HOME", "TMPDIR", "LANG")
            if name in os.environ
        }
        self._environment = {**kept, **_of_memory(IMAGE), **QUICK, **ports, **environment}
        self._child: Child | None = None

    def start(self, within_s: float = 30) -> Self:
        """Start it (again) and wait until it serves."""
        self.launch()
        until(
            self._healthy,
            within_s=within_s,
            describe=lambda: f"the operator to be healthy:\n{self.last_words()}",
        )
        return self

    def launch(self) -> None:
        """Start it without waiting."""
        self._child = Child([sys.executable, *self._command], log=self.log, env=self._environment)

    @contextmanager
    def kept_running(self) -> Iterator[None]:
        """Start it, and start it again whenever it ends by itself, as a kubelet does with a container; kill it at the end."""
        ending = threading.Event()

        def watch() -> None:
            while not ending.wait(RESTARTED_AFTER_S):
                if not self.alive:
                    self.launch()

        self.launch()
        kubelet = threading.Thread(target=watch, name="kubelet")
        kubelet.start()
        try:
            yield
        finally:
            ending.set()
            kubelet.join()
            self.kill()

    @property
    def pid(self) -> int:
        """Its process id. Raises RuntimeError when it was not started."""
        if self._child is None:
            raise RuntimeError("the operator was not started")
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.alive

    def kill(self) -> None:
        """SIGKILL, as a node that is lost."""
        if self._child is not None:
            self._child.kill()

    def suspend(self) -> None:
        """SIGSTOP, as a node that hangs; returns when it stands still."""
        if self._child is not None:
            self._child.suspend()

    def resume(self) -> None:
        """SIGCONT."""
        if self._child is not None:
            self._child.resume()

    def terminate(self, within_s: float) -> None:
        """SIGTERM, as a kubelet does first, and wait for its end; SIGKILL after `within_s`."""
        if self._child is not None:
            self._child.kill(signal.SIGTERM, within_s=within_s)

    stop = kill

    def last_words(self) -> str:
        """The end of its log."""
        return self._child.last_words() if self._child else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def measured(self, metric: str) -> float | None:
        """A metric without labels, as Prometheus would read it; None when there is no answer."""
        try:
            answer = httpx.get(
                f"http://127.0.0.1:{self.metrics_port}/metrics", trust_env=False, timeout=2
            )
        except httpx.HTTPError:
            return None
        values = re.findall(rf"^{metric} (\S+)$", answer.text, re.MULTILINE)
        return float(values[0]) if values else None

    @property
    def visits(self) -> float:
        """How often it has visited an object since it began."""
        return self.measured("aop_visit_duration_seconds_count") or 0.0

    @property
    def leads(self) -> bool:
        """Whether it says so."""
        return self.measured("aop_leader") == 1

    def _healthy(self) -> bool:
        if not self.alive:
            raise RuntimeError(f"the operator ended:\n{self.last_words()}")
        return succeeds(self.health_port, "/readyz")


def succeeds(port: int, path: str, address: str = "127.0.0.1") -> bool:
    """Whether a probe of a kubelet on this machine would; no answer within 2 s is a failure."""
    try:
        return httpx.get(f"http://{address}:{port}{path}", trust_env=False, timeout=2).is_success
    except httpx.HTTPError:
        return False


def _of_memory(image: Path) -> dict[str, str]:
    """What the image tells the C library of memory: tests measure what is shipped."""
    return dict(re.findall(r"(MALLOC_\w+)=(\d+)", image.read_text(encoding="utf-8")))

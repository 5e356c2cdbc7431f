"""Starts the stand-in and turns its knobs, from synchronous code: for tests, for the sandbox and for the demo.

    with IngressNginx(plane.admin_kubeconfig, config={"use-forwarded-headers": "true"}) as controller:
        controller.replicas()[0].https          # "127.0.0.11:23456"

Blocking calls on loopback; from async code use `asyncio.to_thread` where a few milliseconds matter.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from sandbox.ingress_nginx.facts import Announcement, ReplicaFacts
from sandbox.ingress_nginx.knobs import ReplicaKnobs
from sandbox.processes import Child
from sandbox.waiting import until

START_WITHIN_S = 60
READY_WITHIN_S = 30
PACKAGES = Path(__file__).parents[2]


class IngressNginxError(Exception):
    """The stand-in did not start, or ended. The message has its last words."""


class IngressNginx:
    """The stand-in as a child process.

    `start` returns when every replica is Ready; `stop` deletes the Pods and ends everything.

    `config` is the data of the ConfigMap, used only when it is created; `hosts` are the names in
    the default certificate, whose issuer is `announcement.ca_file`. `first_sync_pause_s` None is
    the controller's own second.
    """

    announcement: Announcement

    def __init__(
        self,
        kubeconfig: Path,
        *,
        namespace: str = "ingress-nginx",
        replicas: int = 2,
        config: Mapping[str, str] | None = None,
        with_configmap: bool = True,
        hosts: Sequence[str] = ("example.com", "*.example.com"),
        first_address: str = "127.0.0.11",
        release: str = "ingress-nginx",
        ingress_class: str = "nginx",
        controller_class: str = "k8s.io/ingress-nginx",
        configmap: str = "ingress-nginx-controller",
        first_sync_pause_s: float | None = None,
    ) -> None:
        self._arguments = [
            *(
                "--kubeconfig",
                str(kubeconfig),
                "--namespace",
                namespace,
                "--replicas",
                str(replicas),
                "--first-address",
                first_address,
            ),
            *(
                "--release",
                release,
                "--ingress-class",
                ingress_class,
                "--controller-class",
                controller_class,
                "--configmap",
                configmap,
            ),
            *(() if with_configmap else ("--no-configmap",)),
            *(word for host in hosts for word in ("--host", host)),
            *(
                word
                for key, value in (config or {}).items()
                for word in ("--config", f"{key}={value}")
            ),
            *(
                ()
                if first_sync_pause_s is None
                else ("--first-sync-pause", str(first_sync_pause_s))
            ),
        ]
        self._folder: Path | None = None
        self._child: Child | None = None
        self._http: httpx.Client | None = None

    def start(self) -> Self:
        """Start it and wait until every replica is Ready (3 s).

        Raises:
            IngressNginxError: it ended instead.
            NotInTimeError: a replica did not become Ready, for example because the ConfigMap is bad already.
        """
        self._folder = folder = Path(tempfile.mkdtemp(prefix="aop-ingress-nginx-launch-"))
        announced = folder / "announcement.json"
        command = [
            sys.executable,
            "-m",
            "sandbox.ingress_nginx",
            *self._arguments,
            "--announce",
            str(announced),
        ]
        # SIGKILL takes the stand-in; its nginx masters then get SIGTERM.
        self._child = child = Child(command, log=folder / "log", env=_environment(folder))
        try:
            until(
                lambda: self._has_announced(announced),
                within_s=START_WITHIN_S,
                describe=lambda: f"ingress-nginx:\n{child.last_words()}",
            )
        except BaseException:
            self.stop()
            raise
        self.announcement = Announcement(**json.loads(announced.read_text()))
        self._http = httpx.Client(base_url=self.announcement.control, trust_env=False, timeout=60)
        return self

    def stop(self) -> None:
        """End it, its replicas and its backend, and delete its Pods; SIGKILL where that takes over 10 s."""
        if self._http is not None:
            self._http.close()
        if self._child is not None:
            self._child.kill(signal.SIGTERM)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._http = self._child = self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def process(self) -> Child:
        """The stand-in's own process, to be killed or suspended."""
        if self._child is None:
            raise IngressNginxError("the stand-in is not running: call start() first")
        return self._child

    # What is there

    def replicas(self) -> list[ReplicaFacts]:
        """All replicas, by address."""
        return [ReplicaFacts.read(facts) for facts in self._ask("GET", "/replicas").json()]

    def replica(self, pod: str) -> ReplicaFacts:
        """One replica; raises httpx.HTTPStatusError (404) when it is gone."""
        return ReplicaFacts.read(self._ask("GET", f"/replicas/{pod}").json())

    def nginx_conf(self, pod: str) -> str:
        """The text that a replica's nginx was last told to run."""
        return self._ask("GET", f"/replicas/{pod}/nginx.conf").text

    # What can be done to it

    def turn(self, pod: str | None = None, **knobs: bool | float) -> None:
        """Turn knobs of one replica; without a Pod those of all, and of those to come.

        `knobs` tells what there is.
        """
        self._ask("PATCH", f"/replicas/{pod}" if pod else "/replicas", json=knobs)

    @contextlib.contextmanager
    def turned(self, pod: str | None = None, **knobs: bool | float) -> Iterator[None]:
        """Turned for the length of the block, and back to an ordinary replica's at its end."""
        self.turn(pod, **knobs)
        try:
            yield
        finally:
            self.turn(pod, **{name: getattr(ReplicaKnobs(), name) for name in knobs})

    def pause(self, pod: str) -> None:
        """Hold a replica's loop before its next sync; its nginx goes on serving what it has."""
        self.turn(pod, paused=True)

    def resume(self, pod: str) -> None:
        """Let it go on."""
        self.turn(pod, paused=False)

    def paused(self, pod: str) -> contextlib.AbstractContextManager[None]:
        """Held for the length of the block."""
        return self.turned(pod, paused=True)

    def hung(self, pod: str) -> contextlib.AbstractContextManager[None]:
        """For the length of the block its nginx, master and workers, stands still: it accepts and never answers. Its Pod stays Ready."""
        return self.turned(pod, hung=True)

    def cut_off(self, pod: str) -> contextlib.AbstractContextManager[None]:
        """For the length of the block its node does not reach the API server: NotReady, blind to every change, and still serving what it has."""
        return self.turned(pod, cut_off=True)

    def lag(self, pod: str, seconds: float) -> None:
        """Make the time between `nginx -t` and the reload longer by so much, from the next sync on."""
        self.turn(pod, reload_lag_s=seconds)

    def terminate(self, pod: str, *, grace_s: float = 300) -> None:
        """Mark a Pod as terminating; its replica lives and serves on until `remove`, for at most so long."""
        self._ask("POST", f"/replicas/{pod}/terminate", params={"grace_s": grace_s})

    def add(self) -> ReplicaFacts:
        """Start one more replica at the next address; it is not Ready yet."""
        return ReplicaFacts.read(self._ask("POST", "/replicas").json())

    def replace(self, pod: str, *, grace_s: float = 0) -> ReplicaFacts:
        """A new Pod with a fresh nginx at the same address, from what the cluster says now; it is not Ready yet. `grace_s` 0 is a lost node."""
        return ReplicaFacts.read(
            self._ask("POST", f"/replicas/{pod}/replace", params={"grace_s": grace_s}).json()
        )

    def remove(self, pod: str, *, grace_s: float = 0) -> None:
        """One replica less; with a grace period its Pod is terminating and nginx finishes what it has begun, for at most so long."""
        self._ask("DELETE", f"/replicas/{pod}", params={"grace_s": grace_s})

    def await_ready(self, within_s: float = READY_WITHIN_S) -> list[ReplicaFacts]:
        """Wait until every replica is Ready, and return their facts."""

        def all_ready() -> list[ReplicaFacts]:
            facts = self.replicas()
            return facts if all(one.ready for one in facts) else []

        return until(all_ready, within_s=within_s, describe="every replica to be Ready")

    def _ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        if self._http is None:
            raise IngressNginxError("the stand-in is not running: call start() first")
        return self._http.request(method, path, **arguments).raise_for_status()

    def _has_announced(self, announced: Path) -> bool:
        if not self.process.alive:
            raise IngressNginxError(
                f"the stand-in ended with status {self.process.returncode}:\n{self.process.last_words()}"
            )
        return announced.exists()


def _environment(folder: Path) -> dict[str, str]:
    """Its temporary files lie in `folder`, so that they go with it also when the process was killed."""
    return {
        **os.environ,
        "TMPDIR": str(folder),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(PACKAGES), os.environ.get("PYTHONPATH")))),
    }


__all__ = ["Announcement", "IngressNginx", "IngressNginxError", "ReplicaFacts"]

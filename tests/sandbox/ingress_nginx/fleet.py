"""All replicas of one controller, and the backend they share: started together, then changed one by one.

It does what a Deployment, a scheduler and a kubelet do for the real controller.
"""

import asyncio
import contextlib
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self

from sandbox.ingress_nginx import backend, programs
from sandbox.ingress_nginx.api import ApiClient, Json
from sandbox.ingress_nginx.knobs import ReplicaKnobs
from sandbox.ingress_nginx.place import Place
from sandbox.ingress_nginx.pods import Installation
from sandbox.ingress_nginx.programs import Program
from sandbox.ingress_nginx.replica import FIRST_SYNC_PAUSE_S, StandInReplica
from sandbox.kubernetes.certificates import ClusterAuthority
from sandbox.ports import free_port
from sandbox.processes import Child

LOOPBACK = "127.0.0.1"
WORKER_CONNECTIONS = 16384
DEFAULT_HOSTS = ("example.com", "*.example.com")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to start: how many replicas, from which address on, and for which names the default certificate is."""

    replicas: int = 2
    first_address: str = "127.0.0.11"
    hosts: Sequence[str] = DEFAULT_HOSTS
    first_sync_pause_s: float = FIRST_SYNC_PAUSE_S
    worker_processes: int = 2


class UnknownReplicaError(Exception):
    """No replica has this Pod name (any more)."""


class Fleet:
    """Use as `async with`: everything runs inside the block, and the Pods are deleted at its end."""

    def __init__(
        self, api: ApiClient, installation: Installation, wanted: Wanted, folder: Path
    ) -> None:
        self.installation = installation
        self.program: Program = programs.find()
        self.backend_address = f"{LOOPBACK}:{free_port(LOOPBACK)}"
        self.ca_file = folder / "ca.crt"
        self._api = api
        self._wanted = wanted
        self._folder = folder
        self._replicas: dict[str, tuple[StandInReplica, asyncio.Task[None]]] = {}
        self._knobs = ReplicaKnobs()
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._started = 0
        self._backend: Child | None = None
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        authority = ClusterAuthority("sandbox origin CA")
        self.ca_file.write_bytes(authority.pem)
        self._certificate, self._key = authority.serve([*self._wanted.hosts]).write(
            self._folder, "default"
        )
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._connections = min(WORKER_CONNECTIONS, limit - 64)
        self._user = programs.worker_user()
        self._backend = backend.start(
            self.program,
            self._folder / "backend",
            self.backend_address,
            user=self._user,
            connections=self._connections,
        )
        await self.installation.install(self._api)
        for _ in range(self._wanted.replicas):
            self.add()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(
            *(self.remove(name) for name in [*self._replicas]), return_exceptions=True
        )
        if self._backend is not None:
            self._backend.kill()

    @property
    def replicas(self) -> list[StandInReplica]:
        """In the order of their addresses."""
        return sorted(
            (replica for replica, _ in self._replicas.values()),
            key=lambda replica: IPv4Address(replica.place.address),
        )

    def replica(self, name: str) -> StandInReplica:
        """The replica whose Pod is called so; raises UnknownReplicaError."""
        return self._entry(name)[0]

    async def turn(self, changes: dict[str, Any], name: str | None = None) -> None:
        """Turn knobs of one replica, or of all, those that are still to come included; raises NoKnobError, UnknownReplicaError."""
        if name is None:
            self._knobs = self._knobs.turned(changes)
        for replica in self.replicas if name is None else [self.replica(name)]:
            await replica.turn(replica.knobs.turned(changes))

    def add(self, address: str | None = None) -> StandInReplica:
        """Start one more replica, at the first free address unless told otherwise; it becomes Ready by itself."""
        self._started += 1
        replica = StandInReplica(
            self._api,
            self.installation,
            self._place(address or self._free_address()),
            self._knobs,
            first_sync_pause_s=self._wanted.first_sync_pause_s,
        )
        task = asyncio.create_task(replica.run(), name=replica.pod.name)
        task.add_done_callback(self._ended)
        self._replicas[replica.pod.name] = (replica, task)
        return replica

    async def terminate(self, name: str, *, grace_s: float) -> None:
        """Mark a replica's Pod as terminating while it lives on in every other way: until `remove`, for at most `grace_s`.

        So does a controller with `--shutdown-grace-period`, whose load balancers are to forget it
        first; and a Pod on a node that is cut off.
        """
        await self.replica(name).pod.terminate(max(int(grace_s), 1))
        self._deadlines[name] = asyncio.get_running_loop().call_later(grace_s, self._end, name)

    async def remove(self, name: str, *, grace_s: float = 0) -> None:
        """End a replica: at once, as when its node is lost, or with a grace period in which its Pod is terminating and requests may finish."""
        replica, task = self._entry(name)
        if (deadline := self._deadlines.pop(name, None)) is not None:
            deadline.cancel()
        if grace_s > 0:
            await replica.retire(grace_s)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self._replicas.pop(name, None)
        await replica.pod.delete()

    async def replace(self, name: str, *, grace_s: float = 0) -> StandInReplica:
        """End a replica and start another in its place: a new Pod and a fresh nginx at the same address, from what the cluster says now."""
        address = self.replica(name).place.address
        await self.remove(name, grace_s=grace_s)
        return self.add(address)

    async def ready(self) -> None:
        """Wait until every replica is Ready; raises what a replica died of."""
        while not all(replica.pod.ready for replica in self.replicas):
            await asyncio.wait({self._broken}, timeout=0.05)
            if self._broken.done():
                self._broken.result()

    async def broken(self) -> None:
        """Wait for a replica to die of an error that it does not handle, and raise that."""
        await asyncio.shield(self._broken)

    def facts(self) -> list[Json]:
        """What each replica is and has done."""
        return [replica.facts() for replica in self.replicas]

    def _entry(self, name: str) -> tuple[StandInReplica, asyncio.Task[None]]:
        try:
            return self._replicas[name]
        except KeyError:
            raise UnknownReplicaError(
                f"no replica {name}; there are {', '.join(self._replicas) or 'none'}"
            ) from None

    def _end(self, name: str) -> None:
        task = asyncio.create_task(self.remove(name))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if (
            not task.cancelled()
            and (error := task.exception()) is not None
            and not self._broken.done()
        ):
            self._broken.set_exception(error)

    def _free_address(self) -> str:
        taken = {replica.place.address for replica, _ in self._replicas.values()}
        address = IPv4Address(self._wanted.first_address)
        while str(address) in taken:
            address += 1
        return str(address)

    def _place(self, address: str) -> Place:
        ports = self.installation.ports
        return Place(
            program=self.program,
            folder=self._folder / f"replica-{self._started}",
            address=address,
            http_port=ports.http,
            https_port=ports.https,
            default_server_port=ports.default_server,
            status_port=ports.status,
            backend=self.backend_address,
            certificate=self._certificate,
            key=self._key,
            user=self._user,
            worker_processes=self._wanted.worker_processes,
            worker_connections=self._connections,
        )
